"""Raw inputs: which files there are, pinned once, and how they are read.

A listing is taken once per run and every scan of the run reads exactly these files, so what arrives in
between belongs to the next run.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Literal
from urllib.parse import unquote

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import types as T

from engage_spark.contract import Table
from engage_spark.errors import InputError, NotDeliveredError
from engage_spark.lake.spark_errors import first_line, input_error, to_engage_error
from engage_spark.spark.failures import SPARK_ERRORS
from engage_spark.spark.schema import LOST, spark_schema

PARTITION = re.compile(r"/snapshot_date=([^/]+)/")
GLOB = re.compile(r"([{}\[\]*?\\])")
FORMATS = {".parquet": "parquet", ".pq": "parquet", ".csv": "csv"}


@dataclass(frozen=True)
class InputFile:
    """One input file as listed."""

    path: str
    size: int
    modified: datetime


@dataclass(frozen=True, kw_only=True)
class InputManifest:
    """The files of one table and day (`day` is None for a log), all of one format."""

    table: str
    day: date | None
    files: tuple[InputFile, ...]
    format: str

    @property
    def paths(self) -> list[str]:
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
    """List the files of one table, by day when `dated`, oldest first. One job; what reaches the driver grows
    with files, not with rows.

    `path` is a folder (any depth, `snapshot_date=YYYY-MM-DD` folders name the days) or one file. Names that
    begin with `_` or `.` are not data. `snapshot_date` names the day of undated files, and chooses among
    dated ones. Raises InputError when there is nothing, when a file is empty (0 bytes), when formats are
    mixed, or when a day is missing or is no date; all such faults in one error.
    """
    found = [f for f in _list(spark, path) if not re.search(r"/[._][^/]*$", f.path)]
    if not found:
        raise InputError(
            f"{path} holds no files for {table.name}", hint="check the path; is the delivery complete?"
        )
    if dated and snapshot_date is not None:  # what is wrong with another day must not keep this one back
        found = [f for f in found if not _is_of_other_day(f.path, snapshot_date)]
        if not found:
            raise InputError(
                f"{path} holds no snapshot of {snapshot_date}", hint="check --snapshot-date, or the delivery"
            )
    problems = [f"{f.path} is empty (0 bytes)" for f in found if f.size == 0]
    formats = {f.path: format if format != "auto" else _format_of(f.path) for f in found}
    problems += [f"{p}: neither Parquet nor CSV by its name" for p, kind in formats.items() if kind is None]
    if len(kinds := {kind for kind in formats.values() if kind}) > 1:
        problems.append(f"files of several formats lie together: {', '.join(sorted(kinds))}")
    by_day: dict[date | None, list[InputFile]] = {}
    for f in found:
        try:
            day = _day_of(f.path, snapshot_date) if dated else None
        except ValueError as e:
            problems.append(str(e))
            continue
        by_day.setdefault(day, []).append(f)
    if problems:
        raise InputError(
            f"the files of {table.name} in {path} cannot be used",
            details=problems,
            hint="deliver them again, then rerun",
        )
    kind = kinds.pop() or "parquet"
    ordered = sorted(by_day.items(), key=lambda item: item[0] or date.min)
    return [
        InputManifest(table=table.name, day=d, files=tuple(sorted(fs, key=lambda f: f.path)), format=kind)
        for d, fs in ordered
    ]


def fingerprint(pinned: Iterable[InputManifest]) -> str:
    """SHA-256 over the names, sizes and times of the files. Other bytes under the same name and size get a
    new time from every store.
    """
    lines = sorted(f"{f.path}\t{f.size}\t{f.modified.isoformat()}" for p in pinned for f in p.files)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def read_inputs(
    spark: SparkSession,
    pinned: InputManifest,
    table: Table,
    *,
    malformed: str,
    delimiter: str = ",",
    null: str = "",
) -> DataFrame:
    """The rows of pinned files as they are, to be conformed. For CSV a text column `malformed` holds a line
    that could not be parsed.

    Parquet schemas are merged over all files, so that a file with another type is refused here and not half
    way. Raises InputError.
    """
    paths = [_literal(path) for path in pinned.paths]
    try:
        if pinned.format == "parquet":
            rows = spark.read.option("mergeSchema", "true").parquet(*paths)
            _ = rows.schema  # asked for here, because Connect looks at no file before
            return rows
        options = {
            "header": "true",
            "sep": delimiter,
            "nullValue": null,
            "encoding": "UTF-8",
            "quote": '"',
            "escape": '"',
        }
        header = spark.read.options(**options).csv(paths[0]).columns
        declared = {f.name: f for f in spark_schema(table).fields}
        _refuse_header(header, pinned.paths[0], declared)
        fields = [declared.get(name, T.StructField(name, T.StringType())) for name in header]
        schema = T.StructType([*fields, T.StructField(malformed, T.StringType())])
        # With pruning, Spark does not count a line's values, so a stray comma would shift them unseen where a
        # column is left out.
        options["columnPruning"] = "false"
        reader = spark.read.options(
            **options, mode="PERMISSIVE", enforceSchema="false", columnNameOfCorruptRecord=malformed
        )
        return reader.schema(schema).csv(paths)
    except SPARK_ERRORS as e:
        raise input_error(e) or InputError(
            f"the files of {table.name} cannot be read: {first_line(e)}", hint="deliver them again"
        ) from e


def _list(spark: SparkSession, path: str) -> Sequence[InputFile]:
    try:
        listed = spark.read.format("binaryFile").option("recursiveFileLookup", "true").load(_literal(path))
        # before the rows: what vanishes in between is then refused
        names = [unquote(name) for name in listed.inputFiles()]
        rows = listed.select("path", "length", "modificationTime").collect()
    except SPARK_ERRORS as e:
        if "PATH_NOT_FOUND" in str(e):
            raise NotDeliveredError(
                f"there is no {path}",
                hint="check input.root or --input; `engage-spark synth` makes data to try",
            ) from e
        raise to_engage_error(e, f"{path} cannot be listed") from e
    found = [InputFile(r[0], r[1], r[2]) for r in rows]
    # Spark reads no row of a 0-byte file, not even its length, so it is known by its name alone.
    filled = {_plain(f.path) for f in found}
    return found + [
        InputFile(name, 0, datetime.fromtimestamp(0, UTC)) for name in names if _plain(name) not in filled
    ]


def _refuse_header(header: Sequence[str], path: str, declared: Iterable[str]) -> None:
    if any("\x00" in name or LOST in name for name in header):
        raise InputError(f"{path} is not text in UTF-8, by its header", hint="write the CSV files as UTF-8")
    # Spark gives columns of one name that name and their position.
    told_apart = Counter(name.removesuffix(str(i)) for i, name in enumerate(header) if name.endswith(str(i)))
    if twice := [name for name in declared if told_apart[name] > 1 and name not in header]:
        named = ", ".join(map(repr, twice))
        raise InputError(
            f"{path} names the column {named} more than once",
            hint="keep one of each, or name the others differently",
        )


def _plain(path: str) -> str:
    return re.sub(r"^file:/+", "/", path)


def _literal(path: str) -> str:
    """The path with its glob characters escaped: a folder may be called a[1]."""
    return GLOB.sub(r"\\\1", path)


def _format_of(path: str) -> str | None:
    stem = path.removesuffix(".gz")
    return next((kind for ending, kind in FORMATS.items() if stem.lower().endswith(ending)), None)


def _is_of_other_day(path: str, day: date) -> bool:
    match = PARTITION.search(path)
    try:
        return match is not None and date.fromisoformat(match[1]) != day
    except ValueError:
        return False  # no day at all, which is a fault to be told


def _day_of(path: str, snapshot_date: date | None) -> date:
    match = PARTITION.search(path)
    if match is None:
        if snapshot_date is None:
            raise ValueError(f"{path}: no snapshot_date= folder says which day it is; give --snapshot-date")
        return snapshot_date
    try:
        return date.fromisoformat(match[1])
    except ValueError:
        raise ValueError(f"{path}: {match[1]!r} is not a date like 2025-10-21") from None
