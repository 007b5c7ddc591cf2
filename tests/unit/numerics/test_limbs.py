"""Whole numbers in two parts: exact beyond 64 bits, in any grouping, and the parts are fixed."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from engage_spark.numerics.limbs import carry, join, join_arrays, join_float, split, split_floats, sum_exactly

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


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), max_size=40))
def test_doubles_are_split_exactly(values: list[float]) -> None:
    parts = zip(*(x.tolist() for x in split_floats(np.array(values, np.float64))), strict=True)
    assert sum((join_float(*part) for part in parts), Fraction(0)) == sum(map(Fraction, values), Fraction(0))


def test_the_parts_of_known_numbers_are_fixed() -> None:
    assert split(-5_000_000_000) == (-3, 1442450944)
    assert [x.tolist() for x in split_floats(np.array([1.0, -0.1, 5e-324]))] == [
        [1, -3, -1073],
        [33554432, -53687092, 33554432],
        [0, 107374182, 0],
    ]
