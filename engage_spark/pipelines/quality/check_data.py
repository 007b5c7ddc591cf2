"""Check whatever holds rows against a contract: frames of Spark and of other libraries, and files."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from os import PathLike, fspath
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias, Union, cast

from pyspark.sql import functions as F

from engage_spark.contract import SNAPSHOT_DATE, Contract, Table, TableKind, day_column, load_contract
from engage_spark.errors import InputError
from engage_spark.lake import InputManifest, list_inputs, read_any_format, read_inputs
from engage_spark.quality import MALFORMED, CheckResult
from engage_spark.quality import check as check_frame
from engage_spark.quality.check_dataframe import check_input, table_of
from engage_spark.quality.checks.references import referred_rows
from engage_spark.quality.foreign_frames import ArrowStream, Collectable, to_arrow_table
from engage_spark.settings import Settings, load_settings
from engage_spark.spark.compat import from_arrow
from engage_spark.spark.guarantees import guarantees
from engage_spark.spark.joins import union_of
from engage_spark.spark.schema import ConformedInput, column_named, folder_flag_name
from engage_spark.spark.session import active_session, get_session

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa
    from pyspark.sql import DataFrame, SparkSession

Rows: TypeAlias = Union["DataFrame", "pd.DataFrame", ArrowStream, Collectable, str, PathLike[str]]
"""What can be checked; see `check`."""


class _Path(NamedTuple):
    """The path of files, and what they are declared as, where that is known."""

    path: str
    table: Table | None


def check(
    data: Rows,
    contract: Contract | Table | Path | str,
    *,
    table: str | None = None,
    references: Mapping[str, Rows] | None = None,
    landed_at: datetime | None = None,
    snapshot_date: date | None = None,
) -> CheckResult:
    """Check rows against a contract, one table of it, or the path of its YAML, wherever the rows are.

    `data` is a Spark DataFrame (classic or Connect), a pandas DataFrame, a Polars DataFrame or LazyFrame, an
    Arrow Table, RecordBatch or RecordBatchReader, a DuckDB relation, anything else with `__arrow_c_stream__`,
    or a path. A path is read as ingest reads it: Parquet, CSV (by the settings `ingest.csv_delimiter` and
    `csv_null`; a line that does not parse is quarantined) or a Delta table, a file or a folder, folders
    `snapshot_date=DAY` saying the day of an entity's rows. The same rows have the same counts, reasons and
    samples from all of them; what other libraries' types become is said in
    `quality.foreign_frames.to_arrow_table`.

    `table` names the table that `data` is (default: the entity's, or the only one). `references` are the rows
    of other tables by name, in any of these forms, for referential integrity; their columns are called as
    they are delivered, or as their fields. `landed_at` (with a time zone)
    is what latency and future events are measured from, `snapshot_date` the day that is described: it chooses
    among several days in `data`. Without its day an entity's keys must be unique within each day that `data`
    holds. What cannot be checked for lack of these is listed in `CheckResult.unchecked`.

    The verdict is that of ingest in every session: ANSI mode and UTC are set while it is computed, and what
    was set before is given back. Where the process has no session, one is started by the settings of this
    environment. It stays open, since `CheckResult.rows` is read by it.

    Cost: whatever the number of rules, one action on the key columns with a shuffle of their hashes (two
    where keys repeat), one full scan that counts everything, and, where something is broken, a scan for
    samples. The driver holds counts, samples and at most 10,000 duplicated keys; of other libraries' frames
    the declared columns once more, which travel to Spark as Arrow. Nothing is written.
    Errors: ContractError for an unusable contract; InputError when the columns are not as declared, `data` is
    nothing that can be checked, or there is nothing at the path.
    """
    loaded = contract if isinstance(contract, Contract | Table) else load_contract(contract)
    declared = table_of(loaded, table)
    known = {} if isinstance(loaded, Table) else {t.name: t for t in loaded.tables}
    rows = _prepared(data, declared)
    others = {
        name: _prepared(of_table, known.get(name), own_names=True)
        for name, of_table in (references or {}).items()
    }
    spark = _session_of([rows, *others.values()])
    frames = {name: _referred(spark, other, known.get(name)) for name, other in others.items()}
    if isinstance(rows, _Path) and (read := _read_files(spark, rows.path, declared, snapshot_date)):
        return check_input(
            read.input,
            declared,
            parsed_text=read.parsed_text,
            references=frames,
            landed_at=landed_at,
            snapshot_date=snapshot_date,
        )
    return check_frame(
        _frame(spark, rows),
        declared,
        references=frames,
        landed_at=landed_at,
        snapshot_date=snapshot_date,
    )


def _prepared(data: Any, table: Table | None, *, own_names: bool = False) -> DataFrame | pa.Table | _Path:
    """Look at what was given, and convert what is not Spark's, before any session is started.

    `own_names`: columns may be called as their fields, too.

    Errors: InputError as `check`.
    """
    if _is_spark(data):
        frame: DataFrame = data
        return frame
    if not isinstance(data, str | PathLike):
        days = () if table is None else _days_of(table)
        return to_arrow_table(data, table, used=days, own_names=own_names)
    path = fspath(data)
    if "://" not in path and not Path(path).exists():
        raise InputError(f"there is nothing at {path}", hint="check the path")
    return _Path(path, table)


def _is_spark(data: object) -> bool:
    """Return whether something is a Spark DataFrame; classic and Connect share no class before Spark 4."""
    return type(data).__module__.startswith("pyspark.sql.") and hasattr(data, "sparkSession")


def _days_of(table: Table) -> tuple[str, ...]:
    return (day_column(table),) if table.kind is TableKind.ENTITY else ()


def _session_of(given: list[DataFrame | pa.Table | _Path]) -> SparkSession:
    """Return the session of the first Spark frame, else that of the process, else a new one."""
    for data in given:
        if _is_spark(data):
            frame: Any = data
            return cast("SparkSession", frame.sparkSession)
    return active_session() or get_session(load_settings())


def _frame(spark: SparkSession, data: DataFrame | pa.Table | _Path) -> DataFrame:
    if isinstance(data, _Path):
        return read_any_format(spark, data.path).rows
    return data if _is_spark(data) else from_arrow(spark, data)


def _referred(spark: SparkSession, data: DataFrame | pa.Table | _Path, table: Table | None) -> DataFrame:
    """Return rows that others refer to, their keys called as their fields."""
    if isinstance(data, _Path) and data.table is not None:
        read = _read_files(spark, data.path, data.table, None)
        if read is not None:
            return read.input.rows
    with guarantees(spark):
        return referred_rows(_frame(spark, data), table)


class _FilesRead(NamedTuple):
    input: ConformedInput
    parsed_text: bool


def _read_files(
    spark: SparkSession, path: str, table: Table, snapshot_date: date | None
) -> _FilesRead | None:
    """Read files as ingest does, with the day of an entity's rows where folders say it.

    Nulls: None for a Delta table, which is read as a frame.
    """
    (whole,) = list_inputs(spark, path, table, snapshot_date=None, dated=False)
    if whole.format == "delta":
        return None
    settings = load_settings()
    if table.kind is not TableKind.ENTITY or not any(f"{SNAPSHOT_DATE}=" in f.path for f in whole.files):
        return _FilesRead(_read(spark, whole, table, settings), whole.format == "csv")
    manifests = list_inputs(spark, path, table, snapshot_date=snapshot_date, dated=True)
    reads = [_read(spark, m, table, settings) for m in manifests]
    flags = tuple(dict.fromkeys(name for read in reads for name in read.in_folders))
    day = day_column(table)
    frames = [
        read.rows.withColumn(day, F.lit(m.day)).withColumns(
            {folder_flag_name(n): F.lit(None).cast("string") for n in flags if n not in read.in_folders}
        )
        for m, read in zip(manifests, reads, strict=True)
    ]
    columns = frames[0].columns
    rows = union_of([frame.select(*map(column_named, columns)) for frame in frames])
    extra = tuple(dict.fromkeys(name for read in reads for name in read.extra))
    return _FilesRead(ConformedInput(rows, extra, flags), whole.format == "csv")


def _read(spark: SparkSession, manifest: InputManifest, table: Table, settings: Settings) -> ConformedInput:
    options = settings.ingest
    return read_inputs(
        spark,
        manifest,
        table,
        malformed=MALFORMED,
        delimiter=options.csv_delimiter,
        null=options.csv_null,
    )
