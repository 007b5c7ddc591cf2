"""Hold what is counted of a metric in a segment on a day, and merge days.

A state has the number of values, their exact sum and that of their squares, the least, the greatest and a
summary of quantiles. Sums are whole multiples of the smallest double, so states merge to the same bits in any
order, and a week is exactly the sum of its days. Pure: numpy and Python alone.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property

import numpy as np

from engage_spark.numerics import sketches
from engage_spark.numerics.limbs import sum_floats

ALL = "all"
"""The dimension of every customer, and its only segment."""
NULL_SEGMENT, OTHER_SEGMENT = "(null)", "(other)"
"""The segments of customers without a value, and of those whose value is not among the most frequent."""
TRUE_SEGMENT, FALSE_SEGMENT = "true", "false"
CUSTOMERS = "customers"
"""The metric whose `n` is the number of a segment's customers, with the summary of who they are."""
UNIT_BITS = 1074
"""Sums are multiples of 2^-1074, the smallest double."""
LARGEST = 2.0**511
"""Values from here on have no finite square: as NaN and infinities, they count among the nulls."""

_EXACT = b"EX\x01"
Key = tuple[str, str, str]
"""Dimension, segment, metric."""


@dataclass(frozen=True, slots=True)
class MetricState:
    """What is counted of a metric over some customers or customer-days.

    `n` values were finite; `nulls` were null, NaN, infinite or from 2^511 on. `sum_units` and `square_units`
    are the exact sum of the values, and of their squares each rounded once to a double, in multiples of
    2^-1074. `quantiles` is a summary of `numerics.sketches`, `customers` that of who was counted.
    """

    n: int
    nulls: int = 0
    sum_units: int = 0
    square_units: int = 0
    minimum: float | None = None
    maximum: float | None = None
    quantiles: bytes | None = None
    customers: bytes | None = None

    @classmethod
    def of(
        cls, values: Iterable[float | None], *, with_quantiles: bool = False, digits: int | None = None
    ) -> MetricState:
        """Count values one by one: what the kernel must give. Nulls are None or NaN."""
        given = list(values)
        finite = [v + 0.0 for v in given if v is not None and abs(v) < LARGEST]
        array = np.array(finite, np.float64)
        summary = None
        if with_quantiles:
            counter = sketches.QuantileCounter(digits)
            counter.add(array)
            summary = counter.to_bytes()
        return cls(
            n=len(finite),
            nulls=len(given) - len(finite),
            sum_units=sum_floats(array),
            square_units=sum_floats(array * array),
            minimum=min(finite, default=None),
            maximum=max(finite, default=None),
            quantiles=summary,
        )

    @property
    def sum(self) -> Fraction:
        """The exact sum of the values."""
        return Fraction(self.sum_units, 1 << UNIT_BITS)

    @property
    def sum_squares(self) -> Fraction:
        """The exact sum of the squares, each rounded once to a double."""
        return Fraction(self.square_units, 1 << UNIT_BITS)

    @property
    def total(self) -> float:
        """The sum as a double; infinite where it is beyond the largest."""
        return _quotient(self.sum_units, 1 << UNIT_BITS)

    @property
    def mean(self) -> float | None:
        """The mean of the values, rounded once; None of no values."""
        return _quotient(self.sum_units, self.n << UNIT_BITS) if self.n else None

    @property
    def variance(self) -> float | None:
        """The sample variance (n − 1); None of less than two values.

        The cancellation of squares and sum is exact; only the squares were rounded. Never negative.
        """
        if self.n < 2:
            return None
        if self.minimum == self.maximum:
            return 0.0
        spread = (self.square_units << UNIT_BITS) * self.n - self.sum_units**2
        return max(0.0, _quotient(spread, self.n * (self.n - 1) << 2 * UNIT_BITS))

    @property
    def standard_deviation(self) -> float | None:
        """The square root of the variance."""
        variance = self.variance
        return None if variance is None else math.sqrt(variance)

    @property
    def exact(self) -> bytes:
        """The two exact sums as bytes, the same for equal sums; see `from_exact`."""
        return _EXACT + b"".join(map(_units_to_bytes, (self.sum_units, self.square_units)))

    def quantile(self, order: float) -> float | None:
        """Return the order-quantile (0 to 1) from the summary, within 0.8%; None where there is none."""
        return None if self.quantiles is None else sketches.estimate_quantile(self.quantiles, order)


def from_exact(data: bytes) -> tuple[int, int]:
    """Return the sums of `MetricState.exact` in units of 2^-1074.

    Errors: ValueError for other bytes.
    """
    if data[:3] != _EXACT:
        raise ValueError("these bytes are no exact sums of this version")
    first, rest = _units_from_bytes(data[3:])
    second, rest = _units_from_bytes(rest)
    if rest:
        raise ValueError("these bytes hold more than two exact sums")
    return first, second


def _units_to_bytes(units: int) -> bytes:
    shift = (units & -units).bit_length() - 1 if units else 0
    number = units >> shift
    size = number.bit_length() // 8 + 1
    return (
        shift.to_bytes(2, "little")
        + size.to_bytes(2, "little")
        + number.to_bytes(size, "little", signed=True)
    )


def _units_from_bytes(data: bytes) -> tuple[int, bytes]:
    shift, size = (int.from_bytes(data[at : at + 2], "little") for at in (0, 2))
    number = int.from_bytes(data[4 : 4 + size], "little", signed=True)
    return number << shift, data[4 + size :]


def _quotient(over: int, under: int) -> float:
    """Divide whole numbers of any size, rounding once; infinite beyond the largest double."""
    try:
        return over / under
    except OverflowError:
        return math.inf if over > 0 else -math.inf


def merge_states(states: Iterable[MetricState]) -> MetricState:
    """Merge states: of all their values, to the same bits in any order.

    A summary is there only where each state has one. Of no states, the state of no values.
    """
    given = list(states)
    if not given:
        return MetricState(0)
    quantiles = [s.quantiles for s in given if s.quantiles is not None]
    customers = [s.customers for s in given if s.customers is not None]
    return MetricState(
        n=sum(s.n for s in given),
        nulls=sum(s.nulls for s in given),
        sum_units=sum(s.sum_units for s in given),
        square_units=sum(s.square_units for s in given),
        minimum=min((s.minimum for s in given if s.minimum is not None), default=None),
        maximum=max((s.maximum for s in given if s.maximum is not None), default=None),
        quantiles=sketches.merge(quantiles) if len(quantiles) == len(given) else None,
        customers=sketches.merge(customers) if len(customers) == len(given) else None,
    )


@dataclass(frozen=True)
class DayStates:
    """The states of one day, or of merged days, by dimension, segment and metric."""

    states: Mapping[Key, MetricState]

    def get(self, dimension: str, segment: str, metric: str) -> MetricState | None:
        """Return a state; None where nobody was in the segment, or the metric was not measured."""
        return self.states.get((dimension, segment, metric))

    def whole(self, metric: str) -> MetricState | None:
        """Return the state of a metric over all customers."""
        return self.get(ALL, ALL, metric)

    def segments(self, dimension: str) -> tuple[str, ...]:
        """Return the segments of a dimension in their order, those of null and of other values too."""
        return tuple(self._segments.get(dimension, ()))

    def customers(self, dimension: str = ALL, segment: str = ALL) -> int:
        """Return the number of customers of a segment; 0 where there is nobody."""
        state = self.get(dimension, segment, CUSTOMERS)
        return 0 if state is None else state.n

    @property
    def dimensions(self) -> tuple[str, ...]:
        """The dimensions in their order."""
        return tuple(self._segments)

    @property
    def metrics(self) -> tuple[str, ...]:
        """The metrics measured over all customers, but for their number."""
        return tuple(m for d, _, m in self.states if d == ALL and m != CUSTOMERS)

    @cached_property
    def _segments(self) -> dict[str, dict[str, None]]:
        by_dimension: dict[str, dict[str, None]] = {}
        for dimension, segment, _ in self.states:
            by_dimension.setdefault(dimension, {})[segment] = None
        return by_dimension

    def __iter__(self) -> Iterator[Key]:
        return iter(self.states)


def merge_days(days: Iterable[DayStates]) -> DayStates:
    """Merge the states of days, key by key; a segment that a day lacks had nobody on it."""
    by_key: dict[Key, list[MetricState]] = {}
    for day in days:
        for key, state in day.states.items():
            by_key.setdefault(key, []).append(state)
    return DayStates({key: merge_states(states) for key, states in by_key.items()})
