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


def linked(folder: Path, link: str, target: str) -> None:
    parquet(folder / "a.parquet")
    (folder / link).symlink_to(target)


D20, D21 = "2025-10-20", "2025-10-21"
ANY_DAY: dict[str, Any] = {"snapshot_date": None}
LISTING = Group(
    title="What is in the folder",
    about="The folder of a table is listed once. Everything wrong with the listing is reported in one error. "
    "A folder whose valid files only its own log knows is refused, and so is a sign that an upload goes on.",
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
        *(
            refused(
                f"a folder snapshot_date={value}",
                f"'{value}' is not a date like 2025-10-21",
                given=(lambda p, v=value: parquet(p / f"snapshot_date={v}" / "a.parquet"), ANY_DAY),
            )
            for value in ("20251021", "2025-W43-2", "2025-10-21T00", "2025-10-32")
        ),
        refused(
            "a folder of a day in other case",
            "is not spelled like snapshot_date=2025-10-21",
            given=(lambda p: parquet(p / "Snapshot_Date=2025-10-21" / "a.parquet"), ANY_DAY),
        ),
        refused(
            "two folders of days in one path",
            "two folders of its path name a day",
            given=(
                lambda p: parquet(p / f"snapshot_date={D20}" / f"snapshot_date={D21}" / "a.parquet"),
                ANY_DAY,
            ),
        ),
        refused(
            "folders dt= of two days, made one by --snapshot-date",
            "its folders name several days (dt=2025-10-20, dt=2025-10-21)",
            given=(lambda p: [parquet(p / f"dt={d}" / "a.parquet") for d in (D20, D21)], {}),
        ),
        refused(
            "folders year=/month=/day= of two days",
            "its folders name several days",
            given=(
                lambda p: [parquet(p / f"year=2025/month=10/day={d}" / "a.parquet") for d in (20, 21)],
                {},
            ),
        ),
        refused(
            "folders that are dates alone, of two days",
            "its folders name several days (20251020, 20251021)",
            given=(lambda p: [parquet(p / f"2025102{d}" / "a.parquet") for d in (0, 1)], {}),
        ),
        refused(
            "files that are named by two days, made one by --snapshot-date",
            "its files' names name several days (t_2025-10-20.parquet, t_2025-10-21.parquet)",
            given=(lambda p: [parquet(p / f"t_{d}.parquet") for d in (D20, D21)], {}),
        ),
        refused(
            "a folder dt= of another day than --snapshot-date",
            "is of another day than --snapshot-date 2025-10-21",
            given=(lambda p: parquet(p / f"dt={D20}" / "a.parquet"), {}),
        ),
        refused(
            "a file beside folders of days",
            "lies beside snapshot_date= folders",
            given=(
                lambda p: (parquet(p / "a.parquet"), parquet(p / f"snapshot_date={D21}" / "b.parquet")),
                {},
            ),
        ),
        refused(
            "a folder of a day above the table's",
            "no snapshot_date= folder says which day it is",
            given=(lambda p: parquet(p / "a.parquet"), ANY_DAY | {"below": f"snapshot_date={D20}/raw"}),
            note="what stands above the delivery never decides",
        ),
        *(
            refused(
                f"{mark} beside the files",
                words,
                given=(lambda p, m=mark: (parquet(p / "a.parquet"), text(p / m, "{}")), {}),
            )
            for mark, words in (
                (".hoodie/hoodie.properties", "the folder is a table of Hudi"),
                ("x/.hoodie_partition_metadata", "x is a table of Hudi"),
                ("metadata/v1.metadata.json", "the folder is a table of Iceberg"),
                ("metadata/version-hint.text", "the folder is a table of Iceberg"),
                ("x/metadata/snap-1.avro", "x is a table of Iceberg"),
                ("x/_delta_log/00000000000000000000.json", "x is a Delta table inside the folder of another"),
                ("_delta_log/_last_checkpoint", "has a Delta log without a commit"),
                ("_committed_123", "was written by Databricks"),
                ("x/_started_123", "x was written by Databricks"),
                ("_spark_metadata/0", "is the output of a Spark stream"),
                ("delta_0000001_0000001_0000/bucket_00000", "the folder is a table of Hive ACID"),
                ("snapshot/snapshot-1", "the folder is a table of Paimon"),
                ("a.parquet._COPYING_", "a.parquet._COPYING_: its upload has not ended"),
                ("b.csv.filepart", "b.csv.filepart: its upload has not ended"),
                ("b.parquet.tmp", "its upload has not ended"),
                ("b.parquet.crdownload", "its upload has not ended"),
                (".b.parquet.Ab12Cd", "its upload has not ended"),
                ("_temporary/0/b.parquet", "its upload has not ended"),
                (".part-0-0.inprogress.1", "its upload has not ended"),
            )
        ),
        *(
            refused(
                f"a link {link} to {target}",
                words,
                given=(lambda p, n=link, t=target: linked(p, n, t), {}),
            )
            for link, target, words in (
                ("loop", ".", "is a link to a folder that it lies in, a loop"),
                ("gone.parquet", "nowhere.parquet", "is a link to nothing"),
                ("again.parquet", "a.parquet", "again.parquet is the same file as a.parquet"),
            )
        ),
    ),
)

MARKS = Group(
    title="Names beside the data",
    about="What stores and tools leave in a folder is no data.",
    cases=tuple(
        accepted(mark, given=mark)
        for mark in (
            "_SUCCESS",
            "a_$folder$",
            "snapshot_date=2025-10-21_$folder$",
            ".a.parquet.crc",
            "a.parquet.crc",
            "a.parquet.md5",
            "Thumbs.db",
            "desktop.ini",
            ".DS_Store",
            "__MACOSX/._a.parquet",
            "@eaDir/a.parquet",
            "manifest.json",
            "load.done",
            "~$a.csv",
        )
    ),
)


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
            "another type in one file",
            "n: found string, declared is int; write it as int (b.parquet)",
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
            "x: found string, declared is double; write it as double (a.parquet and 1 more)",
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

CSV_FILES = Group(
    title="CSV files",
    about="The header of each file says which columns it has, in any order. Files are looked through before "
    "they are parsed.",
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
        refused("an empty line for a header", "a.csv has no header line", given={"a.csv": "\n"}),
        refused("blanks for a header", "a.csv has no header line", given={"a.csv": "  \n  \n"}),
        *(
            refused(
                f"another separator, {d!r}",
                f"a.csv is split by {d!r}, by its header, and ',' is set",
                given={"a.csv": "id,n,x\na,1,0.5\n".replace(",", d)},
                note="ingest.csv_delimiter sets it",
            )
            for d in ";\t|"
        ),
        refused(
            "a line of 17 MB in an archive of 17 kB",
            "a.csv.gz has a line of more than 16 MB",
            given={"a.csv.gz": gzip.compress(b"id,n,x\n" + b"a" * (17 * 2**20) + b",1,0.5\n", 9)},
        ),
        refused(
            "an archive that is cut",
            "a file cannot be read: a.csv.gz",
            given={"a.csv.gz": gzip.compress(b"id,n,x\na,1,0.5\n")[:-9]},
        ),
        refused(
            "no archive, by its content",
            "a file cannot be read: a.csv.gz",
            given={"a.csv.gz": "id,n,x\na,1,0.5\n"},
        ),
        refused(
            "UTF-16 without a byte order mark",
            "a.csv is not text in UTF-8, by its header",
            given={"a.csv": "id,n,x\na,1,0.5\n".encode("utf-16-le")},
        ),
        accepted(
            "line ends inside quotes",
            given={"a.csv": 'id,n,x,note\na,1,0.5,"one\n\ntwo, ""three"""\n', "b.csv": "id,n,x\nb,1,0.5\n"},
        ),
        accepted(
            "line ends inside quotes, compressed",
            given={"a.csv.gz": gzip.compress(b'id,note,n,x\na,"one\r\ntwo",1,0.5\r\n')},
        ),
        accepted(
            "a column without a name",
            given={"a.csv": ",id,n,x\n0,a,1,0.5\n"},
            note="the index that pandas writes",
        ),
        accepted("an undeclared column twice", given={"a.csv": "id,y,n,y,x\na,7,1,8,0.5\n"}),
        accepted(
            "an undeclared column in one of two files",
            given={"a.csv": "id,n,x\na,1,0.5\n", "b.csv": "id,y,n,x\nb,y,1,0.5\n"},
        ),
        accepted(
            "files with columns in other order",
            given={"a.csv": "id,n,x\na,1,0.5\n", "b.csv": "id,x,n\nb,0.5,1\n"},
        ),
        refused(
            "a column twice",
            "a.csv names the column 'n' more than once",
            given={"a.csv": "id,n,n,x\na,1,2,0.5\n"},
        ),
        refused(
            "UTF-16",
            "a.csv is not text in UTF-8, by its header",
            given={"a.csv": "id,n,x\na,1,0.5\n".encode("utf-16")},
        ),
        refused(
            "UTF-16 beside UTF-8",
            "b.csv is not text in UTF-8, by its header",
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
        *(
            quarantined(f"{value} for a double", *UNPARSABLE, "x.not_null", given=f"odd,1,{value}")
            for value in ("0x1p3", "1d", "1f", "0x10", "1_000", "1.5e", "٣")
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
        accepted("a point without digits before it", given="point,1,.5"),
        accepted("an exponent", given="exponent,1,+1.5E-3"),
    ),
)

AMOUNTS = Table(
    name="amounts",
    kind=TableKind.ENTITY,
    description="Amounts.",
    fields=(
        field("id", "string", "string", required=True, key_position=1),
        field("money", "decimal(6,2)", "number"),
    ),
)
CSV_DECIMALS = Group(
    title="Decimals in CSV",
    about="A decimal(6,2) is taken where no digit is lost.",
    cases=(  # given: (the text, the value)
        accepted("the declared digits", given=("1.05", "1.05")),
        accepted("fewer digits", given=("-1.5", "-1.50")),
        accepted("no fraction", given=("12", "12.00")),
        accepted("zeros beyond the declared digits", given=("1.0500", "1.05")),
        accepted("leading zeros and a sign", given=("+000012.5", "12.50")),
        accepted("the largest", given=("9999.99", "9999.99")),
        quarantined(
            "a digit more", *UNPARSABLE, "money.not_null", given=("1.005", None), note="would be rounded"
        ),
        quarantined(
            "a digit more that is nearly none", *UNPARSABLE, "money.not_null", given=("1.0000000001", None)
        ),
        quarantined("too large", *UNPARSABLE, "money.not_null", given=("10000.00", None)),
        quarantined("an exponent", *UNPARSABLE, "money.not_null", given=("1e2", None)),
        quarantined("a currency", *UNPARSABLE, "money.not_null", given=("$5.00", None)),
        quarantined("a comma for the point", *UNPARSABLE, "money.not_null", given=('"5,00"', None)),
        quarantined("a point alone", *UNPARSABLE, "money.not_null", given=(".", None)),
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
