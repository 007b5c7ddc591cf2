"""Parquet files that go wrong before a row of them is looked at: schemas, types, moments."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from tests.support.bad_input.declared import Group, accepted, refused
from tests.support.bad_input.things import cut, iceberg, magic, parquet, text


def truncated(path: Path) -> None:
    cut(parquet(path), 0.5)


def oddly_magic(path: Path) -> None:
    magic(parquet(path))


def moments(path: Path, moment: pa.Array, *, day: Any = None) -> None:
    """One row of MOMENTS."""
    parquet(path, "a", n=None, x=None, d=[OLD.date()] if day is None else day, t=moment)


AB = [("a", "1", "0.5"), ("b", "1", "0.5")]
OLD = datetime(1500, 2, 28, 12, tzinfo=UTC)
READING = Group(
    title="Parquet files, their schemas and types",
    about="The footers of all files are read before any row is. A fault is reported with the file and the "
    "column; what is wrong with an undeclared column refuses no delivery.",
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
            "a part of a Hudi table without its .hoodie",
            "b.parquet: it is a part of a table of Hudi",
            given=(lambda p: parquet(p / "b.parquet", _hoodie_commit_time=["1", "2"]), None),
        ),
        refused(
            "a part of an Iceberg table without its metadata",
            "b.parquet: it is a part of a table of Iceberg",
            given=(lambda p: iceberg(p / "b.parquet"), None),
        ),
        refused(
            "another type in one file",
            "n: found string, declared is int; write it as int",
            "(b.parquet)",
            given=(lambda p: parquet(p / "b.parquet", n=["1", "2"]), None),
        ),
        *(
            accepted(
                f"an undeclared column of {kind}",
                note="left out with a note",
                given=(lambda p, k=kind: parquet(p / "a.parquet", odd=pa.nulls(2, k)), AB),
            )
            for kind in (
                pa.float16(),
                pa.timestamp("ns", "UTC"),
                pa.time32("ms"),
                pa.time64("ns"),
                pa.decimal256(60, 2),
                pa.duration("us"),
                pa.uuid(),
                pa.null(),
                pa.list_(pa.time64("us")),
            )
        ),
        *(
            refused(
                f"{kind} for {name}",
                f"{name}: found {shown}, which Spark cannot read, declared is {declared}",
                "(a.parquet)",
                given=(lambda p, k=kind, n=name: parquet(p / "a.parquet", **{n: pa.nulls(2, k)}), None),
            )
            for kind, shown, name, declared in (
                (pa.float16(), "float16", "x", "double"),
                (pa.duration("us"), "duration[us]", "n", "int"),
                (pa.decimal256(60, 2), "decimal256(60, 2)", "x", "double"),
                (pa.uuid(), "arrow.uuid", "id", "string"),
                (pa.time64("us"), "time64[us]", "n", "int"),
            )
        ),
        refused(
            "a moment in nanoseconds",
            "t: found timestamp[ns, tz=UTC], which Spark cannot read",
            "in microseconds and with a time zone, UTC (a.parquet)",
            given=(lambda p: moments(p / "a.parquet", pa.array([0], pa.timestamp("ns", "UTC"))), None),
        ),
        refused(
            "a fault in two of three files",
            "x: found string, declared is double; write it as double",
            "(a.parquet and 1 more)",
            given=(
                lambda p: (
                    [parquet(p / f"{n}.parquet", x=["1", "2"]) for n in "ab"] + [parquet(p / "c.parquet")]
                ),
                None,
            ),
        ),
        accepted(
            "undeclared columns whose types differ by file",
            note="left out with a note",
            given=(
                lambda p: [parquet(p / f"{n}.parquet", n, odd=v) for n, v in (("a", [1]), ("b", ["1"]))],
                AB,
            ),
        ),
        accepted(
            "a column without any value and type in one of two files",
            note="is null there",
            given=(
                lambda p: (
                    parquet(p / "a.parquet", "a"),
                    parquet(p / "b.parquet", "b", n=pa.nulls(1), x=pa.nulls(1)),
                ),
                [("a", "1", "0.5"), ("b", None, None)],
            ),
        ),
        accepted(
            "widths of numbers that differ by file",
            given=(
                lambda p: (
                    parquet(
                        p / "a.parquet", "a", n=pa.array([1], pa.int8()), x=pa.array([0.5], pa.float32())
                    ),
                    parquet(p / "b.parquet", "b", n=pa.array([1], pa.int64()), x=pa.array([1], pa.int32())),
                ),
                [("a", "1", "0.5"), ("b", "1", "1.0")],
            ),
        ),
        accepted(
            "a column that one of two files does not have",
            note="is null there",
            given=(
                lambda p: (parquet(p / "a.parquet", "a"), parquet(p / "b.parquet", "b", x=None)),
                [("a", "1", "0.5"), ("b", "1", None)],
            ),
        ),
        accepted(
            "a column that only names of folders hold",
            note="its text is taken, as declared",
            given=(
                lambda p: (
                    parquet(p / "a.parquet", "a").unlink(),
                    parquet(p / "n=07" / "a.parquet", "a", n=None),
                    parquet(p / "n=8" / "b.parquet", "b", n=None),
                ),
                [("a", "7", "0.5"), ("b", "8", "0.5")],
            ),
        ),
        accepted(
            "a key that only names of folders hold",
            note="leading zeros, exponents and escapes stay text",
            given=(
                lambda p: (
                    parquet(p / "a.parquet", "a").unlink(),
                    parquet(p / "id=01001" / "a.parquet", "a", id=None),
                    parquet(p / "id=1e5" / "b.parquet", "b", id=None),
                    parquet(p / "id=a%2Fb" / "b.parquet", "b", id=None),
                ),
                [("01001", "1", "0.5"), ("1e5", "1", "0.5"), ("a/b", "1", "0.5")],
            ),
        ),
        refused(
            "a folder's name that is no value of its column",
            "n: the folder says '1e5', declared is int; write the column into the files (n=1e5/a.parquet)",
            given=(
                lambda p: (parquet(p / "a.parquet").unlink(), parquet(p / "n=1e5" / "a.parquet", n=None)),
                None,
            ),
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
            "n: found 'n', 'N', which Spark cannot tell apart; keep one",
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
        accepted(
            "a text column without any value and type",
            given=(
                lambda p: parquet(p / "a.parquet", id=pa.nulls(2)),
                [(None, "1", "0.5"), (None, "1", "0.5")],
            ),
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
