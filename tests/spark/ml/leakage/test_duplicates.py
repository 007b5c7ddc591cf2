"""Customers who are equal in all features are on one side and in one fold, unless many are."""

from __future__ import annotations

from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from pyspark.sql import functions as F

from engage_spark.ml.data.split import (
    COLUMNS,
    UNIT,
    check_splits,
    draw_newcomer_splits,
    draw_splits,
    split_hash,
)
from engage_spark.ml.feature_spec import Feature, FeatureSpec, LeakPolicy, Target, Task
from engage_spark.ml.leakage.audit import to_duplicate_counts
from engage_spark.ml.leakage.duplicates import Materialize, with_duplicates_together
from engage_spark.ml.leakage.findings import DuplicateCounts, LeakLimits, duplicate_findings

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
        visits = None if group % 5 == 0 else group * 1.5
        plan = None if group % 5 and group % 7 == 0 else f"p{group}"
        rows += [(f"C{i:04d}", day, visits, plan, group % 2) for day in "12"]
    return spark.createDataFrame(rows, ROWS)


def slots(splits: DataFrame) -> dict[str, tuple[Any, ...]]:
    return {r["id"]: tuple(r[c] for c in (*COLUMNS, UNIT)) for r in splits.collect()}


def together(
    new: DataFrame, stored: DataFrame | None, rows: DataFrame, materialize: Materialize
) -> DataFrame:
    return with_duplicates_together(
        new,
        stored,
        rows,
        specs=[SPEC],
        key=KEY,
        day="day",
        seed=SEED,
        folds=5,
        materialize=materialize,
    )


def drawn(rows: DataFrame) -> DataFrame:
    return draw_splits(rows.where("day = '1'"), key=KEY, stratum="left", folds=5, seed=SEED)


def duplicates(rows: DataFrame, splits: DataFrame) -> DuplicateCounts:
    return to_duplicate_counts(
        rows.join(splits.select("id", "side", "fold"), on="id", how="inner"),
        specs=[SPEC],
        key=KEY,
        day="day",
        split="side",
        fold="fold",
    )


def across(rows: DataFrame, splits: DataFrame) -> int:
    return duplicates(rows, splits).across


@pytest.mark.connect
def test_duplicates_get_one_side_the_same_on_any_partitioning_and_those_to_come_join_them(
    spark: SparkSession, materialize: Materialize
) -> None:
    rows = members(spark, 300, alike=3)
    new = drawn(rows)
    assert across(rows, new) > 60
    first = together(new, None, rows, materialize)
    given = slots(first)
    assert given == slots(together(new.repartition(3), None, rows.repartition(7), materialize))
    assert len(given) == 300 and across(rows, first) == 0
    assert len({side for side, *_ in given.values()}) == 4
    assert sum(side == "fit" for side, *_ in given.values()) in range(150, 240)
    stored = materialize(first, "stored")
    draw = check_splits(stored, key=KEY, folds=5, seed=SEED)

    more = rows.unionByName(members(spark, 60, alike=3).withColumn("id", F.concat(F.lit("N"), "id")))
    newcomers = draw_newcomer_splits(stored, more, key=KEY, folds=5, seed=SEED)
    joined = together(newcomers, stored, more, materialize)
    assert slots(joined) == {f"N{k}": given[k] for k in sorted(given)[:60]}
    assert check_splits(stored.unionByName(joined), key=KEY, folds=5, seed=SEED).is_same(draw)


def test_a_new_duplicate_takes_the_side_of_who_was_alone_and_no_hash_of_the_key(
    spark: SparkSession, materialize: Materialize
) -> None:
    """Erasing either leaves the other where it is, and nothing of the erased key."""
    rows = members(spark, 60)
    stored = materialize(drawn(rows), "alone")
    draw = check_splits(stored, key=KEY, folds=5, seed=SEED)
    more = rows.unionByName(rows.withColumn("id", F.concat(F.lit("N"), "id")))
    newcomers = draw_newcomer_splits(stored, more, key=KEY, folds=5, seed=SEED)
    joined = materialize(together(newcomers, stored, more, materialize), "joined")
    given = slots(stored)
    assert {k: v[:2] for k, v in slots(joined).items()} == {f"N{k}": v[:2] for k, v in given.items()}
    assert len({side for side, *_ in given.values()}) == 4
    hashes = stored.select(split_hash(KEY, SEED).alias("unit"))
    assert joined.join(hashes, on="unit", how="inner").isEmpty()
    for left in (stored.unionByName(joined), stored.where("id > 'C0030'").unionByName(joined)):
        assert check_splits(left, key=KEY, folds=5, seed=SEED).is_same(draw)


def test_the_newest_rows_decide_and_nobody_is_chained(spark: SparkSession, materialize: Materialize) -> None:
    """C0 and C1 are equal on day 3, C1 and C2 on day 2, with other labels; C9 has gone since day 1."""
    values = {"C0": (1, 5, 7), "C1": (2, 4, 7), "C2": (3, 4, 8), "C3": (1, 6, 9)}
    chain = [
        (k, str(d + 1), float(v), "p", (d + int(k[1])) % 2)
        for k, vs in values.items()
        for d, v in enumerate(vs)
    ]
    rows = spark.createDataFrame([*chain, ("C9", "1", 8.0, "p", 1)], ROWS)
    new = draw_splits(rows.where("day = '1'"), key=KEY, stratum=None, folds=5, seed=SEED)
    placed, before = slots(together(new, None, rows, materialize)), slots(new)
    assert placed["C0"] == placed["C1"] and placed["C2"] == placed["C9"]
    assert placed["C0"][-1] != placed["C2"][-1] and placed["C3"] == before["C3"]


@pytest.mark.parametrize("days", [1, 2])
def test_a_table_of_few_distinct_rows_is_split_by_key_and_said_to_be(
    spark: SparkSession, materialize: Materialize, days: int
) -> None:
    """2,000 customers of 60 profiles, who have another one on the next day: each side has its share."""
    rows = spark.range(2000).selectExpr("concat('C', id) AS id", f"explode(sequence(1, {days})) AS n")
    rows = rows.selectExpr(
        "id",
        "cast(n AS string) AS day",
        "cast(pmod(xxhash64(id, n), 12) AS double) AS visits",
        "concat('p', pmod(xxhash64(id, n, 'p'), 5)) AS plan",
        "cast(pmod(xxhash64(id, n, 'l'), 4) = 0 AS int) AS left",
    )
    new = drawn(rows)
    assert slots(together(new, None, rows, materialize)) == slots(new)
    counts = duplicates(rows, new)
    assert (counts.profiles, counts.common, counts.groups) == (60 * days, 2000 * days, 0)


def test_alike_by_chance_on_a_later_day_stops_no_training(
    spark: SparkSession, materialize: Materialize
) -> None:
    """Two or three at a time have equal features on the second day, and any label."""
    rows = members(spark, 900).where("day = '1'")
    stored = materialize(drawn(rows), "stored")
    later = rows.selectExpr(
        "id",
        "'2' AS day",
        "cast(pmod(xxhash64(id), 400) AS double) AS visits",
        "'p' AS plan",
        "cast(pmod(xxhash64(id, 'l'), 3) = 0 AS int) AS left",
    )
    counts = duplicates(later, stored)
    assert counts.across > 100 and counts.labelled == counts.across > counts.differ > 0.3 * counts.across
    (finding,) = duplicate_findings(counts, KEY, LeakLimits(), chance=4 / 9)
    assert not finding.stops and "alike by chance" in finding.explanation


def test_rows_without_duplicates_stay_as_they_were_drawn(
    spark: SparkSession, materialize: Materialize
) -> None:
    rows = members(spark, 120).withColumn("visits", F.col("id").substr(2, 4).cast("double"))
    new = drawn(rows)
    assert slots(together(new, None, rows, materialize)) == slots(new)
