"""Removing trees changes no betweenness, and vertices marked zero have betweenness 0."""

from __future__ import annotations

from pathlib import Path

import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings

from engage_spark.graph.kernels.brandes import dependencies
from engage_spark.graph.kernels.reduction import reduce_graph
from tests.support.examples import examples
from tests.support.graphs import Edges, edge_lists, of, real


def expanded(edges: Edges) -> np.ndarray:
    reduced = reduce_graph(edges.csr())
    core = dependencies(reduced.core, np.arange(reduced.core.n), vertex_weight=reduced.vertex_weight)
    return reduced.expand(core.total)


@settings(max_examples=examples(150), deadline=None)
@given(edge_lists())
def test_the_cores_values_and_the_contributions_are_the_betweenness(edges: Edges) -> None:
    np.testing.assert_allclose(expanded(edges), edges.betweenness(), rtol=1e-12, atol=1e-12)


@settings(max_examples=examples(150), deadline=None)
@given(edge_lists())
def test_vertices_marked_zero_have_betweenness_0(edges: Edges) -> None:
    assert not edges.betweenness()[reduce_graph(edges.csr()).zero].any()


@settings(max_examples=examples(100), deadline=None)
@given(edge_lists(directed=False, weighted=False))
def test_in_an_undirected_graph_all_zeros_are_found(edges: Edges) -> None:
    assert reduce_graph(edges.csr()).zero.tolist() == (edges.betweenness() == 0).tolist()


@settings(max_examples=examples(100), deadline=None)
@given(edge_lists())
def test_components_are_those_of_networkx(edges: Edges) -> None:
    graph = edges.networkx()
    expected = list(
        nx.weakly_connected_components(graph) if edges.directed else nx.connected_components(graph)
    )
    reduced = reduce_graph(edges.csr())
    assert reduced.component_size[reduced.component].tolist() == [
        next(len(c) for c in expected if v in c) for v in range(edges.n)
    ]
    assert {
        frozenset(np.flatnonzero(reduced.component == c).tolist()) for c in range(len(reduced.component_size))
    } == set(map(frozenset, expected))


@settings(max_examples=examples(100), deadline=None)
@given(edge_lists(directed=False))
def test_sources_mapped_to_the_core_give_the_values_of_the_given_graph(edges: Edges) -> None:
    """Averaged over all vertices as sources, each counted once, the core part is the same."""
    reduced = reduce_graph(edges.csr())
    sources = reduced.core_of[np.arange(edges.n)]
    sources = sources[sources >= 0]
    sums = dependencies(
        reduced.core, sources, vertex_weight=reduced.vertex_weight, source_weight=np.ones(len(sources))
    )
    np.testing.assert_allclose(reduced.expand(sums.total), edges.betweenness(), rtol=1e-12, atol=1e-12)


def test_a_tree_has_no_core_and_exact_integers() -> None:
    reduced = reduce_graph(of(nx.star_graph(4)).csr())
    assert reduced.core.n == 0
    assert reduced.core_of.tolist() == [-1] * 5
    assert reduced.contributions.tolist() == [12, 0, 0, 0, 0]


def test_a_chain_on_a_triangle_is_merged_into_its_corner() -> None:
    reduced = reduce_graph(of(nx.Graph([(0, 1), (1, 2), (2, 0), (2, 3), (3, 4)])).csr())
    assert reduced.original.tolist() == [0, 1, 2]
    assert reduced.vertex_weight.tolist() == [1, 1, 3]
    assert reduced.core_of.tolist() == [0, 1, 2, 2, 2]
    # Vertex 2 is between {3, 4} and {0, 1}, vertex 3 between 4 and three others; both orders count.
    assert reduced.contributions.tolist() == [0, 0, 8, 6, 0]
    assert reduced.component_size.tolist() == [5]


def test_a_graph_without_trees_is_its_own_core() -> None:
    csr = of(nx.cycle_graph(5)).csr()
    assert reduce_graph(csr).core is csr


@pytest.mark.parametrize("n", [0, 1, 3])
def test_isolated_vertices_are_no_core(n: int) -> None:
    reduced = reduce_graph(Edges(n, (), ()).csr())
    assert reduced.core.n == 0
    assert reduced.zero.all()
    assert reduced.expand(np.zeros(0)).tolist() == [0.0] * n


def test_facebook_has_exactly_342_zeros_75_of_them_leaves(shared_data: Path) -> None:
    csr, _ = real(shared_data, "facebook_combined")
    reduced = reduce_graph(csr)
    assert int(reduced.zero.sum()) == 342
    assert int((csr.degrees == 1).sum()) == 75
