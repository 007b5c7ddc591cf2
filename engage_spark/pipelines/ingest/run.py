"""Read raw files, check every row, and write it tagged: valid, or quarantined with its reasons.

A snapshot that fails a gate of the contract is written all the same, so that people can look into it, and
recorded as rejected, so that nobody else sees it.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import date, datetime

from pyspark.sql import SparkSession

from engage_spark import log
from engage_spark.contract import Contract, Table, judged_table
from engage_spark.errors import ConfigurationError, InputError
from engage_spark.lake import (
    InputManifest,
    list_days,
    list_inputs,
)
from engage_spark.pipelines.context import RunContext
from engage_spark.pipelines.ingest.deliveries import (
    delivered_tables,
    is_one_file,
    landing_times,
    list_logs,
    log_delivery,
    table_delivery,
)
from engage_spark.pipelines.ingest.outcomes import gate_error, input_error, to_snapshot
from engage_spark.pipelines.ingest.validate_table import TableDelivery, TableOutcome, validate_table
from engage_spark.pipelines.ingest.whole_deliveries import Logs, whole_deliveries
from engage_spark.pipelines.results import IngestResult, Note
from engage_spark.pipelines.runner import StageRunner
from engage_spark.pipelines.stages import ingest_stage
from engage_spark.publication import RUNS
from engage_spark.settings import Settings


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
    Errors: ConfigurationError where `tables` names what the contract does not deliver; InputError, after all
    others have been checked, when a delivery cannot be read as declared, is of a day of the future or has a
    manifest that cannot be used (nothing is written for that table and day); GateError, after all has been
    written and recorded, when a gate rejected a snapshot.
    """
    started = time.monotonic()
    context = RunContext(spark, settings, contract)
    wanted = delivered_tables(contract, tables)
    runner = StageRunner(context=context, snapshot_date=snapshot_date, force=force, due_only=due_only)
    notes: list[Note] = []
    unreadable: list[InputError] = []
    with log.stage("listing the delivered files", root=settings.input.root):
        snapshots = _list_snapshots(context, snapshot_date) if contract.entity.name in wanted else []
        logs = list_logs(context, wanted, notes, unreadable)
        asked = None if due_only else snapshot_date
        snapshots, logs = whole_deliveries(
            context, snapshots, logs, notes, snapshot_date=asked, unreadable=unreadable
        )
    landings = landing_times(context, (*snapshots, *(manifest for _, manifest in logs)), notes)
    outcomes: list[TableOutcome] = []
    unread: list[date] = []
    for manifest in snapshots:
        try:
            outcomes += _checked_snapshot(runner, manifest, landings, notes)
        except InputError as e:
            assert manifest.day is not None
            unread.append(manifest.day)
            unreadable.append(e)
            log.event(f"{manifest.table} of {manifest.day}: {e.message}", level="error")
    for table, manifest in _without_waiting(runner, logs, unread, notes):
        of_log = log_delivery(runner, table, manifest, landings)
        if isinstance(of_log, Note):
            notes.append(of_log)
        else:
            outcomes += _validated(runner, of_log, unreadable)
    result = _result(context, outcomes, notes, time.monotonic() - started)
    if unreadable:
        raise input_error(unreadable, outcomes)
    if rejected := [o for o in outcomes if not o.run.published]:
        raise gate_error(context, rejected, result)
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


def _entity_path(context: RunContext) -> str:
    root = context.settings.input.root.rstrip("/")
    return root if is_one_file(context) else f"{root}/{context.contract.entity.delivered_name}"


def _list_snapshots(context: RunContext, snapshot_date: date | None) -> list[InputManifest]:
    return list_inputs(
        context.spark,
        _entity_path(context),
        context.contract.entity,
        snapshot_date=snapshot_date,
        dated=True,
        format=context.settings.ingest.format,
    )


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


def _checked_snapshot(
    runner: StageRunner, manifest: InputManifest, landings: Mapping[str, datetime], notes: list[Note]
) -> list[TableOutcome]:
    """Check a snapshot if it is due.

    Errors: InputError where it is of a day of the future, or cannot be read.
    """
    delivery = table_delivery(runner, runner.context.contract.entity, manifest, landings)
    if not runner.is_due(delivery.work):
        notes.append(_not_due(delivery))
        return []
    _refuse_or_note(runner.context, delivery, notes)
    return [validate_table(runner, delivery)]


def _without_waiting(
    runner: StageRunner, logs: Logs, unread: Sequence[date], notes: list[Note]
) -> Iterator[tuple[Table, InputManifest]]:
    """Yield the logs, unless a snapshot that cannot be read is newer than all that are published: their
    events may name its new keys, so they wait as for one that is not whole.
    """
    entity = runner.context.contract.entity
    if not unread or max(unread) <= max(
        runner.publication.published_days(ingest_stage(entity)), default=date.min
    ):
        yield from logs
        return
    reason = f"the snapshot of {max(unread)} cannot be read, and its keys are not known"
    for table, _ in logs:
        notes.append(Note("DeliveryNotWhole", {"delivery": table.name, "reason": reason}))


def _not_due(delivery: TableDelivery) -> Note:
    about = {"table": delivery.table.name, "snapshot_date": delivery.work.snapshot_date}
    if delivery.work.was_rejected and delivery.work.previous:
        return Note("SnapshotRejectedBefore", about | {"message": delivery.work.previous.message})
    return Note("SnapshotUpToDate", about)


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
    snapshots = tuple(map(to_snapshot, outcomes))
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
