"""Define the results of what looks after the tables of a lake."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from engage_spark.pipelines.results.base import StageResult


@dataclass(frozen=True, kw_only=True)
class OptimizedTable:
    """One table: rows that no reader could see, its files and bytes before and after."""

    table: str
    rows_removed: int
    files_before: int
    files_after: int
    bytes_before: int
    bytes_after: int


@dataclass(frozen=True, kw_only=True)
class OptimizeResult(StageResult):
    """What was removed and joined."""

    tables: tuple[OptimizedTable, ...]


@dataclass(frozen=True, kw_only=True)
class VacuumedTable:
    """One table: files that were deleted, live files and their bytes.

    A dry run counts up to 1,000 files; None where Delta does not say how many they were.
    """

    table: str
    files_removed: int | None
    files: int
    bytes: int


@dataclass(frozen=True, kw_only=True)
class VacuumResult(StageResult):
    """What was deleted."""

    retention_days: int
    tables: tuple[VacuumedTable, ...]
    scratch_folders: int
    landings: int
    checkpoints: int = 0
    looks: int = 0


@dataclass(frozen=True, kw_only=True)
class TableVersionLine:
    """One version of a table. `run_id`, `stage` and `status` are empty where no run of `runs` made it."""

    version: int
    committed_at: datetime
    operation: str
    run_id: str | None
    stage: str
    status: str
    rows: int | None
    files_added: int | None
    files_removed: int | None


@dataclass(frozen=True, kw_only=True)
class StoredTableVersions:
    """One table: live files and bytes, the number of versions in its log, and the newest of them."""

    table: str
    files: int
    bytes: int
    n_versions: int
    versions: tuple[TableVersionLine, ...]


@dataclass(frozen=True, kw_only=True)
class TablesHistoryResult(StageResult):
    """What the tables are made of."""

    tables: tuple[StoredTableVersions, ...]


@dataclass(frozen=True, kw_only=True)
class CatalogView:
    """One view of a catalog: the table that it selects from, and how many runs it shows."""

    name: str
    table: str
    runs: int


@dataclass(frozen=True, kw_only=True)
class ViewsResult(StageResult):
    """The views that show what is published."""

    views: tuple[CatalogView, ...]


@dataclass(frozen=True, kw_only=True)
class MigrationStep:
    """One change that a stored table needs: `kind` is add, widen, layout, describe, constrain, property,
    unmet, unused or refuse.
    """

    table: str
    kind: str
    change: str


@dataclass(frozen=True, kw_only=True)
class MigrateResult(StageResult):
    """What the stored tables need to be as the contract declares them, and whether it was done."""

    steps: tuple[MigrationStep, ...]
    applied: bool


@dataclass(frozen=True, kw_only=True)
class ErasedPlace:
    """One place where a key may be: what was there, and what is still there. None: it was not looked at."""

    place: str
    occurrences: int | None
    remaining: int | None
    remark: str = ""


@dataclass(frozen=True, kw_only=True)
class ForgetResult(StageResult):
    """Where a key was looked for, and what was there."""

    places: tuple[ErasedPlace, ...]
    applied: bool
    was_known: bool
    """Whether the key had been erased before."""
