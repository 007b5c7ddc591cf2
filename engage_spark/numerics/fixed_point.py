"""Sum floats so that the result does not depend on their order: fixed point in two 64-bit integers.

A value x is stored as hi * 2**e + lo * 2**(e - 40) with 0 <= lo <= 2**40. Integers add up exactly in any
order and grouping (see `limbs`), so sums over tasks, partitions and retries have the same bits, and a
database's or Spark's integer `sum` of each column does as well as numpy's.

Range: with `e = exponent(bound)` sums up to `bound` fit into hi, and lo has room for 2**22 (4.2 million)
values without a carry. Each value is rounded once, by at most 2**(e - 41), which is bound * 2**-102: for the
betweenness of a graph of n = 10**8 vertices (sums up to n**2 = 10**16) 2**-50, for n = 4,039 2**-79.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from engage_spark.errors import ConfigurationError, InputError
from engage_spark.numerics import limbs
from engage_spark.numerics.dtypes import F64, I64

LOW_BITS = 40
MOST_VALUES = 1 << 22


def exponent(bound: float) -> int:
    """Return the exponent e for values and sums of magnitude up to `bound` (n**2 for betweenness, n**3 for
    sums of squared dependencies).

    Errors: ConfigurationError for a bound that is not a positive number.
    """
    if not (math.isfinite(bound) and bound > 0):
        raise ConfigurationError(
            f"a bound of {bound} bounds no sum", hint="give the largest sum that can occur, a positive number"
        )
    return math.frexp(bound)[1] - 62


def to_limbs(values: Any, e: int) -> tuple[I64, I64]:
    """Return (hi, lo) of each value.

    Errors: InputError for values that are not finite or exceed the bound that `e` was made for.
    """
    x = np.asarray(values, dtype=np.float64)
    scaled = np.ldexp(x, -e)
    outside = ~(np.abs(scaled) <= 2.0**62)
    if outside.any():
        first = int(np.flatnonzero(outside.reshape(-1))[0])
        raise InputError(
            f"{int(outside.sum())} values do not fit fixed point with exponent {e}, "
            f"the first {x.reshape(-1)[first]} at {first}",
            hint="give `exponent` a bound that no sum exceeds",
        )
    whole = np.floor(scaled)
    return whole.astype(np.int64), np.rint(np.ldexp(scaled - whole, LOW_BITS)).astype(np.int64)


def from_limbs(hi: Any, lo: Any, e: int) -> F64:
    """Return the values of (sums of) limbs, each rounded once to float64."""
    high, low = carry(np.asarray(hi, dtype=np.int64), np.asarray(lo, dtype=np.int64))
    # Both parts are exact in float64 unless hi has more than 53 bits, where lo is below its rounding anyway.
    return np.asarray(np.ldexp(high.astype(np.float64), e) + np.ldexp(low.astype(np.float64), e - LOW_BITS))


def carry(hi: I64, lo: I64) -> tuple[I64, I64]:
    """Return the same values with lo in 0..2**40-1, which makes room for 2**22 more summands."""
    return limbs.carry(hi, lo, LOW_BITS)
