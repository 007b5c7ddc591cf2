"""How far sampled betweenness is from the exact values, and how often its errors hold them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

import numpy as np

from bench.graph_made import made_graph
from bench.simulations import Figure, Simulation, mean, share
from engage_spark.graph.adaptive_sampling import StoppingRule, sample_until_bounded
from engage_spark.graph.betweenness import to_pair_shares
from engage_spark.graph.estimates import ScoreEstimator
from engage_spark.graph.kernels.brandes import dependencies, exponent_of_squares, exponent_of_sums
from engage_spark.graph.kernels.csr import Csr, build_csr
from engage_spark.graph.kernels.diameter import vertex_diameter_bound
from engage_spark.graph.kernels.reduction import reduce_graph
from engage_spark.numerics import fixed_point
from engage_spark.numerics.dtypes import F64, I64
from tests.support.local_sampler import LocalSampler

N, EPSILON, DELTA = 600, 0.03, 0.1
SOURCES = 200
GRAPHS = ("communities", "hanging parts", "ring of cliques")


def edges_of(graph: str) -> tuple[I64, I64]:
    """Make one of three graphs: heavy-tailed, the same with small parts behind single ways in, and a ring."""
    if graph == "ring of cliques":
        inside = [(10 * c + i, 10 * c + j) for c in range(N // 10) for i in range(10) for j in range(i)]
        between = [(10 * c, (10 * c + 15) % N) for c in range(N // 10)]
        pairs = np.array(inside + between, dtype=np.int64)
        return pairs[:, 0], pairs[:, 1]
    if graph == "communities":
        return made_graph(N, 8.0)
    src, dst = made_graph(N - 60, 8.0)
    parts = [(N - 60 + 4 * p + i, N - 60 + 4 * p + j) for p in range(15) for i in range(4) for j in range(i)]
    ways = [(N - 60 + 4 * p, 7 * p) for p in range(15)]
    more = np.array(parts + ways, dtype=np.int64)
    return np.concatenate([src, more[:, 0]]), np.concatenate([dst, more[:, 1]])


@dataclass(frozen=True, eq=False)
class MadeGraph:
    """A graph with its exact betweenness, and the dependencies of each source (a row) on each vertex."""

    csr: Csr
    of_source: F64
    exact: F64

    @classmethod
    @cache
    def named(cls, name: str) -> MadeGraph:
        """Make the graph and compute it exactly."""
        csr = build_csr(*edges_of(name), N)
        of_source = np.stack([dependencies(csr, np.array([s])).total for s in range(N)])
        return cls(csr, of_source, of_source.sum(axis=0) / ((N - 1.0) * (N - 2)))


def estimated(graph: MadeGraph, seed: int, *, n_sources: int = SOURCES) -> dict[str, F64]:
    """Compute betweenness as the product does with this seed: from paths and from sources."""
    zero = reduce_graph(graph.csr).zero
    sampler = LocalSampler(graph.csr, seed=seed, zero=zero)
    rule = to_pair_shares(StoppingRule(epsilon=EPSILON), N)
    interior = vertex_diameter_bound(graph.csr) - 2
    bounds = sample_until_bounded(
        sampler, rule=rule, delta=DELTA, active=int((~zero).sum()), interior=interior
    )
    drawn = graph.of_source[np.random.default_rng((6, seed)).choice(N, n_sources, replace=False)]
    numbers = {"v": np.arange(N), "calibration": sampler.calibration, "hits": sampler.hits}
    numbers["hi"], numbers["lo"] = fixed_point.to_limbs(drawn.sum(axis=0), exponent_of_sums(N))
    squares = (drawn * drawn).sum(axis=0)
    numbers["squares_hi"], numbers["squares_lo"] = fixed_point.to_limbs(squares, exponent_of_squares(N))
    return ScoreEstimator.from_bounds(N, bounds, n_sources, rule=rule).columns(numbers, None, zero)


def betweenness_within_epsilon(runs: int) -> Iterator[Figure]:
    """Count runs whose intervals all hold, values beyond epsilon from the truth, and errors that hold."""
    for name in GRAPHS:
        graph = MadeGraph.named(name)
        failed = beyond = 0
        inside, told = [], []
        for seed in range(runs):
            c = estimated(graph, seed)
            off = np.abs(c["betweenness"] - graph.exact)
            slack = 1e-12
            holds = bool(((c["lower"] - slack <= graph.exact) & (graph.exact <= c["upper"] + slack)).all())
            failed += not holds
            beyond += holds and bool((off > EPSILON + slack).any())
            known = (c["stderr"] > 0) & ~np.isnan(c["stderr"])
            told.append(float(known.sum()))
            if known.any():
                inside.append(float((off <= 2 * c["stderr"])[known].mean()))
        yield share("an interval misses the exact betweenness", name, failed, runs, most=DELTA)
        yield share("intervals hold and a value is beyond epsilon", name, beyond, runs, most=0.0)
        yield mean("values within two of the standard errors told", name, inside, least=0.93)
        yield mean("vertices whose standard error is told", name, told, least=1.0)


SIMULATIONS: tuple[Simulation, ...] = (betweenness_within_epsilon,)
