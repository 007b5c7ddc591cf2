"""Sums in fixed point: the same bits in every order, and close to the true ones."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engage_spark.errors import ConfigurationError, InputError
from engage_spark.numerics.fixed_point import MOST_VALUES, carry, exponent, from_limbs, to_limbs


def test_a_sum_has_the_same_bits_in_any_order_and_grouping_where_floats_do_not() -> None:
    rng = np.random.default_rng(1)
    values = 10.0 ** rng.uniform(-12, 14, 20_000)
    e = exponent(1e16)
    hi, lo = to_limbs(values, e)
    expected = from_limbs(hi.sum(), lo.sum(), e)
    floats = set()
    for _ in range(5):
        order = rng.permutation(len(values))
        parts = [(hi[p].sum(), lo[p].sum()) for p in np.array_split(order, 7)]
        assert from_limbs(sum(h for h, _ in parts), sum(low for _, low in parts), e) == expected
        floats.add(float(np.cumsum(values[order])[-1]))
    assert len(floats) > 1


@given(st.lists(st.floats(0, 1e12), min_size=1, max_size=50))
def test_a_sum_is_within_half_a_quantum_per_value_of_the_true_one(values: list[float]) -> None:
    e = exponent(1e14)
    hi, lo = to_limbs(values, e)
    got = Fraction(int(hi.sum())) * Fraction(2) ** e + Fraction(int(lo.sum())) * Fraction(2) ** (e - 40)
    true = sum(Fraction(v) for v in values)
    assert abs(got - true) <= len(values) * Fraction(2) ** (e - 41)
    assert float(from_limbs(hi.sum(), lo.sum(), e)) == pytest.approx(
        float(true), rel=1e-15, abs=len(values) * 2.0 ** (e - 40)
    )


def test_the_quantum_at_a_hundred_million_vertices_is_below_a_trillionth() -> None:
    assert 2.0 ** (exponent(1e16) - 40) < 1e-14


def test_as_many_of_the_largest_values_as_promised_fit() -> None:
    e = exponent(1e16)
    hi, lo = to_limbs(np.nextafter(1e16, 0) / MOST_VALUES, e)
    worst = (1 << 40) * MOST_VALUES
    assert worst < 2**63
    assert int(hi) * MOST_VALUES < 2**63
    assert float(from_limbs(int(hi) * MOST_VALUES, int(lo) * MOST_VALUES, e)) == pytest.approx(
        1e16, rel=1e-15
    )


def test_carrying_keeps_the_value() -> None:
    hi, lo = carry(np.array([5, -1]), np.array([(3 << 40) + 7, (1 << 40) - 1]))
    assert hi.tolist() == [8, -1]
    assert lo.tolist() == [7, (1 << 40) - 1]


def test_a_round_trip_keeps_float64_whose_last_bit_is_above_the_quantum() -> None:
    values = np.array([0.0, 1.0, 1 / 3, 4038 * 4037.0, math.pi * 1e6, -2.5])
    e = exponent(4039.0**2)
    assert from_limbs(*to_limbs(values, e), e).tolist() == values.tolist()


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf, 2.0**70])
def test_what_does_not_fit_is_refused_with_its_place(bad: float) -> None:
    with pytest.raises(InputError, match="at 1"):
        to_limbs([1.0, bad], exponent(1e16))


@pytest.mark.parametrize("bound", [0.0, -1.0, math.inf, math.nan])
def test_a_bound_that_bounds_nothing_is_refused(bound: float) -> None:
    with pytest.raises(ConfigurationError, match="bounds no sum"):
        exponent(bound)
