"""Connection strength: its conventions on literal rows, and a whole real graph against plain Python with
fractions.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd
import pytest
from chispa import assert_df_equality
from pyspark.sql import functions as F

from engage_spark.graph.tie_strength import LEFT_OUT, UNIT, strength, to_pairs, to_strengths

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

DAY = date(2025, 10, 21)
CONNECTION = "src string, dst string, connected_at timestamp"
INTERACTION = "src string, dst string, occurred_at timestamp"
PAIRS = "first string, second string, weeks int, active_weeks int, strength_units bigint"
Event = tuple[str | None, str | None, datetime | None]


def at(days_ago: int, clock: str = "12:00:00") -> datetime:
    return datetime.fromisoformat(f"{DAY - timedelta(days=days_ago)}T{clock}+00:00")


def ranked(spark: SparkSession, ids: Iterable[str | int]) -> DataFrame:
    """Ids with ranks that descend, so that the order of ranks is not the order of ids."""
    ids = sorted(ids)
    kind = "string" if isinstance(ids[0], str) else "bigint"
    return spark.createDataFrame(list(zip(ids, range(len(ids))[::-1], strict=True)), f"id {kind}, rank int")


def named(pairs: DataFrame, ids: DataFrame) -> DataFrame:
    """The pairs with their ids in order instead of their ranks."""
    for rank, end in (("u", "a"), ("v", "b")):
        pairs = pairs.join(ids.select(F.col("rank").alias(rank), F.col("id").alias(end)), rank, "inner")
    first, second = F.least("a", "b").alias("first"), F.greatest("a", "b").alias("second")
    return pairs.select(first, second, "weeks", "active_weeks", "strength_units")


def assert_pairs(
    spark: SparkSession,
    connections: list[Event],
    interactions: list[Event],
    expected: list[tuple[str, str, int, int]],
) -> None:
    """Compare the pairs of the events with rows of first, second, weeks, active weeks."""
    ids = ranked(spark, {end for s, d, _ in (*connections, *interactions) for end in (s, d) if end})
    pairs = to_pairs(
        spark.createDataFrame(connections, CONNECTION),
        spark.createDataFrame(interactions, INTERACTION),
        ids=ids,
        as_of=DAY,
    )
    assert pairs.where(F.col("u") != LEFT_OUT).where("u >= v").count() == 0
    pairs = named(pairs, ids)
    rows = [(*row, row[3] * UNIT // row[2]) for row in expected]
    assert_df_equality(pairs, spark.createDataFrame(rows, PAIRS), ignore_nullable=True, ignore_row_order=True)


def test_weeks_are_counted_back_from_the_end_of_the_day(spark: SparkSession) -> None:
    old: list[Event] = [("a", x, at(400)) for x in "bcdefg"]
    moments = {
        "b": at(0, "23:59:59.999999"),
        "c": at(6, "00:00:00"),
        "d": at(7, "23:59:59"),
        "e": at(83, "00:00:00"),
        "f": at(84, "23:59:59"),
    }
    recent: list[Event] = [("a", x, t) for x, t in moments.items()]
    assert_pairs(
        spark,
        old,
        [*recent, ("a", "g", at(6)), ("a", "g", at(7))],
        [
            ("a", "b", 12, 1),
            ("a", "c", 12, 1),
            ("a", "d", 12, 1),
            ("a", "e", 12, 1),
            ("a", "f", 12, 0),
            ("a", "g", 12, 2),
        ],
    )


def test_a_pair_is_measured_since_it_connected_and_a_partial_week_counts(spark: SparkSession) -> None:
    weeks = {0: 1, 6: 1, 7: 2, 76: 11, 77: 12, 83: 12, 84: 12, 3000: 12}
    assert_pairs(
        spark,
        [("a", f"b{d}", at(d)) for d in weeks],
        [("a", f"b{d}", at(0, "23:00:00")) for d in weeks],
        [("a", f"b{d}", w, 1) for d, w in weeks.items()],
    )


def test_interactions_before_the_day_of_the_connection_do_not_count(spark: SparkSession) -> None:
    connections: list[Event] = [
        ("a", "b", at(3, "10:00:00")),
        ("a", "c", at(3, "10:00:00")),
        ("a", "d", at(10)),
        ("a", "e", at(45)),
        ("a", "f", at(83)),
    ]
    interactions: list[Event] = [
        ("a", "b", at(4, "23:59:59.999999")),
        ("b", "a", at(20)),
        ("a", "c", at(3, "00:00:00")),
        ("d", "a", at(11)),
        ("d", "a", at(2)),
        ("e", "a", at(46)),
        ("e", "a", at(45)),
        ("e", "a", at(41)),
        ("f", "a", at(83)),
        ("f", "a", at(42)),
    ]
    expected = [
        ("a", "b", 1, 0),
        ("a", "c", 1, 1),
        ("a", "d", 2, 1),
        ("a", "e", 7, 2),
        ("a", "f", 12, 2),
    ]
    assert_pairs(spark, connections, interactions, expected)


def test_events_after_the_day_do_not_count(spark: SparkSession) -> None:
    connections: list[Event] = [
        ("a", "b", at(30)),
        ("a", "c", at(-1, "00:00:00")),
        ("a", "d", at(0, "23:59:59.999999")),
    ]
    interactions: list[Event] = [("a", "b", at(-1, "00:00:00")), ("a", "c", at(0))]
    assert_pairs(spark, connections, interactions, [("a", "b", 5, 0), ("a", "d", 1, 0)])


def test_a_pair_is_unordered_and_connects_when_it_is_first_logged(spark: SparkSession) -> None:
    connections: list[Event] = [("b", "a", at(20)), ("a", "b", at(50)), ("a", "b", at(1))]
    interactions: list[Event] = [("a", "b", at(40)), ("b", "a", at(41)), ("b", "a", at(0))]
    assert_pairs(spark, connections, interactions, [("a", "b", 8, 2)])


def test_self_loops_nulls_and_strangers_are_left_out(spark: SparkSession) -> None:
    connections: list[Event] = [
        ("a", "a", at(9)),
        (None, "b", at(9)),
        ("b", None, at(9)),
        (None, None, at(9)),
        ("a", "b", None),
        ("a", "c", at(9)),
    ]
    interactions: list[Event] = [
        ("a", "a", at(1)),
        ("c", "c", at(1)),
        ("a", "z", at(1)),
        (None, "c", at(1)),
        ("a", "c", None),
    ]
    assert_pairs(spark, connections, interactions, [("a", "c", 2, 0)])


def test_without_interactions_every_strength_is_zero(spark: SparkSession) -> None:
    ids = ranked(spark, "ab")
    pairs = to_pairs(spark.createDataFrame([("a", "b", at(9))], CONNECTION), None, ids=ids, as_of=DAY)
    assert_df_equality(
        named(pairs, ids), spark.createDataFrame([("a", "b", 2, 0, 0)], PAIRS), ignore_nullable=True
    )


def test_the_mean_is_over_connections_and_the_sum_is_the_weighted_degree(spark: SparkSession) -> None:
    ids = ranked(spark, "abcd")
    connections = [("a", "b", at(14)), ("a", "c", at(400)), ("a", "d", at(400))]  # of 3, 12 and 12 weeks
    interactions = [("a", "b", at(14)), ("a", "c", at(0)), ("a", "c", at(7)), ("a", "c", at(14))]
    pairs = to_pairs(
        spark.createDataFrame(connections, CONNECTION),
        spark.createDataFrame(interactions, INTERACTION),
        ids=ids,
        as_of=DAY,
    )
    strengths = Fraction(1, 3) + Fraction(1, 4)
    expected = spark.createDataFrame(
        [
            ("a", 3, float(strengths), float(strengths / 3)),
            ("b", 1, 1 / 3, 1 / 3),
            ("c", 1, 0.25, 0.25),
            ("d", 1, 0.0, 0.0),
        ],
        "id string, degree int, weighted_degree double, mean_strength double",
    )
    strengths_by_id = ids.join(to_strengths(pairs), "rank", "inner").drop("rank")
    assert_df_equality(strengths_by_id, expected, ignore_nullable=True, ignore_row_order=True)


def test_pairs_with_an_end_that_has_no_rank_are_counted_once_each(spark: SparkSession) -> None:
    """In either order, in any number of partitions; interactions of unconnected pairs do not count."""
    ids = ranked(spark, "ab")
    logged = [("a", "b"), ("a", "x"), ("x", "a"), ("y", "z"), ("y", "y"), ("z", "y"), ("b", "x"), (None, "x")]
    connections = spark.createDataFrame([(s, d, at(9)) for s, d in logged], CONNECTION)
    interactions = spark.createDataFrame([("b", "z", at(1)), ("a", "x", at(1))], INTERACTION)
    for partitions in (1, 3):
        rows = to_pairs(connections.repartition(partitions), interactions, ids=ids, as_of=DAY).collect()
        assert sum(r["strength_units"] for r in rows if r["u"] == LEFT_OUT) == 3
        assert [(r["u"], r["v"], r["weeks"]) for r in rows if r["u"] != LEFT_OUT] == [(0, 1, 2)]


def in_python(
    messages: pd.DataFrame, as_of: date
) -> tuple[dict[tuple[int, int], Fraction], dict[int, list[Fraction]]]:
    """The same definition message by message: a pair connects with its first message; strengths by pair, and
    by vertex.
    """
    end = datetime.combine(as_of + timedelta(days=1), datetime.min.time(), UTC)
    connected: dict[tuple[int, int], datetime] = {}
    active: dict[tuple[int, int], set[int]] = defaultdict(set)
    for r in messages.sort_values("at", kind="stable").itertuples():
        pair = (min(r.src, r.dst), max(r.src, r.dst))
        if r.src == r.dst or r.at >= end:
            continue
        connected.setdefault(pair, r.at)
        active[pair].add((end - r.at - timedelta(microseconds=1)) // timedelta(weeks=1))
    by_pair, by_vertex = {}, defaultdict(list)
    for pair, first in connected.items():
        weeks = min(12, (end - first - timedelta(microseconds=1)) // timedelta(weeks=1) + 1)
        by_pair[pair] = Fraction(len({w for w in active[pair] if w < weeks}), weeks)
        for v in pair:
            by_vertex[v].append(by_pair[pair])
    return by_pair, by_vertex


@pytest.fixture(scope="module")
def messages(shared_data: Path) -> pd.DataFrame:
    rows = pd.read_parquet(shared_data / "graphs" / "college_messages.parquet")
    return rows.assign(at=rows.ts.astype("datetime64[us, UTC]")).drop(columns="ts")


@pytest.fixture(scope="module")
def logged(
    spark: SparkSession, messages: pd.DataFrame, tmp_path_factory: pytest.TempPathFactory
) -> DataFrame:
    """The messages in Spark: published in nanoseconds, which Spark does not read."""
    path = tmp_path_factory.mktemp("messages") / "messages.parquet"
    messages.to_parquet(path)
    return spark.read.parquet(str(path))


@pytest.mark.parametrize("as_of", [date(2004, 5, 20), date(2004, 7, 1), date(2004, 10, 26)], ids=str)
def test_strengths_equal_plain_python_on_real_messages(
    spark: SparkSession, logged: DataFrame, messages: pd.DataFrame, as_of: date
) -> None:
    ids = ranked(spark, {int(v) for v in (*messages.src, *messages.dst)})
    pairs = to_pairs(
        logged.withColumnRenamed("at", "connected_at"),
        logged.withColumnRenamed("at", "occurred_at"),
        ids=ids,
        as_of=as_of,
    )
    expected, by_vertex = in_python(messages, as_of)
    actual = {
        (r[0], r[1]): r[2]
        for r in named(pairs, ids).select("first", "second", strength(F.col("strength_units"))).collect()
    }
    assert actual == {pair: float(s) for pair, s in expected.items()}
    assert len(set(actual.values())) > 10 and len(actual) > 3000, "a day on which strengths differ"
    rows = ids.join(to_strengths(pairs), "rank", "inner").drop("rank").collect()
    vertices = {r["id"]: tuple(r)[1:] for r in rows}
    assert vertices == {v: (len(s), float(sum(s)), float(sum(s) / len(s))) for v, s in by_vertex.items()}


def test_the_same_bits_on_any_partitioning(
    spark: SparkSession, logged: DataFrame, messages: pd.DataFrame
) -> None:
    ids = ranked(spark, {int(v) for v in (*messages.src, *messages.dst)})

    def measured(rows: DataFrame) -> list[tuple[object, ...]]:
        pairs = to_pairs(
            rows.withColumnRenamed("at", "connected_at"),
            rows.withColumnRenamed("at", "occurred_at"),
            ids=ids,
            as_of=date(2004, 7, 1),
        )
        return sorted(tuple(r) for r in to_strengths(pairs).collect())

    assert (
        measured(logged.repartition(7, "dst"))
        == measured(logged.coalesce(1))
        == measured(logged.repartition(3))
    )
