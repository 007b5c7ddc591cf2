"""Values from sampled sources: which are drawn, that they are unbiased, and that their standard errors mean
what they say.
"""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from engage_spark.graph.distributed.build_task import Core
from engage_spark.graph.distributed.source_tasks import DependencyAccumulator, sample_sources
from engage_spark.graph.estimates import estimate_totals
from engage_spark.graph.kernels.brandes import dependencies, exponent_of_squares, exponent_of_sums
from engage_spark.graph.kernels.csr import Csr
from engage_spark.graph.kernels.reduction import reduce_graph
from engage_spark.numerics import fixed_point
from tests.support.graphs import of, real


def core_of(csr: Csr) -> Core:
    reduced = reduce_graph(csr)
    return Core(reduced.core, reduced.vertex_weight, reduced.original, reduced.core_of, reduced.contributions)


def sampled(core: Core, n: int, sources: int, seed: int, *, batch: int = 32) -> tuple[np.ndarray, np.ndarray]:
    """(value, standard error) over ordered pairs per vertex, by what the tasks run."""
    sums = DependencyAccumulator(core, n=n, sampled=True, precision="float64")
    vertices = sample_sources(n, sources, seed)
    for at in range(0, sources, batch):
        sums.add(vertices[at : at + batch])
    v, (hi, lo, squares_hi, squares_lo) = sums.rows()
    total, squares = np.zeros(n), np.zeros(n)
    total[v] = fixed_point.from_limbs(hi, lo, exponent_of_sums(n))
    squares[v] = fixed_point.from_limbs(squares_hi, squares_lo, exponent_of_squares(n))
    value, error = estimate_totals(total, squares, n=n, sources=sources)
    assert core.contributions is not None
    return core.contributions + value, error


@pytest.mark.parametrize(("n", "count"), [(10, 3), (10, 7), (10, 10), (10, 50), (1_000_000, 1000)])
def test_sources_are_different_vertices_and_a_function_of_the_seed(n: int, count: int) -> None:
    vertices = sample_sources(n, count, 5)
    assert len(np.unique(vertices)) == len(vertices) == min(n, count)
    assert vertices.min() >= 0
    assert vertices.max() < n
    assert vertices.tolist() == sample_sources(n, count, 5).tolist()
    assert count >= n or vertices.tolist() != sample_sources(n, count, 6).tolist()


@pytest.mark.parametrize(("n", "count"), [(12, 4), (12, 9)])
def test_every_vertex_is_drawn_equally_often(n: int, count: int) -> None:
    draws = np.bincount(np.concatenate([sample_sources(n, count, seed) for seed in range(3000)]), minlength=n)
    spread = math.sqrt(3000 * count / n * (1 - count / n))
    assert np.abs(draws - 3000 * count / n).max() < 4 * spread


@pytest.fixture(scope="module")
def facebook(shared_data: Path) -> Csr:
    return real(shared_data, "facebook_combined")[0]


@pytest.mark.slow
def test_standard_errors_on_facebook_are_calibrated_against_exact(facebook: Csr) -> None:
    """For vertices that many sources see, (estimate - exact) / stderr is about standard normal, over seeds
    and vertices. Where a few sources make up the value (the way into a small part), a sample that misses
    them underrates its own error: those are left out here.
    """
    whole = dependencies(facebook, np.arange(facebook.n), squares=True)
    exact, squares = whole.total, whole.squares
    assert squares is not None
    seen = exact**2 / (facebook.n * np.maximum(squares, 1e-300))  # 1: all sources alike, 1 / n: a single one
    core, top = core_of(facebook), np.flatnonzero((seen > 0.1) & (exact > 0.002 * facebook.n**2))
    assert len(top) >= 10
    z = []
    for seed in range(60):
        value, error = sampled(core, facebook.n, 512, seed)
        z.append((value[top] - exact[top]) / error[top])
    scores = np.array(z)
    assert abs(scores.mean()) < 0.2
    assert 0.85 < np.sqrt((scores**2).mean()) < 1.15
    outside = int((np.abs(scores) > stats.norm.ppf(0.975)).sum())
    assert 0.02 < outside / scores.size < 0.09


def test_the_mean_over_all_samples_is_the_exact_value() -> None:
    """All 20 samples of 3 out of 6 vertices, of a graph with a tree hanging on it: unbiased, and the mean
    variance is the variance.
    """
    import itertools

    import networkx as nx

    graph = nx.Graph([(0, 1), (1, 2), (2, 0), (2, 3), (3, 4), (3, 5)])
    csr, edges = of(graph).csr(), of(graph)
    core = core_of(csr)
    assert core.csr.n < csr.n
    values, variances = [], []
    for vertices in itertools.combinations(range(6), 3):
        sums = DependencyAccumulator(core, n=6, sampled=True, precision="float64")
        sums.add(np.array(vertices))
        v, (hi, lo, squares_hi, squares_lo) = sums.rows()
        total, squares = np.zeros(6), np.zeros(6)
        total[v], squares[v] = (
            fixed_point.from_limbs(hi, lo, exponent_of_sums(6)),
            fixed_point.from_limbs(squares_hi, squares_lo, exponent_of_squares(6)),
        )
        value, error = estimate_totals(total, squares, n=6, sources=3)
        values.append(core.contributions + value)
        variances.append(error**2)
    np.testing.assert_allclose(np.mean(values, axis=0), edges.betweenness(), rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(np.mean(variances, axis=0), np.var(values, axis=0), rtol=1e-9, atol=1e-12)


def test_all_vertices_as_sources_leave_no_error(facebook: Csr) -> None:
    value, error = sampled(core_of(facebook), facebook.n, facebook.n, 0)
    assert error.max() == 0
    np.testing.assert_allclose(
        value, dependencies(facebook, np.arange(facebook.n)).total, rtol=1e-9, atol=1e-3
    )


def test_sums_do_not_depend_on_the_order_of_batches(facebook: Csr) -> None:
    core, vertices = core_of(facebook), sample_sources(facebook.n, 320, 3)
    batches = [vertices[at : at + 32] for at in range(0, 320, 32)]
    one, other = (
        DependencyAccumulator(core, n=facebook.n, sampled=True, precision="float32") for _ in range(2)
    )
    for batch in batches:
        one.add(batch)
    for batch in reversed(batches):
        other.add(batch)
    assert all((a == b).all() for a, b in zip(one.rows()[1], other.rows()[1], strict=True))


def test_the_order_for_batches_keeps_every_source_and_their_sums() -> None:
    import networkx as nx

    graph = nx.disjoint_union(nx.karate_club_graph(), nx.path_graph(5))
    core, vertices = core_of(of(graph).csr()), sample_sources(39, 30, 3)
    assert core.core_of is not None
    one, other = (DependencyAccumulator(core, n=39, sampled=True, precision="float64") for _ in range(2))
    ordered = one.order_sources(vertices)
    outside = core.core_of[ordered] < 0
    assert outside.any(), "a component that is a tree is removed"
    assert (np.diff(outside.astype(int)) >= 0).all(), "its sources come last"
    assert sorted(ordered.tolist()) == vertices.tolist() != ordered.tolist()
    for at in range(0, 30, 8):
        one.add(ordered[at : at + 8])
        other.add(vertices[at : at + 8])
    totals = [fixed_point.from_limbs(*sums.rows()[1][:2], exponent_of_sums(39)) for sums in (one, other)]
    np.testing.assert_allclose(*totals, rtol=1e-9)
