"""Ranks, quantiles and a comparison of two columns: exact, the same on any partitioning, without an order over all rows in one place."""

from __future__ import annotations

import math
from fractions import Fraction

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql.window import Window

BUCKETS = 64
QUANTILES = (1, 5, 25, 50, 75, 95, 99)
"""Percent."""
_EXACT = "decimal(38,18)"


def with_rank(rows: DataFrame, *, of: str, below: str, ties: str) -> DataFrame:
    """Add two counts (bigint) for the value of column `of`: rows with a smaller one, and rows with the same one, itself included.

    Grain: unchanged. `of` is a number without nulls and NaN. Rows are cut at approximate quantiles into buckets, each ranked by a window
    of its own, and the buckets' counts (64 numbers on the driver) are added up; where the cuts lie changes nothing in the result. Cost:
    two narrow scans of `rows`, which should be stored rows therefore, and one shuffle.
    """
    cuts = rows.agg(F.percentile_approx(of, F.array(*(F.lit(i / BUCKETS) for i in range(1, BUCKETS))), 10_000)).collect()[0][0] or []
    # As text that becomes one constant array; dozens of literals would be dozens of expressions in every plan.
    bounds = F.split(F.lit(",".join(map(repr, map(float, cuts)))), ",").cast("array<double>") if cuts else F.array().cast("array<double>")
    bucketed = rows.withColumn("__bucket", F.size(F.filter(bounds, lambda cut: cut < F.col(of).cast("double"))))
    counts = {r["__bucket"]: int(r["count"]) for r in bucketed.groupBy("__bucket").count().collect()}
    offsets, before = [], 0
    for bucket in range(BUCKETS):
        offsets.append(before)
        before += counts.get(bucket, 0)
    start = F.split(F.lit(",".join(map(str, offsets))), ",").cast("array<bigint>")[F.col("__bucket")]
    within = F.rank().over(Window.partitionBy("__bucket").orderBy(of)) - 1
    same = F.count(F.lit(1)).over(Window.partitionBy("__bucket", of))
    return bucketed.withColumns({below: (start + within).cast("bigint"), ties: same}).drop("__bucket")


def percentile(below: Column, n: int) -> Column:
    """The share of the other rows that are smaller, in percent; 0 for a single row."""
    return F.lit(0.0) if n <= 1 else below.cast("double") * F.lit(100.0) / F.lit(float(n - 1))


def compare(rows: DataFrame) -> dict[str, float | int | None]:
    """What two columns, `given` and `measured`, have in common: see table graph_comparison of the bookkeeping contract.

    `rows` must be stored; rows with a null or NaN on either side are left out and counted. Sums are taken in decimals of 18 places and
    over whole ranks, so the result is the same bits on any partitioning. Cost: as `with_rank` for each column, and one scan.
    """
    sound = rows.where(F.col("given").isNotNull() & F.col("measured").isNotNull() & ~F.isnan("given") & ~F.isnan("measured"))
    total, n = rows.count(), sound.count()
    found: dict[str, float | int | None] = {"rows_compared": n, "rows_without_given": total - n}
    if not n:
        nothing = ("spearman", "mean_given", "mean_measured", "mean_difference", "mean_absolute_difference")
        return found | dict.fromkeys((*nothing, *(f"{side}_p{q:02}" for side in ("given", "measured") for q in QUANTILES)))
    ranked = sound.transform(with_rank, of="given", below="__gb", ties="__gt").transform(
        with_rank, of="measured", below="__mb", ties="__mt"
    )
    sums = ranked.agg(*_sums(), *_picks("given", "__gb", "__gt", n), *_picks("measured", "__mb", "__mt", n)).collect()[0]
    given, measured = Fraction(sums["given"]), Fraction(sums["measured"])
    found |= {
        "spearman": correlation(n, *(int(sums[s]) for s in ("x", "y", "xx", "yy", "xy"))),
        "mean_given": float(given / n),
        "mean_measured": float(measured / n),
        "mean_difference": float((measured - given) / n),
        "mean_absolute_difference": float(Fraction(sums["apart"]) / n),
    }
    return found | {name: sums[name] for name in sums.asDict() if "_p" in name}


def correlation(n: int, x: int, y: int, xx: int, yy: int, xy: int) -> float | None:
    """Pearson's correlation from whole sums; None when either side does not vary."""
    spread = (n * xx - x * x) * (n * yy - y * y)
    return (n * xy - x * y) / math.sqrt(spread) if spread else None


def _sums() -> list[Column]:
    """Sums over twice the mean rank (a whole number also for ties), and over the values."""
    x, y = (2 * F.col(f"__{s}b") + F.col(f"__{s}t") for s in "gm")
    whole = "decimal(38,0)"
    given, measured = (F.col(side).cast(_EXACT) for side in ("given", "measured"))
    products = {"x": x, "y": y, "xx": x.cast(whole) * x, "yy": y.cast(whole) * y, "xy": x.cast(whole) * y}
    return [
        *(F.sum(value.cast(whole)).alias(name) for name, value in products.items()),
        F.sum(given).alias("given"), F.sum(measured).alias("measured"), F.sum(F.abs(measured - given)).alias("apart"),
    ]  # fmt: skip


def _picks(side: str, below: str, ties: str, n: int) -> list[Column]:
    """The smallest value that at least q percent of the rows do not exceed."""
    picks = []
    for q in QUANTILES:
        place = -(-n * q // 100)
        inside = (F.col(below) < place) & (F.col(below) + F.col(ties) >= place)
        picks.append(F.max(F.when(inside, F.col(side))).alias(f"{side}_p{q:02}"))
    return picks
