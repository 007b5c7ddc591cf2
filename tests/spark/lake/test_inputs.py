"""Which files are taken, how they are read, and what each fault of a delivery is called."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from engage_spark.contract import Field, Kind, Role, Table
from engage_spark.errors import EngageError, InputError
from engage_spark.lake import Pinned, fingerprint, pin, read_pinned, storage_error
from engage_spark.schema import conform

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

DAY = date(2025, 10, 21)
MALFORMED = "__malformed"


def field(name: str, kind: str, logical: str, **more: Any) -> Field:
    return Field(name=name, logical_type=logical, spark_type=kind, description=name, role=Role.FEATURE, **more)


THINGS = Table(
    name="things", kind=Kind.ENTITY, description="Things.",
    fields=(
        field("id", "string", "string", required=True, key_position=1),
        field("n", "int", "integer", minimum=0, maximum=100),
        field("x", "double", "number"),
    ),
)  # fmt: skip


def parquet(path: Path, ids: str = "ab", **columns: Any) -> Path:
    """One Parquet file with a row per letter; `columns` adds to or replaces the declared ones, None takes one out."""
    held = {"id": list(ids), "n": pa.array([1] * len(ids), pa.int32()), "x": [0.5] * len(ids)} | columns
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table({k: v for k, v in held.items() if v is not None}), path)
    return path


def text(path: Path, content: str | bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def pinned(spark: SparkSession, path: Path | str, **how: Any) -> list[Pinned]:
    return pin(spark, str(path), THINGS, **({"snapshot_date": DAY, "dated": True} | how))


def ids(spark: SparkSession, one: Pinned) -> str:
    return "".join(sorted(r["id"] for r in conform(read_pinned(spark, one, THINGS, malformed=MALFORMED), THINGS).rows.collect()))


def test_days_come_from_folders_oldest_first_and_what_is_no_data_is_left(spark: SparkSession, tmp_path: Path) -> None:
    root = tmp_path / "with blank, ünï & 100%41 = [1]{2}*?" / "things"
    parquet(root / "snapshot_date=2025-10-21" / "b c%20d.parquet", "cd")
    parquet(root / "snapshot_date=2025-10-21" / "deeper" / "a.PARQUET", "ab")
    parquet(root / "snapshot_date=2025-10-20" / "part[0]-{x}.pq", "z")
    for name in ("_SUCCESS", ".part.parquet.crc", "_committed_1", "_metadata"):
        text(root / "snapshot_date=2025-10-20" / name, b"")
    text(root / "_delta_log" / "0.json", "{}")
    text(root / ".hidden" / "x.parquet", b"")
    found = pinned(spark, root, snapshot_date=None)
    assert [(p.day, len(p.files), p.format) for p in found] == [(date(2025, 10, 20), 1, "parquet"), (DAY, 2, "parquet")]
    assert [ids(spark, p) for p in found] == ["z", "abcd"]
    assert all(f.size > 0 for p in found for f in p.files)
    assert [p.day for p in pinned(spark, root, snapshot_date=DAY)] == [DAY]


def test_a_single_file_and_a_log_need_no_folders(spark: SparkSession, tmp_path: Path) -> None:
    path = parquet(tmp_path / "one file.parquet", "q")
    (dated,) = pinned(spark, path)
    assert (dated.day, ids(spark, dated)) == (DAY, "q")
    (log,) = pinned(spark, path, snapshot_date=None, dated=False)
    assert log.day is None


def test_the_fingerprint_changes_with_names_sizes_and_times(spark: SparkSession, tmp_path: Path) -> None:
    path = parquet(tmp_path / "things" / "a.parquet")
    before = fingerprint(pinned(spark, path))
    assert fingerprint(pinned(spark, path)) == before
    os.utime(path, (1_700_000_000, 1_700_000_000))
    touched = fingerprint(pinned(spark, path))
    assert touched != before
    path.rename(path.with_name("b.parquet"))
    assert fingerprint(pinned(spark, path.with_name("b.parquet"))) != touched


FAULTS: dict[str, tuple[Callable[[Path], object], dict[str, Any], str]] = {
    # case: (what is delivered, how it is asked for, what the message must name)
    "no such path": (lambda p: None, {}, r"there is no .*things"),
    "empty folder": (lambda p: p.mkdir(parents=True), {}, "holds no files for things"),
    "only markers": (lambda p: text(p / "_SUCCESS", b""), {}, "holds no files for things"),
    "0-byte among good": (lambda p: (parquet(p / "a.parquet"), text(p / "none.parquet", b"")), {}, r"none\.parquet is empty \(0 bytes\)"),
    "only 0-byte": (lambda p: text(p / "none.parquet", b""), {}, r"none\.parquet is empty \(0 bytes\)"),
    "unknown format": (lambda p: (parquet(p / "a.parquet"), text(p / "b.json", "{}")), {}, r"b\.json: neither Parquet nor CSV"),
    "mixed formats": (lambda p: (parquet(p / "a.parquet"), text(p / "b.csv", "id,n,x\n")), {}, "several formats.*csv, parquet"),
    "no day": (lambda p: parquet(p / "a.parquet"), {"snapshot_date": None}, r"a\.parquet: no snapshot_date= folder.*--snapshot-date"),
    "no date": (lambda p: parquet(p / "snapshot_date=soon" / "a.parquet"), {}, r"'soon' is not a date like 2025-10-21"),
    "another day": (lambda p: parquet(p / "snapshot_date=2025-10-01" / "a.parquet"), {}, "holds no snapshot of 2025-10-21"),
}  # fmt: skip


@pytest.mark.parametrize("case", FAULTS)
def test_a_delivery_that_cannot_be_used_is_refused_by_name(spark: SparkSession, tmp_path: Path, case: str) -> None:
    deliver, how, said = FAULTS[case]
    deliver(tmp_path / "things")
    with pytest.raises(InputError, match=rf"(?s){said}") as e:
        pinned(spark, tmp_path / "things", **how)
    assert e.value.mend
    assert e.value.exit_code == 2


def test_all_faults_of_a_listing_are_told_at_once(spark: SparkSession, tmp_path: Path) -> None:
    root = tmp_path / "things"
    text(root / "snapshot_date=2025-10-21" / "none.parquet", b"")
    parquet(root / "snapshot_date=never" / "a.parquet")
    text(root / "snapshot_date=2025-10-21" / "notes.txt", "hello")
    with pytest.raises(InputError) as e:
        pinned(spark, root)
    assert len(e.value.details) == 3


def test_a_broken_file_of_another_day_does_not_keep_this_day_back(spark: SparkSession, tmp_path: Path) -> None:
    root = tmp_path / "things"
    text(root / "snapshot_date=2025-10-20" / "none.parquet", b"")
    parquet(root / "snapshot_date=2025-10-21" / "a.parquet")
    (only,) = pin(spark, str(root), THINGS, snapshot_date=date(2025, 10, 21), dated=True)
    assert [Path(f.path).name for f in only.files] == ["a.parquet"]
    with pytest.raises(InputError, match="no snapshot of 2025-10-19"):
        pin(spark, str(root), THINGS, snapshot_date=date(2025, 10, 19), dated=True)


def truncated(path: Path) -> None:
    whole = parquet(path).read_bytes()
    path.write_bytes(whole[: len(whole) // 2])


READS: dict[str, tuple[Callable[[Path], object], str]] = {
    # case: (what lies beside the good file a.parquet, what the message must name)
    "truncated": (lambda p: truncated(p / "b.parquet"), r"b\.parquet"),
    "not Parquet at all": (lambda p: text(p / "b.parquet", "id,n,x\n" * 9), r"b\.parquet"),
    "wrong type in one file": (lambda p: parquet(p / "b.parquet", n=["1", "2"]), r"`?n`?|b\.parquet"),
    "nanoseconds": (lambda p: parquet(p / "b.parquet", t=pa.array([1, 2], pa.timestamp("ns", "UTC"))), "NANOS"),
    "missing everywhere": (lambda p: parquet(p / "a.parquet", x=None), "x: missing; add it as double"),
    "renamed": (lambda p: parquet(p / "a.parquet", id=None, ids=["a", "b"]), "id: missing, but there is 'ids'|id: missing; add it"),
    "case only": (lambda p: parquet(p / "a.parquet", n=None, N=pa.array([1, 2], pa.int32())), "missing, but there is 'N', which differs"),
    "case twice": (lambda p: parquet(p / "a.parquet", N=pa.array([1, 2], pa.int32())), "[Tt]he column `n` already exists"),
    "wrong type": (lambda p: parquet(p / "a.parquet", n=["1", "2"]), "n: found string, declared is int"),
    "local time": (lambda p: parquet(p / "a.parquet", x=pa.array([1, 2], pa.timestamp("us"))), "x: found timestamp_ntz"),
    "two at once": (lambda p: parquet(p / "a.parquet", n=[1.0, 2.0], x=None), r"(?s)n: found double.*x: missing"),
}  # fmt: skip


@pytest.mark.parametrize("case", READS)
def test_a_file_that_cannot_be_read_as_declared_is_refused_by_name(spark: SparkSession, tmp_path: Path, case: str) -> None:
    deliver, said = READS[case]
    parquet(tmp_path / "things" / "a.parquet")
    deliver(tmp_path / "things")
    (found,) = pinned(spark, tmp_path / "things")
    with pytest.raises(EngageError, match=said) as e:
        conform(read_pinned(spark, found, THINGS, malformed=MALFORMED), THINGS)
    assert e.value.exit_code == 2
    assert e.value.mend


def test_64_bit_integers_may_stand_in_all_files_and_a_new_column_in_some(spark: SparkSession, tmp_path: Path) -> None:
    parquet(tmp_path / "things" / "a.parquet", "a", n=pa.array([7], pa.int64()))
    parquet(tmp_path / "things" / "b.parquet", "b", n=pa.array([2**40], pa.int64()), note=["new"])
    (found,) = pinned(spark, tmp_path / "things")
    conformed = conform(read_pinned(spark, found, THINGS, malformed=MALFORMED), THINGS)
    assert conformed.extra == ("note",)
    assert {r["id"]: r["n"] for r in conformed.rows.collect()} == {"a": 7, "b": 2**31 - 1}


def test_a_day_inside_the_file_is_an_undeclared_column_like_any_other(spark: SparkSession, tmp_path: Path) -> None:
    parquet(tmp_path / "things" / "snapshot_date=2025-10-21" / "a.parquet", snapshot_date=[date(1999, 1, 1)] * 2)
    (found,) = pinned(spark, tmp_path / "things")
    assert conform(read_pinned(spark, found, THINGS, malformed=MALFORMED), THINGS).extra == ("snapshot_date",)


def csv_rows(spark: SparkSession, folder: Path, table: Table = THINGS, **how: Any) -> list[tuple[Any, ...]]:
    (found,) = pin(spark, str(folder), table, snapshot_date=DAY, dated=True)
    rows = read_pinned(spark, found, table, malformed=MALFORMED, **how).collect()
    return sorted(((*(r[n] for n in table.names), r[MALFORMED]) for r in rows), key=str)


def test_csv_is_read_as_declared_and_what_cannot_be_parsed_is_kept_as_text(spark: SparkSession, tmp_path: Path) -> None:
    text(tmp_path / "things" / "a.csv", 'id,n,x\na,1,0.5\n"b ""q"", b",2,\nc,many,1\nd,3\ne,4,NaN,surplus\n')
    text(tmp_path / "things" / "empty.csv", "id,n,x\n")
    assert [repr(r) for r in csv_rows(spark, tmp_path / "things")] == sorted([
        "('a', 1, 0.5, None)", "('b \"q\", b', 2, None, None)", "('c', None, 1.0, 'c,many,1')",
        "('d', 3, None, 'd,3')", "('e', 4, nan, 'e,4,NaN,surplus')",
    ])  # fmt: skip


def test_csv_with_dates_other_separators_and_a_word_for_null(spark: SparkSession, tmp_path: Path) -> None:
    table = Table(name="things", kind=Kind.ENTITY, description="", fields=(
        field("id", "string", "string"), field("d", "date", "date"), field("t", "timestamp", "timestamp"), field("b", "boolean", "boolean"),
    ))  # fmt: skip
    text(
        tmp_path / "things" / "a.csv.gz",
        __import__("gzip").compress(b"id;d;t;b\na;2025-10-01;2025-10-01T12:00:00+02:00;true\nNA;NA;NA;NA\n"),
    )
    rows = csv_rows(spark, tmp_path / "things", table, delimiter=";", null="NA")
    assert rows == [("a", date(2025, 10, 1), datetime(2025, 10, 1, 10), True, None), (None, None, None, None, None)]


def test_csv_files_of_one_delivery_must_have_the_same_columns(spark: SparkSession, tmp_path: Path) -> None:
    text(tmp_path / "things" / "a.csv", "id,n,x\na,1,0.5\n")
    text(tmp_path / "things" / "b.csv", "id,x,n\nb,0.5,1\n")
    (found,) = pinned(spark, tmp_path / "things")
    rows = read_pinned(spark, found, THINGS, malformed=MALFORMED)
    with pytest.raises(InputError, match="cannot be read") as e, storage_error("things cannot be read"):
        rows.collect()
    assert "b.csv" in str(e.value)


@pytest.mark.parametrize(("header", "said"), [("id,n", "x: missing"), ("ID,n,x", "id: missing, but there is 'ID'"), ("", "id: missing")])
def test_a_csv_header_is_held_against_the_contract(spark: SparkSession, tmp_path: Path, header: str, said: str) -> None:
    text(tmp_path / "things" / "a.csv", f"{header}\n")
    (found,) = pinned(spark, tmp_path / "things")
    with pytest.raises(InputError, match=said):
        conform(read_pinned(spark, found, THINGS, malformed=MALFORMED), THINGS)
