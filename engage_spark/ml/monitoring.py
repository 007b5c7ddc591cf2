"""Measure a model in use: how its predictions of a day fare once the labels of that day are known.

Pure: arrays and finished comparisons in, measurements out. Each is held against the bound that the contract
gives it. A measure is past its bound only where its whole interval is, so that chance alone seldom raises an
alarm; where the value is past and its interval is not, the rows cannot tell.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from engage_spark.contract.monitoring import Bound, monitored_measures
from engage_spark.ml.evaluation.bootstrap import intervals, share_interval
from engage_spark.ml.evaluation.metrics import metrics_of
from engage_spark.ml.fairness.group_metrics import ALL, Fairness
from engage_spark.ml.feature_spec import Target, Task
from engage_spark.ml.measurement import BoundVerdict, MonitoredMeasure
from engage_spark.numerics.dtypes import F64
from engage_spark.numerics.population_stability import noise, psi

BINS = 10
"""Bins of equal size that scores are compared in: the tenths of the reference day."""


def judge(
    measurements: Iterable[MonitoredMeasure], bounds: Mapping[str, float], *, task: Task
) -> tuple[MonitoredMeasure, ...]:
    """Hold each measurement against the bound that the contract gives it (`Field.monitoring`)."""
    sides = monitored_measures(two_classes=task is Task.BINARY)
    return tuple(
        replace(m, bound=bounds[m.bound_name], verdict=_verdict(m, bounds[m.bound_name], sides[m.bound_name]))
        if m.bound_name in bounds
        else m
        for m in measurements
    )


def _verdict(m: MonitoredMeasure, bound: float, side: Bound) -> BoundVerdict:
    if m.value is None or math.isnan(m.value):
        return BoundVerdict.UNDECIDED
    sign = 1.0 if side is Bound.LEAST else -1.0
    if sign * m.value >= sign * bound:
        return BoundVerdict.WITHIN
    reach = m.high if side is Bound.LEAST else m.low
    is_apart = reach is not None and sign * reach < sign * bound
    return BoundVerdict.PAST if is_apart else BoundVerdict.UNDECIDED


def performance(
    target: Target,
    labels: Any,
    scores: Any,
    covered: Any,
    *,
    weights: Any = None,
    replicates: int,
    seed: int,
) -> Iterator[MonitoredMeasure]:
    """Yield every metric of the task with its interval, and the coverage of intervals or sets.

    One row a customer: rows are drawn by themselves. `weights`: how many rows each stands for. `covered` is
    NaN where a row has no interval or set: it covers nothing. Of two classes the coverage of each follows.
    """
    metrics = metrics_of(target.task)
    estimates = intervals(metrics, labels, scores, weights=weights, replicates=replicates, seed=seed)
    n = len(labels)
    for metric in metrics:
        estimate = estimates[metric.name]
        if estimate is None:
            yield MonitoredMeasure(measure=metric.name, value=None, n=n)
        else:
            yield MonitoredMeasure(
                measure=metric.name, value=estimate.value, low=estimate.low, high=estimate.high, n=n
            )
    hits = np.nan_to_num(np.asarray(covered, dtype=np.float64))
    of_row = np.ones(n) if weights is None else np.asarray(weights, dtype=np.float64)
    yield _share("coverage", hits, of_row, replicates=replicates, seed=seed)
    if target.task is Task.BINARY:
        for label in (0, 1):
            of_class = np.asarray(labels) == label
            drawn = {"replicates": replicates, "seed": seed}
            share = _share("class_coverage", hits[of_class], of_row[of_class], **drawn)
            yield replace(share, group=str(label))


def _share(measure: str, hits: F64, weights: F64, *, replicates: int, seed: int) -> MonitoredMeasure:
    if not len(hits):
        return MonitoredMeasure(measure=measure, value=None, n=0)
    share = share_interval(hits, weights=weights, replicates=replicates, seed=seed)
    return MonitoredMeasure(measure=measure, value=share.value, low=share.low, high=share.high, n=len(hits))


def score_drift(scores: Any, before: Any, *, against: str) -> MonitoredMeasure:
    """Measure how far the scores of a day have moved from those of another, by PSI over the tenths of those.

    The interval's lower end is 0 where chance alone makes such a PSI in one of twenty days.
    """
    new, old = np.asarray(scores, dtype=np.float64), np.asarray(before, dtype=np.float64)
    if not len(new) or not len(old):
        return MonitoredMeasure(measure="score_psi", value=None, n=len(new), against=against)
    cuts = np.unique(np.quantile(old, np.arange(1, BINS) / BINS))
    counts = [
        np.bincount(np.searchsorted(cuts, x, side="right"), minlength=len(cuts) + 1) for x in (old, new)
    ]
    was, now = ({str(i): int(c) for i, c in enumerate(of_day)} for of_day in counts)
    index, by_chance = psi(was, now), noise(len(cuts) + 1, len(old), len(new))
    return _drifted("score_psi", index, by_chance, n=len(new), against=against)


def input_drift(column: str, index: float, by_chance: float, *, n: int, against: str) -> MonitoredMeasure:
    """Return the PSI of an input column, which is the group. Chance alone makes one up to `by_chance`."""
    return replace(_drifted("input_psi", index, by_chance, n=n, against=against), group=column)


def _drifted(measure: str, index: float, by_chance: float, *, n: int, against: str) -> MonitoredMeasure:
    low = index if index > by_chance else 0.0
    return MonitoredMeasure(measure=measure, value=index, low=low, high=index, n=n, against=against)


def group_measurements(fairness: Fairness) -> Iterator[MonitoredMeasure]:
    """Yield the figures of the groups that are large enough to be shown, and how far groups are apart.

    Of each rate the worst pair of groups: the lower rate as a share of the higher, with bounds that hold for
    all pairs at once. Its group, of which `n` counts the rows, is the one that is served worse: the lower,
    and of errors (the mean absolute error, the rate of false positives) the higher. The other is what it is
    `against`.
    """
    for f in fairness.figures:
        if f.compared and f.attribute != ALL:
            yield MonitoredMeasure(
                measure=f.metric,
                value=f.value,
                low=f.low,
                high=f.high,
                n=f.n,
                attribute=f.attribute,
                group=f.group,
            )
    sizes: Mapping[tuple[str, str], int] = {(f.attribute, f.group): f.n for f in fairness.figures}
    for s in fairness.spreads:
        if (pair := s.worst) is not None:
            yield MonitoredMeasure(
                measure=f"{s.metric}_ratio",
                value=pair.ratio,
                low=pair.low,
                high=pair.high,
                n=sizes[s.attribute, pair.worse],
                attribute=s.attribute,
                group=pair.worse,
                against=pair.better,
            )
