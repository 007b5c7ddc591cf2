"""Tabulate scores: what each tenth by score holds, how near scores come to shares, and bounds of a share."""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np

from engage_spark.ml.evaluation.metrics import BINS, Ranking, calibration_cuts, checked
from engage_spark.ml.feature_spec import Task
from engage_spark.numerics.dtypes import F64, I64


@dataclass(frozen=True, kw_only=True)
class Tenth:
    """A tenth of the rows, from the highest scores (number 1) down.

    `lift` is the mean label over that of all rows; `cumulative_share` the share of all labels' sum up to
    here. Both are None where the labels sum to nothing, or some are negative.
    """

    number: int
    n: int
    mean_score: float
    mean_label: float
    lift: float | None
    cumulative_share: float | None


def deciles(labels: Any, scores: Any, *, task: Task, parts: int = 10) -> tuple[Tenth, ...]:
    """Cut rows into `parts` of equal size by descending score.

    Rows of one score that a cut divides count with the mean of their labels, so no order among them matters.
    Fewer rows than parts make as many parts as there are rows.

    Errors: InputError on unusable arrays.
    """
    y, s, w = checked(labels, scores, task=task)
    n, ranking = len(y), Ranking.of(s)
    parts = min(parts, n)
    # From the top: rows, labels and scores added up to each distinct score; between two of them, in
    # proportion.
    rows, label, score = (np.concatenate([[0.0], np.cumsum(ranking.sums(x)[::-1])]) for x in (w, y, s))
    ends = np.arange(parts + 1) * n // parts
    up_to, of_scores = (np.interp(ends, rows, x) for x in (label, score))
    total, sound = float(label[-1]), bool((y >= 0).all()) and label[-1] > 0
    return tuple(
        Tenth(
            number=i + 1,
            n=int(ends[i + 1] - ends[i]),
            mean_score=float(of_scores[i + 1] - of_scores[i]) / float(ends[i + 1] - ends[i]),
            mean_label=(mean := float(up_to[i + 1] - up_to[i]) / float(ends[i + 1] - ends[i])),
            lift=mean / (total / n) if sound else None,
            cumulative_share=float(up_to[i + 1]) / total if sound else None,
        )
        for i in range(parts)
    )


@dataclass(frozen=True, kw_only=True)
class CalibrationBin:
    """Rows with scores of one bin: their mean score, the share of ones, and its bounds (Wilson, 95%).

    Bounds count customers: alike rows of one customer are as sure as one row.
    """

    n: int
    mean_score: float
    share: float
    low: float
    high: float


def calibration(
    labels: Any, scores: Any, *, customers: Any = None, bins: int = BINS, mass: bool = True
) -> tuple[CalibrationBin, ...]:
    """Return the bins that hold rows, by ascending score.

    With `mass` bins hold equal numbers of rows, else they are of equal width. `customers` names the customer
    of each row; None: each row is a customer of its own.

    Errors: InputError on unusable arrays.
    """
    y, s, _ = checked(labels, scores, task=Task.BINARY, probabilities=True)
    cuts = calibration_cuts(s, bins=bins, mass=mass)
    places = np.searchsorted(cuts, s, side="right")
    n, ones, total = (
        np.bincount(places, weights=x, minlength=len(cuts) + 1) for x in (np.ones_like(y), y, s)
    )
    effective = np.asarray(n, dtype=np.float64)
    if customers is not None:
        effective = _effective_rows(places, customers, y, effective, np.asarray(ones, dtype=np.float64))
    bins_with_rows = []
    for i in np.flatnonzero(n):
        low, high = wilson(float(ones[i] / n[i] * effective[i]), float(effective[i]))
        bins_with_rows.append(
            CalibrationBin(
                n=int(n[i]),
                mean_score=float(total[i] / n[i]),
                share=float(ones[i] / n[i]),
                low=low,
                high=high,
            )
        )
    return tuple(bins_with_rows)


def _effective_rows(places: I64, customers: Any, y: F64, n: F64, ones: F64) -> F64:
    """Return of how many independent rows each bin's share of ones is as sure.

    Source: Cochran 1977, section 2.9 (ratios of cluster totals); Kish 1965, section 8.2.
    """
    names, owner = np.unique(np.asarray(customers), return_inverse=True)
    cells, at = np.unique(places * len(names) + owner, return_inverse=True)
    own_rows, own_ones, of_bin = np.bincount(at), np.bincount(at, weights=y), cells // len(names)
    share = ones / np.maximum(n, 1)
    off = np.bincount(of_bin, weights=(own_ones - share[of_bin] * own_rows) ** 2, minlength=len(n))
    squares = np.bincount(of_bin, weights=own_rows.astype(np.float64) ** 2, minlength=len(n))
    alike = n * n / np.maximum(squares, 1)
    varies = off > 1e-9
    return np.where(varies, np.minimum(n, share * (1 - share) * n * n / np.where(varies, off, 1.0)), alike)


def wilson(part: float, total: float, *, confidence: float = 0.95) -> tuple[float, float]:
    """Return bounds of the share part / whole: they hold it, stay within 0 and 1, and have a width at both
    ends, too.

    Nulls: NaN of nothing.

    Source: Wilson 1927.
    """
    if not total:
        return math.nan, math.nan
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    middle = (part + z * z / 2) / (total + z * z)
    reach = z * math.sqrt(part * (total - part) / total + z * z / 4) / (total + z * z)
    share = part / total  # rounding may leave it out where it is 0 or 1
    return max(0.0, min(share, middle - reach)), min(1.0, max(share, middle + reach))


def thinned(values: F64, most: int) -> F64:
    """Return at most `most` of the values, evenly spaced in the order given, for pictures."""
    return values if len(values) <= most else values[np.arange(most) * len(values) // most]
