"""Delete files that nobody needs any more: old data files, expired logs, leftovers of killed runs and of
streams that have ended.
"""

from __future__ import annotations

import re
import time
from datetime import timedelta

from pyspark.sql import SparkSession

from engage_spark import log
from engage_spark.contract import Contract
from engage_spark.lake.arrivals import LANDINGS
from engage_spark.lake.completeness import LOOKS
from engage_spark.lake.erased_keys import ERASED_KEYS
from engage_spark.lake.file_stream import checkpoints_folder, stream_lock
from engage_spark.lake.maintenance import describe_table, old_files, remove_old_files, set_properties
from engage_spark.lake.scratch import NAME as SCRATCH
from engage_spark.pipelines.context import RunContext, now
from engage_spark.pipelines.results import Note, VacuumedTable, VacuumResult
from engage_spark.pipelines.stored_tables import stored_tables_of
from engage_spark.pipelines.tables.busy_tables import locked
from engage_spark.settings import Settings
from engage_spark.side_effects import announce
from engage_spark.spark.files import delete_path, list_folder

DEAD_AFTER = timedelta(days=1)
"""Age at which a folder of temporary tables belongs to no run any more."""
UNUSED_AFTER = timedelta(days=30)
"""Age at which a checkpoint is of a stream that has ended, or of an older contract, settings or code.

One that is missed costs a listing of its files, and no event: `runs` knows what is done.
"""
FORGOTTEN_AFTER = timedelta(days=90)
"""Age at which a delivery that never ended is not delivered again."""

CHECKPOINT = re.compile(r"[0-9a-f]{16}")
"""Names of the folders of checkpoints (`pipelines.ingest.streamed_files.stream_key`)."""


def run_vacuum(
    spark: SparkSession, settings: Settings, *, contract: Contract, dry_run: bool = False
) -> VacuumResult:
    """Delete data files that no version of the last `lake.retention_days` needs, expired files of the tables'
    logs, temporary tables of runs that were killed more than a day ago, the marks of deliveries whose landing
    is recorded in `runs`, checkpoints that no stream has used for a month, and looks at deliveries (see
    `ingest.complete`) of which nothing has changed for three.

    The retention is set as properties of each table first, so other programs keep to it as well. Readers of
    the newest version notice nothing; with a retention of less than a query takes, running queries fail.
    Cost: up to three commits of metadata and a listing per table.
    """
    started = time.monotonic()
    context = RunContext(spark, settings, contract)
    lake, busy = context.lake, list[str]()
    done: list[VacuumedTable] = []
    for name in (*(t.name for t in stored_tables_of(contract)), ERASED_KEYS):
        if lake.version(spark, name) is None:
            continue
        with locked(spark, lake, name, busy) as is_held:
            if is_held:
                with log.stage(f"removing old files of {name}"):
                    done.append(_vacuum(context, name, dry_run=dry_run))
    folders, seen = _dead_scratch(context)
    landings, seen_landings = _published_landings(context)
    looks = _old_looks(context)
    if not dry_run:
        for path in (*folders, *landings, *looks):
            announce(f"delete {path}")
            delete_path(spark, path)
    checkpoints, seen_checkpoints = _delete_checkpoints(context, busy, dry_run=dry_run)
    is_all_seen = seen and seen_landings and seen_checkpoints
    notes = [Note("TablesBusy", {"tables": tuple(busy)})] if busy else []
    notes += [] if is_all_seen else [Note("FoldersNotSeen", {"path": lake.settings.scratch_root})]
    notes += [Note("NothingChanged")] if dry_run else []
    return VacuumResult(
        stage="tables vacuum",
        seconds=time.monotonic() - started,
        locations={t.table: lake.location(t.table) for t in done},
        notes=tuple(notes),
        retention_days=lake.settings.retention_days,
        tables=tuple(done),
        scratch_folders=len(folders),
        landings=sum(not path.endswith(".crc") for path in landings),
        looks=sum(not path.endswith(".crc") for path in looks),
        checkpoints=checkpoints,
    )


def _vacuum(context: RunContext, name: str, *, dry_run: bool) -> VacuumedTable:
    spark, lake = context.spark, context.lake
    detail = describe_table(spark, lake, name)
    assert detail is not None
    other = {key: value for key, value in lake.retention.items() if detail.properties.get(key) != value}
    if not dry_run and other:
        set_properties(spark, lake, name, other)
    n_files = old_files(spark, lake, name) if dry_run else remove_old_files(spark, lake, name)
    return VacuumedTable(table=name, files_removed=n_files, files=detail.files, bytes=detail.bytes)


def _dead_scratch(context: RunContext) -> tuple[list[str], bool]:
    """Return the folders of temporary tables that no run uses any more, and whether they could be listed."""
    root = context.lake.settings.scratch_root
    entries = None if root is None else list_folder(context.spark, root)
    oldest = now() - DEAD_AFTER
    dead = [e for e in entries or () if e.is_folder and SCRATCH.fullmatch(e.name) and e.changed_at < oldest]
    return [f"{root}/{e.name}" for e in dead], entries is not None


def _published_landings(context: RunContext) -> tuple[list[str], bool]:
    """Return the marks of deliveries that ended, since `runs` holds their landing from then on, and of those
    that never did for so long that nobody will ask.
    """
    root = context.lake.settings.root or context.lake.settings.scratch_root
    folder = f"{str(root).rstrip('/')}/{LANDINGS}"
    entries = list_folder(context.spark, folder)
    ended = {run.inputs.get("files") for run in context.log.publication(context.spark).runs}
    oldest = now() - FORGOTTEN_AFTER
    # Hadoop's local files have a checksum beside them: `.name.crc`.
    needless = [
        e for e in entries or () if e.name.strip(".").removesuffix(".crc") in ended or e.changed_at < oldest
    ]
    return [f"{folder}/{e.name}" for e in needless], entries is not None


def _old_looks(context: RunContext) -> list[str]:
    """Return the looks at deliveries that have ended, or never will: what an attempt has read needs none."""
    root = context.lake.settings.root or context.lake.settings.scratch_root
    folder = f"{str(root).rstrip('/')}/{LOOKS}"
    oldest = now() - FORGOTTEN_AFTER
    return [f"{folder}/{e.name}" for e in list_folder(context.spark, folder) or () if e.changed_at < oldest]


def _delete_checkpoints(context: RunContext, busy: list[str], *, dry_run: bool) -> tuple[int, bool]:
    """Delete the checkpoints that no stream uses any more; return how many, and whether they could be listed.

    Those of a log that a stream takes up at the moment are left out.
    """
    spark, lake = context.spark, context.lake
    root = checkpoints_folder(lake)
    entries = list_folder(spark, root)
    count = 0
    for table in [e.name for e in entries or () if e.is_folder]:
        unused = _unused_checkpoints(context, f"{root}/{table}")
        if unused and not dry_run:
            with locked(spark, lake, stream_lock(table), busy) as is_held:
                unused = _unused_checkpoints(context, f"{root}/{table}") if is_held else []
                for path in unused:
                    announce(f"delete {path}")
                    delete_path(spark, path)
        count += len(unused)
    return count, entries is not None


def _unused_checkpoints(context: RunContext, folder: str) -> list[str]:
    oldest = now() - UNUSED_AFTER
    entries = list_folder(context.spark, folder) or ()
    unused = [e for e in entries if e.is_folder and CHECKPOINT.fullmatch(e.name) and e.changed_at < oldest]
    return [f"{folder}/{e.name}" for e in unused]
