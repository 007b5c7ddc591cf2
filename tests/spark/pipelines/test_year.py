"""A year of days in one lake: the last days cost what the first ones cost, and few files stay."""

from __future__ import annotations

import os
import statistics
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import pytest

from engage_spark.pipelines.ingest.run import run_ingest
from engage_spark.pipelines.tables.optimize import run_optimize
from engage_spark.pipelines.tables.vacuum import run_vacuum
from tests.support.deliveries import BIKES, deliver, deliver_log, events, settings_of, stations
from tests.support.spark_jobs import jobs_of

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from engage_spark.settings import Settings

DAYS = int(os.environ.get("YEAR_DAYS", "365"))
N_STATIONS, WINDOW, UPKEEP = 100, 5, max(1, min(30, DAYS // 3))
"""Customers, days whose median is taken, and days after which the tables are looked after."""
A_DAY = timedelta(days=1)


class DayCost(NamedTuple):
    """What one ingest took."""

    seconds: float
    jobs: int
    files_read: int


def files_read(spark: SparkSession, since: int) -> tuple[int, int]:
    """Return how many files the queries after the first `since` ones read, and the number of the next."""
    store = cast(Any, spark)._jsparkSession.sharedState().statusStore()
    executions = store.executionsList()
    ids = [executions.apply(i).executionId() for i in range(executions.size())]
    n_files = 0
    for execution_id in (i for i in ids if i >= since):
        execution = store.execution(execution_id).get()
        metrics, values = execution.metrics(), store.executionMetrics(execution_id)
        for i in range(metrics.size()):
            metric = metrics.apply(i)
            if metric.name() == "number of files read" and values.contains(metric.accumulatorId()):
                n_files += int(str(values.apply(metric.accumulatorId())).replace(",", ""))
    return n_files, max(ids, default=-1) + 1


def age(lake: Path) -> None:
    """Let the files of the tables' logs be a day older: Delta removes those of whole days that are over."""
    for path in lake.glob("*/_delta_log/*"):
        if path.is_file():
            older = path.stat().st_mtime - A_DAY.total_seconds()
            os.utime(path, (older, older))


def n_files(lake: Path) -> int:
    """Count all files but the checksums that Hadoop writes on local disks alone."""
    return sum(p.is_file() and not p.name.startswith(".") for p in lake.rglob("*"))


@pytest.mark.long
@pytest.mark.timeout(7000)
def test_a_year_of_days(spark: SparkSession, session_settings: Settings, tmp_path: Path) -> None:
    made = settings_of(session_settings, tmp_path)
    settings = made.model_copy(update={"lake": made.lake.model_copy(update={"retention_days": 0})})
    table, lake = BIKES.table("rides"), tmp_path / "lake"
    ends = [(f"ST{i:04d}", f"ST{(i + 1) % N_STATIONS:04d}") for i in range(N_STATIONS)]
    first = datetime.now(UTC).date() - DAYS * A_DAY
    costs: list[DayCost] = []
    kept: dict[int, int] = {}
    _, queries = files_read(spark, 0)
    for number in range(1, DAYS + 1):
        day = first + (number - 1) * A_DAY
        deliver(stations(N_STATIONS, seed=number % 7), BIKES, tmp_path, day.isoformat())
        deliver_log(events(table, ends, [day.isoformat()], seed=number), table, tmp_path)  # type: ignore[arg-type]
        started = time.monotonic()
        jobs = jobs_of(spark, lambda: run_ingest(spark, settings, contract=BIKES))
        seconds = time.monotonic() - started
        n_read, queries = files_read(spark, queries)
        costs.append(DayCost(seconds, jobs, n_read))
        age(lake)
        if number % UPKEEP == 0 or number == DAYS:
            started = time.monotonic()
            run_optimize(spark, settings, contract=BIKES)
            run_vacuum(spark, settings, contract=BIKES)
            kept[number] = n_files(lake)
            print(
                f"day {number}: {kept[number]} files, {costs[-1]}, upkeep {time.monotonic() - started:.1f} s"
            )
    early, late = costs[10 - WINDOW : 10 + WINDOW], costs[-UPKEEP:]
    for name in DayCost._fields:
        values = [[getattr(cost, name) for cost in of] for of in (early, late)]
        print(name, *(f"{statistics.median(v):g} ({min(v):g} to {max(v):g})" for v in values), sep="; ")
    seconds = [statistics.median(c.seconds for c in of) for of in (early, late)]
    assert seconds[1] <= 1.5 * seconds[0], seconds
    assert max(c.jobs for c in late) <= max(c.jobs for c in early)
    days = sorted(kept)
    assert (kept[days[-1]] - kept[days[0]]) / (days[-1] - days[0]) <= 8, kept
