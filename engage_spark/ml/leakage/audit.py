"""Audit rows for leaks before anything is fitted: what makes a model look better than it will be."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from engage_spark.ml.feature_spec import FeatureSpec, Task, all_features, target_names
from engage_spark.ml.leakage import audit_kernel as kernel
from engage_spark.ml.leakage import findings
from engage_spark.ml.leakage.duplicates import content_hashes, content_of, label_hash
from engage_spark.ml.leakage.findings import (
    MOST_TWINS,
    AuditOutcome,
    DuplicateCounts,
    LeakFinding,
    LeakLimits,
    audit_outcome,
    leak_error,
)
from engage_spark.ml.leakage.target_histogram import Histogram
from engage_spark.ml.selection import gram_kernel
from engage_spark.ml.selection.fold_gram import FoldGrams
from engage_spark.ml.selection.gram import category_column
from engage_spark.ml.selection.profile import (
    LEVELS,
    FeatureProfile,
    as_double,
    scale_of,
)
from engage_spark.numerics.batch_counts import to_ddl
from engage_spark.numerics.limbs import join
from engage_spark.spark.by_value import send_by_value
from engage_spark.spark.column_profile import ColumnProfile
from engage_spark.spark.compat import to_arrow
from engage_spark.spark.schema import column_named

__all__ = [
    "AuditOutcome",
    "DuplicateCounts",
    "LeakFinding",
    "LeakLimits",
    "TargetHistograms",
    "audit_leakage",
    "audit_outcome",
    "leak_error",
    "to_duplicate_counts",
    "to_target_histograms",
]

BINS = 256
"""The most bins of a number with more than 512 values."""
PAIR_VALUES = 32
"""The most values of features that are compared in pairs."""

_ALIKE, _OF_KEY = 0, 1
"""What a group of records is of: rows of a day with equal features, and the days of a key."""

send_by_value(kernel)


@dataclass(frozen=True, kw_only=True)
class TargetHistograms:
    """A histogram by target and feature, pairs of features that are one-to-one with their number of values,
    and the number of snapshots.
    """

    histograms: Mapping[str, Mapping[str, Histogram]]
    twins: tuple[tuple[str, str, int], ...]
    snapshots: int


def audit_leakage(
    rows: DataFrame,
    *,
    specs: Sequence[FeatureSpec],
    grams: Mapping[str, FoldGrams],
    profile: FeatureProfile,
    key: Sequence[str],
    day: str,
    split: str = "side",
    fold: str = "fold",
    limits: LeakLimits | None = None,
    duplicates: DuplicateCounts | None = None,
) -> tuple[LeakFinding, ...]:
    """Look for leaks in rows of all splits, one per key and day. `profile` is of these rows (`to_profile`),
    `grams` of those in folds, `duplicates` what `to_duplicate_counts` gave of them; None: it is called here.

    Of each spec's features: one that alone predicts the target too well (AUC, R² in a line or by bins),
    settles its label, is missing along with it, or, of a binary target's flags and codes, may be set with the
    label; several that a linear formula reconstructs the target from (formulas of products are not looked
    for). Of features by themselves: empty, constant, identifiers, too many levels, one-to-one pairs. Of rows:
    equal features under several keys, keys that occur twice or in two splits. Whether days overlap in time is
    known without the rows: `findings.time_findings`. Nulls and NaN are a value of their own. Findings come in
    the order of specs, features, rows.
    Cost: two scans, one of them crossing to Python in Arrow batches with a shuffle of at most 512 rows a
    feature and partition, the other (without `duplicates`) a shuffle of two records of hashes a row; two
    actions.
    """
    limits = limits or LeakLimits()
    target_histograms = to_target_histograms(rows, specs=specs, profile=profile, day=day, split=split)
    leaks = [
        f
        for p in specs
        for f in findings.plan_findings(
            p, grams[p.target.name], target_histograms.histograms[p.target.name], limits
        )
    ]
    leaks += findings.column_findings(
        specs, profile, days=max(1, target_histograms.snapshots), most_levels=LEVELS, limits=limits
    )
    leaks += findings.twin_findings(target_histograms.twins)
    if duplicates is None:
        duplicates = to_duplicate_counts(rows, specs=specs, key=key, day=day, split=split, fold=fold)
    features = {f.name for f in all_features(specs)}  # a target among them is equal where they are
    targets = [t for t in target_names(specs) if t not in features]
    chance = max((_disagreement(profile[t]) for t in targets), default=0.0)
    leaks += findings.duplicate_findings(duplicates, key, limits, chance=chance)
    return tuple(leaks)


def _disagreement(profile: ColumnProfile) -> float:
    """Return how often two rows drawn by chance differ in a target, at most; 1 where it has many values."""
    n = sum(profile.values.values())
    return 1 - sum((m / n) ** 2 for m in profile.values.values()) if profile.complete and n else 1.0


def to_target_histograms(
    rows: DataFrame, *, specs: Sequence[FeatureSpec], profile: FeatureProfile, day: str, split: str
) -> TargetHistograms:
    """Count rows and sum targets by each feature's values (by at most 256 ranges of a number with more than
    512), in one pass.

    The bins of a number with many values lie between values of the profile's sample, so that each holds about
    as many distinct values. The same result on any partitioning.
    Cost: one scan that crosses to Python in Arrow batches, one shuffle, one action.
    """
    features, targets = all_features(specs), target_names(specs)
    binary = {p.target.name for p in specs if p.target.task is Task.BINARY}
    bins = tuple(_bins(profile[f.name]) for f in features)
    names = [f.name for f in features]
    layout = kernel.HistogramLayout(
        features=bins,
        targets=tuple(_target(profile[t], t in binary) for t in targets),
        pairs=_pairs(names, profile),
    )

    def partition(batches: Iterator[Any]) -> Iterator[Any]:
        return kernel.count_targets(batches, layout)

    split_day = F.concat_ws(
        "|",
        F.coalesce(column_named(split), F.lit("")),
        F.coalesce(column_named(day).cast("string"), F.lit("")),
    )
    columns = [column_named(f.name).cast("string") if f.categorical else as_double(f.name) for f in features]
    read = rows.select(
        *(c.alias(f"c{i}") for i, c in enumerate([*columns, *(as_double(t) for t in targets)])),
        split_day.alias("split_day"),
    )
    sums = [f"{x}{t}" for t in range(len(targets)) for x in "ns"]
    counted = (
        read.mapInArrow(partition, to_ddl(kernel.schema(len(targets))))
        .groupBy("code", "bin", "split_day")
        .agg(*(F.sum(s).alias(s) for s in sums))
    )
    table = to_arrow(counted).to_pydict()
    by_code: dict[int, list[int]] = {}
    for i, code in enumerate(table["code"]):
        by_code.setdefault(code, []).append(i)
    split_days = [table["split_day"][i].rsplit("|", 1) for i in by_code.get(kernel.SPLIT_DAYS, ())]
    return TargetHistograms(
        histograms={
            target: {
                n: _histogram(
                    table, by_code.get(i, []), bins[i], layout.targets[t], t, by_code.get(kernel.SQUARES, [])
                )
                for i, n in enumerate(names)
            }
            for t, target in enumerate(targets)
        },
        twins=tuple(
            (names[a], names[b], profile[names[a]].distinct)
            for i, (a, b) in enumerate(layout.pairs)
            if len(by_code.get(kernel.PAIRS - i, ())) == _values(profile[names[a]])
        ),
        snapshots=len({d for _, d in split_days}),
    )


def _histogram(
    table: Mapping[str, Any],
    at: Sequence[int],
    bins: kernel.NumberBins | gram_kernel.CategoryColumn,
    target: gram_kernel.NumberColumn,
    t: int,
    squares: Sequence[int],
) -> Histogram:
    size = kernel.n_bins(bins)
    rows, sums = np.zeros(size, np.int64), np.zeros(size, np.int64)
    for i in at:
        rows[table["bin"][i]], sums[table["bin"][i]] = table[f"n{t}"][i], table[f"s{t}"][i]
    n, total = int(rows.sum()), int(sums.sum())
    square = sum(join(table[f"n{t}"][i], table[f"s{t}"][i]) for i in squares)
    unit = 2.0**target.exponent
    if isinstance(bins, kernel.NumberBins):
        names = [f"{v:g}" for v in bins.values]
        labels = names if bins.single else [f"−∞ … {names[0]}", *names]
    else:
        labels = list(bins.levels) or [f"#{b}" for b in range(bins.buckets)]
    return Histogram(
        labels=(*labels, "missing"),
        ordered=isinstance(bins, kernel.NumberBins),
        single=bins.single if isinstance(bins, kernel.NumberBins) else not bins.buckets,
        rows=rows,
        sums=rows * target.middle + sums * unit,
        of_target=(n * square - total * total) / n * unit**2 if n else 0.0,
    )


def _bins(profile: ColumnProfile) -> kernel.NumberBins | gram_kernel.CategoryColumn:
    if profile.is_text:
        return category_column(profile)
    values = tuple(sorted(float(v) for v in profile.values))
    if profile.complete:
        return kernel.NumberBins(values, True)
    step = -(-len(values) // (BINS - 1))
    return kernel.NumberBins(values[::step], False)


def _target(profile: ColumnProfile, binary: bool) -> gram_kernel.NumberColumn:
    scale = scale_of(profile)
    return (
        gram_kernel.NumberColumn(0.0, 0, True)
        if binary
        else gram_kernel.NumberColumn(scale.middle, scale.exponent, True)
    )


def _values(profile: ColumnProfile) -> int:
    return len(profile.values) + (profile.missing > 0)


def _pairs(names: Sequence[str], profile: FeatureProfile) -> tuple[tuple[int, int], ...]:
    """List pairs that could be one-to-one: of few values, and of equally many."""
    few = [i for i, n in enumerate(names) if profile[n].complete and 1 < _values(profile[n]) <= PAIR_VALUES]
    return tuple(
        (a, b) for a, b in combinations(few, 2) if _values(profile[names[a]]) == _values(profile[names[b]])
    )


def to_duplicate_counts(
    rows: DataFrame, *, specs: Sequence[FeatureSpec], key: Sequence[str], day: str, split: str, fold: str
) -> DuplicateCounts:
    """Count rows of equal features under several keys of a day, and keys that occur twice on a day, or in two
    splits.

    Features: see `duplicates.content_of`, compared by their hashes.
    Cost: one scan, one shuffle of two records of seven numbers a row, one action; a row comes back for each
    size of a group.
    """
    content, days = content_of(specs), column_named(day)
    keys = [column_named(k) for k in key]
    splits, folds = (F.coalesce(column_named(c).cast("string"), F.lit("")) for c in (split, fold))

    def record(kind: int, group: list[Any], member: list[Any], place: Any, label: Any) -> Any:
        first, second = content_hashes(group)
        return F.struct(
            F.lit(kind).alias("kind"),
            first.alias("a"),
            second.alias("b"),
            F.xxhash64(*member).alias("member"),
            place.alias("place"),
            label.alias("label"),
        )

    records = F.explode(
        F.array(
            record(_ALIKE, [days, *content], keys, F.concat_ws("|", splits, folds), label_hash(specs)),
            record(_OF_KEY, keys, [days], splits, F.lit(None).cast("bigint")),
        )
    )
    ends = {
        "first": ("min", "place"),
        "last": ("max", "place"),
        "low": ("min", "label"),
        "high": ("max", "label"),
    }
    groups = (
        rows.select(records.alias("r"))
        .select("r.*")
        .repartition("kind", "a", "b")  # one shuffle serves both groupings
        .groupBy("kind", "a", "b", "member")
        .agg(
            F.count(F.lit(1)).alias("rows"), *(getattr(F, f)(c).alias(name) for name, (f, c) in ends.items())
        )
        .groupBy("kind", "a", "b")
        .agg(
            F.count(F.lit(1)).alias("members"),
            F.sum("rows").alias("rows"),
            *(getattr(F, f)(name).alias(name) for name, (f, _) in ends.items()),
        )
    )
    apart = (F.col("first") != F.col("last")).alias("apart")
    labelled, differ = F.count("low").alias("labelled"), F.count_if(F.col("low") != F.col("high"))
    counted = groups.groupBy("kind", "members", apart).agg(
        F.count(F.lit(1)).alias("groups"), F.sum("rows").alias("rows"), labelled, differ.alias("differ")
    )
    return _duplicate_counts([r.asDict() for r in counted.collect()])


def _duplicate_counts(counted: Sequence[Mapping[str, Any]]) -> DuplicateCounts:
    """Add up groups of rows by size, and whether they are apart."""
    alike = [r for r in counted if r["kind"] == _ALIKE]
    of_key = [r for r in counted if r["kind"] == _OF_KEY]
    twins = [r for r in alike if 1 < r["members"] <= MOST_TWINS]
    across = [r for r in twins if r["apart"]]
    common = [r for r in alike if r["members"] > MOST_TWINS]
    return DuplicateCounts(
        keys=sum(r["members"] * r["groups"] for r in alike),
        groups=sum(r["groups"] for r in twins),
        repeated=sum((r["members"] - 1) * r["groups"] for r in twins),
        across=sum(r["groups"] for r in across),
        parted=sum((r["members"] - 1) * r["groups"] for r in across),
        labelled=sum(r["labelled"] for r in across),
        differ=sum(r["differ"] for r in across),
        profiles=sum(r["groups"] for r in common),
        common=sum(r["members"] * r["groups"] for r in common),
        twice=sum(r["rows"] - r["members"] * r["groups"] for r in of_key),
        split_keys=sum(r["groups"] for r in of_key if r["apart"]),
    )
