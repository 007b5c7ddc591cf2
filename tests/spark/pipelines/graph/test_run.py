"""The graph stage from end to end: tables of two contracts against independent computations, reruns, other
partitionings, kills, bad input.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import date, timedelta
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING
from xml.etree import ElementTree

import networkx as nx
import numpy as np
import pandas as pd
import pytest
from pyspark.sql import functions as F

from engage_spark.contract import load_contract
from engage_spark.errors import ConfigurationError, NotPublishedError
from engage_spark.lake import Lake, RunLog
from engage_spark.pipelines.graph.run import run_graph
from engage_spark.pipelines.ingest.run import run_ingest
from tests.support.deliveries import (
    ENGAGEMENT,
    content,
    customers,
    deliver,
    deliver_log,
    events,
    latest,
    run_log,
    settings_of,
    sums,
)
from tests.support.paths import DATA

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

    from engage_spark.pipelines.results import GraphResult
    from engage_spark.settings import Settings

CHESS = load_contract(DATA / "chess.odcs.yaml")
BIKES = load_contract(DATA / "bikes.odcs.yaml")
DAY, STAGE = "2025-10-21", "graph:graph_features"
TABLES = ("graph_features", "edge_strengths", "graph_comparison")
N = 120
IDS = [f"CUST-{i:06d}" for i in range(N)]
BAD = IDS[2]
"""Quarantined, and connected all the same."""


@cache
def drawn() -> nx.Graph:
    """Five cliques in a ring, some edges rewired, two hanging trees; most of the other customers are
    isolated.
    """
    actual = nx.relaxed_caveman_graph(5, 9, 0.2, seed=4)
    actual.add_edges_from([(44, 45), (45, 46), (45, 47), (0, 48), (48, 49), (60, 61)])
    actual.remove_edges_from(list(nx.selfloop_edges(actual)))
    return nx.relabel_nodes(actual, dict(enumerate(IDS)))


@cache
def logged() -> dict[tuple[str, str], str]:
    """The day on which each pair connected."""
    days = ["2025-08-01", "2025-09-20", "2025-10-18", "2025-10-21", "2025-10-10"]
    return {
        pair: days[i % len(days)] for i, pair in enumerate(sorted(tuple(sorted(e)) for e in drawn().edges))
    }


def events_of(kind: str, rows: list[tuple[str, str, str]], *, table: str = "connections") -> pd.DataFrame:
    """Rows (src, dst, day) of a log, at noon."""
    actual = events(ENGAGEMENT.table(table), [(a, b) for a, b, _ in rows], [d for *_, d in rows])
    actual["kind"] = kind
    return actual


def follows() -> list[tuple[str, str]]:
    picked = np.random.default_rng(8).integers(0, 40, (150, 2))
    return [(IDS[u], IDS[v]) for u, v in picked if u != v]


def connections() -> pd.DataFrame:
    """Each connection twice, the second time turned round and on the last day; one of a later day, and one to
    oneself.
    """
    once = [(a, b, d) for (a, b), d in logged().items()]
    again = [(b, a, DAY) for a, b in logged()]
    other = [(IDS[50], IDS[51], "2025-10-22"), (IDS[3], IDS[3], "2025-08-01")]
    followed = [(a, b, ("2025-10-01", DAY)[i % 2]) for i, (a, b) in enumerate(follows())]
    return pd.concat(
        [events_of("connection", [*once, *again, *other]), events_of("follow", followed)], ignore_index=True
    )


@cache
def met() -> list[tuple[str, str, str]]:
    """Interactions: of connected pairs in either direction, over 100 days, and some of strangers and of one
    with themselves.
    """
    rng = np.random.default_rng(5)
    pairs = list(logged())
    days = [str(date.fromisoformat(DAY) - timedelta(days=int(d))) for d in rng.integers(-1, 100, 400)]
    among = [pairs[i][:: int(rng.choice((1, -1)))] for i in rng.integers(0, len(pairs), 400)]
    return [(a, b, d) for (a, b), d in zip(among, days, strict=True)] + [
        (IDS[0], IDS[90], DAY),
        (IDS[1], IDS[1], DAY),
    ]


def given() -> pd.DataFrame:
    rows = customers(N)
    rows.loc[2, "age"] = 7
    rows.loc[5, "network_centrality"] = None
    return rows


def everything(home: Path, *, files: int = 1) -> None:
    deliver(given(), ENGAGEMENT, home, DAY, files=files)
    deliver_log(connections(), ENGAGEMENT.table("connections"), home, files=files)
    deliver_log(
        events_of("message", met(), table="interactions"), ENGAGEMENT.table("interactions"), home, files=files
    )


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("graph")


@pytest.fixture(scope="module")
def settings(session_settings: Settings, home: Path) -> Settings:
    return settings_of(session_settings, home)


def table(spark: SparkSession, settings: Settings, name: str, day: str = DAY) -> DataFrame:
    """The published rows of one day."""
    rows = Lake(settings.lake).read(spark, name).where(f"snapshot_date = '{day}'")
    published = [r.run_id for r in run_log(settings).publication(spark).published.values()]
    return rows.where(F.col("_run_id" if "_run_id" in rows.columns else "run_id").isin(published))


def contents(spark: SparkSession, settings: Settings) -> dict[str, str]:
    """What the tables hold of the first day, except for the run that made it."""
    return {n: content(table(spark, settings, n), without=("run_id", "_run_id")) for n in TABLES}


@dataclass(frozen=True)
class FirstRun:
    """The first run of the stage: its result, and the contents of its tables."""

    result: GraphResult
    contents: dict[str, str]


@pytest.fixture(scope="module")
def first(spark: SparkSession, settings: Settings, home: Path) -> FirstRun:
    """After one delivery in one file per table."""
    everything(home)
    run_ingest(spark, settings, contract=ENGAGEMENT)
    result = run_graph(spark, settings, contract=ENGAGEMENT)
    return FirstRun(result, contents(spark, settings))


def rows_of(spark: SparkSession, settings: Settings, name: str) -> pd.DataFrame:
    rows = [r.asDict() for r in table(spark, settings, name).collect()]
    return pd.DataFrame(rows, dtype=object).set_index("customer_id").sort_index()


def expected_graph() -> nx.Graph:
    actual = drawn().copy()
    actual.add_nodes_from(IDS)
    actual.remove_node(BAD)
    return actual


@cache
def expected_strengths() -> dict[tuple[str, str], tuple[int, int]]:
    """(weeks, active weeks) by pair, event by event."""
    end = date.fromisoformat(DAY)
    actual = {}
    for pair, day in logged().items():
        if BAD in pair:
            continue
        weeks = min(12, (end - date.fromisoformat(day)).days // 7 + 1)
        active = {
            (end - date.fromisoformat(d)).days // 7
            for a, b, d in met()
            if tuple(sorted((a, b))) == pair and day <= d <= DAY
        }
        actual[pair] = (weeks, len({w for w in active if w < weeks}))
    return actual


@pytest.mark.slow
@pytest.mark.connect
def test_every_measure_equals_networkx(spark: SparkSession, settings: Settings, first: FirstRun) -> None:
    assert sums(latest(spark, settings, STAGE))[DAY] == (N - 1, N - 1, 0, "published")
    actual, oracle = rows_of(spark, settings, "graph_features"), expected_graph()
    n = N - 1
    assert actual.index.tolist() == sorted(oracle)
    freeman = nx.betweenness_centrality(oracle)
    pairs = (n - 1) * (n - 2) / 2
    parts = {v: len(part) for part in nx.connected_components(oracle) for v in part}
    directed = nx.DiGraph([f for f in follows() if BAD not in f])
    directed.add_nodes_from(oracle)
    ranks, followed = (
        nx.pagerank(oracle, tol=1e-14, max_iter=1000),
        nx.pagerank(directed, tol=1e-14, max_iter=1000),
    )
    strengths = {
        v: [Fraction(a, w) for pair, (w, a) in expected_strengths().items() if v in pair] for v in oracle
    }
    for v, r in actual.iterrows():
        assert (
            r.betweenness
            == r.betweenness_lower
            == r.betweenness_upper
            == pytest.approx(freeman[v], rel=1e-12, abs=1e-15)
        )
        assert (r.betweenness_method, r.betweenness_stderr) == ("exact", 0.0)
        assert r.network_centrality == pytest.approx(
            math.log1p(freeman[v] * pairs) / math.log1p(pairs), rel=1e-12, abs=1e-15
        )
        assert r.degree == oracle.degree(v) == len(strengths[v])
        assert r.weighted_degree == float(sum(strengths[v]))
        assert r.avg_connection_strength == (
            float(sum(strengths[v]) / len(strengths[v])) if strengths[v] else 0.0
        )
        assert (r.out_degree, r.in_degree) == (directed.out_degree(v), directed.in_degree(v))
        assert r.reciprocity == (nx.reciprocity(directed, v) if directed.degree(v) else None)
        assert r.pagerank == pytest.approx(ranks[v], abs=1e-12) and r.follow_pagerank == pytest.approx(
            followed[v], abs=1e-12
        )
        assert (r.core_number, r.triangles, r.component_size) == (
            nx.core_number(oracle)[v],
            nx.triangles(oracle, v),
            parts[v],
        )
        assert r.local_clustering == pytest.approx(nx.clustering(oracle, v), abs=1e-15)
        assert r.ego_betweenness == pytest.approx(
            nx.betweenness_centrality(nx.ego_graph(oracle, v))[v], abs=1e-12
        )
    below = actual.betweenness.astype(float).rank(method="min") - 1
    assert actual.betweenness_percentile.astype(float).tolist() == pytest.approx(
        (below * 100 / (n - 1)).tolist(), rel=1e-15
    )
    assert actual.groupby("component_id").size().tolist() == sorted(
        actual.groupby("component_id").size(), reverse=True
    )
    assert (
        actual.community_size.tolist() == actual.community_id.map(actual.community_id.value_counts()).tolist()
    )
    groups = [set(g.index) for _, g in actual.groupby("community_id")]
    assert nx.community.modularity(oracle, groups) > 0.6


def test_isolated_customers_are_there_with_0(
    spark: SparkSession, settings: Settings, first: FirstRun
) -> None:
    actual = rows_of(spark, settings, "graph_features").loc[IDS[100]]
    zeros = actual[
        [
            "network_centrality",
            "avg_connection_strength",
            "betweenness",
            "degree",
            "weighted_degree",
            "core_number",
            "triangles",
        ]
    ]
    assert zeros.tolist() == [0] * 7
    assert (actual.component_size, actual.community_size, actual.reciprocity) == (1, 1, None)


def test_the_strength_of_every_pair_equals_plain_python(
    spark: SparkSession, settings: Settings, first: FirstRun
) -> None:
    rows = table(spark, settings, "edge_strengths").collect()
    actual = {(r["src_customer_id"], r["dst_customer_id"]): (r["weeks"], r["active_weeks"]) for r in rows}
    assert actual == expected_strengths()
    assert all(r["strength"] == r["active_weeks"] / r["weeks"] for r in rows)
    assert len({r["strength"] for r in rows}) > 4 and len({r["weeks"] for r in rows}) == 4


def test_given_and_measured_are_compared(spark: SparkSession, settings: Settings, first: FirstRun) -> None:
    measured = rows_of(spark, settings, "graph_features")
    delivered = given().set_index("customer_id")
    rows = {r["field_name"]: r.asDict() for r in table(spark, settings, "graph_comparison").collect()}
    assert {name: (r["rows_compared"], r["rows_without_given"]) for name, r in rows.items()} == {
        "network_centrality": (N - 2, 1),
        "avg_connection_strength": (N - 1, 0),
    }
    for name, r in rows.items():
        both = pd.DataFrame({"g": delivered[name].astype(float), "m": measured[name].astype(float)}).dropna()
        assert r["spearman"] == pytest.approx(both.corr(method="spearman").loc["g", "m"], abs=1e-12)
        assert r["mean_difference"] == pytest.approx((both.m - both.g).mean(), abs=1e-12)
        assert r["measured_p75"] == np.quantile(both.m, 0.75, method="inverted_cdf")


def test_the_picture_shows_the_most_central_and_nothing_protected(
    spark: SparkSession, settings: Settings, home: Path, first: FirstRun
) -> None:
    text = (home / "lake" / "_pictures" / f"graph-{DAY}.svg").read_text(encoding="utf-8")
    ElementTree.fromstring(text)
    central = rows_of(spark, settings, "graph_features").sort_values("network_centrality", ascending=False)
    assert all(c in text for c in central.index[:20]) and f"{central.network_centrality.iloc[0]:.3f}" in text
    protected = [f.name for f in ENGAGEMENT.entity.fields if f.protected]
    assert not [word for word in (*protected, "Male", "Female", "Non-binary") if word in text]


def test_the_result_has_what_was_measured_and_what_was_left_out(
    spark: SparkSession, settings: Settings, first: FirstRun
) -> None:
    graph, *others = first.result.snapshots
    assert not others
    assert (graph.snapshot_date, graph.vertices, graph.edges, graph.method, graph.paths) == (
        date.fromisoformat(DAY),
        N - 1,
        len(expected_strengths()),
        "exact",
        0,
    )
    central = rows_of(spark, settings, "graph_features").network_centrality.astype(float)
    assert graph.top[0].centrality == central.max() and len(graph.top) == 20
    assert set(graph.compared) == {"network_centrality", "avg_connection_strength"}
    assert graph.picture is not None and graph.picture.endswith(f"graph-{DAY}.svg")
    left_out = {note.code: note.facts for note in first.result.notes}
    assert left_out["ConnectionsLeftOut"]["n_connections"] == len(logged()) - len(expected_strengths())
    assert set(first.result.locations) == set(TABLES)


@pytest.mark.connect
def test_a_rerun_does_nothing(spark: SparkSession, settings: Settings, first: FirstRun) -> None:
    before = run_log(settings).attempts(spark, STAGE)
    result = run_graph(spark, settings, contract=ENGAGEMENT)
    assert result.snapshots == () and [note.code for note in result.notes] == ["GraphUpToDate"]
    assert run_log(settings).attempts(spark, STAGE) == before


@pytest.mark.slow
def test_later_events_and_a_second_day_leave_the_first_day_as_it_is(
    spark: SparkSession, settings: Settings, home: Path, first: FirstRun
) -> None:
    later = pd.concat(
        [
            events_of("connection", [(IDS[70], IDS[71], "2025-10-23")]),
            events_of("follow", [(IDS[7], IDS[8], "2025-10-23")]),
        ]
    )
    deliver_log(later, ENGAGEMENT.table("connections"), home)
    run_ingest(spark, settings, contract=ENGAGEMENT)
    assert run_graph(spark, settings, contract=ENGAGEMENT).snapshots == ()
    everything(home, files=5)
    deliver(given(), ENGAGEMENT, home, "2025-10-24", files=3)
    run_ingest(spark, settings, contract=ENGAGEMENT)
    result = run_graph(spark, settings, contract=ENGAGEMENT)
    assert [str(graph.snapshot_date) for graph in result.snapshots] == [DAY, "2025-10-24"]
    assert contents(spark, settings) == first.contents, "other files give the same tables"
    second = table(spark, settings, "edge_strengths", day="2025-10-24")
    assert second.count() == len(expected_strengths()) + 2, "two pairs have connected since"


@pytest.mark.slow
def test_a_killed_attempt_is_invisible_and_a_rerun_heals_it(
    spark: SparkSession, settings: Settings, first: FirstRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    from engage_spark.contract import tracked_table

    log, features = run_log(settings), tracked_table(ENGAGEMENT.table("graph_features"))
    day = date.fromisoformat(DAY)
    other = settings.model_copy(
        update={"graph": settings.graph.model_copy(update={"method": "sampled", "seed": 5, "sources": 16})}
    )

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as m:
        m.setattr(RunLog, "append", interrupt)
        with pytest.raises(KeyboardInterrupt):
            run_graph(spark, other, contract=ENGAGEMENT, snapshot_date=day)
    assert log.read_published(spark, features, stage=STAGE, day="snapshot_date", days=[day]).count() == N - 1
    assert contents(spark, settings) == first.contents
    attempts = [r.run_id for r in run_log(settings).attempts(spark)]
    sampled = Lake(settings.lake).read(spark, "graph_features").where(~F.col("_run_id").isin(attempts))
    assert sampled.count() == N - 1
    assert sampled.where("betweenness_method <> 'sampled'").isEmpty()
    assert sampled.where("betweenness < betweenness_lower OR betweenness > betweenness_upper").isEmpty()
    exact = nx.betweenness_centrality(expected_graph())
    held = {r["customer_id"]: (r["betweenness_lower"], r["betweenness_upper"]) for r in sampled.collect()}
    assert all(low - 1e-15 <= exact[v] <= high + 1e-15 for v, (low, high) in held.items()), (
        "this seed is not one of the one in ten"
    )
    run_graph(spark, settings, contract=ENGAGEMENT, snapshot_date=day)
    log = run_log(settings)
    assert log.read_published(spark, features, stage=STAGE, day="snapshot_date", days=[day]).count() == N - 1
    assert contents(spark, settings) == first.contents


@pytest.mark.slow
def test_another_business_has_a_graph_without_a_line_of_code(
    spark: SparkSession, session_settings: Settings, tmp_path: Path
) -> None:
    settings = settings_of(session_settings, tmp_path)
    players = pd.DataFrame(
        {"player_no": list(range(1, 7)), "influence": [0.5, 0.1, None, 0.2, 0.3, 0.9]}, dtype=object
    )
    deliver(players, CHESS, tmp_path, DAY)
    star = [(1, x) for x in range(2, 6)]
    deliver_log(
        events(CHESS.table("acquaintances"), star, ["2025-10-01"]), CHESS.table("acquaintances"), tmp_path
    )  # type: ignore[arg-type]
    deliver_log(
        events(CHESS.table("games"), [(2, 1), (3, 2)], ["2025-10-20"]), CHESS.table("games"), tmp_path
    )  # type: ignore[arg-type]
    run_ingest(spark, settings, contract=CHESS)
    result = run_graph(spark, settings, contract=CHESS)
    rows = {
        r["player_no"]: (r["influence"], r["knows"], r["sociable"])
        for r in table(spark, settings, "player_graph").collect()
    }
    centre = math.log1p(6) / math.log1p(10)  # 6 of the 10 pairs of the other five lead through it
    assert rows == {
        1: (pytest.approx(centre), 4, 1 / 12),
        2: (0.0, 1, 1 / 3),
        3: (0, 1, 0),
        4: (0, 1, 0),
        5: (0, 1, 0),
        6: (0, 0, 0),
    }
    ties = {
        (r["lower_no"], r["higher_no"]): r["strength"]
        for r in table(spark, settings, "player_ties").collect()
    }
    assert ties == {(1, 2): 1 / 3, (1, 3): 0, (1, 4): 0, (1, 5): 0}
    missing = {note.code: note.facts for note in result.notes}["NoPictureFields"]["measures"]
    assert missing[0] == "betweenness"


@pytest.mark.slow
def test_a_graph_that_cannot_be_measured_is_an_error(
    spark: SparkSession, session_settings: Settings, tmp_path: Path
) -> None:
    settings = settings_of(session_settings, tmp_path)
    assert [n.code for n in run_graph(spark, settings, contract=BIKES).notes] == ["NothingToMeasure"]
    with pytest.raises(NotPublishedError, match="customers has no published snapshot"):
        run_graph(spark, settings, contract=ENGAGEMENT)
    deliver(customers(20), ENGAGEMENT, tmp_path, DAY)
    deliver_log(events_of("connection", [(IDS[0], IDS[1], DAY)]), ENGAGEMENT.table("connections"), tmp_path)
    run_ingest(spark, settings, contract=ENGAGEMENT)
    with pytest.raises(ConfigurationError, match="interactions_judged") as e:
        run_graph(spark, settings, contract=ENGAGEMENT)
    assert "engage-spark ingest" in (e.value.hint or "")
    with pytest.raises(NotPublishedError, match="no published snapshot of 2025-10-22"):
        run_graph(spark, settings, contract=ENGAGEMENT, snapshot_date=date(2025, 10, 22))
