"""Name the parts that a page is made of: sections of figures and tables, each with unit, n and day."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from typing import Any


class Form(StrEnum):
    """How the values of a column are written: as text, whole numbers, numbers, shares, intervals or a
    verdict.
    """

    TEXT = "text"
    COUNT = "count"
    NUMBER = "number"
    SHARE = "share"
    INTERVAL = "interval"
    VERDICT = "verdict"


@dataclass(frozen=True)
class GridColumn:
    """A column of a table; `choice`: readers filter by its values."""

    title: str
    form: Form = Form.TEXT
    choice: bool = False


@dataclass(frozen=True, kw_only=True)
class Basis:
    """What a figure stands on: the unit of its values, how many were measured, and the day described."""

    unit: str
    n: int | str
    as_of: date | str


@dataclass(frozen=True, kw_only=True)
class Grid:
    """A table that sorts and filters. `more` rows are left out."""

    title: str
    columns: Sequence[GridColumn]
    rows: Sequence[Sequence[Any]]
    basis: Basis
    notes: Sequence[str] = ()
    more: int = 0


@dataclass(frozen=True, kw_only=True)
class Choice:
    """A selection that a reader makes in a figure: the signal that it sets, and its options as values and
    their labels.
    """

    label: str
    signal: str
    options: Sequence[tuple[str, str]]


@dataclass(frozen=True, kw_only=True)
class Figure:
    """A plot as Vega draws it, with what readers choose in it, and its values as a table."""

    title: str
    spec: Mapping[str, Any]
    summary: str
    basis: Basis
    table: Grid
    choices: Sequence[Choice] = ()
    notes: Sequence[str] = ()


@dataclass(frozen=True, kw_only=True)
class PageSection:
    """A part of the page. `missing` says why there is nothing, and `command` which makes it."""

    key: str
    title: str
    lead: Sequence[str] = ()
    parts: Sequence[Figure | Grid] = ()
    missing: str | None = None
    command: str | None = None
