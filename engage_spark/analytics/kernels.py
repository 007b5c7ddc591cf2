"""Add up the values of a metric by segment exactly: compiled, over arrays of one batch.

A value is cut into three whole numbers of 40 bits below a power of two that no value of the column exceeds,
and so is its square; what is left of values far smaller goes into further cuts, until nothing is. Whole
numbers add up exactly in any order, so where they were cut does not matter. The cuts of a row lie in one line
of memory, and are added to the line of its segment in each dimension: one pass per metric and dimension.
"""

from __future__ import annotations

import numpy as np

from engage_spark.analytics.states import LARGEST
from engage_spark.numerics.dtypes import F64, I32, I64, U64
from engage_spark.numerics.jit import kernel

WIDTH = 8
"""Numbers in a line: one for the count, three for the value, three for the square, one that is spare."""
CUTS, CUT_BITS = 3, 40
PACK_BITS = CUTS * CUT_BITS
LEAST_TOP = -500
MOST_KEYS = 1 << 17
"""Keys of buckets lie between this and its negative."""
_SHIFT = 46
_MAGNITUDE = np.int64(2**63 - 1)
_LARGEST = LARGEST


@kernel
def largest(values: F64) -> float:
    """Return the largest magnitude of the values that have a finite square; 0 where there is none."""
    top = 0.0
    for i in range(len(values)):
        size = abs(values[i])
        if size < _LARGEST and size > top:
            top = size
    return top


@kernel
def cut(values: F64, squares: F64, scales: F64, lines: I64, first: bool) -> bool:
    """Cut values and squares into `lines`, leave in them what remains, and return whether anything does.

    `scales` holds of each of six cuts two factors, which together lift the cut's unit to 1. Values without a
    finite square add nothing. `first`: the line's count is 1 where there is a value.
    """
    remains = False
    for i in range(len(values)):
        value, square = values[i], squares[i]
        if not abs(value) < _LARGEST:
            value, square = 0.0, 0.0
            lines[i, 0] = 0
        else:
            lines[i, 0] = 1 if first else 0
        for k in range(3):
            a, b = scales[2 * k], scales[2 * k + 1]
            part = np.int64(value * a * b)
            value -= np.float64(part) / b / a
            lines[i, 1 + k] = part
            a, b = scales[6 + 2 * k], scales[7 + 2 * k]
            part = np.int64(square * a * b)
            square -= np.float64(part) / b / a
            lines[i, 4 + k] = part
        lines[i, 7] = 0
        values[i], squares[i] = value, square
        if value != 0.0 or square != 0.0:
            remains = True
    return remains


@kernel
def add_lines(lines: I64, codes: I32, sums: I64) -> None:
    """Add each row's line to those of its segments, one for each dimension (a column of `codes`)."""
    for i in range(len(lines)):
        for d in range(codes.shape[1]):
            s = codes[i, d]
            for k in range(8):
                sums[s, k] += lines[i, k]


@kernel
def extend(values: F64, codes: I32, least: F64, most: F64) -> None:
    """Lower `least` and raise `most` of each row's segments to its value, where it has a finite square."""
    for i in range(len(values)):
        value = values[i]
        if abs(value) < _LARGEST:
            for d in range(codes.shape[1]):
                s = codes[i, d]
                least[s] = min(least[s], value)
                most[s] = max(most[s], value)


@kernel
def number_buckets(values: F64, bits: I64, numbers: I32, keys: I32, n: int, out: I32) -> int:
    """Write the number of each value's bucket of `numerics.sketches`, and return how many there are now.

    Buckets are numbered as they are met, `n` of them before: `numbers` holds by key one more than its number,
    `keys` the keys by number. Values without a finite square get −1.
    """
    for i in range(len(values)):
        if abs(values[i]) < _LARGEST:
            size = bits[i] & _MAGNITUDE
            key = (size >> _SHIFT) + (1 if size != 0 else 0)
            if values[i] < 0:
                key = -key
            if numbers[key + MOST_KEYS] == 0:
                keys[n] = key
                n += 1
                numbers[key + MOST_KEYS] = n
            out[i] = numbers[key + MOST_KEYS] - 1
        else:
            out[i] = -1
    return n


@kernel
def count_buckets(buckets: I32, codes: I32, counts: I64) -> None:
    """Count each row's bucket in its segments."""
    for i in range(len(buckets)):
        if buckets[i] >= 0:
            for d in range(codes.shape[1]):
                counts[codes[i, d], buckets[i]] += 1


@kernel
def add_customers(places: I32, ranks: I32, codes: I32, rows: I64, registers: np.ndarray) -> None:
    """Count each row in its segments, and raise the register of its key's hash there."""
    for i in range(len(places)):
        for d in range(codes.shape[1]):
            s = codes[i, d]
            rows[s] += 1
            registers[s, places[i]] = max(registers[s, places[i]], ranks[i])


def scales_of(top: int, pack: int) -> F64:
    """Return the factors of the cuts of values below 2^top: those of the pack's number, counted from 0."""
    scales = np.empty(12)
    for of_squares in (0, 1):
        for k in range(CUTS):
            power = unit_power(top, pack, k, squares=bool(of_squares))
            half = -power // 2
            scales[6 * of_squares + 2 * k] = 2.0**half
            scales[6 * of_squares + 2 * k + 1] = 2.0 ** (-power - half)
    return scales


def unit_power(top: int, pack: int, k: int, *, squares: bool) -> int:
    """Return the power of two that a cut counts in."""
    return (2 * top if squares else top) - PACK_BITS * pack - CUT_BITS * (k + 1)


def to_registers(hashes: U64) -> tuple[I32, I32]:
    """Return place and rank of hashes in the registers of `sketches.DistinctCounter`."""
    rest = (hashes & np.uint64((1 << 52) - 1)).astype(np.float64)
    ranks = 53 - np.frexp(rest)[1]
    return (hashes >> np.uint64(52)).astype(np.int32), ranks.astype(np.int32)
