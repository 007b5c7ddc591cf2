"""List the raw input files once per run, by day.

Every scan of a run reads the listed files, so what arrives in between belongs to the next run.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Literal

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from engage_spark.contract import SNAPSHOT_DATE, Table
from engage_spark.errors import InputError, NotDeliveredError
from engage_spark.lake.delivery_names import contradicting_folders, folder_day, parse_day, undated_problems
from engage_spark.lake.file_listing import InputFile, Listing, format_of, list_files
from engage_spark.lake.spark_errors import translate_spark_errors

DeliveryFormat = Literal["parquet", "csv", "delta"]


@dataclass(frozen=True, kw_only=True)
class InputManifest:
    """The files of one table and day (`day` is None for a log), all of one format.

    `marks` holds the files of the folder that may say whether the delivery is whole (see `completeness`). For
    a Delta table there are no files, but its path `root` and the `version` that is read.
    """

    table: str
    day: date | None
    files: tuple[InputFile, ...]
    format: str
    root: str = ""
    marks: tuple[InputFile, ...] | None = ()
    version: int | None = None

    @property
    def paths(self) -> list[str]:
        """Paths of the files, in order."""
        return [f.path for f in self.files]


def list_inputs(
    spark: SparkSession,
    path: str,
    table: Table,
    *,
    snapshot_date: date | None,
    dated: bool,
    format: Literal["auto", "parquet", "csv"] = "auto",  # noqa: A002 (the name that Spark and the settings use)
) -> list[InputManifest]:
    """List the files of one table, by day when `dated`, oldest first.

    `path` is a folder (any depth), one file, or a Delta table. Folders `snapshot_date=YYYY-MM-DD` below it
    name the days, and so does the folder itself, or the one of a single file; folders above never do.
    `snapshot_date` names the day of undated files, and chooses among dated ones. A Delta table is read at its
    newest version, and its column snapshot_date names the days.
    Cost: see `list_files`; for a dated Delta table one job more, a scan of one column.
    Errors: one InputError when there is nothing, when a file is empty (0 bytes), when formats are mixed, or
    when a day is missing, is named twice or is not a date; and as `list_files`.
    """
    listing = list_files(spark, path)
    if listing.delta_version is not None:
        return _delta_manifests(spark, listing, table, snapshot_date, dated=dated)
    if not listing.files:
        raise InputError(
            f"{path} holds no files for {table.name}", hint="check the path; is the delivery complete?"
        )
    files = listing.files
    problems: list[str] = []
    by_day: dict[date | None, list[InputFile]] = {None: list(files)}
    if dated:
        by_day, problems = _by_day(listing, snapshot_date, table.delivered_fields)
        files = tuple(f for of_day in by_day.values() for f in of_day)
        if not files and not problems:
            raise InputError(
                f"{path} holds no snapshot of {snapshot_date}", hint="check --snapshot-date, or the delivery"
            )
    problems = [f"{f.path} is empty (0 bytes)" for f in files if f.size == 0] + problems
    formats = {f.path: format if format != "auto" else format_of(f.path) for f in files}
    problems += [f"{p}: neither Parquet nor CSV by its name" for p, kind in formats.items() if kind is None]
    if len(kinds := {kind for kind in formats.values() if kind}) > 1:
        problems.append(f"there are files of several formats: {', '.join(sorted(kinds))}")
    if problems:
        raise InputError(
            f"the files of {table.name} in {path} cannot be used",
            details=problems,
            hint="correct what is named, then rerun",
        )
    kind = kinds.pop()
    ordered = sorted(by_day.items(), key=lambda item: item[0] or date.min)
    return [
        InputManifest(
            table=table.name,
            day=d,
            files=tuple(sorted(fs, key=lambda f: f.path)),
            format=kind,
            root=listing.root,
            marks=listing.marks,
        )
        for d, fs in ordered
    ]


def list_days(spark: SparkSession, path: str, table: Table, *, snapshot_date: date | None) -> list[date]:
    """List the days of which a table is delivered, oldest first, by the names of folders alone.

    `snapshot_date` is the day of undated files, where it is known. What is wrong with files of one day, or
    with a folder's name, is left to `list_inputs` of a day, so that it stops no other.
    Cost: as `list_inputs`.
    Errors: NotDeliveredError where there is nothing; InputError where there are files, and no day can be told
    of any; and as `list_files`.
    """
    listing = list_files(spark, path)
    if listing.delta_version is not None:
        manifests = _delta_manifests(spark, listing, table, snapshot_date, dated=True)
        return [m.day for m in manifests if m.day is not None]
    days: set[date] = set()
    problems: list[str] = []
    for f in listing.files:
        try:
            day = folder_day(_from_own_folder(listing, f)) or snapshot_date
        except ValueError as e:
            problems.append(f"{f.path}: {e}")
            continue
        if day is None:
            problems.append(f"{f.path}: no {SNAPSHOT_DATE}= folder says which day it is")
        else:
            days.add(day)
    if problems and not days:
        raise InputError(
            f"no folder says which days the files of {table.name} in {path} are of",
            details=problems,
            hint=f"name the folders {SNAPSHOT_DATE}=YYYY-MM-DD, or give one day alone, which then is theirs",
        )
    if not days:
        raise NotDeliveredError(
            f"{path} holds no files for {table.name}", hint="check the path; is the delivery complete?"
        )
    return sorted(days)


def require_known_day(manifest: InputManifest, landed_at: datetime) -> None:
    """Refuse a day that lies after the landing of its delivery and the day after it (clocks differ by zone).

    Errors: InputError. A day of the future would otherwise be the newest one, that logs are checked against.
    """
    last = landed_at.astimezone(UTC).date() + timedelta(days=1)
    if manifest.day is not None and manifest.day > last:
        where = manifest.files[0].path if manifest.files else manifest.root
        raise InputError(
            f"the snapshot of {manifest.day} of {manifest.table} landed before its day, at {landed_at}",
            details=(where,),
            hint="correct the date of the folder, or take it out of the delivery",
        )


def fingerprint(manifests: Iterable[InputManifest]) -> str:
    """Return the SHA-256 over the names, sizes and times of the files, or over the version of a Delta table.

    Every store gives new bytes under the same name and size a new time. Times are counted since 1970, so the
    time zone of this process does not matter.
    """
    lines = []
    for m in manifests:
        lines += [f"{f.path}\t{f.size}\t{f.modified}" for f in m.files]
        if m.version is not None:
            lines.append(f"{m.root}\tdelta\t{m.version}\t{m.day}")
    return hashlib.sha256("\n".join(sorted(lines)).encode()).hexdigest()


def _by_day(
    listing: Listing, snapshot_date: date | None, declared: Collection[str]
) -> tuple[dict[date | None, list[InputFile]], list[str]]:
    """Return the files by day, and what is wrong; of another day than the one asked for nothing is."""
    by_day: dict[date | None, list[InputFile]] = {}
    problems, undated, n_dated = [], [], 0
    for f in listing.files:
        try:
            day = folder_day(_from_own_folder(listing, f))
        except ValueError as e:
            problems.append(f"{f.path}: {e}")
            continue
        if day is None:
            undated.append(f)
            continue
        n_dated += 1
        problems += [
            f"{f.path}: the folder {other} is of another day than {SNAPSHOT_DATE}={day}; keep one"
            for other in contradicting_folders(f.name, day, declared)
        ]
        if snapshot_date is None or day == snapshot_date:
            by_day.setdefault(day, []).append(f)
    if undated and snapshot_date is None:
        problems += [
            f"{f.path}: no {SNAPSHOT_DATE}= folder says which day it is; give --snapshot-date"
            for f in undated
        ]
    elif undated and snapshot_date is not None:
        problems += undated_problems([f.name for f in undated], snapshot_date, n_dated=n_dated)
        by_day.setdefault(snapshot_date, []).extend(undated)
    return by_day, problems


def _from_own_folder(listing: Listing, file: InputFile) -> str:
    """Return the path of a file from the name of the listed folder on, or of the folder of a single file."""
    folder = listing.root.rstrip("/")
    if file.path == folder:
        folder = folder.rpartition("/")[0]
    return f"{folder.rpartition('/')[2]}/{file.name}"


def delta_rows(spark: SparkSession, manifest: InputManifest) -> DataFrame:
    """Read the rows of a manifest's day from its Delta table, at the version of the manifest."""
    rows = spark.read.format("delta").option("versionAsOf", str(manifest.version)).load(manifest.root)
    if manifest.day is not None and SNAPSHOT_DATE in rows.columns:
        rows = rows.where(F.col(SNAPSHOT_DATE).cast("string") == manifest.day.isoformat())
    return rows


def _delta_manifests(
    spark: SparkSession, listing: Listing, table: Table, snapshot_date: date | None, *, dated: bool
) -> list[InputManifest]:
    path, version = listing.root, listing.delta_version
    whole = InputManifest(table=table.name, day=None, files=(), format="delta", root=path, version=version)
    if not dated:
        return [whole]
    with translate_spark_errors(f"the Delta table {path} cannot be read"):
        rows = delta_rows(spark, whole)
        kinds = {f.name: f.dataType.simpleString() for f in rows.schema.fields}
        if SNAPSHOT_DATE not in kinds:
            if snapshot_date is None:
                raise InputError(
                    f"the Delta table {path} has no column {SNAPSHOT_DATE}, which says the day of a row",
                    hint="add it, or give --snapshot-date, which then holds for all rows",
                )
            return [_of_day(whole, snapshot_date)]
        if kinds[SNAPSHOT_DATE] not in ("date", "string"):
            raise InputError(
                f"{SNAPSHOT_DATE} of the Delta table {path} is a {kinds[SNAPSHOT_DATE]}",
                hint="write it as a date",
            )
        day = F.col(SNAPSHOT_DATE).cast("string")
        wanted = rows if snapshot_date is None else rows.where(day == snapshot_date.isoformat())
        texts = [r[0] for r in wanted.select(day.alias("day")).distinct().collect()]
    return [_of_day(whole, d) for d in sorted(_days(path, texts, snapshot_date))]


def _days(path: str, texts: Sequence[str | None], snapshot_date: date | None) -> list[date]:
    problems: list[str] = []
    days: list[date] = []
    for text in texts:
        try:
            days.append(parse_day(text or ""))
        except ValueError:
            problems.append(f"a row has no {SNAPSHOT_DATE}" if text is None else f"{text!r} is not a date")
    if problems:
        raise InputError(
            f"the days of the Delta table {path} cannot be used",
            details=problems[:20],
            hint=f"write {SNAPSHOT_DATE} as a date, in every row",
        )
    if not days:
        asked = f"no snapshot of {snapshot_date}" if snapshot_date else "no rows"
        raise NotDeliveredError(
            f"the Delta table {path} holds {asked}", hint="check --snapshot-date, or the delivery"
        )
    return days


def _of_day(manifest: InputManifest, day: date) -> InputManifest:
    return InputManifest(
        table=manifest.table,
        day=day,
        files=(),
        format=manifest.format,
        root=manifest.root,
        version=manifest.version,
    )
