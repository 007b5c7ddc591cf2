"""Count a checked table in one pass: every count, exact sum, minimum and maximum, and the sketches.

This module counts the rules and columns that it is given; `quality/count_table` gives it those of a
contract's table.

Partitions are counted with numpy on Arrow batches (`count_kernel`), and what they found is added up by
Spark: a few hundred rows each. Nothing is compiled per contract, so its cost grows with cells and not with
rules, and the job is the same for 10 rules and for 300. Doing the same with SQL expressions (bins and exact
sums, exploded and grouped) took more than twice the processor time; see bench/RESULTS.md.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from fractions import Fraction
from typing import Any, NamedTuple

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import Row

from engage_spark.contract import VALID
from engage_spark.numerics import sketches
from engage_spark.numerics.limbs import join, join_float
from engage_spark.quality.stats import column_stats, count_kernel
from engage_spark.quality.stats.binning import Binning, BinScale
from engage_spark.quality.stats.column_stats import ColumnStats, Sketch
from engage_spark.spark.by_value import send_by_value
from engage_spark.spark.schema import column_named

LABELS = {
    count_kernel.NULL: column_stats.NULL, count_kernel.NAN: column_stats.NAN,
    count_kernel.PLUS_INFINITY: column_stats.PLUS_INFINITY,
    count_kernel.MINUS_INFINITY: column_stats.MINUS_INFINITY, count_kernel.BELOW: column_stats.BELOW,
    count_kernel.ABOVE: column_stats.ABOVE, count_kernel.OTHER: column_stats.OTHER,
}  # fmt: skip
_KEY = ("code", "bin", "place", "power")
_SKETCHES = (count_kernel.DISTINCT, count_kernel.QUANTILES)

send_by_value(count_kernel)


class ColumnCounts(NamedTuple):
    """The counts of one pass.

    `broken`: rows per rule, among all rows; `columns` and `below` are of the valid rows.

    `below[column, cut]` is how many values lie below the cut, and how many at most at it; NaN lies above.
    """

    rows: int
    quarantined: int
    broken: Mapping[str, int]
    columns: Mapping[str, ColumnStats]
    below: Mapping[tuple[str, float | Fraction], tuple[int, int]]
    sketches: Mapping[str, Sketch]


def count_columns(
    checked: DataFrame,
    *,
    rules: Sequence[str],
    binnings: Sequence[Binning],
    cuts: Mapping[str, Sequence[float | Fraction]] | None = None,
    with_sketches: bool = False,
    quantiles_of: Collection[str] = (),
) -> ColumnCounts:
    """Count judged rows (`_dq_status`, `_dq_errors`, see `with_check_results`).

    `cuts` are values to count below, by column. `with_sketches` builds sketches of the valid rows
    (`numerics/sketches`) in the same pass: of quantiles, for numbers whose bins are wider than a value, and
    of distinct values, for columns without declared bounds or values (keys, text, dates). `quantiles_of`
    builds those of quantiles alone, of the named columns. Like every count, they are the same bits in any
    partitioning.

    Grain of what is collected: one row per column, bin and power of two, some thousand, whatever the number
    of customers. Nulls, NaN and infinities have bins of their own and are in no sum.
    Cost: one scan that crosses to Python in Arrow batches, one shuffle of a few hundred rows a partition, one
    action. Sketches add some kilobytes a column and partition to the shuffle, and are merged behind it, so
    that one of each reaches the driver.
    """
    ordered = {c: tuple(sorted(set(v))) for c, v in (cuts or {}).items()}
    named = frozenset(i for i, b in enumerate(binnings) if b.column in quantiles_of)
    distinct, quantiles = _sketched(binnings) if with_sketches else (frozenset[int](), named)
    has_sketches = bool(distinct or quantiles)
    plans = tuple(
        b.plan(i, ordered.get(b.column, ()), distinct=i in distinct, quantiles=i in quantiles)
        for i, b in enumerate(binnings)
    )
    hashed = tuple(i for i in sorted(distinct) if binnings[i].kind == "text")
    names = tuple(rules)

    def partition(batches: Iterator[Any]) -> Iterator[Any]:
        return count_kernel.count(batches, plans, names, hashed)

    counted = checked.select(*_needed(checked, binnings, hashed, bool(rules))).mapInArrow(
        partition, count_kernel.DDL
    )
    by_code: dict[int, list[Row]] = {}
    sketch_bytes: dict[tuple[int, int], bytes] = {}
    for row in _added(counted, has_sketches).collect():
        if row["bin"] in _SKETCHES:
            sketch_bytes[row["code"], row["bin"]] = bytes(row["sketch"])
        else:
            by_code.setdefault(row["code"], []).append(row)
    rows = {r["bin"]: r["rows"] for r in by_code.get(len(plans) + len(hashed), ())}
    valid, quarantined = rows.get(1, 0), rows.get(0, 0)
    return ColumnCounts(
        rows=valid + quarantined,
        quarantined=quarantined,
        broken={
            names[-1 - code]: sum(r["rows"] for r in records) for code, records in by_code.items() if code < 0
        },
        columns={b.column: build_column_stats(b, valid, by_code.get(i, [])) for i, b in enumerate(binnings)},
        below={key: n for p in plans for key, n in _below(p.column, p.cuts, by_code.get(p.code, [])).items()},
        sketches={
            b.column: Sketch(
                distinct=_bytes_of(sketch_bytes, p, count_kernel.DISTINCT) if i in distinct else None,
                quantiles=_bytes_of(sketch_bytes, p, count_kernel.QUANTILES) if i in quantiles else None,
            )
            for i, (b, p) in enumerate(zip(binnings, plans, strict=True))
            if with_sketches or i in named
        },
    )


def _added(counted: DataFrame, with_sketches: bool) -> DataFrame:
    """Add up the rows of all partitions that have one key."""
    sums = [F.sum(name).alias(name) for name in ("rows", "hi", "lo")]
    ends = [
        *(F.min(name).alias(name) for name in ("least_d", "least_n")),
        *(F.max(name).alias(name) for name in ("most_d", "most_n")),
    ]
    if not with_sketches:
        return counted.groupBy(*_KEY).agg(*sums, *ends)
    added = counted.groupBy(*_KEY).agg(*sums, *ends, F.collect_list("sketch").alias("sketches"))
    return added.mapInArrow(count_kernel.merge_sketches, count_kernel.MERGED_DDL)


def _bytes_of(collected: Mapping[tuple[int, int], bytes], plan: count_kernel.CountPlan, kind: int) -> bytes:
    """Return the sketch of a column; that of no values where there was no partition."""
    empty = {i: data for _, i, data in count_kernel.Partial(plan).sketches()}
    return collected.get((plan.code, kind)) or empty.get(kind) or sketches.DistinctCounter().to_bytes()


def _needed(
    checked: DataFrame, binnings: Sequence[Binning], hashed: Collection[int], rules: bool
) -> list[Column]:
    valid = (F.col("_dq_status") == VALID).alias(count_kernel.VALID)
    broken = (
        [F.col("_dq_errors.rule").alias(count_kernel.RULES)]
        if rules and "_dq_errors" in checked.columns
        else []
    )
    # What is only counted does not cross: a whole number says whether it is there.
    columns = [
        F.when(column_named(b.column).isNotNull(), 0) if b.kind == "other" else column_named(b.column)
        for b in binnings
    ]
    hashes = [
        F.when(columns[i].isNotNull(), F.xxhash64(columns[i])).alias(f"{count_kernel.HASH}{i}")
        for i in hashed
    ]
    return [*(c.alias(f"c{i}") for i, c in enumerate(columns)), *hashes, valid, *broken]


def build_column_stats(b: Binning, rows: int, records: Iterable[Any]) -> ColumnStats:
    """Build the state of a column from the added-up rows of its code (see `count_kernel.Partial.rows`);
    `rows` is how many there were in all.
    """
    labels, unit = b.labels, 10**b.digits
    records = list(records)
    bins: Counter[str] = Counter()
    total = Fraction(0)
    for r in records:
        if r["bin"] != count_kernel.NO_BIN:
            bins[labels[r["bin"]] if r["bin"] >= 0 else LABELS[r["bin"]]] += r["rows"]
        elif r["power"] >= count_kernel.WHOLE:
            total += Fraction(join(r["hi"], r["lo"])) * 2 ** (62 * (r["power"] - count_kernel.WHOLE)) / unit
        else:
            total += join_float(r["power"], r["hi"], r["lo"])
    least = [x for r in records for x in (r["least_d"], _number(r["least_n"], unit)) if x is not None]
    most = [x for r in records for x in (r["most_d"], _number(r["most_n"], unit)) if x is not None]
    return ColumnStats(
        column=b.column,
        binning=b.digest,
        labels=labels,
        scale=b.scale.value,
        rows=rows,
        total=total,
        minimum=min(least, default=None),
        maximum=max(most, default=None),
        bins=dict(bins),
    )


def _number(whole: Any, unit: int) -> int | Fraction | None:
    return None if whole is None else int(whole) if unit == 1 else Fraction(int(whole), unit)


def _below(
    column: str, cuts: Sequence[float | Fraction], records: Sequence[Row]
) -> dict[tuple[str, float | Fraction], tuple[int, int]]:
    filled = [r for r in records if r["bin"] not in (count_kernel.NULL, count_kernel.NO_BIN)]
    return {
        (column, cut): (
            sum(r["rows"] for r in filled if r["place"] <= 2 * i),
            sum(r["rows"] for r in filled if r["place"] <= 2 * i + 1),
        )
        for i, cut in enumerate(cuts)
    }


def _sketched(binnings: Sequence[Binning]) -> tuple[frozenset[int], frozenset[int]]:
    """Return the positions of the columns whose distinct values, and whose quantiles, are sketched."""
    counted = [(i, b) for i, b in enumerate(binnings) if b.kind != "other"]
    distinct = (i for i, b in counted if b.scale in (BinScale.ONE, BinScale.MAGNITUDE))
    quantiles = (i for i, b in counted if b.scale in (BinScale.SPREAD, BinScale.MAGNITUDE))
    return frozenset(distinct), frozenset(quantiles)
