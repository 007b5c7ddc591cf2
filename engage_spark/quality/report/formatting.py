"""Format measurements, bounds and states for people.

Plain text: whoever puts it into HTML escapes it.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from fractions import Fraction
from typing import Protocol

from engage_spark.contract import Field
from engage_spark.quality.stats.column_stats import ColumnStats


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


def shown_value(x: float | Fraction | None, f: Field) -> str:
    """Format a minimum, maximum or mean of a state in the column's own terms: a number, a length, a day, a
    moment, a share of true.
    """
    if x is None:
        return "–"
    if f.spark_type in ("date", "timestamp"):
        return _moment(x, f.spark_type)
    if f.spark_type == "string":
        return f"{float(x):.4g} chars"
    return f"{int(x):,}" if Fraction(x).denominator == 1 and abs(float(x)) < 1e15 else f"{float(x):,.6g}"


def _moment(x: float | Fraction, kind: str) -> str:
    try:
        if kind == "date":
            return str(date(1970, 1, 1) + timedelta(days=round(x)))
        return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=round(x))).strftime(
            "%Y-%m-%d %H:%M:%S"
        )
    except OverflowError:  # Spark's calendar is longer than Python's
        return f"{float(x):.6g} {'days' if kind == 'date' else 'µs'} after 1970"


def extent(state: ColumnStats, f: Field) -> str:
    """Format the extremes, such as `18 to 92`; nothing of a personal column, whose extremes are
    somebody's.
    """
    if f.is_personal:
        return "***"
    if state.minimum is None or state.maximum is None:
        return "–"
    low, high = shown_value(state.minimum, f), shown_value(state.maximum, f)
    return low if low == high else f"{low} to {high}"


def commonest(state: ColumnStats, f: Field, most: int = 3) -> str:
    """Format the fullest bins with their shares, for columns whose bins are values."""
    if f.is_personal or not state.filled or not (f.allowed or f.spark_type == "boolean"):
        return ""
    ranked = sorted(((n, b) for b, n in state.bins.items() if b != "null" and n), key=lambda x: (-x[0], x[1]))
    shown = [f"{b} {percentage(n, state.filled)}" for n, b in ranked[:most]]
    return ", ".join(shown) + (f", {len(ranked) - most} more" if len(ranked) > most else "")
