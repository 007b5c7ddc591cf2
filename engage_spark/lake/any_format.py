"""Read Parquet, CSV and Delta data that no contract declares."""

from __future__ import annotations

import re
from typing import Literal

from pyspark.sql import DataFrame, SparkSession

from engage_spark.errors import InputError
from engage_spark.lake.file_listing import format_of, list_files, literal_path
from engage_spark.lake.spark_errors import first_line, input_error, is_missing_table, to_engage_error
from engage_spark.spark.failures import SPARK_ERRORS

_PARTITION = re.compile(r"/[^/=]+=[^/]*/")
Format = Literal["auto", "parquet", "csv", "delta"]


def read_any_format(
    spark: SparkSession,
    path: str,
    *,
    format: Format = "auto",  # noqa: A002
    delimiter: str = ",",
    null: str = "",
) -> DataFrame:
    """Read a Delta table, a Parquet or CSV file, or a folder of such files of one kind.

    Folders named `name=value` are columns, as Spark writes them. `auto` takes a Delta table for one, and
    files by their endings. Parquet schemas are merged; CSV needs a header line, and its types are inferred
    (one more scan), so a column of ids with leading zeros becomes a number: give Parquet where types matter.
    A line of CSV that does not fit fails the read.
    Cost: one look at Delta's log, and one job to list files.
    Errors: InputError when there is nothing to read.
    """
    if format in ("auto", "delta"):
        rows = _delta(spark, path)
        if rows is not None:
            return rows
        if format == "delta":
            raise InputError(
                f"{path} is not a Delta table", hint="check the path, or give --data-format parquet or csv"
            )
    files = [f.path for f in list_files(spark, path)]
    kind = _kind(path, files) if format == "auto" else format
    reader = spark.read
    if kind == "csv":
        reader = reader.options(
            header="true",
            inferSchema="true",
            sep=delimiter,
            nullValue=null,
            encoding="UTF-8",
            quote='"',
            escape='"',
        )
        reader = reader.options(mode="FAILFAST", enforceSchema="false", columnPruning="false")
    else:
        reader = reader.option("mergeSchema", "true")
    try:
        # With a recursive look-up Spark makes no columns of `name=value` folders.
        nested = (
            "false" if any(_PARTITION.search(f.partition(path.rstrip("/"))[2]) for f in files) else "true"
        )
        rows = reader.option("recursiveFileLookup", nested).format(kind).load(literal_path(path))
        _ = rows.schema  # asked for now, because Connect looks at no file before
    except SPARK_ERRORS as e:
        unreadable = InputError(
            f"{path} cannot be read as {kind}: {first_line(e)}", hint="check the path and --data-format"
        )
        raise input_error(e) or unreadable from e
    return rows


def _delta(spark: SparkSession, path: str) -> DataFrame | None:
    """Read the Delta table at a path; None when there is none."""
    quoted = path.replace("`", "``")
    try:
        spark.sql(f"DESCRIBE HISTORY delta.`{quoted}` LIMIT 1").collect()
        return spark.read.format("delta").load(path)
    except SPARK_ERRORS as e:
        if is_missing_table(e):
            return None
        raise to_engage_error(e, f"{path} cannot be read") from e


def _kind(path: str, files: list[str]) -> str:
    kinds = {format_of(name) for name in files} - {None}
    if len(kinds) != 1:
        what = "files of several formats" if kinds else "no Parquet or CSV file" if files else "no files"
        raise InputError(
            f"{path} holds {what}", hint="give one table, or say how to read it with --data-format"
        )
    return str(kinds.pop())
