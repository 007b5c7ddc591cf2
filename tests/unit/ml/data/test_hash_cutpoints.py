"""Cuts found by bucket are those that a sort of all hashes finds."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engage_spark.contract import Split
from engage_spark.ml.data.hash_cutpoints import (
    BITS,
    LOW,
    SHARES,
    cut_points,
    nominal,
    places,
    ranks,
    slots,
)

LONG = st.integers(LOW, -LOW - 1)
NEAR = st.integers(-3, 3).map(lambda x: x << (64 - BITS)) | st.integers(0, 3)


def found_by_bucket(hashes: list[int], folds: int) -> tuple[int | None, ...]:
    values = np.array(hashes, dtype=np.int64)
    bucket = values >> (64 - BITS)
    buckets, counts = np.unique(bucket, return_counts=True)
    shuffled = np.random.default_rng(1).permutation(len(buckets))
    bucket_ranks = places(buckets[shuffled], counts[shuffled], ranks(len(values), folds))
    named = {place.bucket for place in bucket_ranks if place is not None}
    return cut_points(bucket_ranks, {b: values[bucket == b] for b in named})


@given(hashes=st.lists(LONG | NEAR, min_size=1, max_size=80), folds=st.integers(2, 7))
def test_a_cut_is_the_hash_at_its_rank_whatever_the_buckets(hashes: list[int], folds: int) -> None:
    by_rank = sorted(hashes)
    expected = tuple(by_rank[r] if r < len(hashes) else None for r in ranks(len(hashes), folds))
    assert found_by_bucket(hashes, folds) == expected


@given(hashes=st.lists(LONG, min_size=1, max_size=80, unique=True), folds=st.integers(2, 7))
def test_as_many_hashes_lie_before_a_cut_as_its_rank_says(hashes: list[int], folds: int) -> None:
    cuts = found_by_bucket(hashes, folds)
    before = tuple(len(hashes) if cut is None else sum(h < cut for h in hashes) for cut in cuts)
    assert before == ranks(len(hashes), folds)


def test_equal_hashes_go_behind_the_cut_together() -> None:
    cuts = found_by_bucket([1, 2, 2, 2, 3], folds=2)
    assert ranks(5, 2) == (1, 3, 4, 5)
    assert cuts == (2, 2, 3, None)


@given(rows=st.integers(0, 10**9), folds=st.integers(2, 20))
def test_sides_have_their_share_to_the_row_and_folds_differ_by_one_at_most(rows: int, folds: int) -> None:
    sizes = np.diff([0, *ranks(rows, folds), rows])
    assert (sizes >= 0).all()
    assert np.ptp(sizes[:folds]) <= 1
    by_side = [int(sizes[:folds].sum()), *sizes[folds:]]
    for (side, percent), size in zip(SHARES, by_side, strict=True):
        assert abs(size - rows * percent / 100) <= (0.8 if side is Split.TEST else 0.72) + 1e-6


@pytest.mark.parametrize("ones", [20_380, 37_901, 37_902, 50_007, 15_713])
def test_the_rate_of_every_side_is_the_rate_of_all_to_one_in_ten_thousand(ones: int) -> None:
    of_ones, of_others = (np.diff([0, *ranks(n, 5), n]) for n in (ones, 100_000 - ones))
    sides = [(of_ones[:5].sum(), of_others[:5].sum()), *zip(of_ones[5:], of_others[5:], strict=True)]
    for a, b in sides:
        assert abs(a / (a + b) - ones / 100_000) <= 1e-4


def test_nominal_cuts_are_the_shares_of_the_range() -> None:
    parts = np.diff([LOW, *nominal(5), -LOW]) / 2.0**64
    assert parts == pytest.approx([0.128] * 5 + [0.08, 0.2, 0.08], abs=1e-15)


def test_there_is_one_slot_more_than_cuts() -> None:
    assert len(slots(5)) == len(ranks(10, 5)) + 1 == len(nominal(5)) + 1
    assert [s.split.value for s in slots(2)] == ["fit", "fit", "calibration", "test", "conformal"]
    assert [s.fold for s in slots(2)] == [0, 1, None, None, None]
