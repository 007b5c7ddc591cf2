"""Sampled bounds hold as often as they promise and are no wider than needed, on synthetic and real graphs."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import networkit as nk
import numpy as np
import pytest
from scipy import stats

from engage_spark.graph.adaptive_sampling import (
    HitHistogram,
    SamplingBounds,
    StoppingRule,
    kth_largest,
    sample_until_bounded,
    sufficient_sample_size,
)
from engage_spark.graph.kernels.csr import Csr
from engage_spark.graph.kernels.diameter import vertex_diameter_bound
from engage_spark.graph.kernels.reduction import reduce_graph
from tests.support.graphs import real
from tests.support.local_sampler import LocalSampler

DELTA = 0.1


def most_failures(runs: int, share: float = DELTA) -> int:
    """So many failures in so many runs are too many, at one in a thousand, for a procedure that fails with
    probability `share`.
    """
    return int(stats.binom.ppf(0.999, runs, share))


class MadeUp:
    """A sampler whose vertices have given shares, independent of each other."""

    def __init__(self, shares: np.ndarray, seed: int) -> None:
        self.shares, self.random = shares, np.random.default_rng(seed)
        self.calibration, self.hits = (
            np.zeros(len(shares), dtype=np.int64),
            np.zeros(len(shares), dtype=np.int64),
        )
        self.calibrated = self.drawn = 0

    def calibrate(self, samples: int) -> tuple[np.ndarray, np.ndarray]:
        self.calibration += self.random.binomial(samples - self.calibrated, self.shares)
        self.calibrated = samples
        return np.unique(self.calibration, return_counts=True)

    def draw(self, samples: int) -> HitHistogram:
        self.hits += self.random.binomial(samples - self.drawn, self.shares)
        self.drawn = samples
        pairs, vertices = np.unique(np.stack([self.calibration, self.hits]), axis=1, return_counts=True)
        return HitHistogram(pairs[0], pairs[1], vertices)


def intervals(sampler: MadeUp | LocalSampler, actual: SamplingBounds) -> tuple[np.ndarray, np.ndarray]:
    """Per vertex. What has no hits at all and is not in the histogram is known to be 0."""
    bounds = {
        (c, h): (lo, up)
        for c, h, lo, up in zip(*actual.histogram[:2], actual.lower, actual.upper, strict=True)
    }
    each = [bounds.get((c, h), (0.0, 0.0)) for c, h in zip(sampler.calibration, sampler.hits, strict=True)]
    lower, upper = np.array(each).T
    if isinstance(sampler, LocalSampler):
        lower, upper = np.where(sampler.active, lower, 0.0), np.where(sampler.active, upper, 0.0)
    return lower, upper


@dataclass
class Runs:
    failed: int
    samples: float
    rounds: float
    width: float
    """The median interval's, among vertices that are not known to be 0."""
    error: float
    narrower_failed: int


def many_runs(sampler_of: object, exact: np.ndarray, rule: StoppingRule, runs: int, interior: int) -> Runs:
    """Certify with seeds 0, 1, ...: how often any vertex lay outside, and, to see that this can fail, outside
    half of its interval.
    """
    failed = narrower = 0
    figures = []
    for seed in range(runs):
        sampler = sampler_of(seed)  # type: ignore[operator]
        active = int(sampler.active.sum()) if isinstance(sampler, LocalSampler) else len(exact)
        actual = sample_until_bounded(sampler, rule=rule, delta=DELTA, active=active, interior=interior)
        lower, upper = intervals(sampler, actual)
        failed += bool(((exact < lower) | (exact > upper)).any())
        middle, quarter = (lower + upper) / 2, (upper - lower) / 4
        narrower += bool((np.abs(exact - middle) > quarter).any())
        error = actual.error if rule.epsilon is not None else actual.relative_error
        possible = upper > 0
        figures.append((actual.samples, actual.rounds, np.median((upper - lower)[possible]), error))
    samples, rounds, width, error = (float(np.median(column)) for column in zip(*figures, strict=True))
    return Runs(failed, samples, rounds, width, error, narrower)


@pytest.mark.parametrize(
    "rule", [StoppingRule(epsilon=0.02), StoppingRule(top_k=10, relative_error=0.2)], ids=["epsilon", "top_k"]
)
def test_intervals_of_made_up_shares_hold_and_meet_the_rule(rule: StoppingRule) -> None:
    shares = 0.4 / np.arange(1, 3001) ** 1.3
    runs = many_runs(lambda seed: MadeUp(shares, seed), shares, rule, 300, interior=10)
    assert runs.failed <= most_failures(300)
    assert runs.narrower_failed > most_failures(300)
    allowed = rule.epsilon or rule.relative_error
    assert 0.7 * allowed < runs.error <= allowed
    assert runs.rounds <= 2


class Real:
    """A real graph with its exact shares of ordered pairs, by NetworKit."""

    def __init__(self, csr: Csr) -> None:
        self.csr, self.zero = csr, reduce_graph(csr).zero
        graph = nk.Graph(csr.n, directed=csr.directed)
        for v, w in zip(np.repeat(np.arange(csr.n), np.diff(csr.indptr)), csr.indices, strict=True):
            if csr.directed or v < w:
                graph.addEdge(int(v), int(w))
        self.exact = np.array(nk.centrality.Betweenness(graph).run().scores()) / (csr.n * (csr.n - 1.0))
        self.interior = vertex_diameter_bound(csr) - 2

    def sampler(self, seed: int) -> LocalSampler:
        return LocalSampler(self.csr, seed=seed, zero=self.zero)


@pytest.fixture(scope="module")
def facebook(shared_data: Path) -> Real:
    return Real(real(shared_data, "facebook_combined")[0])


@pytest.fixture(scope="module")
def wiki_vote(shared_data: Path) -> Real:
    return Real(real(shared_data, "wiki_vote", directed=True)[0])


@pytest.fixture(scope="module")
def in_pieces(facebook: Real) -> Real:
    """Facebook without its two largest hubs: more than twenty components."""
    csr = facebook.csr
    left = np.ones(csr.n, dtype=bool)
    left[[0, 1]] = False
    source = np.repeat(np.arange(csr.n), np.diff(csr.indptr))
    remaining = left[source] & left[csr.indices] & (source < csr.indices)
    from engage_spark.graph.kernels.csr import build_csr

    split = Real(build_csr(source[remaining], csr.indices[remaining].astype(np.int64), csr.n))
    assert len(reduce_graph(split.csr).component_size) > 20
    return split


# graph: most samples and widest median interval (shares) at epsilon 0.02 and delta 0.1; RK's fixed size would
# be 7,488 on Facebook.
LIMITS = {"facebook": (6500, 0.004), "wiki_vote": (1500, 0.02), "in_pieces": (6500, 0.004)}


@pytest.mark.parametrize(
    "name", ["wiki_vote", *(pytest.param(n, marks=pytest.mark.slow) for n in ("facebook", "in_pieces"))]
)
@pytest.mark.parametrize("runs", [20, pytest.param(200, marks=pytest.mark.long)])
def test_intervals_on_real_graphs_hold_and_are_narrow(
    request: pytest.FixtureRequest, name: str, runs: int
) -> None:
    graph: Real = request.getfixturevalue(name)
    seen = many_runs(graph.sampler, graph.exact, StoppingRule(epsilon=0.02), runs, graph.interior)
    print(name, seen)
    assert seen.failed <= most_failures(runs)
    assert seen.narrower_failed > most_failures(runs)
    assert seen.samples <= LIMITS[name][0]
    assert seen.width <= LIMITS[name][1]
    assert 0.01 < seen.error <= 0.02


def test_the_ten_most_central_are_known_within_a_fifth(facebook: Real) -> None:
    seen = many_runs(facebook.sampler, facebook.exact, StoppingRule(), 20, facebook.interior)
    assert seen.failed <= most_failures(20)
    assert 0.14 < seen.error <= 0.2
    assert seen.samples <= 15_000


@pytest.mark.parametrize(
    ("epsilon", "delta", "interior"), [(0.02, 0.005, 7), (0.1, 0.1, 1), (0.001, 0.05, 30)]
)
def test_the_cap_is_enough_by_the_binomial_distribution_itself(
    epsilon: float, delta: float, interior: int
) -> None:
    samples = sufficient_sample_size(epsilon, delta, interior)
    b = np.concatenate([np.geomspace(1e-9, 0.01, 400), np.linspace(0.01, 1 - 1e-6, 400)])
    too_high = stats.binom.sf(np.ceil(samples * (b + epsilon)) - 1, samples, b)
    too_low = stats.binom.cdf(np.floor(samples * (b - epsilon)), samples, b)
    assert (too_high + too_low <= delta * b / interior).all(), (
        "each vertex fails with no more than its part of delta"
    )
    assert samples < 1.2 * 0.5 / epsilon**2 * (
        math.floor(math.log2(max(interior, 1))) + 1 + math.log(2 / delta)
    ), "about RK's size"


def test_a_cap_that_is_reached_bounds_every_error() -> None:
    """Shares next to a half need more samples than the cap allows when the plan has to share delta among very
    many of them.
    """
    shares = np.full(3000, 0.5)
    sampler = MadeUp(shares, 1)
    actual = sample_until_bounded(
        sampler, rule=StoppingRule(epsilon=0.05), delta=DELTA, active=3000, interior=2
    )
    assert actual.capped
    assert actual.samples == sufficient_sample_size(0.05, DELTA / 20, 2)
    assert actual.error <= 0.05 + 1e-12


def test_fewer_vertices_than_top_k_are_all_certified() -> None:
    actual = sample_until_bounded(
        MadeUp(np.array([0.6, 0.3]), 3), rule=StoppingRule(top_k=10), delta=DELTA, active=2, interior=5
    )
    assert actual.relative_error <= 0.2
    assert actual.contenders == 2


def test_vertices_that_are_never_hit_end_below_the_floor() -> None:
    rule = StoppingRule(top_k=5)
    actual = sample_until_bounded(MadeUp(np.zeros(50), 3), rule=rule, delta=DELTA, active=50, interior=5)
    assert actual.lower.tolist() == [0.0]
    assert 0 < actual.upper[0] <= rule.floor


def test_without_any_vertex_that_could_be_hit_nothing_is_sampled() -> None:
    actual = sample_until_bounded(
        MadeUp(np.zeros(0), 3), rule=StoppingRule(), delta=DELTA, active=0, interior=0
    )
    assert (actual.samples, actual.rounds, actual.error, actual.contenders) == (0, 0, 0.0, 0)


def test_the_kth_largest_counts_each_value_as_often_as_it_occurs() -> None:
    values, often = np.array([1, 9, 4]), np.array([5, 1, 2])
    assert [kth_largest(values, often, k) for k in (1, 2, 3, 4, 8, 99)] == [9, 4, 4, 1, 1, 1]
