"""Runs: what became of every attempt of every stage."""

from __future__ import annotations

import time
from datetime import date

from pyspark.sql import SparkSession

from engage_spark.contract import Contract
from engage_spark.lake import Lake, RunLog
from engage_spark.lake.run_log import RUNS
from engage_spark.pipelines.results import Report
from engage_spark.settings import Settings


def run(
    spark: SparkSession,
    settings: Settings,
    *,
    contract: Contract,  # noqa: ARG001
    snapshot_date: date | None = None,
) -> Report:
    """List the attempts, of one snapshot or of all, oldest first. One scan of a small table. `contract` is
    not needed: runs are shared.
    """
    started = time.monotonic()
    lake = Lake(settings.lake)
    attempts = [a for a in RunLog(lake).attempts(spark) if snapshot_date in (None, a.snapshot_date)]
    rows = tuple(
        (str(a.snapshot_date), a.stage, f"{a.attempt}", f"{a.rows_in:,}", f"{a.rows_quarantined:,}", a.status)
        for a in attempts
    )
    notes = tuple(
        f"{a.stage} of {a.snapshot_date}, attempt {a.attempt}: {a.message}" for a in attempts if a.message
    )
    return Report(
        stage="runs",
        seconds=time.monotonic() - started,
        lines=(("attempts", f"{len(attempts):,}"), ("published", f"{sum(a.published for a in attempts):,}")),
        table=(("snapshot", "stage", "attempt", "rows in", "quarantined", "status"), rows) if rows else None,
        locations={RUNS: lake.location(RUNS)},
        notes=notes,
    )
