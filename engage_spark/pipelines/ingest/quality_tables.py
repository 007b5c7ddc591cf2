"""What was counted of a judged table, and where it is kept: quality_results and quality_states."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from datetime import date, datetime
from typing import Any

from pyspark.sql import DataFrame

from engage_spark.contract import SNAPSHOT_DATE, Table, system_contract
from engage_spark.pipelines.context import RunContext, StageRun
from engage_spark.pipelines.stages import QUALITY_RESULTS, QUALITY_STATES
from engage_spark.quality import (
    Check,
    ColumnStats,
    GateResults,
    Sketch,
    TableCounts,
    binning,
    count_columns,
    cuts_of,
    personal_rules,
    samples,
    sketches,
    stats_to_row,
)
from engage_spark.spark.schema import spark_schema


def count_table(
    judged: DataFrame, table: Table, checks: Sequence[Check], *, snapshot_date: date, landed_at: datetime
) -> tuple[TableCounts, dict[str, Sketch]]:
    """Everything that the rules, the gates and the states need to know of judged rows.

    Three actions, or two where nothing was broken: the fused pass and the sketches scan the table, the
    samples its verdicts and key.
    """
    binnings = tuple(binning(f) for f in table.fields)
    found = count_columns(judged, rules=[c.name for c in checks], binnings=binnings, cuts=cuts_of(table))
    shown: dict[str, list[str]] = defaultdict(list)
    if found.broken:
        for rule, sample in judged.transform(
            samples, key=table.key, hidden=personal_rules(table, checks)
        ).collect():
            shown[rule].append(sample)
    return TableCounts(
        rows=found.rows,
        quarantined=found.quarantined,
        broken=found.broken,
        columns=found.columns,
        below=found.below,
        samples={rule: tuple(sorted(set(values))) for rule, values in shown.items()},
        snapshot_date=snapshot_date,
        landed_at=landed_at,
    ), sketches(judged, binnings=binnings)


def write_quality_tables(
    context: RunContext,
    table: Table,
    work: StageRun,
    verdict: GateResults,
    counted: TableCounts,
    sketched: Mapping[str, Sketch],
) -> None:
    """Replace the results and states of one table and snapshot. Two Delta commits, side by side, since each
    waits for storage mostly.
    """
    about = {"run_id": work.run_id, "table_name": table.name, SNAPSHOT_DATE: work.snapshot_date}
    results = [asdict(c) | {"samples": list(c.samples)} | about for c in verdict.counts]
    states = [_state(s, sketched.get(s.column)) | about for s in counted.columns.values()]
    with ThreadPoolExecutor(2) as pool:
        kept = {QUALITY_RESULTS: results, QUALITY_STATES: states}
        for written in [
            pool.submit(_replace, context, table, work, name, records) for name, records in kept.items()
        ]:
            written.result()


def _replace(
    context: RunContext, table: Table, work: StageRun, name: str, records: Sequence[Mapping[str, Any]]
) -> None:
    kept = system_contract().table(name)
    schema = spark_schema(kept)
    rows = context.spark.createDataFrame(
        [tuple(r[column] for column in schema.names) for r in records], schema
    ).coalesce(1)
    where = f"snapshot_date = DATE'{work.snapshot_date}' AND table_name = '{table.name}'"
    context.lake.overwrite(
        rows, kept, where=where, tag=work.run_id, partition_by=(SNAPSHOT_DATE, "table_name")
    )


def _state(state: ColumnStats, sketch: Sketch | None) -> dict[str, Any]:
    """A state as a row; see `restored` for the way back."""
    return stats_to_row(state) | {
        "distinct_sketch": sketch.distinct if sketch else None,
        "quantile_sketch": sketch.quantiles if sketch else None,
    }
