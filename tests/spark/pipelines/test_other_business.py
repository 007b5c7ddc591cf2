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

from engage_spark.contract import judged_table
from engage_spark.errors import ConfigurationError, GateError, InputError, TransientError
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
JOBS = {"ingest": 40, "features": 40}


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


def contents(spark: SparkSession, settings: Settings, *, without: tuple[str, ...] = ()) -> dict[str, str]:
    return {
        n: content(table(spark, settings, n), without=without)
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
    assert content(table(spark, settings, "stations_judged"), without=RUN) == first["stations_judged"]


def killed_before_the_row_in_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    def dies(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(RunLog, "append", dies)


@pytest.mark.slow
def test_a_killed_attempt_is_invisible_and_a_rerun_heals_it(
    spark: SparkSession,
    settings: Settings,
    home: Path,
    first: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Another delivery of a published day dies, which has replaced the rows that were published."""
    shutil.rmtree(home / "raw" / "rides")
    deliver(stations(58, seed=6), BIKES, home, DAY)
    published = latest(spark, settings, STATIONS)
    with monkeypatch.context() as m:
        killed_before_the_row_in_runs(m)
        with pytest.raises(KeyboardInterrupt):
            ingest.run_ingest(spark, settings, contract=BIKES)
    log, judged = run_log(settings), judged_table(BIKES.entity)
    written = content(table(spark, settings, "stations_judged"))
    assert latest(spark, settings, STATIONS) == published
    assert log.read_published(spark, judged, stage=STATIONS, day="snapshot_date").count() == 0
    with pytest.raises(TransientError, match=f"stations_judged.*{DAY}") as e:
        features.run_features(spark, settings, contract=BIKES, force=True)
    assert "engage-spark ingest" in (e.value.hint or "")
    both(spark, settings)
    assert content(table(spark, settings, "stations_judged")) == written, "the landing is of the killed run"
    log = run_log(settings)
    assert log.read_published(spark, judged, stage=STATIONS, day="snapshot_date").count() == 58
    assert table(spark, settings, "station_features").count() == 58


@pytest.mark.slow
def test_logs_are_replaced_by_event_date(
    spark: SparkSession, settings: Settings, home: Path, first: dict[str, str]
) -> None:
    """A second delivery replaces the days it holds events of, and no other: neither those around nor those
    between.
    """

    def by_day() -> dict[str, int]:
        return {
            str(r[0]): r[1]
            for r in table(spark, settings, "rides_judged").groupBy("event_date").count().collect()
        }

    assert by_day() == {"2025-10-01": 50, "2025-10-03": 49}
    days = [*["2025-10-05"] * 3, *["1970-01-01"] * 2, *["2025-10-01"] * 3, None]
    deliver_log(rides(days, seed=2), RIDES, home)
    ingest.run_ingest(spark, settings, contract=BIKES)
    assert by_day() == {"2025-10-01": 33, "2025-10-03": 49, "2025-10-05": 33, "1970-01-01": 22, "None": 11}
    assert sums(latest(spark, settings, RIDES_STAGE))[DAY][0] == 99
    # What people see: the rows of both published attempts, the replaced days from the second.
    log, judged = run_log(settings), judged_table(RIDES)
    assert log.read_published_log(spark, judged, stage=RIDES_STAGE).count() == 148
    # A rejected delivery replaces days in the table, but not in what readers see.
    broken = rides(["2025-10-05"], seed=3)
    broken["bike_kind"] = "tricycle"
    deliver_log(broken, RIDES, home)
    with pytest.raises(GateError):
        ingest.run_ingest(spark, settings, contract=BIKES)
    assert (
        log.read_published_log(spark, judged, stage=RIDES_STAGE).where("event_date = '2025-10-05'").count()
        == 33
    )
    assert (
        table(spark, settings, "rides_judged")
        .where("event_date = '2025-10-05' AND _dq_status = 'quarantined'")
        .count()
        == 99
    )
    # So a later delivery of other days would hide what the rejected one replaced: it is refused until those
    # days are delivered again.
    deliver_log(rides(["2025-10-06"], seed=4), RIDES, home)
    with pytest.raises(
        InputError, match="events from 2025-10-05 to 2025-10-05 of an attempt that was rejected"
    ):
        ingest.run_ingest(spark, settings, contract=BIKES)
    deliver_log(rides(["2025-10-05", "2025-10-06"], seed=5), RIDES, home)
    ingest.run_ingest(spark, settings, contract=BIKES)
    assert by_day()["2025-10-06"] > 0
