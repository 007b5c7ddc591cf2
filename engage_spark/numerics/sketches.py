"""Summarise the values of a column in few bytes that add up: how many differ, and where a quantile lies.

The bytes depend on the set of values alone, in no way on their order, on how rows lie in files, partitions or
days, or on the processor: only bits are looked at, and counts and maxima do not care for order. So the
summary of two days is exactly that of their rows together. Anyone can read them: numpy is all it takes.

- Distinct values: HyperLogLog with 4,096 registers, each the longest run of leading zeros among the hashes
  that fall into it. The standard error is 1.04 / √4096 = 1.6% of the number, whatever the number.
  Source: P. Flajolet, É. Fusy, O. Gandouet, F. Meunier 2007; estimated as O. Ertl 2017, "New cardinality
  estimation algorithms for HyperLogLog sketches", section 4.
- Quantiles: counts of the values by their sign, power of two and next six bits. What is told lies within
  2^-7 (0.8%) of the value that has the rank; whole numbers up to 127, zero and infinities are exact.
  Source: C. Masson, J. Rim, H. Lee 2019, "DDSketch", with buckets that follow from the bits of a double.

Imports numpy only, and is sent to executors by value.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterable, Sequence
from fractions import Fraction
from typing import Any

import numpy as np

from engage_spark.numerics.dtypes import F64, I64, U64
from engage_spark.numerics.splitmix import GOLDEN, mix64

RELATIVE_ERROR = 2.0**-7
"""The most that an estimated quantile is off, as a share of the value; not of values below 2^-1022."""
STANDARD_ERROR = 1.04 / 64
"""One standard deviation of an estimated number of distinct values, as a share of it."""

_DISTINCT, _QUANTILES, _VERSION = b"ED", b"EQ", 1
_PRECISION = 12
_REGISTERS = 1 << _PRECISION
_REST = 64 - _PRECISION
_SHIFT = 52 - 6
_INFINITE = (0x7FF << 6) + 1
"""The bucket of infinity; the one of minus infinity is its negative."""
_NAN = _INFINITE + 1
_FLOATING = 255
"""Written for the digits behind the point where values are no multiples of a unit."""
_BUFFERED = 1 << 16


class DistinctCounter:
    """The registers of a HyperLogLog, updated by arrays of values or of their hashes."""

    def __init__(self) -> None:
        self.registers = np.zeros(_REGISTERS, np.uint8)
        self._least = np.full(_REGISTERS, 1 << _REST, np.int64)

    def add_numbers(self, values: Any) -> None:
        """Add doubles, 64-bit integers, or Python's integers of any size; −0.0 is 0.0, and NaN one value."""
        if values.dtype == np.float64:
            with np.errstate(invalid="ignore"):  # a signalling NaN
                bits = (values + 0.0).view(np.uint64)
            if np.isnan(values.min(initial=0.0)):
                bits[np.isnan(values)] = np.uint64(0x7FF8 << 48)
        elif values.dtype == np.int64:
            bits = values.view(np.uint64)
        else:
            low, high = (
                np.array([(v >> at) & (2**64 - 1) for v in values.tolist()], np.uint64) for at in (0, 64)
            )
            bits = low ^ mix64(high)
        self.add_hashes(mix64(bits + GOLDEN))

    def add_hashes(self, hashes: U64) -> None:
        """Add values by 64 bits that look random and are the same for equal values."""
        at = (hashes >> np.uint64(_REST)).astype(np.intp)
        rest = (hashes & np.uint64((1 << _REST) - 1)).astype(np.int64)
        higher = rest < self._least[at]
        if higher.any():
            at, rest = at[higher], rest[higher]
            # Exact: a number of 52 bits is a double.
            rank = (_REST + 1 - np.frexp(rest.astype(np.float64))[1]).astype(np.uint8)
            np.maximum.at(self.registers, at, rank)
            self._least[at] = np.int64(1) << (_REST - self.registers[at].astype(np.int64)).clip(0)

    def to_bytes(self) -> bytes:
        """Write the registers that are not zero, or all where that is shorter."""
        filled = np.flatnonzero(self.registers)
        head = _DISTINCT + bytes([_VERSION])
        if 3 * len(filled) >= _REGISTERS:
            return head + b"\x01" + self.registers.tobytes()
        return head + b"\x00" + filled.astype("<u2").tobytes() + self.registers[filled].tobytes()


class QuantileCounter:
    """Counts of doubles by bucket. `digits` behind the point say that values are multiples of 10^-digits."""

    def __init__(self, digits: int | None = None) -> None:
        self.digits = digits
        self.counts: dict[int, int] = {}
        self._waiting: list[Any] = []
        self._n_waiting = 0

    def add(self, values: F64) -> None:
        """Count doubles; of whole numbers and decimals, the double next to each."""
        if not len(values):
            return
        bits = values.view(np.int64) & np.int64(2**63 - 1)
        keys = (bits >> _SHIFT) + (bits != 0)
        low = values.min()
        if not low >= 0:
            keys = np.where(values < 0, -keys, keys)
            if np.isnan(low):
                keys[np.isnan(values)] = _NAN
        self._waiting.append(keys.astype(np.int32))
        self._n_waiting += len(keys)
        if self._n_waiting >= _BUFFERED:
            self._flush()

    def _flush(self) -> None:
        if self._waiting:
            keys = np.concatenate(self._waiting)
            first = int(keys.min())
            counted = np.bincount(keys - first)
            filled = np.flatnonzero(counted)
            for key, n in zip((filled + first).tolist(), counted[filled].tolist(), strict=True):
                self.counts[key] = self.counts.get(key, 0) + n
            self._waiting, self._n_waiting = [], 0

    def to_bytes(self) -> bytes:
        """Write the buckets in order: how far each lies above the one before, and its count."""
        self._flush()
        keys = np.array(sorted(self.counts), np.int64)
        counts = np.array([self.counts[k] for k in keys.tolist()], np.int64)
        return quantile_bytes(keys, counts, self.digits)


def quantile_bytes(keys: I64, counts: I64, digits: int | None) -> bytes:
    """Write buckets as `QuantileCounter.to_bytes` does: their keys in rising order, and counts above 0."""
    pairs = np.stack([np.diff(keys, prepend=np.int64(-_NAN)), counts], axis=1)
    head = _QUANTILES + bytes([_VERSION, _FLOATING if digits is None else digits])
    return head + _varints(pairs.ravel())


def merge(summaries: Iterable[bytes]) -> bytes:
    """Merge summaries of one kind: the bytes are those of a summary of all their values.

    Pure; the order does not matter.
    Errors: ValueError for no summary, for two kinds, or for bytes that are no summary of this version.
    """
    first, *others = summaries
    if first[:2] == _DISTINCT:
        counter = DistinctCounter()
        for data in (first, *others):
            np.maximum(counter.registers, _registers(data), out=counter.registers)
        return counter.to_bytes()
    digits, *buckets = _bucket_arrays(first)
    keys, counts = [buckets[0]], [buckets[1]]
    for data in others:
        other_digits, more_keys, more_counts = _bucket_arrays(data)
        if other_digits != digits:
            raise ValueError(
                f"values of {digits} and of {other_digits} digits behind the point do not add up"
            )
        keys.append(more_keys)
        counts.append(more_counts)
    first_key = min((int(k[0]) for k in keys if len(k)), default=0)
    last_key = max((int(k[-1]) for k in keys if len(k)), default=0)
    added = np.zeros(last_key - first_key + 1, np.int64)
    for some_keys, some_counts in zip(keys, counts, strict=True):
        added[some_keys - first_key] += some_counts
    filled = np.flatnonzero(added)
    return quantile_bytes(filled + first_key, added[filled], digits)


def estimate_distinct(summary: bytes) -> int:
    """Estimate how many different values were added, with a standard error of 1.6%.

    Errors: ValueError for bytes that are no summary of distinct values.
    """
    count = np.bincount(_registers(summary), minlength=_REST + 2).tolist()
    z = _REGISTERS * _tau(1 - count[_REST + 1] / _REGISTERS)
    for k in range(_REST, 0, -1):
        z = 0.5 * (z + count[k])
    z += _REGISTERS * _sigma(count[0] / _REGISTERS)
    return round(_REGISTERS**2 / (2 * math.log(2) * z))


def estimate_quantile(summary: bytes, order: float) -> float | None:
    """Estimate the `order`-quantile (0 to 1): the ⌈order · n⌉th smallest of the n values, within 0.8% of it.

    NaN is left out; infinities lie where they should. None of no values.
    Errors: ValueError for bytes that are no summary of quantiles, or an order outside of 0 to 1.
    """
    return estimate_quantiles(summary, (order,))[0]


def estimate_quantiles(summary: bytes, orders: Sequence[float]) -> list[float | None]:
    """Estimate several quantiles as `estimate_quantile` does, reading the summary once."""
    for order in orders:
        if not 0 <= order <= 1:
            raise ValueError(f"the order of a quantile lies from 0 to 1, found {order!r}")
    digits, keys, counts = _bucket_arrays(summary)
    filled = keys != _NAN
    keys, reached = keys[filled], np.cumsum(counts[filled])
    if not len(keys):
        return [None] * len(orders)
    n = int(reached[-1])
    ranks = [max(1, math.ceil(Fraction(str(order)) * n)) for order in orders]
    at = keys[np.searchsorted(reached, ranks)].tolist()
    return [math.copysign(_middle(abs(key), digits), key) for key in at]


def to_histogram(summary: bytes) -> tuple[int | None, F64, I64]:
    """Return the digits behind the point of a summary of quantiles, its buckets' middles, and their counts.

    In rising order. NaN is left out.
    Errors: ValueError for bytes that are no such summary.
    """
    digits, counts = _buckets(summary)
    counts.pop(_NAN, None)
    keys = sorted(counts)
    values = [math.copysign(_middle(abs(key), digits), key) for key in keys]
    return digits, np.array(values, np.float64), np.array([counts[key] for key in keys], np.int64)


def _middle(key: int, digits: int | None) -> float:
    """Return the middle of the values that a bucket may hold."""
    if key in (0, _INFINITE):
        return math.inf if key else 0.0
    low, high = (_double(bits << _SHIFT) for bits in (key - 1, key))
    if digits is not None:
        first, last = math.ceil(low * 10**digits), math.ceil(high * 10**digits) - 1
        if first <= last:
            return float(Fraction(first + last, 2 * 10**digits))
    return float((low + high) / 2)


def _double(bits: int) -> Fraction:
    value: float = struct.unpack("<d", struct.pack("<Q", bits))[0]
    return Fraction(2) ** 1024 if math.isinf(value) else Fraction(value)


def _body(data: bytes, kind: bytes) -> bytes:
    if data[:2] != kind or len(data) < 4 or data[2] != _VERSION:
        raise ValueError("these bytes are no summary of this kind and version")
    return data[3:]


def _registers(data: bytes) -> Any:
    body = _body(data, _DISTINCT)
    if body[0]:
        return np.frombuffer(body, np.uint8, _REGISTERS, 1)
    n = (len(body) - 1) // 3
    registers = np.zeros(_REGISTERS, np.uint8)
    registers[np.frombuffer(body, "<u2", n, 1)] = np.frombuffer(body, np.uint8, n, 1 + 2 * n)
    return registers


def _bucket_arrays(data: bytes) -> tuple[int | None, I64, I64]:
    body = _body(data, _QUANTILES)
    pairs = _numbers(body[1:]).reshape(-1, 2)
    return None if body[0] == _FLOATING else body[0], np.cumsum(pairs[:, 0]) - _NAN, pairs[:, 1]


def _buckets(data: bytes) -> tuple[int | None, dict[int, int]]:
    digits, keys, counts = _bucket_arrays(data)
    return digits, dict(zip(keys.tolist(), counts.tolist(), strict=True))


def _varints(numbers: I64) -> bytes:
    """Write numbers from 0 in groups of seven bits, the lowest first; the last group has no eighth bit."""
    groups = numbers[:, None] >> np.arange(0, 63, 7)
    more = np.zeros(groups.shape, bool)
    more[:, :-1] = groups[:, 1:] != 0
    used = np.ones(groups.shape, bool)
    used[:, 1:] = more[:, :-1]
    return bytes(((groups & 127) | (more * 128))[used].astype(np.uint8))


def _numbers(data: bytes) -> I64:
    groups = np.frombuffer(data, np.uint8).astype(np.int64)
    starts = np.flatnonzero(np.concatenate(([True], groups[:-1] < 128))) if len(groups) else groups
    if not len(starts):
        return groups
    position = np.arange(len(groups)) - np.repeat(starts, np.diff(np.append(starts, len(groups))))
    numbers: I64 = np.add.reduceat((groups & 127) << (7 * position), starts)
    return numbers


def _sigma(x: float) -> float:
    if x == 1:
        return math.inf
    y, z, before = 1.0, x, -1.0
    while z != before:
        x, before = x * x, z
        z, y = z + x * y, y + y
    return z


def _tau(x: float) -> float:
    if x in (0, 1):
        return 0.0
    y, z, before = 1.0, 1 - x, -1.0
    while z != before:
        x, before, y = math.sqrt(x), z, y * 0.5
        z -= (1 - x) ** 2 * y
    return z / 3
