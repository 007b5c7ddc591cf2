"""Correlations agree with scipy and scikit-learn on each pair's own rows."""

from __future__ import annotations

import math
from itertools import permutations

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import mutual_info_score

from engage_spark.analytics.correlations import correlation_rows, holm

RNG = np.random.default_rng(1)
N = 600
X = RNG.normal(size=N)
SAMPLE = np.stack(
    [X, np.round(X**3 + RNG.normal(size=N), 1), np.where(RNG.random(N) < 0.2, np.nan, X**2), np.full(N, 7.0)],
    axis=1,
)
NAMES = ("x", "cube", "square", "constant")


@pytest.fixture(scope="module")
def rows() -> dict[tuple[str, str], dict]:
    return {
        (r["first_metric"], r["second_metric"]): r for r in correlation_rows(SAMPLE, NAMES, population=5000)
    }


@pytest.mark.parametrize("pair", [("x", "cube"), ("x", "square"), ("cube", "square")])
def test_each_pair_agrees_with_scipy(rows: dict, pair: tuple[str, str]) -> None:
    columns = SAMPLE[:, [NAMES.index(p) for p in pair]]
    first, second = columns[~np.isnan(columns).any(axis=1)].T
    row = rows[pair]
    assert (row["n"], row["n_population"]) == (len(first), 5000)
    pearson = stats.pearsonr(first, second)
    assert row["pearson"] == pytest.approx(pearson.statistic)
    assert (row["pearson_lower"], row["pearson_upper"]) == pytest.approx(tuple(pearson.confidence_interval()))
    spearman = stats.spearmanr(first, second)
    assert row["spearman"] == pytest.approx(spearman.statistic)
    assert row["spearman_lower"] < row["spearman"] < row["spearman_upper"]
    assert row["p_value"] == pytest.approx(spearman.pvalue, rel=0.05, abs=1e-30)


def test_mutual_information_sees_what_no_line_follows(rows: dict) -> None:
    x, square = SAMPLE[:, 0], SAMPLE[:, 2]
    both = ~np.isnan(square)
    ranks = stats.rankdata(x, method="min") - 1, stats.rankdata(square[both], method="min") - 1
    bins = (ranks[0] * 20 // N)[both], ranks[1] * 20 // both.sum()
    cells = len(set(zip(*bins, strict=True)))
    plugin = mutual_info_score(*bins)
    bias = (cells - 20 - 20 + 1) / (2 * both.sum())
    assert rows["x", "square"]["mutual_information"] == pytest.approx(plugin - bias)
    assert abs(rows["x", "square"]["spearman"]) < 0.15
    assert rows["x", "square"]["mutual_information"] > 1


def test_a_constant_has_no_correlation_and_is_no_test(rows: dict) -> None:
    row = rows["x", "constant"]
    assert row["pearson"] is row["spearman"] is row["p_value"] is row["p_adjusted"] is None
    assert row["mutual_information"] == 0
    assert row["pairs_tested"] == 3


def test_few_rows_have_none() -> None:
    (row,) = correlation_rows(SAMPLE[:3, :2], NAMES[:2], population=3)
    assert row["pearson"] is None and row["n"] == 3
    (empty,) = correlation_rows(np.full((2, 2), np.nan), NAMES[:2], population=2)
    assert empty["mutual_information"] is None and empty["n"] == 0


def test_a_line_is_certain() -> None:
    (row,) = correlation_rows(np.stack([X, -2 * X], axis=1), NAMES[:2], population=N)
    assert row["spearman"] == row["spearman_lower"] == -1
    assert row["spearman_upper"] == pytest.approx(-1, abs=1e-6)
    assert row["p_value"] == 0


@pytest.mark.parametrize("n", [4, 5, 7, 8, 19])
def test_a_line_of_few_rows_is_not_certain(n: int) -> None:
    line = np.arange(float(n))
    for sample in (np.stack([line, 3 * line], axis=1), np.stack([line, -(line**3)], axis=1)):
        (row,) = correlation_rows(sample, NAMES[:2], population=n)
        assert row["p_value"] == pytest.approx(2 / math.factorial(n))
        assert abs(row["spearman"]) == pytest.approx(1)
        for kind in ("pearson", "spearman"):
            assert row[f"{kind}_upper"] - row[f"{kind}_lower"] > 0.001 / n
            assert row[f"{kind}_lower"] <= row[kind] <= row[f"{kind}_upper"]
    halves = (line >= n // 2).astype(float)
    (row,) = correlation_rows(np.stack([halves, halves], axis=1), NAMES[:2], population=n)
    assert row["p_value"] >= 1 / math.comb(n, n // 2) * (1 - 1e-9)


@pytest.mark.parametrize("n", [4, 5, 6, 7])
def test_few_rows_have_the_exact_p_value(n: int) -> None:
    random = np.random.default_rng(n)
    for _ in range(3):
        first, second = random.permutation(n), random.integers(0, 3, n)
        if len(set(second)) < 2:
            continue
        (row,) = correlation_rows(np.stack([first, second], axis=1).astype(float), NAMES[:2], population=n)
        sizes = [abs(stats.spearmanr(order, second).statistic) for order in permutations(first)]
        exact = np.mean(np.array(sizes) >= abs(row["spearman"]) - 1e-9)
        assert row["p_value"] == pytest.approx(exact)


@pytest.mark.parametrize("n", [8, 12, 40, 100])
def test_p_values_below_a_hundred_rows_are_those_of_student(n: int) -> None:
    random = np.random.default_rng(n)
    for weight in (0.0, 0.3, 1.0):
        first = random.normal(size=n)
        second = weight * first + random.normal(size=n)
        (row,) = correlation_rows(np.stack([first, second], axis=1), NAMES[:2], population=n)
        assert row["p_value"] == pytest.approx(stats.spearmanr(first, second).pvalue, rel=1e-9)


def test_what_is_too_large_for_a_state_is_no_value_here_either() -> None:
    x = np.concatenate([X[:50], [np.inf, -np.inf, 2.0**511, -(2.0**600), 1.0]])
    y = np.concatenate([X[:50] ** 2, [1.0, 2.0, 3.0, 4.0, np.inf]])
    (row,) = correlation_rows(np.stack([x, y], axis=1), NAMES[:2], population=55)
    assert row["n"] == 50
    assert row["pearson"] == pytest.approx(stats.pearsonr(X[:50], X[:50] ** 2).statistic)


def test_holm_adjusts_for_the_number_of_tests() -> None:
    assert holm([0.04, None, 0.01, 0.03]) == [
        pytest.approx(0.06),
        None,
        pytest.approx(0.03),
        pytest.approx(0.06),
    ]
    assert holm([0.9, 0.8]) == [1.0, 1.0]
