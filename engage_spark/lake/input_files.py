"""List the raw input files once per run, and read exactly these.

Every scan of a run reads the listed files, so what arrives in between belongs to the next run.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Literal

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import types as T

from engage_spark.contract import Table
from engage_spark.errors import InputError
from engage_spark.lake.file_listing import InputFile, format_of, list_files, literal_path
from engage_spark.lake.spark_errors import first_line, input_error
from engage_spark.spark.failures import SPARK_ERRORS
from engage_spark.spark.schema import LOST, spark_schema

PARTITION = re.compile(r"/snapshot_date=([^/]+)/")


@dataclass(frozen=True, kw_only=True)
class InputManifest:
    """The files of one table and day (`day` is None for a log), all of one format."""

    table: str
    day: date | None
    files: tuple[InputFile, ...]
    format: str

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

    `path` is a folder (any depth, `snapshot_date=YYYY-MM-DD` folders name the days) or one file. Names that
    begin with `_` or `.` are not data. `snapshot_date` names the day of undated files, and chooses among
    dated ones.
    Cost: one job; what reaches the driver grows with files, not with rows.
    Errors: one InputError when there is nothing, when a file is empty (0 bytes), when formats are mixed, or
    when a day is missing or is not a date.
    """
    files = [f for f in list_files(spark, path) if not re.search(r"/[._][^/]*$", f.path)]
    if not files:
        raise InputError(
            f"{path} holds no files for {table.name}", hint="check the path; is the delivery complete?"
        )
    if dated and snapshot_date is not None:  # a fault of another day must not hold this one up
        files = [f for f in files if not _is_of_other_day(f.path, snapshot_date)]
        if not files:
            raise InputError(
                f"{path} holds no snapshot of {snapshot_date}", hint="check --snapshot-date, or the delivery"
            )
    problems = [f"{f.path} is empty (0 bytes)" for f in files if f.size == 0]
    formats = {f.path: format if format != "auto" else format_of(f.path) for f in files}
    problems += [f"{p}: neither Parquet nor CSV by its name" for p, kind in formats.items() if kind is None]
    if len(kinds := {kind for kind in formats.values() if kind}) > 1:
        problems.append(f"there are files of several formats: {', '.join(sorted(kinds))}")
    by_day: dict[date | None, list[InputFile]] = {}
    for f in files:
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


def fingerprint(manifests: Iterable[InputManifest]) -> str:
    """Return the SHA-256 over the names, sizes and times of the files.

    Every store gives new bytes under the same name and size a new time.
    """
    lines = sorted(f"{f.path}\t{f.size}\t{f.modified.isoformat()}" for m in manifests for f in m.files)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def read_inputs(
    spark: SparkSession,
    manifest: InputManifest,
    table: Table,
    *,
    malformed: str,
    delimiter: str = ",",
    null: str = "",
) -> DataFrame:
    """Read the rows of listed files as they are, to be conformed.

    For CSV a text column `malformed` holds each line that could not be parsed. Parquet schemas are merged
    over all files, so that a file with another type is refused here and not half-way.
    Errors: InputError.
    """
    paths = [literal_path(path) for path in manifest.paths]
    try:
        if manifest.format == "parquet":
            rows = spark.read.option("mergeSchema", "true").parquet(*paths)
            _ = rows.schema  # asked for now, because Connect looks at no file before
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
        _refuse_header(header, manifest.paths[0], declared)
        fields = [declared.get(name, T.StructField(name, T.StringType())) for name in header]
        schema = T.StructType([*fields, T.StructField(malformed, T.StringType())])
        # With pruning, Spark does not count a line's values: where a column is left out, a stray comma would
        # shift them unnoticed.
        options["columnPruning"] = "false"
        reader = spark.read.options(
            **options, mode="PERMISSIVE", enforceSchema="false", columnNameOfCorruptRecord=malformed
        )
        return reader.schema(schema).csv(paths)
    except SPARK_ERRORS as e:
        raise input_error(e) or InputError(
            f"the files of {table.name} cannot be read: {first_line(e)}", hint="deliver them again"
        ) from e


def _refuse_header(header: Sequence[str], path: str, declared: Iterable[str]) -> None:
    if any("\x00" in name or LOST in name for name in header):
        raise InputError(f"{path} is not text in UTF-8, by its header", hint="write the CSV files as UTF-8")
    # Spark gives columns of one name that name and their position.
    numbered = Counter(name.removesuffix(str(i)) for i, name in enumerate(header) if name.endswith(str(i)))
    if repeated := [name for name in declared if numbered[name] > 1 and name not in header]:
        named = ", ".join(map(repr, repeated))
        raise InputError(
            f"{path} names the column {named} more than once",
            hint="keep one of each, or name the others differently",
        )


def _is_of_other_day(path: str, day: date) -> bool:
    match = PARTITION.search(path)
    try:
        return match is not None and date.fromisoformat(match[1]) != day
    except ValueError:
        return False  # it is not a date, which is a fault to report


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
