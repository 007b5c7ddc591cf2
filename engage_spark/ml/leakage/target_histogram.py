"""How targets are spread over the values of a feature, and what that says about the two. No Spark."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]


FEWEST = 10
"""Rows that a bin needs for its mean to say something."""


@dataclass(frozen=True, kw_only=True)
class Histogram:
    """Rows that have the target, and the sum of the target over them, by bin of a feature; the last bin is of
    missing values.

    `labels` name the bins. `ordered`: bins lie in the order of their numbers. `known`: a bin is one value.
    Sums are in the target's unit, for a binary target counts of ones. `of_target` is Σ (y − mean)² over all
    rows.
    """

    labels: tuple[str, ...]
    ordered: bool
    known: bool
    rows: I64
    sums: F64
    of_target: float

    @property
    def filled(self) -> NDArray[np.bool_]:
        return self.rows > 0


def auc(h: Histogram) -> float:
    """Area under the ROC curve of the feature alone for a binary target, in the better direction; rows of one
    bin count as ties.

    Missing values are a value of their own, below or above all others, whichever tells more; bins without an
    order are put in that of their rates. Exact where a bin is one value; otherwise off by at most half the
    sum over bins of the shares of both classes' rows within it. 0.5 when only one class is there.
    """
    ones, zeros = h.sums, h.rows - h.sums
    if not (ones.sum() and zeros.sum()):
        return 0.5
    bins = np.arange(len(h.rows))
    if h.ordered:
        orders = [bins, np.roll(bins, 1)]
    else:
        orders = [np.argsort(np.divide(ones, h.rows, out=np.zeros(len(bins)), where=h.filled), kind="stable")]
    found = []
    for order in orders:
        below = np.cumsum(zeros[order]) - zeros[order]
        found.append(float((ones[order] * (below + zeros[order] / 2)).sum() / (ones.sum() * zeros.sum())))
    return max(max(a, 1 - a) for a in found)


def explained(h: Histogram) -> float:
    """Share of the target's variance between the bins (correlation ratio), adjusted for their number.

    1 − (1 − η²)(n − 1)/(n − bins). Many bins of few rows are put together first (see `coarse`): nearly as
    many bins as rows explain everything, and nothing.
    """
    rows, sums = coarse(h)
    n, bins = int(rows.sum()), len(rows)
    if n <= bins or not h.of_target > 0:
        return 0.0
    between = float((rows * (sums / rows - sums.sum() / n) ** 2).sum())
    return 1 - (1 - min(1.0, between / h.of_target)) * (n - 1) / (n - bins)


def coarse(h: Histogram) -> tuple[I64, F64]:
    """Rows and sums of the filled bins; of bins with FEWEST rows or more where there are fewer than that a
    bin on average.

    Neighbours are joined where bins have an order, else all small ones are one bin. Missing values stay a bin
    of their own, unless they are few.
    """
    if int(h.rows.sum()) >= FEWEST * int(h.filled.sum()):
        return h.rows[h.filled], h.sums[h.filled]
    small = h.rows < FEWEST
    if h.ordered:
        upto = np.cumsum(h.rows[:-1])
        # A bin ends where another FEWEST rows are full; the rest joins the last one.
        group = (
            np.minimum((upto - h.rows[:-1]) // FEWEST, max(int(upto[-1]) // FEWEST - 1, 0))
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
    """R² of the target on whether the feature is missing (for a binary target the square of φ)."""
    n, missing = int(h.rows.sum()), int(h.rows[-1])
    if not 0 < missing < n or not h.of_target > 0:
        return 0.0
    apart = float(h.sums[-1] / missing - h.sums[:-1].sum() / (n - missing))
    return min(1.0, apart**2 * missing * (n - missing) / n / h.of_target)


@dataclass(frozen=True)
class ValueGroup:
    """Some values of a feature: how many rows have them, the share of these in the rarer class, the share of
    that class that they hold, and how many times the odds of it are those of the other rows (half a row
    added to each count).
    """

    said: str
    rows: int
    rate: float
    held: float
    odds: float


def value_groups(h: Histogram, *, thresholds: bool) -> Sequence[ValueGroup]:
    """Each single value of a binary target's feature (only where a bin is one), and, with `thresholds`, all
    values up to and from each bin.

    Of the rarer class: the other one is likely in many places without anything being wrong.
    """
    total = int(h.rows.sum())
    rare = h.sums if 2 * h.sums.sum() <= total else h.rows - h.sums
    wanted: list[tuple[str, NDArray[np.intp]]] = []
    if h.known:
        wanted += [(f"= {label}", np.array([i])) for i, label in enumerate(h.labels)]
    else:
        wanted.append((f"= {h.labels[-1]}", np.array([len(h.labels) - 1])))
    if thresholds and h.ordered:
        for i in range(1, len(h.labels) - 1):
            wanted += [
                (f"≥ {h.labels[i]}", np.arange(i, len(h.labels) - 1)),
                (f"< {h.labels[i]}", np.arange(i)),
            ]
    found = []
    for said, at in wanted:
        n, k = int(h.rows[at].sum()), float(rare[at].sum())
        if n and rare.sum():
            out, others = float(rare.sum()) - k, total - n - (float(rare.sum()) - k)
            odds = (k + 0.5) / (n - k + 0.5) / ((out + 0.5) / (others + 0.5))
            found.append(ValueGroup(said, n, k / n, k / float(rare.sum()), odds))
    return found


def pure(h: Histogram) -> bool:
    """Whether every value goes with one class only, and both classes are there."""
    mixed = ((h.sums > 0) & (h.sums < h.rows)).any()
    return h.known and not mixed and 0 < h.sums.sum() < h.rows.sum()
