"""Say which rows of which table a reader sees, under plain names. Pure: no table is opened here."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, date, datetime
from enum import StrEnum
from typing import Any

from engage_spark.contract import (
    SNAPSHOT_DATE,
    Contract,
    GraphRole,
    Role,
    Table,
    TableKind,
    graph_spec_of,
    judged_table,
    predictions_table,
    splits_table,
    system_contract,
    tracked_table,
)
from engage_spark.contract.stored_tables import day_column
from engage_spark.errors import ConfigurationError
from engage_spark.pipelines.stages import (
    ANALYTICS,
    ANALYZE,
    GRAPH_COMPARISON,
    MODEL_MONITORING,
    SPLITS,
    TRAIN,
    TRAINING_RUNS,
    features_stage,
    graph_stage,
    ingest_stage,
    monitor_stage,
    score_stage,
)
from engage_spark.publication import RUN_ID, Publication, Run


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


def views_of(contract: Contract) -> tuple[View, ...]:
    """Return every name that a lake of this contract can be asked by."""
    return (*_inputs(contract), *_made(contract), *_of_models(contract), *_of_analytics())


def _inputs(contract: Contract) -> Iterator[View]:
    for table in contract.tables:
        if table.kind not in (TableKind.ENTITY, TableKind.LOG):
            continue
        stored, day = judged_table(table), day_column(table)
        common: dict[str, Any] = {
            "stored": stored.name,
            "rows": Rows.LOG if table.kind is TableKind.LOG else Rows.DAYS,
            "stages": (ingest_stage(table),),
            "day": day,
            "types": _types(stored),
        }
        names = (*(n for n in table.names if n != day), day)
        yield View(
            name=table.name,
            columns=names,
            is_valid=True,
            description=f"{table.description} Valid rows.",
            **common,
        )
        yield View(
            name=stored.name,
            columns=(*names, "_dq_status", "_dq_errors"),
            description=stored.description,
            **common,
        )


def _made(contract: Contract) -> Iterator[View]:
    for table in contract.derived:
        yield _of_days(tracked_table(table), features_stage(table))
    if not contract.of_graph_role(GraphRole.VERTICES):
        return
    spec = graph_spec_of(contract)
    stage = graph_stage(spec)
    yield _of_days(tracked_table(spec.vertices), stage)
    yield _of_days(tracked_table(spec.edges), stage)
    yield _of_days(system_contract().table(GRAPH_COMPARISON), stage, run_column="run_id")


def _of_models(contract: Contract) -> Iterator[View]:
    targets = [f.name for f in contract.entity.fields if f.role is Role.TARGET]
    if not targets:
        return
    splits, trainings = splits_table(contract), system_contract().table(TRAINING_RUNS)
    yield View(
        name=SPLITS,
        stored=SPLITS,
        rows=Rows.ALL,
        stages=(),
        columns=tuple(name for name in splits.names if name != RUN_ID),
        types=_types(splits),
        description=splits.description,
        day=None,
    )
    yield View(
        name=TRAINING_RUNS,
        stored=TRAINING_RUNS,
        rows=Rows.TRAININGS,
        stages=(TRAIN,),
        columns=trainings.names,
        types=_types(trainings),
        day=None,
        description=trainings.description,
        run_column="run_id",
    )
    yield _of_days(predictions_table(contract), *map(score_stage, targets))
    monitoring = system_contract().table(MODEL_MONITORING)
    yield _of_days(monitoring, *map(monitor_stage, targets), run_column="run_id")


def _of_analytics() -> Iterator[View]:
    system = system_contract()
    for name in ANALYTICS:
        yield _of_days(system.table(name), ANALYZE, run_column="run_id")


def _of_days(table: Table, *stages: str, run_column: str = RUN_ID) -> View:
    return View(
        name=table.name,
        stored=table.name,
        rows=Rows.DAYS,
        stages=stages,
        columns=tuple(name for name in table.names if name != RUN_ID),
        types=_types(table),
        description=table.description,
        run_column=run_column,
    )


def _types(table: Table) -> dict[str, str]:
    return {f.name: f.spark_type for f in table.fields}


def publication_of(records: Sequence[Mapping[str, Any]], *, is_present: Callable[[Run], bool]) -> Publication:
    """Return what readers see, by the rows of `runs`.

    Errors: ConfigurationError where another version of this package wrote them.
    """
    names = [f.name for f in fields(Run)]
    if records and (missing := [n for n in names if n not in records[0]]):
        raise ConfigurationError(
            f"runs was written by an older version of this package: it has no {', '.join(missing)}",
            hint="run `engage-spark tables migrate`, then with --apply",
        )
    return Publication(tuple(_run({n: r[n] for n in names}) for r in records), is_present)


def _run(record: Mapping[str, Any]) -> Run:
    values = dict(record) | {name: json.loads(record[name]) for name in ("inputs", "outputs")}
    for name in ("started_at", "finished_at"):
        moment: datetime = record[name]
        values[name] = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return Run(**values)
