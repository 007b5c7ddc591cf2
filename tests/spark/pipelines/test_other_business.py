"""The contract of a bike-sharing scheme goes all the way without a line of code for it: reruns, other
partitionings, kills, logs.
"""

from __future__ import annotations

import shutil
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd
import pytest
from pyspark.sql import functions as F

from engage_spark.contract import judged_table, tracked_table
from engage_spark.errors import ConfigurationError
from engage_spark.lake import Lake, RunLog
from engage_spark.pipelines import features
from engage_spark.pipelines.ingest import run as ingest
from tests.support.deliveries import (
    BIKES,
    content,
    deliver,
    deliver_log,
    events,
    latest,
    reasons,
    run_log,
    settings_of,
    stations,
    sums,
)
from tests.support.spark_jobs import jobs_of

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

    from engage_spark.settings import Settings

DAY = "2025-10-21"
RIDES = BIKES.table("rides")
STATIONS, RIDES_STAGE = "ingest:stations", "ingest:rides"
RUN = ("_run_id",)
EARLY = ["2025-10-01", "2025-10-03"]
STAGES = {"ingest": ingest.run_ingest, "features": features.run_features}
JOBS = {"ingest": 50, "features": 40}


def with_faults(seed: int = 1) -> pd.DataFrame:
    rows = stations(60, seed=seed)
    rows.loc[[1, 2], "station_code"] = rows.loc[0, "station_code"]
    rows.loc[3, "station_code"] = None
    rows.loc[4, "operator_owner"] = "somebody"
    rows.loc[5, "opened_on"] = None
    rows.loc[6, ["docks_total", "bikes_parked"]] = [20, 21]
    return rows


def rides(days: list[str], *, seed: int = 1) -> pd.DataFrame:
    pairs = [(f"ST{7 + i % 50:04d}", f"ST{8 + i % 50:04d}") for i in range(90)]
    return events(
        RIDES, [*pairs, *[("ST4444", "ST0009")] * 7, (None, "ST0010"), ("ST0006", "ST0004")], days, seed=seed
    )


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("bikes é %41")


@pytest.fixture(scope="module")
def settings(session_settings: Settings, home: Path) -> Settings:
    return settings_of(session_settings, home)


def table(spark: SparkSession, settings: Settings, name: str) -> DataFrame:
    return Lake(settings.lake).read(spark, name)


def seen(spark: SparkSession, settings: Settings, name: str) -> DataFrame:
    """The rows of a table that readers see."""
    log = run_log(settings)
    match name:
        case "rides_judged":
            return log.read_published_log(spark, judged_table(RIDES), stage=RIDES_STAGE)
        case "stations_judged":
            stored, stage = judged_table(BIKES.entity), STATIONS
        case _:
            stored, stage = tracked_table(BIKES.table(name)), f"features:{name}"
    return log.read_published(spark, stored, stage=stage, day="snapshot_date")


def contents(spark: SparkSession, settings: Settings, *, without: tuple[str, ...] = ()) -> dict[str, str]:
    return {
        n: content(seen(spark, settings, n), without=without)
        for n in ("stations_judged", "rides_judged", "station_features")
    }


def both(spark: SparkSession, settings: Settings, *, force: bool = False) -> None:
    ingest.run_ingest(spark, settings, contract=BIKES, force=force)
    features.run_features(spark, settings, contract=BIKES, force=force)


@pytest.fixture(scope="module")
def first(spark: SparkSession, settings: Settings, home: Path) -> dict[str, str]:
    """What the tables hold, without the run, after one delivery in one file per table."""
    deliver(with_faults(), BIKES, home, DAY)
    deliver_log(rides(EARLY), RIDES, home)
    both(spark, settings)
    return contents(spark, settings, without=RUN)


@pytest.mark.connect
def test_another_business_is_judged_and_derived(
    spark: SparkSession, settings: Settings, first: dict[str, str]
) -> None:
    assert sums(latest(spark, settings, STATIONS)) == {DAY: (60, 54, 6, "published")}
    assert sums(latest(spark, settings, RIDES_STAGE)) == {DAY: (99, 91, 8, "published")}
    assert reasons(table(spark, settings, "stations_judged"), "station_code") == {
        "ST0000": [["station_code.unique"]] * 3,
        None: [["station_code.not_null"]],
        "ST0004": [["operator_owner.allowed"]],
        "ST0005": [["opened_on.not_null"]],
        "ST0006": [["bikes_fit_docks"]],
    }
    made = table(spark, settings, "station_features").toPandas()
    rows = with_faults().set_index("station_code").drop(index=["ST0000", "ST0004", "ST0006", None])
    made = made.set_index("station_code").loc[rows.index]
    assert len(made) == 54
    assert (made.net_outflow == rows.rides_started - rows.rides_ended).all()
    assert abs(made.fill_share - (rows.bikes_parked / rows.docks_total).astype(float)).max() < 1e-12
    ages = pd.Series(
        [None if d is None else (date.fromisoformat(DAY) - d).days / 365.25 for d in rows.opened_on],
        rows.index,
        dtype=float,
    )
    assert abs(made.age_years - ages).max() < 1e-12
    assert made.age_years.isna().sum() == ages.isna().sum() == 1
    assert (
        made.drains_fast.tolist()
        == ((rows.bikes_parked < 0.5 * rows.docks_total) & (rows.rides_started > rows.rides_ended))
        .astype(int)
        .tolist()
    )


def test_a_quarantined_customer_of_a_log_is_known(
    spark: SparkSession, settings: Settings, first: dict[str, str]
) -> None:
    found = reasons(table(spark, settings, "rides_judged"), "from_station")
    assert found["ST4444"] == [["from_station.references"]] * 7
    assert found[None] == [["from_station.not_null"]]
    assert "ST0006" not in found


@pytest.mark.slow
def test_a_plain_rerun_leaves_the_very_same_rows(
    spark: SparkSession, settings: Settings, first: dict[str, str]
) -> None:
    before = contents(spark, settings)
    result = ingest.run_ingest(spark, settings, contract=BIKES)
    assert (result.snapshots, result.rows_in) == ((), 0)
    assert [n.code for n in result.notes] == ["SnapshotUpToDate", "LogUpToDate"]
    ingest.run_ingest(spark, settings, contract=BIKES, force=True)
    assert contents(spark, settings) == before
    attempts = run_log(settings).attempts(spark, STATIONS)
    assert [r.attempt for r in attempts] == [1, 2]
    assert len({r.run_id for r in attempts}) == 1


@pytest.mark.slow
def test_the_same_rows_in_other_files_give_the_same_tables(
    spark: SparkSession, spark_kind: str, settings: Settings, home: Path, first: dict[str, str]
) -> None:
    deliver(with_faults(), BIKES, home, DAY, files=7)
    deliver_log(rides(EARLY), RIDES, home, files=7)
    if spark_kind == "classic":
        jobs = {
            name: jobs_of(spark, lambda stage=stage: stage(spark, settings, contract=BIKES))
            for name, stage in STAGES.items()
        }
        assert jobs["ingest"] <= JOBS["ingest"], (
            "the jobs of two tables' ingest; their number must not follow files or rules"
        )
        assert jobs["features"] <= JOBS["features"]
    else:
        both(spark, settings)
    assert contents(spark, settings, without=RUN) == first
    assert len({r.run_id for r in run_log(settings).attempts(spark, STATIONS)}) == 2


def test_existing_days_can_be_refused(
    spark: SparkSession, settings: Settings, session_settings: Settings, home: Path, first: dict[str, str]
) -> None:
    deliver(with_faults(seed=5), BIKES, home, DAY)
    before = latest(spark, settings, STATIONS)[DAY]
    with pytest.raises(ConfigurationError, match=f"has a snapshot of {DAY} already") as e:
        ingest.run_ingest(spark, settings_of(session_settings, home, on_existing="refuse"), contract=BIKES)
    assert "ingest.on_existing=replace" in (e.value.hint or "")
    assert latest(spark, settings, STATIONS)[DAY] == before
    assert contents(spark, settings, without=RUN)["stations_judged"] == first["stations_judged"]


@pytest.mark.slow
def test_a_killed_attempt_is_invisible_and_a_rerun_heals_it(
    spark: SparkSession,
    settings: Settings,
    home: Path,
    first: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Another delivery of a published day dies before its row in `runs`."""
    shutil.rmtree(home / "raw" / "rides")
    before = contents(spark, settings)
    deliver(stations(58, seed=6), BIKES, home, DAY)
    with monkeypatch.context() as m:
        m.setattr(RunLog, "append", _die)
        with pytest.raises(KeyboardInterrupt):
            ingest.run_ingest(spark, settings, contract=BIKES)
    judged = judged_table(BIKES.entity)
    killed = table(spark, settings, judged.name).where(
        ~F.col("_run_id").isin([r.run_id for r in run_log(settings).attempts(spark)])
    )
    written = content(killed)
    assert contents(spark, settings) == before
    both(spark, settings)
    assert contents(spark, settings)[judged.name] == written, "the landing is of the killed run"
    assert seen(spark, settings, "station_features").count() == 58


def _die(*_: object) -> None:
    raise KeyboardInterrupt
