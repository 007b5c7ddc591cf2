"""Render a check: a card for notebooks, and text of 80 columns for terminals.

Everything that came from data is escaped.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Protocol

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table as Grid
from rich.text import Text

from engage_spark.contract import Field, Table
from engage_spark.masking import escaped, shown
from engage_spark.quality.gates import RuleCount
from engage_spark.quality.report.formatting import (
    commonest,
    extent,
    format_bound,
    format_measured,
    percentage,
    shown_value,
)
from engage_spark.quality.stats.column_stats import ColumnStats
from engage_spark.wording import counted

_SEVERITIES = {"critical": 0, "warning": 1, "info": 2}
_STYLE = """
.es-dq{font:14px/1.45 system-ui,-apple-system,"Segoe UI",sans-serif;color:#1f2933;background:#fff;
border:1px solid #d9e0e6;
border-radius:8px;padding:16px 20px;max-width:1080px}
.es-dq h3{margin:0 0 10px;font-size:17px;font-weight:600}.es-dq .pill{font-size:12px;border-radius:10px;
padding:2px 10px;margin-left:10px;
color:#fff;vertical-align:2px}.es-dq .ok{background:#1a7f4b}.es-dq .some{background:#b26a00}
.es-dq .bad{background:#b3261e}
.es-dq .critical{background:#b3261e}.es-dq .warning{background:#b26a00}.es-dq .info{background:#52667a}
.es-dq .bar{display:flex;height:8px;border-radius:4px;overflow:hidden;background:#e8edf1;margin:6px 0 4px}
.es-dq .bar i{display:block}
.es-dq .note{color:#52667a;font-size:13px;margin:2px 0}.es-dq table{border-collapse:collapse;width:100%;
margin:10px 0 4px;font-size:13px}
.es-dq th{text-align:left;color:#52667a;font-weight:500;border-bottom:1px solid #c9d3dc;
padding:4px 10px 4px 0;background:none}
.es-dq td{text-align:left;border-bottom:1px solid #eef2f5;padding:5px 10px 5px 0;vertical-align:top;
background:none;word-break:break-word}
.es-dq td.n,.es-dq th.n{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}
.es-dq code{background:#f1f4f7;border-radius:3px;padding:0 4px;font-size:12px;color:#1f2933;
white-space:pre-wrap}
.es-dq td .pill{margin:0;padding:1px 8px;vertical-align:0;white-space:nowrap}
.es-dq .held{white-space:nowrap;color:#52667a}.es-dq summary{cursor:pointer;color:#23527c;margin-top:10px}
.es-dq svg{vertical-align:middle}
""".strip()


class CheckSummary(Protocol):
    """What a card shows of a check; `quality.CheckResult` is one."""

    @property
    def table(self) -> Table: ...
    @property
    def counts(self) -> tuple[RuleCount, ...]: ...
    @property
    def failed_gates(self) -> tuple[RuleCount, ...]: ...
    @property
    def states(self) -> Mapping[str, ColumnStats]: ...
    @property
    def row_count(self) -> int: ...
    @property
    def valid_count(self) -> int: ...
    @property
    def quarantined_count(self) -> int: ...
    @property
    def publishable(self) -> bool: ...
    @property
    def unchecked(self) -> tuple[str, ...]: ...
    @property
    def extra(self) -> tuple[str, ...]: ...


def state(checked: CheckSummary) -> tuple[str, str]:
    """Return the result in a word or two, and its colour."""
    if not checked.publishable:
        return "rejected", "bad"
    if checked.quarantined_count:
        return "rows quarantined", "some"
    return ("passed with warnings", "some") if any(not c.passed for c in checked.counts) else ("passed", "ok")


def _broken(checked: CheckSummary) -> list[RuleCount]:
    """List what did not hold, or was broken within tolerance: gates that failed first, then by severity and
    rows.
    """
    broken = [c for c in checked.counts if not c.passed or (c.violations and not _is_gate(c))]
    return sorted(
        broken,
        key=lambda c: (c not in checked.failed_gates, c.passed, _SEVERITIES[c.severity], -c.violations),
    )


def _is_gate(c: RuleCount) -> bool:
    return (
        c.minimum is not None
        or c.unit != "percent"
        or (c.maximum not in (None, 0.0) and not c.rule_name.endswith(".not_null"))
    )


def _measure(c: RuleCount) -> str:
    """Format what a gate measured and its bound; the share of rows that broke a rule."""
    return (
        f"{format_measured(c)} (bound {format_bound(c)})"
        if _is_gate(c)
        else percentage(c.violations, c.rows_checked)
    )


def _notes(checked: CheckSummary) -> list[str]:
    notes = [f"Not looked at: {'; '.join(checked.unchecked)}."] if checked.unchecked else []
    return notes + ([f"Left out, since not declared: {', '.join(checked.extra)}."] if checked.extra else [])


def html(checked: CheckSummary) -> str:
    """Render a card that needs nothing from elsewhere: no script, no network."""
    word, colour = state(checked)
    rows, bad = checked.row_count, checked.quarantined_count
    share = 100 * bad / rows if rows else 0.0
    broken = _broken(checked)
    held = [c for c in checked.counts if c not in broken]
    parts = [
        f"<style>{_STYLE}</style><div class='es-dq'><h3>{escaped(checked.table.name)}<span "
        f"class='pill {colour}'>{word}</span></h3>",
        f"<div class='bar'><i class='ok' style='width:{100 - share:.4f}%'></i><i class='bad' "
        f"style='width:{share:.4f}%'></i></div>",
        f"<div class='note'>{counted(rows, 'row')}: {checked.valid_count:,} valid, {bad:,} quarantined "
        f"({percentage(bad, rows)}). "
        f"{len(checked.counts):,} rules and gates: {len(held):,} held.</div>",
        *(f"<div class='note'>{escaped(n)}</div>" for n in _notes(checked)),
        _broken_html(broken),
        f"<details><summary>Columns: what the valid rows hold</summary>{_columns_html(checked)}</details>",
        f"<details><summary>Rules that held ({len(held):,})</summary>{_held_html(held)}</details></div>",
    ]
    return "".join(parts)


def _broken_html(broken: Sequence[RuleCount]) -> str:
    if not broken:
        return ""
    head = (
        "<tr><th></th><th>rule</th><th class='n'>rows</th><th>measured</th><th></th><th>what "
        "was found</th></tr>"
    )
    lines = []
    for c in broken:
        shown = " ".join(f"<code>{escaped(s)}</code>" for s in c.samples)
        lines.append(
            f"<tr><td><span class='pill {escaped(c.severity)}'>{escaped(c.severity)}</span></td><td>"
            f"<b>{escaped(c.rule_name)}</b><br>"
            f"<span class='note'>{escaped(c.description)}</span></td><td "
            f"class='n'>{c.violations:,}</td><td>{escaped(_measure(c))}</td>"
            f"<td class='held'>{'tolerated' if c.passed else ''}</td><td>{shown}</td></tr>"
        )
    return f"<table>{head}{''.join(lines)}</table>"


def _held_html(held: Sequence[RuleCount]) -> str:
    lines = "".join(
        f"<tr><td>{escaped(c.rule_name)}</td><td>{escaped(c.description)}</td>"
        f"<td>{escaped(c.severity)}</td></tr>"
        for c in held
    )
    return f"<table><tr><th>rule</th><th>demands</th><th>severity</th></tr>{lines}</table>"


def _columns_html(checked: CheckSummary) -> str:
    head = (
        "<tr><th>column</th><th>type</th><th class='n'>missing</th><th>from, to</th><th "
        "class='n'>mean</th><th>distribution</th></tr>"
    )
    lines = []
    for f in checked.table.fields:
        s = checked.states[f.name]
        mean = (
            "***"
            if f.is_personal
            else shown_value(s.mean, f)
            if f.logical_type in ("integer", "number")
            else ""
        )
        lines.append(
            f"<tr><td>{escaped(f.name)}</td><td>{escaped(f.spark_type)}</td><td "
            f"class='n'>{percentage(s.nulls, s.rows)}</td>"
            f"<td>{escaped(extent(s, f))}</td><td class='n'>{escaped(mean)}</td><td>{bars(s, f)} "
            f"{escaped(commonest(s, f))}</td></tr>"
        )
    return f"<table>{head}{''.join(lines)}</table>"


def bars(s: ColumnStats, f: Field) -> str:
    """Draw the bins as bars; bins of numbers without bounds from the first to the last that holds
    something.
    """
    if f.is_personal or len(s.labels) < 2:
        return ""
    filled = [i for i, b in enumerate(s.labels) if s.bins.get(b)]
    if not filled:
        return ""
    shown = s.labels if len(s.labels) <= 64 else s.labels[filled[0] : filled[-1] + 1]
    most = max(s.bins.get(b, 0) for b in shown)
    step = min(12.0, 160 / len(shown))
    drawn = []
    for i, b in enumerate(shown):
        if n := s.bins.get(b, 0):
            tall = max(1.0, 22 * n / most)
            drawn.append(
                f"<rect x='{i * step:.1f}' y='{24 - tall:.1f}' width='{max(step - 1, 1):.1f}' "
                f"height='{tall:.1f}' fill='#4a7ba6'>"
                f"<title>{escaped(b)}: {n:,}</title></rect>"
            )
    return f"<svg width='{step * len(shown):.0f}' height='24' role='img'>{''.join(drawn)}</svg>"


def text(checked: CheckSummary, width: int = 80) -> str:
    """Render the same for a terminal."""
    out = io.StringIO()
    console = Console(file=out, width=width, color_system=None, highlight=False, emoji=False, markup=False)
    word, _ = state(checked)
    bad, rows = checked.quarantined_count, checked.row_count
    console.print(f"{checked.table.name}: {word}")
    console.print(
        f"  {counted(rows, 'row')}: {checked.valid_count:,} valid, {bad:,} quarantined "
        f"({percentage(bad, rows)})"
    )
    broken = _broken(checked)
    console.print(
        f"  {len(checked.counts):,} rules and gates: {len(checked.counts) - len(broken):,} held, "
        f"{len(broken):,} broken"
    )
    if broken:
        console.print(_grid(broken))
    for note in _notes(checked):
        console.print(f"  note: {note}")
    return shown(out.getvalue().rstrip())


def _grid(broken: Sequence[RuleCount]) -> Grid:
    table = Grid(box=SIMPLE_HEAD, pad_edge=True, show_edge=False)
    table.add_column("severity", no_wrap=True)
    table.add_column("rule", no_wrap=True, overflow="fold", max_width=40)
    table.add_column("rows", justify="right", no_wrap=True)
    table.add_column("found", overflow="fold")
    for c in broken:
        samples = ", ".join(map(repr, c.samples[:3]))
        table.add_row(
            *map(
                Text,
                (
                    c.severity,
                    c.rule_name,
                    f"{c.violations:,}",
                    _measure(c) + (f": {samples}" if samples else ""),
                ),
            )
        )
    return table
