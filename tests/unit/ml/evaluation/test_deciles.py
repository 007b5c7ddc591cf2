"""Tenths, calibration bins and bounds of shares: against counting by hand and scipy."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from engage_spark.ml.evaluation.deciles import calibration, deciles, thinned, wilson
from engage_spark.ml.feature_spec import Task


def test_tenths_are_those_of_sorting_when_no_scores_are_equal() -> None:
    random = np.random.default_rng(1)
    s = random.permutation(1005) / 1005
    y = (random.random(1005) < s).astype(float)
    found = deciles(y, s, task=Task.BINARY)
    ordered = y[np.argsort(-s)]
    ends = np.arange(11) * 1005 // 10
    for t, start, end in zip(found, ends, ends[1:], strict=False):
        assert t.n == end - start
        assert t.mean_label == pytest.approx(ordered[start:end].mean())
        assert t.mean_score == pytest.approx(np.sort(s)[::-1][start:end].mean())
        assert t.lift == pytest.approx(ordered[start:end].mean() / y.mean())
        assert t.cumulative_share == pytest.approx(ordered[:end].sum() / y.sum())
    assert found[-1].cumulative_share == pytest.approx(1.0)


def test_rows_of_one_score_share_their_labels_whatever_their_order() -> None:
    y = np.array([1.0] * 30 + [0.0] * 70)
    for order in (np.arange(100), np.arange(100)[::-1]):
        found = deciles(y[order], np.full(100, 0.3), task=Task.BINARY)
        assert [t.lift for t in found] == pytest.approx([1.0] * 10)
        assert [t.mean_score for t in found] == pytest.approx([0.3] * 10)


def test_lift_needs_labels_that_add_up() -> None:
    assert {t.lift for t in deciles([-1.0, 2.0, 3.0], [1.0, 2.0, 3.0], task=Task.REGRESSION)} == {None}
    assert {t.cumulative_share for t in deciles([0, 0], [0.1, 0.2], task=Task.BINARY)} == {None}
    assert len(deciles([1.0, 2.0, 3.0], [1.0, 2.0, 3.0], task=Task.REGRESSION)) == 3


@pytest.mark.parametrize("mass", [True, False])
def test_calibration_bins_hold_every_row_once(mass: bool) -> None:
    random = np.random.default_rng(2)
    p = np.round(random.beta(2, 5, 4000), 3)
    y = (random.random(4000) < p).astype(float)
    found = calibration(y, p, mass=mass)
    assert sum(b.n for b in found) == 4000
    assert sum(b.n * b.share for b in found) == pytest.approx(y.sum())
    assert sum(b.n * b.mean_score for b in found) == pytest.approx(p.sum())
    assert [b.mean_score for b in found] == sorted(b.mean_score for b in found)
    if mass:
        assert max(b.n for b in found) < 1.3 * min(b.n for b in found)
    else:
        sizes = pd.cut(p, np.arange(16) / 15, right=False).value_counts()
        assert [b.n for b in found] == [n for n in sizes if n]


@pytest.mark.parametrize(("part", "whole"), [(0, 5), (5, 5), (3, 17), (379, 1000)])
def test_bounds_of_a_share_are_wilsons(part: int, whole: int) -> None:
    low, high = wilson(part, whole, confidence=0.9)
    expected = stats.binomtest(part, whole).proportion_ci(0.9, method="wilson")
    assert (low, high) == pytest.approx((expected.low, expected.high), abs=1e-12)


def test_bounds_hold_the_share_at_both_ends() -> None:
    """62 of 62 had an upper bound below 1 by rounding, which no picture could show."""
    for whole in range(1, 400):
        for part in (0.0, float(whole)):
            low, high = wilson(part, float(whole))
            assert low <= part / whole <= high, whole


def test_of_nothing_there_is_no_share_and_few_values_are_all_shown() -> None:
    assert all(math.isnan(x) for x in wilson(0, 0))
    assert thinned(np.arange(10.0), 20).tolist() == list(range(10))
    assert thinned(np.arange(10.0), 5).tolist() == [0, 2, 4, 6, 8]


def test_bounds_of_calibration_bins_count_customers() -> None:
    random = np.random.default_rng(3)
    p = random.random(600)
    y = (random.random(600) < p).astype(float)
    once = calibration(y, p)
    alike = calibration(np.tile(y, 3), np.tile(p, 3), customers=np.tile(np.arange(600), 3))
    apart = calibration(np.tile(y, 3), np.tile(p, 3), customers=np.arange(1800))
    for a, b, c in zip(once, alike, apart, strict=True):
        assert b.n == 3 * a.n and (b.low, b.high) == pytest.approx((a.low, a.high), rel=1e-9)
        assert c.high - c.low < b.high - b.low
