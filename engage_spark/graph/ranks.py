"""Compute ranks, quantiles and a comparison of two columns exactly, the same on any partitioning.

No task ever sorts all rows.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from itertools import accumulate
from typing import Any

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql.window import Window

BUCKETS = 64
QUANTILES = (1, 5, 25, 50, 75, 95, 99)
"""Percent."""
_EXACT = "decimal(38,18)"


def with_ranks(rows: DataFrame, *, of: Sequence[str]) -> DataFrame:
    """Add for each column c of `of` two counts (bigint): `c_below`, rows with a smaller value; `c_ties`, rows
    with the same value, this one included.

    The columns are numbers without NaN. Rows are cut at approximate quantiles into buckets, a window ranks
    each bucket, and the buckets' counts (64 numbers per column on the driver) are added up; the position of
    the cuts changes nothing in the result.
    Grain: unchanged.
    Nulls: not counted; their rows have null in both.
    Cost: two narrow scans of `rows`, which should be stored rows therefore, and one shuffle per column.
    """
    shares = F.array(*(F.lit(i / BUCKETS) for i in range(1, BUCKETS)))
    cuts = rows.agg(*(F.percentile_approx(c, shares, 10_000).alias(c) for c in of)).collect()[0]
    buckets = {c: _bucket(F.col(c), cuts[c] or []) for c in of}
    bucketed = rows.withColumns({f"__{c}": bucket for c, bucket in buckets.items()})
    column_buckets = F.explode(
        F.array(*(F.struct(F.lit(c).alias("of"), F.col(f"__{c}").alias("bucket")) for c in of))
    )
    rows_of_counts = bucketed.select(column_buckets.alias("x")).groupBy("x.of", "x.bucket").count().collect()
    counts = {(row["of"], row["bucket"]): int(row["count"]) for row in rows_of_counts}
    ranks = {}
    for c in of:
        before = [0, *accumulate(counts.get((c, bucket), 0) for bucket in range(BUCKETS - 1))]
        within = F.rank().over(Window.partitionBy(f"__{c}").orderBy(c)) - 1
        not_null = F.col(c).isNotNull()
        ranks[f"{c}_below"] = F.when(
            not_null, (_constant(before, "bigint")[F.col(f"__{c}")] + within).cast("bigint")
        )
        ranks[f"{c}_ties"] = F.when(not_null, F.count(F.lit(1)).over(Window.partitionBy(f"__{c}", c)))
    return bucketed.withColumns(ranks).drop(*(f"__{c}" for c in of))


def _bucket(value: Column, cuts: Sequence[float]) -> Column:
    """How many cuts are smaller; null for null."""
    bounds = _constant(list(map(float, cuts)), "double") if cuts else F.array().cast("array<double>")
    return F.when(value.isNotNull(), F.size(F.filter(bounds, lambda cut: cut < value.cast("double"))))


def _constant(values: Sequence[float | int], kind: str) -> Column:
    """Write an array as text that the optimiser turns into one constant; dozens of literals would be as many
    expressions in every plan.
    """
    return F.split(F.lit(",".join(map(repr, values))), ",").cast(f"array<{kind}>")


def percentile(below: Column, n: int) -> Column:
    """Return the share of the other rows that are smaller, in percent; 0 for a single row."""
    return F.lit(0.0) if n <= 1 else below.cast("double") * F.lit(100.0) / F.lit(float(n - 1))


def compare_given_with_measured(
    rows: DataFrame, *, fields: Sequence[str]
) -> dict[str, dict[str, float | int | None]]:
    """Compare `given_f` with `measured_f` for each field f: the columns of graph_comparison in the
    bookkeeping contract.

    `rows` must be stored. Sums are taken in decimals of 18 places and over integer ranks, so the result has
    the same bits on any partitioning.
    Nulls: a row with a null or NaN in either column is left out for that field, and counted.
    Cost: as `with_ranks` of all columns, and one scan.
    """
    pairs = {f: (f"given_{f}", f"measured_{f}") for f in fields}
    comparable = {
        f: F.col(g).isNotNull() & F.col(m).isNotNull() & ~F.isnan(g) & ~F.isnan(m)
        for f, (g, m) in pairs.items()
    }
    columns = [F.when(comparable[f], F.col(c)).alias(c) for f, pair in pairs.items() for c in pair]
    ranked = rows.select(*columns).transform(with_ranks, of=[c for pair in pairs.values() for c in pair])
    counts = rows.agg(
        F.count(F.lit(1)).alias("all"), *(F.count_if(comparable[f]).alias(f) for f in fields)
    ).collect()[0]
    sums = (
        ranked.agg(*(c for f, (g, m) in pairs.items() for c in _sums(f, g, m, counts[f])))
        .collect()[0]
        .asDict()
    )
    return {f: _summary(f, counts["all"], counts[f], sums) for f in fields}


def _summary(f: str, total: int, n: int, sums: dict[str, Any]) -> dict[str, float | int | None]:
    summary: dict[str, float | int | None] = {"rows_compared": n, "rows_without_given": total - n}
    summary |= {
        name.removeprefix(f"{f}/"): value
        for name, value in sums.items()
        if name.startswith(f"{f}/") and "_p" in name
    }
    if not n:
        return summary | dict.fromkeys(
            ("spearman", "mean_given", "mean_measured", "mean_difference", "mean_absolute_difference")
        )
    given, measured, apart = (Fraction(sums[f"{f}/{name}"]) for name in ("given", "measured", "apart"))
    return summary | {
        "spearman": correlation(n, *(int(sums[f"{f}/{s}"]) for s in ("x", "y", "xx", "yy", "xy"))),
        "mean_given": float(given / n),
        "mean_measured": float(measured / n),
        "mean_difference": float((measured - given) / n),
        "mean_absolute_difference": float(apart / n),
    }


def correlation(n: int, x: int, y: int, xx: int, yy: int, xy: int) -> float | None:
    """Compute Pearson's correlation from integer sums; None when either variable does not vary."""
    spread = (n * xx - x * x) * (n * yy - y * y)
    return (n * xy - x * y) / math.sqrt(spread) if spread else None


def _sums(f: str, given: str, measured: str, n: int) -> list[Column]:
    """Sum over twice the mean rank (an integer also for ties), over the values, and the quantiles."""
    x, y = ((2 * F.col(f"{c}_below") + F.col(f"{c}_ties")).cast("decimal(38,0)") for c in (given, measured))
    products = {"x": x, "y": y, "xx": x * x, "yy": y * y, "xy": x * y}
    g, m = (F.col(c).cast(_EXACT) for c in (given, measured))
    values = {"given": g, "measured": m, "apart": F.abs(m - g)}
    return [
        *(F.sum(value.cast("decimal(38,0)")).alias(f"{f}/{name}") for name, value in products.items()),
        *(F.sum(value).alias(f"{f}/{name}") for name, value in values.items()),
        *(
            _pick(c, n, q).alias(f"{f}/{kind}_p{q:02}")
            for kind, c in (("given", given), ("measured", measured))
            for q in QUANTILES
        ),
    ]


def _pick(column: str, n: int, q: int) -> Column:
    """Pick the smallest value that at least q percent of the rows do not exceed."""
    rank = -(-n * q // 100)
    below, ties = F.col(f"{column}_below"), F.col(f"{column}_ties")
    return F.max(F.when((below < rank) & (below + ties >= rank), F.col(column)))
