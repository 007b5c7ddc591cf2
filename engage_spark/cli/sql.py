"""Declare `engage-spark sql`: ask the published tables. Needs no Spark."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from engage_spark.cli import console
from engage_spark.cli.common import settings_of
from engage_spark.errors import InputError, UsageError
from engage_spark.text_files import write_text
from engage_spark.wording import counted

if TYPE_CHECKING:
    from engage_spark.reader import OpenLake
    from engage_spark.reader.open_lake import LakeRows

SHOWN = 100
"""Rows of an answer that a terminal shows."""


def sql(
    ctx: typer.Context,
    query: Annotated[
        str | None, typer.Argument(help="a SELECT over the published tables (default: list the tables)")
    ] = None,
    as_csv: Annotated[
        bool, typer.Option("--csv", help="the whole answer as CSV on standard output, and nothing else there")
    ] = False,
    out: Annotated[Path | None, typer.Option(help="file to write the CSV to")] = None,
    memory: Annotated[str | None, typer.Option(help="most memory that it may take, such as 2GB")] = None,
) -> None:
    """Ask the published tables in SQL, without Spark: what was rejected, replaced or is out of date is not
    there.
    """
    settings = settings_of(ctx)
    if (as_csv or out) and ctx.obj.json:
        raise UsageError("--csv and --json exclude each other", hint="give one of them")
    from engage_spark.reader import open_lake

    lake = open_lake(settings)
    if query is None:
        _list(lake, as_json=ctx.obj.json)
        return
    answer = lake.sql(query, memory=memory)
    if ctx.obj.json:
        console.data(json.dumps(_object(answer), indent=2, ensure_ascii=False) + "\n")
    elif as_csv or out:
        text = _csv(answer)
        if out is None:
            console.data(text)
        else:
            write_text(out, text)
            console.line(f"{counted(len(answer), 'row')} written to {out}")
    else:
        _show(answer)


def _object(answer: LakeRows) -> dict[str, Any]:
    """Return an answer as JSON can say it.

    Errors: UsageError where two columns have one name, of which an object would lose one.
    """
    if repeated := sorted({c for c in answer.columns if answer.columns.count(c) > 1}):
        raise UsageError(
            f"two columns are named {', '.join(repeated)}", hint="give each its own name: SELECT … AS name"
        )
    rows = [dict(zip(answer.columns, map(_plain, row), strict=True)) for row in _rows(answer)]
    return {"columns": answer.columns, "rows": rows}


def _rows(answer: LakeRows, *, first: int | None = None) -> Iterator[tuple[Any, ...]]:
    """Yield the rows as tuples: columns by their place, since two may have one name.

    Errors: InputError for a value that Python has not.
    """
    arrow = answer.to_arrow() if first is None else answer.to_arrow().slice(0, first)
    try:
        columns = [column.to_pylist() for column in arrow.columns]
    except (OverflowError, ValueError) as e:  # days beyond the year 9999, or before 1
        raise InputError(f"a value cannot be written: {e}", hint="cast it to VARCHAR in the query") from e
    yield from zip(*columns, strict=True)


def _list(lake: OpenLake, *, as_json: bool) -> None:
    days = {name: lake.days(name) if view.stages else () for name, view in lake.views.items()}
    tables = [
        {
            "name": name,
            "days": len(days[name]),
            "newest": str(days[name][-1]) if days[name] else None,
            "columns": len(view.columns),
        }
        for name, view in lake.views.items()
    ]
    if as_json:
        console.json_object({"tables": tables})
        return
    rows = [(t["name"], f"{t['days']}", t["newest"] or "–", f"{t['columns']}") for t in tables]
    console.rows(("table", "published days", "newest", "columns"), [tuple(map(str, r)) for r in rows])


def _show(answer: LakeRows) -> None:
    rows = [tuple(map(_text, row)) for row in _rows(answer, first=SHOWN)]
    console.rows(answer.columns, rows)
    more = f", of which the first {SHOWN} are shown; --csv gives all" if len(answer) > SHOWN else ""
    console.line(f"{counted(len(answer), 'row')}{more}")


def _csv(answer: LakeRows) -> str:
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(answer.columns)
    for row in _rows(answer):
        writer.writerow(["" if value is None else _text(value, digits=17) for value in row])
    return buffer.getvalue()


def _text(value: Any, *, digits: int = 6) -> str:
    if value is None:
        return "–"
    if isinstance(value, float):
        return _number(value, digits) if digits < 17 else repr(value)
    if isinstance(value, bool):
        return str(value).lower()
    return str(_plain(value))


def _number(value: float, digits: int) -> str:
    """Return a number with so many digits; a large one as a whole number instead of a power of ten."""
    text = f"{value:.{digits}g}"
    return f"{value:.0f}" if "e+" in text and abs(value) < 1e15 else text


def _plain(value: Any) -> Any:
    """Return what JSON can say: days and moments as ISO 8601, decimals and bytes as text."""
    if isinstance(value, date | datetime):
        return value.isoformat()
    if isinstance(value, list):
        return [_plain(v) for v in value]
    if isinstance(value, dict):
        return {k: _plain(v) for k, v in value.items()}
    return value if value is None or isinstance(value, bool | int | float | str) else str(value)
