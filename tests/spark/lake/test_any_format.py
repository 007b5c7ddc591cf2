"""Reading what no contract declares: folders of every shape."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from chispa import assert_df_equality

from engage_spark.errors import InputError
from engage_spark.lake import read_any_format

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

pytestmark = pytest.mark.connect


def test_folders_named_as_columns_are_columns_also_below_such_a_folder(
    spark: SparkSession, tmp_path: Path
) -> None:
    root = tmp_path / "env=test" / "things"
    things = spark.createDataFrame([(1, "a"), (2, "b")], "n int, part string")
    things.write.partitionBy("part").parquet(str(root))
    # No column `env`: what stands above the path is no part of the data.
    assert_df_equality(
        read_any_format(spark, str(root)).rows, things, ignore_nullable=True, ignore_row_order=True
    )


def test_folders_of_any_other_name_are_looked_through(spark: SparkSession, tmp_path: Path) -> None:
    for i, name in enumerate(("old", "new/er")):
        spark.createDataFrame([(i,)], "n int").write.parquet(str(tmp_path / "things" / name))
    rows = read_any_format(spark, str(tmp_path / "things")).rows
    expected = spark.createDataFrame([(0,), (1,)], "n int")
    assert_df_equality(rows, expected, ignore_nullable=True, ignore_row_order=True)


def test_what_is_no_one_table_is_refused(spark: SparkSession, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("n\n1\n")
    (tmp_path / "b.parquet").write_bytes(b"PAR1")
    with pytest.raises(InputError, match="files of several formats") as e:
        read_any_format(spark, str(tmp_path))
    assert "--data-format" in (e.value.hint or "")
    with pytest.raises(InputError, match="there is no"):
        read_any_format(spark, str(tmp_path / "nowhere"), format="csv")
