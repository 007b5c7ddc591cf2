"""Write the tables of a page as CSV files: what the page shows and nothing else, small groups left out."""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engage_spark.errors import ConfigurationError
from engage_spark.masking import one_line
from engage_spark.report.elements import Figure, Form, Grid, PageSection
from engage_spark.text_files import write_text

INDEX = "tables.csv"
"""The file that lists the others."""
_INDEX_COLUMNS = ("file", "section", "title", "unit", "n", "as of", "rows", "rows left out", "notes")
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""What a spreadsheet takes for the beginning of a formula."""


@dataclass(frozen=True)
class TableFile:
    """One file: its name and its text."""

    name: str
    text: str


def table_files(sections: Sequence[PageSection]) -> tuple[TableFile, ...]:
    """Return the page's tables, those of its figures among them, as files, and their index last.

    Shares are fractions of 1; an interval has two columns; a value that is not there is empty. A text that a
    spreadsheet would take for a formula gets an apostrophe before it.
    """
    files, index = [], []
    for section in sections:
        for number, part in enumerate(section.parts, 1):
            grid = part.table if isinstance(part, Figure) else part
            name = f"{section.key}-{number:02}-{_slug(part.title)}.csv"
            files.append(TableFile(name, _csv(_heads(grid), [_cells(grid, row) for row in grid.rows])))
            notes = " ".join(dict.fromkeys([*part.notes, *grid.notes]))
            counts = len(grid.rows), grid.more
            basis = part.basis.unit, part.basis.n, part.basis.as_of
            index.append([name, section.key, part.title, *basis, *counts, notes])
    return (*files, TableFile(INDEX, _csv(_INDEX_COLUMNS, [[_text(v) for v in row] for row in index])))


def write_table_files(folder: Path, files: Sequence[TableFile]) -> None:
    """Write the files into a folder, and remove those that an earlier page left there.

    The index is written first, so that after a kill the same command takes the folder for its own, and then
    the others. A folder that holds other things and no index of this kind is refused.
    Errors: ConfigurationError where the folder is somebody else's, or cannot be read or written.
    """
    earlier = _earlier(folder)
    for file in sorted(files, key=lambda f: f.name != INDEX):
        write_text(folder / file.name, file.text)
    for name in earlier - {f.name for f in files}:
        (folder / name).unlink(missing_ok=True)


def _earlier(folder: Path) -> set[str]:
    """Return the names of the tables that lie in the folder."""
    if not folder.exists():
        return set()
    try:
        names = {path.name for path in folder.iterdir()}
        heads = (folder / INDEX).read_text(encoding="utf-8").partition("\n")[0] if INDEX in names else ""
    except (OSError, UnicodeDecodeError) as e:
        raise ConfigurationError(
            f"{folder} is no folder of tables: {type(e).__name__}", hint="give a new or an empty folder"
        ) from e
    if names and heads != ",".join(_INDEX_COLUMNS):
        raise ConfigurationError(
            f"{folder} holds other files and no {INDEX} of a report", hint="give a new or an empty folder"
        )
    return {name for name in names if re.fullmatch(r"[a-z]+-[0-9]{2,}-[a-z0-9-]+\.csv", name)}


def _slug(title: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")[:48].strip("-") or "table"


def _heads(grid: Grid) -> list[str]:
    heads: list[str] = []
    for column in grid.columns:
        title = one_line(column.title)
        heads += [f"{title} low", f"{title} high"] if column.form is Form.INTERVAL else [title]
    return [_text(h) for h in heads]


def _cells(grid: Grid, row: Sequence[Any]) -> list[str]:
    cells: list[str] = []
    for column, value in zip(grid.columns, row, strict=True):
        values = (value or (None, None)) if column.form is Form.INTERVAL else (value,)
        cells += map(_text, values)
    return cells


def _text(value: Any) -> str:
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return ""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return repr(value)
    text = one_line(str(value))
    return f"'{text}" if text.startswith(_FORMULA) else text


def _csv(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(heads)
    writer.writerows(rows)
    return buffer.getvalue()
