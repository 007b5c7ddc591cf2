"""Render the results of synth, ingest, features, graph, runs, the pipeline and the demo."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from engage_spark.cli.render.measure_text import bound_text, measured_text
from engage_spark.cli.render.summary import Renderers, Rows, Summary, summary, table
from engage_spark.pipelines.results import (
    FeaturesResult,
    GraphResult,
    IngestedSnapshot,
    IngestResult,
    MeasuredGraph,
    PipelineResult,
    PipelineStep,
    RuleOutcome,
    RunsResult,
    StepOutcome,
    StreamResult,
    SynthResult,
)
from engage_spark.wording import counted

WORST_RULES = 6
"""Rules that a note on broken rules names."""
LONGEST_ID = 18
"""Characters of an id in a line of figures."""


def render_synth(result: SynthResult) -> Summary:
    """Show what was asked for and where it was written."""
    return summary(
        result,
        lines=(
            ("rows per day", f"{result.customers:,}"),
            ("days", f"{result.snapshots:,}"),
            ("last day", str(result.end_date)),
            ("seed", str(result.seed)),
            ("faults planted", "yes" if result.faults else "no"),
        ),
    )


def render_ingest(result: IngestResult) -> Summary:
    """Show rows by table and snapshot, failed gates below them, broken rules as notes."""
    rows = (
        (
            s.table,
            str(s.snapshot_date),
            f"{s.rows_in:,}",
            f"{s.valid:,}",
            f"{s.quarantined:,}",
            s.status,
        )
        for s in result.snapshots
    )
    return summary(
        result,
        lines=(
            ("rows in", f"{result.rows_in:,}"),
            ("valid", f"{result.valid:,}"),
            ("quarantined", f"{result.quarantined:,}"),
        ),
        table=table(("table", "snapshot", "rows in", "valid", "quarantined", "status"), rows),
        failed=_failed_gates(result),
        more_notes=_broken_rules(result),
    )


def render_stream(result: StreamResult) -> Summary:
    """Show rows and latencies by batch, failed gates below them, broken rules as notes."""
    rows = (
        (
            b.table,
            "–" if b.batch is None else str(b.batch),
            f"{b.files:,}",
            f"{b.rows_in:,}",
            f"{b.valid:,}",
            f"{b.quarantined:,}",
            f"{b.repeated:,}",
            *(("–", "–") if b.latency is None else (_seconds(b.latency.p50), _seconds(b.latency.p95))),
            b.status,
        )
        for b in result.snapshots
    )
    headers = ("log", "batch", "files", "rows in", "valid", "quarantined", "known", "p50", "p95", "status")
    return summary(
        result,
        lines=(
            ("batches", f"{len(result.snapshots):,}"),
            ("rows in", f"{result.rows_in:,}"),
            ("valid", f"{result.valid:,}"),
            ("quarantined", f"{result.quarantined:,}"),
        ),
        table=table(headers, rows),
        failed=_failed_gates(result),
        more_notes=_broken_rules(result),
    )


def _seconds(seconds: float) -> str:
    """Return a latency for people, in the unit that gives it few digits."""
    for unit, length in (("d", 86_400.0), ("h", 3_600.0), ("min", 60.0)):
        if seconds >= length:
            return f"{seconds / length:,.1f} {unit}"
    return f"{seconds:.1f} s"


def _failed_gates(result: IngestResult) -> Rows | None:
    rows = (
        (
            s.table,
            str(s.snapshot_date),
            gate.rule_name,
            f"{gate.violations:,}",
            measured_text(gate),
            bound_text(gate),
        )
        for s in result.rejected()
        for gate in s.failed_gates
    )
    return table(("table", "snapshot", "gate", "rows", "measured", "bound"), rows)


def _broken_rules(result: IngestResult) -> Iterator[str]:
    yield from (_broken_rules_of(s) for s in result.snapshots if s.broken_rules)


def _broken_rules_of(snapshot: IngestedSnapshot) -> str:
    broken = sorted(snapshot.broken_rules, key=lambda r: -r.violations)
    worst = ", ".join(f"{r.rule_name} ({_broken_text(r)})" for r in broken[:WORST_RULES])
    more = f", and {len(broken) - WORST_RULES} more" if len(broken) > WORST_RULES else ""
    about = f"{snapshot.table} of {snapshot.snapshot_date}"
    return f"{about}: {counted(len(broken), 'rule')} broken beyond tolerance: {worst}{more}"


def _broken_text(rule: RuleOutcome) -> str:
    """Say how much of a rule was broken: by how many rows, or what was measured of the whole."""
    if rule.violations:
        return counted(rule.violations, "row")
    return f"measured {measured_text(rule)}, bound {bound_text(rule)}"


def render_features(result: FeaturesResult) -> Summary:
    """Show rows and formulas by table and snapshot."""
    rows = (
        (s.table, str(s.snapshot_date), f"{s.rows:,}", f"{s.features:,}", f"{s.seconds:.1f}")
        for s in result.snapshots
    )
    return summary(
        result,
        lines=(("snapshots", f"{len(result.snapshots):,}"), ("rows", f"{result.rows:,}")),
        table=table(("table", "snapshot", "rows", "features", "seconds"), rows),
    )


def render_graph(result: GraphResult) -> Summary:
    """Show size, method and cost by snapshot, and the most central vertices of the last one."""
    rows = (
        (
            str(s.snapshot_date),
            f"{s.vertices:,}",
            f"{s.edges:,}",
            s.method,
            f"{s.sources:,}",
            f"{s.paths:,}",
            f"{s.seconds:.1f}",
        )
        for s in result.snapshots
    )
    headers = ("snapshot", "vertices", "connections", "method", "sources", "paths", "seconds")
    pictures = {f"picture {s.snapshot_date}": s.picture for s in result.snapshots if s.picture}
    return summary(
        result,
        lines=_graph_lines(result.snapshots[-1]) if result.snapshots else (),
        table=table(headers, rows),
        locations={**result.locations, **pictures},
    )


def _graph_lines(graph: MeasuredGraph) -> tuple[tuple[str, str], ...]:
    from engage_spark.graph.picture import shorten_id

    top = ", ".join(f"{shorten_id(v.id, LONGEST_ID)} {v.centrality:.3f}" for v in graph.top[:2])
    compared = [(name, _compared_text(row)) for name, row in graph.compared.items()]
    if not top:
        return tuple(compared)
    if graph.contenders:
        certain = (
            f"of the top {graph.top_k}, {graph.certain_members} are certain ({graph.contenders:,} may be "
            f"among them), and the order of the first {graph.certain_places}"
        )
        return (("most central", top), ("how sure", certain), *compared)
    return (("most central", top), *compared)


def _compared_text(row: Mapping[str, float | int | None]) -> str:
    def figure(value: float | int | None) -> str:
        return "–" if value is None else f"{value:.3f}"

    return (
        f"means {figure(row['mean_measured'])} measured, {figure(row['mean_given'])} given; "
        f"Spearman {figure(row['spearman'])}"
    )


def render_runs(result: RunsResult) -> Summary:
    """Show every attempt in a row, and why one was rejected as a note."""
    rows = (
        (
            str(a.snapshot_date),
            a.stage,
            f"{a.attempt}",
            f"{a.rows_in:,}",
            f"{a.quarantined:,}",
            a.status,
        )
        for a in result.attempts
    )
    return summary(
        result,
        lines=(("attempts", f"{len(result.attempts):,}"), ("published", f"{result.published:,}")),
        table=table(("snapshot", "stage", "attempt", "rows in", "quarantined", "status"), rows),
        more_notes=("no attempt yet; `engage-spark ingest` makes the first",)
        if not result.attempts
        else (
            f"{a.stage} of {a.snapshot_date}, attempt {a.attempt}: {a.message}"
            for a in result.attempts
            if a.message
        ),
    )


def render_pipeline(result: PipelineResult) -> Summary:
    """Show days in rows and stages in columns, what ran once for all days above them, and what went wrong."""
    by_day = {(s.stage, s.snapshot_date): s for s in result.steps if s.snapshot_date is not None}
    stages = list(dict.fromkeys(stage for stage, _ in by_day))
    rows = (
        (str(day), *(_step_text(by_day[stage, day]) for stage in stages)) for day in result.days if stages
    )
    return summary(
        result,
        lines=tuple((s.stage, _step_line(s)) for s in result.steps if s.snapshot_date is None),
        table=table(("snapshot", *stages), rows),
        more_notes=(
            f"{s.stage}{f' of {s.snapshot_date}' if s.snapshot_date else ''}: {s.outcome}: {s.message}"
            for s in result.steps
            if s.message
        ),
    )


def _step_line(step: PipelineStep) -> str:
    return f"done, {_step_text(step)}" if step.outcome is StepOutcome.DONE else str(step.outcome)


def _step_text(step: PipelineStep) -> str:
    return f"{step.seconds:.1f} s" if step.outcome is StepOutcome.DONE else str(step.outcome)


RENDERERS: Renderers = {
    SynthResult: render_synth,
    IngestResult: render_ingest,
    StreamResult: render_stream,
    FeaturesResult: render_features,
    GraphResult: render_graph,
    PipelineResult: render_pipeline,
    RunsResult: render_runs,
}
