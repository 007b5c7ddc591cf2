"""Components, cores, PageRank, reciprocity and ego networks against NetworkX and igraph: real graphs, and
graphs of every small shape.
"""

from __future__ import annotations

from pathlib import Path

import igraph
import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings

from engage_spark.graph.kernels.csr import Csr
from engage_spark.graph.kernels.ego_network import (
    MAX_BIT_ROW_DEGREE,
    _measure_ego_networks,
    clustering,
    measure_ego_networks,
    normalised,
)
from engage_spark.graph.kernels.structure import (
    components,
    core_numbers,
    group_sizes,
    number_by_size,
    pagerank,
    reciprocity,
)
from tests.support.examples import examples
from tests.support.graphs import Edges, edge_lists, real

UNDIRECTED = ("facebook_combined", "lastfm_asia", "github_social")


def in_igraph(csr: Csr) -> igraph.Graph:
    source = np.repeat(np.arange(csr.n), csr.degrees)
    pairs = np.column_stack([source, csr.indices])
    return igraph.Graph(csr.n, pairs if csr.directed else pairs[source < csr.indices], directed=csr.directed)


@pytest.mark.parametrize("name", UNDIRECTED)
def test_real_graphs_agree_with_igraph(shared_data: Path, name: str) -> None:
    csr, _ = real(shared_data, name)
    oracle = in_igraph(csr)
    assert core_numbers(csr).tolist() == oracle.coreness()
    assert group_sizes(components(csr)).tolist() == [len(csr.degrees)] * csr.n, "these graphs are connected"
    assert abs(pagerank(csr) - np.array(oracle.pagerank(damping=0.85))).max() < 1e-12
    triangles, _ = measure_ego_networks(csr, np.arange(csr.n))
    assert (
        abs(
            clustering(triangles, csr.degrees) - np.array(oracle.transitivity_local_undirected(mode="zero"))
        ).max()
        < 1e-14
    )
    assert triangles.sum() == 3 * len(oracle.list_triangles())


def test_a_real_directed_graph_agrees_with_igraph_and_networkx(shared_data: Path) -> None:
    csr, _ = real(shared_data, "wiki_vote", directed=True)
    oracle = in_igraph(csr)
    assert abs(pagerank(csr) - np.array(oracle.pagerank(damping=0.85))).max() < 1e-12
    arcs = np.column_stack([np.repeat(np.arange(csr.n), csr.degrees), csr.indices])
    graph = nx.DiGraph(arcs.tolist())
    expected = nx.reciprocity(graph, range(csr.n))
    actual = reciprocity(csr)
    assert actual.tolist() == [expected[v] for v in range(csr.n)]
    assert len(set(actual)) > 100


def test_a_real_disconnected_graph_agrees_with_networkx(shared_data: Path) -> None:
    csr, _ = real(shared_data, "wiki_vote")
    parts = sorted(map(len, nx.connected_components(nx.Graph(in_igraph(csr).get_edgelist()))), reverse=True)
    actual = components(csr)
    assert np.bincount(actual).tolist() == parts and len(parts) == 24


@pytest.mark.parametrize(
    "name",
    [
        "lastfm_asia",
        *(pytest.param(n, marks=pytest.mark.slow) for n in ("facebook_combined", "github_social")),
    ],
)
def test_ego_betweenness_is_that_of_the_ego_graph(shared_data: Path, name: str) -> None:
    """NetworkX's betweenness on the ego graph, for vertices of every degree up to 250."""
    csr, _ = real(shared_data, name)
    graph = nx.Graph(in_igraph(csr).get_edgelist())
    by_degree = {int(d): v for v, d in enumerate(csr.degrees) if d <= 250}
    vertices = np.array(sorted(by_degree.values())[:: max(1, len(by_degree) // 25)])
    _, actual = measure_ego_networks(csr, vertices)
    expected = [
        nx.betweenness_centrality(nx.ego_graph(graph, v), normalized=False)[v] for v in vertices.tolist()
    ]
    assert actual == pytest.approx(expected, rel=1e-12, abs=1e-12)
    assert max(csr.degrees[vertices]) > 100


@pytest.mark.parametrize("name", UNDIRECTED)
def test_bit_rows_and_counting_give_the_same_bits(shared_data: Path, name: str) -> None:
    csr, _ = real(shared_data, name)
    everyone = np.arange(csr.n)
    by_counting = _measure_ego_networks(csr.indptr, csr.indices, everyone, 0)
    mixed = _measure_ego_networks(csr.indptr, csr.indices, everyone, MAX_BIT_ROW_DEGREE)
    assert (by_counting[0] == mixed[0]).all() and (by_counting[1] == mixed[1]).all()


def test_a_vertex_has_the_same_bits_whatever_is_measured_with_it(shared_data: Path) -> None:
    csr, _ = real(shared_data, "facebook_combined")
    together = measure_ego_networks(csr, np.arange(csr.n))[1]
    for k in (2, 7):
        parts = np.empty(csr.n)
        for i in range(k):
            parts[i::k] = measure_ego_networks(csr, np.arange(i, csr.n, k))[1]
        assert (parts == together).all()


@settings(max_examples=examples(60), deadline=None)
@given(edge_lists(directed=False, weighted=False))
def test_any_undirected_graph_agrees_with_networkx(edges: Edges) -> None:
    csr, graph = edges.csr(), edges.networkx()
    everyone = range(edges.n)
    assert core_numbers(csr).tolist() == [nx.core_number(graph)[v] for v in everyone]
    sizes = {v: len(part) for part in nx.connected_components(graph) for v in part}
    parts = components(csr)
    assert group_sizes(parts).tolist() == [sizes[v] for v in everyone]
    assert all((parts[u] == parts[v]) == nx.has_path(graph, u, v) for u in everyone for v in everyone)
    assert pagerank(csr) == pytest.approx(
        [nx.pagerank(graph, tol=1e-13, max_iter=1000)[v] for v in everyone], abs=1e-11
    )
    triangles, ego = measure_ego_networks(csr, np.arange(edges.n))
    assert triangles.tolist() == [nx.triangles(graph)[v] for v in everyone]
    assert clustering(triangles, csr.degrees) == pytest.approx(
        [nx.clustering(graph)[v] for v in everyone], abs=1e-15
    )
    egos = [nx.ego_graph(graph, v) for v in everyone]
    assert ego == pytest.approx(
        [nx.betweenness_centrality(g, normalized=False)[v] for v, g in enumerate(egos)], abs=1e-12
    )
    assert normalised(ego, csr.degrees) == pytest.approx(
        [nx.betweenness_centrality(g)[v] for v, g in enumerate(egos)], abs=1e-12
    )


@settings(max_examples=examples(40), deadline=None)
@given(edge_lists(directed=True, weighted=False))
def test_any_directed_graph_agrees_with_networkx(edges: Edges) -> None:
    csr, graph = edges.csr(), edges.networkx()
    assert pagerank(csr) == pytest.approx(
        [nx.pagerank(graph, tol=1e-13, max_iter=1000)[v] for v in range(edges.n)], abs=1e-11
    )
    alone = {v for v in graph if graph.degree(v) == 0}
    expected = nx.reciprocity(graph, [v for v in graph if v not in alone])
    actual = reciprocity(csr)
    assert [v for v in range(edges.n) if np.isnan(actual[v])] == sorted(alone)
    assert {v: actual[v] for v in expected} == pytest.approx(expected, abs=1e-15)


def test_groups_are_numbered_by_size_and_then_by_their_first_vertex() -> None:
    assert number_by_size(np.array([5, 3, 3, 0, 5, 4, 3], dtype=np.int32)).tolist() == [1, 0, 0, 2, 1, 3, 0]
    assert number_by_size(np.zeros(0, dtype=np.int32)).tolist() == []


@pytest.mark.parametrize("n", [0, 1, 5])
def test_a_graph_without_edges(n: int) -> None:
    csr = Edges(n, (), ()).csr()
    assert components(csr).tolist() == list(range(n))
    assert core_numbers(csr).tolist() == [0] * n
    assert pagerank(csr) == pytest.approx([1 / n] * n if n else [])
    triangles, ego = measure_ego_networks(csr, np.arange(n))
    assert triangles.tolist() == ego.tolist() == normalised(ego, csr.degrees).tolist() == [0] * n
