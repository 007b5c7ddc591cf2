"""Measure from a histogram of the target over a feature's values how much the feature reveals. No Spark."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engage_spark.numerics.dtypes import F64, I64

BIN_ROWS = 10
"""The fewest rows of a bin whose mean means something."""


@dataclass(frozen=True, kw_only=True)
class Histogram:
    """Rows that have the target, and the sum of the target over them, by bin of a feature; the last bin holds
    the missing values.

    `labels` name the bins. `ordered`: bins lie in the order of their numbers. `single`: a bin is one value.
    `of_target` is Σ (y − mean)² over all rows.

    Units: sums are in the target's unit, for a binary target counts of ones.
    """

    labels: tuple[str, ...]
    ordered: bool
    single: bool
    rows: I64
    sums: F64
    of_target: float

    @property
    def filled(self) -> NDArray[np.bool_]:
        """Which bins hold rows."""
        return self.rows > 0


def auc(h: Histogram) -> float:
    """Compute the area under the ROC curve of the feature alone for a binary target, in the better direction;
    rows of one bin count as ties.

    Missing values are a value of their own, below or above all others, whichever gives more; bins without an
    order are put in the order of their rates. Exact where a bin is one value; otherwise off by at most half
    the sum over bins of the shares of both classes' rows within it. 0.5 when only one class is there.
    """
    ones, zeros = h.sums, h.rows - h.sums
    if not (ones.sum() and zeros.sum()):
        return 0.5
    bins = np.arange(len(h.rows))
    if h.ordered:
        orders = [bins, np.roll(bins, 1)]
    else:
        orders = [np.argsort(np.divide(ones, h.rows, out=np.zeros(len(bins)), where=h.filled), kind="stable")]
    areas = []
    for order in orders:
        below = np.cumsum(zeros[order]) - zeros[order]
        areas.append(float((ones[order] * (below + zeros[order] / 2)).sum() / (ones.sum() * zeros.sum())))
    return max(max(a, 1 - a) for a in areas)


def explained(h: Histogram) -> float:
    """Compute the share of the target's variance between the bins (correlation ratio), adjusted for their
    number.

    1 − (1 − η²)(n − 1)/(n − bins). Many bins of few rows are joined first (see `coarse`): with nearly as many
    bins as rows everything would seem explained.
    """
    rows, sums = coarse(h)
    n, bins = int(rows.sum()), len(rows)
    if n <= bins or not h.of_target > 0:
        return 0.0
    between = float((rows * (sums / rows - sums.sum() / n) ** 2).sum())
    return 1 - (1 - min(1.0, between / h.of_target)) * (n - 1) / (n - bins)


def coarse(h: Histogram) -> tuple[I64, F64]:
    """Return rows and sums of the filled bins; of bins with BIN_ROWS rows or more where there are fewer than
    that a bin on average.

    Neighbours are joined where bins have an order, else all small ones are one bin. Missing values stay a bin
    of their own, unless they are few.
    """
    if int(h.rows.sum()) >= BIN_ROWS * int(h.filled.sum()):
        return h.rows[h.filled], h.sums[h.filled]
    small = h.rows < BIN_ROWS
    if h.ordered:
        upto = np.cumsum(h.rows[:-1])
        # A bin ends where another BIN_ROWS rows are full; the rest joins the last one.
        group = (
            np.minimum((upto - h.rows[:-1]) // BIN_ROWS, max(int(upto[-1]) // BIN_ROWS - 1, 0))
            if len(upto)
            else upto
        )
        group = np.append(
            group, group[-1] if small[-1] and len(group) else (int(group[-1]) + 1 if len(group) else 0)
        )
    else:
        group = np.where(small, len(h.rows), np.arange(len(h.rows)))
    _, at = np.unique(group, return_inverse=True)
    rows, sums = np.zeros(at.max() + 1, np.int64), np.zeros(at.max() + 1)
    np.add.at(rows, at, h.rows)
    np.add.at(sums, at, h.sums)
    return rows[rows > 0], sums[rows > 0]


def missing_r2(h: Histogram) -> float:
    """Compute R² of the target on whether the feature is missing (for a binary target the square of φ)."""
    n, missing = int(h.rows.sum()), int(h.rows[-1])
    if not 0 < missing < n or not h.of_target > 0:
        return 0.0
    apart = float(h.sums[-1] / missing - h.sums[:-1].sum() / (n - missing))
    return min(1.0, apart**2 * missing * (n - missing) / n / h.of_target)


@dataclass(frozen=True)
class ValueGroup:
    """Some values of a feature, such as "= 3" or "≥ 5": how many rows have them, the share of these in the
    rarer class (`rate`), the share of that class that they hold (`held`), and how many times the odds of
    it are those of the other rows (half a row added to each count).
    """

    values: str
    rows: int
    rate: float
    held: float
    odds: float


def value_groups(h: Histogram, *, thresholds: bool) -> Sequence[ValueGroup]:
    """List the groups of values of a binary target's feature: each single value (where a bin is one), and,
    with `thresholds`, all values below and from each bin on.

    Rates are of the rarer class: the other one is likely in many groups without anything being wrong.
    """
    total = int(h.rows.sum())
    rare = h.sums if 2 * h.sums.sum() <= total else h.rows - h.sums
    bins: list[tuple[str, NDArray[np.intp]]] = []
    if h.single:
        bins += [(f"= {label}", np.array([i])) for i, label in enumerate(h.labels)]
    else:
        bins.append((f"= {h.labels[-1]}", np.array([len(h.labels) - 1])))
    if thresholds and h.ordered:
        for i in range(1, len(h.labels) - 1):
            bins += [
                (f"≥ {h.labels[i]}", np.arange(i, len(h.labels) - 1)),
                (f"< {h.labels[i]}", np.arange(i)),
            ]
    groups = []
    for values, at in bins:
        n, k = int(h.rows[at].sum()), float(rare[at].sum())
        if n and rare.sum():
            outside, others = float(rare.sum()) - k, total - n - (float(rare.sum()) - k)
            odds = (k + 0.5) / (n - k + 0.5) / ((outside + 0.5) / (others + 0.5))
            groups.append(ValueGroup(values, n, k / n, k / float(rare.sum()), odds))
    return groups


def pure(h: Histogram) -> bool:
    """Tell whether every value goes with one class only, and both classes are there."""
    mixed = ((h.sums > 0) & (h.sums < h.rows)).any()
    return h.single and not mixed and 0 < h.sums.sum() < h.rows.sum()
