"""Leave out deliveries that have not arrived as a whole."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

from engage_spark.contract import Table
from engage_spark.errors import InputError, TransientError
from engage_spark.lake import InputManifest, fingerprint, incomplete_deliveries
from engage_spark.pipelines.context import RunContext, now
from engage_spark.pipelines.results import Note
from engage_spark.settings import quiet_minutes

Logs = Sequence[tuple[Table, InputManifest]]


def whole_deliveries(
    context: RunContext,
    snapshots: Sequence[InputManifest],
    logs: Logs,
    notes: list[Note],
    *,
    snapshot_date: date | None,
    unreadable: list[InputError],
) -> tuple[list[InputManifest], list[tuple[Table, InputManifest]]]:
    """Return the deliveries that are whole by `ingest.complete`; a note names each of the others, and what is
    wrong with a manifest that cannot be used is added to `unreadable`.

    Logs wait for a snapshot that is not whole, since their events may name its new keys.
    Cost: see `incomplete_deliveries`; nobody looks twice at what an attempt has read as it is.
    Errors: TransientError where the day that was asked for is not whole.
    """
    manifests = [*snapshots, *(manifest for _, manifest in logs)]
    rule, at = context.settings.ingest.complete, now()
    rests = quiet_minutes(rule) is not None
    runs = context.log.attempts(context.spark) if rests else []
    read_before = {run.inputs["files"] for run in runs if "files" in run.inputs}
    reasons: dict[int, str] = {}
    unusable: set[int] = set()
    for i, manifest in enumerate(manifests):
        if rests and fingerprint([manifest]) in read_before:
            continue
        try:
            of_one = incomplete_deliveries(context.spark, context.lake, [manifest], rule=rule, now=at)
        except InputError as e:
            unreadable.append(e)
            unusable.add(i)
            of_one = {0: e.message}
        if of_one:
            reasons[i] = of_one[0]
    if not reasons:
        return list(snapshots), list(logs)
    for i in sorted(reasons.keys() - unusable):
        m, reason = manifests[i], reasons[i]
        name = m.table if m.day is None else f"{m.table} of {m.day}"
        if snapshot_date is not None and m.day is not None:
            raise TransientError(
                f"{name} is not whole yet: {reason}",
                hint="run ingest again when it is, or change ingest.complete",
            )
        notes.append(Note("DeliveryNotWhole", {"delivery": name, "reason": reason}))
    whole = [m for i, m in enumerate(snapshots) if i not in reasons]
    if len(whole) == len(snapshots):
        return whole, [log for i, log in enumerate(logs, len(snapshots)) if i not in reasons]
    for i, (table, _) in enumerate(logs, len(snapshots)):
        if i not in reasons:
            about = {"delivery": table.name, "reason": "a snapshot beside it is not whole"}
            notes.append(Note("DeliveryNotWhole", about))
    return whole, []
