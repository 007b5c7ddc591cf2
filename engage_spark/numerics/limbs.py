"""Add up whole numbers exactly in any order: each in two parts, high · 2^bits + low with 0 <= low < 2^bits.

The sums of the parts fit 64 bits where the sum of the numbers might not, so tasks, partitions and Spark's
integer `sum` add them up to the same bits in any order and grouping. Shipped to executors by value, so
they need only numpy.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engage_spark.numerics.dtypes import F64, I64

BITS = 31
"""The bits of the low part, if nothing else is said."""
FLOAT_BITS = 27
"""Of the 53 bits of a double: sums over 2^36 doubles of one power of two fit."""


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


def split_floats(values: F64) -> tuple[NDArray[np.int32], I64, I64]:
    """Return (power, high, low) of each finite double: (high · 2^27 + low) · 2^(power − 53), exactly."""
    mantissa, power = np.frexp(values)
    high, low = split((mantissa * 2.0**53).astype(np.int64), FLOAT_BITS)
    return power, high, low


def join_float(power: int, high: int, low: int) -> Fraction:
    """Return the sum of doubles of one power of two."""
    return Fraction(join(high, low, FLOAT_BITS)) * Fraction(2) ** (power - 53)
