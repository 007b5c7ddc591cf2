"""Customers who are equal in all but their key are on one side and in one fold."""

from __future__ import annotations

from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from pyspark.sql import functions as F

from engage_spark.ml.data.split import check_splits, draw_newcomer_splits, draw_splits
from engage_spark.ml.feature_spec import Feature, FeatureSpec, LeakPolicy, Target, Task
from engage_spark.ml.leakage.audit import to_duplicate_counts
from engage_spark.ml.leakage.duplicates import Materialize, with_duplicates_together

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

KEY, SEED = ["id"], 7
SPEC = FeatureSpec(
    target=Target(name="left", task=Task.BINARY, minimum=0, maximum=1, label_days=0, baseline=None),
    policy=LeakPolicy.STRICT,
    features=(
        Feature(name="visits", table="members", categorical=False),
        Feature(name="plan", table="members", categorical=True),
    ),
    excluded=(),
)
ROWS = "id string, day string, visits double, plan string, left int"


@pytest.fixture
def materialize(spark: SparkSession, tmp_path: Path) -> Materialize:
    numbers = count()

    def write(rows: DataFrame, name: str) -> DataFrame:
        path = str(tmp_path / f"{name}-{next(numbers)}")
        rows.write.parquet(path)
        return spark.read.schema(rows.schema).parquet(path)

    return write


def members(spark: SparkSession, n: int, *, alike: int = 1, start: int = 0) -> DataFrame:
    """Return customers of whom `alike` at a time are equal, nulls and all, on two days."""
    rows: list[tuple[Any, ...]] = []
    for i in range(start, start + n):
        group = i // alike
        visits, plan = None if group % 5 == 0 else group * 1.5, None if group % 7 == 0 else f"p{group}"
        rows += [(f"C{i:04d}", day, visits, plan, group % 2) for day in "12"]
    return spark.createDataFrame(rows, ROWS)


def slots(splits: DataFrame) -> dict[str, tuple[Any, ...]]:
    return {r["id"]: (r["side"], r["fold"], r["stratum"], r["drawn"]) for r in splits.collect()}


def together(
    new: DataFrame, stored: DataFrame | None, rows: DataFrame, materialize: Materialize
) -> DataFrame:
    return with_duplicates_together(
        new, stored, rows, specs=[SPEC], key=KEY, seed=SEED, materialize=materialize
    )


def drawn(rows: DataFrame) -> DataFrame:
    return draw_splits(rows.where("day = '1'"), key=KEY, stratum="left", folds=5, seed=SEED)


def across(spark: SparkSession, rows: DataFrame, splits: DataFrame) -> int:
    return to_duplicate_counts(
        rows.join(splits.select("id", "side", "fold"), on="id", how="inner"),
        specs=[SPEC],
        key=KEY,
        day="day",
        split="side",
        fold="fold",
    ).across


@pytest.mark.connect
def test_duplicates_get_one_side_the_same_on_any_partitioning_and_those_to_come_join_them(
    spark: SparkSession, materialize: Materialize
) -> None:
    rows = members(spark, 300, alike=3)
    new = drawn(rows)
    assert across(spark, rows, new) > 60
    first = together(new, None, rows, materialize)
    given = slots(first)
    assert given == slots(together(new.repartition(3), None, rows.repartition(7), materialize))
    assert len(given) == 300 and across(spark, rows, first) == 0
    assert len({side for side, *_ in given.values()}) == 4
    assert sum(side == "fit" for side, *_ in given.values()) in range(150, 240)
    stored = materialize(first, "stored")
    draw = check_splits(stored, key=KEY, folds=5, seed=SEED)
    assert draw.is_same(check_splits(stored.where("unit IS NULL"), key=KEY, folds=5, seed=SEED))

    more = rows.unionByName(members(spark, 60, alike=3).withColumn("id", F.concat(F.lit("N"), "id")))
    newcomers = draw_newcomer_splits(stored, more, key=KEY, folds=5, seed=SEED)
    joined = together(newcomers, stored, more, materialize)
    assert slots(joined) == {f"N{k}": given[k] for k in sorted(given)[:60]}
    assert check_splits(stored.unionByName(joined), key=KEY, folds=5, seed=SEED).is_same(draw)


def test_duplicates_of_duplicates_on_another_day_belong_together_and_who_has_a_side_keeps_it(
    spark: SparkSession, materialize: Materialize
) -> None:
    chain = [(f"C{i}", day, float(i + (day == "2" and i % 2)), "p", 0) for i in range(8) for day in "12"]
    chain += [(f"C{i}", "3", float(100 + i // 2), "q", 0) for i in range(8)]
    rows = spark.createDataFrame(chain, ROWS)
    new = draw_splits(rows.where("day = '1'"), key=KEY, stratum=None, folds=2, seed=SEED)
    assert len({side for side, *_ in slots(new).values()}) > 1
    one = slots(together(new, None, rows, materialize))
    assert len(one) == 8
    assert len(set(one.values())) == 1, "C1 is C2 on one day, and C2 is C3 on another"
    stored = materialize(new, "stored")
    nobody = new.where("false")
    assert slots(together(nobody, stored, rows, materialize)) == {}
    assert across(spark, rows, stored) > 0, "they stay where an earlier training put them"


def test_rows_without_duplicates_stay_as_they_were_drawn(
    spark: SparkSession, materialize: Materialize
) -> None:
    rows = members(spark, 120).withColumn("visits", F.col("id").substr(2, 4).cast("double"))
    new = drawn(rows)
    assert slots(together(new, None, rows, materialize)) == slots(new)
