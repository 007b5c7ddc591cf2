"""Sample shortest paths until every vertex's betweenness is bounded as tightly as requested.

A sample is one random shortest path between a random ordered pair of vertices; vertex v is hit with
probability b(v), so its hits are binomial. The procedure (after KADABRA: Borassi, Natale 2016, with exact
binomial bounds instead of Bernstein's):

1. Calibration: some samples that decide the plan and are then thrown away, so that nothing below depends on
   the samples that count.
2. The plan: delta is divided over rounds (a half, a quarter, ...), over vertices, and over the lower and the
   upper bound. A quarter goes to all vertices alike; the rest to each as the calibration says it is needed
   for the stopping rule, which is what saves samples.
3. Rounds at sizes fixed by the plan. After each one the exact bounds (`numerics.binomial`) of all vertices
   are compared with the rule.

By the union bound all intervals of all rounds hold at once with probability 1 - delta. With an absolute
epsilon there is a cap: at `sufficient_sample_size` every estimate is within epsilon with probability
1 - delta/20, whatever the data.

Nothing here knows where samples are drawn. Samplers return histograms, not vertices, whose size follows from
the number of samples.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from engage_spark.numerics.binomial import binomial_bounds
from engage_spark.numerics.dtypes import F64, I64

UNIFORM_SHARE = 0.25
CAP_SHARE = 0.05
GROWTH = 1.25
FLOOR = 1e-4
"""A vertex whose betweenness is proven to be below this needs no relative precision (with top_k)."""
_FIRST_CALIBRATION = 512
_CALIBRATION_HITS = 40  # of the k-th vertex: its share is then known within a sixth
_MARGIN = 1.1  # so that the first round is mostly the last


class HitHistogram(NamedTuple):
    """Number of vertices by their hits in the calibration and in the sample; vertices without any hit are a
    row as well.
    """

    calibration: I64
    hits: I64
    vertices: I64


class Sampler(Protocol):
    """Source of the paths. Samples are numbered; the same number is the same path everywhere."""

    def calibrate(self, samples: int) -> tuple[I64, I64]:
        """Take samples 0..samples-1; return the distinct counts of hits and how many vertices have each."""

    def draw(self, samples: int) -> HitHistogram:
        """Take `samples` samples in all after those of the calibration, earlier calls included."""


@dataclass(frozen=True)
class StoppingRule:
    """When to stop: either `epsilon`, or `top_k` with `relative_error` and `floor`.

    Units: shares of ordered pairs (b), not Freeman's.
    """

    epsilon: float | None = None
    top_k: int = 10
    relative_error: float = 0.2
    floor: float = FLOOR

    def worst_ratio(self, histogram: HitHistogram, lower: F64, upper: F64) -> float:
        """Return the error of the worst vertex as a multiple of the allowed one; 1 or less meets the rule."""
        if not len(histogram.hits):
            return 0.0
        if self.epsilon is not None:
            return float(np.max(upper - lower)) / 2 / self.epsilon
        top = histogram.hits >= kth_largest(histogram.hits, histogram.vertices, self.top_k)
        relative = (upper - lower) / np.maximum(upper + lower, 1e-300) / self.relative_error
        return float(np.max(np.where(upper <= self.floor, 0.0, relative)[top]))

    def value_limits(self, lower: F64, upper: F64) -> tuple[F64, F64]:
        """Return between which values an estimate keeps the allowed error, wherever in its interval the truth
        is.

        With epsilon that is at most epsilon from either end, else at most `relative_error` of either end; an
        interval that is wider than the rule allows (a vertex not of the top) is returned as it is.
        """
        if self.epsilon is not None:
            low, high = np.maximum(lower, upper - self.epsilon), np.minimum(upper, lower + self.epsilon)
            middle = (lower + upper) / 2  # where rounding leaves no room between both
            return np.minimum(low, np.maximum(middle, lower)), np.maximum(high, np.minimum(middle, upper))
        low = np.maximum(lower, upper * (1 - self.relative_error))
        high = np.minimum(upper, lower * (1 + self.relative_error))
        return np.where(low <= high, low, lower), np.where(low <= high, high, upper)


@dataclass(frozen=True)
class SamplingPlan:
    """Decisions of the calibration: the share of delta of a vertex by its calibration hits, and the size of
    each round.
    """

    calibration: I64
    weight: F64
    first_size: int
    cap: int | None
    delta: float

    def round_size(self, number: int) -> int:
        """Return the samples of all rounds up to this one (1, 2, ...)."""
        size = math.ceil(self.first_size * GROWTH ** (number - 1))
        return size if self.cap is None else min(size, self.cap)

    def levels(self, calibration: I64, number: int) -> F64:
        """Return -log of the probability with which each bound of a vertex may fail in this round."""
        each = self.delta / 2**number * self.weight[np.searchsorted(self.calibration, calibration)] / 2
        return np.asarray(-np.log(each))


@dataclass(frozen=True)
class SamplingBounds:
    """Intervals of b by (calibration hits, hits).

    They hold for all vertices at once with probability 1 - delta.
    """

    histogram: HitHistogram
    lower: F64
    upper: F64
    samples: int
    calibration: int
    rounds: int
    capped: bool
    top_k: int
    sizes: tuple[int, ...] = field(default=())

    @property
    def error(self) -> float:
        """Half the width of the widest interval."""
        return float(np.max(self.upper - self.lower, initial=0.0)) / 2

    @property
    def relative_error(self) -> float:
        """Half the width of an interval over its midpoint, the largest among the top_k vertices."""
        hits, vertices = self.histogram.hits, self.histogram.vertices
        if not len(hits):
            return 0.0
        top = hits >= kth_largest(hits, vertices, self.top_k)
        total = self.upper + self.lower
        ratio = np.where(total > 0, (self.upper - self.lower) / np.maximum(total, 1e-300), 0.0)
        return float(np.max(ratio[top]))

    @property
    def contenders(self) -> int:
        """Number of vertices that cannot be excluded from the true top_k."""
        vertices = self.histogram.vertices
        if not len(vertices):
            return 0
        return int(vertices[self.upper >= kth_largest(self.lower, vertices, self.top_k)].sum())

    @property
    def certain_members(self) -> int:
        """Number of vertices that are among the true top_k wherever in their intervals the values are."""
        order = np.argsort(self.upper)
        ends, above = self.upper[order], np.cumsum(self.histogram.vertices[order][::-1])[::-1]
        rivals = np.append(above, 0)[np.searchsorted(ends, self.lower)]  # itself included
        return int(self.histogram.vertices[rivals <= self.top_k].sum())

    @property
    def certain_places(self) -> int:
        """Number of leading places, top_k at most, whose vertex is known: its interval lies above those of
        all that follow.
        """
        order = np.argsort(-self.lower, kind="stable")
        vertices = self.histogram.vertices[order]
        rest = np.maximum.accumulate(np.append(self.upper[order], -np.inf)[::-1])[::-1][1:]
        is_apart = (vertices == 1) & (self.lower[order] > rest)
        places = int(np.argmin(np.append(is_apart, False)))
        return min(places, self.top_k)


def sample_until_bounded(
    sampler: Sampler, *, rule: StoppingRule, delta: float, active: int, interior: int
) -> SamplingBounds:
    """Sample until `rule` holds.

    `active` vertices can have betweenness at all; `interior` bounds the inner vertices of a shortest path.
    Cost: O(calibrations + rounds) calls of `sampler`, mostly three or four in all.
    """
    if active == 0:
        nothing = np.zeros(0, dtype=np.int64)
        return SamplingBounds(
            HitHistogram(nothing, nothing, nothing), np.zeros(0), np.zeros(0), 0, 0, 0, False, rule.top_k
        )
    plan, calibration = _calibrate(sampler, rule=rule, delta=delta, active=active, interior=interior)
    sizes: list[int] = []
    while True:
        number = len(sizes) + 1
        size = plan.round_size(number)
        sizes.append(size)
        histogram = sampler.draw(size)
        lower, upper = binomial_bounds(histogram.hits, size, plan.levels(histogram.calibration, number))
        capped = size == plan.cap
        if capped and rule.epsilon is not None:
            lower = np.maximum(lower, histogram.hits / size - rule.epsilon)
            upper = np.minimum(upper, histogram.hits / size + rule.epsilon)
        if capped or rule.worst_ratio(histogram, lower, upper) <= 1.0:
            return SamplingBounds(
                histogram, lower, upper, size, calibration, number, capped, rule.top_k, tuple(sizes)
            )


def _calibrate(
    sampler: Sampler, *, rule: StoppingRule, delta: float, active: int, interior: int
) -> tuple[SamplingPlan, int]:
    """Calibrate with more and more samples, until they are enough to plan with."""
    samples = _FIRST_CALIBRATION if rule.epsilon is not None else 8 * _FIRST_CALIBRATION
    most = math.ceil(_CALIBRATION_HITS / rule.floor)
    while True:
        hits, vertices = sampler.calibrate(samples)
        if rule.epsilon is not None:
            plan = plan_rounds(
                hits, vertices, samples, rule=rule, delta=delta, active=active, interior=interior
            )
            if samples * 20 >= plan.first_size:
                return plan, samples
            samples *= 4
        else:
            kth_hits = kth_largest(hits, vertices, rule.top_k)
            if kth_hits >= _CALIBRATION_HITS or samples >= most:
                return plan_rounds(
                    hits, vertices, samples, rule=rule, delta=delta, active=active, interior=interior
                ), samples
            growth = math.ceil(1.2 * _CALIBRATION_HITS / max(kth_hits, 1))
            samples = min(most, samples * max(2, min(8, growth)))


def plan_rounds(
    hits: I64, vertices: I64, samples: int, *, rule: StoppingRule, delta: float, active: int, interior: int
) -> SamplingPlan:
    """Divide delta and choose the first round's size from a calibration's histogram."""
    order = np.argsort(hits)
    hits, vertices = hits[order], vertices[order]
    share = np.maximum(hits, 0.5) / samples
    cap = None
    if rule.epsilon is not None:
        wanted = np.full(len(hits), rule.epsilon)
        cap = sufficient_sample_size(rule.epsilon, CAP_SHARE * delta, interior)
        delta = (1 - CAP_SHARE) * delta
    else:
        last = kth_largest(hits, vertices, rule.top_k)
        near = hits >= max(1.0, last - 2 * math.sqrt(last))
        # assume candidates near the cut-off were under-sampled
        share = np.where(near, np.maximum(share, last / samples), share)
        wanted = np.where(near, rule.relative_error * share, math.inf)
    budget = delta / 2 * (1 - UNIFORM_SHARE) / 2  # of the first round, for one bound

    def needed(size: float) -> F64:
        """Return the probability of failure at which a round of this size would suffice for each vertex, by
        Bernstein's inequality.
        """
        spread = np.sqrt(2 * share * (1 - share))
        narrow = np.where(np.isfinite(wanted), wanted, 0.0)
        root = (np.sqrt(spread**2 + 4 * narrow / 3) - spread) * 1.5
        return np.where(np.isfinite(wanted), np.exp(-size * root**2), 0.0)

    low, high = 1.0, 2.0
    while float(np.sum(vertices * needed(high))) > budget:
        low, high = high, high * 2
    for _ in range(60):
        middle = math.sqrt(low * high)
        low, high = (middle, high) if float(np.sum(vertices * needed(middle))) > budget else (low, middle)
    need = needed(high)
    total = float(np.sum(vertices * need))
    weight = UNIFORM_SHARE / active + (1 - UNIFORM_SHARE) * (
        need / total if total > 0 else np.full(len(hits), 1 / active)
    )
    draft = SamplingPlan(hits, weight, max(2, math.ceil(high)), cap, delta)
    return SamplingPlan(hits, weight, _first_size(draft, share, vertices, rule), cap, delta)


def _first_size(plan: SamplingPlan, share: F64, vertices: I64, rule: StoppingRule) -> int:
    """Return the size at which the rule would hold if every vertex were one standard deviation worse than
    expected, and a margin: a second round has less of delta left, so it costs more than the margin.
    """

    def worst_ratio(size: int) -> float:
        deviation = np.sqrt(share * (1 - share) * size) * (1 if rule.epsilon is not None else -1)
        hits = np.rint(np.maximum(share * size + deviation, 0)).astype(np.int64)
        bounds = binomial_bounds(np.minimum(hits, size), size, plan.levels(plan.calibration, 1))
        return rule.worst_ratio(HitHistogram(plan.calibration, hits, vertices), *bounds)

    low, high = 1, max(16, plan.first_size)
    while worst_ratio(high) > 1.0:
        low, high = high, 2 * high
    while high - low > high // 100 + 1:
        middle = (low + high) // 2
        low, high = (middle, high) if worst_ratio(middle) > 1.0 else (low, middle)
    return math.ceil(high * _MARGIN)


def sufficient_sample_size(epsilon: float, delta: float, interior: int) -> int:
    """Return the samples after which all |estimate - b| <= epsilon with probability 1 - delta.

    It needs nothing but a bound on the inner vertices of a path. The sum of all b is the mean number of inner
    vertices, so giving v the share b(v) / interior of delta gives away no more than delta, and Chernoff's
    bound for a single v says how many samples its share needs; the worst b decides. It replaces the
    vertex-diameter bound of Riondato, Kornaropoulos (2016), whose constant c = 0.5 is only an estimate.
    Source: the argument of SILVAN (Pellegrini, Vandin 2023), with the binomial's own rate instead of
    Bennett's.
    """
    b = np.concatenate([np.geomspace(1e-12, 0.01, 2000), np.linspace(0.01, 1 - 1e-9, 4000)[1:]])
    above, below = b + epsilon, b - epsilon
    rate = np.minimum(
        np.where(above <= 1, _rate(np.minimum(above, 1.0), b), math.inf),
        np.where(below >= 0, _rate(np.maximum(below, 0.0), b), math.inf),
    )
    samples = (np.log(2 * max(interior, 1) / delta) - np.log(b)) / rate
    return max(1, math.ceil(float(samples.max()) * 1.001))  # the grid's steps


def _rate(x: F64, b: F64) -> F64:
    """Kullback-Leibler divergence of a coin of share x from one of share b; infinite if x is impossible."""
    with np.errstate(divide="ignore", invalid="ignore"):
        heads = np.where(x > 0, x * np.log(x / b), 0.0)
        tails = np.where(x < 1, (1 - x) * (np.log1p(-x) - np.log1p(-b)), 0.0)
    return np.asarray(heads + tails)


def kth_largest(values: NDArray[Any], vertices: I64, k: int) -> Any:
    """Return the k-th largest value, each counted `vertices` times; the smallest if there are fewer."""
    order = np.argsort(-values, kind="stable")
    rank = min(int(np.searchsorted(np.cumsum(vertices[order]), k)), len(order) - 1)
    return values[order][rank]
