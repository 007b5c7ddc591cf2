"""Define the results of the commands about quality."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from engage_spark.pipelines.results.base import StageResult
from engage_spark.pipelines.results.table_stages import RuleOutcome


@dataclass(frozen=True, kw_only=True)
class FailedExpectation:
    """An expectation that does not hold, or could not be run (then `exception` says why).

    `columns` is empty for one about the table; `result` is what Great Expectations' result holds, masked.
    """

    type: str
    columns: tuple[str, ...]
    severity: str
    result: Mapping[str, Any]
    exception: str | None = None


@dataclass(frozen=True, kw_only=True)
class SuiteCheckResult(StageResult):
    """Any data against a suite. `validation` is the whole Great Expectations validation result."""

    data: str
    suite: str
    engine: str
    expectations: int
    failed: tuple[FailedExpectation, ...]
    validation: Mapping[str, Any]

    @property
    def success(self) -> bool:
        """Whether every expectation holds."""
        return not self.failed


@dataclass(frozen=True, kw_only=True)
class ColumnDrift:
    """One column on two days. `moved` are the bins that moved most, with their shares before and after.

    `psi` is the population stability index, `ks` the Kolmogorov-Smirnov distance; `missing_change` is the
    change of the missing share. All are fractions; None where they cannot be had.
    """

    column: str
    change: str
    psi: float | None
    ks: float | None
    missing_change: float | None
    moved: tuple[tuple[str, float, float], ...] = ()
    appeared: tuple[str, ...] = ()
    vanished: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class DriftResult(StageResult):
    """Two days of a table, column by column, over their valid rows. `columns` are those that changed;
    `changes` counts all by kind.
    """

    table: str
    day: date
    against: date
    changes: Mapping[str, int]
    some_psi: float
    much_psi: float
    columns: tuple[ColumnDrift, ...]


@dataclass(frozen=True, kw_only=True)
class ColumnSummary:
    """One column over several days. `personal` columns show no values.

    `mean`, `minimum` and `maximum` are in the column's own terms: a number, the length of a text, a day, a
    moment. `commonest` holds the values of a closed list with their rows, commonest first. `median` and
    `distinct` are estimates from sketches.
    """

    column: str
    type: str
    personal: bool
    rows: int
    missing: int
    mean: float | date | None = None
    minimum: float | date | None = None
    maximum: float | date | None = None
    commonest: tuple[tuple[str, int], ...] = ()
    median: float | None = None
    distinct: int | None = None


@dataclass(frozen=True, kw_only=True)
class StatesResult(StageResult):
    """What several published days of a table hold together."""

    table: str
    days: tuple[date, ...]
    rows: int
    columns: tuple[ColumnSummary, ...]


@dataclass(frozen=True, kw_only=True)
class ShowResult(StageResult):
    """What was broken on a checked day, worst first; `rules` counts all rules and gates."""

    snapshot_date: date
    tables: tuple[str, ...]
    rules: int
    failed: int
    broken: tuple[RuleOutcome, ...]


@dataclass(frozen=True, kw_only=True)
class ProfileResult(StageResult):
    """A contract drafted from data. `text` is its YAML."""

    rows: int
    columns: int
    key: tuple[str, ...]
    kind: str
    text: str


@dataclass(frozen=True, kw_only=True)
class DocumentedTable:
    """One table in the Data Docs of a day."""

    table: str
    snapshot_date: date
    status: str
    expectations: int
    failed: int


@dataclass(frozen=True, kw_only=True)
class DocsResult(StageResult):
    """The Data Docs that were built; `index` is their first page."""

    index: str
    tables: tuple[DocumentedTable, ...]


@dataclass(frozen=True, kw_only=True)
class SuiteResult(StageResult):
    """The rules about a table as a Great Expectations suite, in its JSON form."""

    table: str
    suite: Mapping[str, Any]
