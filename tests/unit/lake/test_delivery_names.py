"""Which names are data, which days folders name, and which folders belong to a table format."""

from __future__ import annotations

from datetime import date

import pytest

from engage_spark.lake.delivery_names import (
    contradicting_folders,
    folder_day,
    folder_values,
    other_day_folders,
    parents_with_values,
    sort_names,
    undated_problems,
)

DAY = date(2025, 10, 21)


@pytest.mark.parametrize(
    "name",
    [
        "_SUCCESS",
        ".part.parquet.crc",
        "part.parquet.crc",
        "x/_metadata",
        ".hidden/x.parquet",
        "_old/x.parquet",
        "snapshot_date=2025-10-21_$folder$",
        "part_$folder$",
        "Thumbs.db",
        "a/desktop.ini",
        ".DS_Store",
        "__MACOSX/._a.csv",
        "@eaDir/a.csv",
        "manifest.json",
        "20251021.manifest",
        "a.csv.sha256",
        "a.csv.md5",
        "load.done",
        "load.OK",
        "~$a.csv",
        "a.csv~",
    ],
)
def test_names_of_stores_and_tools_are_no_data(name: str) -> None:
    names = sort_names({name: 0, "a.parquet": 9})
    assert names.data == ("a.parquet",)
    assert names.unfinished == ()


def test_an_empty_object_that_is_named_like_a_folder_is_no_data_and_another_empty_file_is() -> None:
    assert sort_names({"x": 0, "x/a.parquet": 9}).data == ("x/a.parquet",)
    assert sort_names({"x/": 0, "x/a.parquet": 9}).data == ("x/a.parquet",)
    assert sort_names({"x": 0, "y/a.parquet": 9}).data == ("x", "y/a.parquet")


@pytest.mark.parametrize(
    "name",
    ["a.parquet", "d=1/a.csv", "_part=1/a.csv.gz", "a.CSV", "success.parquet", "manifest.csv", "done.csv"],
)
def test_other_names_are_data(name: str) -> None:
    assert sort_names({name: 1}).data == (name,)


@pytest.mark.parametrize(
    "name",
    [
        "a.parquet._COPYING_",
        "a.csv.filepart",
        "a.parquet.part",
        "a.csv.crdownload",
        "a.parquet.tmp",
        ".a.parquet.Xy12ab",
        ".part-0-0.inprogress.77aa",
        "_temporary/0/task/a.parquet",
        ".spark-staging-1/a.parquet",
        ".a.csv.tmp",
    ],
)
def test_signs_of_an_unfinished_upload_are_seen(name: str) -> None:
    names = sort_names({name: 9, "a.parquet": 9})
    assert (names.unfinished, names.data) == ((name,), ("a.parquet",))


@pytest.mark.parametrize(
    ("name", "folder", "kind"),
    [
        ("_delta_log/0.json", "", "Delta"),
        ("d=1/_delta_log/0.json", "d=1", "Delta"),
        (".hoodie/hoodie.properties", "", "Hudi"),
        ("d=1/.hoodie_partition_metadata", "d=1", "Hudi"),
        ("metadata/v1.metadata.json", "", "Iceberg"),
        ("x/metadata/version-hint.text", "x", "Iceberg"),
        ("metadata/snap-1-1-a.avro", "", "Iceberg"),
        ("d=1/_committed_77", "d=1", "Databricks commit protocol"),
        ("_started_77", "", "Databricks commit protocol"),
        ("_spark_metadata/0", "", "Spark stream"),
        ("delta_0000001_0000001_0000/bucket_00000", "", "Hive ACID"),
        ("base_0000007_v0000012/bucket_00000", "", "Hive ACID"),
        ("delete_delta_0000001_0000002/bucket_00000", "", "Hive ACID"),
        ("snapshot/snapshot-1", "", "Paimon"),
        ("_versions/1.manifest", "", "Lance"),
        ("_symlink_format_manifest/manifest", "", "Delta without its log"),
        ("_symlink_format_manifest/d=1/manifest", "", "Delta without its log"),
        ("x/deletion_vector_01c9a4ea-6a31-4d1c-a2a5-3c2b7b8ad4aa.bin", "x", "Delta without its log"),
        ("_delta_log_$folder$", "", "Delta without its log"),
    ],
)
def test_a_table_format_is_seen_by_its_marks_wherever_they_lie(name: str, folder: str, kind: str) -> None:
    assert sort_names({name: 9, "a.parquet": 9}).formats == {folder: kind}


def test_the_parts_of_a_delta_table_are_its_own() -> None:
    parts = ("_delta_log/0.json", "_symlink_format_manifest/manifest", "_delta_log_$folder$",
             "ab/deletion_vector_01c9a4ea-6a31-4d1c-a2a5-3c2b7b8ad4aa.bin")  # fmt: skip
    assert sort_names(dict.fromkeys(parts, 9)).formats == {"": "Delta"}


@pytest.mark.parametrize(
    "name", ["delta_2025102100/a.csv", "base_20251021_export/a.csv", "delta_20251021/a.csv"]
)
def test_folders_with_a_day_are_no_tables_of_hive(name: str) -> None:
    assert sort_names({name: 9}).data == (name,)


def test_a_folder_of_another_day_contradicts_unless_its_column_is_declared() -> None:
    name = "snapshot_date=2025-10-21/dt=2025-10-20/load_date=2025-10-19/a.parquet"
    assert contradicting_folders(name, DAY, ()) == ["dt=2025-10-20"]
    assert contradicting_folders(name, DAY, ("dt",)) == []
    assert contradicting_folders("snapshot_date=2025-10-21/2025/10/20/a.csv", DAY, ()) == ["2025/10/20"]
    assert contradicting_folders("snapshot_date=2025-10-21/dt=20251021/a.csv", DAY, ()) == []


def test_a_day_has_one_spelling() -> None:
    assert folder_day("snapshot_date=2025-10-21/a.parquet") == DAY
    assert folder_day("deep/snapshot_date=2025-10-21/er/a.parquet") == DAY
    assert folder_day("dt=2025-10-21/a.parquet") is None
    assert folder_day("snapshot_date=2025-10-21.parquet") is None


@pytest.mark.parametrize(
    ("folder", "message"),
    [
        ("snapshot_date=20251021", "'20251021' is not a date like 2025-10-21"),
        ("snapshot_date=2025-W43-2", "not a date like"),
        ("snapshot_date=2025W432", "not a date like"),
        ("snapshot_date=2025-10-32", "not a date like"),
        ("snapshot_date=2025-10-21T00:00:00", "not a date like"),
        ("snapshot_date= 2025-10-21", "not a date like"),
        ("snapshot_date=2025%2D10%2D21", "not a date like"),
        ("snapshot_date=٢٠٢٥-10-21", "not a date like"),
        ("snapshot_date=__HIVE_DEFAULT_PARTITION__", "not a date like"),
        ("snapshot_date=", "not a date like"),
        ("Snapshot_Date=2025-10-21", "is not spelled like snapshot_date=2025-10-21"),
        ("snapshot-date=2025-10-21", "is not spelled like"),
        (" snapshot_date=2025-10-21", "is not spelled like"),
        ("snapshot_date =2025-10-21", "is not spelled like"),
        ("snapshotdate=2025-10-21", "is not spelled like"),
        ("snapshot%5Fdate=2025-10-21", "is not spelled like"),
        ("snapshot.date=2025-10-21", "is not spelled like"),
        ("snapshot date=2025-10-21", "is not spelled like"),
        ("snapshotDate=2025-10-21", "is not spelled like"),
        ("snapshot_date%3D2025-10-21", "is not spelled like"),
        ("snapshot_date=2025-10-21/snapshot_date=2025-10-21", "two folders of its path name a day"),
        ("snapshot_date=2025-10-21/x/snapshot_date=2025-10-22", "two folders of its path name a day"),
    ],
)
def test_other_spellings_and_two_days_in_a_path_are_refused(folder: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        folder_day(f"{folder}/a.parquet")


@pytest.mark.parametrize(
    "folders",
    ["dt=2025-10-21", "dt=20251021", "2025-10-21", "20251021", "x=2025-W43-2", "year=2025/month=10/day=21",
     "2025/10/21", "y=2025/m=10/d=21", "deep/ds=2025-10-21/er"],
)  # fmt: skip
def test_folders_that_look_like_days_are_seen(folders: str) -> None:
    assert set(other_day_folders(f"{folders}/a.parquet").values()) == {DAY}


@pytest.mark.parametrize("folders", ["code=01001", "n=1", "zip=20259999", "v=99991231", "2025-99-99", "x"])
def test_folders_that_are_no_days_are_not(folders: str) -> None:
    assert other_day_folders(f"{folders}/a.parquet") == {}


def test_files_of_several_days_do_not_become_one() -> None:
    def problems(*folders: str, n_dated: int = 0) -> list[str]:
        return undated_problems([f"{f}/a.parquet" for f in folders], DAY, n_dated=n_dated)

    assert problems("x", "y", "dt=2025-10-21") == []
    assert "several days (dt=2025-10-20, dt=2025-10-21)" in problems("dt=2025-10-20", "dt=2025-10-21")[0]
    assert "several days" in problems("2025/10/20", "2025/10/21")[0]
    assert "another day than --snapshot-date 2025-10-21" in problems("dt=2025-10-20")[0]
    assert problems("load_date=2025-10-22") == [], "when it was loaded is another fact"
    assert "lies beside snapshot_date= folders" in problems("x", n_dated=1)[0]


def test_files_that_are_named_by_several_days_do_not_become_one() -> None:
    def problems(*names: str) -> list[str]:
        return undated_problems([f"{n}.parquet" for n in names], DAY, n_dated=0)

    assert problems("stations_2025-10-22-part1", "stations_2025-10-22-part2") == [], "when it was exported"
    assert (
        "several days (s_2025-10-20.parquet, s_2025-10-21.parquet)"
        in problems("s_2025-10-20", "s_2025-10-21")[0]
    )
    assert "several days" in problems("20251020", "20251021")[0]
    assert "an earlier day than --snapshot-date 2025-10-21" in problems("rides_2025-10-20")[0]
    assert "an earlier day" in problems("x_20251020T0000")[0]
    assert "several days" in problems("x_20251020T0000", "x_20251021T0000")[0]
    assert problems("part-00000", "part-12345678-aa", "a20251020b", "99999999", "12-2025-10-20123") == []


def test_values_of_folders_are_text_as_written() -> None:
    name = "code=01001/sku=1e5/place=New%20York%2FEast/n=__HIVE_DEFAULT_PARTITION__/a=b=c.parquet"
    assert folder_values(name) == {"code": "01001", "sku": "1e5", "place": "New York/East"}


def test_the_folders_above_are_looked_at_as_long_as_they_are_values() -> None:
    assert list(parents_with_values("/a/table/x=1/y=2")) == ["/a/table/x=1", "/a/table"]
    assert list(parents_with_values("s3a://bucket/table/x=1/p.parquet")) == [
        "s3a://bucket/table/x=1",
        "s3a://bucket/table",
    ]
    assert list(parents_with_values("p.parquet")) == []
