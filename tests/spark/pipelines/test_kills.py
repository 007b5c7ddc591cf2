"""Killed before any effect and run again: the same tables. Then another delivery, or back: what readers see.

Here a kill is an exception that nothing catches, in one session. tests/e2e/test_kills.py kills processes.
"""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd
import pytest

from engage_spark.contract import Contract, load_contract
from engage_spark.pipelines.analyze.run import run_analyze
from engage_spark.pipelines.features import run_features
from engage_spark.pipelines.graph.run import run_graph
from engage_spark.pipelines.ingest.run import run_ingest
from engage_spark.publication import Publication
from engage_spark.settings import Settings
from tests.support.deliveries import (
    BIKES,
    ENGAGEMENT,
    customers,
    deliver,
    deliver_log,
    events,
    run_log,
    settings_of,
    stations,
    write,
)
from tests.support.delta_files import digests, rows
from tests.support.kill_harness import Stage, effects_of, kill_everywhere, killed_before
from tests.support.paths import DATA

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

pytestmark = pytest.mark.slow
DAY, NEXT = "2025-10-21", "2025-10-22"
CHESS = load_contract(DATA / "chess.odcs.yaml")
RANDOM_KILLS = int(os.environ.get("RANDOM_KILLS", "50"))
A, B, C = "a", "b", "c"
"""Deliveries of one day, each in a folder of its own: their raw files are not copied with the lake."""


class Home:
    """Deliveries beside which lakes are made, and the stages on such a lake."""

    def __init__(
        self, spark: SparkSession, session_settings: Settings, home: Path, contract: Contract
    ) -> None:
        self.spark, self.home, self.contract = spark, home, contract
        self.session_settings = session_settings

    def settings(self, delivery: str, home: Path) -> Settings:
        made = settings_of(self.session_settings, self.home / delivery, landed_at=f"{NEXT}T12:00:00Z")
        return made.model_copy(update={"lake": made.lake.model_copy(update={"root": str(home / "lake")})})

    def stage(self, run: Callable[..., object], delivery: str = A) -> Stage:
        return lambda home: run(self.spark, self.settings(delivery, home), contract=self.contract)

    def ingest(self, delivery: str = A) -> Stage:
        return self.stage(run_ingest, delivery)

    def view(self, home: Path) -> dict[str, str]:
        """What readers see: the published rows of each table, without the run that made them."""
        publication: Publication = run_log(self.settings(A, home)).publication(self.spark)
        seen = {}
        for stage, table in (
            ("ingest:stations", "stations_judged"),
            ("features:station_features", "station_features"),
        ):
            visible = {r.run_id for r in publication.visible(stage).values()}
            path = home / "lake" / table
            of_table = [r for r in rows(path) if r["_run_id"] in visible] if path.exists() else []
            seen[table] = str(
                sorted(repr(sorted((k, v) for k, v in r.items() if k != "_run_id")) for r in of_table)
            )
        return seen


@pytest.fixture(scope="module")
def bikes(spark: SparkSession, session_settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> Home:
    home = tmp_path_factory.mktemp("kills")
    for seed, name in enumerate((A, B, C)):
        deliver(stations(20, seed=seed), BIKES, home / name, DAY)
    return Home(spark, session_settings, home, BIKES)


@pytest.fixture(scope="module")
def published(bikes: Home, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A lake in which delivery A is published."""
    base = tmp_path_factory.mktemp("published")
    bikes.ingest(A)(base)
    return base


def test_ingest_killed_before_any_effect_and_run_again_gives_the_same_tables(
    bikes: Home, published: Path, tmp_path: Path
) -> None:
    stage = bikes.ingest(B)
    report = kill_everywhere(published, tmp_path, killed=stage, then=stage)
    assert report.differences == []
    assert {"commit stations_judged", "commit runs"} <= set(report.effects)


def test_features_killed_before_any_effect_and_run_again_give_the_same_tables(
    bikes: Home, published: Path, tmp_path: Path
) -> None:
    stage = bikes.stage(run_features)
    report = kill_everywhere(published, tmp_path, killed=stage, then=stage)
    assert report.differences == []
    assert {"commit station_features", "commit runs"} <= set(report.effects)


@pytest.mark.parametrize("then", [C, A], ids=["another delivery", "rolled back"])
def test_killed_and_then_something_else_shows_what_that_alone_shows(
    bikes: Home, published: Path, tmp_path: Path, then: str
) -> None:
    """Only the kills just before and just after the commit of the data: the long test has all."""
    report = kill_everywhere(
        published,
        tmp_path,
        killed=bikes.ingest(B),
        then=bikes.ingest(then),
        view=bikes.view,
        chosen=lambda effects: [effects.index(e) for e in ("commit stations_judged", "commit runs")],
    )
    assert report.differences == [] and report.kills == 2


@pytest.mark.long
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("then", [B, C, A], ids=["same again", "another delivery", "rolled back"])
def test_every_kill_of_a_replacement(bikes: Home, published: Path, tmp_path: Path, then: str) -> None:
    def all_stages(delivery: str) -> Stage:
        def run(home: Path) -> None:
            bikes.ingest(delivery)(home)
            bikes.stage(run_features)(home)

        return run

    report = kill_everywhere(
        published, tmp_path, killed=all_stages(B), then=all_stages(then), view=bikes.view
    )
    assert report.differences == [] and len(report.effects) >= 6


@pytest.fixture(scope="module")
def chess(spark: SparkSession, session_settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> Home:
    home = tmp_path_factory.mktemp("chess")
    deliver(pd.DataFrame({"player_no": range(14), "influence": [0.5] * 14}), CHESS, home / A, DAY)
    ring: list[tuple[int, int]] = [(i, (i + 1) % 14) for i in range(14)]
    for table in CHESS.logs:
        write(events(table, ring, [DAY]), table, home / A / "raw" / table.name)  # type: ignore[arg-type]
    return Home(spark, session_settings, home, CHESS)


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_every_kill_of_an_ingest_of_logs(chess: Home, tmp_path: Path) -> None:
    (base := tmp_path / "base").mkdir()
    report = kill_everywhere(base, tmp_path / "kills", killed=(stage := chess.ingest()), then=stage)
    assert report.differences == [] and len(report.effects) >= 9


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_every_kill_of_a_graph(chess: Home, tmp_path: Path) -> None:
    (base := tmp_path / "base").mkdir()
    chess.ingest()(base)
    graph = chess.stage(run_graph)
    report = kill_everywhere(base, tmp_path / "kills", killed=graph, then=graph)
    assert report.differences == [] and len(report.effects) >= 5


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_the_last_kills_of_a_graph_that_has_a_picture(
    spark: SparkSession, session_settings: Settings, tmp_path: Path
) -> None:
    """The chess contract has too few measures for one. Killed before its row in `runs` and its picture."""
    social = Home(spark, session_settings, tmp_path / "social", ENGAGEMENT)
    deliver(customers(20), ENGAGEMENT, social.home / A, DAY)
    ring: list[tuple[str | None, str | None]] = [
        (f"CUST-{i:06d}", f"CUST-{(i + 1) % 14:06d}") for i in range(14)
    ]
    for log in ENGAGEMENT.logs:
        deliver_log(events(log, ring, [DAY]), log, social.home / A)
    (base := tmp_path / "base").mkdir()
    social.ingest()(base)
    graph = social.stage(run_graph)
    report = kill_everywhere(
        base,
        tmp_path / "kills",
        killed=graph,
        then=graph,
        chosen=lambda effects: [effects.index(e) for e in ("commit runs", f"picture of {DAY}")],
    )
    assert report.differences == [] and report.kills == 2
    pictures = tmp_path / "kills" / "undisturbed" / "lake" / "_pictures"
    assert [p.name for p in pictures.iterdir()] == [f"graph-{DAY}.svg"]


@pytest.fixture
def analyzable(bikes: Home, published: Path, tmp_path: Path) -> Path:
    base = Path(shutil.copytree(published, tmp_path / "base"))
    bikes.stage(run_features)(base)
    return base


@pytest.mark.timeout(600)
def test_analyze_killed_before_its_row_in_runs_and_run_again_gives_the_same_tables(
    bikes: Home, analyzable: Path, tmp_path: Path
) -> None:
    stage = bikes.stage(run_analyze)
    report = kill_everywhere(
        analyzable,
        tmp_path / "kills",
        killed=stage,
        then=stage,
        chosen=lambda effects: [effects.index("commit runs")],
    )
    assert report.differences == [] and report.kills == 1


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_every_kill_of_analyze(bikes: Home, analyzable: Path, tmp_path: Path) -> None:
    stage = bikes.stage(run_analyze)
    report = kill_everywhere(analyzable, tmp_path / "kills", killed=stage, then=stage)
    assert report.differences == [] and len(report.effects) >= 8


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_killed_twice_at_random_and_run_again(
    bikes: Home, published: Path, chess: Home, tmp_path: Path
) -> None:
    """The rerun of what was killed is killed as well: over ingest and features, and ingest and graph."""
    (tmp_path / "empty").mkdir()
    for home, base, more in ((bikes, published, run_features), (chess, tmp_path / "empty", run_graph)):

        def stages(lake: Path, home: Home = home, more: Callable[..., object] = more) -> None:
            home.ingest(B if home is bikes else A)(lake)
            home.stage(more)(lake)

        whole = Path(shutil.copytree(base, tmp_path / f"{more.__name__}-whole"))
        n_effects, draw = len(effects_of(lambda lake=whole: stages(lake))), random.Random(12)  # type: ignore[misc]
        expected = digests(whole / "lake")
        for trial in range(RANDOM_KILLS // 2):
            lake = Path(shutil.copytree(base, tmp_path / f"{more.__name__}-{trial}"))
            numbers = [draw.randint(1, n_effects) for _ in range(2)]
            effects = [killed_before(n, lambda: stages(lake)) for n in numbers]  # noqa: B023 (called here)
            stages(lake)
            assert digests(lake / "lake") == expected, (numbers, effects)
            shutil.rmtree(lake)


def test_a_log_killed_between_its_tables_is_delivered_once(
    spark: SparkSession, session_settings: Settings, tmp_path: Path
) -> None:
    """The station's day is published, the rides are not: the rerun adds each ride once."""
    home = Home(spark, session_settings, tmp_path, BIKES)
    deliver(stations(20), BIKES, tmp_path / A, DAY)
    pairs: list[tuple[str | None, str | None]] = [(f"ST{i:04d}", f"ST{i + 1:04d}") for i in range(15)]
    deliver_log(events(BIKES.table("rides"), pairs, [DAY]), BIKES.table("rides"), tmp_path / A)
    base = tmp_path / "base"
    base.mkdir()
    stage = home.ingest()

    def before_the_last_row(effects: list[str]) -> list[int]:
        return [max(i for i, effect in enumerate(effects) if effect == "commit runs")]

    report = kill_everywhere(base, tmp_path / "kills", killed=stage, then=stage, chosen=before_the_last_row)
    assert report.differences == [] and report.kills == 1
    assert len(rows(tmp_path / "kills" / "undisturbed" / "lake" / "rides_judged")) == 15
