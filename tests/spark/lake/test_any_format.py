"""Reading what no contract declares: folders of every shape."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pytest
from chispa import assert_df_equality

from engage_spark.errors import InputError
from engage_spark.lake import read_any_format, translate_spark_errors
from tests.support.bad_input.things import parquet, text

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


def test_values_of_folders_are_text_as_written(spark: SparkSession, tmp_path: Path) -> None:
    for code in ("01001", "1e5", "true", "2025-10-21"):
        parquet(tmp_path / "zip" / f"code={code}" / "p.parquet", "a")
        text(tmp_path / "csv" / f"code={code}" / "p.csv", "id\na\n")
    for name in ("zip", "csv"):
        rows = read_any_format(spark, str(tmp_path / name)).rows
        assert dict(rows.dtypes)["code"] == "string"
        assert {r["code"] for r in rows.collect()} == {"01001", "1e5", "true", "2025-10-21"}


def test_types_that_differ_by_file_become_one_and_unreadable_columns_are_left_out(
    spark: SparkSession, tmp_path: Path
) -> None:
    folder = tmp_path / "things"
    parquet(folder / "a.parquet", "a", n=pa.array([1], pa.int64()), u=pa.nulls(1, pa.uuid()))
    parquet(folder / "b.parquet", "b", x=pa.nulls(1), d=pa.array([1], pa.decimal128(5, 2)), v=pa.nulls(1))
    parquet(folder / "c.parquet", "c", x=pa.array([1], pa.float32()), d=pa.array([1], pa.decimal128(8, 4)))
    text(folder / "part_$folder$", "")
    table = read_any_format(spark, str(folder))
    assert dict(table.rows.dtypes) == {"id": "string", "n": "bigint", "x": "double", "d": "decimal(8,4)"}
    assert table.left_out == (
        ("u", "Spark cannot read arrow.uuid (a.parquet)"),
        ("v", "it has neither a value nor a type"),
    )
    assert sorted((r["id"], r["n"], r["x"]) for r in table.rows.collect()) == [
        ("a", 1, 0.5),
        ("b", 1, None),
        ("c", 1, 1.0),
    ]
    parquet(folder / "d.parquet", "d", n=["1"])
    with pytest.raises(InputError, match=r"n: bigint in a\.parquet, int in b\.parquet, string in d\.parquet"):
        read_any_format(spark, str(folder))


def test_numbers_of_csv_that_would_lose_something_stay_text(spark: SparkSession, tmp_path: Path) -> None:
    lines = ["zip,n,x,unit,hex,note", '01067,1,0.5,1d,0x1p3,"one\ntwo"', "10115,2,1e5,2.5f,1,three"]
    text(tmp_path / "a.csv", "\n".join(lines) + "\n")
    rows = read_any_format(spark, str(tmp_path / "a.csv")).rows
    assert dict(rows.dtypes) == {
        "zip": "string",
        "n": "int",
        "x": "double",
        "unit": "string",
        "hex": "string",
        "note": "string",
    }
    assert sorted(r["note"] for r in rows.collect()) == ["one\ntwo", "three"]


def test_columns_of_csv_without_a_name_or_with_one_twice_are_read(
    spark: SparkSession, tmp_path: Path
) -> None:
    for name, first in (("a", 1), ("b", 2)):
        text(tmp_path / "t" / f"{name}.csv", f",id,id\n{first},x,y\n")
    rows = read_any_format(spark, str(tmp_path / "t")).rows
    assert sorted(tuple(r) for r in rows.collect()) == [(1, "x", "y"), (2, "x", "y")]
    text(tmp_path / "t" / "c.csv", "id,n,id\nx,1,y\n")
    with pytest.raises(InputError, match="CSV header"), translate_spark_errors("t cannot be read"):
        read_any_format(spark, str(tmp_path / "t")).rows.collect()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("a,b\n1,2\n".encode("utf-16"), "is text in UTF-16, by its first bytes"),
        ("a;b\n1;2\n", "is split by ';', by its header, and not by ','"),
        ("", "empty"),
        ("\n\n", "has no header line"),
        ("a,b\n" + "x" * (17 * 2**20), "a line of more than 16 MB"),
    ],
)
def test_faults_of_csv_are_told_as_what_they_are(
    spark: SparkSession, tmp_path: Path, content: str | bytes, message: str
) -> None:
    text(tmp_path / "a.csv", content)
    with pytest.raises(InputError, match=message):
        read_any_format(spark, str(tmp_path / "a.csv"))


def test_a_part_of_a_table_of_a_format_is_refused(spark: SparkSession, tmp_path: Path) -> None:
    parquet(tmp_path / "iceberg" / "data" / "a.parquet")
    text(tmp_path / "iceberg" / "metadata" / "v1.metadata.json", "{}")
    with pytest.raises(InputError, match="a part of the table of Iceberg in"):
        read_any_format(spark, str(tmp_path / "iceberg" / "data"))
    parquet(tmp_path / "hudi" / "x=1" / "a.parquet")
    text(tmp_path / "hudi" / ".hoodie" / "hoodie.properties", "")
    for part in ("x=1", "x=1/a.parquet"):
        with pytest.raises(InputError, match="a part of the table of Hudi in"):
            read_any_format(spark, str(tmp_path / "hudi" / part))


@pytest.mark.parametrize("mark", [".hoodie/x", "metadata/v1.metadata.json", "_committed_1", "a.parquet.tmp"])
def test_what_is_no_plain_folder_is_refused(spark: SparkSession, tmp_path: Path, mark: str) -> None:
    parquet(tmp_path / "t" / "a.parquet")
    text(tmp_path / "t" / mark, "{}")
    with pytest.raises(InputError, match="cannot be read as a folder of files"):
        read_any_format(spark, str(tmp_path / "t"))
