"""Sketches against exact counts and sorted values, and the bytes that they are written in."""

from __future__ import annotations

import math
import subprocess
import sys
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engage_spark.numerics.dtypes import F64
from engage_spark.numerics.sketches import (
    RELATIVE_ERROR,
    STANDARD_ERROR,
    DistinctCounter,
    QuantileCounter,
    estimate_distinct,
    estimate_quantile,
    merge,
)
from tests.support.examples import examples


def quantiles(values: F64, digits: int | None = None) -> bytes:
    counter = QuantileCounter(digits)
    for part in np.array_split(values, 3):
        counter.add(part)
    return counter.to_bytes()


def distinct(values: F64) -> bytes:
    counter = DistinctCounter()
    for part in np.array_split(values, 3):
        counter.add_numbers(part)
    return counter.to_bytes()


@pytest.mark.parametrize("n", [0, 1, 2, 50, 600, 3_000, 12_000, 100_000, 1_000_000])
def test_distinct_values_are_estimated_within_four_standard_errors(n: int) -> None:
    values = np.arange(n, dtype=np.float64) * 0.1 + 7
    told = estimate_distinct(distinct(np.concatenate((values, values[::-1]))))
    assert abs(told - n) <= 4 * STANDARD_ERROR * n


def test_the_error_of_many_estimates_is_that_of_the_theory() -> None:
    rng = np.random.default_rng(5)
    off = [estimate_distinct(distinct(rng.integers(0, 2**62, 20_000))) / 20_000 - 1 for _ in range(60)]
    assert abs(np.mean(off)) < 4 * STANDARD_ERROR / math.sqrt(60)
    assert 0.7 * STANDARD_ERROR < np.std(off) < 1.4 * STANDARD_ERROR


@pytest.mark.parametrize("scale", [1e-300, 1e-5, 1.0, 1e9, 1e300])
def test_quantiles_of_many_values_lie_within_the_stated_error(scale: float) -> None:
    values = np.random.default_rng(7).normal(0.3, 1.0, 70_001) * scale
    ordered = np.sort(values)
    data = quantiles(values)
    for order in (0, 0.001, 0.05, 0.25, 0.5, 0.9, 0.999, 1):
        exact = ordered[max(1, math.ceil(Fraction(str(order)) * len(values))) - 1]
        told = estimate_quantile(data, order)
        assert told is not None
        assert abs(told - exact) <= RELATIVE_ERROR * abs(exact)


@settings(max_examples=examples(100), derandomize=True, deadline=None)
@given(st.lists(st.floats(), max_size=50), st.integers(1, 4))
def test_the_bytes_follow_from_the_values_alone(values: list[float], parts: int) -> None:
    array = np.array(values, np.float64)
    shuffled = np.random.default_rng(len(values)).permutation(array)
    for make in (quantiles, distinct):
        split = [make(shuffled[i::parts]) for i in range(parts)]
        assert merge(split) == merge(split[::-1]) == merge([make(array)]) == make(array)


def test_special_values_stay_apart() -> None:
    odd = np.array([math.nan, math.inf, -math.inf, 0.0, -0.0, -1.5, 5e-324], np.float64)
    data = quantiles(odd)
    assert [estimate_quantile(data, q) for q in (0, 1)] == [-math.inf, math.inf]
    assert estimate_quantile(data, 0.5) == 0.0, "six values besides NaN"
    assert estimate_distinct(distinct(odd)) == 6, "0.0 and -0.0 are one value"
    payload = np.array([0x7FF0000000000001, -1], np.int64).view(np.float64)
    assert quantiles(payload) == quantiles(np.full(2, math.nan)), "any NaN"
    assert distinct(payload) == distinct(np.full(1, math.nan))
    assert estimate_quantile(quantiles(payload), 0.5) is None


def test_small_whole_numbers_and_decimals_are_exact() -> None:
    for n in range(-127, 128):
        assert estimate_quantile(quantiles(np.array([float(n)]), 0), 0.5) == n
        assert estimate_quantile(quantiles(np.array([n / 100]), 2), 0.5) == pytest.approx(n / 100, rel=2**-7)


def test_integers_of_any_size_are_told_apart() -> None:
    counter = DistinctCounter()
    counter.add_numbers(np.array([10**37, 10**37 + 1, -(10**37), 10**37], object))
    assert estimate_distinct(counter.to_bytes()) == 3
    wide = np.array([2**53, 2**53 + 1, -(2**63)], np.int64)
    counter = DistinctCounter()
    counter.add_numbers(wide)
    assert estimate_distinct(counter.to_bytes()) == 3


def test_registers_are_the_leading_zeros_of_hashes() -> None:
    counter = DistinctCounter()
    hashes = [(5 << 52) | 1, (5 << 52) | 0x8000000000000, (9 << 52), (7 << 52) | ((1 << 52) - 1)]
    counter.add_hashes(np.array(hashes, np.uint64))
    filled = np.flatnonzero(counter.registers).tolist()
    assert {i: int(counter.registers[i]) for i in filled} == {5: 52, 9: 53, 7: 1}


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ([], "not enough values"),
        ([b"whatever"], "no summary"),
        ([b"", b""], "no summary"),
        ([quantiles(np.ones(1)), distinct(np.ones(1))], "no summary"),
        ([quantiles(np.ones(1)), quantiles(np.ones(1), 0)], "do not add up"),
        ([b"ED\x02\x00"], "no summary"),
    ],
)  # fmt: skip
def test_what_does_not_add_up_is_refused(parts: list[bytes], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        merge(parts)


def test_an_order_outside_of_0_to_1_is_refused() -> None:
    with pytest.raises(ValueError, match="order"):
        estimate_quantile(quantiles(np.ones(1)), 50)


def test_they_are_read_without_spark() -> None:
    script = (
        "import sys; sys.modules['pyspark'] = sys.modules['pyarrow'] = None\n"
        "from engage_spark.numerics.sketches import estimate_quantile\n"
        f"print(estimate_quantile({quantiles(np.array([3.0]))!r}, 0.5))"
    )
    shown = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "3.015625"
