"""Turn scores into decisions by a threshold: counts by decision and label, and the metrics that follow."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from engage_spark.ml.evaluation.metrics import Metric, Prepared, checked
from engage_spark.ml.feature_spec import Task
from engage_spark.numerics.dtypes import F64


@dataclass(frozen=True, kw_only=True)
class Confusion:
    """Rows, or their weights, by decision and label. A share without rows to be a share of is NaN."""

    tp: float
    fp: float
    fn: float
    tn: float

    @property
    def n(self) -> float:
        """The number of rows."""
        return self.tp + self.fp + self.fn + self.tn

    @property
    def accuracy(self) -> float:
        """The share of rows whose decision is the label."""
        return share(self.tp + self.tn, self.n)

    @property
    def precision(self) -> float:
        """The share of labels 1 among decisions 1."""
        return share(self.tp, self.tp + self.fp)

    @property
    def recall(self) -> float:
        """The share of decisions 1 among labels 1."""
        return share(self.tp, self.tp + self.fn)

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall; 0 where something is positive and nothing was found."""
        return share(2 * self.tp, 2 * self.tp + self.fp + self.fn)


def share(part: float, total: float) -> float:
    """NaN of nothing."""
    return part / total if total else float("nan")


def confusion(labels: Any, scores: Any, *, threshold: float, weights: Any = None) -> Confusion:
    """Count rows by decision and label; decisions are 1 from the threshold on, itself included."""
    y, s, w = checked(labels, scores, weights, task=Task.BINARY)
    return _confusion(y, s, threshold)(w)


def _confusion(y: F64, s: F64, threshold: float) -> Callable[[F64], Confusion]:
    cells = 2 * (s >= threshold).astype(np.int64) + (y == 1)

    def counted(w: F64) -> Confusion:
        tn, fn, fp, tp = (float(x) for x in np.bincount(cells, weights=w, minlength=4))
        return Confusion(tp=tp, fp=fp, fn=fn, tn=tn)

    return counted


def at_threshold(threshold: float) -> tuple[Metric, ...]:
    """Return accuracy, precision, recall and F1 of the decision `score >= threshold`."""

    def metric(name: str, title: str, needs: str) -> Metric:
        def prepare(y: F64, s: F64) -> Prepared:
            counted = _confusion(y, s, threshold)
            return lambda w: float(getattr(counted(w), name))

        return Metric(name=name, title=title, task=Task.BINARY, better="higher", prepare=prepare, needs=needs)

    return (
        metric("accuracy", "accuracy", "rows"),
        metric("precision", "precision", f"a score of {threshold:g} or more"),
        metric("recall", "recall", "a label 1"),
        metric("f1", "F1", f"a label 1, or a score of {threshold:g} or more"),
    )
