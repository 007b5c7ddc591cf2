"""Counted shares and their exact bounds, against scipy's beta quantiles."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from engage_spark.numerics.binomial import binomial_bounds


def oracle(hits: np.ndarray, samples: int, levels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    p = np.exp(-levels)
    lower = np.where(hits > 0, stats.beta.ppf(p, np.maximum(hits, 1), samples - hits + 1), 0.0)
    upper = np.where(hits < samples, stats.beta.isf(p, hits + 1, np.maximum(samples - hits, 1)), 1.0)
    return lower, upper


@pytest.mark.parametrize("samples", [1, 2, 17, 1000, 300_000, 20_000_000])
def test_the_bounds_are_the_quantiles_of_the_beta_distribution(samples: int) -> None:
    random = np.random.default_rng(samples)
    hits = np.unique(
        np.concatenate(
            [
                [0, 1, samples // 2, samples - 1, samples],
                random.integers(0, samples + 1, 30),
                np.minimum(samples, random.geometric(0.05, 30)),
            ]
        )
    )
    for level in (0.7, 2.3, 12.0, 30.0):
        levels = np.full(len(hits), level)
        lower, upper = binomial_bounds(hits, samples, levels)
        expected = oracle(hits, samples, levels)
        np.testing.assert_allclose(lower, expected[0], rtol=3e-8, atol=1e-300)
        np.testing.assert_allclose(upper, expected[1], rtol=3e-8)


def test_bounds_are_rounded_outward() -> None:
    hits = np.arange(1, 400)
    lower, upper = binomial_bounds(hits, 1000, 10.0)
    p = np.exp(-10.0)
    assert (stats.binom.sf(hits - 1, 1000, lower) <= p).all()
    assert (stats.binom.cdf(hits, 1000, upper) <= p).all()


def test_a_bound_of_one_hit_at_an_extreme_level_has_its_closed_form() -> None:
    """P(Bin(t, x) >= 1) = 1 - (1 - x)^t = exp(-level)."""
    for level in (200.0, 600.0):
        lower, _ = binomial_bounds([1], 10, level)
        np.testing.assert_allclose(lower[0], -np.expm1(np.log1p(-np.exp(-level)) / 10), rtol=3e-9)


def test_the_bounds_of_known_counts_are_fixed() -> None:
    lower, upper = binomial_bounds([0, 7, 499], 500, [1.0, 9.0, 20.0])
    assert [x.hex() for x in (*lower.tolist(), *upper.tolist())] == [
        "0x0.0p+0",
        "0x1.18fb89d849768p-9",
        "0x1.e8c6ed60f0590p-1",
        "0x1.05e1ccc78d582p-9",
        "0x1.6d95cc13bdd12p-5",
        "0x1.0000000000000p+0",
    ]


def test_a_side_never_fails_more_often_than_it_holds() -> None:
    assert binomial_bounds([7], 500, [0.0])[0] == binomial_bounds([7], 500, [np.log(2)])[0]


def test_without_samples_nothing_is_known() -> None:
    lower, upper = binomial_bounds([0, 0], 0, 3.0)
    assert lower.tolist() == [0, 0] and upper.tolist() == [1, 1]


def test_bounds_of_each_count_do_not_depend_on_the_others() -> None:
    alone = binomial_bounds([7], 500, [9.0])
    among = binomial_bounds([0, 7, 499], 500, [1.0, 9.0, 20.0])
    assert (among[0][1], among[1][1]) == (alone[0][0], alone[1][0])
