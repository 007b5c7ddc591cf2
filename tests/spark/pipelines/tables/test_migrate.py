"""A lake survives its contract, and an older version of the package."""

from __future__ import annotations

import re
import shutil
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd
import polars as pl
import pytest
from deltalake import DeltaTable
from pyspark.sql import functions as F
from pyspark.sql import types as T

from engage_spark.contract import Contract, judged_table, load_contract
from engage_spark.errors import ConfigurationError
from engage_spark.lake import Lake
from engage_spark.pipelines.features import run_features
from engage_spark.pipelines.ingest.run import run_ingest
from engage_spark.pipelines.tables.migrate import run_migrate
from engage_spark.settings import Settings
from engage_spark.spark.schema import is_widening, spark_type
from tests.support.deliveries import BIKES, deliver, deliver_log, events, run_log, settings_of, stations
from tests.support.delta_files import live_files, protocol, rows
from tests.support.paths import DATA

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

DAY, NEXT = "2025-10-21", "2025-10-22"


@pytest.fixture(scope="module")
def settings(
    spark: SparkSession, session_settings: Settings, tmp_path_factory: pytest.TempPathFactory
) -> Settings:
    home = tmp_path_factory.mktemp("migrate")
    made = settings_of(session_settings, home, landed_at=f"{NEXT}T12:00:00Z")
    deliver(stations(30), BIKES, home, DAY)
    run_ingest(spark, made, contract=BIKES)
    run_features(spark, made, contract=BIKES)
    described = run_migrate(spark, made, contract=BIKES, apply=True).steps
    assert {s.table for s in described} == {"stations_judged", "station_features", "runs"}
    assert {(s.kind, s.change) for s in described} == {("describe", "descriptions of the table")}
    return made


def changed(tmp_path: Path, *changes: tuple[str, str]) -> Contract:
    text = (DATA / "bikes.odcs.yaml").read_text(encoding="utf-8")
    for old, new in changes:
        text, n = re.subn(old, new, text, count=1)
        assert n == 1, old
    path = tmp_path / "changed.odcs.yaml"
    path.write_text(text, encoding="utf-8")
    return load_contract(path)


NEW_FIELD = (
    r"      - name: docks_total\n",
    """      - name: panels
        description: "Solar panels."
        logicalType: integer
        physicalType: int
        customProperties:
          - {property: role, value: feature}
      - name: docks_total
""",
)
WIDER = (
    r'(name: docks_total\n        description: "Docks built."\n.*\n        physicalType: )int',
    r"\1bigint",
)


def root(settings: Settings) -> Path:
    return Path(settings.lake.root or "")


def deliver_as(contract: Contract, settings: Settings, day: str) -> None:
    some = stations(30, seed=3)
    for name in contract.entity.names:
        if name not in some:
            some[name] = 2
    deliver(some, contract, root(settings).parent, day)


def test_a_new_nullable_field_is_taken_up_by_the_next_write(
    spark: SparkSession, settings: Settings, tmp_path: Path
) -> None:
    contract = changed(tmp_path, NEW_FIELD)
    looked = run_migrate(spark, settings, contract=contract)
    assert [(s.table, s.kind) for s in looked.steps] == [("stations_judged", "add")] and not looked.applied
    deliver_as(contract, settings, NEXT)
    run_ingest(spark, settings, contract=contract, snapshot_date=date.fromisoformat(NEXT))
    stored = rows(root(settings) / "stations_judged")
    assert {(r["snapshot_date"], r.get("panels")) for r in stored} == {(DAY, None), (NEXT, 2)}
    assert protocol(root(settings) / "stations_judged")["minReaderVersion"] == 1
    # The day before is still published, and nothing hides it.
    log = run_log(settings)
    visible = log.read_published(
        spark, judged_table(contract.entity), stage="ingest:stations", day="snapshot_date"
    )
    assert visible.where(f"snapshot_date = DATE'{DAY}'").count() == 30
    assert run_migrate(spark, settings, contract=contract).steps == ()
    assert [s.kind for s in run_migrate(spark, settings, contract=BIKES).steps] == ["unused"]
    # Without the field again, ingest names what it leaves null from now on.
    again = run_ingest(spark, settings, contract=BIKES, snapshot_date=date.fromisoformat(NEXT))
    assert [n.facts["examples"] for n in again.notes if n.code == "ColumnsNotDeclared"] == [("panels",)]


def test_a_wider_type_is_refused_by_stages_and_migrated(
    spark: SparkSession, settings: Settings, tmp_path: Path
) -> None:
    contract = changed(tmp_path, NEW_FIELD, WIDER)
    deliver_as(contract, settings, NEXT)
    with pytest.raises(ConfigurationError) as refused:
        run_ingest(spark, settings, contract=contract, snapshot_date=date.fromisoformat(NEXT))
    assert "engage-spark tables migrate" in (refused.value.hint or "")
    before = {r["station_code"]: r["docks_total"] for r in rows(root(settings) / "stations_judged")}
    looked = run_migrate(spark, settings, contract=contract)
    assert {(s.kind, s.change) for s in looked.steps if s.kind == "widen"} == {
        ("widen", "docks_total: int becomes bigint")
    }
    done = run_migrate(spark, settings, contract=contract, apply=True)
    assert (
        done.applied
        and {r["station_code"]: r["docks_total"] for r in rows(root(settings) / "stations_judged")} == before
    )
    assert Lake(settings.lake).read(spark, "stations_judged").schema["docks_total"].dataType == T.LongType()
    assert all(len(v) == 2 for v in live_files(root(settings) / "stations_judged").values())
    run_ingest(spark, settings, contract=contract, snapshot_date=date.fromisoformat(NEXT))
    assert protocol(root(settings) / "stations_judged")["minReaderVersion"] == 1


def test_what_would_change_values_is_refused_and_nothing_is_changed(
    spark: SparkSession, settings: Settings, tmp_path: Path
) -> None:
    text = (
        r"(name: mean_ride_km\n.*\n        logicalType: )number(\n        physicalType: )double",
        r"\1integer\2int",
    )
    contract = changed(tmp_path, text)
    version = Lake(settings.lake).version(spark, "stations_judged")
    with pytest.raises(ConfigurationError, match="cannot be brought") as refused:
        run_migrate(spark, settings, contract=contract, apply=True)
    assert any("mean_ride_km: double becomes int" in d for d in refused.value.details)
    assert Lake(settings.lake).version(spark, "stations_judged") == version


@pytest.mark.parametrize(
    ("narrow", "wide", "expected"),
    [
        ("int", "bigint", True), ("bigint", "int", False), ("float", "double", True),
        ("int", "string", False),
        ("decimal(10,2)", "decimal(12,2)", True), ("decimal(10,2)", "decimal(12,4)", True),
        ("decimal(10,2)", "decimal(11,4)", False), ("array<int>", "array<bigint>", True),
        ("array<struct<a:int>>", "array<struct<a:int,b:string>>", True),
        ("array<struct<a:int,b:string>>", "array<struct<a:int>>", False),
    ],
)  # fmt: skip
def test_a_type_is_wider_where_it_holds_every_value(narrow: str, wide: str, expected: bool) -> None:
    assert is_widening(spark_type(narrow), spark_type(wide)) is expected


def test_a_lake_of_an_older_layout_is_refused_by_stages_and_migrated(
    spark: SparkSession, settings: Settings, session_settings: Settings, tmp_path: Path
) -> None:
    """The layout before tables were partitioned by run, `runs` without the columns that came with it, and a
    log whose events a rejected delivery had replaced: readers saw the version before.
    """
    old = settings_of(session_settings, tmp_path, landed_at=f"{NEXT}T12:00:00Z")
    old = old.model_copy(update={"lake": old.lake.model_copy(update={"constraints": True})})
    table = BIKES.table("rides")
    ends: list[tuple[str | None, str | None]] = [(f"ST{i:04d}", f"ST{i + 1:04d}") for i in range(20)]
    deliver(stations(30), BIKES, tmp_path, DAY)
    first = events(table, ends, [DAY])
    deliver_log(first, table, tmp_path)
    run_ingest(spark, old, contract=BIKES)
    lake = Lake(old.lake)
    expected = {
        name: sorted(repr(r) for r in rows(root(old) / name)) for name in ("stations_judged", "rides_judged")
    }
    for name, dropped, parts in (
        ("stations_judged", (), ["snapshot_date"]),
        ("rides_judged", ("_replaced_by",), ["event_date"]),
        ("runs", ("kind", "rows_repeated", "rows_erased", "first_event"), []),
    ):
        stored = lake.read(spark, name)
        written = spark.createDataFrame(stored.drop(*dropped).collect(), stored.drop(*dropped).schema)
        shutil.rmtree(root(old) / name)
        written.write.format("delta").partitionBy(*parts).save(lake.location(name))
    rejected = lake.read(spark, "rides_judged").limit(3).withColumn("_run_id", F.lit("0" * 32))
    rejected = spark.createDataFrame(rejected.collect(), rejected.schema)
    rejected.write.format("delta").mode("overwrite").save(lake.location("rides_judged"))
    with pytest.raises(ConfigurationError) as refused:
        run_features(spark, old, contract=BIKES)
    assert "engage-spark tables migrate" in (refused.value.hint or "")
    steps = run_migrate(spark, old, contract=BIKES, apply=True).steps
    assert {(s.table, s.kind) for s in steps} == {
        ("stations_judged", "layout"), ("rides_judged", "layout"), ("rides_judged", "add"), ("runs", "add"),
        *((name, kind) for name in ("stations_judged", "rides_judged", "runs")
          for kind in ("describe", "constrain")),
    }  # fmt: skip
    assert run_migrate(spark, old, contract=BIKES).steps == ()
    for name, before in expected.items():
        assert sorted(repr(r) for r in rows(root(old) / name)) == before, name
    assert run_features(spark, old, contract=BIKES).rows == 30
    assert sorted(r["kind"] for r in rows(root(old) / "runs")) == ["log", "snapshot", "snapshot"]
    # The log goes on: what it holds already is left out.
    more = events(table, [("ST0001", "ST0009")], [DAY], seed=2)
    deliver_log(pd.concat([first, more]), table, tmp_path)
    (run,) = (s for s in run_ingest(spark, old, contract=BIKES).snapshots if s.table == "rides")
    shown = run_log(old).read_published_log(spark, judged_table(table), stage="ingest:rides")
    assert (run.valid, shown.count()) == (1, 21)


@pytest.mark.connect
def test_descriptions_constraints_and_change_feed_become_as_they_are_set(
    spark: SparkSession, session_settings: Settings, tmp_path: Path
) -> None:
    """A lake without constraints, a description of before, and another writer's row without a run."""
    plain = settings_of(session_settings, tmp_path, landed_at=f"{NEXT}T12:00:00Z")
    made = plain.model_copy(update={"lake": plain.lake.model_copy(update={"constraints": True})})
    deliver(stations(30), BIKES, tmp_path, DAY)
    run_ingest(spark, plain, contract=BIKES)
    lake, table = Lake(made.lake), root(made) / "stations_judged"
    assert protocol(table)["minWriterVersion"] == 2
    run_migrate(spark, plain, contract=BIKES, apply=True)
    spark.sql(f"COMMENT ON TABLE {lake.sql_name('runs')} IS 'of before'").collect()
    strange = lake.read(spark, "stations_judged").limit(1).withColumn("_run_id", F.lit(None).cast("string"))
    strange.write.format("delta").mode("append").save(lake.location("stations_judged"))
    fed = made.model_copy(update={"lake": made.lake.model_copy(update={"change_feed": True})})
    looked = {(s.table, s.kind): s.change for s in run_migrate(spark, fed, contract=BIKES).steps}
    assert set(looked) == {
        *((name, kind) for name in ("stations_judged", "runs") for kind in ("constrain", "property")),
        ("runs", "describe"), ("stations_judged", "unmet"),
    }  # fmt: skip
    assert "engage_run_not_null: 1 stored rows break it" in looked["stations_judged", "unmet"]
    run_migrate(spark, fed, contract=BIKES, apply=True)
    left = [(s.table, s.kind) for s in run_migrate(spark, fed, contract=BIKES).steps]
    assert left == [("stations_judged", "unmet")]
    needed = protocol(root(made) / "runs")
    assert needed["minReaderVersion"] == 1 and not needed.get("readerFeatures")
    assert DeltaTable(str(root(made) / "runs")).metadata().description.startswith("One")
    deliver(stations(30, seed=3), BIKES, tmp_path, NEXT)
    version = lake.version(spark, "stations_judged")
    run_ingest(spark, fed, contract=BIKES)
    changes = spark.read.format("delta").option("readChangeFeed", "true")
    changes = changes.option("startingVersion", (version or 0) + 1)
    assert changes.load(lake.location("stations_judged")).groupBy("_change_type").count().collect() == [
        ("insert", 30)
    ]
    assert not (table / "_change_data").exists(), "a day that is added costs no files of changes"
    assert pl.read_delta(str(table)).height == DeltaTable(str(table)).to_pyarrow_table().num_rows == 61
