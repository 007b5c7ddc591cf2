"""Measure how long events took from their time to the table."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from datetime import UTC, datetime, timedelta

from pyspark.sql import functions as F

from engage_spark.contract import VALID, Table, judged_table
from engage_spark.lake import translate_spark_errors
from engage_spark.pipelines.context import RunContext
from engage_spark.pipelines.results import EventLatency, Note, StreamedBatch
from engage_spark.publication import RUN_ID, Run
from engage_spark.spark.schema import column_named

ACCURACY = 10_000
"""Of the quantiles: exact up to so many events, then to within a share of one in so many."""


def event_latency(
    context: RunContext, table: Table, run: Run, *, committed_at: datetime
) -> EventLatency | None:
    """Return the seconds from the time of the valid events that a run added to the commit that shows them.

    None where readers see none of it. Beside it stands what the contract promises, by a gate `latency`.
    Cost: one narrow scan of the run's rows.
    """
    if not run.published or not run.rows_valid or not run.rows_written:
        return None
    event = F.unix_micros(column_named(table.event_time or "").cast("timestamp"))
    with translate_spark_errors(f"{table.name} cannot be read"):
        rows = context.lake.read(context.spark, judged_table(table).name)
        early, median, latest = (
            rows.where((F.col(RUN_ID) == run.run_id) & (F.col("_dq_status") == VALID))
            .agg(F.percentile_approx(event, [0.05, 0.5, 1.0], ACCURACY).alias("at"))
            .collect()[0]["at"]
        )
    commit = (committed_at - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
    return EventLatency(
        shortest=(commit - latest) / 1e6,
        p50=(commit - median) / 1e6,
        p95=(commit - early) / 1e6,
        promised=_promised(table),
    )


def late_events(batches: Sequence[StreamedBatch]) -> Iterator[Note]:
    """Say of each table in how many batches events took longer than the contract promises, with the worst."""
    late: dict[str, list[tuple[EventLatency, StreamedBatch]]] = {}
    for batch in batches:
        latency = batch.latency
        if latency is not None and latency.promised is not None and latency.p95 >= latency.promised:
            late.setdefault(batch.table, []).append((latency, batch))
    for table, of_table in late.items():
        latency, batch = max(of_table, key=lambda pair: pair[0].p95)
        about = {"table": table, "n_runs": len(of_table), "run_id": batch.run_id}
        yield Note("EventsLate", {**about, **asdict(latency)})


def _promised(table: Table) -> float | None:
    bounds = [g.maximum for g in table.gates if g.measure == "latency" and g.maximum is not None]
    return 60.0 * float(min(bounds)) if bounds else None
