"""Choose the snapshots of a target, and part its rows into fit, calibration, conformal and test."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from engage_spark.contract import SNAPSHOT_DATE, Split
from engage_spark.errors import ConfigurationError
from engage_spark.ml.data.driver_sample import RowSample
from engage_spark.ml.data.training_set import label_end, labelled, matured_days
from engage_spark.ml.feature_spec import Target, Task
from engage_spark.spark.schema import column_named

_LEARNT = (Split.FIT, Split.CALIBRATION, Split.CONFORMAL)
"""The splits that a model learns from, in one way or another."""
_ORDER = (Split.FIT, Split.CALIBRATION, Split.CONFORMAL, Split.TEST)
"""The order in which splits are listed for readers: that in which a training uses them."""


@dataclass(frozen=True, kw_only=True)
class TargetSnapshots:
    """The snapshots of one target: those to train on, and the newest, kept for the out-of-time test where
    there are several.
    """

    train: tuple[date, ...]
    out_of_time: date | None

    @property
    def all(self) -> tuple[date, ...]:
        """Every snapshot that is used, oldest first."""
        return self.train if self.out_of_time is None else (*self.train, self.out_of_time)


@dataclass(frozen=True, kw_only=True)
class SplitSummary:
    """Rows of one split, such as fit or test, and the mean of their labels."""

    name: str
    rows: int
    mean: float


@dataclass(frozen=True, kw_only=True)
class SplitRows:
    """The labelled rows of one target by split.

    `out_of_time` holds the test customers on the newest snapshot, None where no snapshot is kept apart.
    `matured` holds, by split, the rows of the days trained on and of the newest, of customers who are not
    tested: what the model that serves is fitted again on; None where no snapshot is kept apart. `counts` and
    `matured_counts` have their numbers of rows, `ones` and `matured_ones` how many of them are labelled 1
    (None for a number), `parts` has rows with mean labels, for readers.
    """

    fit: DataFrame
    calibration: DataFrame
    conformal: DataFrame
    test: DataFrame
    out_of_time: DataFrame | None
    counts: Mapping[str, int]
    ones: Mapping[str, int]
    parts: tuple[SplitSummary, ...]
    matured: Mapping[str, DataFrame] | None = None
    matured_counts: Mapping[str, int] = field(default_factory=dict)
    matured_ones: Mapping[str, int] = field(default_factory=dict)

    def sample(self, split: str, *, label: str, limit: int) -> RowSample:
        """Return how at most `limit` rows of a split are drawn for the driver."""
        return RowSample(expected=self.counts[split], limit=limit, label=label, ones=self.ones.get(split))

    def matured_sample(self, split: str, *, label: str, limit: int) -> RowSample:
        """Return how at most `limit` rows of a split of `matured` are drawn for the driver."""
        n_rows, ones = self.matured_counts[split], self.matured_ones.get(split)
        return RowSample(expected=n_rows, limit=limit, label=label, ones=ones)


def choose_snapshots(
    landed: Mapping[date, date], targets: Sequence[Target], *, as_of: date, limit: int
) -> dict[str, TargetSnapshots]:
    """Choose each target's newest matured snapshots, at most `limit` of them to train on.

    They are a label window apart: the rows of neighbouring days are nearly the same, and say nothing new. The
    newest is kept for the out-of-time test where there are others whose labels were known by then: a model
    that is tested on a day must not have learnt from what happened after it. A target without a matured
    snapshot has no entry. `landed`: see `known_days`.

    Errors: NotMaturedError where no target has any.
    """
    snapshots = {}
    matured = matured_days(landed, targets, as_of=as_of)
    for target in targets:
        own = matured[target.name]
        if not own:
            continue
        known_by_newest = [d for d in own[:-1] if label_end(d, target) <= own[-1]]
        snapshots[target.name] = TargetSnapshots(
            train=_apart(known_by_newest or own, target, limit=limit),
            out_of_time=own[-1] if known_by_newest else None,
        )
    return snapshots


def _apart(days: Sequence[date], target: Target, *, limit: int) -> tuple[date, ...]:
    """Choose the newest day and older ones, each a label window before the next, oldest first."""
    apart: list[date] = []
    for day in sorted(days, reverse=True):
        if not apart or label_end(day, target) <= apart[-1]:
            apart.append(day)
    return tuple(reversed(apart[:limit]))


def with_masked_targets(
    rows: DataFrame,
    targets: Sequence[Target],
    snapshots: Mapping[str, TargetSnapshots],
    *,
    day: str = SNAPSHOT_DATE,
) -> DataFrame:
    """Set each target to null outside the snapshots that it is trained on, so that one pass serves all.

    Grain: that of `rows`, all splits.
    Cost: no job.
    """
    masked = {
        t.name: F.when(F.col(day).isin(list(snapshots[t.name].train)), column_named(t.name)) for t in targets
    }
    return rows.withColumns(masked)


def split_rows(rows: DataFrame, target: Target, snapshots: TargetSnapshots) -> SplitRows:
    """Part the rows of a target by their split (column `side`).

    Cost: one job that counts.

    Errors: ConfigurationError where a split has no row, or one for evaluation has only one label.
    """
    known = labelled(rows, target=target, days=snapshots.train)
    matured = labelled(rows, target=target, days=snapshots.all)
    value = column_named(target.name).cast("double")
    numbers = {
        "rows": F.count(F.lit(1)),
        "ones": F.count_if(value == 1),
        "least": F.min(value),
        "most": F.max(value),
        "mean": F.avg(value),
    }
    counted = (
        matured.groupBy("side", (F.col(SNAPSHOT_DATE) == F.lit(snapshots.out_of_time)).alias("newest"))
        .agg(*(c.alias(name) for name, c in numbers.items()))
        .collect()
    )
    figures = {r["side"]: r for r in counted if not r["newest"]}
    of_newest = {r["side"]: int(r["rows"]) for r in counted if r["newest"]}
    ones_of_newest = {r["side"]: int(r["ones"]) for r in counted if r["newest"]}
    counts = {split: int(r["rows"]) for split, r in figures.items()}
    ones = {split: int(r["ones"]) for split, r in figures.items()}
    out_of_time, matured_counts, matured_ones = None, {}, {}
    if snapshots.out_of_time is not None:
        counts["out_of_time"] = of_newest.get(Split.TEST.value, 0)
        ones["out_of_time"] = ones_of_newest.get(Split.TEST.value, 0)
        matured_ones = {s: n + ones_of_newest.get(s, 0) for s, n in ones.items() if s in _LEARNT}
        matured_counts = {s: n + of_newest.get(s, 0) for s, n in counts.items() if s in _LEARNT}
        if counts["out_of_time"]:
            newest = labelled(rows, target=target, days=[snapshots.out_of_time])
            out_of_time = newest.where(F.col("side") == Split.TEST.value)
    details = [f"{split}: {n:,} rows" for split, n in sorted(counts.items())]
    if alike := [s for s, r in figures.items() if s != Split.FIT and r["least"] == r["most"]]:
        raise ConfigurationError(
            f"target {target.name!r} has but one value in split {', '.join(sorted(alike))}, "
            "so nothing can be evaluated there",
            details=details,
            hint="train on more customers, or on snapshots with customers of both kinds",
        )
    if empty := [split.value for split in _ORDER if not counts.get(split)]:
        raise ConfigurationError(
            f"target {target.name!r} has no row in split {', '.join(empty)}",
            details=details,
            hint="train on more customers; a hundred or more are needed for all splits and folds",
        )
    frames = {split.value: known.where(F.col("side") == split.value) for split in _ORDER}
    # Nothing follows from the mean's last bits, which the order of rows decides.
    parts = tuple(
        SplitSummary(name=split.value, rows=counts[split], mean=round(figures[split]["mean"], 6))
        for split in _ORDER
    )
    return SplitRows(
        **frames,
        out_of_time=out_of_time,
        counts=counts,
        ones=ones if target.task is Task.BINARY else {},
        parts=parts,
        matured=None
        if snapshots.out_of_time is None
        else {split.value: matured.where(F.col("side") == split.value) for split in _LEARNT},
        matured_counts=matured_counts,
        matured_ones=matured_ones if target.task is Task.BINARY else {},
    )
