"""Render the results of `engage-spark tables …`."""

from __future__ import annotations

from engage_spark.cli.render.summary import Renderers, Summary, summary, table
from engage_spark.pipelines.results import (
    ForgetResult,
    MigrateResult,
    OptimizeResult,
    TablesHistoryResult,
    VacuumResult,
    ViewsResult,
)


def render_optimize(result: OptimizeResult) -> Summary:
    """Show what was removed and joined, by table."""
    rows = (
        (
            t.table,
            f"{t.rows_removed:,}",
            f"{t.files_before:,}",
            f"{t.files_after:,}",
            size_text(t.bytes_after),
        )
        for t in result.tables
    )
    return summary(
        result,
        lines=(("rows removed", f"{sum(t.rows_removed for t in result.tables):,}"),),
        table=table(("table", "rows removed", "files before", "files", "size"), rows),
    )


def render_vacuum(result: VacuumResult) -> Summary:
    """Show what was deleted, by table."""
    rows = ((t.table, _deleted(t.files_removed), f"{t.files:,}", size_text(t.bytes)) for t in result.tables)
    return summary(
        result,
        lines=(
            ("files older than", f"{result.retention_days} days"),
            ("temporary folders", f"{result.scratch_folders:,}"),
            ("landing marks", f"{result.landings:,}"),
            ("stream checkpoints", f"{result.checkpoints:,}"),
            ("looks at deliveries", f"{result.looks:,}"),
        ),
        table=table(("table", "files deleted", "files", "size"), rows),
    )


def _deleted(n_files: int | None) -> str:
    return "unknown" if n_files is None else f"{n_files:,}"


def render_history(result: TablesHistoryResult) -> list[Summary]:
    """Show each table with its newest versions."""
    shown = []
    for t in result.tables:
        rows = (
            (
                str(v.version),
                f"{v.committed_at:%Y-%m-%d %H:%M:%S}",
                v.operation.lower(),
                (v.run_id or "")[:8],
                v.stage,
                v.status,
                "" if v.rows is None else f"{v.rows:,}",
            )
            for v in t.versions
        )
        headers = ("version", "committed (UTC)", "operation", "run", "stage", "status", "rows")
        shown.append(
            Summary(
                stage=f"{result.stage}: {t.table}",
                seconds=result.seconds,
                lines=(
                    ("files", f"{t.files:,}"),
                    ("size", size_text(t.bytes)),
                    ("versions", f"{t.n_versions:,}"),
                ),
                table=table(headers, rows),
            )
        )
    return shown or [summary(result, more_notes=("no table yet: `engage-spark ingest` writes the first",))]


def render_views(result: ViewsResult) -> Summary:
    """Show each view, and what it selects from."""
    rows = ((v.name, v.table, f"{v.runs:,}") for v in result.views)
    return summary(result, table=table(("view", "table", "runs shown"), rows))


def render_migrate(result: MigrateResult) -> Summary:
    """Show every change that a table needs."""
    rows = ((s.table, s.kind, s.change) for s in result.steps)
    return summary(
        result,
        lines=(("changes", f"{len(result.steps):,}"), ("applied", "yes" if result.applied else "no")),
        table=table(("table", "kind", "change"), rows),
    )


def render_forget(result: ForgetResult) -> Summary:
    """Show where the key was looked for, what was there, and what is left."""
    rows = ((p.place, _count(p.occurrences), _count(p.remaining), p.remark) for p in result.places)
    return summary(
        result,
        lines=(
            ("occurrences", f"{sum(p.occurrences or 0 for p in result.places):,}"),
            ("left", f"{sum(p.remaining or 0 for p in result.places):,}"),
            ("erased before", "yes" if result.was_known else "no"),
        ),
        table=table(("place", "before", "now", "remark"), rows),
    )


def _count(n: int | None) -> str:
    return "not looked" if n is None else f"{n:,}"


def size_text(n_bytes: int) -> str:
    """Return a size in the largest unit that leaves a whole number: 3 kB, 12 MB."""
    units = ("B", "kB", "MB", "GB", "TB")
    power = 0
    while n_bytes >= 10_000 and power < len(units) - 1:
        n_bytes, power = n_bytes // 1000, power + 1
    return f"{n_bytes:,} {units[power]}"


RENDERERS: Renderers = {
    OptimizeResult: render_optimize,
    VacuumResult: render_vacuum,
    TablesHistoryResult: render_history,
    ViewsResult: render_views,
    MigrateResult: render_migrate,
    ForgetResult: render_forget,
}
