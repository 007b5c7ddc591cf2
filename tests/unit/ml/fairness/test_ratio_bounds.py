"""Bounds of ratios against their definition, and at shares of 0 and 1."""

from __future__ import annotations

import numpy as np
import pytest

from engage_spark.ml.fairness.ratio_bounds import mean_ratio_bounds, ratio_bounds


def test_bounds_of_large_samples_are_those_of_the_logarithm_of_the_ratio() -> None:
    low, high = ratio_bounds([0.3, 0.4], [1e6, 2e6], confidence=0.95)
    reach = 1.959964 * (0.7 / (0.3 * 1e6) + 0.6 / (0.4 * 2e6)) ** 0.5
    assert (np.log(low[0, 1]), np.log(high[0, 1])) == pytest.approx(
        (np.log(0.75) - reach, np.log(0.75) + reach), abs=2e-5
    )
    assert low[1, 0] == pytest.approx(1 / high[0, 1]) and high[1, 0] == pytest.approx(1 / low[0, 1])


def test_more_pairs_make_wider_bounds() -> None:
    two, ten = (ratio_bounds([0.5] * k, [500.0] * k, confidence=0.95) for k in (2, 10))
    assert ten[1][0, 1] > two[1][0, 1] and ten[0][0, 1] < two[0][0, 1]


def test_shares_of_nothing_and_of_all_have_bounds() -> None:
    low, high = ratio_bounds([0.0, 1.0, 0.0], [200.0, 200.0, 100.0], confidence=0.95)
    assert low[0, 1] == 0.0 and 0.0 < high[0, 1] < 0.1
    assert high[1, 0] == np.inf and low[1, 0] == pytest.approx(1 / high[0, 1])
    assert (low[0, 2], high[0, 2]) == (0.0, np.inf), "nothing is known of 0 over 0"
    assert not np.isnan(low).any() and not np.isnan(high).any()


@pytest.mark.parametrize(("share", "n"), [(0.05, 100), (0.2, 100), (0.9, 100), (0.38, 600)])
def test_pairs_at_four_fifths_are_below_it_in_few_of_many_draws(share: float, n: int) -> None:
    draw = np.random.default_rng(5)
    shares = np.full(12, share)
    shares[0] *= 0.8
    draws = draw.binomial(n, shares, size=(400, 12)) / n
    below = sum(ratio_bounds(p, np.full(12, n), confidence=0.95)[1].min() < 0.8 for p in draws)
    assert below <= 20


def test_bounds_of_the_ratio_of_two_means_are_those_of_its_logarithm() -> None:
    low, high = mean_ratio_bounds([2.0, 4.0, 0.0], [0.2, 0.4, 0.1], confidence=0.95)
    one_pair = mean_ratio_bounds([2.0, 4.0], [0.2, 0.4], confidence=0.95)
    reach = 1.959963984540054 * (0.1**2 + 0.1**2) ** 0.5
    assert (one_pair[0][0, 1], one_pair[1][0, 1]) == pytest.approx(
        (0.5 * np.exp(-reach), 0.5 * np.exp(reach))
    )
    assert one_pair[0][1, 0] == pytest.approx(1 / one_pair[1][0, 1])
    assert low[0, 1] < one_pair[0][0, 1] and high[0, 1] > one_pair[1][0, 1], "three pairs at once"
    assert (low[0, 2], high[0, 2]) == (0.0, np.inf), "a mean of 0 has no ratio"
