"""Compute metrics of two classes and of numbers exactly, on weighted arrays of labels and scores."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from engage_spark.errors import InputError
from engage_spark.ml.feature_spec import Task
from engage_spark.numerics.dtypes import F64, I64

Prepared = Callable[[F64], float]
"""Weights, one a row, to the value; NaN where it is undefined for them."""

BINS = 15
"""Bins of the calibration error, as in Guo et al. 2017."""


class UndefinedMetricError(InputError):
    """The rows leave a metric without a meaning, such as the AUC of one class (exit code 2)."""


@dataclass(frozen=True, kw_only=True)
class Metric:
    """A figure that says how good scores are.

    `better` says which direction is better. `unit` is "target" where it is that of the target, and None for a
    pure number. `needs` says what the labels must have for the metric to be defined; `probabilities`, that
    scores must be within 0 and 1. `parts`, where the value is a sum of sizes: what these sizes are of. Chance
    alone makes such a sum larger, so intervals give it without chance (`calibration_error`).
    """

    name: str
    title: str
    task: Task
    better: Literal["higher", "lower", "zero"]
    prepare: Callable[[F64, F64], Prepared]
    unit: str | None = None
    needs: str = "rows"
    probabilities: bool = False
    parts: Callable[[F64, F64], Callable[[F64], F64]] | None = None

    def __call__(self, labels: Any, scores: Any, weights: Any = None) -> float:
        """Return the value of the metric.

        Errors: UndefinedMetricError where the labels do not have what it needs, InputError where the arrays
        are unusable.
        """
        y, s, w = checked(labels, scores, weights, task=self.task, probabilities=self.probabilities)
        value = self.prepare(y, s)(w)
        if np.isnan(value):
            raise UndefinedMetricError(
                f"{self.title} is undefined on these {len(y)} rows: it needs {self.needs}"
            )
        return value

    def gain(self, value: float, over: float) -> float:
        """Return by how much `value` is better than `over`; negative where it is worse."""
        if self.better == "zero":
            return abs(over) - abs(value)
        return value - over if self.better == "higher" else over - value


def checked(
    labels: Any,
    scores: Any,
    weights: Any = None,
    *,
    task: Task,
    probabilities: bool = False,
    what: str = "scores",
) -> tuple[F64, F64, F64]:
    """Return labels, scores and weights as doubles; weights are ones where none are given.

    Errors: InputError with everything that is wrong with them.
    """
    y, s = (np.asarray(x, dtype=np.float64) for x in (labels, scores))
    w = np.ones(len(y)) if weights is None else np.asarray(weights, dtype=np.float64)
    problems = []
    if not (y.ndim == s.ndim == w.ndim == 1 and len(y) == len(s) == len(w)):
        problems.append(
            f"labels, {what} and weights must be as long as each other, not {y.shape}, "
            f"{s.shape} and {w.shape}"
        )
    elif not len(y):
        problems.append("there are no rows")
    for name, values in (("labels", y), (what, s), ("weights", w)):
        if n := int(np.count_nonzero(~np.isfinite(values))):
            problems.append(f"{n} {name} are null, NaN or infinite")
    if task is Task.BINARY and (n := int(np.count_nonzero((y != 0) & (y != 1)))):
        problems.append(f"{n} labels are neither 0 nor 1")
    if probabilities and (n := int(np.count_nonzero((s < 0) | (s > 1)))):
        problems.append(f"{n} {what} are not probabilities: they are outside 0 and 1")
    if (n := int(np.count_nonzero(w < 0))) or (len(w) and w.sum() == 0):
        problems.append(f"{n} weights are negative" if n else "all weights are 0")
    if problems:
        raise InputError(
            "these rows cannot be evaluated",
            details=problems,
            hint="evaluate rows with a label and a score, each finite",
        )
    return y, s, w


@dataclass(frozen=True, eq=False)
class Ranking:
    """The ascending order of values.

    `order` is None where rows are sorted already. `starts` is None where no two values are equal, else where
    each value begins.
    """

    order: I64 | None
    starts: I64 | None

    @classmethod
    def of(cls, values: F64) -> Ranking:
        """Rank the values."""
        order = None if (values[1:] >= values[:-1]).all() else np.argsort(values, kind="stable")
        ordered = values if order is None else values[order]
        starts = np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]]))
        return cls(order, None if len(starts) == len(values) else starts)

    def sums(self, x: F64) -> F64:
        """Return the sums of `x`, one per distinct value, ascending."""
        x = x if self.order is None else x[self.order]
        return x if self.starts is None else np.add.reduceat(x, self.starts)


def _auc(y: F64, s: F64) -> Prepared:
    """P(a positive's score > a negative's) + P(they are the same) / 2 (Mann, Whitney 1947)."""
    ranking = Ranking.of(s)

    def value(w: F64) -> float:
        rows, positive = ranking.sums(w), ranking.sums(w * y)
        negative = rows - positive
        below = np.cumsum(negative)
        pairs = float(positive.sum()) * float(below[-1])
        return float(positive @ (below - negative / 2)) / pairs if pairs else float("nan")

    return value


def _average_precision(y: F64, s: F64) -> Prepared:
    """Precision at each distinct score, weighted by the recall that it adds; no interpolation."""
    ranking = Ranking.of(s)

    def value(w: F64) -> float:
        rows, positive = ranking.sums(w), ranking.sums(w * y)
        all_positive = float(positive.sum())
        if not all_positive:
            return float("nan")
        from_here = np.cumsum(rows[::-1])
        positive_from_here = np.cumsum(positive[::-1])
        precision = np.divide(
            positive_from_here, from_here, out=np.zeros_like(positive_from_here), where=from_here > 0
        )
        return float(positive[::-1] @ precision) / all_positive

    return value


def _gini(y: F64, s: F64) -> Prepared:
    """Return the area under the curve of labels cumulated by descending score, over that by descending label.

    Both areas are measured from the diagonal. 1: perfect order, 0: none, -1: reversed; for labels 0 and 1 it
    is 2 AUC - 1. The areas are of trapezoids, and rows of one score share their gain evenly, so it differs
    from one that counts steps (Lorenz curves in google/lifetime_value) by less than 2 / n.
    """
    by_score, by_label = Ranking.of(s), Ranking.of(y)
    centred = y - y.mean()  # the ratio does not change with it, and its digits are kept

    def area(ranking: Ranking, w: F64) -> float:
        rows, cumulative = ranking.sums(w), ranking.sums(w * centred)
        return (
            float(cumulative @ (np.cumsum(rows) - rows / 2)) - float(cumulative.sum()) * float(rows.sum()) / 2
        )

    def value(w: F64) -> float:
        perfect = area(by_label, w) if _varies(y, w) else 0.0
        return area(by_score, w) / perfect if perfect else float("nan")

    return value


def _varies(y: F64, w: F64) -> bool:
    weighted = y[w > 0]
    return len(weighted) > 0 and bool(weighted.min() < weighted.max())


def _mean(
    column: Callable[[F64, F64], F64], after: Callable[[float], float] = float
) -> Callable[[F64, F64], Prepared]:
    """Prepare a weighted mean over rows, and apply a function to it."""

    def prepare(y: F64, s: F64) -> Prepared:
        values = column(y, s)

        def value(w: F64) -> float:
            total = float(w.sum())
            return after(float(w @ values) / total) if total else float("nan")

        return value

    return prepare


def losses(y: F64, s: F64) -> F64:
    """Return the log-loss of each row.

    Probabilities are kept the machine's precision away from 0 and 1, as scikit-learn does.

    Units: nats.
    """
    least = float(np.finfo(np.float64).eps)
    return np.asarray(-np.log(np.clip(np.where(y == 1, s, 1.0 - s), least, 1.0 - least)))


def _r2(y: F64, s: F64) -> Prepared:
    columns = np.column_stack([np.ones_like(y), y - y.mean(), (y - y.mean()) ** 2, (y - s) ** 2])

    def value(w: F64) -> float:
        total, first, second, errors = (float(x) for x in w @ columns)
        spread = second - first * first / total if total else 0.0
        return 1.0 - errors / spread if spread > 0 and _varies(y, w) else float("nan")

    return value


def calibration_cuts(scores: F64, *, bins: int = BINS, mass: bool = False) -> F64:
    """Return the lower bounds of the second bin and on.

    Bins are of equal width over 0 to 1, or with `mass` of equal numbers of rows; equal scores share a bin.
    """
    if not mass:
        return np.asarray(np.arange(1, bins) / bins)
    places = np.arange(1, bins) * len(scores) // bins
    return np.unique(np.sort(scores)[places])


def _gaps(*, mass: bool) -> Callable[[F64, F64], Callable[[F64], F64]]:
    """Share of ones less mean score in each bin, times the bin's share of the rows."""

    def prepare(y: F64, s: F64) -> Callable[[F64], F64]:
        cuts = calibration_cuts(s, mass=mass)
        places = np.searchsorted(cuts, s, side="right")
        gaps = y - s

        def parts(w: F64) -> F64:
            total = float(w.sum())
            gap_sums = np.bincount(places, weights=w * gaps, minlength=len(cuts) + 1)
            return gap_sums / total if total else np.full_like(gap_sums, np.nan)

        return parts

    return prepare


def _sum_of_sizes(of: Callable[[F64, F64], Callable[[F64], F64]]) -> Callable[[F64, F64], Prepared]:
    def prepare(y: F64, s: F64) -> Prepared:
        parts = of(y, s)
        return lambda w: float(np.abs(parts(w)).sum())

    return prepare


def _binary(
    name: str,
    title: str,
    better: Literal["higher", "lower"],
    prepare: Callable[[F64, F64], Prepared],
    **more: Any,
) -> Metric:
    return Metric(name=name, title=title, task=Task.BINARY, better=better, prepare=prepare, **more)


def _number(
    name: str, title: str, better: Literal["higher", "lower", "zero"], prepare: Any, **more: Any
) -> Metric:
    return Metric(name=name, title=title, task=Task.REGRESSION, better=better, prepare=prepare, **more)


_ALL = (
    _binary("auc", "AUC", "higher", _auc, needs="labels of both classes"),
    _binary("pr_auc", "PR-AUC (average precision)", "higher", _average_precision, needs="a label 1"),
    _binary("log_loss", "log-loss", "lower", _mean(losses), unit="nats", probabilities=True),
    _binary("brier", "Brier score", "lower", _mean(lambda y, s: (y - s) ** 2), probabilities=True),
    _binary(
        "ece",
        f"ECE ({BINS} bins of equal width)",
        "lower",
        _sum_of_sizes(_gaps(mass=False)),
        probabilities=True,
        parts=_gaps(mass=False),
    ),
    _binary(
        "ece_mass",
        f"ECE ({BINS} bins of equal size)",
        "lower",
        _sum_of_sizes(_gaps(mass=True)),
        probabilities=True,
        parts=_gaps(mass=True),
    ),
    _number(
        "rmse", "RMSE", "lower", _mean(lambda y, s: (y - s) ** 2, lambda x: float(np.sqrt(x))), unit="target"
    ),
    _number("mae", "MAE", "lower", _mean(lambda y, s: np.abs(y - s)), unit="target"),
    _number("r2", "R²", "higher", _r2, needs="labels that vary"),
    _number("gini", "normalised Gini", "higher", _gini, needs="labels that vary"),
    _number("bias", "bias (mean prediction - mean label)", "zero", _mean(lambda y, s: s - y), unit="target"),
)
METRICS = {m.name: m for m in _ALL}
"""Every metric by its name; of a binary target's calibration errors, `ece` is the one that gates look at."""
HEADLINE = {Task.BINARY: METRICS["auc"], Task.REGRESSION: METRICS["rmse"]}
"""By which candidates are compared and promoted."""


def metrics_of(task: Task) -> tuple[Metric, ...]:
    """Return the metrics of a task in the order in which they are shown, the headline first."""
    return tuple(m for m in _ALL if m.task is task)


def evaluate(
    metrics: Sequence[Metric], labels: Any, scores: Any, weights: Any = None
) -> dict[str, float | None]:
    """Return each metric's value by name.

    Nulls: None where the rows leave a metric undefined, which `Metric.__call__` makes an error of.
    """
    values: dict[str, float | None] = {}
    for m in metrics:
        y, s, w = checked(labels, scores, weights, task=m.task, probabilities=m.probabilities)
        value = m.prepare(y, s)(w)
        values[m.name] = None if np.isnan(value) else value
    return values
