"""Calibration: the method that few and many rows choose, what they can show, and the order of scores."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from bench.simulations.calibration import drawn
from engage_spark.errors import ConfigurationError
from engage_spark.ml.evaluation.deciles import wilson
from engage_spark.ml.training.calibration import (
    GRID,
    ISOTONIC,
    LOGISTIC,
    STEP,
    CalibrationMap,
    ScoreCounts,
    choose_calibration,
    fit_isotonic,
    fit_logistic,
)


def counts(n: int, world: str = "line", *, seed: int = 1, days: int = 1) -> ScoreCounts:
    p, truth = drawn(world, n, seed=seed)
    draw = np.random.default_rng((5, seed))
    label, fold = draw.random(n) < truth, draw.integers(0, 5, n)
    return ScoreCounts.of(*(np.tile(x, days) for x in (p, label, fold)), days=days)


def test_few_rows_choose_two_numbers_and_many_a_curve_where_there_is_one() -> None:
    assert choose_calibration(counts(800)).method == LOGISTIC
    bent = choose_calibration(counts(8_000, "bent"))
    assert bent.method == ISOTONIC and bent.losses[ISOTONIC] < bent.losses[LOGISTIC]
    assert choose_calibration(counts(40, "bent")).losses == {}, "too few to compare"


def test_the_line_is_that_of_scikit_learn() -> None:
    p, truth = drawn("line", 5_000, seed=2)
    y = np.random.default_rng(3).random(5_000) < truth
    u = np.log(p / (1 - p))[:, None]
    oracle = LogisticRegression(C=1e9).fit(u, y)
    chart = fit_logistic(ScoreCounts.of(p, y, np.zeros(5_000)), {})
    assert (chart.slope, chart.intercept) == pytest.approx(
        (float(oracle.coef_[0, 0]), float(oracle.intercept_[0])), abs=2e-3
    )


@pytest.mark.parametrize("world", ["line", "bent", "rare"])
@pytest.mark.parametrize("fit", [fit_logistic, fit_isotonic])
def test_no_probability_says_more_than_the_rows_can_show(world: str, fit: object) -> None:
    assert callable(fit)
    c = counts(800, world)
    chart: CalibrationMap = fit(c, {})
    p = chart.apply(np.array([0.0, 1e-15, 0.5, 1 - 1e-15, 1.0]))
    assert p.min() >= 0.5 / 801 and p.max() <= 1 - 0.5 / 801


def test_a_hundred_rows_without_a_one_are_no_certainty() -> None:
    y = np.where(np.arange(800) < 100, 0, np.arange(800) % 2)
    chart = fit_isotonic(ScoreCounts.of(np.linspace(0.01, 0.99, 800), y, np.zeros(800)), {})
    assert chart.values[0] == pytest.approx(0.5 / 101, rel=0.05)
    assert chart.values[0] < wilson(0.0, 100.0)[1]


@pytest.mark.parametrize("world", ["line", "bent", "rare"])
@pytest.mark.parametrize("n", [60, 800, 8_000])
def test_a_map_rises_and_keeps_the_order(world: str, n: int) -> None:
    p = np.sort(drawn(world, 3_000, seed=9)[0])
    for fit in (fit_logistic, fit_isotonic):
        chart = fit(counts(n, world), {})
        assert (np.diff(chart.apply(p)) > 0).all()


def test_steps_hold_as_many_customers_as_are_needed() -> None:
    c = counts(800, "bent")
    chart = fit_isotonic(c, {})
    assert list(chart.knots) == sorted(set(chart.knots)) and list(chart.values) == sorted(chart.values)
    assert 2 <= len(chart.knots) <= 800 / STEP


def test_days_of_one_customer_count_once() -> None:
    once, thrice = counts(800, "bent"), counts(800, "bent", days=3)
    for fit in (fit_logistic, fit_isotonic):
        a, b = fit(once, {}), fit(thrice, {})
        assert (b.customers, b.low) == (a.customers, pytest.approx(a.low))
        u = np.linspace(-5, 5, 50)
        np.testing.assert_allclose(b.of_log_odds(u), a.of_log_odds(u), rtol=1e-9)


@pytest.mark.parametrize("label", [0.0, 1.0])
def test_rows_of_one_class_and_of_one_score_have_an_answer(label: float) -> None:
    one_class = choose_calibration(
        ScoreCounts.of(np.linspace(0.1, 0.9, 300), np.full(300, label), np.zeros(300))
    )
    value = one_class.apply([0.5])[0]
    assert abs(value - label) < 0.05
    constant = choose_calibration(
        ScoreCounts.of(np.full(300, 0.3), np.arange(300) % 4 == 0, np.arange(300) % 5)
    )
    assert constant.apply([0.3])[0] == pytest.approx(0.25, abs=0.005)


def test_a_model_that_ranks_the_wrong_way_gives_the_mean() -> None:
    p = np.linspace(0.05, 0.95, 1_000)
    y = np.random.default_rng(4).random(1_000) < 1 - p
    chart = fit_logistic(ScoreCounts.of(p, y, np.zeros(1_000)), {})
    assert chart.slope == 0.0 and chart.apply(p) == pytest.approx(np.full(1_000, y.mean()), abs=0.002)


def test_the_order_of_rows_does_not_matter() -> None:
    draw = np.random.default_rng(6)
    p, y, fold, order = (
        draw.random(500),
        draw.random(500) < 0.4,
        draw.integers(0, 5, 500),
        draw.permutation(500),
    )
    a, b = (choose_calibration(ScoreCounts.of(p[o], y[o], fold[o])) for o in (np.arange(500), order))
    assert a == b and a.sql("p") == b.sql("p")


def test_no_row_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="no row is left to calibrate on"):
        choose_calibration(ScoreCounts.of([], [], []))


def test_the_grid_moves_a_probability_by_little() -> None:
    p = np.linspace(1e-6, 1 - 1e-6, 10_001)
    at = ScoreCounts.of(p, np.zeros(len(p)), np.zeros(len(p))).log_odds
    assert np.diff(at).min() >= 1 / GRID
    moved = 1 / (1 + np.exp(-np.rint(np.log(p / (1 - p)) * GRID) / GRID)) - p
    assert np.abs(moved).max() < 0.0005
