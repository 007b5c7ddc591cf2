"""Look through CSV files before Spark parses them: header, longest line, quoted line breaks. No Spark."""

from __future__ import annotations

import csv
import gzip
import re
import zlib
from codecs import BOM_UTF8
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import chain, count
from typing import IO

from engage_spark.errors import InputError

MAX_LINE_BYTES = 16 * 2**20
"""Bytes of the longest line, and characters of the longest value, that are read."""
LOST = "\ufffd"
"""Unicode's sign for a character that could not be read."""
DELIMITERS = ",;\t|"
_CHUNK = 2**20
_OTHER_FORMATS = (
    (b"\x1f\x8b", "a gzip archive", "name it .csv.gz"),
    (b"PK\x03\x04", "a zip archive, or a workbook of Excel", "unpack it, or save the sheet as CSV"),
    (b"BZh", "a bzip2 archive", "unpack it, or pack it with gzip and name it .csv.gz"),
    (b"\x28\xb5\x2f\xfd", "a zstd archive", "unpack it, or pack it with gzip and name it .csv.gz"),
    (b"\xfd7zXZ", "an xz archive", "unpack it, or pack it with gzip and name it .csv.gz"),
    (b"PAR1", "a Parquet file", "name it .parquet"),
    (b"ORC", "an ORC file", "write it as Parquet"),
    (b"\xd0\xcf\x11\xe0", "a workbook of Excel", "save the sheet as CSV"),
    (b"\xff\xfe", "text in UTF-16", "write the CSV files as UTF-8"),
    (b"\xfe\xff", "text in UTF-16", "write the CSV files as UTF-8"),
    (b"version https://git-lfs.github.com/", "a pointer of Git LFS", "fetch the file that it stands for"),
)
"""First bytes of what is no CSV whatever its name says, what it is, and what to do."""
_NO_HEADERS = (
    (re.compile(rb"\s*<(?:!doctype html|html|\?xml)[ >]", re.IGNORECASE), "a page or XML"),
    (re.compile(rb"\s*sep=.\s*$", re.IGNORECASE), "the line by which Excel is told the delimiter"),
)
"""First lines that are no header, and what they are."""


@dataclass(frozen=True, kw_only=True)
class CsvScan:
    """What a look through a CSV file shows.

    `header` is its first line that is not blank; `breaks_lines` whether values in quotes hold line ends,
    which needs another parser; it is False where a quote is never closed, or closed in the middle of a value,
    since that parser would then join rows.
    """

    header: bytes
    breaks_lines: bool


def scan_csv(stream: IO[bytes], *, name: str, whole: bool, delimiter: str) -> CsvScan:
    """Look through a CSV file, or only for its header where not `whole`; names that end in .gz are unpacked.

    Cost: the file is read once, a megabyte at a time.
    Errors: InputError for a line longer than MAX_LINE_BYTES, and for an archive that cannot be unpacked, or
    that Spark would not unpack by its name.
    """
    if name.lower().endswith(".gz") and not name.endswith(".gz"):
        raise InputError(
            f"{name} would not be unpacked: Spark knows archives by .gz in small letters",
            hint="rename the file to .gz",
        )
    opened = gzip.GzipFile(fileobj=stream) if name.lower().endswith(".gz") else stream
    header, line = b"", b""
    quotes = _Quotes(delimiter.encode())
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
                    quotes.follow(one)
            if not chunk or (header and not whole):
                return CsvScan(header=header, breaks_lines=quotes.break_lines)
    except (OSError, EOFError, zlib.error) as e:
        raise InputError(f"a file cannot be read: {name}: {e}", hint="deliver the named file again") from e


class _Quotes:
    """Where quotes open and close: at the start of a value, and before a delimiter or the end of a line."""

    def __init__(self, delimiter: bytes) -> None:
        self._delimiter = delimiter
        self.is_open = self._crossed = self._broken = False

    @property
    def break_lines(self) -> bool:
        """Whether a value in quotes holds a line end, and every quote that opens is closed where it can."""
        return self._crossed and not self.is_open and not self._broken

    def follow(self, line: bytes) -> None:
        """Go on to the end of a line; one without a quote changes nothing."""
        if self._broken:
            return
        line, at = line.removeprefix(BOM_UTF8), 0
        if not self.is_open:
            at = self._opening(line)
        while at >= 0:
            at = self._closing(line, at)
            if at < 0:
                return
            at = self._opening(line, at)

    def _opening(self, line: bytes, at: int = 0) -> int:
        """Return where the next value in quotes begins, after its quote; -1 where none does."""
        if at == 0 and line.startswith(b'"'):
            at = 1
        else:
            start = line.find(self._delimiter + b'"', at)
            at = start + len(self._delimiter) + 1 if start >= 0 else -1
        self.is_open = at >= 0
        return at

    def _closing(self, line: bytes, at: int) -> int:
        """Return where a value in quotes ends, after its quote; -1 where it does not, or ends wrongly."""
        while (quote := line.find(b'"', at)) >= 0:
            at = quote + 1
            if line.startswith(b'"', at):
                at += 1
            elif at == len(line) or line.startswith(self._delimiter, at):
                self.is_open = False
                return at
            else:
                self._broken = True
                return -1
        self._crossed = True
        return -1


def _too_long(name: str) -> InputError:
    return InputError(
        f"{name} has a line of more than {MAX_LINE_BYTES // 2**20} MB",
        hint="look whether a quote is never closed or line ends are missing; write long values as Parquet",
    )


def parse_header(header: bytes, *, name: str, delimiter: str, declared: Collection[str]) -> Sequence[str]:
    """Return the columns of a header line; one without a name is `_c0` by its place, a second of a name gets
    another.

    Errors: InputError for a header that is no UTF-8, that is not there, that names a declared column twice,
    or that another delimiter splits into more declared columns.
    """
    _refuse_other_formats(header, name)
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
    try:
        columns = _split(text, delimiter)
    except csv.Error as e:
        raise InputError(
            f"the header line of {name} cannot be split: {e}",
            hint="look whether a quote is never closed, or line ends are missing",
        ) from e
    quotes = _Quotes(delimiter.encode())
    quotes.follow(header)
    if quotes.is_open:
        raise InputError(
            f"the header line of {name} ends inside of a quoted name",
            hint="look whether a quote is never closed, and give names without line ends",
        )
    folded = Counter(c.lower() for c in columns)
    if repeated := [d for d in declared if folded[d.lower()] > 1]:
        raise InputError(
            f"{name} names the column {', '.join(map(repr, repeated))} more than once"
            + ("" if all(columns.count(d) > 1 for d in repeated) else " (names differ at most in case)"),
            hint="keep one of each, or name the others differently",
        )
    known = _known(columns, declared)
    better = {d: _known(_split_or_none(text, d), declared) for d in DELIMITERS if d != delimiter}
    likely = max(better, key=lambda d: better[d], default=delimiter)
    if declared and better.get(likely, 0) > max(known, 1):
        raise InputError(
            f"{name} is split by {likely!r}, by its header, and {delimiter!r} is set",
            hint=f"set ingest.csv_delimiter to {likely!r}, or write the file with {delimiter!r}",
        )
    return _unique(columns, declared)


def _refuse_other_formats(header: bytes, name: str) -> None:
    """Refuse what is no CSV by its first bytes, with what it is."""
    is_text = header.isascii() and header.replace(b"\t", b" ").decode().isprintable()
    for begin, kind, hint in _OTHER_FORMATS:
        if header.startswith(begin) and (not is_text or len(begin) > 8):  # a column may be called ORCID
            raise InputError(f"{name} is {kind}, by its first bytes", hint=hint)
    for form, kind in _NO_HEADERS:
        if form.match(header.removeprefix(BOM_UTF8)):
            raise InputError(
                f"the first line of {name} is {kind}, and no header",
                hint="write the names of the columns as the first line",
            )


def likely_delimiter(header: bytes, delimiter: str) -> str | None:
    """Return the delimiter that splits a header line where the set one does not; None where all is well."""
    text = header.decode("utf-8-sig", errors="replace")
    if len(_split_or_none(text, delimiter)) > 1:
        return None
    likely = max(DELIMITERS, key=lambda d: len(_split_or_none(text, d)))
    return likely if len(_split_or_none(text, likely)) > 1 else None


def _split(text: str, delimiter: str) -> list[str]:
    return next(csv.reader([text], delimiter=delimiter), [])


def _split_or_none(text: str, delimiter: str) -> list[str]:
    """Split a header line by a delimiter that may not be its own; it stays whole where that fails."""
    try:
        return _split(text, delimiter)
    except csv.Error:
        return [text]


def _known(columns: Sequence[str], declared: Collection[str]) -> int:
    names = {d.lower() for d in declared}
    return sum(c.strip().lower() in names for c in columns)


def _unique(columns: Sequence[str], declared: Collection[str]) -> Sequence[str]:
    """Rename columns that have no name, or the name of one before.

    The first column without a name is `_c0`, as Spark calls it and a draft declares it. What has the name of
    one before is left out, so it never gets that of a declared column.
    """
    named = {name.lower() for name in columns}
    taken = named | {name.lower() for name in declared}
    unique: list[str] = []
    seen: set[str] = set()
    for i, column in enumerate(columns):
        name = column
        if not column and f"_c{i}" not in named:
            name = f"_c{i}"
            taken.add(name)
        elif not column or column.lower() in seen:
            base = f"{column or '_c'}{i}"
            name = next(n for n in chain([base], (f"{base}_{k}" for k in count(1))) if n.lower() not in taken)
            taken.add(name.lower())
        seen.add(name.lower())
        unique.append(name)
    return unique
