"""Read raw files, check every row, and write it tagged: valid, or quarantined with its reasons.

A snapshot that fails a gate of the contract is written all the same, so that people can look into it, and
recorded as rejected, so that nobody else sees it.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, replace
from datetime import UTC, date, datetime

from pyspark.sql import SparkSession

from engage_spark import log
from engage_spark.contract import Contract, Table, judged_table
from engage_spark.errors import ConfigurationError, GateError, InputError, NotDeliveredError
from engage_spark.lake import (
    InputManifest,
    code_version,
    fingerprint,
    list_days,
    list_inputs,
    record_arrivals,
    require_known_day,
)
from engage_spark.pipelines.context import RunContext, now
from engage_spark.pipelines.ingest.event_log import FIELDS
from engage_spark.pipelines.ingest.validate_table import TableDelivery, TableOutcome, validate_table
from engage_spark.pipelines.ingest.whole_deliveries import whole_deliveries
from engage_spark.pipelines.results import IngestedSnapshot, IngestResult, Note, rule_outcome
from engage_spark.pipelines.runner import StageRunner
from engage_spark.pipelines.stages import ingest_stage
from engage_spark.publication import GIVEN_UP, RUNS, Kind, Run
from engage_spark.quality import worst_rules
from engage_spark.quality.report.formatting import format_bound, format_measured
from engage_spark.settings import Settings

WORST_RULES = 5
"""Broken rules of a rejected table that the error names."""


def run_ingest(
    spark: SparkSession,
    settings: Settings,
    *,
    contract: Contract,
    snapshot_date: date | None = None,
    force: bool = False,
    due_only: bool = False,
    tables: Collection[str] | None = None,
) -> IngestResult:
    """Check every delivered snapshot that is new or has changed (or the one of `snapshot_date`), then the
    logs beside it.

    A snapshot that was rejected is checked again when its files, the contract, the settings or the code have
    changed. One that cannot be read does not hold up the others. With `due_only` the snapshot of
    `snapshot_date` is left as it is where it was checked before, and left out where it is not whole yet;
    and a log some of whose events were quarantined is checked again when there are other keys. `tables` names
    the tables of the contract that are looked at, by default all.

    Cost: per table and snapshot, no job to list the files and to read their columns (see `list_files`,
    `read_inputs`); one narrow scan for the row count (footers), and
    in the same job, where there is a key, one scan of the key columns with a shuffle of their hashes (a
    second one where keys repeat); one full-width scan, which writes; one of what was written, which counts
    exactly and makes the sketches, and a narrow one for samples where something is broken. A
    delivery of at most SMALL_BYTES is read as one partition, which spares every shuffle. A small file keeps
    the landing of a new delivery. Two Delta commits: the checked table, and `runs`, whose row holds the
    landing and the quality results. Nothing on the driver grows with rows.
    Errors: InputError, after all others have been checked, when a delivery cannot be read as declared
    (nothing is written for that table and day), and GateError, after all has been written and recorded, when
    a gate rejected a snapshot.
    """
    started = time.monotonic()
    context = RunContext(spark, settings, contract)
    runner = StageRunner(context=context, snapshot_date=snapshot_date, force=force, due_only=due_only)
    notes: list[Note] = []
    with log.stage("listing the delivered files", root=settings.input.root):
        wanted = {t.name for t in (contract.entity, *contract.logs)} if tables is None else set(tables)
        snapshots = _list_snapshots(context, snapshot_date) if contract.entity.name in wanted else []
        logs = _list_logs(context, wanted, notes)
        snapshots, logs = whole_deliveries(
            context, snapshots, logs, notes, snapshot_date=None if due_only else snapshot_date
        )
    landings = _landings(context, (*snapshots, *(manifest for _, manifest in logs)), notes)
    outcomes: list[TableOutcome] = []
    unreadable: list[InputError] = []
    for manifest in snapshots:
        delivery = _delivery(runner, contract.entity, manifest, landings)
        if not runner.is_due(delivery.work):
            notes.append(_not_due(delivery))
            continue
        _refuse_or_note(context, delivery, notes)
        outcomes += _validated(runner, delivery, unreadable)
    for table, manifest in logs:
        log_delivery = _log_delivery(runner, table, manifest, landings)
        if isinstance(log_delivery, Note):
            notes.append(log_delivery)
        else:
            outcomes += _validated(runner, log_delivery, unreadable)
    result = _result(context, outcomes, notes, time.monotonic() - started)
    if unreadable:
        raise _input_error(unreadable, outcomes)
    if rejected := [o for o in outcomes if not o.run.published]:
        raise _gate_error(context, rejected, result)
    return result


def delivered_days(
    spark: SparkSession, settings: Settings, *, contract: Contract, snapshot_date: date | None = None
) -> tuple[date, ...]:
    """List the days of which the entity is delivered, oldest first. Undated files are of `snapshot_date`.

    Cost: see `list_days`; no file is read.
    Errors: NotDeliveredError where nothing is delivered; InputError where no day can be told.
    """
    path = _entity_path(RunContext(spark, settings, contract))
    return tuple(list_days(spark, path, contract.entity, snapshot_date=snapshot_date))


def _is_one_file(context: RunContext) -> bool:
    """Return whether the input is one file, which then holds a snapshot of the entity and no logs."""
    root = context.settings.input.root.rstrip("/")
    return root.lower().endswith((".parquet", ".csv", ".csv.gz"))


def _entity_path(context: RunContext) -> str:
    root = context.settings.input.root.rstrip("/")
    return root if _is_one_file(context) else f"{root}/{context.contract.entity.delivered_name}"


def _list_snapshots(context: RunContext, snapshot_date: date | None) -> list[InputManifest]:
    return list_inputs(
        context.spark,
        _entity_path(context),
        context.contract.entity,
        snapshot_date=snapshot_date,
        dated=True,
        format=context.settings.ingest.format,
    )


def _list_logs(
    context: RunContext, wanted: Collection[str], notes: list[Note]
) -> list[tuple[Table, InputManifest]]:
    """Return the wanted logs that are delivered; a note says which are not."""
    root, logs = context.settings.input.root.rstrip("/"), []
    for table in () if _is_one_file(context) else context.contract.logs:
        if table.name not in wanted:
            continue
        path = f"{root}/{table.delivered_name}"
        try:
            (manifest,) = list_inputs(
                context.spark,
                path,
                table,
                snapshot_date=None,
                dated=False,
                format=context.settings.ingest.format,
            )
        except NotDeliveredError:
            notes.append(Note("LogNotDelivered", {"table": table.name, "path": path}))
            continue
        logs.append((table, manifest))
    return logs


def _landings(
    context: RunContext, manifests: Sequence[InputManifest], notes: list[Note]
) -> dict[str, datetime]:
    """Return when each delivery landed, by its fingerprint: now, where no attempt has seen it.

    An attempt that ended has recorded it among its inputs in `runs`, one that was killed in a file.
    """
    tables = {fingerprint([m]): m.table for m in manifests}
    landed_at = context.settings.ingest.landed_at
    recorded = {
        run.inputs["files"]: datetime.fromisoformat(run.inputs["landed"])
        for run in context.log.attempts(context.spark)
        if run.inputs.get("files") in tables
    }
    new = [f for f in tables if f not in recorded]
    landings = recorded | record_arrivals(context.spark, context.lake, new, now=landed_at or now())
    if landed_at and (others := sorted({tables[f] for f, at in landings.items() if at != landed_at})):
        notes.append(Note("LandingNotUsed", {"tables": tuple(others)}))
    return landings


def _delivery(
    runner: StageRunner,
    table: Table,
    manifest: InputManifest,
    landings: Mapping[str, datetime],
    *,
    keys: Mapping[date, Run] | None = None,
) -> TableDelivery:
    """Return a table of a day with what identifies its work.

    `keys` are the runs whose keys a log is checked against; the newest of their snapshots is the log's as
    well. The landing decides latency, freshness and what is an event of the future, so it is an input like
    the files.
    """
    snapshot_date = max(keys) if keys else manifest.day
    files = fingerprint([manifest])
    assert snapshot_date is not None
    require_known_day(manifest, landings[files])
    inputs = {"files": files, "landed": landings[files].astimezone(UTC).isoformat()}
    rows_before = _rows_before(runner, table, snapshot_date)
    if rows_before is not None:
        inputs["rows_before"] = str(rows_before)
    if keys:
        runs = ",".join(run.run_id for _, run in sorted(keys.items()))
        inputs["keys"] = hashlib.sha256(runs.encode()).hexdigest()[:32]
        if not table.key:
            inputs[FIELDS] = json.dumps(table.names)
    work = runner.plan(
        ingest_stage(table),
        snapshot_date,
        inputs=inputs,
        settings=("ingest",),
        kind=Kind.LOG if keys else Kind.SNAPSHOT,
    )
    return TableDelivery(
        table=table,
        manifest=manifest,
        work=work,
        landed_at=landings[files],
        keys=keys or {},
        rows_before=rows_before,
    )


def _rows_before(runner: StageRunner, table: Table, day: date) -> int | None:
    """Return how many rows came in with the published day before; None for the first, and where no gate
    compares with it: it is an input, so that a day is judged again when the day before was corrected.
    """
    if not any(gate.measure == "row_count_change" for gate in table.gates):
        return None
    days = runner.publication.published_days(ingest_stage(table))
    before = [run.rows_in for d, run in days.items() if d < day]
    return before[-1] if before else None


def _validated(
    runner: StageRunner, delivery: TableDelivery, unreadable: list[InputError]
) -> list[TableOutcome]:
    """Check a delivery; one that cannot be read is noted among the `unreadable` ones."""
    try:
        return [validate_table(runner, delivery)]
    except InputError as e:
        unreadable.append(e)
        log.event(f"{delivery.table.name} of {delivery.work.snapshot_date}: {e.message}", level="error")
        return []


def _not_due(delivery: TableDelivery) -> Note:
    about = {"table": delivery.table.name, "snapshot_date": delivery.work.snapshot_date}
    if delivery.work.was_rejected and delivery.work.previous:
        return Note("SnapshotRejectedBefore", about | {"message": delivery.work.previous.message})
    return Note("SnapshotUpToDate", about)


def _log_delivery(
    runner: StageRunner, table: Table, manifest: InputManifest, landings: Mapping[str, datetime]
) -> TableDelivery | Note:
    """Return the delivery of a log, or why it is not to be checked: its files were published before by the
    same contract, settings and code, or rejected as they are.

    Its events are judged by the keys of the published snapshots of their time; where none is published yet,
    by those of the latest attempts. Where `due_only` is set and some were quarantined, the same files are
    judged again by other keys: days that are done one by one then end as days that are done together.
    """
    publication, stage = runner.publication, ingest_stage(runner.context.contract.entity)
    latest = {day: run for (s, day), run in publication.latest.items() if s == stage}
    keys = publication.published_days(stage) or latest
    if not keys:
        return Note("LogWithoutKeys", {"table": table.name})
    delivery = _delivery(runner, table, manifest, landings, keys=keys)
    work, stored, context = delivery.work, judged_table(table).name, runner.context
    runs = publication.log_runs(work.stage)
    lost = [run for run in runs if not context.log.is_present(context.spark, run, stored)]
    if runner.force:
        # What is lost and not delivered again is given up, so that the log can be read.
        given_up = sorted(r.run_id for r in lost if r.run_id != work.run_id)
        inputs = {**work.inputs, **({GIVEN_UP: ",".join(given_up)} if given_up else {})}
        return replace(delivery, work=replace(work, inputs=inputs))
    same = [run for run in runs if run.inputs.get("files") == work.inputs["files"]]
    if again := [run for run in same if run in lost]:
        # The run whose rows are lost is done again as it was, so that it is whole again.
        run = again[-1]
        work = runner.plan(
            work.stage, run.snapshot_date, inputs=run.inputs, settings=("ingest",), kind=Kind.LOG
        )
        known = {day: keys[day] for day in keys if day <= run.snapshot_date} or keys
        return replace(delivery, work=work, keys=known)
    alike = [
        run
        for run in same
        if (run.contract_digest, run.settings_digest, run.code_version)
        == (work.contract.digest, work.settings_digest, code_version())
    ]
    # An event that one of the runs quarantined may be of a key that was not there yet.
    may_differ = any(run.rows_quarantined for run in same) and not any(
        run.inputs.get("keys") == work.inputs["keys"] for run in alike
    )
    if alike and not (runner.due_only and may_differ):
        return Note("LogUpToDate", {"table": table.name})
    if work.was_rejected and work.previous:
        return Note("LogRejectedBefore", {"table": table.name, "message": work.previous.message})
    return delivery


def _refuse_or_note(context: RunContext, delivery: TableDelivery, notes: list[Note]) -> None:
    previous, day = delivery.work.previous, delivery.work.snapshot_date
    if previous is None or previous.run_id == delivery.work.run_id:
        return
    if context.settings.ingest.on_existing == "refuse":
        raise ConfigurationError(
            f"{delivery.table.name} has a snapshot of {day} already "
            f"({previous.status}, run {previous.run_id})",
            hint="set ingest.on_existing=replace to replace it, or take the snapshot out of the delivery",
        )
    about = {"table": delivery.table.name, "snapshot_date": day, "run_id": previous.run_id}
    notes.append(Note("RunReplaced", about))


def _result(
    context: RunContext, outcomes: Sequence[TableOutcome], notes: Sequence[Note], seconds: float
) -> IngestResult:
    tables = [o.table for o in outcomes] or [context.contract.entity, *context.contract.logs]
    names = dict.fromkeys(judged_table(t).name for t in tables)
    snapshots = tuple(map(_snapshot, outcomes))
    return IngestResult(
        stage="ingest",
        seconds=seconds,
        locations={n: context.lake.location(n) for n in (*names, RUNS)},
        notes=(*notes, *(note for o in outcomes for note in o.notes)),
        snapshots=snapshots,
        rows_in=sum(s.rows_in for s in snapshots),
        valid=sum(s.valid for s in snapshots),
        quarantined=sum(s.quarantined for s in snapshots),
    )


def _snapshot(outcome: TableOutcome) -> IngestedSnapshot:
    run, gates = outcome.run, outcome.gates
    broken = [c for c in gates.counts if not c.passed and c not in gates.failed_gates]
    return IngestedSnapshot(
        table=outcome.table.name,
        snapshot_date=run.snapshot_date,
        run_id=run.run_id,
        status=run.status,
        rows_in=run.rows_in,
        valid=run.rows_valid,
        quarantined=run.rows_quarantined,
        seconds=run.seconds,
        failed_gates=tuple(rule_outcome(outcome.table.name, asdict(c)) for c in gates.failed_gates),
        broken_rules=tuple(rule_outcome(outcome.table.name, asdict(c)) for c in broken),
    )


def _input_error(unreadable: Sequence[InputError], outcomes: Sequence[TableOutcome]) -> InputError:
    """Return one error for all deliveries that cannot be read."""
    if len(unreadable) == 1 and not outcomes:
        return unreadable[0]
    checked = [f"{o.table.name} of {o.run.snapshot_date}: {o.run.status}" for o in outcomes]
    return InputError(
        f"{len(unreadable)} of {len(unreadable) + len(outcomes)} deliveries cannot be read",
        details=[line for e in unreadable for line in (e.message, *e.details)] + checked,
        hint="; ".join(dict.fromkeys(e.hint for e in unreadable if e.hint)),
    )


def _gate_error(context: RunContext, rejected: Sequence[TableOutcome], result: IngestResult) -> GateError:
    details = [
        f"{o.table.name} of {o.run.snapshot_date}: {c.rule_name} "
        f"measured {format_measured(c)}, bound {format_bound(c)}"
        for o in rejected
        for c in o.gates.failed_gates
    ]
    for o in rejected:
        rules = [c for c in o.gates.counts if c not in o.gates.failed_gates]
        details += [
            f"{o.table.name}: {c.rule_name} broken by {c.violations:,} rows ({c.severity})"
            for c in worst_rules(rules, WORST_RULES)
        ]
    location = context.lake.location(judged_table(rejected[0].table).name)
    snapshots, them = (f"{len(rejected)} snapshots", "them") if len(rejected) > 1 else ("1 snapshot", "it")
    return GateError(
        f"{snapshots} rejected by the contract's gates; no reader will see {them}",
        details=details,
        hint=f"look at _dq_errors in {location}; deliver again, then rerun",
        result=result,
    )
