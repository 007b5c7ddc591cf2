"""Say what is counted of a day: metrics, and dimensions with their segments. Pure data, without Spark."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from engage_spark.analytics.states import (
    ALL,
    FALSE_SEGMENT,
    NULL_SEGMENT,
    OTHER_SEGMENT,
    TRUE_SEGMENT,
)
from engage_spark.contract.analytics_spec import DimensionKind
from engage_spark.contract.statements import OverTime

MOST_SEGMENTS = 200
"""Segments of a dimension, but for `(other)` and `(null)`: the most frequent values have their own."""
QUARTILES = (0.25, 0.5, 0.75)


@dataclass(frozen=True, kw_only=True)
class CountedMetric:
    """A number of each customer. `digits` behind the point, where values are multiples of 10^-digits.

    `source` is the SQL that gives a row's number or boolean; none: the column of its name.
    `by_rules` metrics are counted in the segments of rules and cohorts as well: targets, and what claims and
    cohorts show.
    """

    name: str
    source: str = ""
    by_rules: bool = True
    unit: str | None = None
    over_time: OverTime = OverTime.STOCK
    rolling_days: int | None = None
    digits: int | None = None


@dataclass(frozen=True, kw_only=True)
class CountedDimension:
    """A way to part customers.

    `source` is the SQL that gives a row's value: text for categories and cohorts, a number for bands and
    quartiles, true, false or null for a rule. `values` are the segments of a category, in order, where
    they are declared; none: those that the day has. `bounds` are the lower bounds of all bands but the first.
    `field` is the number of ranges, with so many `digits` behind the point where its values are
    multiples of 10^-digits.
    """

    name: str
    kind: DimensionKind
    source: str = ""
    field: str | None = None
    digits: int | None = None
    values: tuple[str, ...] = ()
    bounds: tuple[float, ...] = ()
    description: str = ""

    @property
    def is_flag(self) -> bool:
        """Whether its segments are true and false."""
        return self.kind.is_rule and not self.values

    @property
    def is_named(self) -> bool:
        """Whether its segments are values of a text."""
        return not (self.is_flag or self.kind.is_numeric or self.kind is DimensionKind.ALL)

    @property
    def is_open(self) -> bool:
        """Whether its segments follow from the data."""
        return self.is_named and (not self.values or len(self.values) > MOST_SEGMENTS)


@dataclass(frozen=True)
class Segment:
    """A part of a dimension. `lower` and `upper` bound a range [lower, upper); None where it is open.

    `value` is the text that rows of the segment have, where it is not the name.
    """

    name: str
    lower: float | None = None
    upper: float | None = None
    description: str = ""
    value: str | None = None

    @property
    def text(self) -> str:
        """What rows of the segment say."""
        return self.name if self.value is None else self.value


def segment_of(value: str) -> Segment:
    """Return the segment of a value: of its name, in quotes where that means something else here."""
    return Segment(f"'{value}'", value=value) if value in _RESERVED else Segment(value)


_RESERVED = (ALL, NULL_SEGMENT, OTHER_SEGMENT)


@dataclass(frozen=True)
class SegmentedDimension:
    """A dimension with its segments in order; customers of none of `values` are in `(other)` or `(null)`."""

    dimension: CountedDimension
    segments: tuple[Segment, ...]

    @property
    def all_segments(self) -> tuple[Segment, ...]:
        """The segments, and where they can be needed those of other values and of none."""
        if self.dimension.kind is DimensionKind.ALL:
            return self.segments
        text = "the rule cannot be decided" if self.dimension.is_flag else "the value is not known"
        other = (Segment(OTHER_SEGMENT, description="all values without a segment of their own"),)
        null = Segment(NULL_SEGMENT, description=text)
        return (*self.segments, *(other if self.dimension.is_named else ()), null)


@dataclass(frozen=True, kw_only=True)
class StatesPlan:
    """What one pass counts: every metric in every segment."""

    metrics: tuple[CountedMetric, ...]
    dimensions: tuple[SegmentedDimension, ...]


def whole() -> SegmentedDimension:
    """Return the dimension of every customer."""
    return SegmentedDimension(
        CountedDimension(name=ALL, kind=DimensionKind.ALL, description="every customer"),
        (Segment(ALL, description="every customer"),),
    )


def fixed_segments(dimension: CountedDimension) -> SegmentedDimension:
    """Return a dimension whose segments are declared."""
    if dimension.is_flag:
        segments: tuple[Segment, ...] = (
            Segment(TRUE_SEGMENT, description="the rule holds"),
            Segment(FALSE_SEGMENT, description="the rule does not hold"),
        )
    elif dimension.kind is DimensionKind.BAND:
        segments = bands(dimension.bounds)
    else:
        segments = tuple(map(segment_of, dimension.values))
    return SegmentedDimension(dimension, segments)


def bands(bounds: Sequence[float]) -> tuple[Segment, ...]:
    """Return the segments [lower, upper) between bounds, the first and the last open."""
    ends = list(zip((None, *bounds), (*bounds, None), strict=True))
    return tuple(Segment(_band_name(low, high), low, high) for low, high in ends)


def _band_name(low: float | None, high: float | None) -> str:
    if low is None:
        return f"under {high:g}"
    return f"{low:g}+" if high is None else f"{low:g} to <{high:g}"


def quartile_segments(dimension: CountedDimension, bounds: Sequence[float]) -> SegmentedDimension:
    """Return the four quartiles between their three boundaries, which belong to the quartile above.

    Without boundaries (the field is null everywhere) there is no segment but `(null)`.
    """
    if not bounds:
        return SegmentedDimension(dimension, ())
    ends = zip((None, *bounds), (*bounds, None), strict=True)
    return SegmentedDimension(
        dimension, tuple(Segment(f"Q{i}", low, high) for i, (low, high) in enumerate(ends, 1))
    )
