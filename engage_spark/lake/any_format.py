"""Read Parquet, CSV and Delta data that no contract declares."""

from __future__ import annotations

from collections.abc import Sequence
from io import BufferedReader
from typing import Literal, NamedTuple

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql import types as T

from engage_spark.errors import ConfigurationError, InputError
from engage_spark.lake.csv_scan import MAX_LINE_BYTES, likely_delimiter, parse_header, scan_csv
from engage_spark.lake.delivery_names import folder_values
from engage_spark.lake.file_listing import InputFile, Listing, format_of, list_files, literal_path
from engage_spark.lake.parquet_columns import Columns, FileRange, read_columns
from engage_spark.lake.spark_errors import to_engage_error
from engage_spark.settings import csv_delimiter_problem
from engage_spark.spark.failures import SPARK_ERRORS
from engage_spark.spark.files import path_of_this_process, read_bytes
from engage_spark.spark.guarantees import STRICT_READS
from engage_spark.spark.joins import union_of
from engage_spark.spark.schema import UnreadableType, column_named, widest_type

Format = Literal["auto", "parquet", "csv", "delta"]
_KEPT = r"^\s*[+-]?(0|[1-9][0-9]*)?(\.[0-9]*)?([eE][+-]?[0-9]+)?\s*$|^\s*([+-]?Inf(inity)?|NaN)\s*$"
"""Texts that a number says as well: not those with leading zeros, nor `1d` and `0x1p3`."""


class AnyTable(NamedTuple):
    """Rows that no contract declares, and the columns that are left out, with why."""

    rows: DataFrame
    left_out: tuple[tuple[str, str], ...] = ()


def read_any_format(
    spark: SparkSession,
    path: str,
    *,
    format: Format = "auto",  # noqa: A002
    delimiter: str = ",",
    null: str = "",
) -> AnyTable:
    """Read a Delta table, a Parquet or CSV file, or a folder of such files of one kind.

    Folders named `name=value` are columns of text, as it is written there. `auto` takes a Delta table for
    one, and files by their endings. Types of Parquet columns that differ by file become one where no value
    changes; a column that Spark cannot read is left out. CSV needs a header line, and its types are inferred;
    a column of numbers stays text where leading zeros, or a unit such as in `1d`, would be lost.
    A line of CSV that does not fit fails the read.
    Cost: one look at each file's footer or, for CSV, two scans more than its use takes.
    Errors: InputError when there is nothing to read; ConfigurationError for a delimiter that cannot be.
    """
    if problem := csv_delimiter_problem(delimiter):
        raise ConfigurationError(f"the delimiter {delimiter!r} {problem}", hint="give another one")
    listing = list_files(spark, path)
    try:
        if listing.delta_version is not None and format in ("auto", "delta"):
            return AnyTable(spark.read.format("delta").load(path))
        if format == "delta":
            raise InputError(
                f"{path} is not a Delta table", hint="check the path, or give --data-format parquet or csv"
            )
        if listing.delta_version is not None:
            raise InputError(
                f"{path} is a Delta table, of whose files not all are valid", hint="leave out --data-format"
            )
        kind = _kind(path, listing.files) if format == "auto" else format
        if empty := [f.name for f in listing.files if f.size == 0]:
            raise InputError(
                f"{path} has files that are empty (0 bytes)", details=empty[:20], hint="deliver them again"
            )
        table = (
            _parquet(spark, listing)
            if kind == "parquet"
            else _csv(spark, listing, delimiter=delimiter, null=null)
        )
        _ = table.rows.schema  # asked for now, because Connect looks at no file before
    except SPARK_ERRORS as e:
        if listing.delta_version is not None:
            raise to_engage_error(e, f"{path} cannot be read") from e
        raise to_engage_error(
            e, f"{path} cannot be read as {format}", input_hint="check the path and --data-format"
        ) from e
    return table


def _kind(path: str, files: Sequence[InputFile]) -> str:
    kinds = {format_of(f.path) for f in files} - {None}
    if len(kinds) != 1:
        what = "files of several formats" if kinds else "no Parquet or CSV file" if files else "no files"
        raise InputError(
            f"{path} holds {what}", hint="give one table, or say how to read it with --data-format"
        )
    return str(kinds.pop())


def _folder_columns(listing: Listing, columns: Sequence[str]) -> list[str]:
    """Return the columns that folders' names alone say."""
    named = dict.fromkeys(name for f in listing.files for name in folder_values(f.name))
    taken = {c.lower() for c in columns}
    return [name for name in named if name.lower() not in taken]


def _base_path(listing: Listing) -> str:
    """Return the folder below which names of folders are columns."""
    root = listing.root.rstrip("/")
    return root.rpartition("/")[0] if any(f.path == root for f in listing.files) else root


def _parquet(spark: SparkSession, listing: Listing) -> AnyTable:
    by_path = read_columns(spark, listing.files)
    if by_path is None:
        paths = [literal_path(f.path) for f in listing.files]
        schema = spark.read.options(**STRICT_READS, mergeSchema="true").parquet(*paths).schema
        merged: Columns = tuple((f.name, f.dataType) for f in schema.fields)
        by_path = {f.path: merged for f in listing.files}
    types: dict[str, list[T.DataType]] = {}
    unreadable: dict[str, str] = {}
    origin: dict[str, str] = {}
    for f in listing.files:
        for name, kind in by_path[f.path]:
            if isinstance(kind, UnreadableType):
                unreadable.setdefault(name, f"Spark cannot read {kind.text} ({f.name})")
            else:
                types.setdefault(name, []).append(kind)
                origin.setdefault(f"{name}\t{kind.simpleString()}", f.name)
    target: dict[str, T.DataType] = {}
    problems = []
    for name in (n for n in types if n not in unreadable):
        widest = widest_type(types[name])
        if isinstance(widest, T.NullType):
            unreadable[name] = "it has neither a value nor a type"
        elif widest is None:
            seen = [
                key.split("\t")[1] + " in " + where
                for key, where in origin.items()
                if key.startswith(f"{name}\t")
            ]
            problems.append(f"{name}: {', '.join(seen)}")
        else:
            target[name] = widest
    if problems:
        raise InputError(
            "files of one table have columns of types that exclude each other",
            details=problems,
            hint="write them with one type, or read the files apart",
        )
    folders = _folder_columns(listing, list(target))
    groups: dict[tuple[tuple[str, str], ...], list[InputFile]] = {}
    for f in listing.files:
        signature = tuple((n, t.simpleString()) for n, t in by_path[f.path] if n in target)
        groups.setdefault(signature, []).append(f)
    frames = []
    for files in groups.values():
        held = {n: t for n, t in by_path[files[0].path] if n in target and not isinstance(t, T.NullType)}
        fields = [T.StructField(n, t) for n, t in held.items() if isinstance(t, T.DataType)]
        schema = T.StructType([*fields, *(T.StructField(n, T.StringType()) for n in folders)])
        reader = spark.read.options(**STRICT_READS).schema(schema).option("basePath", _base_path(listing))
        rows = reader.parquet(*(literal_path(f.path) for f in files))
        columns = [
            (column_named(n) if n in held else F.lit(None)).cast(t).alias(n) for n, t in target.items()
        ]
        frames.append(rows.select(*columns, *map(column_named, folders)))
    return AnyTable(union_of(frames), tuple(unreadable.items()))


def _csv(spark: SparkSession, listing: Listing, *, delimiter: str, null: str) -> AnyTable:
    paths = [literal_path(f.path) for f in listing.files]
    options = {
        "header": "true",
        "sep": delimiter,
        "nullValue": null,
        "encoding": "UTF-8",
        "quote": '"',
        "escape": '"',
        "mode": "FAILFAST",
        "columnPruning": "false",
        "maxCharsPerColumn": str(MAX_LINE_BYTES),
        **STRICT_READS,
        **_csv_shape(spark, listing.files, delimiter),
    }
    # Given as files, they have no folders that could be columns.
    inferred = spark.read.options(**options, inferSchema="true").csv(paths).schema
    texts = T.StructType([T.StructField(f.name, T.StringType()) for f in inferred.fields])
    numbers = [f.name for f in inferred.fields if isinstance(f.dataType, T.NumericType)]
    lossy: set[str] = set()
    if numbers:
        other = [F.max(~column_named(n).rlike(_KEPT)).alias(f"n{i}") for i, n in enumerate(numbers)]
        seen = spark.read.options(**options).schema(texts).csv(paths).agg(*other).collect()[0]
        lossy = {n for i, n in enumerate(numbers) if seen[f"n{i}"]}
    fields = [T.StructField(f.name, T.StringType()) if f.name in lossy else f for f in inferred.fields]
    folders = _folder_columns(listing, inferred.names)
    schema = T.StructType([*fields, *(T.StructField(n, T.StringType()) for n in folders)])
    reader = spark.read.options(**options).schema(schema).option("basePath", _base_path(listing))
    return AnyTable(reader.csv(paths))


def _csv_shape(spark: SparkSession, files: Sequence[InputFile], delimiter: str) -> dict[str, str]:
    """Return how CSV files are to be parsed, by a look through those that can be looked through.

    Where all have one header, Spark need not compare it with the schema, which it cannot for columns without
    a name.
    """
    headers: set[tuple[str, ...] | None] = set()
    breaks = False
    for f in files:
        if read_bytes(spark, f.path, 0, 1) is None:
            headers.add(None)
            continue
        here = path_of_this_process(spark, f.path) is not None
        with BufferedReader(FileRange(spark, f), 2**20) as stream:
            scan = scan_csv(stream, name=f.name, whole=here, delimiter=delimiter)
        headers.add(tuple(parse_header(scan.header, name=f.name, delimiter=delimiter, declared=())))
        if (likely := likely_delimiter(scan.header, delimiter)) is not None:
            raise InputError(
                f"{f.name} is split by {likely!r}, by its header, and not by {delimiter!r}",
                hint=f"set ingest.csv_delimiter to {likely!r}",
            )
        breaks |= scan.breaks_lines
    same = len(headers) == 1 and None not in headers
    return {"multiLine": str(breaks).lower(), "enforceSchema": str(same).lower()}
