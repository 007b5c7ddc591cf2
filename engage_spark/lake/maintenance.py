"""Look after Delta tables: compaction, removal of old files, history, columns and layout.

Everything here is SQL that runs on classic Spark and on Spark Connect alike. Whoever calls it holds the lock
of the table (`lake.locks`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from pyspark.sql import SparkSession
from pyspark.sql import functions as F
from pyspark.sql import types as T

from engage_spark.contract import Table
from engage_spark.contract.invariants import PREFIX
from engage_spark.lake.delta import CONSTRAINT, Lake
from engage_spark.lake.spark_errors import translate_spark_errors
from engage_spark.side_effects import announce
from engage_spark.spark.guarantees import is_available
from engage_spark.spark.schema import spark_schema
from engage_spark.spark.sql_text import comment_literal, quoted_name

RETENTION = ("delta.deletedFileRetentionDuration", "delta.logRetentionDuration")
CHECKPOINTS = "delta.checkpointInterval"
"""After how many commits the log is summed up, which is also when its old files are removed."""
LISTING = "spark.sql.sources.parallelPartitionDiscovery.parallelism"
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, kw_only=True)
class TableDetail:
    """What a table is made of at its newest version."""

    files: int
    bytes: int
    partition_by: tuple[str, ...]
    properties: Mapping[str, str]
    types: Mapping[str, T.DataType]
    description: str
    comments: Mapping[str, str]

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the columns."""
        return tuple(self.types)


@dataclass(frozen=True, kw_only=True)
class TableVersion:
    """One commit of a table. `run_id` is the tag that the package's own commits carry."""

    version: int
    committed_at: datetime
    operation: str
    run_id: str | None
    rows: int | None
    files_added: int | None
    files_removed: int | None


def describe_table(spark: SparkSession, lake: Lake, name: str) -> TableDetail | None:
    """Return what a table is made of; None when there is no such table.

    Cost: one metadata job.
    """
    rows = lake.find(spark, name)
    if rows is None:
        return None
    detail = _sql(spark, lake, name, "DESCRIBE DETAIL {table}")[0]
    return TableDetail(
        files=int(detail["numFiles"]),
        bytes=int(detail["sizeInBytes"]),
        partition_by=tuple(detail["partitionColumns"]),
        properties=dict(detail["properties"]),
        types={f.name: f.dataType for f in rows.schema},
        description=detail["description"] or "",
        comments={f.name: f.metadata.get("comment", "") for f in rows.schema},
    )


def table_history(
    spark: SparkSession, lake: Lake, name: str, *, limit: int | None = None
) -> tuple[TableVersion, ...]:
    """Return the commits of a table that its log still has, newest first.

    Cost: one metadata job.
    """
    clause = "" if limit is None else f" LIMIT {limit}"
    with translate_spark_errors(f"{lake.location(name)} cannot be read"):
        history = spark.sql(f"DESCRIBE HISTORY {lake.sql_name(name)}{clause}")
        # As a number: `collect` would hand moments over in the zone of this process.
        rows = history.withColumn("microseconds", F.unix_micros("timestamp")).collect()
    return tuple(
        TableVersion(
            version=row["version"],
            committed_at=EPOCH + timedelta(microseconds=row["microseconds"]),
            operation=row["operation"],
            run_id=row["userMetadata"],
            rows=_count(row, "numOutputRows"),
            files_added=_count(row, "numFiles", "numAddedFiles"),
            files_removed=_count(row, "numRemovedFiles"),
        )
        for row in rows
    )


def _count(row: Any, *names: str) -> int | None:
    metrics = row["operationMetrics"] or {}
    return next((int(metrics[name]) for name in names if name in metrics), None)


def compact(spark: SparkSession, lake: Lake, name: str, *, by: Iterable[str] = ()) -> None:
    """Write the small files of each partition as few large ones. Rows and columns stay, and without `by`
    their order.

    `by` columns each file gets a range of, so that who asks for one key reads few files (Z-order).
    Cost: one commit where something can be joined, none else; with `by` all rows are read and written.
    """
    announce(f"commit {name}")
    columns = ", ".join(map(quoted_name, by))
    _sql(spark, lake, name, f"OPTIMIZE {{table}} ZORDER BY ({columns})" if columns else "OPTIMIZE {table}")


def count_rows(spark: SparkSession, lake: Lake, name: str, where: str) -> int:
    """Count the rows of a table that meet a condition."""
    with translate_spark_errors(f"{lake.location(name)} cannot be read"):
        return lake.read(spark, name).where(where).count()


def delete_rows(spark: SparkSession, lake: Lake, name: str, where: str) -> None:
    """Delete the rows that meet a condition. Their files stay until `remove_old_files`.

    Cost: one commit; no file is read where the condition is about partitions alone.
    """
    announce(f"commit {name}")
    _sql(spark, lake, name, f"DELETE FROM {{table}} WHERE {where}")  # noqa: S608 (conditions are made by this package)


def update_rows(
    spark: SparkSession, lake: Lake, name: str, assignments: Mapping[str, str], where: str
) -> None:
    """Set columns to SQL expressions in the rows that meet a condition. Cost: one commit."""
    announce(f"commit {name}")
    values = ", ".join(f"{quoted_name(column)} = {value}" for column, value in assignments.items())
    _sql(spark, lake, name, f"UPDATE {{table}} SET {values} WHERE {where}")  # noqa: S608 (as above)


def old_files(spark: SparkSession, lake: Lake, name: str) -> int:
    """Count the files that `remove_old_files` would delete, up to the 1,000 that Delta lists."""
    with few_listing_tasks(spark):
        return len(_sql(spark, lake, name, "VACUUM {table} DRY RUN"))


def remove_old_files(spark: SparkSession, lake: Lake, name: str) -> int | None:
    """Delete data files that no version within the table's retention needs, and expired files of its log.

    The log is summed up in a checkpoint first, so that Delta removes what it made needless; it counts whole
    days. Readers of the newest version notice nothing. Return how many files were deleted, None where Delta
    does not say so.
    Cost: two commits of metadata, two of the vacuum itself, one listing.
    """
    announce(f"vacuum {name}")
    set_properties(spark, lake, name, {CHECKPOINTS: "1"})
    _sql(spark, lake, name, f"ALTER TABLE {{table}} UNSET TBLPROPERTIES ('{CHECKPOINTS}')")
    with few_listing_tasks(spark):
        _sql(spark, lake, name, "VACUUM {table}")
    ended = spark.sql(f"DESCRIBE HISTORY {lake.sql_name(name)} LIMIT 1").collect()[0]
    return _count(ended, "numDeletedFiles") if ended["operation"] == "VACUUM END" else None


@contextmanager
def few_listing_tasks(spark: SparkSession) -> Iterator[None]:
    """List files in few tasks for the length of the block.

    Delta starts 10,000, for a table of some hundred folders: more than half a minute on two cores. A session
    that has no such option is left as it is.
    """
    if not is_available(spark, LISTING):
        yield
        return
    before = spark.conf.get(LISTING, None)
    spark.conf.set(LISTING, "64")
    try:
        yield
    finally:
        if before is None:
            spark.conf.unset(LISTING)
        else:
            spark.conf.set(LISTING, before)


def set_properties(spark: SparkSession, lake: Lake, name: str, properties: Mapping[str, str]) -> None:
    """Set table properties in one commit."""
    announce(f"commit {name}")
    pairs = ", ".join(f"'{key}' = '{value}'" for key, value in properties.items())
    _sql(spark, lake, name, f"ALTER TABLE {{table}} SET TBLPROPERTIES ({pairs})")


def describe_as_declared(spark: SparkSession, lake: Lake, table: Table, detail: TableDetail) -> None:
    """Give a table its description and the comments of its columns. Cost: a commit for each that differs."""
    if detail.description != table.description:
        announce(f"commit {table.name}")
        _sql(spark, lake, table.name, f"COMMENT ON TABLE {{table}} IS {comment_literal(table.description)}")
    for f in table.fields:
        if f.name in detail.comments and detail.comments[f.name] != f.description:
            announce(f"commit {table.name}")
            change = f"ALTER COLUMN {quoted_name(f.name)} COMMENT {comment_literal(f.description)}"
            _sql(spark, lake, table.name, f"ALTER TABLE {{table}} {change}")


def own_constraints(detail: TableDetail) -> dict[str, str]:
    """Return the constraints of a table that this package has made, as SQL by name."""
    before = f"{CONSTRAINT}{PREFIX}"
    named = {key.lower(): sql for key, sql in detail.properties.items()}
    return {key.removeprefix(CONSTRAINT): sql for key, sql in named.items() if key.startswith(before)}


def rows_against(
    spark: SparkSession, lake: Lake, table: Table, conditions: Mapping[str, str]
) -> dict[str, int]:
    """Count the rows that break each condition, without conditions that none breaks.

    Nulls: a column that the table lacks yet is null. Cost: one job, a scan.
    """
    counts = [F.count_if(~F.coalesce(F.expr(sql), F.lit(False))) for sql in conditions.values()]
    rows = lake.read(spark, table.name)
    there = {name.lower() for name in rows.columns}
    missing = [
        F.lit(None).cast(f.dataType).alias(f.name) for f in spark_schema(table) if f.name.lower() not in there
    ]
    with translate_spark_errors(f"{lake.location(table.name)} cannot be read"):
        counted = rows.select("*", *missing).agg(*counts).collect()[0]
    return {key: n for key, n in zip(conditions, counted, strict=True) if n}


def set_constraints(
    spark: SparkSession, lake: Lake, name: str, *, drop: Iterable[str], add: Mapping[str, str]
) -> None:
    """Drop and add constraints. Cost: a commit for each; for one that is added, a scan of the table."""
    statements = [f"DROP CONSTRAINT IF EXISTS {quoted_name(key)}" for key in drop]
    statements += [f"ADD CONSTRAINT {quoted_name(key)} CHECK ({sql})" for key, sql in add.items()]
    for statement in statements:
        announce(f"commit {name}")
        _sql(spark, lake, name, f"ALTER TABLE {{table}} {statement}")


def rewrite(
    spark: SparkSession,
    lake: Lake,
    table: Table,
    *,
    partition_by: Iterable[str],
    version: int | None = None,
    where: str | None = None,
    values: Mapping[str, str] | None = None,
) -> None:
    """Write a table anew as it is declared: types widened, columns that it lacks null or of `values`.

    `values` are SQL expressions by column. Columns that are not declared any more stay. `version` reads an
    older version than the newest, `where` leaves rows out.
    Cost: one commit; all rows are read and written.
    """
    rows = lake.read(spark, table.name, version=version)
    rows = rows if where is None else rows.where(where)
    stored = {f.name: f.dataType for f in rows.schema}
    declared = {f.name: f.dataType for f in spark_schema(table)}
    given = dict(values or {})
    about = {f.name: f.metadata for f in spark_schema(table)}
    columns = [
        F.expr(given.get(name) or _widened(quoted_name(name), stored.get(name), kind))
        .cast(kind)
        .alias(name, metadata=about[name])
        for name, kind in declared.items()
    ]
    columns += [F.col(quoted_name(name)) for name in stored if name not in declared]
    writer = rows.select(*columns).write.format("delta").mode("overwrite").option("overwriteSchema", "true")
    if names := list(partition_by):
        writer = writer.partitionBy(*names)
    announce(f"commit {table.name}")
    with translate_spark_errors(f"{lake.location(table.name)} cannot be written"):
        if lake.settings.catalog:
            writer.saveAsTable(lake.sql_name(table.name))
        else:
            writer.save(lake.location(table.name))


def _widened(value: str, stored: T.DataType | None, declared: T.DataType) -> str:
    """Return a value in its declared type, as SQL. Fields that its structs lack are null."""
    kind = declared.simpleString()
    if stored is None:
        return f"CAST(NULL AS {kind})"
    if isinstance(stored, T.ArrayType) and isinstance(declared, T.ArrayType):
        element = _widened("e", stored.elementType, declared.elementType)
        return f"transform({value}, e -> {element})"
    if isinstance(stored, T.StructType) and isinstance(declared, T.StructType):
        types = {f.name: f.dataType for f in stored}
        parts = (
            f"'{f.name}', {_widened(f'{value}.{quoted_name(f.name)}', types.get(f.name), f.dataType)}"
            for f in declared
        )
        return f"named_struct({', '.join(parts)})"
    return f"CAST({value} AS {kind})"


def _sql(spark: SparkSession, lake: Lake, name: str, statement: str) -> list[Any]:
    with translate_spark_errors(f"{lake.location(name)} cannot be maintained"):
        return spark.sql(statement.replace("{table}", lake.sql_name(name))).collect()
