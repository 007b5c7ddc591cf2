"""Bring stored tables to what the contract and this version of the package declare."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from engage_spark import log
from engage_spark.contract import EVENT_DATE, Contract
from engage_spark.errors import ConfigurationError
from engage_spark.lake.delta import CHANGE_FEED, CONSTRAINT
from engage_spark.lake.locks import table_lock
from engage_spark.lake.maintenance import (
    TableDetail,
    describe_as_declared,
    describe_table,
    own_constraints,
    rewrite,
    rows_against,
    set_constraints,
    set_properties,
)
from engage_spark.pipelines.catalog_views import show_published
from engage_spark.pipelines.context import RunContext
from engage_spark.pipelines.results import MigrateResult, MigrationStep, Note
from engage_spark.pipelines.stored_tables import StoredTable, stored_tables_of
from engage_spark.pipelines.tables.busy_tables import PATIENCE
from engage_spark.publication import PUBLISHED, REPLACED_BY, RUN_ID, RUNS, Kind
from engage_spark.settings import Settings
from engage_spark.spark.schema import is_widening, spark_schema

ADD, WIDEN, LAYOUT, REFUSE, UNUSED = "add", "widen", "layout", "refuse", "unused"
DESCRIBE, CONSTRAIN, UNMET, PROPERTY = "describe", "constrain", "unmet", "property"


@dataclass(frozen=True)
class TablePlan:
    """What one table needs."""

    stored: StoredTable
    detail: TableDetail
    steps: tuple[MigrationStep, ...]
    unmet: frozenset[str] = frozenset()
    """Constraints that stored rows break; they are left out."""

    def has(self, *kinds: str) -> bool:
        """Return whether a step is of one of these kinds."""
        return any(s.kind in kinds for s in self.steps)


def run_migrate(
    spark: SparkSession, settings: Settings, *, contract: Contract, apply: bool = False
) -> MigrateResult:
    """List what the stored tables need to be as they are declared now; with `apply`, do it.

    Columns are added, a type is widened or a layout changed by writing the table once; a column that is not
    declared any more stays, and is named. What would change values is refused before anything is written.
    Descriptions, also that of a table, which its first write cannot carry, and constraints
    (`lake.constraints`) become as they are declared; a constraint that stored rows break is named and left
    out. The change feed is switched on where `lake.change_feed` asks for it, and never off.
    `runs` comes last, so a lake of an older version is refused by the stages until all of it is done; the
    same command goes on after a kill.
    The views of a catalog are made anew.
    Cost: a metadata job per table, and a scan of one that lacks constraints; each table that is written anew
    is read and written once; a commit of metadata for each comment and constraint that is another.
    Errors: ConfigurationError where a table cannot be brought to its declaration.
    """
    started = time.monotonic()
    context = RunContext(spark, settings, contract)
    plans = [p for stored in stored_tables_of(contract) if (p := _plan(context, stored)) is not None]
    steps = tuple(step for plan in plans for step in plan.steps)
    refused = [f"{s.table}: {s.change}" for s in steps if s.kind == REFUSE]
    if apply and refused:
        raise ConfigurationError(
            "some tables cannot be brought to what the contract declares",
            details=refused,
            hint="write to a new lake: `engage-spark --set lake.root=PATH ingest`, or give the field another "
            "name; nothing was changed",
        )
    if apply:
        history = _LogHistory(context, tuple(p.stored for p in plans if p.stored.is_log))
        for plan in plans:
            if plan.has(ADD, WIDEN, LAYOUT, DESCRIBE, CONSTRAIN, PROPERTY):
                with (
                    table_lock(spark, context.lake, plan.stored.name, wait=PATIENCE),
                    log.stage(f"migrating {plan.stored.name}"),
                ):
                    _apply(context, plan, history)
        show_published(context, force=True)
    return MigrateResult(
        stage="tables migrate",
        seconds=time.monotonic() - started,
        locations={s.table: context.lake.location(s.table) for s in steps},
        notes=() if apply else (Note("NothingChanged"),),
        steps=steps,
        applied=apply,
    )


def _plan(context: RunContext, stored: StoredTable) -> TablePlan | None:
    detail = describe_table(context.spark, context.lake, stored.name)
    if detail is None:
        return None
    _, missing = _constraints(context, stored, detail)
    unmet = rows_against(context.spark, context.lake, stored.table, missing) if missing else {}
    steps = (*_steps(stored, detail), *_of_metadata(context, stored, detail, unmet))
    return TablePlan(stored, detail, steps, frozenset(unmet))


def _constraints(
    context: RunContext, stored: StoredTable, detail: TableDetail
) -> tuple[tuple[str, ...], dict[str, str]]:
    """Return which constraints of a table to drop, and which to add.

    Blanks do not tell conditions apart: Delta writes its own between the words of a statement.
    """
    wanted = {k.removeprefix(CONSTRAINT): v for k, v in context.lake.constraints(stored.table).items()}
    there = own_constraints(detail)
    equal = {
        n for n in wanted.keys() & there.keys() if _without_blanks(wanted[n]) == _without_blanks(there[n])
    }
    stale = tuple(name for name in there if name not in equal)
    return stale, {name: sql for name, sql in wanted.items() if name not in equal}


def _without_blanks(sql: str) -> str:
    return "".join(sql.split())


def _of_metadata(
    context: RunContext, stored: StoredTable, detail: TableDetail, unmet: Mapping[str, int]
) -> Iterator[MigrationStep]:
    """Say what of a table's descriptions, constraints and change feed is another than declared."""
    texts = [
        f.name
        for f in stored.table.fields
        if f.name in detail.comments and detail.comments[f.name] != f.description
    ]
    if detail.description != stored.table.description:
        texts.insert(0, "the table")
    if texts:
        change = f"descriptions of {', '.join(texts[:5])}{', …' if len(texts) > 5 else ''}"
        yield MigrationStep(table=stored.name, kind=DESCRIBE, change=change)
    stale, missing = _constraints(context, stored, detail)
    if names := sorted({*stale, *missing} - set(unmet)):
        yield MigrationStep(table=stored.name, kind=CONSTRAIN, change=f"constraints {', '.join(names)}")
    for name, n_rows in unmet.items():
        change = f"{name}: {n_rows:,} stored rows break it, so it is left out"
        yield MigrationStep(table=stored.name, kind=UNMET, change=change)
    # Somebody else may follow the changes of a table: a feed is never switched off.
    if context.settings.lake.change_feed and detail.properties.get(CHANGE_FEED) != "true":
        yield MigrationStep(table=stored.name, kind=PROPERTY, change="change feed on")


def _steps(stored: StoredTable, detail: TableDetail) -> Iterator[MigrationStep]:
    declared = {f.name: f.dataType for f in spark_schema(stored.table)}
    name = stored.name
    if missing := [c for c in declared if c not in detail.columns]:
        yield MigrationStep(table=name, kind=ADD, change=f"columns {', '.join(missing)}, null in old rows")
    for column, kind in declared.items():
        before = detail.types.get(column)
        if before is None or before.simpleString() == kind.simpleString():
            continue
        change = f"{column}: {before.simpleString()} becomes {kind.simpleString()}"
        yield MigrationStep(table=name, kind=WIDEN if is_widening(before, kind) else REFUSE, change=change)
    if detail.partition_by != stored.partition_by:
        change = f"partitions by {', '.join(stored.partition_by) or 'nothing'}"
        yield MigrationStep(table=name, kind=LAYOUT, change=change)
    if unused := [c for c in detail.columns if c not in declared]:
        change = f"{', '.join(unused)}: not declared any more; old rows keep it, new ones hold null"
        yield MigrationStep(table=name, kind=UNUSED, change=change)


@dataclass(frozen=True)
class _LogHistory:
    """What an older version of the package knew of logs by versions of their tables."""

    context: RunContext
    logs: tuple[StoredTable, ...]

    def published(self, stored: StoredTable) -> dict[str, int]:
        """Return the versions that the published runs of a log made, by run."""
        runs = self.context.lake.read(self.context.spark, RUNS)
        version = F.get_json_object("outputs", f"$.{stored.name}").cast("int")
        of_log = runs.where(F.col("stage").isin(list(stored.stages)) & (F.col("status") == PUBLISHED))
        return {r[0]: r[1] for r in of_log.select("run_id", version).collect() if r[1] is not None}

    def events(self, stored: StoredTable) -> dict[str, tuple[str, int]]:
        """Return the first day of the events and their number, by run, as the table is now."""
        rows = self.context.lake.read(self.context.spark, stored.name).groupBy(RUN_ID)
        counted = rows.agg(F.min(EVENT_DATE).cast("string"), F.count(F.lit(1)))
        return {run_id: (first, n_rows) for run_id, first, n_rows in counted.collect()}


def _apply(context: RunContext, plan: TablePlan, history: _LogHistory) -> None:
    stored, spark, lake = plan.stored, context.spark, context.lake
    missing = [c for c in stored.table.names if c not in plan.detail.columns]
    if stored.name == RUNS and missing:
        values = _values_of_runs(plan, history)
        rewrite(spark, lake, stored.table, partition_by=stored.partition_by, values=values)
    elif stored.is_log and REPLACED_BY in missing:
        _rewrite_old_log(context, stored, history)
    elif plan.has(WIDEN, LAYOUT):
        rewrite(spark, lake, stored.table, partition_by=stored.partition_by)
    else:
        lake.add_columns(spark, stored.table)
    if plan.has(DESCRIBE, CONSTRAIN, PROPERTY):
        _apply_metadata(context, plan)


def _apply_metadata(context: RunContext, plan: TablePlan) -> None:
    """Set descriptions, constraints and change feed of a table whose columns are as declared."""
    stored, spark, lake = plan.stored, context.spark, context.lake
    detail = describe_table(spark, lake, stored.name)
    assert detail is not None
    describe_as_declared(spark, lake, stored.table, detail)
    stale, missing = _constraints(context, stored, detail)
    wanted = {name: sql for name, sql in missing.items() if name not in plan.unmet}
    set_constraints(spark, lake, stored.name, drop=stale, add=wanted)
    if plan.has(PROPERTY):
        set_properties(spark, lake, stored.name, {CHANGE_FEED: "true"})


def _rewrite_old_log(context: RunContext, stored: StoredTable, history: _LogHistory) -> None:
    """Write the log of an older version as its readers saw it: at the version of its last published run."""
    versions = history.published(stored)
    ids = ", ".join(f"'{run_id}'" for run_id in sorted(versions))
    rewrite(
        context.spark,
        context.lake,
        stored.table,
        partition_by=stored.partition_by,
        version=max(versions.values(), default=None),
        where=f"{RUN_ID} IN ({ids})" if ids else "false",
    )


def _values_of_runs(plan: TablePlan, history: _LogHistory) -> Mapping[str, str]:
    """Return what the columns of `runs` that an older version had not hold, as SQL.

    A published delivery of a log of which later ones replaced every event counts as repeated.
    """
    log_stages = [stage for stored in history.logs for stage in stored.stages]
    is_log = f"stage IN ({', '.join(map(repr, log_stages))})" if log_stages else "false"
    events = {run_id: e for stored in history.logs for run_id, e in history.events(stored).items()}
    days = ", ".join(f"'{run_id}', '{first}'" for run_id, (first, _) in sorted(events.items()) if first)
    first_event = f"CAST(map({days})[run_id] AS DATE)" if days else "CAST(NULL AS DATE)"
    ids = ", ".join(f"'{run_id}'" for run_id in sorted(events))
    is_gone = f"{is_log} AND status = '{PUBLISHED}'" + (f" AND run_id NOT IN ({ids})" if ids else "")
    values = {
        "kind": f"CASE WHEN {is_log} THEN '{Kind.LOG}' WHEN stage = 'train' THEN '{Kind.TRAINING}' "
        f"ELSE '{Kind.SNAPSHOT}' END",
        "first_event": f"CASE WHEN {is_log} THEN {first_event} END",
        "rows_repeated": f"CASE WHEN {is_gone} THEN rows_in ELSE 0 END",
        "rows_erased": "0",
    }
    values = {name: value for name, value in values.items() if name not in plan.detail.columns}
    if "rows_repeated" in values:
        values |= {n: f"CASE WHEN {is_gone} THEN 0 ELSE {n} END" for n in ("rows_valid", "rows_quarantined")}
    return values
