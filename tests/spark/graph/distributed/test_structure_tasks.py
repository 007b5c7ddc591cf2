"""The kernels as tasks: every vertex once, under its own id, with the oracle's values, the same bits on any
partitioning.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import igraph
import networkx as nx
import pandas as pd
import pytest

from engage_spark.graph import open_layout
from engage_spark.graph.distributed.structure_tasks import to_follows, to_structure

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession


def edges_of(spark: SparkSession, pairs: list[tuple[str, str]]) -> DataFrame:
    return spark.createDataFrame(pairs, "src string, dst string")


def by_id(rows: DataFrame) -> dict[str, dict[str, object]]:
    actual = [r.asDict() for r in rows.collect()]
    assert len({r["id"] for r in actual}) == len(actual)
    return {r.pop("id"): r for r in actual}


@pytest.fixture(scope="module")
def named(shared_data: Path) -> list[tuple[str, str]]:
    """The Facebook graph with ids that sort otherwise than its numbers."""
    rows = pd.read_parquet(shared_data / "graphs" / "facebook_combined.parquet")
    return [(f"p{int(u) * 7919 % 4099}", f"p{int(v) * 7919 % 4099}") for u, v in rows.itertuples(index=False)]


def test_the_structure_of_a_real_graph_is_that_of_igraph(
    spark: SparkSession, named: list[tuple[str, str]]
) -> None:
    isolated = spark.createDataFrame([("alone",)], "id string")
    edges = edges_of(spark, named)
    everyone = edges.selectExpr("explode(array(src, dst)) AS id").distinct().unionAll(isolated)
    with open_layout(edges, vertices=everyone) as layout:
        actual = by_id(to_structure(layout, seed=0))
    graph = igraph.Graph.TupleList(named)
    names = graph.vs["name"]
    n = graph.vcount() + 1
    assert len(actual) == n
    assert actual["alone"] == {
        "core_number": 0,
        "component": 1,
        "component_size": 1,
        "triangles": 0,
        "ego_betweenness": 0.0,
        "clustering": 0.0,
        "community_size": 1,
        "community": actual["alone"]["community"],
        "pagerank": pytest.approx(0.15 / n / (1 - 0.85 / n), abs=1e-12),
    }
    assert [actual[v]["core_number"] for v in names] == graph.coreness()
    assert [actual[v]["clustering"] for v in names] == pytest.approx(
        graph.transitivity_local_undirected(mode="zero"), abs=1e-14
    )
    assert {(actual[v]["component"], actual[v]["component_size"]) for v in names} == {(0, n - 1)}
    graph.add_vertex("alone")
    assert [actual[v]["pagerank"] for v in graph.vs["name"]] == pytest.approx(
        graph.pagerank(damping=0.85), abs=1e-12
    )
    groups = pd.Series([actual[v]["community"] for v in graph.vs["name"]])
    assert groups.map(groups.value_counts()).tolist() == [
        actual[v]["community_size"] for v in graph.vs["name"]
    ]
    assert graph.modularity(groups.tolist()) > 0.83
    hub = max(names[:-1], key=lambda v: graph.degree(v) if graph.degree(v) < 250 else 0)
    ego_network = nx.ego_graph(nx.Graph(named), hub)
    assert actual[hub]["ego_betweenness"] == pytest.approx(
        nx.betweenness_centrality(ego_network)[hub], abs=1e-12
    )
    assert actual[hub]["triangles"] == nx.triangles(ego_network, hub) > 1000


@pytest.mark.connect
def test_follows_are_those_of_networkx(spark: SparkSession) -> None:
    follows = [("a", "b"), ("b", "a"), ("a", "c"), ("d", "a"), ("a", "b"), ("c", "c")]
    everyone = spark.createDataFrame([(x,) for x in "abcde"], "id string")
    with open_layout(edges_of(spark, follows), vertices=everyone, directed=True) as layout:
        actual = by_id(to_follows(layout))
    graph = nx.DiGraph([f for f in follows if f != ("c", "c")])
    graph.add_node("e")
    ranks = nx.pagerank(graph, tol=1e-14, max_iter=1000)
    expected = nx.reciprocity(graph, list("abcd"))
    for v in "abcde":
        assert (actual[v]["follows_out"], actual[v]["follows_in"]) == (
            graph.out_degree(v),
            graph.in_degree(v),
        )
        assert actual[v]["follows_pagerank"] == pytest.approx(ranks[v], abs=1e-12)
        assert actual[v]["follows_reciprocity"] == expected.get(v)


def test_the_same_bits_on_any_partitioning(spark: SparkSession, named: list[tuple[str, str]]) -> None:
    def measured(edges: DataFrame) -> dict[str, dict[str, object]]:
        with open_layout(edges) as layout:
            return by_id(to_structure(layout, seed=7))

    edges = edges_of(spark, named)
    assert measured(edges.coalesce(1)) == measured(edges.repartition(7, "dst"))


@pytest.mark.parametrize("vertices", [0, 1, 3])
def test_a_graph_without_edges_has_only_isolated_vertices(spark: SparkSession, vertices: int) -> None:
    everyone = spark.createDataFrame([(f"v{i}",) for i in range(vertices)], "id string")
    with open_layout(edges_of(spark, []), vertices=everyone) as layout:
        actual = by_id(to_structure(layout, seed=0))
    assert {
        v: (r["core_number"], r["component_size"], r["community_size"], r["triangles"])
        for v, r in actual.items()
    } == {f"v{i}": (0, 1, 1, 0) for i in range(vertices)}
    with open_layout(edges_of(spark, []), vertices=everyone, directed=True) as layout:
        follows = by_id(to_follows(layout))
    assert {v: (r["follows_out"], r["follows_in"], r["follows_reciprocity"]) for v, r in follows.items()} == {
        f"v{i}": (0, 0, None) for i in range(vertices)
    }
