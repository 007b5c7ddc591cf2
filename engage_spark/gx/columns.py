"""Resolve the columns of the rows by name and type, and values of JSON as literals of a column's type."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Context, Decimal
from fractions import Fraction
from typing import Any

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql import types as T

from engage_spark.gx.expectation_args import RefusedError
from engage_spark.spark.schema import column_named

_LONG = 2**63
_BEYOND = 10**80
"""More units than any column holds, whatever its digits."""
Number = int | float | Fraction
Compare = Callable[[Column, Any], Column]


@dataclass(frozen=True)
class ColumnCells:
    """One column: its name as the rows have it, how to refer to it, and its type."""

    name: str
    column: Column
    type: T.DataType

    @property
    def is_whole(self) -> bool:
        return isinstance(self.type, T.IntegralType)

    @property
    def is_number(self) -> bool:
        return isinstance(self.type, T.NumericType)

    @property
    def digits(self) -> int | None:
        """Digits behind the point of exact numbers; None of floating point numbers and other types."""
        if isinstance(self.type, T.DecimalType):
            return int(self.type.scale)
        return 0 if self.is_whole else None

    @property
    def is_floating(self) -> bool:
        return isinstance(self.type, T.DoubleType | T.FloatType)

    @property
    def is_text(self) -> bool:
        return isinstance(self.type, T.StringType)

    @property
    def is_time(self) -> bool:
        return isinstance(self.type, T.DateType | T.TimestampType | T.TimestampNTZType)

    @property
    def called(self) -> str:
        """The type as people call it."""
        return self.type.simpleString()

    def as_text(self) -> Column:
        """Return the cell as Spark writes it. Raises RefusedError for what has no text form."""
        if not isinstance(self.type, T.AtomicType):
            raise RefusedError(f"column {self.name!r} is {self.called}, which is not text")
        return self.column if self.is_text else self.column.cast("string")


class Frame:
    """The columns of the rows that a suite is run on.

    `rows` is for analysis: nothing here runs a job.
    """

    def __init__(self, rows: DataFrame) -> None:
        self.rows, self.schema = rows, rows.schema
        self.names = [f.name for f in self.schema.fields]

    def __getitem__(self, name: str) -> ColumnCells:
        """Return the column of this name; where there is none, the one that differs in case only, or the
        member of a struct by its path.
        """
        same = [n for n in self.names if n == name] or [
            n for n in self.names if n.casefold() == name.casefold()
        ]
        if len(same) == 1:
            return ColumnCells(same[0], column_named(same[0]), self.schema[same[0]].dataType)
        if len(same) > 1:
            raise RefusedError(f"column {name!r} is ambiguous: {', '.join(map(repr, same))}")
        head, *path = name.split(".")
        if path and head in self.names:
            return self._member(name, head, path)
        raise RefusedError(f"there is no column {name!r}; there are {', '.join(self.names)}")

    def _member(self, name: str, head: str, path: list[str]) -> ColumnCells:
        column, kind = column_named(head), self.schema[head].dataType
        for part in path:
            if not isinstance(kind, T.StructType) or part not in kind.names:
                raise RefusedError(f"there is no column {name!r}: {head!r} is {kind.simpleString()}")
            column, kind = column.getField(part), kind[part].dataType
        return ColumnCells(name, column, kind)


def bounded(cells: ColumnCells, low: Any, high: Any, *, strict_low: bool, strict_high: bool) -> Column:
    """Return a column that is true where the value lies within the bounds, null where it is null.

    NaN lies above every number, as Spark sorts it.

    Errors: RefusedError for bounds that the type cannot be compared with.
    """
    if low is None and high is None:
        raise RefusedError("min_value and max_value are both absent")
    sides = []
    if low is not None:
        sides.append(compared(cells, low, above=True, strict=strict_low))
    if high is not None:
        sides.append(compared(cells, high, above=False, strict=strict_high))
    if low is not None and high is not None and comparable(cells, low) > comparable(cells, high):
        raise RefusedError(f"min_value {low!r} is greater than max_value {high!r}")
    return sides[0] if len(sides) == 1 else sides[0] & sides[1]


def compared(cells: ColumnCells, bound: Any, *, above: bool, strict: bool) -> Column:
    """Return one side of `bounded`: the value lies above the bound or below it, or at it unless `strict`."""
    value = comparable(cells, bound)
    column = cells.column
    if cells.is_time:
        kind = "timestamp_ntz" if isinstance(cells.type, T.TimestampNTZType) else "timestamp"
        literal = F.lit(value.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S.%f")).cast(kind)
        column = column.cast(kind)
    elif cells.digits is not None:
        units, strict = _exact_bound(value, cells.digits, above=above, strict=strict)
        if abs(units) >= _most(cells):
            return F.when(column.isNotNull(), F.lit((units < 0) == above))
        literal = _exact_literal(units, cells)
    else:
        nearest, strict = _nearest_double(value, above=above, strict=strict)
        literal = F.lit(nearest)
    if above:
        return column > literal if strict else column >= literal
    return column < literal if strict else column <= literal


def _exact_bound(value: Number, digits: int, *, above: bool, strict: bool) -> tuple[int, bool]:
    """Return the bound in the smallest unit of the column, so that nothing is compared as doubles.

    A bound between two of its values is the next one inside.
    """
    units = exact(value) * 10**digits
    if units.denominator == 1:
        return int(units), strict
    return (math.ceil(units) if above else math.floor(units)), False


def _most(cells: ColumnCells) -> int:
    """Return the first number of units that no value of the column reaches."""
    return 10**cells.type.precision if isinstance(cells.type, T.DecimalType) else _LONG


def _exact_literal(units: int, cells: ColumnCells) -> Column:
    if isinstance(cells.type, T.DecimalType):
        return F.lit(decimal_text(units, cells.type.scale)).cast(cells.type)
    return F.lit(units).cast("bigint")


def decimal_text(units: int, digits: int) -> str:
    """Return a decimal as text: so many units of its last digit."""
    return format(Decimal(units).scaleb(-digits, Context(prec=80)), "f")


def _nearest_double(value: Number, *, above: bool, strict: bool) -> tuple[float, bool]:
    """Return the double next to a bound, and whether it is out itself: beyond 2^53 integers are rounded."""
    nearest = float(value)
    if nearest != value:
        strict = (nearest < value) == above
    return nearest, strict


def comparable(cells: ColumnCells, bound: Any) -> Any:
    """Return the bound as Python compares it: a fraction for exact numbers, an int or float for floating
    point ones, a moment in UTC for dates and timestamps.
    """
    if cells.is_number:
        value = number(bound, cells)
        return value if cells.digits is None else exact(value)
    if cells.is_time:
        return moment(bound)
    raise RefusedError(f"column {cells.name!r} is {cells.called}, which has no bounds in Great Expectations")


def exact(value: Number) -> Fraction:
    """Return a number as it is written: 0.3 is three tenths, and not the double next to it.

    Infinity is a number that no column holds.
    """
    if isinstance(value, float) and math.isinf(value):
        return Fraction(_BEYOND if value > 0 else -_BEYOND)
    return Fraction(str(value))


def number(value: Any, cells: ColumnCells) -> Number:
    """Return a number of JSON, or a text that is one. NaN is not a bound."""
    if isinstance(value, str):
        try:
            value = _of_text(value.strip(), cells)
        except (ValueError, ArithmeticError):
            raise RefusedError(
                f"column {cells.name!r} is {cells.called}; {value!r} is not a number"
            ) from None
    if isinstance(value, bool) or not isinstance(value, int | float | Fraction) or math.isnan(value):
        raise RefusedError(f"column {cells.name!r} is {cells.called}; {value!r} is not a number")
    return value


def _of_text(text: str, cells: ColumnCells) -> Number:
    if text.lstrip("+-").isdigit():
        return int(text)
    nearest = float(text)
    return nearest if cells.digits is None or not math.isfinite(nearest) else Fraction(Decimal(text))


def moment(value: Any) -> datetime:
    """Return a date or a time of ISO 8601 as a moment; without an offset it is UTC, a date is its
    midnight.
    """
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            raise RefusedError(
                f"{value!r} is not a date or time such as 2025-10-21 or 2025-10-21T12:00:00"
            ) from None
    if isinstance(value, date) and not isinstance(value, datetime):
        value = datetime(value.year, value.month, value.day)
    if not isinstance(value, datetime):
        raise RefusedError(f"{value!r} is not a date or time")
    return value if value.tzinfo else value.replace(tzinfo=UTC)


def literals(cells: ColumnCells, values: Any) -> list[Column]:
    """Return the values of a set as literals of the column's type.

    Null is left out, since nulls are not looked at, and so is what no value of the type can equal (2.5 among
    whole numbers).
    Errors: RefusedError for values of another kind.
    """
    if not isinstance(values, list):
        raise RefusedError(f"value_set must be a list, found {values!r}")
    columns = (literal(cells, v) for v in values if v is not None)
    return [k for k in columns if k is not None]


def literal(cells: ColumnCells, value: Any) -> Column | None:  # noqa: PLR0911 (one return a type)
    """Return one value as a literal, or None when no value of the column's type equals it."""
    mismatch = RefusedError(f"column {cells.name!r} is {cells.called}, which cannot equal {value!r}")
    if cells.is_number:
        if isinstance(value, bool) or not isinstance(value, int | float | Fraction):
            raise mismatch
        if math.isnan(value):
            return F.lit(value) if cells.digits is None else None
        if cells.digits is not None:
            units = exact(value) * 10**cells.digits
            is_value = units.denominator == 1 and abs(units) < _most(cells)
            return _exact_literal(int(units), cells) if is_value else None
        return F.lit(float(value)) if isinstance(value, Fraction) or float(value) == value else None
    if cells.is_text and isinstance(value, str):
        return F.lit(value)
    if isinstance(cells.type, T.BooleanType) and isinstance(value, bool):
        return F.lit(value)
    if cells.is_time and isinstance(value, str):
        kind = "timestamp_ntz" if isinstance(cells.type, T.TimestampNTZType) else "timestamp"
        at = moment(value)
        if isinstance(cells.type, T.DateType):
            whole = at == at.replace(hour=0, minute=0, second=0, microsecond=0)
            return F.lit(at.date().isoformat()).cast("date") if whole else None
        return F.lit(at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S.%f")).cast(kind)
    raise mismatch


def alike(one: ColumnCells, other: ColumnCells) -> None:
    """Raise RefusedError unless two columns can be compared without guessing: both numbers, both times, or of
    one type.
    """
    if not ((one.is_number and other.is_number) or (one.is_time and other.is_time) or one.type == other.type):
        raise RefusedError(
            f"{one.name!r} ({one.called}) and {other.name!r} ({other.called}) cannot be compared"
        )


def any_of(conditions: Iterable[Column]) -> Column:
    """Build a balanced disjunction, false of nothing: a chain of some hundred overflows the stack of Spark's
    optimizer.
    """
    level = list(conditions)
    while len(level) > 1:
        level = [
            level[i] if i + 1 == len(level) else level[i] | level[i + 1] for i in range(0, len(level), 2)
        ]
    return level[0] if level else F.lit(False)
