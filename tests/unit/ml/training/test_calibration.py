"""Calibration: the method that few and many rows choose, what they can show, and the order of scores."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import expit
from sklearn.linear_model import LogisticRegression

from bench.simulations.calibration import drawn
from engage_spark.errors import ConfigurationError
from engage_spark.ml.evaluation.deciles import wilson
from engage_spark.ml.training import calibration
from engage_spark.ml.training.calibration import (
    GRID,
    ISOTONIC,
    LOGISTIC,
    MEAN,
    SLOPE_PRIOR,
    STEP,
    SURE,
    CalibrationMap,
    ScoreCounts,
    choose_calibration,
    fit_isotonic,
    fit_line,
    fit_logistic,
    fit_mean,
)
from engage_spark.numerics.dtypes import F64


def counts(n: int, world: str = "line", *, seed: int = 1, days: int = 1) -> ScoreCounts:
    p, truth = drawn(world, n, seed=seed)
    draw = np.random.default_rng((5, seed))
    label, fold = draw.random(n) < truth, draw.integers(0, 5, n)
    return ScoreCounts.of(*(np.tile(x, days) for x in (p, label, fold)), days=days)


def test_few_rows_choose_two_numbers_and_many_a_curve_where_there_is_one() -> None:
    assert choose_calibration(counts(800)).method == LOGISTIC
    bent = choose_calibration(counts(8_000, "bent"))
    assert bent.method == ISOTONIC and bent.losses[ISOTONIC] < bent.losses[LOGISTIC]
    few = choose_calibration(counts(40, "bent"))
    assert (few.method, few.losses) == (LOGISTIC, {}), "one step is no curve"


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
    assert chart.method == MEAN and chart.apply(p) == pytest.approx(np.full(1_000, y.mean()), abs=0.002)


def sure(n: int, *, slope: float, seed: int) -> tuple[F64, F64, F64]:
    """Draw log-odds that are 1 / slope times too far from 0, labels and folds."""
    draw = np.random.default_rng(seed)
    u = draw.normal(-1, 3, n)
    return u, (draw.random(n) < expit(slope * u)).astype(float), draw.integers(0, 5, n).astype(float)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(("n", "slope"), [(90, 0.3), (90, 0.4), (800, 0.3), (800, 0.4)])
def test_scores_that_are_far_too_sure_are_brought_to_the_optimum(n: int, slope: float, seed: int) -> None:
    u, y, fold = sure(n, slope=slope, seed=seed)
    u = np.rint(u * GRID) / GRID
    chart = fit_logistic(ScoreCounts.of(expit(u), y, fold), {})
    nearest = min(SURE, chart.low)
    inside = np.clip(u, np.log(nearest / (1 - nearest)), np.log((1 - nearest) / nearest))
    at, rows, ones = np.append(inside, 0), np.append(np.ones(n), 1), np.append(y, 0.5)

    def loss(line: F64) -> float:
        z = line[0] * at + line[1]
        return float((rows * np.logaddexp(0, z) - ones * z).sum() + SLOPE_PRIOR / 2 * (1 - line[0]) ** 2)

    oracle = minimize(loss, [0.0, 0.0], method="Nelder-Mead", options={"xatol": 1e-8, "fatol": 1e-11})
    assert (chart.slope, chart.intercept) == pytest.approx(tuple(oracle.x), abs=1e-5)


@pytest.mark.parametrize("end", [3.0, 5.0, 6.5, 20.0])
@pytest.mark.parametrize("low", [0.05, 0.3, 0.45])
@pytest.mark.parametrize("n", [120, 2_000])
def test_two_sure_scores_get_the_shares_of_their_rows(end: float, low: float, n: int) -> None:
    u, half = np.repeat([-end, end], n // 2), np.arange(n // 2) < low * n / 2
    claim = fit_logistic(ScoreCounts.of(expit(u), np.append(half, ~half), np.zeros(n)), {}).apply(expit(u))
    assert claim[0] == pytest.approx(low, abs=0.01) and claim[-1] == pytest.approx(1 - low, abs=0.01)


def test_a_line_is_found_whatever_the_scores() -> None:
    for seed in range(500):
        draw = np.random.default_rng(seed)
        m = int(draw.integers(1, 40))
        u = np.clip(draw.normal(draw.normal(0, 10), 10 ** draw.uniform(-3, 1.5), m), -27, 27)
        n = np.ceil(10 ** draw.uniform(0, draw.uniform(0, 6), m))
        k = np.floor(n * draw.choice([0, 1, draw.random()], m))
        u, n, k = np.append(u, 0.0), np.append(n, 1.0), np.append(k, 0.5)
        with np.errstate(over="raise", divide="raise", invalid="raise"):
            line = fit_line(u, n, k)
        assert line is not None, seed
        z = line[0] * u + line[1]
        rest = k * expit(-z) - (n - k) * expit(z)
        size = np.abs(k * expit(-z)) + np.abs((n - k) * expit(z))
        assert abs(rest.sum()) <= 1e-6 * size.sum() + 1e-9, seed
        pull = SLOPE_PRIOR * (1 - line[0])
        assert abs((rest * u).sum() + pull) <= 1e-6 * ((size * np.abs(u)).sum() + abs(pull)) + 1e-9, seed


def test_without_an_optimum_it_is_the_mean(monkeypatch: pytest.MonkeyPatch) -> None:
    c = counts(800)
    assert fit_logistic(c, {}).method == LOGISTIC
    monkeypatch.setattr(calibration, "MOST_ITERATIONS", 1)
    assert fit_logistic(c, {}) == fit_mean(c, {})
    assert choose_calibration(c).method in (MEAN, ISOTONIC)


def test_few_rows_with_scores_that_are_far_too_sure_claim_what_is_true() -> None:
    errors = []
    for seed in range(40):
        u, y, fold = sure(90, slope=0.3, seed=seed)
        chart = choose_calibration(ScoreCounts.of(expit(u), y, fold))
        u, _, _ = sure(2_000, slope=0.3, seed=1_000 + seed)
        errors.append(float(np.abs(chart.apply(expit(u)) - expit(0.3 * u)).mean()))
    assert np.mean(errors) < 0.08 and max(errors) < 0.2


@pytest.mark.parametrize("seed", range(8))
def test_scores_of_none_at_all_do_not_bend_the_line(seed: int) -> None:
    """A forest gives 0 to a sixth of the rows: claims are as many as ones, and the rest keeps its line."""
    draw = np.random.default_rng(seed)
    u, none = draw.normal(-3, 1, 600), np.arange(600) < 96
    p = np.where(none, 0.0, expit(u))
    y = draw.random(600) < np.where(none, 0.005, p)
    for rows in (np.arange(0, 600, 7), np.arange(600)):
        chart = choose_calibration(ScoreCounts.of(p[rows], y[rows], draw.integers(0, 5, len(rows))))
        assert chart.apply(p[rows]).mean() == pytest.approx((y[rows].sum() + 0.5) / (len(rows) + 1), abs=0.01)
    line = fit_logistic(ScoreCounts.of(p, y, np.zeros(600)), {})
    assert 0.5 < line.slope < 1.5


@pytest.mark.parametrize("n", [20, 40, 60])
def test_few_rows_keep_what_scores_say(n: int) -> None:
    """The mean wins on a few rows by chance: then all customers would have one probability."""
    for seed in range(40):
        u, y, fold = sure(n, slope=0.4, seed=seed)
        chart = choose_calibration(ScoreCounts.of(expit(u), y, fold))
        apart = float(np.diff(chart.apply(expit(np.array([-4.0, 4.0]))))[0])
        assert chart.method == LOGISTIC and apart > 0.1, seed


def test_scores_that_say_nothing_cost_little() -> None:
    """Claims lie as near to the share as the rows show it, give or take what a line of chance adds."""
    errors = []
    for seed in range(40):
        draw = np.random.default_rng(seed)
        p, y = expit(draw.normal(-1, 1, 90)), draw.random(90) < 0.25
        chart = choose_calibration(ScoreCounts.of(p, y, draw.integers(0, 5, 90)))
        errors.append(float(np.abs(chart.apply(p) - 0.25).mean()))
    assert np.mean(errors) < 0.06


@pytest.mark.parametrize("n", range(1, 12))
def test_a_handful_of_rows_has_an_answer(n: int) -> None:
    for ones in range(n + 1):
        p, y = np.linspace(0.0, 1.0, n), np.arange(n) < ones
        chart = choose_calibration(ScoreCounts.of(p, y, np.arange(n)))
        claim = chart.apply(p)
        assert (claim >= chart.low).all() and (claim <= chart.high).all() and (np.diff(claim) > 0).all()


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
