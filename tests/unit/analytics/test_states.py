"""States merge to those of all values together, to the same bits in any order and grouping."""

from __future__ import annotations

import math
import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from engage_spark.analytics.intervals import (
    Estimate,
    difference_estimate,
    mean_estimate,
    mean_or_share,
    ratio_estimate,
    share_estimate,
    student,
)
from engage_spark.analytics.states import DayStates, MetricState, from_exact, merge_days, merge_states

numbers = st.none() | st.floats(allow_subnormal=True)


@given(st.lists(st.lists(numbers, max_size=6), max_size=5))
def test_merged_states_are_those_of_all_values(parts: list[list[float | None]]) -> None:
    merged = merge_states(MetricState.of(p, with_quantiles=True) for p in reversed(parts))
    together = MetricState.of([v for p in parts for v in p], with_quantiles=bool(parts))
    assert merged == together
    assert from_exact(merged.exact) == (merged.sum_units, merged.square_units)


@given(st.lists(st.floats(-1e9, 1e9), min_size=2, max_size=30))
def test_moments_agree_with_statistics(values: list[float]) -> None:
    state = MetricState.of(values)
    assert state.mean == pytest.approx(statistics.fmean(values), rel=1e-12, abs=1e-300)
    assert state.variance == pytest.approx(statistics.variance(values), rel=1e-9, abs=1e-6)


def test_values_without_a_finite_square_count_as_nulls() -> None:
    state = MetricState.of([1.0, None, math.nan, math.inf, -math.inf, 1e200])
    assert (state.n, state.nulls, state.total) == (1, 5, 1.0)


def test_the_variance_of_constants_is_zero_however_large_they_are() -> None:
    assert MetricState.of([1e150 / 3] * 3).variance == 0.0
    assert MetricState.of([1.0]).variance is None
    assert MetricState.of([]).mean is None


@pytest.mark.parametrize("freedom", [1, 1.5, 2, 2.5, 3, 4.2, 7, 30, 1e3, 1e6, 1e9])
def test_critical_values_agree_with_scipy(freedom: float) -> None:
    assert student(freedom) == pytest.approx(stats.t.ppf(0.975, freedom), rel=0.011 if freedom < 3 else 1e-5)


def test_intervals_agree_with_scipy() -> None:
    first, second = [1.0, 2.0, 4.0, 8.0, 3.5], [2.0, 9.0, 4.0, 7.0]
    expected = stats.ttest_1samp(first, 0).confidence_interval(0.95)
    assert mean_estimate(MetricState.of(first))[1:] == pytest.approx(tuple(expected), rel=1e-5)
    welch = stats.ttest_ind(second, first, equal_var=False).confidence_interval(0.95)
    measured = difference_estimate(MetricState.of(first), MetricState.of(second))
    assert measured[1:] == pytest.approx(tuple(welch), rel=1e-4)
    wilson = stats.binomtest(3, 11).proportion_ci(0.95, method="wilson")
    assert share_estimate(3, 11)[1:] == pytest.approx(tuple(wilson))


def test_a_metric_of_zeros_and_ones_is_a_share() -> None:
    assert mean_or_share(MetricState.of([0, 1, 1])) == share_estimate(2, 3)
    assert mean_or_share(MetricState.of([0, 1, 0.5])) == mean_estimate(MetricState.of([0, 1, 0.5]))
    change = difference_estimate(MetricState.of([0] * 30), MetricState.of([0] * 30))
    assert change.value == 0 and change.lower is not None and change.lower < 0 < (change.upper or 0)


def test_a_ratio_without_a_logarithm_has_no_ends() -> None:
    assert ratio_estimate(MetricState.of([-1, 2]), MetricState.of([0, 0])) == Estimate(None)
    assert ratio_estimate(MetricState.of([-1.0, -2.0]), MetricState.of([1.0, 1.0])) == Estimate(-1.5)
    measured = ratio_estimate(MetricState.of([3.0, 3.0]), MetricState.of([1.0, 1.0]))
    assert measured == Estimate(3.0, 3.0, 3.0)


def test_days_merge_key_by_key() -> None:
    monday = DayStates(
        {("all", "all", "x"): MetricState.of([1.0]), ("city", "Rome", "x"): MetricState.of([1.0])}
    )
    tuesday = DayStates({("all", "all", "x"): MetricState.of([2.0])})
    week = merge_days([monday, tuesday])
    assert week.whole("x") == MetricState.of([1.0, 2.0])
    assert week.segments("city") == ("Rome",)
    assert week.get("city", "Oslo", "x") is None
