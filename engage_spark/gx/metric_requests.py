"""Collect what a suite asks of the rows: each question once, whatever the number of expectations that ask it,
to be answered together.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from fractions import Fraction
from typing import Any

from pyspark.sql import Column
from pyspark.sql import functions as F

from engage_spark.gx.columns import ColumnCells
from engage_spark.gx.row_conditions import Domain

Cut = float | Fraction
Value = int | float | Fraction | date | datetime


@dataclass(frozen=True)
class ExpectationOutcome:
    """Whether an expectation holds, and what GX calls its result."""

    success: bool
    result: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class ColumnFigures:
    """What was found of a column's values in a domain.

    None where there are none; NaN where one makes the answer NaN, as in Spark.

    `total` is exact. `ranked` values are neither null nor NaN; `below[cut]` of them lie below the cut, and at
    most at it. A minimum is NaN only when there is nothing else, since Spark sorts NaN above every number.
    """

    minimum: Value | None
    maximum: Value | None
    total: Fraction | float | None
    mean: Fraction | float | None
    ranked: int = 0
    below: Mapping[Cut, tuple[int, int]] = field(default_factory=dict)


@dataclass(frozen=True)
class CountRequest:
    """Rows to be counted, and the cell that is shown as a sample of them."""

    where: Column
    shown: ColumnCells | None = None


@dataclass(frozen=True)
class GroupedRequest:
    """An aggregate over the groups of equal keys: `of(n, keys)` is its column, n the group's rows in the
    domain.
    """

    domain: Domain
    of: Callable[[Column, list[Column]], Column]


@dataclass
class MetricRequests:
    """All that is asked. Names are the same for the same question, so it is answered once."""

    counts: dict[str, CountRequest] = field(default_factory=dict)
    numbers: dict[str, tuple[Domain, ColumnCells]] = field(default_factory=dict)
    groups: dict[tuple[str, ...], dict[str, GroupedRequest]] = field(default_factory=dict)
    cuts: dict[str, set[Cut]] = field(default_factory=dict)
    total: bool = False

    def count(
        self, name: str, where: Column, shown: ColumnCells | None = None
    ) -> Callable[[MetricValues], int]:
        """Count the rows that meet a condition (null does not)."""
        self.counts.setdefault(name, CountRequest(where, shown))
        return lambda answers: answers.counts.get(name, 0)

    def rows(self, domain: Domain) -> Callable[[MetricValues], int]:
        """Count the rows of a domain."""
        if domain.where is None:
            self.total = True
            return lambda answers: answers.rows
        return self.count(f"rows {domain.key}", domain.where)

    def missing(self, domain: Domain, cells: ColumnCells) -> Callable[[MetricValues], int]:
        """Count the rows of a domain that have no value in a column."""
        return self.count(f"missing {cells.name} {domain.key}", domain.within(cells.column.isNull()), cells)

    def number(
        self, domain: Domain, cells: ColumnCells, cuts: Iterable[Cut] = ()
    ) -> Callable[[MetricValues], ColumnFigures]:
        """Measure minimum, maximum, sum and mean of a column in a domain, and how many values lie below each
        cut.
        """
        name = f"{cells.name} {domain.key}"
        self.numbers.setdefault(name, (domain, cells))
        self.cuts.setdefault(name, set()).update(cuts)
        return lambda answers: answers.numbers[name]

    def grouped(self, keys: tuple[str, ...], name: str, of: GroupedRequest) -> Callable[[MetricValues], int]:
        """Aggregate over groups of equal keys; 0 of nothing."""
        name = f"{name} {of.domain.key}"
        self.groups.setdefault(keys, {}).setdefault(name, of)
        return lambda answers: answers.groups[keys][name]

    def distinct(self, domain: Domain, cells: ColumnCells) -> Callable[[MetricValues], int]:
        """Count the different values that a column has in a domain, null not among them."""
        return self.grouped(
            (cells.name,),
            "distinct",
            GroupedRequest(domain, lambda n, keys: F.count_if((n > 0) & keys[0].isNotNull())),
        )


@dataclass
class MetricValues:
    """What was found, by question. `counts` lacks what was found on no row."""

    rows: int = 0
    counts: Mapping[str, int] = field(default_factory=dict)
    numbers: Mapping[str, ColumnFigures] = field(default_factory=dict)
    groups: Mapping[tuple[str, ...], Mapping[str, int]] = field(default_factory=dict)
    samples: Mapping[str, list[str]] = field(default_factory=dict)


OutcomeFunction = Callable[[MetricValues], ExpectationOutcome]
"""From the answers to the outcome of one expectation."""
