"""Make results and errors of the tables that were checked."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, replace

from engage_spark.contract import judged_table
from engage_spark.errors import GateError, InputError
from engage_spark.pipelines.context import RunContext
from engage_spark.pipelines.ingest.validate_table import TableOutcome
from engage_spark.pipelines.results import IngestedSnapshot, IngestResult, Note, rule_outcome
from engage_spark.quality import worst_rules
from engage_spark.quality.report.formatting import format_bound, format_measured

WORST_RULES = 5
"""Broken rules of a rejected table that the error names."""


COUNTED = {"EventsRepeated": "n_events", "KeysLeftOut": "n_rows"}
"""Notes whose counts add up over batches, with the fact that counts."""


def merged_notes(notes: Iterable[Note]) -> tuple[Note, ...]:
    """Return each note once, in order: with the same facts, or with the sum of what it counts."""
    merged: dict[str, Note] = {}
    for note in notes:
        counted = COUNTED.get(note.code, "")
        same = repr((note.code, sorted((k, v) for k, v in note.facts.items() if k != counted)))
        if counted and same in merged:
            total = merged[same].facts[counted] + note.facts[counted]
            merged[same] = replace(note, facts={**note.facts, counted: total})
        else:
            merged[same] = note
    return tuple(merged.values())


def to_snapshot(outcome: TableOutcome) -> IngestedSnapshot:
    """Return what a result says of a table that was checked."""
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


def input_error(unreadable: Sequence[InputError], outcomes: Sequence[TableOutcome]) -> InputError:
    """Return one error for all deliveries that cannot be read."""
    if len(unreadable) == 1 and not outcomes:
        return unreadable[0]
    checked = [f"{o.table.name} of {o.run.snapshot_date}: {o.run.status}" for o in outcomes]
    return InputError(
        f"{len(unreadable)} of {len(unreadable) + len(outcomes)} deliveries cannot be read",
        details=[line for e in unreadable for line in (e.message, *e.details)] + checked,
        hint="; ".join(dict.fromkeys(e.hint for e in unreadable if e.hint)),
    )


def gate_error(
    context: RunContext,
    rejected: Sequence[TableOutcome],
    result: IngestResult,
    *,
    noun: str = "snapshot",
    plural: str = "snapshots",
) -> GateError:
    """Return the error for what gates rejected: each gate that failed, and the rules broken most.

    `noun` and `plural` name what was delivered.
    """
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
    number, them = (f"{len(rejected)} {plural}", "them") if len(rejected) > 1 else (f"1 {noun}", "it")
    return GateError(
        f"{number} rejected by the contract's gates; no reader will see {them}",
        details=details,
        hint=f"look at _dq_errors in {location}; deliver again, then rerun",
        result=result,
    )
