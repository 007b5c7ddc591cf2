"""Compaction, removal of old files and history, ours and a platform's own: readers notice nothing."""

from __future__ import annotations

import os
import shutil
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb
import polars as pl
import pytest
from deltalake import DeltaTable
from pyspark.sql import functions as F

from engage_spark.contract import judged_table, system_contract
from engage_spark.errors import GateError, PermanentError
from engage_spark.lake import Lake
from engage_spark.lake.locks import table_lock
from engage_spark.lake.maintenance import few_listing_tasks, table_history
from engage_spark.pipelines.features import run_features
from engage_spark.pipelines.ingest.run import run_ingest
from engage_spark.pipelines.stored_tables import stored_tables_of
from engage_spark.pipelines.tables import busy_tables
from engage_spark.pipelines.tables.history import list_table_history
from engage_spark.pipelines.tables.optimize import run_optimize
from engage_spark.pipelines.tables.vacuum import run_vacuum
from engage_spark.settings import Settings
from tests.support.deliveries import (
    BIKES,
    content,
    deliver,
    deliver_log,
    events,
    run_log,
    settings_of,
    stations,
)
from tests.support.delta_files import live_files, protocol, rows, tables
from tests.support.kill_harness import killed_at

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

pytestmark = pytest.mark.slow
DAY, NEXT = "2025-10-21", "2025-10-22"
RIDES = BIKES.table("rides")


@pytest.fixture(scope="module")
def settings(session_settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    made = settings_of(session_settings, tmp_path_factory.mktemp("kept lake"), landed_at=f"{NEXT}T12:00:00Z")
    made = made.model_copy(update={"lake": made.lake.model_copy(update={"constraints": True})})
    return made.model_copy(update={"lake": made.lake.model_copy(update={"retention_days": 0})})


def home(settings: Settings) -> Path:
    return Path(settings.lake.root or "").parent


def ingest(spark: SparkSession, settings: Settings, day: str, seed: int) -> None:
    deliver(stations(40, seed=seed), BIKES, home(settings), day)
    run_ingest(spark, settings, contract=BIKES)


@pytest.fixture(scope="module")
def lake(spark: SparkSession, settings: Settings) -> Lake:
    """Two days; of the first a run that another replaced, then a killed one; of the second a rejected one."""
    where = home(settings)
    pairs: list[tuple[str | None, str | None]] = [(f"ST{i:04d}", f"ST{i + 1:04d}") for i in range(30)]
    deliver_log(events(RIDES, pairs, [DAY]), RIDES, where)
    ingest(spark, settings, DAY, 1)
    ingest(spark, settings, DAY, 2)
    run_features(spark, settings, contract=BIKES)
    shutil.rmtree(where / "raw" / "rides")
    deliver(stations(40, seed=3), BIKES, where, DAY)
    assert killed_at("commit runs", lambda: run_ingest(spark, settings, contract=BIKES))
    deliver(stations(40, seed=2), BIKES, where, DAY)
    run_ingest(spark, settings, contract=BIKES)
    ingest(spark, settings, NEXT, 4)
    faulty = stations(40, seed=5)
    faulty.loc[: len(faulty) // 2, "operator_owner"] = "nobody"
    deliver(faulty, BIKES, where, NEXT)
    with pytest.raises(GateError):
        run_ingest(spark, settings, contract=BIKES)
    return Lake(settings.lake)


def seen(spark: SparkSession, settings: Settings) -> dict[str, str]:
    """What readers see of each table."""
    log, stations_table = run_log(settings), judged_table(BIKES.entity)
    by_day = log.read_published(spark, stations_table, stage="ingest:stations", day="snapshot_date")
    events_seen = log.read_published_log(spark, judged_table(RIDES), stage="ingest:rides")
    return {
        "stations": content(by_day),
        "rides": content(events_seen),
        "features": content(features(spark, settings)),
    }


def features(spark: SparkSession, settings: Settings) -> DataFrame:
    return Lake(settings.lake).read(spark, "station_features")


def runs_in(lake: Lake, name: str) -> set[str]:
    return {r["_run_id"] for r in rows(Path(lake.location(name)))}


@pytest.mark.connect
def test_tables_keep_the_retention_and_the_protocol_of_every_reader(
    spark: SparkSession, settings: Settings, lake: Lake
) -> None:
    root = Path(settings.lake.root or "")
    assert {"runs", "stations_judged", "rides_judged", "station_features"} <= set(tables(root))
    for name in tables(root):
        needed = protocol(root / name)
        assert needed["minReaderVersion"] == 1 and needed["minWriterVersion"] <= 3, (name, needed)
        assert not needed.get("readerFeatures") and not needed.get("writerFeatures"), name
        properties = spark.sql(f"DESCRIBE DETAIL {lake.sql_name(name)}").select("properties").head()[0]
        assert properties["delta.deletedFileRetentionDuration"] == "interval 0 days", name
        assert properties["delta.logRetentionDuration"] == "interval 0 days", name


@pytest.mark.connect
def test_tables_tell_other_readers_what_the_contract_says(
    settings: Settings, lake: Lake, tmp_path: Path
) -> None:
    root = Path(settings.lake.root or "")
    # Polars opens no Delta table below a folder with a blank in its name.
    plain = shutil.copytree(root, tmp_path / "lake")
    declared = {stored.name: stored.table for stored in stored_tables_of(BIKES)}
    for name in tables(root):
        table, stored = declared[name], DeltaTable(str(root / name))
        columns = {f.name: f.metadata for f in stored.schema().fields}
        assert {n: m["comment"] for n, m in columns.items()} == {f.name: f.description for f in table.fields}
        assert all(columns[f.name].get("unit") == f.unit for f in table.fields)
        assert all(columns[f.name].get("classification") == f.classification for f in table.fields)
        constraints = {k: v for k, v in stored.metadata().configuration.items() if "constraints" in k}
        assert constraints == lake.constraints(table) and constraints
        connection = duckdb.connect()
        connection.register("stored", stored.to_pyarrow_table())
        counted = connection.sql("SELECT count(*) FROM stored").fetchall()
        assert counted == [(pl.read_delta(str(plain / name)).height,)] == [(len(rows(root / name)),)]


def test_a_row_that_breaks_what_every_row_meets_is_refused_and_named(
    spark: SparkSession, settings: Settings, lake: Lake
) -> None:
    root, version = Path(settings.lake.root or ""), lake.version(spark, "runs")
    broken = lake.read(spark, "runs").limit(1).withColumn("rows_valid", F.lit(-1).cast("bigint"))
    with pytest.raises(PermanentError, match="engage_rows_valid_in_bounds") as caught:
        lake.append(broken, system_contract().table("runs"), tag="broken")
    assert "tables migrate" in (caught.value.hint or "")
    assert lake.version(spark, "runs") == version and rows(root / "runs")


@pytest.mark.connect
def test_maintenance_removes_what_nobody_sees_and_changes_nothing_that_is_seen(
    spark: SparkSession, settings: Settings, lake: Lake
) -> None:
    before, root = seen(spark, settings), Path(settings.lake.root or "")
    runs = run_log(settings).publication(spark)
    stage = "ingest:stations"
    kept = {r.run_id for (s, _), r in (*runs.published.items(), *runs.latest.items()) if s == stage}
    assert len(kept) == 3 < len(runs_in(lake, "stations_judged"))
    looked = run_optimize(spark, settings, contract=BIKES, dry_run=True)
    removable = {t.table: t.rows_removed for t in looked.tables}
    assert removable["stations_judged"] == 40 * (len(runs_in(lake, "stations_judged")) - 3)
    assert [n.code for n in looked.notes] == ["NothingChanged"]
    done = run_optimize(spark, settings, contract=BIKES)
    assert {t.table: t.rows_removed for t in done.tables} == removable
    assert runs_in(lake, "stations_judged") == kept
    assert len(live_files(root / "runs")) == 1 < {t.table: t.files_before for t in done.tables}["runs"]
    assert seen(spark, settings) == before
    again = run_optimize(spark, settings, contract=BIKES)
    assert sum(t.rows_removed for t in again.tables) == 0
    assert [t.files_before for t in again.tables] == [t.files_after for t in again.tables]

    dead, alive, other = (root / "_scratch" / name for name in ("0" * 32, "1" * 32, "of another program"))
    for folder in (dead, alive, other):
        folder.mkdir(parents=True)
    os.utime(dead, (0, 0))
    os.utime(other, (0, 0))
    marks = {p.name for p in (root / "_landings").iterdir() if not p.name.startswith(".")}
    looked_at = run_vacuum(spark, settings, contract=BIKES, dry_run=True)
    # That of the killed attempt stays: its delivery may come again.
    assert (looked_at.scratch_folders, looked_at.landings) == (1, len(marks) - 1)
    assert {t.table: t.files_removed for t in looked_at.tables}["stations_judged"] >= 1 and dead.exists()
    vacuumed = run_vacuum(spark, settings, contract=BIKES)
    assert (vacuumed.scratch_folders, vacuumed.landings) == (looked_at.scratch_folders, looked_at.landings)
    assert not dead.exists() and alive.exists() and other.exists()
    left = {p.name.strip(".").removesuffix(".crc") for p in (root / "_landings").iterdir()}
    assert len(left) == 1 and left <= marks
    for name in tables(root):
        stored = {
            str(p.relative_to(root / name))
            for p in (root / name).rglob("*.parquet")
            if "_delta_log" not in p.parts
        }
        assert len(stored) == len(live_files(root / name)), name
    assert seen(spark, settings) == before
    result = run_ingest(spark, settings, contract=BIKES, snapshot_date=date.fromisoformat(DAY))
    assert [s.published for s in result.snapshots] == [True] and seen(spark, settings) == before


def test_files_with_ranges_of_keys_hold_the_same_rows(
    spark: SparkSession, settings: Settings, lake: Lake
) -> None:
    before, version = seen(spark, settings), lake.version(spark, "rides_judged")
    run_optimize(spark, settings, contract=BIKES, by_key=True)
    operations = [v.operation for v in table_history(spark, lake, "rides_judged", limit=1)]
    assert operations == ["OPTIMIZE"] and lake.version(spark, "rides_judged") != version
    assert seen(spark, settings) == before


def test_a_platforms_own_maintenance_breaks_no_reader(
    spark: SparkSession, settings: Settings, lake: Lake
) -> None:
    before = seen(spark, settings)
    for name in ("stations_judged", "rides_judged", "station_features", "runs"):
        spark.sql(f"OPTIMIZE {lake.sql_name(name)}").collect()
        with few_listing_tasks(spark):
            spark.sql(f"VACUUM {lake.sql_name(name)} RETAIN 0 HOURS").collect()
    assert seen(spark, settings) == before
    spark.sql(f"DELETE FROM {lake.sql_name('rides_judged')} WHERE from_station = 'ST0003'").collect()
    log = run_log(settings).read_published_log(spark, judged_table(RIDES), stage="ingest:rides")
    assert log.count() == 29


def test_history_names_the_runs_that_made_the_versions(
    spark: SparkSession, settings: Settings, lake: Lake
) -> None:
    ingest(spark, settings, "2025-10-20", 7)
    (of_stations,) = list_table_history(spark, settings, contract=BIKES, table="stations", limit=1).tables
    (newest,) = of_stations.versions
    assert of_stations.table == "stations_judged" and of_stations.n_versions > 1
    assert (newest.stage, newest.status, newest.rows) == ("ingest:stations", "published", 40)
    every = {t.table for t in list_table_history(spark, settings, contract=BIKES).tables}
    assert every == {"stations_judged", "rides_judged", "station_features", "runs"}


def test_a_table_that_a_stage_writes_is_left_out_by_name(
    spark: SparkSession, settings: Settings, lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(busy_tables, "PATIENCE", 0.0)
    with table_lock(spark, lake, "stations_judged"):
        result = run_optimize(spark, settings, contract=BIKES)
    assert [n.code for n in result.notes] == ["TablesBusy"]
    assert "stations_judged" not in {t.table for t in result.tables}
    assert "station_features" in {t.table for t in result.tables}
