"""Find the cut-points of 64-bit hashes by rank without sorting them: count by top bits, then sort the few
buckets that hold a cut.

A cut-point is the smallest hash behind it, so a split follows from a hash alone: equal hashes are never
parted, they all go behind the cut. Pure numpy; Spark counts and fetches (`split`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from engage_spark.contract import Split
from engage_spark.numerics.dtypes import I64

BITS = 16
"""Top bits of a hash that make its bucket: 65,536 of them, 1,500 hashes in each at 100 million."""
LOW = -(2**63)


SHARES = ((Split.FIT, 64), (Split.CALIBRATION, 8), (Split.TEST, 20), (Split.CONFORMAL, 8))
"""Percent of each split, in the order of the hashes. In this order no split misses its share of n rows by
more than 0.8 rows, the two small ones by 0.72, so that at 100,000 rows the rate of no split is more than
1e-4 off.
"""


class HashSlot(NamedTuple):
    """One range of the hashes: a split, and of split fit a fold."""

    split: Split
    fold: int | None


class BucketRank(NamedTuple):
    """The hash at a rank: the `offset`-th smallest of its bucket, counted from 0."""

    bucket: int
    offset: int


def slots(folds: int) -> tuple[HashSlot, ...]:
    """List the ranges in the order of the hashes, `folds` of split fit first."""
    return (
        *(HashSlot(Split.FIT, i) for i in range(folds)),
        *(HashSlot(split, None) for split, _ in SHARES[1:]),
    )


def ranks(rows: int, folds: int) -> tuple[int, ...]:
    """Compute how many of `rows` lie before each cut; there is one cut fewer than slots. Shares are rounded
    to whole rows, folds differ by at most one.
    """
    ends, total = [], 0
    for _, percent in SHARES:
        total += percent
        ends.append((rows * total + 50) // 100)
    return (*(ends[0] * i // folds for i in range(1, folds)), *ends[:-1])


def nominal(folds: int) -> tuple[int, ...]:
    """Compute the cut-points of the shares of the whole range of hashes, for newcomers."""
    fit = SHARES[0][1]
    parts = [(fit * i, folds) for i in range(1, folds)]
    total = 0
    for _, percent in SHARES[:-1]:
        total += percent
        parts.append((total, 1))
    return tuple(LOW + (2**64 * share) // (100 * over) for share, over in parts)


def places(buckets: I64, counts: I64, at: Sequence[int]) -> tuple[BucketRank | None, ...]:
    """Find the bucket that holds each rank of `at`, counted from 0 in the order of the hashes; None for a
    rank behind the last hash.

    `buckets` are those that hold any hash, in any order, with how many; `at` must not fall.
    """
    order = np.argsort(buckets)
    upto = np.cumsum(counts[order])
    bucket_ranks: list[BucketRank | None] = []
    for rank in at:
        i = int(np.searchsorted(upto, rank, side="right"))
        if i == len(upto):
            bucket_ranks.append(None)
        else:
            bucket_ranks.append(BucketRank(int(buckets[order[i]]), rank - int(upto[i] - counts[order[i]])))
    return tuple(bucket_ranks)


def cut_points(
    bucket_ranks: Sequence[BucketRank | None], hashes: Mapping[int, I64]
) -> tuple[int | None, ...]:
    """Return the hash at each rank, given all hashes of the buckets that are named; None, a cut with nothing
    behind it, where there is no rank.
    """
    ordered = {bucket: np.sort(values) for bucket, values in hashes.items()}
    return tuple(
        None if place is None else int(ordered[place.bucket][place.offset]) for place in bucket_ranks
    )
