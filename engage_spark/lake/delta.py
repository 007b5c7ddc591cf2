"""Read and write Delta tables by path or by catalog name, with one commit per write."""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from pyspark.sql import DataFrame, DataFrameWriter, SparkSession
from pyspark.sql import functions as F

from engage_spark.contract import Table
from engage_spark.contract.invariants import invariants
from engage_spark.errors import ConfigurationError, TransientError
from engage_spark.lake.spark_errors import (
    holds_other_columns,
    is_missing_table,
    to_engage_error,
    translate_spark_errors,
)
from engage_spark.publication import RUN_ID
from engage_spark.settings import LakeSettings
from engage_spark.side_effects import announce
from engage_spark.spark.failures import SPARK_ERRORS
from engage_spark.spark.files import last_name, read_small_file
from engage_spark.spark.schema import column_named, spark_schema
from engage_spark.spark.sql_text import comment_literal, quoted_name

Properties = Mapping[str, str]
CONSTRAINT = "delta.constraints."
"""Before the name of a constraint, among a table's properties."""
CHANGE_FEED = "delta.enableChangeDataFeed"
_COMMIT = re.compile(r"\d{20}\.json")
_RUN = re.compile(r"/_?run_id=([^/]+)/")


@dataclass(frozen=True)
class Lake:
    """The tables of one lake, by path or by catalog name. Building one does nothing.

    Writers: one at a time per table. Delta's log on S3 has no put-if-absent across drivers, so two drivers
    writing the same table could lose a commit; `lake.locks` prevents it.
    """

    settings: LakeSettings

    @property
    def retention(self) -> Properties:
        """Table properties that say how long old files and the log stay, and keep the table readable for
        everybody: deletion vectors need a newer protocol than deltalake, Polars and Spark 3.5 have.
        """
        duration = f"interval {self.settings.retention_days} days"
        return {
            "delta.deletedFileRetentionDuration": duration,
            "delta.logRetentionDuration": duration,
            "delta.enableDeletionVectors": "false",
        }

    @property
    def change_feed(self) -> Properties:
        """The table property that keeps what each commit changed; none where it is not asked for."""
        return {CHANGE_FEED: "true"} if self.settings.change_feed else {}

    def constraints(self, table: Table) -> Properties:
        """Return the constraints of a table as properties; none where they are not asked for."""
        if not self.settings.constraints:
            return {}
        return {f"{CONSTRAINT}{name}": sql for name, sql in invariants(table).items()}

    def location(self, name: str) -> str:
        """Return the table's path, or its catalog name.

        Errors: ConfigurationError where no lake is configured.
        """
        if self.settings.catalog:
            return f"{self.settings.catalog}.{self.settings.schema_name}.{name}"
        if self.settings.root:
            root = self.settings.root.rstrip("/")
            # SQL resolves a relative path differently from the writer.
            return f"{root if ':' in root else Path(root).absolute()}/{name}"
        raise ConfigurationError(
            "no lake is configured", hint="set lake.root to a path, or lake.catalog and lake.schema"
        )

    def sql_name(self, name: str) -> str:
        """Return the table as a quoted SQL identifier."""
        if self.settings.catalog:
            return ".".join(
                f"`{part.replace('`', '``')}`"
                for part in (self.settings.catalog, self.settings.schema_name or "", name)
            )
        return f"delta.`{self.location(name).replace('`', '``')}`"

    def version(self, spark: SparkSession, name: str) -> int | None:
        """Return the table's latest version, or None when there is no such table.

        Cost: one listing of the log's directory and no job; one metadata job for a table of a catalog, and
        on Spark Connect for a path that this process cannot reach.
        """
        with translate_spark_errors(f"{self.location(name)} cannot be read"):
            log = f"{self.location(name)}/_delta_log"
            commit = None if self.settings.catalog else last_name(spark, log, ending=".json")
        if commit is not None and (commit == "" or _COMMIT.fullmatch(commit)):
            return int(commit.removesuffix(".json")) if commit else None
        try:
            return int(
                spark.sql(f"DESCRIBE HISTORY {self.sql_name(name)} LIMIT 1").select("version").collect()[0][0]
            )
        except SPARK_ERRORS as e:
            if is_missing_table(e):
                return None
            raise to_engage_error(e, f"{self.location(name)} cannot be read") from e

    def read(self, spark: SparkSession, name: str, *, version: int | None = None) -> DataFrame:
        """Read all rows of a table, published or not, at a version when one is given.

        Cost: no job. The newest version is read more quickly than a named one, whose log is replayed anew.
        Errors: ConfigurationError when there is no such table.
        """
        rows = self.find(spark, name, version=version)
        if rows is None:
            raise ConfigurationError(
                f"there is no table {self.location(name)} yet",
                hint="run the stage that makes it, or check lake.root",
            )
        return rows

    def find(self, spark: SparkSession, name: str, *, version: int | None = None) -> DataFrame | None:
        """Read a table as `read` does; None when there is no such table."""
        try:
            if self.settings.catalog:
                suffix = "" if version is None else f" VERSION AS OF {version}"
                rows = spark.sql(f"SELECT * FROM {self.sql_name(name)}{suffix}")  # noqa: S608 (the name is quoted, the version a number)
            else:
                reader = spark.read.format("delta")
                reader = reader if version is None else reader.option("versionAsOf", version)
                rows = reader.load(self.location(name))
            _ = rows.schema  # asked for here, because Connect looks at no table before
        except SPARK_ERRORS as e:
            if is_missing_table(e):
                return None
            raise to_engage_error(e, f"{self.location(name)} cannot be read") from e
        return rows

    def run_ids(self, spark: SparkSession, name: str) -> frozenset[str]:
        """Return the runs whose rows a table holds: it is partitioned by them. None where there is no table.

        Cost: no job of this package; Delta lists the live files. One narrow scan where the names of the files
        do not show the partitions, as of a catalog that gives them random ones.
        """
        rows = self.find(spark, name)
        if rows is None:
            return frozenset()
        with translate_spark_errors(f"{self.location(name)} cannot be read"):
            shown = [_RUN.findall(unquote(path)) for path in rows.inputFiles()]
            if all(shown):
                return frozenset(ids[-1] for ids in shown)
            column = next(c for c in rows.columns if c in (RUN_ID, "run_id"))
            return frozenset(r[0] for r in rows.select(column).distinct().collect())

    def replace(
        self,
        rows: DataFrame,
        table: Table,
        *,
        where: str | None,
        tag: str,
        partition_by: tuple[str, ...] = (),
        properties: Properties | None = None,
    ) -> int:
        """Replace exactly the rows that meet `where` (None: all) with `rows`, and return the version made.

        Makes the table on first use, with `partition_by`, `retention`, the comments of its columns, its
        constraints and the table `properties`. `rows` must have the declared columns and meet `where` (Delta
        checks it). A column that the table lacks is added, null in its other rows. `tag` is kept in the
        commit's userMetadata.
        Cost: one commit, and `version`.
        Errors: ConfigurationError when the target cannot be written or holds other columns; nothing is
        committed then.
        """
        options = {**({"replaceWhere": where} if where else {}), **(properties or {})}
        self._commit(rows, table, mode="overwrite", tag=tag, partition_by=partition_by, options=options)
        return self.written_version(rows.sparkSession, table.name)

    def merge(self, rows: DataFrame, table: Table, *, on: str, set_: Mapping[str, str]) -> None:
        """Update the rows of a table, called `log`, that match one of `rows`, called `new`, `on` a condition.

        `set_` gives the SQL of the new values by column.
        Cost: one commit, and a join that reads the files which may match.
        """
        assignments = ", ".join(f"log.{column} = {value}" for column, value in set_.items())
        self._merge(rows, table, on=on, action=f"MATCHED THEN UPDATE SET {assignments}")

    def _merge(self, rows: DataFrame, table: Table, *, on: str, action: str) -> None:
        view = f"new_{uuid.uuid4().hex}"
        spark = rows.sparkSession
        rows.createOrReplaceTempView(view)
        announce(f"commit {table.name}")
        try:
            with translate_spark_errors(f"{self.location(table.name)} cannot be written"):
                spark.sql(
                    f"MERGE INTO {self.sql_name(table.name)} AS log USING {view} AS new ON {on} WHEN {action}"
                ).collect()
        finally:
            spark.catalog.dropTempView(view)

    def insert(self, rows: DataFrame, table: Table, *, tag: str) -> int:
        """Add the rows whose key the table does not have, and return the version after it.

        So two writers that found the same keys missing add each of them once. Makes the table on first use.
        `rows` have each key once.

        Cost: one commit, and for a table that is there a join with its keys.

        Errors: as `replace`; TransientError where another writer committed meanwhile.
        """
        spark = rows.sparkSession
        if self.version(spark, table.name) is None:
            self._commit(rows, table, mode="append", tag=tag, partition_by=(), options={})
            return self.written_version(spark, table.name)
        on = " AND ".join(f"log.{quoted_name(k)} <=> new.{quoted_name(k)}" for k in _own_key(table))
        self._merge(_declared(rows, table), table, on=on, action="NOT MATCHED THEN INSERT *")
        return self.written_version(spark, table.name)

    def append(
        self, rows: DataFrame, table: Table, *, tag: str, properties: Properties | None = None
    ) -> None:
        """Add rows in one commit; makes the table on first use, with the Delta table `properties`.

        Cost: one commit.
        Errors: as `replace`.
        """
        self._commit(rows, table, mode="append", tag=tag, partition_by=(), options=properties or {})

    def _commit(
        self,
        rows: DataFrame,
        table: Table,
        *,
        mode: str,
        tag: str,
        partition_by: tuple[str, ...],
        options: Mapping[str, str],
    ) -> None:
        declared = _declared(rows, table)
        announce(f"commit {table.name}")
        if self.settings.catalog and self.version(rows.sparkSession, table.name) is not None:
            self._write_into(declared, table, mode=mode, tag=tag, options=options)
            return
        # Delta heeds properties where it makes a table. Whether a catalog takes constraints with the first
        # rows is its own affair: there `tables migrate` adds them as statements.
        properties = {**self.retention, **self.change_feed}
        properties |= {} if self.settings.catalog else self.constraints(table)
        writer = declared.write.format("delta").mode(mode)
        writer = writer.options(**properties, **options, userMetadata=tag)
        if partition_by:
            writer = writer.partitionBy(*partition_by)
        try:
            self._save(writer, table.name)
        except SPARK_ERRORS as e:
            what = f"{self.location(table.name)} cannot be written"
            if not (holds_other_columns(e) and self.add_columns(rows.sparkSession, table)):
                raise to_engage_error(e, what) from e
            with translate_spark_errors(what):
                self._save(writer, table.name)

    def _write_into(
        self, rows: DataFrame, table: Table, *, mode: str, tag: str, options: Mapping[str, str]
    ) -> None:
        """Write to a table that a catalog has: `saveAsTable` would declare it anew with each commit, which
        not every catalog takes.
        """
        with translate_spark_errors(f"{self.location(table.name)} cannot be written"):
            self.add_columns(rows.sparkSession, table)
            writer = rows.writeTo(self.sql_name(table.name)).option("userMetadata", tag)
            if mode == "append":
                writer.append()
            else:
                writer.overwrite(F.expr(options.get("replaceWhere", "true")))

    def _save(self, writer: DataFrameWriter, name: str) -> None:
        if self.settings.catalog:
            writer.saveAsTable(self.sql_name(name))
        else:
            writer.save(self.location(name))

    def add_columns(self, spark: SparkSession, table: Table) -> bool:
        """Add the columns that a table lacks to be as it is declared, null in its rows; return whether there
        were any. Nothing else of a schema is ever changed by a write. Cost: one commit where there were.
        """
        stored = {name.lower() for name in self.read(spark, table.name).columns}
        schema = spark_schema(table)
        missing = [f for f in schema if f.name.lower() not in stored]
        if missing:
            added = ", ".join(
                f"{quoted_name(f.name)} {f.dataType.simpleString()} "
                f"COMMENT {comment_literal(f.metadata['comment'])}"
                for f in missing
            )
            announce(f"commit {table.name}")
            with translate_spark_errors(f"{self.location(table.name)} cannot be changed"):
                spark.sql(f"ALTER TABLE {self.sql_name(table.name)} ADD COLUMNS ({added})").collect()
        return bool(missing)

    def written_rows(self, spark: SparkSession, name: str, version: int, *, tag: str) -> int | None:
        """Return how many rows are in the files that a version added, as its commit says.

        None where that takes a job: for a table of a catalog, on Spark Connect for a path that this process
        does not see, where the commit has another tag, or where Delta keeps no statistics of files.
        Cost: one small file is read, and no job.
        """
        actions = self._commit_actions(spark, name, version)
        if not _has_tag(actions, tag):
            return None
        statistics = [json.loads(a["add"].get("stats") or "{}") for a in actions if "add" in a]
        if not all("numRecords" in s for s in statistics):
            return None
        return sum(int(s["numRecords"]) for s in statistics)

    def is_written_by(self, spark: SparkSession, name: str, version: int, *, tag: str) -> bool:
        """Return whether the commit of a version says that a write with this tag made it.

        False, too, where that takes a job, as for `written_rows`.
        Cost: one small file is read, and no job.
        """
        return _has_tag(self._commit_actions(spark, name, version), tag)

    def _commit_actions(self, spark: SparkSession, name: str, version: int) -> list[dict[str, Any]]:
        """Return the actions of a commit; none where this process cannot read them without a job."""
        path = f"{self.location(name)}/_delta_log/{version:020d}.json"
        with translate_spark_errors(f"{self.location(name)} cannot be read"):
            text = None if self.settings.catalog else read_small_file(spark, path)
        # Not by splitlines: JSON keeps U+2028 as it is, and a key in the statistics may hold one.
        return [json.loads(line) for line in (text or "").split("\n") if line]

    def written_version(self, spark: SparkSession, name: str) -> int:
        """Return the version that the preceding write made (one writer at a time).

        Cost: as `version`.
        Errors: TransientError when the table is not there.
        """
        version = self.version(spark, name)
        if version is None:
            raise TransientError(
                f"{self.location(name)} was written and is not there",
                hint="check the storage, then run the stage again",
            )
        return version


def _declared(rows: DataFrame, table: Table) -> DataFrame:
    """Return the declared columns, each with its description and what else its metadata say."""
    return rows.select(
        *(column_named(f.name).alias(f.name, metadata=f.metadata) for f in spark_schema(table))
    )


def _own_key(table: Table) -> tuple[str, ...]:
    if not table.key:
        raise ValueError(f"table {table.name!r} declares no key to insert by")
    return table.key


def _has_tag(actions: Sequence[Mapping[str, Any]], tag: str) -> bool:
    return any(a.get("commitInfo", {}).get("userMetadata") == tag for a in actions)
