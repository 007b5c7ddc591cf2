"""Judge one table of one day: the heart of ingest."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from engage_spark import log
from engage_spark.contract import Table, TableKind, day_column, judged_table
from engage_spark.errors import ContractError, InputError
from engage_spark.lake import InputManifest, Materialize, Run, read_inputs, scratch, translate_spark_errors
from engage_spark.pipelines.context import RunContext, StageRun, now
from engage_spark.pipelines.ingest.quality_tables import count, write_evidence
from engage_spark.quality import (
    MALFORMED,
    GateResults,
    TableCounts,
    duplicated_keys,
    evaluate_gates,
    refuse_other_expressions,
    row_checks,
    with_check_results,
    with_duplicate_flag,
    with_orphan_flag,
)
from engage_spark.quality.report.formatting import format_measured
from engage_spark.spark.schema import column_named, conform

PROPERTIES = {"delta.dataSkippingNumIndexedCols": "4"}
"""Statistics on the first columns only: nobody skips files by the range of a rating, and gathering them costs
a tenth of the write.
"""


FEW = 10_000
"""Duplicated keys that may come to the driver. A delivery has none or a handful; writing and reading them
back would cost seconds.
"""


@dataclass(frozen=True, kw_only=True)
class TableOutcome:
    """What became of one table of one day."""

    table: Table
    run: Run
    verdict: GateResults
    notes: tuple[str, ...] = ()


def judge(
    context: RunContext, table: Table, pinned: InputManifest, work: StageRun, *, landed_at: datetime
) -> TableOutcome:
    """Read, conform, judge, write, count, decide and record one table of one day. See `ingest.run` for its
    cost and errors.
    """
    with (
        log.stage(f"judging {table.name} of {work.snapshot_date}", run_id=work.run_id),
        ExitStack() as opened,
    ):
        started_at = now()
        options = context.settings.ingest
        raw = read_inputs(
            context.spark,
            pinned,
            table,
            malformed=MALFORMED,
            delimiter=options.csv_delimiter,
            null=options.csv_null,
        )
        rows, extra = _conformed(raw, table)
        refuse_other_expressions(rows, table)
        extent = _extent(rows, table)
        checks = row_checks(table, parsed_text=pinned.format == "csv", landed_at=landed_at)
        if table.key:
            duplicates = _duplicates(
                duplicated_keys(rows, table), opened.enter_context(scratch(context.spark, context.lake))
            )
            rows = with_duplicate_flag(rows, duplicates, table=table)
        with translate_spark_errors(f"{table.name} cannot be judged"):
            judged = _with_orphan_flags(context, rows, table, work).transform(
                with_check_results, checks=checks
            )
            _ = judged.schema  # asked for here, because Connect looks at no expression before
        version = _write(context, judged, table, work, extent)
        with translate_spark_errors(f"{table.name} cannot be counted"):
            written = context.lake.read(context.spark, judged_table(table).name, version=version).where(
                F.col("_run_id") == work.run_id
            )
            counted, sketched = count(
                written, table, checks, snapshot_date=work.snapshot_date, landed_at=landed_at
            )
        verdict = evaluate_gates(counted, table, checks)
        write_evidence(context, table, work, verdict, counted, sketched)
        run = _record(
            context,
            table,
            work,
            counted,
            verdict,
            rows_in=extent.rows,
            version=version,
            started_at=started_at,
        )
    notes = (
        (f"{table.name}: left out {len(extra)} undeclared columns: {', '.join(extra[:8])}",) if extra else ()
    )
    return TableOutcome(table=table, run=run, verdict=verdict, notes=notes)


@dataclass(frozen=True)
class Extent:
    """How many rows came in, and for a log the UTC days of its events in order: each as a number, counted
    from 1970, and as text.
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
        found = (
            rows.groupBy(F.unix_date(day).alias("number"), day.cast("string").alias("text"))
            .agg(F.count(F.lit(1)).alias("rows"))
            .collect()
        )
    days = sorted((r["number"], r["text"]) for r in found if r["number"] is not None)
    return Extent(rows=sum(r["rows"] for r in found), days=tuple(days))


def _of_days(column: str, days: tuple[tuple[int, str], ...]) -> str:
    """The predicate of exactly these days, and of none, as SQL: one event dated 1970 must not clear what lies
    between.
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


def _duplicates(keys: DataFrame, materialise: Materialize) -> DataFrame | None:
    """The duplicated keys, found once: None when there are none, literal rows while they are few, a temporary
    table beyond.
    """
    with translate_spark_errors("the keys cannot be read"):
        few = keys.limit(FEW + 1).collect()
    if not few:
        return None
    if len(few) <= FEW:
        literal: DataFrame = keys.sparkSession.createDataFrame(few, keys.schema)
        return literal
    return materialise(keys, "duplicates")


def _conformed(raw: DataFrame, table: Table) -> tuple[DataFrame, tuple[str, ...]]:
    """The declared columns, plus the unparsable line of a text format."""
    if MALFORMED not in raw.columns:
        return conform(raw, table)
    _, extra = conform(raw.drop(MALFORMED), table)
    # the text was parsed as the declared types
    return raw.select(*map(column_named, table.names), MALFORMED), extra


def _with_orphan_flags(context: RunContext, rows: DataFrame, table: Table, work: StageRun) -> DataFrame:
    """Add `__orphan_<column>` for each reference: true where the value is no key of the entity's snapshot,
    quarantined rows included.

    Keys: `rows` any, the snapshot's keys made unique. One join per reference, with a broadcast where the keys
    are small.
    """
    for r in table.references:
        entity = context.contract.table(r.table)
        if entity.kind is not TableKind.ENTITY or work.inputs.get(entity.name) is None:
            raise ContractError(
                f"{table.name}.{r.column} refers to {r.table}, which is no entity table",
                hint="refer to the table of kind entity",
            )
        judged = context.lake.read(context.spark, judged_table(entity).name)
        known = judged.where(
            (F.col(day_column(entity)) == F.lit(work.snapshot_date))
            & (F.col("_run_id") == work.inputs[entity.name])
        )
        rows = with_orphan_flag(rows, known, column=r.column, to_column=r.to_column)
    return rows


def _write(context: RunContext, judged: DataFrame, table: Table, work: StageRun, extent: Extent) -> int:
    column, stored = day_column(table), judged_table(table)
    where: str | None
    if table.kind is TableKind.ENTITY:
        day, where = F.lit(work.snapshot_date), f"{column} = DATE'{work.snapshot_date}'"
    else:
        day, where = F.to_date(column_named(table.event_time or "")), _of_days(column, extent.days)
        if not _leaves_others(context, table, work, where):
            # All that is there is replaced, and saying so spares Delta looking for each row to delete: half
            # of the time of a rerun.
            where = None
    return context.lake.replace(
        judged.withColumn(column, day).withColumn("_run_id", F.lit(work.run_id)),
        stored,
        where=where,
        tag=work.run_id,
        partition_by=(column,) if table.kind is TableKind.ENTITY else (),
        properties=PROPERTIES,
    )


def _leaves_others(context: RunContext, table: Table, work: StageRun, where: str) -> bool:
    """Whether the log holds days that this delivery does not replace. One scan of two columns where it does.

    Raises InputError when such days hold rows of an attempt that was not published: readers see the log as a
    later delivery left it, so what those rows had replaced would silently be missing.
    """
    stored = judged_table(table)
    if context.lake.version(context.spark, stored.name) is None:
        return False
    others = context.lake.read(context.spark, stored.name).where(f"NOT ({where})")
    if others.isEmpty():
        return False
    published = {run.run_id for run in context.log.attempts(context.spark, work.stage) if run.published}
    stale = others.where(~F.col("_run_id").isin([*sorted(published), work.run_id])).agg(
        F.min(day_column(table)).cast("string"), F.max(day_column(table)).cast("string")
    )
    first, last = stale.collect()[0]
    if first is not None:
        raise InputError(
            f"{table.name} holds events from {first} to {last} of an attempt that was rejected or did not end",
            hint="deliver those days again, together with this delivery",
        )
    return True


def _record(
    context: RunContext,
    table: Table,
    work: StageRun,
    judgement: TableCounts,
    verdict: GateResults,
    *,
    rows_in: int,
    version: int,
    started_at: datetime,
) -> Run:
    failed = ", ".join(f"{g.rule_name} {format_measured(g)}" for g in verdict.failed_gates)
    run = work.to_run(
        rows_in=rows_in,
        valid=judgement.valid,
        quarantined=judgement.quarantined,
        outputs={judged_table(table).name: version},
        started_at=started_at,
        rejected=f"gates failed: {failed}" if failed else None,
    )
    return context.log.append(context.spark, run)
