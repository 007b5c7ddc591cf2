"""Add up whole numbers exactly in any order: each in two parts, high · 2^bits + low with 0 <= low < 2^bits.

The sums of the parts fit 64 bits where the sum of the numbers might not, so tasks, partitions and Spark's
integer `sum` add them up to the same bits in any order and grouping. Shipped to executors by value, so
they need only numpy.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engage_spark.numerics.dtypes import F64, I64

BITS = 31
"""The bits of the low part, if nothing else is said."""
FLOAT_BITS = 27
"""Of a part of 54 bits: sums over 2^36 parts of one power of two fit."""
_LEAST = -1074
_EXACT_PARTS = 1 << 20
_HUGE = 2.0**900


def split(number: Any, bits: int = BITS) -> tuple[Any, Any]:
    """Return (high, low) of a whole number, or of each of an array."""
    return number >> bits, number & ((1 << bits) - 1)


def carry(high: I64, low: I64, bits: int = BITS) -> tuple[I64, I64]:
    """Return the same numbers with 0 <= low < 2^bits, which makes room for more summands."""
    over, rest = split(low, bits)
    return high + over, rest


def join(high: int, low: int, bits: int = BITS) -> int:
    """Return the number of two (sums of) parts."""
    return (int(high) << bits) + int(low)


def join_arrays(high: I64, low: I64, bits: int = BITS) -> NDArray[np.object_]:
    """Return the numbers of arrays of parts, as Python's integers of any size."""
    return np.asarray(high.astype(object) * (1 << bits) + low.astype(object))


def sum_exactly(values: I64) -> int:
    """Return the sum of up to 2^32 numbers of 64 bits."""
    high, low = split(values)
    return join(high.sum(), low.sum())


def sum_floats(values: F64) -> int:
    """Return the exact sum of finite doubles as a multiple of 2^-1074, the smallest double.

    The leading 32 bits of all values are taken off by adding and subtracting a constant, then the next 32,
    until nothing is left: two or three rounds of four passes for values of like size. Up to 2^20 such
    parts add up in doubles without rounding.
    Source: S. Rump, T. Ogita, S. Oishi, "Accurate floating-point summation", SIAM J. Sci. Comput. 31, 2008.
    """
    if len(values) > _EXACT_PARTS:
        pieces = np.array_split(values, -(-len(values) // _EXACT_PARTS))
        return sum(map(sum_floats, pieces))
    largest = float(np.abs(values).max(initial=0.0))
    if largest >= _HUGE:
        huge = np.abs(values) >= _HUGE
        return (sum(map(int, values[huge].tolist())) << -_LEAST) + sum_floats(values[~huge])
    total, unit, rest = 0, math.frexp(largest)[1], values
    while unit > _LEAST and rest.any():
        unit = max(unit - 32, _LEAST)
        border = math.ldexp(1.5, unit + 52)
        part = rest + border
        part -= border
        total += int(math.ldexp(float(part.sum()), -unit)) << (unit - _LEAST)
        rest = rest - part
    return total


def split_sum(total: int) -> Iterator[tuple[int, int, int]]:
    """Return a sum of `sum_floats` as parts (power, high, low), each (high · 2^27 + low) · 2^(power − 53).

    The powers are the same for all sums, so the parts of many sums add up by power.
    """
    at = _LEAST + 53
    while total:
        if -(2**53) <= total < 2**53:
            digit, total = total, 0
        else:
            digit, total = total & (2**54 - 1), total >> 54
        if digit:
            yield at, *split(digit, FLOAT_BITS)
        at += 54


def join_float(power: int, high: int, low: int) -> Fraction:
    """Return the number of (sums of) parts of one power, see `split_sum`."""
    return Fraction(join(high, low, FLOAT_BITS)) * Fraction(2) ** (power - 53)
