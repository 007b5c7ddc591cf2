"""A small table and the files that go wrong before a row of it is looked at: listing, reading, CSV."""

from __future__ import annotations

import gzip
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from engage_spark.contract import Field, Role, Table, TableKind
from tests.support.bad_input.declared import Group, accepted, quarantined, refused


def field(name: str, kind: str, logical: str, **more: Any) -> Field:
    return Field(
        name=name, logical_type=logical, spark_type=kind, description=name, role=Role.FEATURE, **more
    )


THINGS = Table(
    name="things",
    kind=TableKind.ENTITY,
    description="Things.",
    fields=(
        field("id", "string", "string", required=True, key_position=1),
        field("n", "int", "integer", minimum=0, maximum=100),
        field("x", "double", "number"),
    ),
)
MOMENTS = Table(
    name="moments",
    kind=TableKind.ENTITY,
    description="Moments.",
    fields=(
        field("id", "string", "string", required=True, key_position=1),
        field("d", "date", "date"),
        field("t", "timestamp", "timestamp"),
    ),
)


def parquet(path: Path, ids: str = "ab", **columns: Any) -> Path:
    """One Parquet file with a row per letter; `columns` adds to or replaces the declared ones, None takes one
    out.
    """
    held = {"id": list(ids), "n": pa.array([1] * len(ids), pa.int32()), "x": [0.5] * len(ids)} | columns
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table({k: v for k, v in held.items() if v is not None}), path)
    return path


def text(path: Path, content: str | bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def cut(path: Path, keep: float) -> None:
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * keep)])


def garbled(path: Path) -> None:
    """Page bytes that cannot be decoded under a footer that can: the fault shows only when rows are read."""
    whole = bytearray(path.read_bytes())
    footer = len(whole) - 8 - int.from_bytes(whole[-8:-4], "little")
    whole[4:footer] = b"\xff" * (footer - 4)
    path.write_bytes(bytes(whole))


def magic(path: Path) -> None:
    """A Parquet file whose last four bytes are not PAR1."""
    path.write_bytes(path.read_bytes()[:-4] + b"PAR2")


LISTING = Group(
    title="What is in the folder",
    about="The folder of a table is listed once. Everything wrong with the listing is reported in one error.",
    cases=(  # given: (what is delivered, how it is asked for)
        refused("no such path", "there is no ", "things", given=(lambda p: None, {})),
        refused("an empty folder", "holds no files for things", given=(lambda p: p.mkdir(parents=True), {})),
        refused(
            "nothing but markers such as _SUCCESS",
            "holds no files for things",
            given=(lambda p: text(p / "_SUCCESS", b""), {}),
        ),
        refused(
            "a 0-byte file among good ones",
            "none.parquet is empty (0 bytes)",
            given=(lambda p: (parquet(p / "a.parquet"), text(p / "none.parquet", b"")), {}),
        ),
        refused(
            "nothing but a 0-byte file",
            "none.parquet is empty (0 bytes)",
            given=(lambda p: text(p / "none.parquet", b""), {}),
        ),
        refused(
            "a file of unknown format",
            "b.json: neither Parquet nor CSV by its name",
            given=(lambda p: (parquet(p / "a.parquet"), text(p / "b.json", "{}")), {}),
        ),
        refused(
            "Parquet and CSV together",
            "there are files of several formats: csv, parquet",
            given=(lambda p: (parquet(p / "a.parquet"), text(p / "b.csv", "id,n,x\n")), {}),
        ),
        refused(
            "no folder says which day it is",
            "a.parquet: no snapshot_date= folder says which day it is; give --snapshot-date",
            given=(lambda p: parquet(p / "a.parquet"), {"snapshot_date": None}),
        ),
        refused(
            "a folder's day is not a date",
            "'soon' is not a date like 2025-10-21",
            given=(lambda p: parquet(p / "snapshot_date=soon" / "a.parquet"), {}),
        ),
        refused(
            "the asked day was not delivered",
            "holds no snapshot of 2025-10-21",
            given=(lambda p: parquet(p / "snapshot_date=2025-10-01" / "a.parquet"), {}),
        ),
    ),
)


def truncated(path: Path) -> None:
    cut(parquet(path), 0.5)


def oddly_magic(path: Path) -> None:
    magic(parquet(path))


def moments(path: Path, moment: pa.Array, *, day: Any = None) -> None:
    """One row of MOMENTS."""
    parquet(path, "a", n=None, x=None, d=[OLD.date()] if day is None else day, t=moment)


OLD = datetime(1500, 2, 28, 12, tzinfo=UTC)
READING = Group(
    title="Parquet files, their schemas and types",
    about="Schemas are merged over all files of a delivery before any row is read. A fault is reported "
    "with the file or the column.",
    cases=(  # given: (what is beside the good file a.parquet, and where it can be read, what must come out)
        refused(
            "truncated",
            "a file cannot be read",
            "b.parquet",
            given=(lambda p: truncated(p / "b.parquet"), None),
        ),
        refused(
            "wrong magic bytes",
            "a file cannot be read",
            "b.parquet",
            given=(lambda p: oddly_magic(p / "b.parquet"), None),
        ),
        refused(
            "CSV called Parquet",
            "a file cannot be read",
            "b.parquet",
            given=(lambda p: text(p / "b.parquet", "id,n,x\n" * 9), None),
        ),
        refused(
            "another type in one file",
            "a file cannot be read",
            "INT",
            "STRING",
            given=(lambda p: parquet(p / "b.parquet", n=["1", "2"]), None),
        ),
        refused(
            "timestamps in nanoseconds",
            "a file cannot be read",
            "NANOS",
            given=(lambda p: parquet(p / "b.parquet", t=pa.array([1, 2], pa.timestamp("ns", "UTC"))), None),
        ),
        refused(
            "a column missing in all files",
            "x: missing; add it as double",
            given=(lambda p: parquet(p / "a.parquet", x=None), None),
        ),
        refused(
            "a column under quite another name",
            "id: missing; add it as string",
            given=(lambda p: parquet(p / "a.parquet", id=None, code=["a", "b"]), None),
        ),
        refused(
            "a column in other case",
            "n: missing, but there is 'N', which differs only in case or blanks; rename it",
            given=(lambda p: parquet(p / "a.parquet", n=None, N=pa.array([1, 2], pa.int32())), None),
        ),
        refused(
            "two columns that differ in case",
            "column `n` already exists",
            given=(lambda p: parquet(p / "a.parquet", N=pa.array([1, 2], pa.int32())), None),
        ),
        refused(
            "text for a number",
            "n: found string, declared is int",
            given=(lambda p: parquet(p / "a.parquet", n=["1", "2"]), None),
        ),
        refused(
            "a number for text",
            "id: found bigint, declared is string",
            given=(lambda p: parquet(p / "a.parquet", id=[1, 2]), None),
        ),
        refused(
            "bytes for text",
            "id: found binary, declared is string",
            given=(lambda p: parquet(p / "a.parquet", id=pa.array([b"a", b"b"])), None),
        ),
        refused(
            "unsigned 64-bit integers",
            "n: found decimal(20,0), declared is int",
            given=(lambda p: parquet(p / "a.parquet", n=pa.array([1, 2**63], pa.uint64())), None),
        ),
        refused(
            "a text column without any value and type",
            "id: found int, declared is string",
            "a column of nulls alone",
            given=(lambda p: parquet(p / "a.parquet", id=pa.nulls(2)), None),
        ),
        refused(
            "a timestamp without zone",
            "t: found timestamp_ntz, declared is timestamp",
            "with a time zone",
            given=(lambda p: moments(p / "a.parquet", pa.array([0], pa.timestamp("us"))), None),
        ),
        refused(
            "two faults at once",
            "n: found double, declared is int",
            "x: missing",
            given=(lambda p: parquet(p / "a.parquet", n=[1.0, 2.0], x=None), None),
        ),
        accepted(
            "64-bit integers where the contract bounds the field",
            note="beyond int it becomes int's own limit, out of bounds",
            given=(
                lambda p: (
                    parquet(p / "a.parquet", "a", n=pa.array([7], pa.int64())),
                    parquet(p / "b.parquet", "b", n=pa.array([2**40], pa.int64())),
                ),
                [("a", "7", "0.5"), ("b", "2147483647", "0.5")],
            ),
        ),
        accepted(
            "an undeclared column in some files",
            note="left out with a note, unless the contract refuses it",
            given=(
                lambda p: parquet(p / "b.parquet", "c", note=["new"]),
                [("a", "1", "0.5"), ("b", "1", "0.5"), ("c", "1", "0.5")],
            ),
        ),
        accepted(
            "a column with no value and no type",
            note="for a number; nulls are counted as missing",
            given=(
                lambda p: parquet(p / "a.parquet", n=pa.nulls(2)),
                [("a", None, "0.5"), ("b", None, "0.5")],
            ),
        ),
        accepted(
            "dates and times before 1582",
            note="read by the proleptic Gregorian calendar, as Parquet defines",
            given=(
                lambda p: moments(p / "a.parquet", pa.array([OLD], pa.timestamp("us", "UTC"))),
                [("a", "1500-02-28", "1500-02-28 12:00:00")],
            ),
        ),
        accepted(
            "dates and times after the year 9999",
            note="a rule of the contract may refuse them",
            given=(
                lambda p: moments(
                    p / "a.parquet",
                    pa.array([253402300800_000001], pa.timestamp("us", "UTC")),
                    day=pa.array([2932897], pa.date32()),
                ),
                [("a", "+10000-01-01", "+10000-01-01 00:00:00.000001")],
            ),
        ),
        accepted(
            "timestamps in milliseconds",
            given=(
                lambda p: moments(p / "a.parquet", pa.array([86_400_001], pa.timestamp("ms", "UTC"))),
                [("a", "1500-02-28", "1970-01-02 00:00:00.001")],
            ),
        ),
    ),
)


def int96(path: Path, moment: datetime) -> Path:
    """Timestamps as Hive and Impala wrote them."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = pa.table(
        {"id": ["a"], "d": [date(2025, 1, 1)], "t": pa.array([moment], pa.timestamp("us", "UTC"))}
    )
    pq.write_table(rows, path, use_deprecated_int96_timestamps=True)
    return path


INT96 = Group(
    title="INT96 timestamps",
    about="The type is deprecated, and old data hold it. It is read as a moment in UTC.",
    cases=(
        accepted("INT96", given=(datetime(2025, 3, 30, 1, 30, tzinfo=UTC), "2025-03-30 01:30:00")),
        accepted("INT96 before 1582", given=(OLD, "1500-02-28 12:00:00")),
    ),
)

CSV_FILES = Group(
    title="CSV files",
    about="A header says which columns there are; every file of a delivery must have the same one.",
    cases=(  # given: the files by name
        refused(
            "a column missing in the header", "x: missing; add it as double", given={"a.csv": "id,n\na,1\n"}
        ),
        refused(
            "a column in other case", "id: missing, but there is 'ID'", given={"a.csv": "ID,n,x\na,1,0.5\n"}
        ),
        refused(
            "no header",
            "id: missing",
            given={"a.csv": "a,1,0.5\nb,1,0.5\n"},
            note="the first line is taken for it",
        ),
        refused("an empty line for a header", "id: missing", given={"a.csv": "\n"}),
        refused(
            "a column twice",
            "a.csv names the column 'n' more than once",
            given={"a.csv": "id,n,n,x\na,1,2,0.5\n"},
        ),
        refused(
            "files with columns in other order",
            "a file cannot be read",
            "b.csv",
            given={"a.csv": "id,n,x\na,1,0.5\n", "b.csv": "id,x,n\nb,0.5,1\n"},
        ),
        refused(
            "another separator",
            "id: missing",
            given={"a.csv": "id;n;x\na;1;0.5\n"},
            note="ingest.csv_delimiter sets it",
        ),
        refused(
            "UTF-16",
            "a.csv is not text in UTF-8, by its header",
            given={"a.csv": "id,n,x\na,1,0.5\n".encode("utf-16")},
        ),
        refused(
            "UTF-16 beside UTF-8",
            "a file cannot be read",
            "b.csv",
            given={"a.csv": "id,n,x\na,1,0.5\n", "b.csv": "id,n,x\nb,1,0.5\n".encode("utf-16")},
        ),
        refused(
            "Latin-1 in the header",
            "a.csv is not text in UTF-8, by its header",
            given={"a.csv": "id,n,x,größe\na,1,0.5,2\n".encode("latin-1")},
        ),
        accepted(
            "a byte order mark", given={"a.csv": b"\xef\xbb\xbfid,n,x\na,1,0.5\n"}, note="as Excel writes it"
        ),
        accepted(
            "a byte order mark in every file",
            given={"a.csv": b"\xef\xbb\xbfid,n,x\na,1,0.5\n", "b.csv": b"\xef\xbb\xbfid,n,x\nb,1,0.5\n"},
        ),
        accepted("Windows line ends", given={"a.csv": "id,n,x\r\na,1,0.5\r\n"}),
        accepted("blank lines", given={"a.csv": "id,n,x\n\na,1,0.5\n   \n"}, note="no rows"),
        accepted("compressed", given={"a.csv.gz": gzip.compress(b"id,n,x\na,1,0.5\n")}),
    ),
)

UNPARSABLE = ("row.parsable",)
CSV_LINES = Group(
    title="Lines of CSV",
    about="A line is kept as a row. What cannot be parsed as declared is null, and `row.parsable` says so.",
    cases=(  # given: the line, of columns id, n, x
        quarantined("too few values", *UNPARSABLE, "x.not_null", given="few,3"),
        quarantined("too many values", *UNPARSABLE, given="many,4,0.5,surplus"),
        quarantined("text for a number", *UNPARSABLE, "n.not_null", given="word,many,1"),
        quarantined("a fraction for an integer", *UNPARSABLE, "n.not_null", given="fraction,1.0,1"),
        quarantined("an integer beyond 32 bits", *UNPARSABLE, "n.not_null", given="big,99999999999,1"),
        quarantined(
            "a quote that is never closed", *UNPARSABLE, "n.not_null", "x.not_null", given='"open,1,0.5'
        ),
        quarantined("NaN", "x.finite", given="nan,1,NaN"),
        quarantined("an infinity", "x.finite", given="inf,1,Inf"),
        quarantined("a key of blanks", "id.trimmed", "id.not_blank", given="  ,1,0.5"),
        quarantined("a key with a trailing blank", "id.trimmed", given="blank ,1,0.5"),
        quarantined("no key", "id.not_null", given=",1,0.5"),
        quarantined("a quoted empty key", "id.not_null", given='"",2,0.5'),
        quarantined(
            "Latin-1",
            "id.valid_utf8",
            given="M\u00fcller,1,0.5".encode("latin-1"),
            note="the lost character is seen as U+FFFD",
        ),
        quarantined("a NUL byte", "id.printable", given="a\x00b,1,0.5"),
        quarantined("a NUL byte first", "id.printable", given="\x00ab,2,0.5"),
        quarantined("a byte order mark inside the file", "id.printable", given="\ufeffmark,1,0.5"),
        accepted("a comma and quotes inside quotes", given='"q ""uo"", ted",1,0.5'),
        accepted("a line that begins with #", given="#hash,1,0.5", note="no comment"),
        accepted("a plus sign", given="plus,+1,0.5"),
        accepted("a denormal number", given="tiny,1,5e-324"),
    ),
)

CSV_TIMES = Group(
    title="Times in CSV",
    about="With an offset or zone it is the moment in UTC; without, it is taken as UTC, which is what "
    "the contract declares.",
    cases=(  # given: (the text, the moment in UTC)
        accepted(
            "an offset of +14:00",
            given=("2025-10-21T12:00:00+14:00", "2025-10-20 22:00:00"),
            note="the day may be another one",
        ),
        accepted("an offset of -12:00", given=("2025-10-21T12:00:00-12:00", "2025-10-22 00:00:00")),
        accepted(
            "an hour that summer time skips", given=("2025-03-30T02:30:00+01:00", "2025-03-30 01:30:00")
        ),
        accepted(
            "an hour that comes twice, first", given=("2025-10-26T02:30:00+02:00", "2025-10-26 00:30:00")
        ),
        accepted(
            "an hour that comes twice, second", given=("2025-10-26T02:30:00+01:00", "2025-10-26 01:30:00")
        ),
        accepted("no zone", given=("2025-10-26 02:30:00", "2025-10-26 02:30:00")),
        quarantined(
            "an offset that does not exist",
            *UNPARSABLE,
            "t.not_null",
            given=("2025-10-26T02:30:00+19:00", None),
        ),
        quarantined(
            "a day that does not exist", *UNPARSABLE, "t.not_null", given=("2025-02-30T00:00:00Z", None)
        ),
        quarantined("seconds since 1970", *UNPARSABLE, "t.not_null", given=("1761000000", None)),
        quarantined("another order", *UNPARSABLE, "t.not_null", given=("10/21/2025 12:00", None)),
    ),
)
