"""How strong a connection is: in how many of the last weeks the two interacted. Spark SQL only, and whole numbers until the last step.

Week 0 is the 7 days that end with the day `as_of`, week 1 the 7 days before, up to week 11. A pair that connected in week w is looked at in
weeks 0 to w, so a begun week counts whole. A strength is active / weeks with weeks from 1 to 12: a whole number of 27720ths, the least
common multiple of these denominators. Sums over a customer's connections are therefore sums of whole numbers, the same on any partitioning.
"""

from __future__ import annotations

from datetime import date

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

WEEKS = 12
UNIT = 27_720
"""lcm(1, …, 12): strengths are whole multiples of 1 / UNIT."""


def to_pairs(connections: DataFrame, interactions: DataFrame | None, *, as_of: date) -> DataFrame:
    """The undirected graph of a day, each pair once, with its strength.

    `connections`: src, dst (one type, any orderable) and connected_at, undirected edges as logged, in either order, repeats allowed: the
    earliest counts. `interactions`: src, dst, occurred_at, of any pairs; only connected ones are kept. Both timestamps UTC; what lies after
    the end of `as_of`, has a null, or joins a vertex with itself is left out. An interaction counts when it is not before the
    pair's connection, down to the microsecond, and within the pair's weeks. Without interactions, active_weeks is 0 everywhere.

    Returns first, second (first < second), weeks (1 to 12), active_weeks (0 to weeks), strength_units (strength x UNIT).
    Cost: one scan of each input, one shuffle of both by pair with partial aggregation, no sort and no join.
    """
    rows = _oriented(connections, F.col("connected_at"), None)
    if interactions is not None:
        since = F.date_sub(F.lit(as_of), 7 * WEEKS - 1)
        week = F.floor(F.datediff(F.lit(as_of), F.to_date("occurred_at")) / 7).cast("int")
        recent = interactions.where(F.to_date("occurred_at").between(since, F.lit(as_of)))
        rows = rows.unionByName(_oriented(recent, F.col("occurred_at"), week))
    rows = rows.where(F.col("first") < F.col("second")).where(F.to_date("at") <= F.lit(as_of))
    # The last moment of each week is enough to tell whether the week had an interaction after the connection, whenever that was.
    moments = [F.max(F.when(F.col("week") == k, F.col("at"))).alias(f"__last_{k}") for k in range(WEEKS)]
    pairs = rows.groupBy("first", "second").agg(F.min(F.when(F.col("week").isNull(), F.col("at"))).alias("__connected_at"), *moments)
    weeks = F.least(F.lit(WEEKS), F.floor(F.datediff(F.lit(as_of), F.to_date("__connected_at")) / 7).cast("int") + 1)
    active = sum((_active(k, weeks) for k in range(WEEKS)), start=F.lit(0))
    return (
        pairs.where(F.col("__connected_at").isNotNull())
        .select("first", "second", weeks.alias("weeks"), active.cast("int").alias("active_weeks"))
        .withColumn("strength_units", (F.col("active_weeks") * F.call_function("div", F.lit(UNIT), F.col("weeks"))).cast("bigint"))
    )


def to_strengths(pairs: DataFrame) -> DataFrame:
    """Per vertex with a connection: id, degree (int), weighted_degree (sum of strengths), mean_strength (their mean). Never null.

    `pairs` as `to_pairs` makes them. Each result is one division of two exact whole numbers, so it is correctly rounded and the same
    bits on any partitioning. Cost: one shuffle of two rows per pair, partially aggregated.
    """
    ends = F.explode(F.array("first", "second")).alias("id")
    summed = pairs.select(ends, "strength_units").groupBy("id").agg(
        F.count(F.lit(1)).cast("int").alias("degree"), F.sum("strength_units").alias("__units")
    )  # fmt: skip
    units = F.col("__units").cast("double")
    return summed.select(
        "id",
        "degree",
        (units / F.lit(float(UNIT))).alias("weighted_degree"),
        (units / (F.col("degree").cast("double") * F.lit(float(UNIT)))).alias("mean_strength"),
    )


def strength(units: Column) -> Column:
    """A strength in units as a share from 0 to 1."""
    return units.cast("double") / F.lit(float(UNIT))


def _oriented(rows: DataFrame, at: Column, week: Column | None) -> DataFrame:
    """One row per event, its two ends in order. `least` and `greatest` pass over a null, so first < second also says: neither is null."""
    return rows.select(
        F.least("src", "dst").alias("first"),
        F.greatest("src", "dst").alias("second"),
        at.alias("at"),
        (F.lit(None).cast("int") if week is None else week).alias("week"),
    )


def _active(week: int, weeks: Column) -> Column:
    """1 when the pair interacted in this week, in its weeks, and not before it connected."""
    last = F.col(f"__last_{week}")
    return F.when((F.lit(week) < weeks) & (last >= F.col("__connected_at")), 1).otherwise(0)
