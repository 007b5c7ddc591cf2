"""Sums of dependencies against NetworkX, NetworKit, published values and closed forms."""

from __future__ import annotations

from pathlib import Path

import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings

from engage_spark.errors import InputError
from engage_spark.graph.kernels.brandes import dependencies
from engage_spark.graph.kernels.csr import Csr
from engage_spark.graph.kernels.reduction import reduce_graph
from tests.support.examples import examples
from tests.support.graphs import Edges, edge_lists, of, real

FACEBOOK = {
    107: 0.4805180785560146,
    1684: 0.3377974497302,
    3437: 0.2361153573593,
    1912: 0.2292953395869,
    1085: 0.1490150921167,
    0: 0.1463059214744,
}


def everyone(csr: Csr) -> np.ndarray:
    return np.arange(csr.n)


@settings(max_examples=examples(200), deadline=None)
@given(edge_lists())
def test_over_all_sources_it_is_networkxs_betweenness(edges: Edges) -> None:
    csr = edges.csr()
    np.testing.assert_allclose(
        dependencies(csr, everyone(csr)).total, edges.betweenness(), rtol=1e-9, atol=1e-12
    )


@settings(max_examples=examples(100), deadline=None)
@given(edge_lists())
def test_over_all_sources_it_is_networkits_betweenness(edges: Edges) -> None:
    csr = edges.csr()
    np.testing.assert_allclose(
        dependencies(csr, everyone(csr)).total, edges.networkit_betweenness(), rtol=1e-9, atol=1e-12
    )


@settings(max_examples=examples(60), deadline=None)
@given(edge_lists())
def test_one_source_at_a_time_adds_up_to_all(edges: Edges) -> None:
    csr = edges.csr()
    single = [dependencies(csr, np.array([s])).total for s in range(csr.n)]
    both = dependencies(csr, everyone(csr), squares=True)
    assert both.squares is not None
    np.testing.assert_allclose(both.total, np.sum(single, axis=0), rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(both.squares, np.sum(np.square(single), axis=0), rtol=1e-12, atol=1e-12)


@settings(max_examples=examples(60), deadline=None)
@given(edge_lists())
def test_a_source_may_be_given_twice_and_counts_twice(edges: Edges) -> None:
    csr = edges.csr()
    twice = dependencies(csr, np.repeat(everyone(csr), 2)).total
    np.testing.assert_allclose(twice, 2 * edges.betweenness(), rtol=1e-9, atol=1e-12)


def test_the_published_facebook_values_are_met(shared_data: Path) -> None:
    csr, ids = real(shared_data, "facebook_combined")
    small = reduce_graph(csr)
    for raw in (
        dependencies(csr, everyone(csr)).total,
        small.expand(dependencies(small.core, everyone(small.core), vertex_weight=small.vertex_weight).total),
    ):
        freeman = raw / ((csr.n - 1) * (csr.n - 2))
        for vertex, published in FACEBOOK.items():
            assert freeman[ids == vertex][0] == pytest.approx(published, rel=0, abs=1e-12)
        assert int((raw == 0).sum()) == 342
        # Every pair at distance d has d - 1 vertices between, whatever the number of its paths: the mean
        # distance is 3.6925 (8 at most).
        length = nx_mean_distance(csr)
        assert freeman.sum() == pytest.approx((length - 1) * csr.n / (csr.n - 2), rel=1e-12)


def nx_mean_distance(csr: Csr) -> float:
    from scipy.sparse import csr_array
    from scipy.sparse.csgraph import shortest_path

    matrix = csr_array((np.ones(csr.arcs), csr.indices, csr.indptr), shape=(csr.n, csr.n))
    return float(shortest_path(matrix, unweighted=True).sum() / (csr.n * (csr.n - 1)))


def test_the_centre_of_a_star_lies_between_all_pairs() -> None:
    csr = of(nx.star_graph(6)).csr()
    assert dependencies(csr, everyone(csr)).total.tolist() == [30.0, 0, 0, 0, 0, 0, 0]


def test_more_paths_than_float64_can_count_are_counted_all_the_same() -> None:
    """A chain of 1,200 diamonds: 2**1200 paths from end to end. Each joint lies on all, each other vertex on
    half of them.
    """
    links = 1200
    src, dst = [], []
    for i in range(links):
        joint, after = 3 * i, 3 * i + 3
        src += [joint, joint, joint + 1, joint + 2]
        dst += [joint + 1, joint + 2, after, after]
    edges = Edges(3 * links + 1, tuple(src), tuple(dst))
    total = dependencies(edges.csr(), np.array([0])).total
    n = edges.n
    joints = np.arange(3, n - 1, 3)
    assert total[joints].tolist() == pytest.approx((n - 1 - joints).tolist(), rel=1e-12)
    # One of a pair of diamond sides: it ends nothing but its own paths, and carries half of all that lies
    # behind it.
    assert total[1::3].tolist() == pytest.approx((0.5 * (n - np.arange(3, n, 3))).tolist(), rel=1e-12)


@pytest.mark.parametrize("side", [36, 120])
def test_a_grid_is_symmetric_and_every_pair_is_accounted_for(side: int) -> None:
    csr = of(nx.grid_2d_graph(side, side)).csr()
    corners = np.array([0, side - 1, side * (side - 1), side * side - 1])
    total = dependencies(csr, corners).total.reshape(side, side)
    for turned in (total.T, total[::-1], total[:, ::-1]):
        np.testing.assert_allclose(total, turned, rtol=1e-9)
    x, y = np.divmod(np.arange(side * side), side)
    between = np.maximum(x + y - 1, 0).sum()  # from a corner, the vertices inside a path number distance - 1
    assert total.sum() == pytest.approx(4 * between, rel=1e-9)


@pytest.mark.parametrize(
    "edges",
    [
        Edges(0, (), ()),
        Edges(1, (), ()),
        Edges(1, (0,), (0,)),
        Edges(3, (0, 1), (0, 1)),
        Edges(2, (0,), (1,)),
    ],
)
def test_graphs_without_anything_between_give_zeros(edges: Edges) -> None:
    csr = edges.csr()
    assert dependencies(csr, everyone(csr)).total.tolist() == [0.0] * edges.n


def test_no_sources_give_zeros() -> None:
    csr = of(nx.path_graph(3)).csr()
    assert dependencies(csr, np.array([], dtype=np.int64)).total.tolist() == [0.0] * 3


def test_every_fault_of_the_sources_is_reported_at_once() -> None:
    csr = of(nx.path_graph(3)).csr()
    with pytest.raises(InputError) as error:
        dependencies(csr, np.array([0, 3]), vertex_weight=np.ones(2), source_weight=np.array([1.0, -1.0]))
    message = str(error.value)
    assert "1 sources are outside 0..2, the first 3" in message
    assert "vertex_weight has 2 values for 3" in message
    assert "source_weight has values that are negative" in message
