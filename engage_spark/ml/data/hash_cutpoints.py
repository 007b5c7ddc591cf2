"""Where to cut a list of 64-bit hashes by rank without sorting it: count them by their top bits, then look
into the few that are cut.

A cut-point is the smallest hash that lies behind it, so a side follows from a hash alone: equal hashes are
never parted, they all go behind the cut. Pure numpy; Spark counts and fetches (`split`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from engage_spark.contract import Split

I64 = NDArray[np.int64]

BITS = 16
"""Top bits of a hash that make its bucket: 65,536 of them, 1,500 hashes in each at 100 million."""
LOW = -(2**63)


SHARES = ((Split.FIT, 64), (Split.CALIBRATION, 8), (Split.TEST, 20), (Split.CONFORMAL, 8))
"""Percent of each side, in the order of the hashes. In this order no side misses its share of n rows by more
than 0.8 rows, the two small ones by 0.72, so that at 100,000 rows the rate of no side is more than 1e-4
off.
"""


class HashSlot(NamedTuple):
    """One stretch of the hashes: a side, and of the side that is fitted a fold."""

    split: Split
    fold: int | None


class BucketRank(NamedTuple):
    """The hash at a rank: the `offset`-th smallest of its bucket, counted from 0."""

    bucket: int
    offset: int


def slots(folds: int) -> tuple[HashSlot, ...]:
    """The stretches in the order of the hashes, `folds` of side fit first."""
    return (
        *(HashSlot(Split.FIT, i) for i in range(folds)),
        *(HashSlot(split, None) for split, _ in SHARES[1:]),
    )


def ranks(rows: int, folds: int) -> tuple[int, ...]:
    """How many of `rows` lie before each cut; one cut fewer than slots. Shares are rounded to whole rows,
    folds differ by at most one.
    """
    ends, total = [], 0
    for _, percent in SHARES:
        total += percent
        ends.append((rows * total + 50) // 100)
    return (*(ends[0] * i // folds for i in range(1, folds)), *ends[:-1])


def nominal(folds: int) -> tuple[int, ...]:
    """The cut-points that the shares have of the whole range of hashes, for those who come later."""
    fit = SHARES[0][1]
    parts = [(fit * i, folds) for i in range(1, folds)]
    total = 0
    for _, percent in SHARES[:-1]:
        total += percent
        parts.append((total, 1))
    return tuple(LOW + (2**64 * share) // (100 * over) for share, over in parts)


def places(buckets: I64, counts: I64, at: Sequence[int]) -> tuple[BucketRank | None, ...]:
    """The bucket that holds each rank of `at`, counted from 0 in the order of the hashes; None for a rank
    behind the last hash.

    `buckets` are those that hold any hash, in any order, with how many; `at` must not fall.
    """
    order = np.argsort(buckets)
    behind = np.cumsum(counts[order])
    found: list[BucketRank | None] = []
    for rank in at:
        i = int(np.searchsorted(behind, rank, side="right"))
        if i == len(behind):
            found.append(None)
        else:
            found.append(BucketRank(int(buckets[order[i]]), rank - int(behind[i] - counts[order[i]])))
    return tuple(found)


def cut_points(found: Sequence[BucketRank | None], hashes: Mapping[int, I64]) -> tuple[int | None, ...]:
    """The hash at each place, given all hashes of the buckets that are named; None, behind which nothing
    lies, for no place.
    """
    ordered = {bucket: np.sort(values) for bucket, values in hashes.items()}
    return tuple(None if place is None else int(ordered[place.bucket][place.offset]) for place in found)
