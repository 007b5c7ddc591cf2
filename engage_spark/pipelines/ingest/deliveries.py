"""Identify the work of each delivered table: its files, when they landed, and what it is judged by."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime

from engage_spark.contract import Contract, Table, judged_table
from engage_spark.errors import ConfigurationError, InputError, NotDeliveredError
from engage_spark.lake import (
    InputManifest,
    code_version,
    fingerprint,
    list_inputs,
    record_arrivals,
    require_known_day,
)
from engage_spark.pipelines.context import RunContext, now
from engage_spark.pipelines.ingest.event_log import FIELDS
from engage_spark.pipelines.ingest.validate_table import TableDelivery
from engage_spark.pipelines.results import Note
from engage_spark.pipelines.runner import StageRunner
from engage_spark.pipelines.stages import ingest_stage
from engage_spark.publication import GIVEN_UP, Kind, Run


def is_one_file(context: RunContext) -> bool:
    """Return whether the input is one file, which then holds a snapshot of the entity and no logs."""
    root = context.settings.input.root.rstrip("/")
    return root.lower().endswith((".parquet", ".csv", ".csv.gz"))


def delivered_tables(contract: Contract, names: Collection[str] | None) -> list[str]:
    """Return the names of delivered tables that are asked for, each once: None asks for all.

    Errors: ConfigurationError for a name that the contract does not deliver.
    """
    known = [t.name for t in (contract.entity, *contract.logs)]
    if names is None:
        return known
    if unknown := [name for name in names if name not in known]:
        raise ConfigurationError(
            f"{', '.join(unknown)} is not delivered by the contract", hint=f"there are {', '.join(known)}"
        )
    return list(dict.fromkeys(names))


def list_logs(
    context: RunContext,
    wanted: Collection[str],
    notes: list[Note],
    unreadable: list[InputError] | None = None,
) -> list[tuple[Table, InputManifest]]:
    """Return the wanted logs that are delivered; a note says which are not.

    Errors: InputError for one whose files cannot be listed, unless it is added to `unreadable`.
    """
    root, logs = context.settings.input.root.rstrip("/"), []
    for table in () if is_one_file(context) else context.contract.logs:
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
        except InputError as e:
            if unreadable is None:
                raise
            unreadable.append(e)
            continue
        logs.append((table, manifest))
    return logs


def landing_times(
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


def table_delivery(
    runner: StageRunner,
    table: Table,
    manifest: InputManifest,
    landings: Mapping[str, datetime],
    *,
    keys: Mapping[date, Run] | None = None,
    more_inputs: Mapping[str, str] | None = None,
) -> TableDelivery:
    """Return a table of a day with what identifies its work.

    `keys` are the runs whose keys a log is checked against; the newest of their snapshots is the log's as
    well. `more_inputs` are recorded beside the others. The landing decides latency, freshness and what is an
    event of the future, so it is an input like the files.
    """
    snapshot_date = max(keys) if keys else manifest.day
    files = fingerprint([manifest])
    assert snapshot_date is not None
    require_known_day(manifest, landings[files])
    inputs = {"files": files, "landed": landings[files].astimezone(UTC).isoformat()}
    inputs |= more_inputs or {}
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


def log_delivery(
    runner: StageRunner,
    table: Table,
    manifest: InputManifest,
    landings: Mapping[str, datetime],
    *,
    more_inputs: Mapping[str, str] | None = None,
) -> TableDelivery | Note:
    """Return the delivery of a log, or why it is not to be checked: its files were published before by the
    same contract, settings and code, or rejected as they are.

    Its events are judged by the keys of the published snapshots of their time; where none is published yet,
    by those of the latest attempts. Where `due_only` is set and some were quarantined, the same files are
    judged again by other keys: days that are done one by one then end as days that are done together.
    `more_inputs` may give up lost runs whose events are all delivered again (`GIVEN_UP`).
    """
    publication, stage = runner.publication, ingest_stage(runner.context.contract.entity)
    latest = {day: run for (s, day), run in publication.latest.items() if s == stage}
    keys = publication.published_days(stage) or latest
    if not keys:
        return Note("LogWithoutKeys", {"table": table.name})
    delivery = table_delivery(runner, table, manifest, landings, keys=keys, more_inputs=more_inputs)
    work, stored, context = delivery.work, judged_table(table).name, runner.context
    replaced = work.inputs.get(GIVEN_UP, "").split(",")
    runs = [run for run in publication.log_runs(work.stage) if run.run_id not in replaced]
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
