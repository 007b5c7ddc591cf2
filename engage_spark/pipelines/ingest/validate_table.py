"""Check one table of one day: read, conform, check every row, write, count, decide, record."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from engage_spark.contract import Table, TableKind, day_column, judged_table
from engage_spark.errors import ContractError, NotPublishedError
from engage_spark.lake import InputManifest, Materialize, read_inputs, scratch, translate_spark_errors
from engage_spark.lake.erased_keys import split_erased
from engage_spark.pipelines.context import RunContext, StageRun
from engage_spark.pipelines.ingest.event_log import LogWrite, append_events
from engage_spark.pipelines.ingest.quality_tables import quality_rows
from engage_spark.pipelines.ingest.repeated_events import FILE, without_copies
from engage_spark.pipelines.results import Note
from engage_spark.pipelines.runner import StageRunner
from engage_spark.publication import RUN_ID, Run
from engage_spark.quality import (
    MALFORMED,
    ColumnStats,
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
MICROS_A_DAY = 86_400_000_000
EPOCH = date(1970, 1, 1).toordinal()
MAX_EXAMPLES = 8
"""Undeclared columns that a note names."""


@dataclass(frozen=True, kw_only=True)
class TableDelivery:
    """One table of one day to be checked, its files, and when they landed."""

    table: Table
    manifest: InputManifest
    work: StageRun
    landed_at: datetime
    keys: Mapping[date, Run] = field(default_factory=dict)
    """Of a log: the runs of the entity's snapshots, whose keys the events are judged by."""
    rows_before: int | None = None
    """Rows that came in with the published day before, where a gate compares with them."""

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
    stored = judged_table(table)
    with (
        runner.attempt(
            work, f"checking {table.name} of {work.snapshot_date}", tables=[stored.name]
        ) as attempt,
        scratch(context.spark, context.lake) as materialize,
    ):
        refuse_what_spark_refuses(context.spark, table)
        rows, extra, in_folders = _read(context, delivery)
        rows, n_erased = _without_erased(context, rows, table)
        checks = row_checks(
            table,
            parsed_text=delivery.manifest.format == "csv",
            landed_at=delivery.landed_at,
            in_folders=in_folders,
        )
        rows, extent = _flagged(rows, table, materialize)
        with translate_spark_errors(f"{table.name} cannot be checked"):
            checked = _with_orphan_flags(context, rows, delivery, extent).transform(
                with_check_results, checks=checks
            )
            _ = checked.schema  # asked for here, because Connect looks at no expression before
        if table.kind is TableKind.ENTITY:
            day = F.lit(work.snapshot_date)
            attempt.replace(stored, checked.withColumn(day_column(table), day), properties=PROPERTIES)
            written = LogWrite()
        else:
            written = append_events(attempt, checked, table, days=extent.days, materialize=materialize)
        with translate_spark_errors(f"{table.name} cannot be counted"):
            read_back = attempt.read(stored, where="true" if table.kind is TableKind.LOG else None)
            old_columns = _not_declared_any_more(table, stored, read_back)
            read_back = read_back.coalesce(1) if delivery.is_small else read_back
            counts = count_table(
                read_back,
                table,
                checks,
                snapshot_date=work.snapshot_date,
                landed_at=delivery.landed_at,
                with_sketches=True,
            )
        counts = replace(counts, previous_rows=delivery.rows_before)
        gates = evaluate_gates(counts, table, checks)
        refusals = [f"{g.rule_name} {format_measured(g)}" for g in gates.failed_gates]
        # A delivery of events of which none is new has nothing that a gate could measure; an empty one has.
        nothing_new = extent.rows > 0 and counts.rows == 0
        rejected = f"gates failed: {', '.join(refusals)}" if refusals and not nothing_new else None
        if rejected is None:
            gates = replace(gates, failed_gates=())
        run = attempt.publish(
            rows_in=extent.rows + n_erased,
            erased=n_erased,
            valid=counts.valid,
            quarantined=counts.quarantined,
            repeated=extent.copies + written.repeated,
            first_event=_first_event(table, counts.columns, written),
            rejected=rejected,
            evidence=None if nothing_new else quality_rows(table, attempt.work, gates, counts),
        )
    about = {"table": table.name, "n_columns": len(extra), "examples": extra[:MAX_EXAMPLES]}
    left_out = (Note("ColumnsLeftOut", about),) if extra else ()
    erased = (Note("KeysLeftOut", {"table": table.name, "n_rows": n_erased}),) if n_erased else ()
    return TableOutcome(
        table=table, run=run, gates=gates, notes=(*left_out, *old_columns, *erased, *written.notes)
    )


def _not_declared_any_more(table: Table, stored: Table, rows: DataFrame) -> tuple[Note, ...]:
    """Name the columns that the stored table has from an older contract. No job."""
    declared = {name.lower() for name in stored.names}
    columns = tuple(name for name in rows.columns if name.lower() not in declared)
    about = {"table": table.name, "n_columns": len(columns), "examples": columns[:MAX_EXAMPLES]}
    return (Note("ColumnsNotDeclared", about),) if columns else ()


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
        file_column=FILE if delivery.table.kind is TableKind.LOG else None,
    )
    return read._replace(rows=read.rows.coalesce(1)) if delivery.is_small else read


def _without_erased(context: RunContext, rows: DataFrame, table: Table) -> tuple[DataFrame, int]:
    """Leave out the rows of erased keys, and count them.

    Cost: none where no key was ever erased; else a small scan and a narrow one.
    """
    with translate_spark_errors(f"{table.name} cannot be read"):
        parts = split_erased(context.spark, context.lake, rows, table, context.contract.entity)
        return (rows, 0) if parts is None else (parts[0], parts[1].count())


@dataclass(frozen=True)
class Extent:
    """Rows that came in, and for a log the UTC days of its events in order: each as days since 1970, and as
    text. `copies` counts the rows of a log with a key that are equal to another in every column.
    """

    rows: int
    copies: int = 0
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


def _flagged(rows: DataFrame, table: Table, materialize: Materialize) -> tuple[DataFrame, Extent]:
    """Measure the input, and flag the keys that are there more than once."""
    if not table.key:
        return rows, _extent(rows, table)
    n_rows, duplicates = _duplicates(rows, table, materialize)
    copies = 0
    if duplicates is not None and table.kind is TableKind.LOG:
        rows = without_copies(rows, table)
        n_once, duplicates = _duplicates(rows, table, materialize)
        copies = n_rows - n_once
    extent = Extent(rows=n_rows) if table.event_time is None else _extent(rows, table)
    flagged = with_duplicate_flag(rows, duplicates, table=table)
    return flagged, replace(extent, rows=n_rows, copies=copies)


def _duplicates(rows: DataFrame, table: Table, materialize: Materialize) -> tuple[int, DataFrame | None]:
    """Return the number of rows that came in, and the duplicated keys, computed once.

    The keys are None when there are none, literal rows while they are few, a temporary table beyond.
    """
    with translate_spark_errors("the keys cannot be read"):
        return count_rows_and_duplicates(
            rows, table, materialize=lambda frame: materialize(frame, "duplicates")
        )


def _with_orphan_flags(
    context: RunContext, rows: DataFrame, delivery: TableDelivery, extent: Extent
) -> DataFrame:
    """Add `__orphan_<column>` for each reference: true where the value is no key of the entity at the time of
    the event, quarantined rows included.

    That is in neither of the snapshots nearest to the event's day, before and after: who has left since is no
    orphan, and who comes later is none either.
    Keys: `rows` any, the snapshots' keys made unique. One join per reference, with a broadcast where the keys
    are few.
    Errors: NotPublishedError where the rows of such a snapshot are gone.
    """
    table = delivery.table
    for r in table.references:
        entity = context.contract.table(r.table)
        if entity.kind is not TableKind.ENTITY or not delivery.keys:
            raise ContractError(
                f"{table.name}.{r.column} refers to {r.table}, which is not an entity table",
                hint="refer to the table of kind entity",
            )
        snapshots = nearest_days(sorted(delivery.keys), [number for number, _ in extent.days])
        rows = with_orphan_flag(
            rows,
            _keys(context, entity, {d: delivery.keys[d] for d in snapshots}),
            column=r.column,
            to_column=r.to_column,
            day_of=day_column(entity),
            days=snapshots,
            event_day=F.to_date(column_named(table.event_time or "")),
        )
    return rows


def _first_event(table: Table, columns: Mapping[str, ColumnStats], written: LogWrite) -> date | None:
    """Return the earliest day whose valid events this run changes: those that it adds, and replaces."""
    if table.kind is not TableKind.LOG:
        return None
    earliest = columns[table.event_time or ""].minimum if columns else None
    days = [] if written.first_replaced is None else [written.first_replaced]
    if earliest is not None:
        days.append(
            int(earliest) // (1 if table[table.event_time or ""].spark_type == "date" else MICROS_A_DAY)
        )
    if not days:
        return None
    return date.fromordinal(min(max(min(days) + EPOCH, 1), date.max.toordinal()))


def _keys(context: RunContext, entity: Table, runs: Mapping[date, Run]) -> DataFrame:
    """Read the rows of some snapshots as they were checked."""
    stored, day = judged_table(entity).name, day_column(entity)
    gone = [d for d, run in runs.items() if not context.log.is_present(context.spark, run, stored)]
    if gone:
        raise NotPublishedError(
            f"{stored} does not hold the rows of {', '.join(map(str, gone))} any more",
            hint="run `engage-spark ingest` with the files of that day; it makes them anew",
        )
    rows = context.lake.read(context.spark, stored)
    return rows.where(F.col(day).isin(list(runs)) & F.col(RUN_ID).isin([r.run_id for r in runs.values()]))


def nearest_days(snapshots: Sequence[date], events: Sequence[int]) -> list[date]:
    """Return the snapshots that are nearest to some event: the last up to its day, and the first after it.

    `snapshots` are in order and not empty; `events` are days since 1970. Without events, the newest.
    """
    numbers = [d.toordinal() - EPOCH for d in snapshots]
    nearest = set()
    for event in events:
        after = bisect_right(numbers, event)
        nearest |= {after - 1, after}
    return [snapshots[i] for i in sorted(nearest) if 0 <= i < len(snapshots)] or [snapshots[-1]]
