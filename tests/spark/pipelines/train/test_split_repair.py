"""Keys are put into the table of splits once, whoever adds them; a table that has them twice is repaired."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from engage_spark.contract import load_contract, splits_table
from engage_spark.errors import ConfigurationError
from engage_spark.pipelines.context import RunContext
from engage_spark.pipelines.train.split_repair import repair_splits
from engage_spark.settings import Settings
from engage_spark.spark.schema import spark_schema
from tests.support.paths import DATA

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

CONTRACT = load_contract(DATA / "iranian_churn.odcs.yaml")
TABLE = splits_table(CONTRACT)


@pytest.fixture
def context(spark: SparkSession, session_settings: Settings, tmp_path: Path) -> RunContext:
    settings = Settings(lake={"root": str(tmp_path / "lake")}, spark=session_settings.spark)  # type: ignore[arg-type]
    return RunContext(spark, settings, CONTRACT)


def splits(
    spark: SparkSession, keys: range, *, run: str, side: str = "fit", day: int = 1, drawn: bool = True
) -> DataFrame:
    fold = 0 if side == "fit" else None
    rows = [(k, side, fold, "1" if drawn else None, drawn, None, date(2026, 1, day), run) for k in keys]
    schema = spark_schema(TABLE)
    return spark.createDataFrame(rows, schema)


def stored(context: RunContext) -> dict[int, tuple[str, str]]:
    rows = context.lake.read(context.spark, "splits").collect()
    assert len(rows) == len({r["row_id"] for r in rows}), "each key is there once"
    return {r["row_id"]: (r["side"], r["_run_id"]) for r in rows}


def test_two_trainings_that_found_the_same_keys_missing_add_them_once(context: RunContext) -> None:
    lake, spark = context.lake, context.spark
    first, second = (splits(spark, range(n), run=run) for n, run in ((5, "a"), (8, "b")))
    assert lake.insert(first, TABLE, tag="a") == 0
    assert lake.insert(second, TABLE, tag="b") == 1
    assert stored(context) == {k: ("fit", "a" if k < 5 else "b") for k in range(8)}


@pytest.mark.parametrize("without_unit", [False, True])
def test_keys_that_are_there_twice_are_left_once_as_they_were_put_first(
    context: RunContext, without_unit: bool
) -> None:
    lake, spark = context.lake, context.spark
    lake.append(splits(spark, range(6), run="a", side="test"), TABLE, tag="a")
    assert repair_splits(context, tag="none") == 0
    lake.append(splits(spark, range(4, 9), run="b", side="test", day=2, drawn=False), TABLE, tag="b")
    if without_unit:  # as an earlier release made it
        whole = lake.read(spark, "splits").drop("unit")
        whole.write.format("delta").mode("overwrite").option("overwriteSchema", "true").save(
            lake.location("splits")
        )
    assert repair_splits(context, tag="repair") == 2
    assert stored(context) == {k: ("test", "a" if k < 6 else "b") for k in range(9)}
    version = lake.version(spark, "splits")
    assert repair_splits(context, tag="again") == 0
    assert lake.version(spark, "splits") == version, "nothing is written where nothing is broken"


def test_a_key_on_two_sides_is_refused_with_what_helps(context: RunContext) -> None:
    lake, spark = context.lake, context.spark
    lake.append(splits(spark, range(6), run="a"), TABLE, tag="a")
    lake.append(splits(spark, range(5, 7), run="b", side="test"), TABLE, tag="b")
    with pytest.raises(ConfigurationError, match="1 keys are on two sides") as caught:
        repair_splits(context, tag="repair")
    assert "delete the table splits" in str(caught.value.hint)
    assert lake.read(spark, "splits").count() == 8
