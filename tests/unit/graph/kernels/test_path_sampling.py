"""Sampled paths: uniform over pairs and over each pair's shortest paths, and independent of how the range is
split.
"""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from pathlib import Path

import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engage_spark.errors import InputError
from engage_spark.graph.kernels.brandes import dependencies
from engage_spark.graph.kernels.csr import Csr
from engage_spark.graph.kernels.diameter import vertex_diameter_bound
from engage_spark.graph.kernels.path_sampling import sample_paths
from tests.support.examples import examples
from tests.support.graphs import Edges, edge_lists, of, real


def assert_unbiased(csr: Csr, betweenness: np.ndarray, count: int, *, deviations: float) -> None:
    """Every vertex's hits lie within so many standard deviations of a binomial count. Wrong predecessor
    weights are caught on graphs where a vertex's predecessors have unlike path counts.
    """
    chance = betweenness / (csr.n * (csr.n - 1))
    hits = sample_paths(csr, seed=3, start=0, count=count).hits
    spread = np.sqrt(np.maximum(chance * (1 - chance) * count, 1e-9))
    assert (hits[chance == 0] == 0).all()
    assert np.abs(hits - chance * count).max(initial=0) <= (deviations * spread + 1).max(initial=0)
    assert (np.abs(hits - chance * count) <= deviations * spread + 1).all()


@settings(max_examples=examples(60), deadline=None)
@given(edge_lists())
def test_hits_are_binomial_around_exact_betweenness_on_any_graph(edges: Edges) -> None:
    if edges.n >= 2:
        assert_unbiased(edges.csr(), edges.betweenness(), 5000, deviations=6)


def forks(count: int) -> list[tuple[int, int]]:
    """A chain of forks, every second one turned round: from joint to joint lead 8 paths through one vertex
    before the end, 1 beside it.
    """
    edges = []
    for i in range(count):
        first = 12 * i
        start, end = (first, first + 12) if i % 2 == 0 else (first + 12, first)
        gate, aside, beside = first + 9, first + 10, first + 11
        edges += [(start, v) for v in range(first + 1, first + 9)] + [
            (v, gate) for v in range(first + 1, first + 9)
        ]
        edges += [(gate, end), (start, aside), (aside, beside), (beside, end)]
    return edges


@pytest.mark.parametrize("lengths", [False, True])
def test_predecessors_are_drawn_in_proportion_to_their_paths(lengths: bool) -> None:
    """Drawn alike, the vertex reached by 1 path would be hit in half of the samples instead of in a ninth.
    Searches from both ends meet inside one fork, where an arc is drawn; the other forks are walked back
    through. With lengths, the search is from one end.
    """
    edges = forks(8)
    weight = (1,) * len(edges) if lengths else None
    graph = Edges(8 * 12 + 1, tuple(u for u, _ in edges), tuple(v for _, v in edges), weight)
    assert_unbiased(graph.csr(), graph.betweenness(), 50_000, deviations=5)


@pytest.mark.parametrize("directed", [False, True])
def test_hits_are_binomial_on_a_random_graph_of_a_hundred(directed: bool) -> None:
    graph = nx.gnp_random_graph(100, 0.06, seed=4, directed=directed)
    edges = Edges(100, tuple(u for u, _ in graph.edges), tuple(v for _, v in graph.edges), directed=directed)
    assert_unbiased(edges.csr(), edges.betweenness(), 300_000, deviations=5)


def test_hits_are_binomial_with_lengths_that_tie() -> None:
    graph = nx.gnp_random_graph(60, 0.12, seed=5)
    lengths = np.random.default_rng(5).integers(1, 4, graph.number_of_edges())
    edges = Edges(
        60, tuple(u for u, _ in graph.edges), tuple(v for _, v in graph.edges), tuple(lengths.tolist())
    )
    assert_unbiased(edges.csr(), edges.betweenness(), 100_000, deviations=5)


def test_hits_are_binomial_on_the_real_graph(shared_data: Path) -> None:
    csr, _ = real(shared_data, "facebook_combined")
    assert_unbiased(csr, dependencies(csr, np.arange(csr.n)).total, 200_000, deviations=6)


@settings(max_examples=examples(30), deadline=None)
@given(edge_lists(), st.lists(st.integers(0, 1000), max_size=4))
def test_any_split_of_the_range_hits_the_same(edges: Edges, cuts: list[int]) -> None:
    if edges.n < 2:
        return
    csr = edges.csr()
    whole = sample_paths(csr, seed=9, start=0, count=1000)
    parts = [sample_paths(csr, seed=9, start=a, count=b - a) for a, b in pairwise([0, *sorted(cuts), 1000])]
    assert np.sum([p.hits for p in parts], axis=0).tolist() == whole.hits.tolist()
    assert sum(p.interior for p in parts) == whole.interior == whole.hits.sum()
    assert sum(p.unreachable for p in parts) == whole.unreachable
    assert max(p.longest for p in parts) == whole.longest


def test_another_seed_hits_others() -> None:
    csr = of(nx.path_graph(50)).csr()
    assert (
        sample_paths(csr, seed=1, start=0, count=100).hits.tolist()
        != sample_paths(csr, seed=2, start=0, count=100).hits.tolist()
    )


def test_pairs_are_uniform() -> None:
    """On a directed cycle of five the pair decides the path, so the hits' distribution is that of the pairs'
    distances.
    """
    edges = Edges(5, (0, 1, 2, 3, 4), (1, 2, 3, 4, 0), directed=True)
    lengths = Counter(sample_paths(edges.csr(), seed=7, start=i, count=1).interior for i in range(8000))
    assert set(lengths) == {0, 1, 2, 3}
    assert all(abs(c - 2000) < 6 * np.sqrt(8000 * 0.25 * 0.75) for c in lengths.values())


def test_pairs_without_a_path_are_counted() -> None:
    edges = Edges(4, (0, 2), (1, 3))
    sample = sample_paths(edges.csr(), seed=0, start=0, count=9000)
    assert abs(sample.unreachable - 6000) < 6 * np.sqrt(9000 * 2 / 9)
    assert sample.hits.sum() == sample.longest == 0


@pytest.mark.parametrize("side", [36, 200])
def test_on_a_grid_the_inside_of_a_path_is_its_distance(side: int) -> None:
    """Pairs on a 200 x 200 grid are joined by up to 1e118 paths. The mean distance is 2 side / 3."""
    csr = of(nx.grid_2d_graph(side, side)).csr()
    count = 20_000 if side == 36 else 1000
    sample = sample_paths(csr, seed=1, start=0, count=count)
    assert sample.unreachable == 0
    distance = sample.interior / count + 1
    assert distance == pytest.approx(2 * side / 3, abs=5 * 0.33 * side / np.sqrt(count))
    assert sample.longest + 2 <= vertex_diameter_bound(csr)


def test_more_paths_than_float64_can_count_are_drawn_from_all_the_same() -> None:
    """A chain of 1,500 diamonds: from end to end 2**1500 paths, and each side of a diamond is on half of
    them.
    """
    links = 1500
    src, dst = [], []
    for i in range(links):
        src += [3 * i, 3 * i, 3 * i + 1, 3 * i + 2]
        dst += [3 * i + 1, 3 * i + 2, 3 * i + 3, 3 * i + 3]
    edges = Edges(3 * links + 1, tuple(src), tuple(dst))
    sample = sample_paths(edges.csr(), seed=2, start=0, count=600)
    left, right = sample.hits[1::3].sum(), sample.hits[2::3].sum()
    assert abs(left - right) < 6 * np.sqrt(left + right)
    assert left + right > 100 * links
    assert sample.longest + 2 <= vertex_diameter_bound(edges.csr())


@pytest.mark.parametrize("edges", [Edges(0, (), ()), Edges(1, (0,), (0,))])
def test_a_graph_without_pairs_is_refused(edges: Edges) -> None:
    with pytest.raises(InputError, match="no pair to sample"):
        sample_paths(edges.csr(), seed=0, start=0, count=1)


def test_a_negative_range_is_refused() -> None:
    with pytest.raises(InputError, match="are not a range"):
        sample_paths(of(nx.path_graph(3)).csr(), seed=0, start=-1, count=1)


def longest_path(edges: Edges) -> int:
    graph = edges.networkx()
    paths = (
        p
        for s in graph
        for t in graph
        if s != t and nx.has_path(graph, s, t)
        for p in nx.all_shortest_paths(graph, s, t, weight="length")
    )
    return max((len(p) for p in paths), default=min(edges.n, 1))


@settings(max_examples=examples(60), deadline=None)
@given(edge_lists())
def test_no_shortest_path_is_longer_than_the_bound(edges: Edges) -> None:
    assert longest_path(edges) <= vertex_diameter_bound(edges.csr()) <= edges.n


def test_the_bound_is_useful_on_a_real_graph(shared_data: Path) -> None:
    csr, _ = real(shared_data, "facebook_combined")
    assert 9 <= vertex_diameter_bound(csr) <= 13  # the diameter is 8
    directed, _ = real(shared_data, "wiki_vote", directed=True)
    assert 8 <= vertex_diameter_bound(directed) <= 60
