"""Whole numbers in two parts: exact beyond 64 bits, in any grouping, and the parts are fixed."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from engage_spark.numerics.limbs import (
    carry,
    join,
    join_arrays,
    join_float,
    split,
    split_sum,
    sum_exactly,
    sum_floats,
)

WHOLE = st.integers(-(2**63), 2**63 - 1)


@given(arrays(np.int64, st.integers(0, 40), elements=WHOLE), st.integers(1, 5))
def test_a_sum_of_parts_is_the_exact_sum_in_any_grouping(values: np.ndarray, groups: int) -> None:
    expected = sum(values.tolist())
    assert sum_exactly(values) == expected
    parts = [tuple(part.sum() for part in split(group)) for group in np.array_split(values, groups)]
    high, low = (np.array(x, np.int64) for x in zip(*parts, strict=True))
    assert join(high.sum(), low.sum()) == expected
    carried = carry(high, low)
    assert (carried[1] >= 0).all()
    assert (carried[1] < 2**31).all()
    assert sum(join_arrays(*carried).tolist()) == expected


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), max_size=40), st.integers(1, 5))
def test_doubles_of_any_size_add_up_exactly_in_any_grouping(values: list[float], groups: int) -> None:
    expected = sum(map(Fraction, values), Fraction(0))
    assert Fraction(sum_floats(np.array(values, np.float64)), 2**1074) == expected
    parts = [p for group in np.array_split(np.array(values), groups) for p in split_sum(sum_floats(group))]
    assert sum((join_float(*part) for part in parts), Fraction(0)) == expected
    by_power = {power: [(h, low) for p, h, low in parts if p == power] for power, _, _ in parts}
    added = ((power, *map(sum, zip(*ps, strict=True))) for power, ps in by_power.items())
    assert sum((join_float(*part) for part in added), Fraction(0)) == expected


def test_many_doubles_add_up_exactly() -> None:
    values = np.random.default_rng(3).lognormal(0, 30, 3 << 19)
    values[::3] *= -1
    assert float(Fraction(sum_floats(values), 2**1074)) == math.fsum(values)


def test_the_parts_of_known_numbers_are_fixed() -> None:
    assert split(-5_000_000_000) == (-3, 1442450944)
    assert sum_floats(np.array([5e-324])) == 1
    assert [list(split_sum(sum_floats(np.array([x])))) for x in (1.0, -0.1, 5e-324)] == [
        [(5, 2097152, 0)],
        [(-49, 53477376, 0), (5, -209716, 107374182)],
        [(-1021, 0, 1)],
    ]
