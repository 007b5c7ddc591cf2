"""Format measurements, bounds and states for people.

Plain text: whoever puts it into HTML escapes it.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from fractions import Fraction
from typing import Protocol

from engage_spark.contract import Field
from engage_spark.quality.stats.column_stats import ColumnStats

StatisticValue = int | float | date
"""A statistic of a column in its own terms; moments are datetimes."""


class Measurement(Protocol):
    """What a rule or gate measured, and its bounds, in `unit`."""

    @property
    def measured(self) -> float | None: ...
    @property
    def minimum(self) -> float | None: ...
    @property
    def maximum(self) -> float | None: ...
    @property
    def unit(self) -> str: ...


def format_measured(count: Measurement) -> str:
    """Format what a gate measured: `99.1234%`, `75 minutes`, `nothing to measure`."""
    if count.measured is None:
        return "nothing to measure"
    return f"{count.measured:.4f}%" if count.unit == "percent" else f"{count.measured:,.6g} {count.unit}"


def format_bound(count: Measurement) -> str:
    """Format the bounds of a rule or gate: `99.8%`, `10 to 60 minutes`."""
    unit = "%" if count.unit == "percent" else f" {count.unit}"
    sides = [f"{x:,.10g}" for x in (count.minimum, count.maximum) if x is not None]
    return " to ".join(sides) + unit


def percentage(part: int, whole: int) -> str:
    """Format `part` of `whole`; never 0% of something, and never 100% of what is not all."""
    if not whole:
        return "–"
    share = Fraction(100 * part, whole)
    if part and share < Fraction(1, 100):
        return "<0.01%"
    if part < whole and share > Fraction(9999, 100):
        return ">99.99%"
    return f"{float(share):.4g}%"


def value_of(x: float | Fraction | None, spark_type: str) -> StatisticValue | None:
    """Return a minimum, maximum or mean of a state in the column's own terms: a number, a length, a day, a
    moment.

    A day or moment beyond Python's calendar stays a number of days or microseconds since 1970.
    """
    if x is None:
        return None
    try:
        if spark_type == "date":
            return date(1970, 1, 1) + timedelta(days=round(x))
        if spark_type == "timestamp":
            return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=round(x))
    except OverflowError:  # Spark's calendar is longer than Python's
        return float(x)
    return int(x) if Fraction(x).denominator == 1 else float(x)


def format_value(value: StatisticValue | None, spark_type: str) -> str:
    """Format what `value_of` returns, such as `1,234`, `12 chars` or `2025-10-21`."""
    if value is None:
        return "–"
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%d %H:%M:%S")
    if isinstance(value, date):
        return str(value)
    if spark_type in ("date", "timestamp"):
        return f"{value:.6g} {'days' if spark_type == 'date' else 'µs'} after 1970"
    if spark_type == "string":
        return f"{float(value):.4g} chars"
    return f"{value:,}" if isinstance(value, int) and abs(value) < 1e15 else f"{float(value):,.6g}"


def shown_value(x: float | Fraction | None, f: Field) -> str:
    """Format a minimum, maximum or mean of a state in the terms of its column."""
    return format_value(value_of(x, f.spark_type), f.spark_type)


def format_extent(minimum: StatisticValue | None, maximum: StatisticValue | None, spark_type: str) -> str:
    """Format the extremes, such as `18 to 92`."""
    if minimum is None or maximum is None:
        return "–"
    low, high = format_value(minimum, spark_type), format_value(maximum, spark_type)
    return low if low == high else f"{low} to {high}"


def extent(state: ColumnStats, f: Field) -> str:
    """Format the extremes of a state; nothing of a personal column, whose extremes are somebody's."""
    if f.is_personal:
        return "***"
    return format_extent(
        value_of(state.minimum, f.spark_type), value_of(state.maximum, f.spark_type), f.spark_type
    )


def ranked_values(state: ColumnStats, f: Field) -> tuple[tuple[str, int], ...]:
    """Return values with their rows, commonest first, for columns whose bins are values; none of a personal
    column.
    """
    if f.is_personal or not state.filled or not (f.allowed or f.spark_type == "boolean"):
        return ()
    ranked = sorted(((n, b) for b, n in state.bins.items() if b != "null" and n), key=lambda x: (-x[0], x[1]))
    return tuple((b, n) for n, b in ranked)


def format_ranked(ranked: Sequence[tuple[str, int]], n_filled: int, *, most: int = 3) -> str:
    """Format the commonest values with their shares of the rows that are not null."""
    shown = [f"{value} {percentage(n, n_filled)}" for value, n in ranked[:most]]
    return ", ".join(shown) + (f", {len(ranked) - most} more" if len(ranked) > most else "")


def commonest(state: ColumnStats, f: Field) -> str:
    """Format the fullest bins with their shares, for columns whose bins are values."""
    return format_ranked(ranked_values(state, f), state.filled)
