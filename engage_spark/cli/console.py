"""What the command line prints. Results go to standard output, errors to standard error; both read well at 80
columns and in a file.
"""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Iterable, Sequence

import yaml
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table as Grid
from rich.text import Text

from engage_spark.cli.render import Summary, summaries
from engage_spark.contract import Contract, field_rows
from engage_spark.doctor import Diagnosis
from engage_spark.errors import EngageError
from engage_spark.pipelines.results import Report, StageResult
from engage_spark.settings import Settings

STYLES = {"ok": "green", "warn": "yellow", "fail": "bold red"}


def _out() -> Console:
    return Console(highlight=False, emoji=False, markup=False)


def stderr(text: str, style: str = "") -> None:
    """One line, never wrapped by us: a path in it must survive copying."""
    Console(stderr=True, highlight=False, emoji=False, markup=False).print(text, style=style, soft_wrap=True)


def error(failure: EngageError) -> None:
    """Message, details, mend: each on lines of its own."""
    stderr(f"error: {failure.message}", style="bold red")
    for detail in failure.details:
        stderr(f"  - {detail}")
    if failure.hint:
        stderr(f"Hint: {failure.hint}")


def settings(chosen: Settings) -> None:
    """The merged settings as YAML, secrets masked."""
    sys.stdout.write(yaml.safe_dump(chosen.redacted(), sort_keys=False, default_flow_style=False))


def show(result: StageResult) -> None:
    """Print the closing summary of a result."""
    for summary in summaries(result):
        _show(summary)


def reports(result: StageResult | Report | Iterable[StageResult | Report]) -> None:
    """Print the closing summary of one stage, or of several one after the other."""
    for one in [result] if isinstance(result, Report | StageResult) else result:
        if isinstance(one, StageResult):
            show(one)
        else:
            _show(one)


def _show(report: Summary | Report) -> None:
    console = _out()
    console.print()
    console.print(Text.assemble((report.stage, "bold"), f"  {report.seconds:.1f} s"), soft_wrap=True)
    _pairs(console, report.lines)
    if report.table is not None:
        grid(console, *report.table)
    _pairs(console, [(name, place) for name, place in report.locations.items()])
    if report.failed is not None:
        console.print()
        grid(console, *report.failed)
    for note in report.notes:
        for line in _wrapped(f"note: {note}", console.width):
            console.print(Text(line, style="yellow"), soft_wrap=True)


def _wrapped(text: str, width: int) -> list[str]:
    """Lines of at most `width`, broken at blanks only: a path or a rule's name stays whole."""
    return textwrap.wrap(
        text,
        width,
        initial_indent="  ",
        subsequent_indent="    ",
        break_long_words=False,
        break_on_hyphens=False,
    )


def _pairs(console: Console, pairs: Sequence[tuple[str, str]]) -> None:
    """Label and value in two columns. A long value runs over the edge rather than being cut: it may be a path
    to copy.
    """
    wide = max((len(label) for label, _ in pairs), default=0)
    for label, value in pairs:
        console.print(Text.assemble("  ", (label.ljust(wide), "dim"), "  ", value), soft_wrap=True)


def grid(console: Console, headers: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """A table; columns of figures are set right. Only the last column is folded where the width does not do:
    names stay whole.
    """
    table = Grid(box=SIMPLE_HEAD, pad_edge=True, show_edge=False)
    for i, header in enumerate(headers):
        figures = bool(rows) and all(_is_figure(row[i]) for row in rows)
        table.add_column(
            header, justify="right" if figures else "left", overflow="fold", no_wrap=i + 1 < len(headers)
        )
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    console.print(table)


def _is_figure(text: str) -> bool:
    bare = text.replace(",", "").replace("%", "").replace(" s", "").strip()
    return bare in ("", "-", "–") or bare.lstrip("+-").replace(".", "", 1).isdigit()


def findings(found: Sequence[Diagnosis]) -> None:
    """One line per check, and below it how to mend what is not ok."""
    console = _out()
    wide = max(len(f.name) for f in found)
    for f in found:
        console.print(
            Text.assemble((f"{f.state:4}", STYLES[f.state]), f"  {f.name:{wide}}  {f.text}"), soft_wrap=True
        )
        if f.hint:
            console.print(f"      {'':{wide}}  Hint: {f.hint}", soft_wrap=True)


def contract(shown: Contract, table: str | None) -> None:
    """All tables of a contract, or the fields of one."""
    console = _out()
    if table is None:
        console.print(f"{shown.name}: contract {shown.id}, version {shown.version}", soft_wrap=True)
        rows = [
            (t.name, t.kind.value, str(len(t.fields)), t.source or "", ", ".join(t.key)) for t in shown.tables
        ]
        grid(console, ("table", "kind", "fields", "computed from", "key"), rows)
        return
    declared = [
        (
            f["field"],
            f["type"],
            f["role"],
            "; ".join(f[part] for part in ("unit", "bounds", "expected", "notes") if f[part]),
        )
        for f in field_rows(shown, table)
    ]
    grid(console, ("field", "type", "role", "declared"), declared)
