"""Measure the strength of a connection: the share of recent weeks in which the pair interacted.

Spark SQL only, and integers until the last step. Week 0 is the 7 days that end with the day `as_of`, week 1
the 7 days before, up to week 11. A pair that connected in week w is measured over weeks 0 to w, where a
partial week counts as a full one; an interaction counts from the day on which the pair connected. A pair is
therefore described by its first day and by the days, of the last 84, on which it interacted: three integers,
whose minimum and bitwise or do not depend on order. A strength is active / weeks with weeks from 1 to 12, a
multiple of 1/27720 (the least common multiple of these denominators), and so are sums of strengths: the same
on any partitioning.
"""

from __future__ import annotations

from datetime import date

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

WEEKS = 12
_HALF = 7 * WEEKS // 2
UNIT = 27_720
"""lcm(1, …, 12): strengths are integer multiples of 1 / UNIT."""


def to_pairs(connections: DataFrame, interactions: DataFrame | None, *, as_of: date) -> DataFrame:
    """Build the undirected graph of a day with the strength of each pair.

    `connections`: src, dst (one type, any orderable) and connected_at, undirected edges as logged, in either
    order, repeats allowed: the earliest counts. `interactions`: src, dst, occurred_at, of any pairs; only
    those of connected pairs count. Without interactions nobody was active.

    Returns first, second (first < second), weeks (1 to 12), active_weeks (0 to weeks), strength_units
    (strength x UNIT).
    Grain: one row per connected pair.
    Units: both timestamps are UTC; events after the end of `as_of` are left out.
    Nulls: events with a null, and self-loops, are left out.
    Cost: one scan of each input, one shuffle of both by pair with partial aggregation, no sort and no join.
    """
    ago = F.datediff(F.lit(as_of), F.to_date("at"))
    rows = _oriented(connections, F.col("connected_at"), log=0)
    if interactions is not None:
        rows = rows.unionByName(_oriented(interactions, F.col("occurred_at"), log=1))
    rows = rows.select("first", "second", "log", ago.alias("ago")).where(
        (F.col("first") < F.col("second")) & (F.col("ago") >= 0)
    )
    rows = rows.where((F.col("log") == 0) | (F.col("ago") < 7 * WEEKS))
    pairs = rows.groupBy("first", "second").agg(
        F.max(F.when(F.col("log") == 0, F.col("ago"))).alias("__since"),
        *(F.coalesce(F.bit_or(_day_bit(half)), F.lit(0)).alias(f"__days_{half}") for half in (0, 1)),
    )
    since = F.col("__since")
    weeks = F.least(F.lit(WEEKS), F.floor(since / 7).cast("int") + 1)
    active = sum((_active(k) for k in range(WEEKS)), start=F.lit(0))
    return (
        pairs.where(since.isNotNull())
        .withColumns(
            {f"__days_{half}": F.col(f"__days_{half}").bitwiseAND(_since_mask(half)) for half in (0, 1)}
        )
        .select("first", "second", weeks.alias("weeks"), active.cast("int").alias("active_weeks"))
        .withColumn(
            "strength_units",
            (F.col("active_weeks") * F.call_function("div", F.lit(UNIT), F.col("weeks"))).cast("bigint"),
        )
    )


def to_strengths(pairs: DataFrame) -> DataFrame:
    """Compute id, degree (int), weighted_degree (sum of strengths) and mean_strength from `to_pairs`.

    Each result is one division of two exact integers, so it is correctly rounded and has the same bits on any
    partitioning.
    Grain: one row per vertex with a connection.
    Nulls: none.
    Cost: one shuffle of two rows per pair, partially aggregated.
    """
    ends = F.explode(F.array("first", "second")).alias("id")
    summed = (
        pairs.select(ends, "strength_units")
        .groupBy("id")
        .agg(F.count(F.lit(1)).cast("int").alias("degree"), F.sum("strength_units").alias("__units"))
    )
    units = F.col("__units").cast("double")
    return summed.select(
        "id",
        "degree",
        (units / F.lit(float(UNIT))).alias("weighted_degree"),
        (units / (F.col("degree").cast("double") * F.lit(float(UNIT)))).alias("mean_strength"),
    )


def strength(units: Column) -> Column:
    """Convert a strength in units into a share from 0 to 1."""
    return units.cast("double") / F.lit(float(UNIT))


def _oriented(rows: DataFrame, at: Column, *, log: int) -> DataFrame:
    """One row per event, its two ends in order. `least` and `greatest` skip a null, so first < second also
    means that neither is null.
    """
    return rows.where(F.col("src").isNotNull() & F.col("dst").isNotNull()).select(
        F.least("src", "dst").alias("first"),
        F.greatest("src", "dst").alias("second"),
        at.alias("at"),
        F.lit(log).alias("log"),
    )


def _day_bit(half: int) -> Column:
    """Turn the day of an interaction into a bit: 0 to 41 days ago in the first number, else in the second."""
    return F.expr(
        f"CASE WHEN log = 1 AND ago DIV {_HALF} = {half} THEN shiftleft(1L, ago - {half * _HALF}) END"
    )


def _since_mask(half: int) -> Column:
    """Mark the days of one half that are not before the pair connected, as bits."""
    days = f"least({_HALF}, greatest(0, __since + 1 - {half * _HALF}))"
    return F.expr(f"shiftleft(1L, {days}) - 1L")


def _active(week: int) -> Column:
    """1 when the pair interacted in this week after it connected."""
    half, first_bit = divmod(7 * week, _HALF)
    return F.when(F.shiftright(f"__days_{half}", first_bit).bitwiseAND(F.lit(0x7F)) != 0, 1).otherwise(0)
