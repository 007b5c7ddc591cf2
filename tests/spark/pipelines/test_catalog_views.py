"""The views of Spark's own catalog show exactly what readers see: nothing rejected, killed or replaced."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd
import pytest

from engage_spark.contract import judged_table, tracked_table
from engage_spark.errors import ConfigurationError, GateError
from engage_spark.lake import Lake
from engage_spark.pipelines.analyze.run import run_analyze
from engage_spark.pipelines.features import run_features
from engage_spark.pipelines.ingest.run import run_ingest
from engage_spark.pipelines.stages import ANALYTICS
from engage_spark.pipelines.tables.migrate import run_migrate
from engage_spark.pipelines.tables.views import run_views
from engage_spark.settings import Settings
from tests.support.deliveries import BIKES, deliver, deliver_log, events, run_log, stations
from tests.support.kill_harness import killed_at

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pyspark.sql import SparkSession

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
DAY, NEXT = "2025-10-21", "2025-10-22"
RIDES = BIKES.table("rides")
OF_DAYS = {
    "stations": (judged_table(BIKES.entity), "ingest:stations"),
    "station_features": (tracked_table(BIKES.table("station_features")), "features:station_features"),
}


def of(seed: int) -> pd.DataFrame:
    return stations(12, seed=seed)


def rejected() -> pd.DataFrame:
    rows = of(9)
    rows["operator_owner"] = "nobody"
    return rows


def rides(seed: int, n: int = 8) -> pd.DataFrame:
    pairs: list[tuple[str | None, str | None]] = [(f"ST{i:04d}", f"ST{i + 1:04d}") for i in range(n)]
    return events(RIDES, [*pairs, ("ST4444", "ST0001")], [DAY], seed=seed)


def lake_settings(session_settings: Settings, home: Path, *, views: str | None = "shown") -> Settings:
    return Settings(
        input={"root": str(home / "raw")},
        lake={
            "catalog": "spark_catalog",
            "schema": "kept",
            "views": views,
            "scratch": str(home / "scratch"),
        },
        ingest={"landed_at": f"{NEXT}T12:00:00Z"},
        spark=session_settings.spark,
    )  # type: ignore[arg-type]


@pytest.fixture
def settings(spark: SparkSession, session_settings: Settings, tmp_path: Path) -> Iterator[Settings]:
    """A schema of the catalog for the tables; that of the views is made by the stages."""
    spark.sql("CREATE SCHEMA spark_catalog.kept").collect()
    yield lake_settings(session_settings, tmp_path)
    for schema in ("kept", "shown"):
        spark.sql(f"DROP SCHEMA IF EXISTS spark_catalog.{schema} CASCADE").collect()


def ingest(spark: SparkSession, settings: Settings) -> object:
    return run_ingest(spark, settings, contract=BIKES)


def shown(spark: SparkSession, name: str) -> list[str]:
    return sorted(repr(r) for r in spark.sql(f"SELECT * FROM spark_catalog.shown.{name}").collect())


def seen(spark: SparkSession, settings: Settings, name: str) -> list[str]:
    """What the package's own readers get, in the columns of the view."""
    if name == "rides":
        rows = run_log(settings).read_published_log(spark, judged_table(RIDES), stage="ingest:rides")
    else:
        table, stage = OF_DAYS[name]
        rows = run_log(settings).read_published(spark, table, stage=stage, day="snapshot_date")
    rows = rows.where("_dq_status = 'valid'") if "_dq_status" in rows.columns else rows
    return sorted(repr(r) for r in rows.select(*(c for c in rows.columns if not c.startswith("_"))).collect())


def assert_agree(spark: SparkSession, settings: Settings, *names: str) -> dict[str, list[str]]:
    of_views = {name: shown(spark, name) for name in names}
    assert of_views == {name: seen(spark, settings, name) for name in names}
    return of_views


def test_views_show_what_readers_see_whatever_happens(
    spark: SparkSession, settings: Settings, tmp_path: Path
) -> None:
    deliver(of(1), BIKES, tmp_path, DAY)
    deliver_log(rides(1), RIDES, tmp_path)
    ingest(spark, settings)
    run_features(spark, settings, contract=BIKES)
    names = ("stations", "rides", "station_features")
    first = assert_agree(spark, settings, *names)
    assert {name: len(rows) for name, rows in first.items()} == {
        "stations": 12, "rides": 8, "station_features": 12,
    }  # fmt: skip
    assert len(shown(spark, "rides_judged")) == 9, "quarantined rows have a view of their own"

    # a rejected day, and a replacement that is killed before its row in `runs`
    deliver(rejected(), BIKES, tmp_path, NEXT)
    with pytest.raises(GateError):
        ingest(spark, settings)
    deliver(of(2), BIKES, tmp_path, DAY)
    assert killed_at("row in runs of ingest:stations", lambda: ingest(spark, settings))
    assert Lake(settings.lake).read(spark, "stations_judged").count() == 36
    assert assert_agree(spark, settings, *names) == first

    # killed after it: the views show the rows of before, whole, until the next command, whatever it does
    assert killed_at("view stations", lambda: ingest(spark, settings))
    assert {name: shown(spark, name) for name in names} == first
    run_features(spark, settings, contract=BIKES)
    second = assert_agree(spark, settings, *names)
    assert second["stations"] != first["stations"] and second["rides"] == first["rides"]

    run_analyze(spark, settings, contract=BIKES)
    (analyzed,) = run_log(settings).publication(spark).visible("analyze").values()
    for name in analyzed.outputs:
        stored = Lake(settings.lake).read(spark, name).where(f"run_id = '{analyzed.run_id}'")
        assert len(shown(spark, name)) == stored.count() > 0, name
    assert {"rollups", "claims"} <= analyzed.outputs.keys() <= {*ANALYTICS}

    # replaced: the derived day is out of date, and nobody sees it until it is derived anew
    deliver(of(3), BIKES, tmp_path, DAY)
    deliver_log(pd.concat([rides(1), rides(2, 3)]), RIDES, tmp_path)
    ingest(spark, settings)
    third = assert_agree(spark, settings, *names)
    assert third["station_features"] == [] and len(third["rides"]) == 11
    assert shown(spark, "rollups") == shown(spark, "claims") == []
    run_features(spark, settings, contract=BIKES)
    assert len(assert_agree(spark, settings, *names)["station_features"]) == 12

    # made anew from nothing
    spark.sql("DROP SCHEMA spark_catalog.shown CASCADE").collect()
    made = run_views(spark, settings, contract=BIKES).views
    of_inputs = {"stations", "stations_judged", "rides", "rides_judged", "station_features"}
    assert of_inputs | analyzed.outputs.keys() == {v.name for v in made}
    assert_agree(spark, settings, *names)
    run_migrate(spark, settings, contract=BIKES, apply=True)
    assert_agree(spark, settings, *names)


def test_what_is_not_ours_keeps_its_name_and_stops_the_stage_before_it_works(
    spark: SparkSession, settings: Settings, session_settings: Settings, tmp_path: Path
) -> None:
    deliver(of(1), BIKES, tmp_path, DAY)
    spark.sql("CREATE SCHEMA spark_catalog.shown").collect()
    spark.sql("CREATE TABLE spark_catalog.shown.stations (n INT) USING delta").collect()
    with pytest.raises(
        ConfigurationError, match=r"shown\.stations is not a view that this package made"
    ) as e:
        ingest(spark, settings)
    assert "lake.views" in (e.value.hint or "")
    assert Lake(settings.lake).find(spark, "stations_judged") is None
    assert spark.table("spark_catalog.shown.stations").columns == ["n"]
    spark.sql("DROP TABLE spark_catalog.shown.stations").collect()
    spark.sql("CREATE VIEW spark_catalog.shown.stations AS SELECT 1 AS n").collect()
    with pytest.raises(ConfigurationError, match="is not a view that this package made"):
        ingest(spark, settings)

    without = lake_settings(session_settings, tmp_path, views=None)
    ingest(spark, without)
    assert spark.sql("SHOW VIEWS IN spark_catalog.shown").count() == 1
    with pytest.raises(ConfigurationError, match=r"lake\.views names no schema"):
        run_views(spark, without, contract=BIKES)
