"""List what became of every attempt of every stage."""

from __future__ import annotations

import time
from datetime import date

from pyspark.sql import SparkSession

from engage_spark.lake import Lake, RunLog
from engage_spark.pipelines.results import RunsResult, StageAttempt
from engage_spark.publication import RUNS
from engage_spark.settings import Settings


def list_runs(spark: SparkSession, settings: Settings, *, snapshot_date: date | None = None) -> RunsResult:
    """List the attempts, of one snapshot or of all, oldest first. Cost: one scan of a small table."""
    started = time.monotonic()
    lake = Lake(settings.lake)
    runs = [r for r in RunLog(lake).attempts(spark) if snapshot_date in (None, r.snapshot_date)]
    return RunsResult(
        stage="runs",
        seconds=time.monotonic() - started,
        locations={RUNS: lake.location(RUNS)},
        attempts=tuple(
            StageAttempt(
                stage=r.stage,
                snapshot_date=r.snapshot_date,
                attempt=r.attempt,
                run_id=r.run_id,
                status=r.status,
                rows_in=r.rows_in,
                valid=r.rows_valid,
                quarantined=r.rows_quarantined,
                message=r.message,
                started_at=r.started_at,
                seconds=r.seconds,
            )
            for r in runs
        ),
        published=sum(r.published for r in runs),
    )
