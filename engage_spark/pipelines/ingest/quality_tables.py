"""Make the rows of quality_results and quality_states from the counts of a checked table."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from engage_spark.contract import SNAPSHOT_DATE, Table
from engage_spark.lake import Evidence
from engage_spark.lake.run_log import QUALITY_RESULTS, QUALITY_STATES
from engage_spark.pipelines.context import StageRun
from engage_spark.quality import ColumnStats, GateResults, Sketch, TableCounts, stats_to_row


def quality_rows(
    table: Table,
    work: StageRun,
    gates: GateResults,
    counts: TableCounts,
) -> Evidence:
    """Return the results and statistics of one table and snapshot, to be stored with the attempt."""
    about = {"run_id": work.run_id, "table_name": table.name, SNAPSHOT_DATE: work.snapshot_date}
    results = [asdict(c) | {"samples": list(c.samples)} | about for c in gates.counts]
    statistics = [_row(s, counts.sketches.get(s.column)) | about for s in counts.columns.values()]
    return {QUALITY_RESULTS: results, QUALITY_STATES: statistics}


def _row(statistics: ColumnStats, sketch: Sketch | None) -> dict[str, Any]:
    """Return a row of quality_states; `stats_from_row` is the way back."""
    return stats_to_row(statistics) | {
        "distinct_sketch": sketch.distinct if sketch else None,
        "quantile_sketch": sketch.quantiles if sketch else None,
    }
