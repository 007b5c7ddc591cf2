"""Count a checked table, and write the counts to quality_results and quality_states."""

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
    """Count everything that rules, gates and column statistics need of checked rows.

    Cost: three actions, or two where nothing was broken: the one pass that counts and the sketches scan the
    table, the samples its check results and key.
    """
    binnings = tuple(binning(f) for f in table.fields)
    counts = count_columns(judged, rules=[c.name for c in checks], binnings=binnings, cuts=cuts_of(table))
    samples_by_rule: dict[str, set[str]] = defaultdict(set)
    if counts.broken:
        hidden = personal_rules(table, checks)
        for rule, sample in judged.transform(samples, key=table.key, hidden=hidden).collect():
            samples_by_rule[rule].add(sample)
    return TableCounts(
        rows=counts.rows,
        quarantined=counts.quarantined,
        broken=counts.broken,
        columns=counts.columns,
        below=counts.below,
        samples={rule: tuple(sorted(values)) for rule, values in samples_by_rule.items()},
        snapshot_date=snapshot_date,
        landed_at=landed_at,
    ), sketches(judged, binnings=binnings)


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
