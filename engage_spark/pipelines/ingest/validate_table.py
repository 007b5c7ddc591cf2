"""Check one table of one day: read, conform, check every row, write, count, decide, record."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import datetime

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from engage_spark.contract import Table, TableKind, day_column, judged_table
from engage_spark.errors import ContractError, InputError
from engage_spark.lake import InputManifest, Materialize, Run, read_inputs, scratch, translate_spark_errors
from engage_spark.pipelines.context import RunContext, StageRun
from engage_spark.pipelines.ingest.quality_tables import quality_rows
from engage_spark.pipelines.results import Note
from engage_spark.pipelines.runner import Attempt, StageRunner
from engage_spark.quality import (
    MALFORMED,
    GateResults,
    count_rows_and_duplicates,
    count_table,
    evaluate_gates,
    refuse_what_spark_refuses,
    row_checks,
    with_check_results,
    with_duplicate_flag,
    with_orphan_flag,
)
from engage_spark.quality.report.formatting import format_measured
from engage_spark.spark.schema import ConformedInput, column_named

PROPERTIES = {"delta.dataSkippingNumIndexedCols": "4"}
"""Statistics on the first columns only: nobody skips files by the range of a rating, and gathering them costs
a tenth of the write.
"""
SMALL_BYTES = 4 * 2**20
"""Bytes of a delivery up to which its rows are read as one partition. All shuffles then fall away, each of
which is a job, and one core checks such a delivery in a second.
"""
SMALL_FILES = 32
"""Files of such a delivery: one core opens them one after another."""
MAX_EXAMPLES = 8
"""Undeclared columns that a note names."""


@dataclass(frozen=True, kw_only=True)
class TableDelivery:
    """One table of one day to be checked, its files, and when they landed."""

    table: Table
    manifest: InputManifest
    work: StageRun
    landed_at: datetime

    @property
    def is_small(self) -> bool:
        """Whether its rows are read as one partition."""
        files = self.manifest.files
        return 0 < len(files) <= SMALL_FILES and sum(f.size for f in files) <= SMALL_BYTES


@dataclass(frozen=True, kw_only=True)
class TableOutcome:
    """One table of one day that was checked: its row in `runs`, and every rule and gate."""

    table: Table
    run: Run
    gates: GateResults
    notes: tuple[Note, ...] = ()


def validate_table(runner: StageRunner, delivery: TableDelivery) -> TableOutcome:
    """Check one table of one day and record the outcome.

    Cost and errors: see `run_ingest`.
    """
    context, table, work = runner.context, delivery.table, delivery.work
    with (
        runner.attempt(work, f"checking {table.name} of {work.snapshot_date}") as attempt,
        ExitStack() as opened,
    ):
        refuse_what_spark_refuses(context.spark, table)
        rows, extra, in_folders = _read(context, delivery)
        checks = row_checks(
            table,
            parsed_text=delivery.manifest.format == "csv",
            landed_at=delivery.landed_at,
            in_folders=in_folders,
        )
        if table.key:
            materialize = opened.enter_context(scratch(context.spark, context.lake))
            n_rows, duplicates = _duplicates(rows, table, materialize)
            extent = Extent(rows=n_rows) if table.event_time is None else _extent(rows, table)
            rows = with_duplicate_flag(rows, duplicates, table=table)
        else:
            extent = _extent(rows, table)
        with translate_spark_errors(f"{table.name} cannot be checked"):
            checked = _with_orphan_flags(context, rows, table, work).transform(
                with_check_results, checks=checks
            )
            _ = checked.schema  # asked for here, because Connect looks at no expression before
        _write(attempt, checked, table, extent)
        with translate_spark_errors(f"{table.name} cannot be counted"):
            written = attempt.read(judged_table(table), where=f"_run_id = '{work.run_id}'")
            written = written.coalesce(1) if delivery.is_small else written
            counts = count_table(
                written,
                table,
                checks,
                snapshot_date=work.snapshot_date,
                landed_at=delivery.landed_at,
                with_sketches=True,
            )
        counts = replace(counts, previous_rows=_previous_rows(runner, work))
        gates = evaluate_gates(counts, table, checks)
        failed = ", ".join(f"{g.rule_name} {format_measured(g)}" for g in gates.failed_gates)
        run = attempt.publish(
            rows_in=extent.rows,
            valid=counts.valid,
            quarantined=counts.quarantined,
            rejected=f"gates failed: {failed}" if failed else None,
            evidence=quality_rows(table, work, gates, counts),
        )
    about = {"table": table.name, "n_columns": len(extra), "examples": extra[:MAX_EXAMPLES]}
    return TableOutcome(
        table=table, run=run, gates=gates, notes=(Note("ColumnsLeftOut", about),) if extra else ()
    )


def _read(context: RunContext, delivery: TableDelivery) -> ConformedInput:
    """Return the delivered rows with the declared columns, and the names of undeclared ones."""
    options = context.settings.ingest
    read = read_inputs(
        context.spark,
        delivery.manifest,
        delivery.table,
        malformed=MALFORMED,
        delimiter=options.csv_delimiter,
        null=options.csv_null,
    )
    return read._replace(rows=read.rows.coalesce(1)) if delivery.is_small else read


def _previous_rows(runner: StageRunner, work: StageRun) -> int | None:
    """Return how many rows came in with the published snapshot before this one; None for the first."""
    before = {
        run.snapshot_date: run.rows_in
        for run in runner.context.log.attempts(runner.context.spark, work.stage)
        if run.published and run.snapshot_date < work.snapshot_date
    }
    return before[max(before)] if before else None


@dataclass(frozen=True)
class Extent:
    """Rows that came in, and for a log the UTC days of its events in order: each as days since 1970, and as
    text.
    """

    rows: int
    days: tuple[tuple[int, str], ...] = ()


def _extent(rows: DataFrame, table: Table) -> Extent:
    """Measure the input by itself, not by what was written. One narrow scan: of the footers, or of the event
    time.

    What reaches the driver grows with the days of a log, not with its rows.
    """
    with translate_spark_errors(f"{table.name} cannot be read"):
        if table.event_time is None:
            return Extent(rows=rows.count())
        day = F.to_date(column_named(table.event_time))
        # As number and text, because Python has no dates beyond the year 9999 and a faulty event may.
        counts = (
            rows.groupBy(F.unix_date(day).alias("number"), day.cast("string").alias("text"))
            .agg(F.count(F.lit(1)).alias("rows"))
            .collect()
        )
    days = sorted((r["number"], r["text"]) for r in counts if r["number"] is not None)
    return Extent(rows=sum(r["rows"] for r in counts), days=tuple(days))


def _of_days(column: str, days: tuple[tuple[int, str], ...]) -> str:
    """Return the predicate of exactly these days and of no other, as SQL: one event dated 1970 must not clear
    all days since.
    """
    spans: list[list[tuple[int, str]]] = []
    for day in days:
        if spans and day[0] == spans[-1][-1][0] + 1:
            spans[-1].append(day)
        else:
            spans.append([day])
    return " OR ".join(
        [
            f"{column} IS NULL",
            *(f"{column} BETWEEN DATE'{span[0][1]}' AND DATE'{span[-1][1]}'" for span in spans),
        ]
    )


def _duplicates(rows: DataFrame, table: Table, materialize: Materialize) -> tuple[int, DataFrame | None]:
    """Return the number of rows that came in, and the duplicated keys, computed once.

    The keys are None when there are none, literal rows while they are few, a temporary table beyond.
    """
    with translate_spark_errors("the keys cannot be read"):
        return count_rows_and_duplicates(
            rows, table, materialize=lambda frame: materialize(frame, "duplicates")
        )


def _with_orphan_flags(context: RunContext, rows: DataFrame, table: Table, work: StageRun) -> DataFrame:
    """Add `__orphan_<column>` for each reference: true where the value is not a key of the entity's snapshot,
    quarantined rows included.

    Keys: `rows` any, the snapshot's keys made unique. One join per reference, with a broadcast where the keys
    are small.
    """
    for r in table.references:
        entity = context.contract.table(r.table)
        if entity.kind is not TableKind.ENTITY or work.inputs.get(entity.name) is None:
            raise ContractError(
                f"{table.name}.{r.column} refers to {r.table}, which is not an entity table",
                hint="refer to the table of kind entity",
            )
        entity_rows = context.lake.read(context.spark, judged_table(entity).name)
        keys = entity_rows.where(
            (F.col(day_column(entity)) == F.lit(work.snapshot_date))
            & (F.col("_run_id") == work.inputs[entity.name])
        )
        rows = with_orphan_flag(rows, keys, column=r.column, to_column=r.to_column)
    return rows


def _write(attempt: Attempt, checked: DataFrame, table: Table, extent: Extent) -> None:
    """Replace the snapshot of an entity, or exactly the days of a log that were delivered."""
    column, stored, day = day_column(table), judged_table(table), attempt.work.snapshot_date
    if table.kind is TableKind.ENTITY:
        attempt.replace(stored, checked.withColumn(column, F.lit(day)), properties=PROPERTIES)
        return
    where = _of_days(column, extent.days)
    attempt.replace(
        stored,
        checked.withColumn(column, F.to_date(column_named(table.event_time or ""))),
        where=where,
        # Saying so spares Delta looking for each row to delete: half of the time of a rerun.
        all_rows=not _has_other_days(attempt.context, table, attempt.work, where),
        partition_by=(),
        properties=PROPERTIES,
    )


def _has_other_days(context: RunContext, table: Table, work: StageRun, where: str) -> bool:
    """Return whether the log holds days that this delivery does not replace.

    Cost: one scan of two columns where it does.
    Errors: InputError when such days hold rows of an attempt that was not published: readers see the log as a
    later delivery left it, so what those rows had replaced would silently be missing.
    """
    stored = judged_table(table)
    rows = context.lake.find(context.spark, stored.name)
    if rows is None:
        return False
    others = rows.where(f"NOT ({where})")
    if others.isEmpty():
        return False
    published = {run.run_id for run in context.log.attempts(context.spark, work.stage) if run.published}
    stale = others.where(~F.col("_run_id").isin([*sorted(published), work.run_id])).agg(
        F.min(day_column(table)).cast("string"), F.max(day_column(table)).cast("string")
    )
    first, last = stale.collect()[0]
    if first is not None:
        raise InputError(
            f"{table.name} holds events from {first} to {last} of an attempt that was rejected "
            "or did not end",
            hint="deliver those days again, together with this delivery",
        )
    return True
