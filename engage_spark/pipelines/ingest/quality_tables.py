"""Write the counts of a checked table to quality_results and quality_states."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from typing import Any

from engage_spark.contract import SNAPSHOT_DATE, Table, system_contract
from engage_spark.pipelines.context import RunContext, StageRun
from engage_spark.pipelines.stages import QUALITY_RESULTS, QUALITY_STATES
from engage_spark.quality import (
    ColumnStats,
    GateResults,
    Sketch,
    TableCounts,
    stats_to_row,
)
from engage_spark.spark.schema import spark_schema


def write_quality_tables(
    context: RunContext,
    table: Table,
    work: StageRun,
    gates: GateResults,
    counts: TableCounts,
    sketches_by_column: Mapping[str, Sketch],
) -> None:
    """Replace the results and statistics of one table and snapshot.

    Cost: two Delta commits side by side, since each mostly waits for storage.
    """
    about = {"run_id": work.run_id, "table_name": table.name, SNAPSHOT_DATE: work.snapshot_date}
    results = [asdict(c) | {"samples": list(c.samples)} | about for c in gates.counts]
    statistics = [_row(s, sketches_by_column.get(s.column)) | about for s in counts.columns.values()]
    records = {QUALITY_RESULTS: results, QUALITY_STATES: statistics}
    with ThreadPoolExecutor(len(records)) as pool:
        writes = [pool.submit(_replace, context, table, work, name, rows) for name, rows in records.items()]
        for write in writes:
            write.result()


def _replace(
    context: RunContext, table: Table, work: StageRun, name: str, records: Sequence[Mapping[str, Any]]
) -> None:
    stored = system_contract().table(name)
    schema = spark_schema(stored)
    rows = [tuple(record[column] for column in schema.names) for record in records]
    context.lake.overwrite(
        context.spark.createDataFrame(rows, schema).coalesce(1),
        stored,
        where=f"{SNAPSHOT_DATE} = DATE'{work.snapshot_date}' AND table_name = '{table.name}'",
        tag=work.run_id,
        partition_by=(SNAPSHOT_DATE, "table_name"),
    )


def _row(statistics: ColumnStats, sketch: Sketch | None) -> dict[str, Any]:
    """Return a row of quality_states; `stats_from_row` is the way back."""
    return stats_to_row(statistics) | {
        "distinct_sketch": sketch.distinct if sketch else None,
        "quantile_sketch": sketch.quantiles if sketch else None,
    }
