"""Look through CSV files before Spark parses them: header, longest line, quoted line breaks. No Spark."""

from __future__ import annotations

import csv
import gzip
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import IO

from engage_spark.errors import InputError

MAX_LINE_BYTES = 16 * 2**20
"""Bytes of the longest line, and characters of the longest value, that are read."""
LOST = "\ufffd"
"""Unicode's sign for a character that could not be read."""
DELIMITERS = ",;\t|"
_CHUNK = 2**20


@dataclass(frozen=True, kw_only=True)
class CsvScan:
    """What a look through a CSV file shows.

    `header` is its first line that is not blank; `breaks_lines` whether values in quotes hold line ends,
    which needs another parser; it is False where a quote is never closed, since that parser would then take
    the rest of the file for one value.
    """

    header: bytes
    breaks_lines: bool


def scan_csv(stream: IO[bytes], *, name: str, whole: bool) -> CsvScan:
    """Look through a CSV file, or only for its header where not `whole`; names that end in .gz are unpacked.

    Cost: the file is read once, a megabyte at a time.
    Errors: InputError for a line longer than MAX_LINE_BYTES, and for an archive that cannot be unpacked.
    """
    opened = gzip.GzipFile(fileobj=stream) if name.lower().endswith(".gz") else stream
    header, line, n_quotes, n_open = b"", b"", 0, 0
    try:
        while True:
            chunk = opened.read(_CHUNK)
            *lines, line = (line + chunk).replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
            if not chunk:
                lines.append(line)
            if len(line) > MAX_LINE_BYTES or any(len(one) > MAX_LINE_BYTES for one in lines):
                raise _too_long(name)
            for one in lines:
                header = header or (one if one.strip() else b"")
                if b'"' in one:
                    quotes = one.count(b'"')
                    n_quotes += quotes
                    n_open += quotes % 2
            if not chunk or (header and not whole):
                return CsvScan(header=header, breaks_lines=n_open > 0 and n_quotes % 2 == 0)
    except (OSError, EOFError) as e:
        raise InputError(f"a file cannot be read: {name}: {e}", hint="deliver the named file again") from e


def _too_long(name: str) -> InputError:
    return InputError(
        f"{name} has a line of more than {MAX_LINE_BYTES // 2**20} MB",
        hint="look whether a quote is never closed or line ends are missing; write long values as Parquet",
    )


def parse_header(header: bytes, *, name: str, delimiter: str, declared: Collection[str]) -> Sequence[str]:
    """Return the columns of a header line; one without a name, or a second of a name, gets another.

    Errors: InputError for a header that is no UTF-8, that is not there, that names a declared column twice,
    or that another delimiter splits into more declared columns.
    """
    try:
        text = header.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = LOST
    if "\x00" in text or LOST in text:
        raise InputError(f"{name} is not text in UTF-8, by its header", hint="write the CSV files as UTF-8")
    if not text.strip():
        raise InputError(
            f"{name} has no header line", hint="write the names of the columns as the first line"
        )
    columns = _split(text, delimiter)
    if repeated := [c for c, n in Counter(columns).items() if n > 1 and c in declared]:
        raise InputError(
            f"{name} names the column {', '.join(map(repr, repeated))} more than once",
            hint="keep one of each, or name the others differently",
        )
    known = _known(columns, declared)
    better = {d: _known(_split(text, d), declared) for d in DELIMITERS if d != delimiter}
    likely = max(better, key=lambda d: better[d], default=delimiter)
    if declared and better.get(likely, 0) > max(known, 1):
        raise InputError(
            f"{name} is split by {likely!r}, by its header, and {delimiter!r} is set",
            hint=f"set ingest.csv_delimiter to {likely!r}, or write the file with {delimiter!r}",
        )
    return _unique(columns, declared)


def likely_delimiter(header: bytes, delimiter: str) -> str | None:
    """Return the delimiter that splits a header line where the set one does not; None where all is well."""
    text = header.decode("utf-8-sig", errors="replace")
    if len(_split(text, delimiter)) > 1:
        return None
    likely = max(DELIMITERS, key=lambda d: len(_split(text, d)))
    return likely if len(_split(text, likely)) > 1 else None


def _split(text: str, delimiter: str) -> list[str]:
    return next(csv.reader([text], delimiter=delimiter), [])


def _known(columns: Sequence[str], declared: Collection[str]) -> int:
    names = {d.lower() for d in declared}
    return sum(c.strip().lower() in names for c in columns)


def _unique(columns: Sequence[str], declared: Collection[str]) -> Sequence[str]:
    """Rename undeclared columns that have no name, or the name of one before; what they hold is left out."""
    folded = {d.lower() for d in declared}
    unique: list[str] = []
    seen: set[str] = set()
    for i, column in enumerate(columns):
        name = column
        while not name or (name.lower() in seen and name.lower() not in folded):
            name = f"{name or '_c'}{i}"
        seen.add(name.lower())
        unique.append(name)
    return unique
