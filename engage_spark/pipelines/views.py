"""Say which rows of which table a reader sees, under plain names. Pure: no table is opened here."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date
from enum import StrEnum

from engage_spark.contract import SNAPSHOT_DATE, VALID, Contract
from engage_spark.contract.stored_tables import day_column
from engage_spark.pipelines.stages import SPLITS, TRAIN, TRAINING_RUNS
from engage_spark.pipelines.stored_tables import StoredTable, stored_tables_of
from engage_spark.publication import REPLACED_BY, RUN_ID, Publication, Run

_OWN = (RUN_ID, REPLACED_BY)
_VERDICT = ("_dq_status", "_dq_errors")


class Rows(StrEnum):
    """Which rows of a table are seen: of published days, of published increments, of trainings, or all."""

    DAYS = "days"
    LOG = "log"
    TRAININGS = "trainings"
    ALL = "all"


@dataclass(frozen=True, kw_only=True)
class View:
    """A name that people ask by, and the rows of a stored table that it stands for.

    `stages` publish the rows. `columns` are shown, in this order; `types` are those of the contract.
    `is_valid`: quarantined rows are left out. `run_column` names the run, and `day` the day; None where
    rows have none.
    """

    name: str
    stored: str
    rows: Rows
    stages: tuple[str, ...]
    columns: tuple[str, ...]
    types: Mapping[str, str]
    description: str
    is_valid: bool = False
    run_column: str = RUN_ID
    day: str | None = SNAPSHOT_DATE

    @property
    def command(self) -> str:
        """The command that publishes its rows."""
        return self.stages[0].partition(":")[0] if self.stages else "train"

    def runs(self, publication: Publication, *, as_of: date | None = None) -> dict[str, Run]:
        """Return the runs whose rows are seen, by their ids: of all days, or of one.

        The rows of a log do not lie by the day of their run, so all its runs are seen whatever the day.
        """
        if self.rows is Rows.LOG:
            runs = [run for stage in self.stages for run in publication.log_runs(stage)]
        elif self.rows is Rows.TRAININGS:
            runs = [run for run in publication.runs if run.stage in self.stages and run.published]
        else:
            runs = [
                run
                for stage in self.stages
                for day, run in publication.visible(stage).items()
                if as_of in (None, day)
            ]
        return {run.run_id: run for run in runs}

    def condition(self, runs: Iterable[str], stored: Container[str], quoted: Callable[[str], str]) -> str:
        """Return which rows of the stored table these runs show, as SQL that any engine reads.

        `stored` are the columns that the table has, `quoted` writes a name as the engine reads it.
        """
        if self.rows is Rows.ALL:
            return "true"
        listed = ", ".join(f"'{run_id}'" for run_id in sorted(runs))
        if not listed:
            return "false"
        parts = [f"{quoted(self.run_column)} IN ({listed})"]
        if self.is_valid:
            parts.append(f"{quoted(_VERDICT[0])} = '{VALID}'")
        if self.rows is Rows.LOG and REPLACED_BY in stored:
            replaced = quoted(REPLACED_BY)
            parts.append(f"({replaced} IS NULL OR {replaced} NOT IN ({listed}))")
        return " AND ".join(parts)


def views_of(contract: Contract) -> tuple[View, ...]:
    """Return every name that a lake of this contract can be asked by."""
    return tuple(view for stored in stored_tables_of(contract) for view in _views(contract, stored))


def _views(contract: Contract, stored: StoredTable) -> Iterator[View]:
    if stored.is_checked:
        yield from _views_of_input(contract, stored)
    elif stored.stages:
        yield _view(stored, Rows.DAYS, day=SNAPSHOT_DATE)
    elif contract.targets:
        if stored.name == SPLITS:
            yield _view(stored, Rows.ALL, day=None)
        elif stored.name == TRAINING_RUNS:
            yield _view(replace(stored, stages=(TRAIN,)), Rows.TRAININGS, day=None)


def _views_of_input(contract: Contract, stored: StoredTable) -> Iterator[View]:
    """Yield the valid rows of an input table by its own name, and all of them by their stored one."""
    declared = contract.table(stored.table.source or "")
    judged = _view(stored, Rows.LOG if stored.is_log else Rows.DAYS, day=day_column(declared))
    yield replace(
        judged,
        name=declared.name,
        columns=tuple(name for name in judged.columns if name not in _VERDICT),
        is_valid=True,
        description=f"{declared.description} Valid rows.",
    )
    yield judged


def _view(stored: StoredTable, rows: Rows, *, day: str | None) -> View:
    table = stored.table
    return View(
        name=table.name,
        stored=table.name,
        rows=rows,
        stages=stored.stages,
        columns=tuple(name for name in table.names if name not in _OWN),
        types={f.name: f.spark_type for f in table.fields},
        description=table.description,
        run_column=stored.run_column,
        day=day,
    )
