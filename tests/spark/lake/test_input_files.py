"""Which files are taken, how they are read, and what each fault of a delivery is called."""

from __future__ import annotations

import os
import time
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest
from chispa import assert_df_equality

from engage_spark.contract import Table, TableKind
from engage_spark.errors import InputError
from engage_spark.lake import (
    InputManifest,
    fingerprint,
    list_inputs,
    read_any_format,
    read_inputs,
)
from engage_spark.spark import files
from engage_spark.spark.schema import folder_flag_name
from tests.support.bad_input.things import THINGS, field, parquet, text

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

pytestmark = pytest.mark.connect

DAY = date(2025, 10, 21)
MALFORMED = "__malformed"


def pinned(spark: SparkSession, path: Path | str, **how: Any) -> list[InputManifest]:
    return list_inputs(spark, str(path), THINGS, **({"snapshot_date": DAY, "dated": True} | how))


def ids(spark: SparkSession, one: InputManifest) -> str:
    return "".join(
        sorted(r["id"] for r in read_inputs(spark, one, THINGS, malformed=MALFORMED).rows.collect())
    )


def test_days_come_from_folders_oldest_first_and_what_is_no_data_is_left(
    spark: SparkSession, tmp_path: Path
) -> None:
    root = tmp_path / "with blank, ünï & 100%41 = [1]{2}*?" / "things"
    parquet(root / "snapshot_date=2025-10-21" / "b c%20d.parquet", "cd")
    parquet(root / "snapshot_date=2025-10-21" / "deeper" / "a.PARQUET", "ab")
    parquet(root / "snapshot_date=2025-10-20" / "part[0]-{x}.pq", "z")
    for name in ("_SUCCESS", ".part.parquet.crc", "_metadata"):
        text(root / "snapshot_date=2025-10-20" / name, b"")
    text(root / ".hidden" / "x.parquet", b"")
    found = pinned(spark, root, snapshot_date=None)
    assert [(p.day, len(p.files), p.format) for p in found] == [
        (date(2025, 10, 20), 1, "parquet"),
        (DAY, 2, "parquet"),
    ]
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


def test_all_faults_of_a_listing_are_told_at_once(spark: SparkSession, tmp_path: Path) -> None:
    root = tmp_path / "things"
    text(root / "snapshot_date=2025-10-21" / "none.parquet", b"")
    parquet(root / "snapshot_date=never" / "a.parquet")
    text(root / "snapshot_date=2025-10-21" / "notes.txt", "hello")
    with pytest.raises(InputError) as e:
        pinned(spark, root)
    assert len(e.value.details) == 3


def test_a_broken_file_of_another_day_does_not_keep_this_day_back(
    spark: SparkSession, tmp_path: Path
) -> None:
    root = tmp_path / "things"
    text(root / "snapshot_date=2025-10-20" / "none.parquet", b"")
    parquet(root / "snapshot_date=2025-10-21" / "a.parquet")
    (only,) = list_inputs(spark, str(root), THINGS, snapshot_date=date(2025, 10, 21), dated=True)
    assert [Path(f.path).name for f in only.files] == ["a.parquet"]
    with pytest.raises(InputError, match="no snapshot of 2025-10-19"):
        list_inputs(spark, str(root), THINGS, snapshot_date=date(2025, 10, 19), dated=True)


def test_64_bit_integers_may_stand_in_all_files_and_a_new_column_in_some(
    spark: SparkSession, tmp_path: Path
) -> None:
    parquet(tmp_path / "things" / "a.parquet", "a", n=pa.array([7], pa.int64()))
    parquet(tmp_path / "things" / "b.parquet", "b", n=pa.array([2**40], pa.int64()), note=["new"])
    (found,) = pinned(spark, tmp_path / "things")
    conformed = read_inputs(spark, found, THINGS, malformed=MALFORMED)
    assert conformed.extra == ("note",)
    expected = spark.createDataFrame([("a", 7), ("b", 2**31 - 1)], "id string, n int")
    assert_df_equality(
        conformed.rows.select("id", "n"),
        expected,
        ignore_nullable=True,
        ignore_row_order=True,
        ignore_metadata=True,
    )


@pytest.mark.parametrize(
    ("values", "others"),
    [
        ([date(2025, 10, 21), date(1999, 1, 1)], [None, "1999-01-01"]),
        (["2025-10-21", "20251021"], [None, None]),
        ([" 2025-10-21 ", "2025-10-20"], [None, "2025-10-20"]),
        (["soon", ""], ["soon", None]),
        ([20251021, 20251020], [None, "20251020"]),
        ([datetime(2025, 10, 21, 23, 59), datetime(2025, 10, 22)], [None, "2025-10-22 00:00:00"]),
        ([None, date(2025, 10, 21)], [None, None]),
    ],
)
def test_a_day_inside_the_file_is_compared_with_the_folders(
    spark: SparkSession, tmp_path: Path, values: list[Any], others: list[str | None]
) -> None:
    parquet(tmp_path / "things" / "snapshot_date=2025-10-21" / "a.parquet", snapshot_date=values)
    (manifest,) = pinned(spark, tmp_path / "things")
    read = read_inputs(spark, manifest, THINGS, malformed=MALFORMED)
    assert (read.extra, read.in_folders) == ((), ("snapshot_date",))
    rows = read.rows.select("id", folder_flag_name("snapshot_date")).collect()
    assert [r[1] for r in sorted(rows)] == others


def test_a_column_in_files_and_folders_both_is_compared(spark: SparkSession, tmp_path: Path) -> None:
    parquet(tmp_path / "things" / "n=1" / "a.parquet", "a")
    parquet(tmp_path / "things" / "n=02" / "b.parquet", "b")
    (manifest,) = pinned(spark, tmp_path / "things")
    read = read_inputs(spark, manifest, THINGS, malformed=MALFORMED)
    assert read.in_folders == ("n",)
    assert sorted(tuple(r) for r in read.rows.select("id", "n", folder_flag_name("n")).collect()) == [
        ("a", 1, None),
        ("b", 1, "1"),
    ]


def test_a_delta_table_is_read_as_one_by_its_days(spark: SparkSession, tmp_path: Path) -> None:
    """Deleted and rewritten rows do not come back, and the version is part of the fingerprint."""
    path = str(tmp_path / "things")
    rows = spark.createDataFrame(
        [("a", 1, 0.5, date(2025, 10, 20)), ("b", 1, 0.5, DAY), ("c", 1, 0.5, DAY)],
        "id string, n int, x double, snapshot_date date",
    )
    rows.coalesce(1).write.format("delta").partitionBy("snapshot_date").save(path)
    before = pinned(spark, path, snapshot_date=None)
    spark.sql(f"DELETE FROM delta.`{path}` WHERE id = 'c'")
    manifests = pinned(spark, path, snapshot_date=None)
    assert [(m.day, m.version, m.format) for m in manifests] == [
        (date(2025, 10, 20), 1, "delta"),
        (DAY, 1, "delta"),
    ]
    assert [ids(spark, m) for m in manifests] == ["a", "b"]
    assert ids(spark, before[1]) == "bc", "a manifest reads the version that was listed"
    assert fingerprint(before) != fingerprint(manifests)
    assert [ids(spark, m) for m in pinned(spark, path)] == ["b"]
    (log,) = pinned(spark, path, snapshot_date=None, dated=False)
    assert ids(spark, log) == "ab"
    with pytest.raises(InputError, match="no snapshot of 2025-10-19"):
        pinned(spark, path, snapshot_date=date(2025, 10, 19))
    with pytest.raises(InputError, match="it is a part of the table of Delta in"):
        pinned(spark, f"{path}/snapshot_date=2025-10-21")
    assert sorted(r["id"] for r in read_any_format(spark, path).rows.collect()) == ["a", "b"]


def test_a_file_that_spark_alone_reaches_is_listed_and_read_the_same(
    spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Through Hadoop on a classic session, by Spark itself on Connect."""
    parquet(tmp_path / "things" / "snapshot_date=2025-10-21" / "a b%.parquet", "ab")
    text(tmp_path / "csv" / "a.csv", "id,n,x\na,1,0.5\n")
    (here,) = pinned(spark, tmp_path / "things")
    monkeypatch.setattr(files, "shared_with_server", lambda *_: None)
    (there,) = pinned(spark, tmp_path / "things")
    assert [(f.name, f.size, f.modified) for f in there.files] == [
        (f.name, f.size, f.modified) for f in here.files
    ]
    assert fingerprint([there]) == fingerprint([here])
    assert ids(spark, there) == "ab"
    (csv,) = pinned(spark, tmp_path / "csv")
    assert ids(spark, csv) == "a"
    with pytest.raises(InputError, match="there is no"):
        pinned(spark, tmp_path / "nowhere")


@pytest.mark.parametrize("zone", ["America/New_York", "Asia/Kolkata", "Pacific/Apia"])
def test_the_fingerprint_is_the_same_in_every_time_zone(
    spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, zone: str
) -> None:
    parquet(tmp_path / "things" / "a.parquet")
    here = fingerprint(pinned(spark, tmp_path / "things"))
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    try:
        assert fingerprint(pinned(spark, tmp_path / "things")) == here
        monkeypatch.setattr(files, "shared_with_server", lambda *_: None)
        assert fingerprint(pinned(spark, tmp_path / "things")) == here
    finally:
        monkeypatch.setenv("TZ", "UTC")
        time.tzset()


def csv_rows(spark: SparkSession, folder: Path, table: Table = THINGS, **how: Any) -> list[tuple[Any, ...]]:
    (found,) = list_inputs(spark, str(folder), table, snapshot_date=DAY, dated=True)
    rows = read_inputs(spark, found, table, malformed=MALFORMED, **how).rows.collect()
    return sorted(((*(r[n] for n in table.names), r[MALFORMED]) for r in rows), key=str)


def test_csv_is_read_as_declared_and_what_cannot_be_parsed_is_kept_as_text(
    spark: SparkSession, tmp_path: Path
) -> None:
    text(tmp_path / "things" / "a.csv", 'id,n,x\na,1,0.5\n"b ""q"", b",2,\nc,many,1\nd,3\ne,4,NaN,surplus\n')
    text(tmp_path / "things" / "empty.csv", "id,n,x\n")
    assert [repr(r) for r in csv_rows(spark, tmp_path / "things")] == sorted(
        [
            "('a', 1, 0.5, None)",
            "('b \"q\", b', 2, None, None)",
            "('c', None, 1.0, 'c,many,1')",
            "('d', 3, None, 'd,3')",
            "('e', 4, nan, 'e,4,NaN,surplus')",
        ]
    )


def test_csv_with_dates_other_separators_and_a_word_for_null(spark: SparkSession, tmp_path: Path) -> None:
    table = Table(
        name="things",
        kind=TableKind.ENTITY,
        description="",
        fields=(
            field("id", "string", "string"),
            field("d", "date", "date"),
            field("t", "timestamp", "timestamp"),
            field("b", "boolean", "boolean"),
        ),
    )
    text(
        tmp_path / "things" / "a.csv.gz",
        __import__("gzip").compress(b"id;d;t;b\na;2025-10-01;2025-10-01T12:00:00+02:00;true\nNA;NA;NA;NA\n"),
    )
    rows = csv_rows(spark, tmp_path / "things", table, delimiter=";", null="NA")
    assert rows == [
        ("a", date(2025, 10, 1), datetime(2025, 10, 1, 10), True, None),
        (None, None, None, None, None),
    ]
