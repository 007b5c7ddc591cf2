"""Leave out deliveries that have not arrived as a whole."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

from engage_spark.contract import Table
from engage_spark.errors import TransientError
from engage_spark.lake import InputManifest, incomplete_deliveries
from engage_spark.pipelines.context import RunContext, now
from engage_spark.pipelines.results import Note

Logs = Sequence[tuple[Table, InputManifest]]


def whole_deliveries(
    context: RunContext,
    snapshots: Sequence[InputManifest],
    logs: Logs,
    notes: list[Note],
    *,
    snapshot_date: date | None,
) -> tuple[list[InputManifest], list[tuple[Table, InputManifest]]]:
    """Return the deliveries that are whole by `ingest.complete`; a note names each of the others.

    Logs wait for a snapshot that is not whole, since their events may name its new keys.
    Cost: see `incomplete_deliveries`.
    Errors: TransientError where the day that was asked for is not whole.
    """
    manifests = [*snapshots, *(manifest for _, manifest in logs)]
    reasons = incomplete_deliveries(
        context.spark, context.lake, manifests, rule=context.settings.ingest.complete, now=now()
    )
    if not reasons:
        return list(snapshots), list(logs)
    for i, reason in reasons.items():
        m = manifests[i]
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
