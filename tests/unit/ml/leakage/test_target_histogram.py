"""Histograms of a target over a feature, against scikit-learn and numpy on the rows themselves."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import r2_score, roc_auc_score

from engage_spark.ml.leakage.target_histogram import Histogram, auc, explained, missing_r2, pure, value_groups
from tests.support.examples import examples


def histogram(x: np.ndarray, y: np.ndarray, *, ordered: bool = True, single: bool = True) -> Histogram:
    """A bin per value; NaN in the last one."""
    values = np.unique(x[~np.isnan(x)])
    code = np.where(np.isnan(x), len(values), np.searchsorted(values, x))
    rows = np.bincount(code, minlength=len(values) + 1)
    sums = np.bincount(code, weights=y, minlength=len(values) + 1)
    labels = (*(f"{v:g}" for v in values), "missing")
    return Histogram(
        labels=labels,
        ordered=ordered,
        single=single,
        rows=rows,
        sums=sums,
        of_target=float(((y - y.mean()) ** 2).sum()),
    )


@settings(max_examples=examples(60), deadline=None)
@given(seed=st.integers(0, 10_000), gaps=st.sampled_from([0.0, 0.2]), direction=st.sampled_from([1, -1]))
def test_the_area_is_that_of_scikit_learn_in_the_better_direction(
    seed: int, gaps: float, direction: int
) -> None:
    rng = np.random.default_rng(seed)
    x = rng.integers(0, 12, 80).astype(float)
    y = (rng.random(80) < 1 / (1 + np.exp(-direction * (x - 6) / 3))).astype(float)
    y[:2] = 0, 1
    x[rng.random(80) < gaps] = np.nan
    areas = [roc_auc_score(y, np.where(np.isnan(x), low, x)) for low in (-1, 99)]
    assert auc(histogram(x, y)) == pytest.approx(max(max(a, 1 - a) for a in areas), abs=1e-12)


def test_categories_are_put_in_the_order_of_their_rates() -> None:
    rng = np.random.default_rng(2)
    x = rng.integers(0, 5, 500).astype(float)
    y = (rng.random(500) < np.array([0.9, 0.1, 0.5, 0.7, 0.2])[x.astype(int)]).astype(float)
    rate = np.array([y[x == v].mean() for v in range(5)])
    assert auc(histogram(x, y, ordered=False)) == pytest.approx(
        roc_auc_score(y, rate[x.astype(int)]), abs=1e-12
    )


def test_one_class_only_tells_nothing() -> None:
    assert auc(histogram(np.arange(5.0), np.ones(5))) == 0.5


def test_the_share_explained_is_that_of_the_means_of_bins() -> None:
    rng = np.random.default_rng(3)
    x = rng.integers(0, 9, 400).astype(float)
    y = 1e6 + (x - 4) ** 2 + rng.normal(size=400)
    means = np.array([y[x == v].mean() for v in range(9)])
    expected = 1 - (1 - r2_score(y, means[x.astype(int)])) * 399 / 391
    assert explained(histogram(x, y)) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("values", [240, 237, 120])
def test_nearly_as_many_values_as_rows_explain_no_more_than_chance_gives(values: int) -> None:
    rng = np.random.default_rng(values)
    x = np.concatenate([np.arange(values), rng.integers(0, values, 240 - values)]).astype(float)
    groups = [explained(histogram(x, rng.normal(size=240) ** 3)) for _ in range(50)]
    assert max(groups) < 0.2


def test_a_copy_is_found_out_among_as_many_values_as_rows() -> None:
    assert explained(histogram(np.arange(500.0), np.arange(500.0))) > 0.99


def test_the_share_that_missing_values_explain_is_their_squared_correlation() -> None:
    rng = np.random.default_rng(4)
    y = rng.normal(size=300)
    x = np.where(rng.random(300) < 1 / (1 + np.exp(-3 * y)), np.nan, rng.integers(0, 5, 300))
    assert missing_r2(histogram(x, y)) == pytest.approx(np.corrcoef(np.isnan(x), y)[0, 1] ** 2, abs=1e-12)
    assert missing_r2(histogram(np.zeros(300), y)) == 0.0


def test_parts_are_of_the_rarer_class() -> None:
    """Of 100 rows 20 are 1: value 3 holds 15 of them among 16 rows, values up to 2 hold 5 of 84."""
    h = Histogram(
        labels=("1", "2", "3", "missing"),
        ordered=True,
        single=True,
        rows=np.array([44, 40, 16, 0]),
        sums=np.array([2.0, 3.0, 15.0, 0.0]),
        of_target=16.0,
    )
    groups = {p.values: p for p in value_groups(h, thresholds=True)}
    assert set(groups) == {"= 1", "= 2", "= 3", "≥ 2", "≥ 3", "< 2", "< 3"}, (
        "missing has no rows, and so is not part"
    )
    assert (groups["= 3"].rows, groups["= 3"].rate, groups["= 3"].held) == (16, 15 / 16, 0.75)
    assert groups["≥ 3"].odds == pytest.approx((15.5 / 1.5) / (5.5 / 79.5))
    turned = Histogram(
        labels=h.labels, ordered=True, single=True, rows=h.rows, sums=h.rows - h.sums, of_target=16.0
    )
    assert {p.values: p for p in value_groups(turned, thresholds=True)} == groups, (
        "which of the two classes is called 1 does not matter"
    )


def test_single_values_of_wide_bins_are_no_parts() -> None:
    h = histogram(np.array([1.0, 2.0, 3.0, np.nan]), np.array([0.0, 0.0, 1.0, 1.0]), single=False)
    assert {p.values for p in value_groups(h, thresholds=False)} == {"= missing"}


def test_pure_means_that_no_value_has_both_classes() -> None:
    x, y = np.array([1.0, 1.0, 2.0, 3.0]), np.array([0.0, 0.0, 1.0, 0.0])
    assert (
        pure(histogram(x, y))
        and not pure(histogram(x, np.array([0.0, 1.0, 1.0, 0.0])))
        and not pure(histogram(x, np.zeros(4)))
    )
