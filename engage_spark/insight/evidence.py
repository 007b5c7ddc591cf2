"""Hold answers of the insight tools: figures, each with where it was read. Plain data, plain JSON."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from enum import StrEnum
from typing import Any

Value = float | int | str | None
EVERYONE = "all customers"
"""The filter of figures about all customers."""


@dataclass(frozen=True, kw_only=True)
class Origin:
    """Where figures were read: the table at its Delta version, the run that made the rows, and their day."""

    table: str
    version: int
    run: str
    as_of: date


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """One figure and where it was read.

    `n` are the customers that it was measured on, `lower` and `upper` the ends of its 95% interval; None
    where there are none. `filter` says in words of whom it is. Shares and rates are fractions, unit `share`.
    """

    label: str
    value: Value
    table: str
    version: int
    run: str
    as_of: date
    unit: str | None = None
    n: int | None = None
    lower: float | None = None
    upper: float | None = None
    filter: str = EVERYONE

    def to_dict(self) -> dict[str, Any]:
        """Return the figure as plain JSON."""
        return {
            "label": self.label,
            "value": plain(self.value),
            "unit": self.unit,
            "n": self.n,
            "lower": plain(self.lower),
            "upper": plain(self.upper),
            "filter": self.filter,
            "table": self.table,
            "version": self.version,
            "run": self.run,
            "as_of": self.as_of.isoformat(),
        }


class ColumnRole(StrEnum):
    """What a column of an answer's table holds.

    LABEL names what the row is about. GROUP does, too, and restricts the row to a group of customers. VALUE
    is a figure, TEXT a sentence or a word. UNIT is the unit of the row's values that have none of their own.
    """

    LABEL = "label"
    GROUP = "group"
    VALUE = "value"
    TEXT = "text"
    UNIT = "unit"


@dataclass(frozen=True, kw_only=True)
class Column:
    """A column of an answer's table.

    The interval of a value `x` is in `x_lower` and `x_upper`, or in `lower` and `upper`; its customers are in
    `x_n`, or in `n`. `of_others`: the value is that of everybody but the row's group.
    """

    name: str
    role: ColumnRole = ColumnRole.VALUE
    unit: str | None = None
    of_others: bool = False


_PARTS = ("lower", "upper", "n")


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What a tool answers: `facts`, and a table for what has many figures.

    `arguments` are those that the tool worked with, defaults filled in. `origin` is where the table's cells
    were read; None where there is no table. `filter` is of whom its rows are, beside the rows' groups.
    Rows of several days or runs have columns `snapshot` and `run`, and rows that are of different customers
    without being groups have a column `filter`. `notes` are sentences on how to
    read the figures, `truncated` says that rows were left off.
    """

    tool: str
    arguments: Mapping[str, Any]
    facts: tuple[Evidence, ...] = ()
    columns: tuple[Column, ...] = ()
    rows: tuple[tuple[Value, ...], ...] = ()
    origin: Origin | None = None
    filter: str = EVERYONE
    notes: tuple[str, ...] = ()
    truncated: bool = False
    _index: dict[str, int] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_index", {c.name: i for i, c in enumerate(self.columns)})

    def cell(self, row: tuple[Value, ...], name: str) -> Value:
        """Return the cell of a row in a column; None where there is no such column."""
        at = self._index.get(name)
        return None if at is None else row[at]

    def evidence(self) -> Iterator[Evidence]:
        """Yield every figure: the facts, and each value of the table with its interval and customers."""
        yield from self.facts
        if self.origin is not None:
            for row in self.rows:
                yield from self.evidence_of(row)

    def evidence_of(self, row: tuple[Value, ...]) -> Iterator[Evidence]:
        """Yield the figures of a row: of each value column that is no part of another, and has a value."""
        assert self.origin is not None, "an answer with rows says where they were read"
        names = self._names(row, ColumnRole.LABEL, ColumnRole.GROUP)
        groups = self._groups(row)
        whom = " and ".join([*([self.filter] if self.filter != EVERYONE or not groups else []), *groups])
        whom = str(self.cell(row, "filter") or whom)
        units = self._names(row, ColumnRole.UNIT)
        for column in self.columns:
            value = self.cell(row, column.name)
            if column.role is not ColumnRole.VALUE or value is None or self._is_part(column.name):
                continue
            n, lower, upper = (self._part(row, column.name, part) for part in ("n", "lower", "upper"))
            yield Evidence(
                label=": ".join([*names, column.name]),
                value=value,
                unit=column.unit or (units[0] if units else None),
                n=None if n is None else int(n),
                lower=lower,
                upper=upper,
                filter=f"others than {whom}" if column.of_others else whom,
                table=self.origin.table,
                version=self.origin.version,
                run=str(self.cell(row, "run") or self.origin.run),
                as_of=self._day(row) or self.origin.as_of,
            )

    def _groups(self, row: tuple[Value, ...]) -> list[str]:
        """Say of whom a row is: a segment of the dimension that it names, or of its column's name."""
        dimension = self.cell(row, "dimension")
        return [
            f"{dimension or c.name} is {row[i]}"
            for i, c in enumerate(self.columns)
            if c.role is ColumnRole.GROUP and row[i] is not None
        ]

    def _day(self, row: tuple[Value, ...]) -> date | None:
        day = self.cell(row, "snapshot")
        return None if day is None else date.fromisoformat(str(day))

    def _names(self, row: tuple[Value, ...], *roles: ColumnRole) -> list[str]:
        return [str(row[i]) for i, c in enumerate(self.columns) if c.role in roles and row[i] is not None]

    def _is_part(self, name: str) -> bool:
        of = [name.removesuffix(f"_{part}") for part in _PARTS if name.endswith(f"_{part}")]
        return name in ("lower", "upper") or any(x in self._index for x in of)

    def _part(self, row: tuple[Value, ...], name: str, part: str) -> float | None:
        own = f"{name}_{part}"
        if own in self._index:
            value = self.cell(row, own)
        elif part == "n":
            value = self.cell(row, "n") if name != "n" else None
        else:
            value = self.cell(row, part) if name == self._main else None
        return value if isinstance(value, int | float) else None

    @property
    def _main(self) -> str | None:
        """The value that columns `lower` and `upper` belong to: the last one before them."""
        at = self._index.get("lower")
        before = [c.name for c in self.columns[:at] if c.role is ColumnRole.VALUE and c.name != "n"]
        return before[-1] if at is not None and before else None

    def to_dict(self) -> dict[str, Any]:
        """Return the answer as plain JSON: numbers, texts, lists and mappings."""
        origin = self.origin
        return {
            "tool": self.tool,
            "arguments": {k: plain(v) for k, v in self.arguments.items()},
            "facts": [fact.to_dict() for fact in self.facts],
            "columns": [{"name": c.name, "role": c.role.value, "unit": c.unit} for c in self.columns],
            "rows": [[plain(value) for value in row] for row in self.rows],
            "origin": None
            if origin is None
            else {
                "table": origin.table,
                "version": origin.version,
                "run": origin.run,
                "as_of": origin.as_of.isoformat(),
            },
            "filter": self.filter,
            "notes": list(self.notes),
            "truncated": self.truncated,
        }


def plain(value: Any) -> Any:
    """Return a value as JSON holds it: dates as texts, numbers that are not finite as null."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, Decimal):
        return plain(float(value))
    return value.isoformat() if isinstance(value, date) else value
