"""What was counted of a judged table, and where it is kept: quality_results and quality_states."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from datetime import date, datetime
from typing import Any

from pyspark.sql import DataFrame

from engage_spark.contract import Table, system_contract
from engage_spark.pipelines.context import Bench, Work
from engage_spark.quality import (
    Check,
    ColumnState,
    Judgement,
    Sketch,
    Verdict,
    binning,
    cuts_of,
    fold,
    personal_rules,
    samples,
    sketches,
    stored,
)
from engage_spark.quality.report.formatting import bound, told
from engage_spark.spark.schema import spark_schema

__all__ = ["QUALITY_RESULTS", "QUALITY_STATES", "bound", "count", "told", "write_evidence"]

QUALITY_RESULTS, QUALITY_STATES = "quality_results", "quality_states"


def count(
    judged: DataFrame, table: Table, checks: Sequence[Check], *, snapshot_date: date, landed_at: datetime
) -> tuple[Judgement, dict[str, Sketch]]:
    """Everything that the rules, the gates and the states need to know of judged rows.

    Three actions, or two where nothing was broken: the fused pass and the sketches scan the table, the samples its verdicts and key.
    """
    binnings = tuple(binning(f) for f in table.fields)
    found = fold(judged, rules=[c.name for c in checks], binnings=binnings, cuts=cuts_of(table))
    shown: dict[str, list[str]] = defaultdict(list)
    if found.broken:
        for rule, sample in judged.transform(samples, key=table.key, hidden=personal_rules(table, checks)).collect():
            shown[rule].append(sample)
    return Judgement(
        rows=found.rows, quarantined=found.quarantined, broken=found.broken, columns=found.columns, below=found.below,
        samples={rule: tuple(sorted(set(values))) for rule, values in shown.items()}, snapshot_date=snapshot_date, landed_at=landed_at,
    ), sketches(judged, binnings=binnings)  # fmt: skip


def write_evidence(bench: Bench, table: Table, work: Work, verdict: Verdict, counted: Judgement, sketched: Mapping[str, Sketch]) -> None:
    """Replace the results and states of one table and snapshot. Two Delta commits, side by side, since each waits for storage mostly."""
    about = {"run_id": work.run_id, "table_name": table.name, "snapshot_date": work.snapshot_date}
    results = [asdict(c) | {"samples": list(c.samples)} | about for c in verdict.counts]
    states = [_state(s, sketched.get(s.column)) | about for s in counted.columns.values()]
    with ThreadPoolExecutor(2) as pool:
        kept = {QUALITY_RESULTS: results, QUALITY_STATES: states}
        for written in [pool.submit(_replace, bench, table, work, name, records) for name, records in kept.items()]:
            written.result()


def _replace(bench: Bench, table: Table, work: Work, name: str, records: Sequence[Mapping[str, Any]]) -> None:
    kept = system_contract().table(name)
    schema = spark_schema(kept)
    rows = bench.spark.createDataFrame([tuple(r[column] for column in schema.names) for r in records], schema).coalesce(1)
    where = f"snapshot_date = DATE'{work.snapshot_date}' AND table_name = '{table.name}'"
    bench.lake.replace(rows, kept, where=where, tag=work.run_id, partition_by=("snapshot_date", "table_name"))


def _state(state: ColumnState, sketch: Sketch | None) -> dict[str, Any]:
    """A state as a row; see `restored` for the way back."""
    return stored(state) | {
        "distinct_sketch": sketch.distinct if sketch else None,
        "quantile_sketch": sketch.quantiles if sketch else None,
    }
