"""Ingest: raw files in, judged Delta tables out. Every row is kept, tagged, and either valid or quarantined
with its reasons.

A snapshot that fails a gate of the contract is written all the same, so that people can look into it, and
recorded as rejected, so that nobody else sees it.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime

from pyspark.sql import SparkSession

from engage_spark import log
from engage_spark.contract import Contract, Table, judged_table
from engage_spark.errors import ConfigurationError, GateError, NotDeliveredError
from engage_spark.lake import InputManifest, Latest, Run, fingerprint, list_inputs, record_arrivals
from engage_spark.pipelines.context import RunContext, StageRun, now
from engage_spark.pipelines.ingest.validate_table import TableOutcome, judge
from engage_spark.pipelines.results import Grid, Report
from engage_spark.pipelines.stages import ingest_stage
from engage_spark.quality import worst_rules
from engage_spark.quality.report.formatting import format_bound, format_measured
from engage_spark.settings import Settings


@dataclass(frozen=True, kw_only=True)
class TableDelivery:
    """One table of one day to be judged."""

    table: Table
    pinned: InputManifest
    work: StageRun


def run(
    spark: SparkSession,
    settings: Settings,
    *,
    contract: Contract,
    snapshot_date: date | None = None,
    force: bool = False,
) -> Report:
    """Judge every delivered snapshot that is new or has changed (or the one of `snapshot_date`), then the
    logs beside it.

    Per table and snapshot: one job to list the files, one narrow scan for the row count (footers) and, where
    there is a key, one scan of the key columns with a shuffle of them; one full-width scan, which writes; two
    of what was written, which count exactly (`fold`) and make the sketches for display, and a narrow one for
    samples where something is broken. One Delta commit each for the judged table, quality_results,
    quality_states and runs, and one for landings where a delivery is new. Nothing on the driver grows with
    rows.

    Raises InputError when the delivery cannot be read as declared (nothing is written for that table), and
    GateError, after all has been written and recorded, when a gate rejected a snapshot.
    """
    started = time.monotonic()
    context = RunContext(spark, settings, contract)
    outcomes: list[TableOutcome] = []
    notes: list[str] = []
    with log.stage("listing the delivered files", root=settings.input.root):
        entity, logs = _listed(context, snapshot_date, notes)
    latest = context.log.latest_of_all(spark)
    parcels = {fingerprint([p]): p.table for p in (*entity, *(p for _, p in logs))}
    wanted = settings.ingest.landed_at
    landings = record_arrivals(spark, context.lake, parcels, now=wanted or now())
    if wanted and (others := sorted({parcels[f] for f, at in landings.items() if at != wanted})):
        notes.append(
            f"ingest.landed_at is not used for {', '.join(others)}: their landing was recorded when they were first ingested"
        )
    for pinned in entity:
        parcel = _parcel(context, contract.entity, pinned, latest, landings)
        if parcel.work.is_up_to_date and not force and snapshot_date is None:
            notes.append(
                f"{contract.entity.name} of {parcel.work.snapshot_date}: published before from the same files, left as it is"
            )
            continue
        _refuse_or_note(context, parcel, notes)
        outcomes.append(
            judge(
                context,
                parcel.table,
                parcel.pinned,
                parcel.work,
                landed_at=landings[parcel.work.inputs["files"]],
            )
        )
    latest |= {(o.run.stage, o.run.snapshot_date): o.run for o in outcomes}
    outcomes += _judge_logs(context, logs, latest, landings, force, notes)
    rejected = [o for o in outcomes if not o.run.published]
    report = _report(context, outcomes, notes, time.monotonic() - started, failed=_failed(rejected))
    if rejected:
        raise _gate_error(context, rejected, report)
    return report


def _listed(
    context: RunContext, snapshot_date: date | None, notes: list[str]
) -> tuple[list[InputManifest], list[tuple[Table, InputManifest]]]:
    root, chosen = context.settings.input.root.rstrip("/"), context.settings.ingest.format
    if root.lower().endswith((".parquet", ".csv", ".csv.gz")):
        return list_inputs(
            context.spark,
            root,
            context.contract.entity,
            snapshot_date=snapshot_date,
            dated=True,
            format=chosen,
        ), []
    entity = list_inputs(
        context.spark,
        f"{root}/{context.contract.entity.name}",
        context.contract.entity,
        snapshot_date=snapshot_date,
        dated=True,
        format=chosen,
    )
    logs = []
    for table in context.contract.logs:
        try:
            (pinned,) = list_inputs(
                context.spark, f"{root}/{table.name}", table, snapshot_date=None, dated=False, format=chosen
            )
        except NotDeliveredError:
            notes.append(f"{table.name}: not delivered, there is no {root}/{table.name}")
            continue
        logs.append((table, pinned))
    return entity, logs


def _parcel(
    context: RunContext,
    table: Table,
    pinned: InputManifest,
    latest: Latest,
    landings: Mapping[str, datetime],
    known: Run | None = None,
) -> TableDelivery:
    """`known` is the run whose keys a log is judged against; its snapshot is the log's as well. The landing
    decides latency, freshness and what is an event of the future, so it is an input like the files.
    """
    snapshot = pinned.day if known is None else known.snapshot_date
    inputs = {} if known is None else {context.contract.entity.name: known.run_id}
    files = fingerprint([pinned])
    assert snapshot is not None
    work = StageRun(
        stage=ingest_stage(table),
        snapshot_date=snapshot,
        inputs={"files": files, "landed": landings[files].isoformat(), **inputs},
        contract=context.contract,
        settings_digest=context.settings.digest("ingest"),
        previous=latest.get((ingest_stage(table), snapshot)),
    )
    return TableDelivery(table=table, pinned=pinned, work=work)


def _refuse_or_note(context: RunContext, parcel: TableDelivery, notes: list[str]) -> None:
    previous = parcel.work.previous
    if previous is None or previous.run_id == parcel.work.run_id:
        return
    day = parcel.work.snapshot_date
    if context.settings.ingest.on_existing == "refuse":
        raise ConfigurationError(
            f"{parcel.table.name} has a snapshot of {day} already ({previous.status}, run {previous.run_id})",
            hint="set ingest.on_existing=replace to replace it, or take the snapshot out of the delivery",
        )
    notes.append(
        f"{parcel.table.name} of {day}: replaces run {previous.run_id[:8]}, whose files, contract, settings or code were others"
    )


def _judge_logs(
    context: RunContext,
    logs: Sequence[tuple[Table, InputManifest]],
    latest: Latest,
    landings: Mapping[str, datetime],
    force: bool,
    notes: list[str],
) -> list[TableOutcome]:
    """Judge the logs against the keys of the newest snapshot there is, as it was judged (its quarantined rows
    are known too).

    Not of the newest in this run: when an older day is delivered again, whoever came after it is no orphan.
    """
    if not logs:
        return []
    entity = max(
        (run for (stage, _), run in latest.items() if stage == ingest_stage(context.contract.entity)),
        key=lambda run: run.snapshot_date,
    )
    outcomes = []
    for table, pinned in logs:
        parcel = _parcel(context, table, pinned, latest, landings, known=entity)
        if parcel.work.is_up_to_date and not force:
            notes.append(f"{table.name}: published before from the same files, left as it is")
            continue
        outcomes.append(
            judge(context, table, pinned, parcel.work, landed_at=landings[parcel.work.inputs["files"]])
        )
    return outcomes


def _report(
    context: RunContext,
    outcomes: list[TableOutcome],
    notes: list[str],
    seconds: float,
    *,
    failed: Grid | None,
) -> Report:
    totals = [o.run for o in outcomes]
    rows = tuple(
        (
            o.table.name,
            str(o.run.snapshot_date),
            f"{o.run.rows_in:,}",
            f"{o.run.rows_valid:,}",
            f"{o.run.rows_quarantined:,}",
            o.run.status,
        )
        for o in outcomes
    )
    places = [o.table.name for o in outcomes] or [
        t.name for t in (context.contract.entity, *context.contract.logs)
    ]
    return Report(
        stage="ingest",
        seconds=seconds,
        lines=(
            ("rows in", f"{sum(r.rows_in for r in totals):,}"),
            ("valid", f"{sum(r.rows_valid for r in totals):,}"),
            ("quarantined", f"{sum(r.rows_quarantined for r in totals):,}"),
        ),
        table=(("table", "snapshot", "rows in", "valid", "quarantined", "status"), rows) if rows else None,
        locations={
            f"{name}_judged": context.lake.location(f"{name}_judged") for name in dict.fromkeys(places)
        }
        | {name: context.lake.location(name) for name in ("quality_results", "quality_states", "runs")},
        failed=failed,
        notes=tuple(
            notes + [n for o in outcomes for n in o.notes] + [_broken(o) for o in outcomes if _broken(o)]
        ),
    )


def _broken(outcome: TableOutcome) -> str:
    broken = [c for c in outcome.verdict.counts if not c.passed and c not in outcome.verdict.failed_gates]
    if not broken:
        return ""
    shown = ", ".join(
        f"{c.rule_name} {c.violations if c.violations else format_measured(c)}"
        for c in sorted(broken, key=lambda c: -c.violations)[:6]
    )
    more = f", and {len(broken) - 6} more" if len(broken) > 6 else ""
    return f"{outcome.table.name} of {outcome.run.snapshot_date}: {len(broken)} rules broken beyond tolerance: {shown}{more}"


def _failed(rejected: Sequence[TableOutcome]) -> Grid | None:
    """What broke which gate."""
    headers = ("table", "snapshot", "gate", "rows", "measured", "bound")
    rows = [
        (
            o.table.name,
            str(o.run.snapshot_date),
            c.rule_name,
            f"{c.violations:,}",
            format_measured(c),
            format_bound(c),
        )
        for o in rejected
        for c in o.verdict.failed_gates
    ]
    return (headers, tuple(rows)) if rows else None


def _gate_error(context: RunContext, rejected: Sequence[TableOutcome], report: Report) -> GateError:
    failed = [(o, c) for o in rejected for c in o.verdict.failed_gates]
    details = [
        f"{o.table.name} of {o.run.snapshot_date}: {c.rule_name} measured {format_measured(c)}, bound {format_bound(c)}"
        for o, c in failed
    ]
    for o in rejected:
        rules = [c for c in o.verdict.counts if c not in o.verdict.failed_gates]
        details += [
            f"{o.table.name}: {c.rule_name} broken by {c.violations:,} rows ({c.severity})"
            for c in worst_rules(rules, 5)
        ]
    return GateError(
        f"{len(rejected)} snapshot{'s' if len(rejected) > 1 else ''} rejected by the contract's gates; no reader will see "
        + ("them" if len(rejected) > 1 else "it"),
        details=details,
        hint=f"look at _dq_errors in {context.lake.location(judged_table(rejected[0].table).name)}; deliver again, then rerun",
        result=report,
    )
