"""Print results to standard output and errors to standard error, for 80 columns and for files."""

from __future__ import annotations

import io
import json
import sys
import textwrap
import traceback
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any

import yaml
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.padding import Padding
from rich.table import Table as Grid
from rich.text import Text

from engage_spark.cli.render import Summary, summaries
from engage_spark.cli.render.next_steps import NEXT_STEPS
from engage_spark.contract import Contract, field_rows, statement_rows
from engage_spark.doctor import Diagnosis
from engage_spark.errors import EngageError
from engage_spark.masking import mask, mask_texts, one_line, printable, shown
from engage_spark.pipelines.results import StageResult, to_plain
from engage_spark.settings import Settings

UNLIMITED = 100_000
"""Columns of a line in a pipe or a file, where nobody sees an edge and programs look for whole keys."""
NARROWEST = 12
"""Columns to which the last column of a table may be folded."""
STYLES = {"ok": "green", "warn": "yellow", "fail": "bold red"}


class _SafeConsole(Console):
    """A console of which nothing that is printed reaches the terminal raw: no secret, no escape."""

    def print(self, *objects: Any, **options: Any) -> None:
        super().print(*map(_safe, objects), **options)


def _safe(part: Any) -> Any:
    if isinstance(part, str):
        return shown(part)
    if isinstance(part, Text) and shown(part.plain) != part.plain:
        return Text(shown(part.plain), part.style)
    return part


def _out() -> Console:
    return _SafeConsole(highlight=False, emoji=False, markup=False)


def stderr(text: str, style: str = "") -> None:
    """Print one line, never wrapped: a path in it must survive copying."""
    _SafeConsole(stderr=True, highlight=False, emoji=False, markup=False).print(
        one_line(text), style=style, soft_wrap=True
    )


def line(text: str) -> None:
    """Print one line of a result, never wrapped."""
    _out().print(one_line(text), soft_wrap=True)


def unexpected(kind: type[BaseException], value: BaseException, trace: TracebackType | None) -> None:
    """Print the traceback of an exception that nobody expected, without secrets and escapes."""
    sys.stderr.write(shown("".join(traceback.format_exception(kind, value, trace))))


def usage_error(error: Any) -> None:
    """Print what typer says of a wrong command line, of which any word may be a secret or hold escapes."""
    text = io.StringIO()
    error.show(file=text)
    sys.stderr.write(shown(text.getvalue()))


def error(failure: EngageError) -> None:
    """Print message, details and hint, each on its own lines."""
    stderr(f"error: {failure.message}", style="bold red")
    for detail in failure.details:
        stderr(f"  - {detail}")
    if failure.hint:
        stderr(f"Hint: {failure.hint}")


def paragraphs(text: str) -> None:
    """Print sentences, in a terminal wrapped at its width; further lines of a list's item stand below it."""
    console = _out()
    if not console.is_terminal:
        document(text)
        return
    for given in mask(text).splitlines():
        hanging = "  " if given.lstrip().startswith(("- ", "* ")) else ""
        wrapped = textwrap.wrap(
            given,
            console.width,
            subsequent_indent=hanging,
            break_long_words=False,
            break_on_hyphens=False,
        )
        _write("\n".join(wrapped) + "\n")


def document(text: str) -> None:
    """Print a text of several lines as it is, but for secrets and what a terminal would obey."""
    _write(mask(text))


def data(text: str) -> None:
    """Write the rows of an answer as they are; to a terminal without what it would obey."""
    sys.stdout.write(printable(text) if sys.stdout.isatty() else text)


def _write(text: str) -> None:
    sys.stdout.write(printable(text))


def settings(merged: Settings, *, as_json: bool = False) -> None:
    """Print the merged settings as YAML or JSON, secrets masked."""
    if as_json:
        json_object(merged.redacted())
    else:
        _write(yaml.safe_dump(merged.redacted(), sort_keys=False, default_flow_style=False))


def json_object(value: Any, *, indent: int | None = 2) -> None:
    """Print a result, or other plain data, as one JSON object; without `indent` on one line, at once."""
    _write(json.dumps(mask_texts(to_plain(value)), indent=indent, ensure_ascii=False) + "\n")
    if indent is None:
        sys.stdout.flush()


def json_error(failure: EngageError) -> None:
    """Print an error as one JSON object, with the result of what was done before it."""
    about: dict[str, Any] = {
        "error": {
            "code": failure.code,
            "message": failure.message,
            "details": failure.details,
            "hint": failure.hint,
            "exit_code": failure.exit_code,
        }
    }
    if failure.result is not None:
        about["result"] = failure.result
    json_object(about)


def next_steps() -> None:
    """Print commands to go on with after the demo, and what each is for."""
    console = _out()
    console.print()
    console.print(Text("what to look at next", style="bold"))
    _pairs(console, NEXT_STEPS)


def show(result: StageResult) -> None:
    """Print the closing summary of a result."""
    for summary in summaries(result):
        _show(summary)


def _show(summary: Summary) -> None:
    console, width = _out(), _out().width
    console.print()
    took = f"  {summary.seconds:.1f} s" if summary.seconds else ""  # nothing ran: no time to tell
    console.print(Text.assemble((summary.stage, "bold"), took), soft_wrap=True)
    _pairs(console, summary.lines)
    if summary.table is not None:
        grid(console, *summary.table)
    _pairs(console, [(name, place) for name, place in summary.locations.items()])
    if summary.failed is not None:
        console.print()
        grid(console, *summary.failed)
    for note in summary.notes:
        for line in _wrapped(f"note: {note}", width):
            console.print(Text(line, style="yellow"), soft_wrap=True)


def _wrapped(text: str, width: int) -> list[str]:
    """Return lines of at most `width`, broken at blanks only: a path or a rule's name stays whole."""
    return textwrap.wrap(
        text,
        width,
        initial_indent="  ",
        subsequent_indent="    ",
        break_long_words=False,
        break_on_hyphens=False,
    )


def _pairs(console: Console, pairs: Sequence[tuple[str, str]]) -> None:
    """Print label and value in two columns.

    A long value runs over the edge rather than being cut: it may be a path to copy.
    """
    wide = max((len(label) for label, _ in pairs), default=0)
    for label, value in pairs:
        console.print(Text.assemble("  ", (label.ljust(wide), "dim"), "  ", value), soft_wrap=True)


def rows(headers: Sequence[str], cells: Sequence[Sequence[str]]) -> None:
    """Print a table of anybody's columns.

    Where those before the last are wider than a terminal, each row is shown as lines of a header and a value.
    """
    console = _out()
    if console.is_terminal and cells and _width(headers, cells) > console.width:
        _records(console, headers, cells)
    else:
        grid(console, headers, cells)


def grid(console: Console, headers: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table; columns of figures are right-aligned.

    Only the last column is folded where a terminal is too narrow; in a pipe or a file nothing is.
    """
    table = Grid(box=SIMPLE_HEAD, pad_edge=True, show_edge=False)
    for i, header in enumerate(headers):
        figures = bool(rows) and all(_is_figure(row[i]) for row in rows)
        table.add_column(
            Text(one_line(header)),
            justify="right" if figures else "left",
            overflow="fold",
            no_wrap=i + 1 < len(headers),
        )
    for row in rows:
        table.add_row(*(Text(one_line(cell)) for cell in row))
    if not console.is_terminal:
        console.width = UNLIMITED
    console.print(table)


def _width(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> int:
    """Return the columns that a table takes at least: the last column may be folded to its longest word."""
    *whole, last = ([header, *(row[i] for row in rows)] for i, header in enumerate(headers))
    narrowest = max((len(word) for cell in last for word in cell.split()), default=0)
    return sum(max(map(len, cells)) + 3 for cells in whole) + min(narrowest, NARROWEST) + 2


def _records(console: Console, headers: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print each row as a block of lines, a header and a value in each."""
    for i, row in enumerate(rows, 1):
        console.print(Text(f" row {i} ".center(min(console.width, 40), "─")))
        _pairs(console, [(one_line(h), one_line(cell)) for h, cell in zip(headers, row, strict=True)])


def _is_figure(text: str) -> bool:
    bare = text.replace(",", "").replace("%", "").replace(" s", "").strip()
    return bare in ("", "-", "–") or bare.lstrip("+-").replace(".", "", 1).isdigit()


def diagnoses(checks: Sequence[Diagnosis]) -> None:
    """Print one line per check, and below it how to fix what is not ok."""
    console = _out()
    wide = max(len(f.name) for f in checks)
    for f in checks:
        console.print(
            Text.assemble((f"{f.state:4}", STYLES[f.state]), f"  {f.name:{wide}}  {f.text}"), soft_wrap=True
        )
        if f.hint:
            console.print(f"      {'':{wide}}  Hint: {f.hint}", soft_wrap=True)


def contract(declared: Contract, table: str | None) -> None:
    """Print all tables of a contract, or the fields of one."""
    console = _out()
    if table is None:
        console.print(f"{declared.name}: contract {declared.id}, version {declared.version}", soft_wrap=True)
        rows = [
            (t.name, t.kind.value, str(len(t.fields)), t.source or "", ", ".join(t.key))
            for t in declared.tables
        ]
        grid(console, ("table", "kind", "fields", "computed from", "key"), rows)
        return
    for f in field_rows(declared, table):
        console.print(Text.assemble((f["field"], "bold"), f"  {f['type']}  {f['role']}"), overflow="fold")
        console.print(Padding(Text(one_line(_meaning(f))), (0, 0, 0, 4)))
    for s in statement_rows(declared, table):
        console.print(Text.assemble((s["name"], "bold"), f"  {s['kind']}, v{s['version']}"), overflow="fold")
        console.print(Padding(Text(one_line(f"{s['statement']} ({s['rule']})")), (0, 0, 0, 4)))


def _meaning(field: Mapping[str, str]) -> str:
    declared = "; ".join(field[part] for part in ("unit", "bounds", "expected", "notes") if field[part])
    return f"{field['description']} ({declared})" if declared else field["description"]
