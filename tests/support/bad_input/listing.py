"""Folders that go wrong before a file of them is read: what lies in them, and under which names."""

from __future__ import annotations

from typing import Any

from tests.support.bad_input.declared import Group, accepted, refused
from tests.support.bad_input.things import linked, parquet, text

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
                ("_symlink_format_manifest/manifest", "the folder was a Delta table, and the log"),
                (
                    "deletion_vector_01c9a4ea-6a31-4d1c-a2a5-3c2b7b8ad4aa.bin",
                    "was a Delta table, and the log",
                ),
                ("_delta_log_$folder$", "the folder was a Delta table, and the log"),
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
