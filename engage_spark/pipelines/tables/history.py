"""Show what the tables of a lake are made of, and which runs made their versions."""

from __future__ import annotations

import time

from pyspark.sql import SparkSession

from engage_spark.contract import Contract
from engage_spark.errors import UsageError
from engage_spark.lake.erased_keys import ERASED_KEYS
from engage_spark.lake.maintenance import describe_table, table_history
from engage_spark.pipelines.context import RunContext
from engage_spark.pipelines.results import StoredTableVersions, TablesHistoryResult, TableVersionLine
from engage_spark.pipelines.stored_tables import stored_tables_of
from engage_spark.settings import Settings


def list_table_history(
    spark: SparkSession, settings: Settings, *, contract: Contract, table: str | None = None, limit: int = 5
) -> TablesHistoryResult:
    """List files, sizes and the newest `limit` versions of each table, or of one, and runs that made them.

    Cost: two metadata jobs per table.
    Errors: UsageError where the contract stores no such table.
    """
    started = time.monotonic()
    context = RunContext(spark, settings, contract)
    lake = context.lake
    names = [t.name for t in stored_tables_of(contract)] + [ERASED_KEYS]
    if table is not None:
        names = [name_of(table, names)]
    stages = {r.run_id: (r.stage, r.status) for r in context.log.publication(spark).runs}
    tables = []
    for name in names:
        detail = describe_table(spark, lake, name)
        if detail is None:
            continue
        versions = table_history(spark, lake, name)
        lines = tuple(
            TableVersionLine(
                version=v.version,
                committed_at=v.committed_at,
                operation=v.operation,
                run_id=v.run_id if v.run_id in stages else None,
                stage=stages.get(v.run_id or "", ("", ""))[0],
                status=stages.get(v.run_id or "", ("", ""))[1],
                rows=v.rows,
                files_added=v.files_added,
                files_removed=v.files_removed,
            )
            for v in versions[:limit]
        )
        tables.append(
            StoredTableVersions(
                table=name, files=detail.files, bytes=detail.bytes, n_versions=len(versions), versions=lines
            )
        )
    return TablesHistoryResult(
        stage="tables history",
        seconds=time.monotonic() - started,
        locations={t.table: lake.location(t.table) for t in tables},
        tables=tuple(tables),
    )


def name_of(table: str, names: list[str]) -> str:
    """Return the stored name of a table that is named by it, or as the contract declares it.

    Errors: UsageError where there is none.
    """
    for name in (table, f"{table}_judged"):
        if name in names:
            return name
    raise UsageError(f"there is no stored table {table!r}", hint=f"there are: {', '.join(names)}")
