"""Conformal intervals and sets: the rank, the promise by simulation, groups, too few rows, storage."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from scipy import stats

from engage_spark.errors import InputError
from engage_spark.ml.evaluation.conformal import (
    Conformal,
    ConformalCell,
    calibrate_regression,
    calibrate_sets,
    quantile,
    rank,
)
from engage_spark.ml.feature_spec import Task


@pytest.mark.parametrize(
    ("n", "coverage", "expected"),
    [(9, 0.9, 9), (99, 0.9, 90), (19, 0.95, 19), (10, 0.9, 10), (8, 0.9, 9), (0, 0.5, 1), (999, 0.7, 700)],
)
def test_the_rank_is_that_of_n_plus_one_rows(n: int, coverage: float, expected: int) -> None:
    assert rank(n, coverage) == expected


def test_the_quantile_is_an_order_statistic_and_infinite_where_there_are_too_few() -> None:
    assert quantile([5, 1, 4, 2, 3, 9, 8, 7, 6], 0.9) == 9.0
    assert quantile(np.arange(99)[::-1], 0.9) == 89.0
    assert quantile([1.0] * 8, 0.9) == math.inf
    assert quantile([], 0.5) == math.inf
    with pytest.raises(InputError, match="coverage of 90 is none"):
        quantile([1.0], 90)


def skewed(n: int, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Errors that grow with the prediction, as lifetime values have them."""
    p = random.gamma(1.0, 300.0, n)
    return np.maximum(p + random.normal(0, 1, n) * (20 + 0.5 * p), 0.0), p


@pytest.mark.parametrize("parts", [1, 10])
def test_intervals_cover_what_they_promise_within_binomial_bounds(parts: int) -> None:
    random = np.random.default_rng(1)
    hits = rows = 0
    for _ in range(40):
        y, p = skewed(800, random)
        made = calibrate_regression(y, p, coverage=0.9, minimum=0.0, maximum=5000.0, parts=parts)
        y, p = skewed(500, random)
        hits, rows = hits + int(made.covered(y, p).sum()), rows + 500
    # Over calibrations, coverage is spread as Beta(k, n + 1 - k) around its promise; its error adds to that
    # of the counted rows.
    spread = math.sqrt(0.09 / rows + 0.09 / (40 * 800))
    # Ten ranges of 80 rows round up to rank 73 of 81: 90.1% is promised there.
    assert 0.9 - 4 * spread <= hits / rows <= 0.903 + 4 * spread


def test_ranges_of_predictions_keep_the_promise_in_each_and_adapt_their_width() -> None:
    random = np.random.default_rng(2)
    y, p = skewed(20_000, random)
    one, ten = (calibrate_regression(y, p, coverage=0.9, minimum=0.0, parts=parts) for parts in (1, 10))
    y, p = skewed(20_000, random)
    small, large = p < np.quantile(p, 0.1), p > np.quantile(p, 0.9)
    assert one.covered(y, p)[small].mean() > 0.99 and one.covered(y, p)[large].mean() < 0.75
    for rows in (small, large):
        assert ten.covered(y, p)[rows].mean() == pytest.approx(0.9, abs=4 * math.sqrt(0.09 / 2000 * 2))
    low, high = ten.intervals(p)
    assert (high - low)[large].mean() > 5 * (high - low)[small].mean()
    assert np.median(high - low) < np.median(np.subtract(*one.intervals(p)[::-1]))


def labelled(n: int, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    p = random.beta(1, 5, n)
    return (random.random(n) < p).astype(float), p


def test_sets_by_class_cover_the_rare_class_and_marginal_ones_do_not() -> None:
    random = np.random.default_rng(3)
    y, p = labelled(8000, random)
    by_class, marginal = (calibrate_sets(y, p, coverage=0.9, by_class=b) for b in (True, False))
    y, p = labelled(40_000, random)
    for made in (by_class, marginal):
        n = int((y == 1).sum())
        spread = 4 * math.sqrt(0.09 / len(y) + 0.09 / 8000)
        assert made.covered(y, p).mean() == pytest.approx(0.9, abs=spread)
        assert (
            made.covered(y, p)[y == 1].mean() > 0.9 - 4 * math.sqrt(0.09 / n + 0.09 / 1300)
        ) == made.by_class
    zero, one = by_class.sets(p)
    assert 0.2 < (zero & one).mean() < 0.8


def test_a_good_model_leaves_sets_empty_where_a_row_is_like_none() -> None:
    y = np.array([0.0] * 100 + [1.0] * 100)
    p = np.concatenate([np.linspace(0, 0.2, 100), np.linspace(0.8, 1, 100)])
    zero, one = calibrate_sets(y, p, coverage=0.9).sets([0.05, 0.5, 0.95])
    assert zero.tolist() == [True, False, False] and one.tolist() == [False, False, True]


def test_groups_have_a_promise_each_and_an_unknown_one_has_the_whole_range() -> None:
    random = np.random.default_rng(4)
    groups = np.array([None, "a", "b"], dtype=object)[random.integers(0, 3, 6000)]
    scale = np.array([{"a": 1.0, "b": 10.0, None: 3.0}[g] for g in groups])
    p = random.random(6000) * 100
    y = p + random.normal(0, 1, 6000) * scale
    made = calibrate_regression(y, p, coverage=0.9, groups=groups, minimum=-50.0, maximum=150.0)
    assert [c.group for c in made.cells] == ["a", "b", None]
    assert sum(c.n for c in made.cells) == 6000
    for c in made.cells:
        assert c.radius == pytest.approx(1.645 * {"a": 1.0, "b": 10.0, None: 3.0}[c.group], rel=0.08)
    low, high = made.intervals([50.0, 50.0], ["c", "a"])
    assert (low[0], high[0]) == (-50.0, 150.0) and high[1] - low[1] < 4
    with pytest.raises(InputError, match="0 groups are given for 2 rows"):
        made.intervals([1.0, 2.0])


def test_too_few_rows_promise_the_whole_range_and_are_named() -> None:
    made = calibrate_regression([1.0, 2.0], [1.0, 1.0], coverage=0.9, minimum=0.0, maximum=5.0)
    assert made.too_small == (ConformalCell(group=None, part=0, n=2, radius=math.inf),)
    low, high = made.intervals([3.0])
    assert (low[0], high[0]) == (0.0, 5.0)
    zero, one = calibrate_sets([1, 0], [0.9, 0.1], coverage=0.9).sets([0.5])
    assert zero[0] and one[0]


def test_intervals_stay_within_the_bounds() -> None:
    made = Conformal(
        task=Task.REGRESSION,
        coverage=0.9,
        cells=(ConformalCell(group=None, part=0, n=99, radius=0.3),),
        minimum=0.0,
        maximum=1.0,
    )
    low, high = made.intervals([0.1, 0.5, 0.9])
    np.testing.assert_allclose(low, [0.0, 0.2, 0.6])
    np.testing.assert_allclose(high, [0.4, 0.8, 1.0])


def test_equal_predictions_share_a_range() -> None:
    y = np.arange(100.0)
    assert calibrate_regression(y, np.zeros(100), coverage=0.9, parts=10).cuts == ()
    mostly = calibrate_regression(y, np.where(y < 60, 0.0, y), coverage=0.9, parts=4)
    assert mostly.cuts == (75.0,) and [c.n for c in mostly.cells] == [75, 25]


def test_what_was_stored_is_read_back_as_it_was() -> None:
    random = np.random.default_rng(5)
    y, p = skewed(60, random)
    for made in (
        calibrate_regression(y, p, coverage=0.9, minimum=0.0, parts=6, groups=["x"] * 40 + [None] * 20),
        calibrate_sets(*labelled(50, random), coverage=0.95),
    ):
        assert made.too_small
        assert Conformal.from_json(made.to_json()) == made
        json.loads(made.to_json())
    with pytest.raises(InputError, match="not a stored conformal calibration"):
        Conformal.from_json('{"task": "ranking", "cells": []}')


def test_the_promise_holds_over_calibrations_as_the_beta_distribution_has_it() -> None:
    """Given a calibration of n rows, coverage is Beta(k, n + 1 - k) (Vovk 2012): the rank is neither 1 too
    high nor too low.
    """
    random = np.random.default_rng(6)
    n, k = 50, rank(50, 0.9)
    radii = [quantile(random.random(n), 0.9) for _ in range(3000)]
    assert stats.kstest(radii, stats.beta(k, n + 1 - k).cdf).pvalue > 0.001
    assert stats.kstest(radii, stats.beta(k - 1, n + 2 - k).cdf).pvalue < 1e-9
