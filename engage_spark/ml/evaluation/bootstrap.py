"""Bootstrap percentile intervals: how far a figure may be from what other customers would give.

Customers are drawn with replacement, as many as there are; the rows of one customer stay together. Rows are
put into an order of their own first, and each replicate has its generator from (seed, replicate), so the same
rows in any order, and any number of threads, give the same bits. Pure numpy.

Cost: for a million rows some 10 ms per replicate to draw, and some 10 ms for each metric that ranks.

Source: Efron 1979; Efron, Tibshirani 1993, section 13.3.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from engage_spark.errors import InputError
from engage_spark.ml.evaluation.calibration_error import sum_of_sizes
from engage_spark.ml.evaluation.metrics import Metric, UndefinedMetricError, checked
from engage_spark.ml.feature_spec import Task
from engage_spark.numerics.binomial import binomial_bounds
from engage_spark.numerics.dtypes import F64, I64

_THREADS = 4
"""At most: each takes a few times eight bytes a row, and the drawing is bound by memory."""


@dataclass(frozen=True, kw_only=True)
class Interval:
    """A figure with its bounds of `confidence`: percentiles of replicates, unless its maker says otherwise.

    `replicates` counts those in which the figure is defined.
    """

    value: float
    low: float
    high: float
    confidence: float
    replicates: int

    def apart_from(self, other: Interval) -> bool:
        """Return whether the two intervals do not overlap."""
        return self.low > other.high or self.high < other.low


@dataclass(frozen=True, kw_only=True)
class Gain:
    """By how much `value` is better than `reference` on the same rows.

    Positive is better, whatever the metric. `relative` is the gain over the reference's size. `probability`
    is the share of replicates with a gain, those without a difference counted by half.

    Units: that of the metric.
    """

    metric: str
    value: float
    reference: float
    gain: float
    low: float
    high: float
    relative: float
    probability: float
    confidence: float
    replicates: int


@dataclass(frozen=True, eq=False)
class Draws:
    """How often each of `n` rows is drawn, replicate by replicate.

    `customer` is the row's customer as a number from 0; None: each row is a customer of its own.
    """

    n: int
    customer: I64 | None
    replicates: int
    seed: int

    @property
    def customers(self) -> I64:
        """The customer of each row, as a number from 0."""
        return np.arange(self.n, dtype=np.int64) if self.customer is None else self.customer

    @cached_property
    def _customers(self) -> int:
        return self.n if self.customer is None else int(self.customer.max()) + 1

    def weights(self, replicate: int) -> F64:
        """Return how often each row is drawn in a replicate, as doubles."""
        n_customers = self._customers
        draws = np.random.default_rng((self.seed, replicate)).integers(
            0, n_customers, size=n_customers, dtype=np.uint32
        )
        counts = np.bincount(draws, minlength=n_customers).astype(np.float64)
        return counts if self.customer is None else counts[self.customer]

    def evaluate(self, statistic: Callable[[F64], Any]) -> F64:
        """Return `statistic` of each replicate's weights: an array with one row per replicate."""
        with ThreadPoolExecutor(max(1, min(_THREADS, os.cpu_count() or 1))) as pool:
            results: Iterator[Any] = pool.map(lambda r: statistic(self.weights(r)), range(self.replicates))
            return np.array(list(results), dtype=np.float64)


def arranged(
    *columns: F64, clusters: Any = None, replicates: int, seed: int
) -> tuple[tuple[F64, ...], Draws]:
    """Sort rows into an order that depends on their content alone, and return them with their draws.

    `columns`: the scores first, by which the rows are sorted, so that ranking metrics find them sorted; what
    is equal in all columns and in the customer is interchangeable. `clusters`: a number or text per row that
    names its customer, such as a hash of the key.
    """
    n = len(columns[0])
    if replicates < 2:
        raise InputError(
            f"{replicates} replicates make no interval", hint="ask for 200 or more (models.bootstrap)"
        )
    if clusters is None:
        order = np.lexsort(columns[::-1])
        return tuple(c[order] for c in columns), Draws(n, None, replicates, seed)
    customers, customer = np.unique(np.asarray(clusters), return_inverse=True)
    if len(customer) != n:
        raise InputError(
            f"{len(customer)} customers are given for {n} rows", hint="name the customer of every row"
        )
    order = np.lexsort((customer, *columns[::-1]))
    alone = len(customers) == n
    # Customers with one row each are numbered like the rows: a draw by customer is then a draw by row.
    return tuple(c[order] for c in columns), Draws(
        n, None if alone else customer[order].astype(np.int64), replicates, seed
    )


def intervals(
    metrics: Sequence[Metric],
    labels: Any,
    scores: Any,
    *,
    weights: Any = None,
    clusters: Any = None,
    replicates: int = 200,
    confidence: float = 0.95,
    seed: int = 0,
) -> dict[str, Interval | None]:
    """Return every metric with its interval, from the same draws.

    Replicates in which a metric is undefined (one class was drawn) are left out of its interval, and
    `replicates` says how many are left. A calibration error is given without what chance adds to it, which
    `Metric` does not do.

    Nulls: None where the rows leave a metric undefined (`metrics.evaluate`).

    Errors: InputError on unusable arrays.
    """
    y, s, w = checked(
        labels, scores, weights, task=_task(metrics), probabilities=any(m.probabilities for m in metrics)
    )
    (s, y, w), draws = arranged(s, y, w, clusters=clusters, replicates=replicates, seed=seed)
    prepared = [m.parts(y, s) if m.parts else m.prepare(y, s) for m in metrics]
    values = [np.atleast_1d(p(w)) for p in prepared]
    drawn = draws.evaluate(lambda drawn_rows: np.hstack([p(w * drawn_rows) for p in prepared]))
    ends = np.cumsum([len(v) for v in values])
    of_metric = np.split(drawn, ends[:-1], axis=1)
    return {
        m.name: _interval_of(m, value, own, confidence=confidence, seed=seed)
        for m, value, own in zip(metrics, values, of_metric, strict=True)
    }


def _interval_of(
    metric: Metric, values: F64, replicates: F64, *, confidence: float, seed: int
) -> Interval | None:
    if np.isnan(values).any():
        return None
    if metric.parts is None:
        return interval(float(values[0]), replicates[:, 0], confidence=confidence)
    defined = replicates[~np.isnan(replicates).any(axis=1)]
    _require_confidence(confidence)
    value, low, high = sum_of_sizes(values, defined, confidence=confidence, seed=seed)
    return Interval(value=value, low=low, high=high, confidence=confidence, replicates=len(defined))


def share_interval(
    hits: Any,
    *,
    weights: Any = None,
    clusters: Any = None,
    replicates: int = 200,
    confidence: float = 0.95,
    seed: int = 0,
) -> Interval:
    """Return a share with exact binomial bounds, for as many independent rows as its spread over draws says.

    So few rows that are all hits show little, and the rows of one customer count once where they are alike.

    Errors: InputError on unusable arrays.

    Source: Clopper, Pearson 1934; Korn, Graubard 1998 for the effective number of rows.
    """
    _require_confidence(confidence)
    h = np.asarray(hits, dtype=np.float64)
    h, w = checked(h, h, weights, task=Task.BINARY, what="hits")[1:]
    (h, w), draws = arranged(h, w, clusters=clusters, replicates=replicates, seed=seed)
    value = float(w @ h / w.sum())
    shares = draws.evaluate(lambda drawn_rows: _ratio(drawn_rows * w, h))
    variance = float(np.nanvar(shares, ddof=1))
    of_customer = np.bincount(draws.customers, weights=w)
    independent = float(of_customer.sum() ** 2 / (of_customer @ of_customer))
    if 0.0 < value < 1.0 and variance > 0.0:
        independent = min(draws.n, value * (1.0 - value) / variance)
    n = max(1, int(independent))
    level = -math.log((1.0 - confidence) / 2.0)
    low = binomial_bounds([math.floor(value * n)], n, [level])[0][0]
    high = binomial_bounds([min(n, math.ceil(value * n))], n, [level])[1][0]
    return Interval(
        value=value, low=float(low), high=float(high), confidence=confidence, replicates=draws.replicates
    )


def _ratio(w: F64, values: F64) -> float:
    total = float(w.sum())
    return float(w @ values) / total if total else float("nan")


def interval(value: float, replicates: F64, *, confidence: float) -> Interval:
    """Return the percentiles between which `confidence` of the replicates are.

    Nulls: NaN among the replicates is left out.
    """
    _require_confidence(confidence)
    defined = replicates[~np.isnan(replicates)]
    if not len(defined):
        return Interval(value=value, low=float("nan"), high=float("nan"), confidence=confidence, replicates=0)
    low, high = np.quantile(defined, [(1 - confidence) / 2, (1 + confidence) / 2])
    return Interval(
        value=value, low=float(low), high=float(high), confidence=confidence, replicates=len(defined)
    )


def _require_confidence(confidence: float) -> None:
    if not 0 < confidence < 1:
        raise InputError(
            f"a confidence of {confidence} is none", hint="give a share between 0 and 1, such as 0.95"
        )


def paired_gain(
    metric: Metric,
    labels: Any,
    scores: Any,
    reference: Any,
    *,
    weights: Any = None,
    clusters: Any = None,
    replicates: int = 200,
    confidence: float = 0.95,
    seed: int = 0,
) -> Gain:
    """Compare two sets of scores for the same rows, such as challenger and champion.

    Both are measured on each draw, so what they share cancels. Each bound is the outer one of the percentile
    and of its mirror image at the gain: of a rare class or a few large amounts the replicates are skewed, and
    either alone finds a gain where there is none in up to 7% of tests.

    Errors: UndefinedMetricError where the rows leave the metric undefined, InputError on unusable arrays.
    """
    y, a, w = checked(labels, scores, weights, task=metric.task, probabilities=metric.probabilities)
    _, b, _ = checked(
        labels, reference, task=metric.task, probabilities=metric.probabilities, what="reference scores"
    )
    (a, b, y, w), draws = arranged(a, b, y, w, clusters=clusters, replicates=replicates, seed=seed)
    of_a, of_b = metric.prepare(y, a), metric.prepare(y, b)
    value, over = of_a(w), of_b(w)
    if np.isnan(value) or np.isnan(over):
        raise UndefinedMetricError(
            f"{metric.title} is undefined on these {draws.n} rows: it needs {metric.needs}"
        )
    pairs = draws.evaluate(lambda drawn_rows: (of_a(w * drawn_rows), of_b(w * drawn_rows)))
    gains = np.array([metric.gain(x, z) for x, z in pairs[~np.isnan(pairs).any(axis=1)].tolist()])
    gain = metric.gain(value, over)
    bounds = interval(gain, gains, confidence=confidence)
    probability = float(((gains > 0) + 0.5 * (gains == 0)).mean()) if len(gains) else float("nan")
    return Gain(
        metric=metric.name,
        value=value,
        reference=over,
        gain=gain,
        low=min(bounds.low, 2 * gain - bounds.high),
        high=max(bounds.high, 2 * gain - bounds.low),
        confidence=confidence,
        relative=gain / abs(over) if over else float("nan"),
        probability=probability,
        replicates=len(gains),
    )


def _task(metrics: Sequence[Metric]) -> Task:
    tasks = {m.task for m in metrics}
    if len(tasks) != 1:
        raise InputError(
            f"metrics of {len(tasks)} tasks are asked for", hint="compute the metrics of one task at a time"
        )
    return tasks.pop()
