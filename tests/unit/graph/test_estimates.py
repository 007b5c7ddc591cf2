"""Point values keep the allowed error wherever the truth is, and standard errors hold or are not told."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from engage_spark.graph.adaptive_sampling import HitHistogram, SamplingBounds, StoppingRule
from engage_spark.graph.estimates import LEAST_ERROR, ScoreEstimator
from engage_spark.graph.kernels.brandes import dependencies, exponent_of_squares, exponent_of_sums
from engage_spark.numerics import fixed_point
from tests.support.graphs import real


def bounds_of(lower: list[float], upper: list[float], *, vertices: list[int] | None = None, top_k: int = 3):
    n = len(lower)
    histogram = HitHistogram(
        np.zeros(n, dtype=np.int64), np.arange(n)[::-1].copy(), np.array(vertices or [1] * n)
    )
    return SamplingBounds(histogram, np.array(lower), np.array(upper), 1000, 100, 1, False, top_k)


def made_numbers(hits: np.ndarray, total: np.ndarray, squares: np.ndarray, n: int) -> dict[str, np.ndarray]:
    hi, lo = fixed_point.to_limbs(total, exponent_of_sums(n))
    squares_hi, squares_lo = fixed_point.to_limbs(squares, exponent_of_squares(n))
    return {
        "v": np.arange(len(hits)),
        "hi": hi,
        "lo": lo,
        "squares_hi": squares_hi,
        "squares_lo": squares_lo,
        "calibration": np.zeros(len(hits), dtype=np.int64),
        "hits": hits,
    }


@pytest.mark.parametrize("estimate", [0.0, 0.1, 0.5, 1.0])
def test_a_value_is_within_epsilon_of_both_ends_of_its_interval(estimate: float) -> None:
    """Before, the estimate was clipped into the interval only, and could be twice epsilon off."""
    n, k, epsilon = 1000, 50, 0.05
    rule = StoppingRule(epsilon=epsilon * (n - 2) / n)
    bounds = bounds_of([0.3, 0.1, 0.0, 0.001], [0.4 * 0.998, 0.19, 0.06, 0.002])
    estimator = ScoreEstimator.from_bounds(n, bounds, k, rule=rule)
    total = np.full(4, estimate * k * (n - 1.0))
    columns = estimator.columns(
        made_numbers(np.arange(4)[::-1].copy(), total, total**2 / k, n), None, np.zeros(4, dtype=bool)
    )
    for end in ("lower", "upper"):
        assert np.abs(columns["betweenness"] - columns[end]).max() <= epsilon + 1e-12
    assert (columns["lower"] <= columns["betweenness"]).all()
    assert (columns["betweenness"] <= columns["upper"]).all()


def test_all_sources_give_the_exact_value_and_a_moved_value_has_a_larger_error() -> None:
    n, epsilon = 1000, 0.05
    bounds, rule = bounds_of([0.3], [0.4 * 0.998]), StoppingRule(epsilon=epsilon * (n - 2) / n)
    zero, values = np.zeros(1, dtype=bool), {}
    for k in (100, n):
        total = np.array([0.31 * k * (n - 2.0) * (n - 1) / n])
        numbers = made_numbers(np.array([0]), total, total**2 / k * 3, n)
        values[k] = ScoreEstimator.from_bounds(n, bounds, k, rule=rule).columns(numbers, None, zero)
    assert values[n]["betweenness"][0] == pytest.approx(0.31) and values[n]["stderr"][0] == 0.0
    moved = values[100]["betweenness"][0] - 0.31
    assert moved == pytest.approx(0.39999 - 0.05 - 0.31, abs=2e-3)
    alone = 0.31 * (2 / 99 * 0.9) ** 0.5
    assert values[100]["stderr"][0] == pytest.approx(alone + moved / 2, rel=0.01)


def test_a_value_of_the_top_is_within_the_relative_error_of_both_ends() -> None:
    lower, upper = np.array([0.4, 0.02, 0.0]), np.array([0.5, 0.0299, 0.01])
    low, high = StoppingRule(relative_error=0.2).value_limits(lower, upper)
    for value in (low, high):
        assert (np.abs(value - upper)[:2] <= 0.2 * upper[:2] + 1e-15).all()
        assert (np.abs(value - lower)[:2] <= 0.2 * lower[:2] + 1e-15).all()
    assert (low[2], high[2]) == (0.0, 0.01), "wider than the rule asks: not of the top"


def test_bounds_tell_which_vertices_of_the_top_and_which_places_are_certain() -> None:
    apart = bounds_of([0.5, 0.3, 0.2, 0.1], [0.6, 0.4, 0.25, 0.15], vertices=[1, 1, 1, 9])
    assert (apart.certain_members, apart.certain_places, apart.contenders) == (3, 3, 3)
    swapped = bounds_of([0.5, 0.3, 0.28, 0.1], [0.6, 0.4, 0.35, 0.15], vertices=[1, 1, 1, 9])
    assert (swapped.certain_members, swapped.certain_places) == (3, 1)
    rivals = bounds_of([0.5, 0.3, 0.2, 0.1], [0.6, 0.4, 0.25, 0.21], vertices=[1, 1, 1, 9])
    assert (rivals.certain_members, rivals.certain_places, rivals.contenders) == (2, 2, 12)
    alike = bounds_of([0.5, 0.1], [0.6, 0.15], vertices=[2, 9])
    assert (alike.certain_members, alike.certain_places) == (2, 0)
    few = bounds_of([0.5, 0.1], [0.6, 0.15])
    assert (few.certain_members, few.certain_places) == (2, 2)


def test_errors_that_cannot_be_known_are_not_told_and_those_of_all_sources_are_none() -> None:
    n = 1000
    bounds = bounds_of([0.0, 0.0], [1.0, 1.0])
    total = np.array([50 * 500.0, 50.0])
    numbers = made_numbers(np.array([1, 0]), total, np.array([50 * 500.0**2 * 1.4, 51.0]), n)
    known = ScoreEstimator.from_bounds(n, bounds, 50, rule=StoppingRule(epsilon=0.5))
    errors = known.columns(numbers, None, np.zeros(2, dtype=bool))["stderr"]
    assert errors[0] > LEAST_ERROR / 50 and np.isnan(errors[1])
    assert known.columns(numbers, None, np.ones(2, dtype=bool))["stderr"].tolist() == [0.0, 0.0]
    every = ScoreEstimator.from_bounds(n, bounds, n, rule=StoppingRule(epsilon=0.5))
    assert every.columns(numbers, None, np.zeros(2, dtype=bool))["stderr"].tolist() == [0.0, 0.0]


@pytest.mark.slow
def test_told_errors_hold_the_truth_on_a_real_graph(shared_data: Path) -> None:
    """Within two of them in 93% or more, whether a value is at the top or off it; three made graphs are among
    the simulations.
    """
    n_sources, csr = 512, real(shared_data, "wiki_vote", directed=True)[0]
    each = np.stack([dependencies(csr, np.array([s])).total for s in range(csr.n)])
    exact, zero = each.sum(axis=0) / ((csr.n - 1.0) * (csr.n - 2)), np.zeros(csr.n, dtype=bool)
    estimator = ScoreEstimator.from_bounds(csr.n, bounds_of([0.0], [1.0]), n_sources, rule=StoppingRule())
    inside = known = 0
    for seed in range(20):
        x = each[np.random.default_rng(seed).choice(csr.n, n_sources, replace=False)]
        numbers = made_numbers(np.zeros(csr.n, dtype=np.int64), x.sum(axis=0), (x * x).sum(axis=0), csr.n)
        columns = estimator.columns(numbers, None, zero)
        is_known = ~np.isnan(columns["stderr"])
        off = np.abs(columns["betweenness"] - exact)
        inside += int((off <= 2 * columns["stderr"])[is_known].sum())
        known += int(is_known.sum())
    assert known > 20 * 20
    assert inside / known >= 0.93
