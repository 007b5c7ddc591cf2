"""Render the results of the `engage-spark quality` commands."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from engage_spark.cli.render.measure_text import bound_text, measured_text
from engage_spark.cli.render.summary import Renderers, Summary, summary, table
from engage_spark.pipelines.results import (
    ColumnDrift,
    ColumnSummary,
    DocsResult,
    DriftResult,
    FailedExpectation,
    ProfileResult,
    RuleOutcome,
    ShowResult,
    StatesResult,
    SuiteCheckResult,
    SuiteResult,
)

_EXPECTATION_PREFIX = re.compile(
    r"^expect_(?:column_values_to_|column_pair_values_|column_|multicolumn_|table_)?(?:to_)?"
)


def render_suite_check(result: SuiteCheckResult) -> Summary:
    """Show the expectations that do not hold."""
    failed = (
        (_columns(e)[0], _EXPECTATION_PREFIX.sub("", e.type).replace("_", " "), _finding(e))
        for e in result.failed
    )
    return summary(
        result,
        lines=(
            ("data", result.data),
            ("suite", result.suite),
            ("engine", result.engine),
            ("expectations", f"{result.expectations}, not held: {len(result.failed)}"),
        ),
        failed=table(("about", "expected to", "found"), failed),
    )


def _columns(e: FailedExpectation) -> tuple[str, ...]:
    return e.columns or ("the table",)


def _finding(e: FailedExpectation) -> str:
    others = f"with {', '.join(_columns(e)[1:])}: " if len(_columns(e)) > 1 else ""
    return f"{e.severity}: {others}{e.exception or _observed(e.result)}"


def _observed(result: Mapping[str, Any]) -> str:
    if "element_count" not in result:
        figures = {
            k: v
            for k, v in result.items()
            if k != "details" and v is not None and not k.startswith("partial_")
        }
        return ", ".join(f"{k.replace('_', ' ')} {v}" for k, v in figures.items()) or "not so"
    samples = ", ".join(map(str, (result.get("partial_unexpected_list") or [])[:5]))
    counts = f"{result['unexpected_count'] or 0:,} of {result['element_count']:,} unexpected"
    missing = f", {result['missing_count']:,} missing" if result.get("missing_count") else ""
    return counts + missing + (f" ({samples})" if samples else "")


def render_drift(result: DriftResult) -> Summary:
    """Show the columns that changed between two days."""
    return summary(
        result,
        lines=(
            ("table", result.table),
            ("day", str(result.day)),
            ("against", str(result.against)),
            ("columns", ", ".join(f"{n} {change}" for change, n in result.changes.items() if n)),
            ("thresholds", f"PSI {result.some_psi} some, {result.much_psi} much"),
        ),
        table=table(
            ("column", "change", "PSI", "KS", "missing", "what moved"), map(_drift_row, result.columns)
        ),
    )


def _drift_row(d: ColumnDrift) -> tuple[str, ...]:
    def figure(x: float | None) -> str:
        return "–" if x is None else f"{x:.3f}"

    parts = [f"{b} {100 * p:.1f}% → {100 * q:.1f}%" for b, p, q in d.moved[:2]]
    parts += [f"new: {', '.join(d.appeared[:3])}"] if d.appeared else []
    parts += [f"gone: {', '.join(d.vanished[:3])}"] if d.vanished else []
    missing = "–" if d.missing_change is None else f"{100 * d.missing_change:+.2f}%"
    return d.column, d.change, figure(d.psi), figure(d.ks), missing, "; ".join(parts)


def render_states(result: StatesResult) -> Summary:
    """Show every column over several days."""
    return summary(
        result,
        lines=(
            ("table", result.table),
            ("days", f"{len(result.days)}, from {result.days[0]} to {result.days[-1]}"),
            ("rows", f"{result.rows:,}"),
        ),
        table=table(
            ("column", "missing", "mean", "from, to, commonest; median, different values"),
            map(_column_row, result.columns),
        ),
    )


def _column_row(c: ColumnSummary) -> tuple[str, ...]:
    from engage_spark.quality.report.formatting import format_extent, format_ranked, format_value, percentage

    if c.personal:
        parts, mean = ["***"], "***"
    else:
        values = format_ranked(c.commonest, c.rows - c.missing)
        parts, mean = [values or format_extent(c.minimum, c.maximum, c.type)], format_value(c.mean, c.type)
    if c.median is not None and not c.personal:
        parts.append(f"median {c.median:,.6g}")
    if c.distinct is not None:
        parts.append(f"{c.distinct:,} different")
    return c.column, percentage(c.missing, c.rows), mean, "; ".join(parts)


def render_show(result: ShowResult) -> Summary:
    """Show the rules and gates that were broken, worst first."""
    rows = (
        (
            "ok" if r.passed else "failed",
            r.severity,
            r.rule_name,
            f"{r.violations:,}",
            _rule_finding(r),
        )
        for r in result.broken
    )
    return summary(
        result,
        lines=(
            ("snapshot", str(result.snapshot_date)),
            ("table", ", ".join(result.tables)),
            ("rules and gates", f"{result.rules:,}"),
            ("failed", f"{result.failed:,}"),
            ("broken within tolerance", f"{sum(r.passed for r in result.broken):,}"),
        ),
        table=table(("", "severity", "rule", "rows", "measured, found"), rows),
    )


def _rule_finding(r: RuleOutcome) -> str:
    from engage_spark.quality.report.formatting import percentage

    if r.samples or (r.violations and r.counts_rows):
        samples = ", ".join(map(repr, r.samples[:3]))
        return percentage(r.violations, r.rows_checked) + (f": {samples}" if samples else "")
    return f"{measured_text(r)}, bound {bound_text(r)}"


def render_profile(result: ProfileResult) -> Summary:
    """Show what a drafted contract declares."""
    return summary(
        result,
        lines=(
            ("rows", f"{result.rows:,}"),
            ("columns", f"{result.columns:,}"),
            ("key", " + ".join(result.key) or "none"),
            ("kind", result.kind),
        ),
    )


def render_docs(result: DocsResult) -> Summary:
    """Show the tables in the Data Docs, and where their first page is."""
    rows = (
        (t.table, str(t.snapshot_date), t.status, f"{t.expectations}", f"{t.failed}") for t in result.tables
    )
    return summary(
        result,
        table=table(("table", "snapshot", "status", "expectations", "not held"), rows),
        locations={**result.locations, "data docs": result.index},
    )


def render_suite(result: SuiteResult) -> Summary:
    """Show how many expectations a table's suite holds."""
    expectations = result.suite.get("expectations", ())
    return summary(result, lines=(("table", result.table), ("expectations", f"{len(expectations)}")))


RENDERERS: Renderers = {
    SuiteCheckResult: render_suite_check,
    DriftResult: render_drift,
    StatesResult: render_states,
    ShowResult: render_show,
    ProfileResult: render_profile,
    DocsResult: render_docs,
    SuiteResult: render_suite,
}
