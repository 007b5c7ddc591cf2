"""A key is erased from every place, stays away, and every stage still runs after it."""

from __future__ import annotations

import os
import re
import shutil
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd
import pyarrow.parquet as pq
import pytest
from pyspark.sql import functions as F

from engage_spark.contract import graph_spec_of, load_contract, splits_table
from engage_spark.errors import InputError, UsageError
from engage_spark.lake import Lake
from engage_spark.ml.data.split import check_splits, draw_splits, split_hash
from engage_spark.ml.feature_spec import Feature, FeatureSpec, LeakPolicy, Target, Task
from engage_spark.ml.leakage.duplicates import with_duplicates_together
from engage_spark.pipelines.features import run_features
from engage_spark.pipelines.graph.run import run_graph
from engage_spark.pipelines.ingest.run import run_ingest
from engage_spark.pipelines.stages import graph_stage
from engage_spark.pipelines.tables.forget import run_forget
from engage_spark.pipelines.tables.traces import mask_pattern
from engage_spark.pipelines.tables.vacuum import run_vacuum
from engage_spark.settings import Settings
from engage_spark.spark.schema import spark_schema
from tests.support.deliveries import BIKES, deliver, deliver_log, events, settings_of, stations, write
from tests.support.delta_files import digests, live_files, rows
from tests.support.kill_harness import killed_at, killed_before
from tests.support.paths import DATA

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

    from engage_spark.pipelines.results import ForgetResult

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
DAY, NEXT = "2025-10-21", "2025-10-22"
RIDES = BIKES.table("rides")
CHESS = load_contract(DATA / "chess.odcs.yaml")
GONE, OTHER, LONGER = "ST0003", "ST0004", "ST00031"


def bikes(home: Path, day: str, seed: int = 1) -> None:
    """A day on which the station breaks two rules, one of them with a value that only it has."""
    some = stations(40, seed=seed)
    some.loc[3, "district"] = "Atlantis"
    some.loc[5, "district"] = "Mu"
    some.loc[3, ["docks_total", "bikes_parked"]] = [20, 21]
    deliver(some, BIKES, home, day)


def with_retention(settings: Settings, days: int) -> Settings:
    return settings.model_copy(update={"lake": settings.lake.model_copy(update={"retention_days": days})})


def counts(result: ForgetResult) -> dict[str, tuple[int | None, int | None]]:
    return {p.place: (p.occurrences, p.remaining) for p in result.places}


def lake_of(settings: Settings) -> Path:
    return Path(settings.lake.root or "")


def old_traces(table: Path) -> int:
    """What shows the key outside the live files: rows of old files and of changes, and of the log its lines
    and the entries of its checkpoints.
    """
    files = [p for p in table.rglob("*.parquet") if str(p.relative_to(table)) not in live_files(table)]
    log = [line for p in table.glob("_delta_log/*.json") for line in p.read_text().split("\n")]
    for file in files:
        entries = pq.ParquetFile(file).read().to_pylist()
        log += [repr(e["add"]) if "add" in e else repr(e) for e in entries]
    return sum(re.search(rf"(?<!\w){GONE}(?!\w)", text) is not None for text in log)


def run_rows(settings: Settings) -> dict[tuple[str, str, int], tuple[int, int, int, int]]:
    return {
        (r["stage"], str(r["snapshot_date"]), r["attempt"]): (
            r["rows_in"], r["rows_valid"], r["rows_quarantined"], r["rows_erased"],
        )
        for r in rows(lake_of(settings) / "runs")
    }  # fmt: skip


@pytest.fixture(scope="module")
def base(
    spark: SparkSession, session_settings: Settings, tmp_path_factory: pytest.TempPathFactory
) -> Settings:
    """One published day with events and features, a picture and a temporary table."""
    home = tmp_path_factory.mktemp("forget")
    settings = with_retention(settings_of(session_settings, home, landed_at=f"{NEXT}T00:00:00Z"), 0)
    settings = settings.model_copy(update={"lake": settings.lake.model_copy(update={"change_feed": True})})
    bikes(home, DAY)
    pairs: list[tuple[str | None, str | None]] = [(f"ST{i:04d}", f"ST{i + 1:04d}") for i in range(10, 38)]
    pairs += [(GONE, OTHER), ("ST0020", GONE), ("ST4444", GONE)]
    deliver_log(events(RIDES, pairs, [DAY]), RIDES, home)
    run_ingest(spark, settings, contract=BIKES)
    run_features(spark, settings, contract=BIKES)
    pictures = lake_of(settings) / "_pictures"
    pictures.mkdir()
    (pictures / "graph-1.svg").write_text(f"<text>{GONE}</text>")
    (pictures / "graph-2.svg").write_text(f"<text>{LONGER}</text>")
    (lake_of(settings) / "_scratch" / ("0" * 32)).mkdir(parents=True)
    return settings


@pytest.fixture
def settings(base: Settings, tmp_path: Path) -> Settings:
    return copy_of(base, tmp_path / "copy")


def copy_of(base: Settings, root: Path) -> Settings:
    shutil.copytree(lake_of(base).parent, root)
    return base.model_copy(
        update={
            "input": base.input.model_copy(update={"root": str(root / "raw")}),
            "lake": base.lake.model_copy(update={"root": str(root / "lake")}),
            "tracking": base.tracking.model_copy(update={"folder": str(root / "mlflow")}),
        }
    )


@pytest.fixture(scope="module")
def forgotten(base: Settings, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """The lake from which the first of the two tests below erases the key."""
    return copy_of(base, tmp_path_factory.mktemp("forgotten") / "copy")


def test_a_key_goes_from_every_place(spark: SparkSession, forgotten: Settings) -> None:
    settings = forgotten
    rides = Lake(settings.lake).sql_name("rides_judged")
    spark.sql(f"ALTER TABLE {rides} SET TBLPROPERTIES ('delta.checkpointInterval' = '1')").collect()
    looked = counts(run_forget(spark, settings, contract=BIKES, key=[GONE], dry_run=True))
    expected = {"stations_judged": 1, "rides_judged": 3, "station_features": 0, "pictures": 1}
    assert {place: looked[place] for place in expected} == {p: (n, n) for p, n in expected.items()}
    old = {n: old_traces(lake_of(settings) / n) for n in ("stations_judged", "rides_judged", "runs")}
    assert {n: looked[f"old files of {n}"] for n in old} == {n: (left, left) for n, left in old.items()}
    assert old["stations_judged"] == old["runs"] == 0 < old["rides_judged"]
    others = [r for r in rows(lake_of(settings) / "stations_judged") if r["station_code"] != GONE]
    erased = run_forget(spark, settings, contract=BIKES, key=[GONE])
    now = counts(erased)
    assert {place: now[place] for place in expected} == {p: (n, 0) for p, n in expected.items()}
    assert all(
        left == 0 for place, (_, left) in now.items() if left is not None and not place.startswith("old ")
    )
    assert "HistoryHoldsKey" in {n.code for n in erased.notes}
    old = {n: old_traces(lake_of(settings) / n) for n in old}
    assert {n: now[f"old files of {n}"][1] for n in old} == old, "rows, changes, the log and its checkpoints"
    assert (lake_of(settings) / "rides_judged" / "_change_data").exists() and old["stations_judged"] == 2
    # a file that is written anew has columns of the feed of changes beside those of the table
    left = rows(lake_of(settings) / "stations_judged")
    assert [{name: r[name] for name in others[0]} for r in left] == others
    pictures = lake_of(settings) / "_pictures"
    assert [p.name for p in pictures.iterdir()] == ["graph-2.svg"]
    text = repr(rows(lake_of(settings) / "runs"))
    assert "Atlantis" not in text and "Mu" in text, "a value that only the erased row showed is gone, too"
    assert all(
        "ST0003" not in repr(rows(lake_of(settings) / n))
        for n in ("stations_judged", "rides_judged", "erased_keys")
    )

    for file in lake_of(settings).glob("*/_delta_log/*"):  # Delta removes those of earlier days
        os.utime(file, (0, 0))
    run_vacuum(spark, settings, contract=BIKES)
    proof = run_forget(spark, settings, contract=BIKES, key=[GONE], dry_run=True)
    assert sum(p.remaining or 0 for p in proof.places) == 0, proof.places
    assert all(old_traces(lake_of(settings) / name) == 0 for name in old)


def test_nothing_of_the_key_is_left_with_those_who_were_equal_to_it(
    spark: SparkSession, settings: Settings, tmp_path: Path
) -> None:
    key, seed, folds = ["station_code"], settings.models.seed, settings.models.folds
    features = (Feature(name="docks", table="stations", categorical=False),)
    target = Target(name="left", task=Task.BINARY, minimum=0, maximum=1, label_days=0, baseline=None)
    spec = FeatureSpec(target=target, policy=LeakPolicy.STRICT, features=features, excluded=())
    stations = [(k, DAY, docks, 0) for k, docks in ((GONE, 5.0), (OTHER, 5.0), (LONGER, 7.0))]
    alike = spark.createDataFrame(stations, "station_code string, day string, docks double, left int")
    new = draw_splits(alike, key=key, stratum=None, folds=folds, seed=seed)

    def materialize(frame: DataFrame, name: str) -> DataFrame:
        frame.write.parquet(f"{tmp_path}/{name}")
        return spark.read.parquet(f"{tmp_path}/{name}")

    together = with_duplicates_together(
        new, None, alike, specs=[spec], key=key, day="day", seed=seed, folds=folds, materialize=materialize
    )
    table, day = splits_table(BIKES), date.fromisoformat(DAY)
    stored = together.select("*", F.lit(day).alias("drawn_on"), F.lit("r").alias("_run_id"))
    Lake(settings.lake).append(stored.select(spark_schema(table).names), table, tag="r")
    before = {r["station_code"]: r for r in rows(lake_of(settings) / "splits")}
    assert before[GONE]["unit"] == before[OTHER]["unit"] is not None
    places = counts(run_forget(spark, settings, contract=BIKES, key=[GONE]))
    assert places["splits"] == (1, 0)
    after = {r["station_code"]: r for r in rows(lake_of(settings) / "splits")}
    assert after == {k: r for k, r in before.items() if k != GONE}
    of_key = spark.createDataFrame([(GONE,)], "station_code string").select(split_hash(key, seed)).collect()
    assert of_key[0][0] not in {r["unit"] for r in after.values()}
    left = Lake(settings.lake).read(spark, "splits")
    check_splits(left, key=key, folds=folds, seed=seed)


def test_it_stays_away_the_counts_follow_and_every_stage_goes_on(
    spark: SparkSession, forgotten: Settings
) -> None:
    settings = forgotten
    if not (lake_of(settings) / "erased_keys").exists():  # run by itself
        run_forget(spark, settings, contract=BIKES, key=[GONE])
    assert run_rows(settings)["ingest:stations", DAY, 1] == (40, 38, 1, 1)
    assert run_features(spark, settings, contract=BIKES, force=True).rows == 38
    home = lake_of(settings).parent
    bikes(home, NEXT, seed=2)
    ended = run_ingest(spark, settings, contract=BIKES, snapshot_date=date.fromisoformat(NEXT))
    left_out = {n.facts["table"]: n.facts["n_rows"] for n in ended.notes if n.code == "KeysLeftOut"}
    assert left_out == {"stations": 1, "rides": 3}
    assert run_rows(settings)["ingest:stations", NEXT, 1] == (40, 38, 1, 1)
    assert GONE not in {r["station_code"] for r in rows(lake_of(settings) / "stations_judged")}
    assert run_features(spark, settings, contract=BIKES).rows == 38
    again = run_forget(spark, settings, contract=BIKES, key=[f" {GONE.lower()} "])
    assert again.was_known and len(rows(lake_of(settings) / "erased_keys")) == 1


def test_killed_anywhere_the_same_command_ends_the_work(
    spark: SparkSession, settings: Settings, tmp_path: Path
) -> None:
    whole = shutil.copytree(lake_of(settings), tmp_path / "whole")
    other = settings.model_copy(update={"lake": settings.lake.model_copy(update={"root": str(whole)})})
    run_forget(spark, other, contract=BIKES, key=[GONE])
    number = 0
    while killed_before(number + 1, lambda: run_forget(spark, settings, contract=BIKES, key=[GONE])):
        number += 4  # each goes on where the one before was killed
    assert number >= 8
    assert digests(lake_of(settings)) == digests(Path(whole))


def test_keys_that_cannot_be_are_refused(spark: SparkSession, settings: Settings) -> None:
    with pytest.raises(UsageError, match="the key is station_code, and 2 values"):
        run_forget(spark, settings, contract=BIKES, key=["a", "b"])
    with pytest.raises(InputError, match="not of its declared type"):
        run_forget(spark, settings.model_copy(), contract=CHESS, key=["seven"])
    assert not (lake_of(settings) / "erased_keys").exists()


def test_a_graph_of_numbers_is_made_without_the_erased(
    spark: SparkSession, session_settings: Settings, tmp_path: Path
) -> None:
    settings = settings_of(session_settings, tmp_path, landed_at=f"{NEXT}T00:00:00Z")
    players = pd.DataFrame({"player_no": list(range(12)), "influence": [0.5] * 12})
    deliver(players, CHESS, tmp_path, DAY)
    ring: list[tuple[int, int]] = [(i, (i + 1) % 12) for i in range(12)]
    for table in CHESS.logs:
        write(events(table, ring, [DAY]), table, tmp_path / "raw" / table.name)  # type: ignore[arg-type]
    run_ingest(spark, settings, contract=CHESS)
    run_graph(spark, settings, contract=CHESS)
    forgotten = run_forget(spark, settings, contract=CHESS, key=["7"])
    places = counts(forgotten)
    assert (places["players_judged"], places["player_graph"]) == ((1, 0), (1, 0))
    assert places["acquaintances_judged"] == (2, 0)
    vertices = {r["player_no"] for r in rows(lake_of(settings) / "player_graph")}
    assert vertices == set(range(12)) - {7}, "published values of others stay"
    # measured again and killed between two tables: the figures of one measurement stay together
    before = _measured(settings)
    assert killed_at("commit player_graph", lambda: run_graph(spark, settings, contract=CHESS, force=True))
    assert _measured(settings) == before
    assert {n.code for n in run_graph(spark, settings, contract=CHESS).notes} == {"GraphUpToDate"}
    measured = run_graph(spark, settings, contract=CHESS, force=True)
    assert "MadeWithoutErased" in {n.code for n in measured.notes}
    assert (measured.snapshots[0].vertices, measured.snapshots[0].edges) == (11, 10)
    assert len(_measured(settings)) == 21
    assert {n.code for n in run_graph(spark, settings, contract=CHESS).notes} == {"GraphUpToDate"}


def _measured(settings: Settings) -> list[str]:
    """The rows of the published run of the graph."""
    spec = graph_spec_of(CHESS)
    published = [r for r in rows(lake_of(settings) / "runs") if r["stage"] == graph_stage(spec)]
    run_id = max(published, key=lambda r: (r["attempt"], r["finished_at"]))["run_id"]
    stored = (r for t in (spec.vertices, spec.edges) for r in rows(lake_of(settings) / t.name))
    return sorted(repr(r) for r in stored if r["_run_id"] == run_id)


def test_a_key_is_told_from_a_longer_one() -> None:
    import re

    pattern = mask_pattern(["CUST-1"]).replace(r"[\p{L}\p{N}]", r"\w").replace("(?iu)", "(?i)")
    for text, hit in (
        ("CUST-1", True),
        ("cust-1, x", True),
        ("CUST-12", False),
        ("ACUST-1", False),
        ('"CUST-1"', True),
    ):
        assert bool(re.search(pattern, text)) is hit, text


def test_nothing_is_written_by_a_look(spark: SparkSession, base: Settings) -> None:
    before = {p: p.stat().st_mtime_ns for p in lake_of(base).rglob("*") if p.is_file()}
    run_forget(spark, base, contract=BIKES, key=[GONE], dry_run=True)
    assert {p: p.stat().st_mtime_ns for p in lake_of(base).rglob("*") if p.is_file()} == before
    assert Lake(base.lake).find(spark, "erased_keys") is None
