"""How many shortest paths to sample until every vertex's betweenness is known as exactly as was asked for,
and what is then proven.

A sample is one random shortest path between a random ordered pair of vertices; vertex v is hit with
probability b(v), so its hits are binomial. The procedure (after KADABRA: Borassi, Natale 2016, with exact
binomial bounds in the place of Bernstein's):

1. Calibration: some samples that decide the plan and are then thrown away, so that nothing below depends on
   the samples that count.
2. The plan: delta is shared out over rounds (a half, a quarter, ...), over vertices, and over the two sides.
   A quarter goes to all vertices
   alike; the rest to each as the calibration says it is needed for the stopping rule, which is what saves
   samples.
3. Rounds at sizes fixed by the plan. After each one the exact bounds (`binomial`) of all vertices are
   compared with the rule.

By the union bound all intervals of all rounds hold at once with probability 1 - delta. With an absolute
epsilon there is a cap: at `enough_samples` every estimate is within epsilon with probability 1 - delta/20,
whatever the data.

Nothing here knows where samples are drawn. What goes round is a histogram, not vertices, so its size follows
from the number of samples.
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
"""A vertex whose betweenness is proven to lie below this needs no relative precision (with top_k)."""
_FIRST = 512
_SEEN = 40  # calibration hits of the k-th vertex: its share is then known within a sixth
_MARGIN = 1.1  # so that the first round is mostly the last


class Pairs(NamedTuple):
    """How many vertices had so many hits in the calibration and so many in the sample; vertices without any
    are a row as well.
    """

    calibration: I64
    hits: I64
    vertices: I64


class Sampler(Protocol):
    """Where the paths come from. Samples are numbered; the same number is the same path everywhere."""

    def calibrate(self, samples: int) -> tuple[I64, I64]:
        """Take samples 0..samples-1: distinct counts of hits, and how many vertices have each."""

    def draw(self, samples: int) -> Pairs:
        """Take so many samples in all after the calibration's, those of earlier calls included."""


@dataclass(frozen=True)
class StoppingRule:
    """When to stop. Shares are of ordered pairs (b), not Freeman's. Either `epsilon` or (`top_k`,
    `relative_error`, `floor`).
    """

    epsilon: float | None = None
    top_k: int = 10
    relative_error: float = 0.2
    floor: float = FLOOR

    def unmet(self, pairs: Pairs, lower: F64, upper: F64) -> float:
        """How far the worst vertex is off, as a multiple of what is allowed; 1 or less is met."""
        if not len(pairs.hits):
            return 0.0
        if self.epsilon is not None:
            return float(np.max(upper - lower)) / 2 / self.epsilon
        top = pairs.hits >= kth_largest(pairs.hits, pairs.vertices, self.top_k)
        relative = (upper - lower) / np.maximum(upper + lower, 1e-300) / self.relative_error
        return float(np.max(np.where(upper <= self.floor, 0.0, relative)[top]))


@dataclass(frozen=True)
class SamplingPlan:
    """What the calibration decided: the share of delta of a vertex by its calibration hits, and the size of
    each round.
    """

    calibration: I64
    weight: F64
    first: int
    cap: int | None
    delta: float

    def size(self, number: int) -> int:
        size = math.ceil(self.first * GROWTH ** (number - 1))
        return size if self.cap is None else min(size, self.cap)

    def levels(self, calibration: I64, number: int) -> F64:
        """-log of the probability with which each side of a vertex's interval may fail in this round (1, 2,
        ...).
        """
        each = self.delta / 2**number * self.weight[np.searchsorted(self.calibration, calibration)] / 2
        return np.asarray(-np.log(each))


@dataclass(frozen=True)
class SamplingBounds:
    """Intervals of b by (calibration hits, hits); they hold for all vertices at once with probability 1 -
    delta.
    """

    pairs: Pairs
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
        if not len(self.pairs.hits):
            return 0.0
        top = self.pairs.hits >= kth_largest(self.pairs.hits, self.pairs.vertices, self.top_k)
        both = self.upper + self.lower
        return float(
            np.max(np.where(both > 0, (self.upper - self.lower) / np.maximum(both, 1e-300), 0.0)[top])
        )

    @property
    def contenders(self) -> int:
        """How many vertices cannot be excluded from the true top_k."""
        if not len(self.pairs.hits):
            return 0
        return int(
            self.pairs.vertices[self.upper >= kth_largest(self.lower, self.pairs.vertices, self.top_k)].sum()
        )


def certify(
    sampler: Sampler, *, rule: StoppingRule, delta: float, active: int, interior: int
) -> SamplingBounds:
    """Sample until `rule` holds. `active` vertices can have betweenness at all; `interior` bounds the inner
    vertices of a shortest path.

    Cost: O(calibrations + rounds) calls of `sampler`, mostly three or four in all.
    """
    if active == 0:
        nothing = np.zeros(0, dtype=np.int64)
        return SamplingBounds(
            Pairs(nothing, nothing, nothing), np.zeros(0), np.zeros(0), 0, 0, 0, False, rule.top_k
        )
    plan, calibrated = _calibrated(sampler, rule=rule, delta=delta, active=active, interior=interior)
    sizes: list[int] = []
    while True:
        number = len(sizes) + 1
        size = plan.size(number)
        sizes.append(size)
        pairs = sampler.draw(size)
        lower, upper = binomial_bounds(pairs.hits, size, plan.levels(pairs.calibration, number))
        capped = size == plan.cap
        if capped and rule.epsilon is not None:
            lower = np.maximum(lower, pairs.hits / size - rule.epsilon)
            upper = np.minimum(upper, pairs.hits / size + rule.epsilon)
        if capped or rule.unmet(pairs, lower, upper) <= 1.0:
            return SamplingBounds(
                pairs, lower, upper, size, calibrated, number, capped, rule.top_k, tuple(sizes)
            )


def _calibrated(
    sampler: Sampler, *, rule: StoppingRule, delta: float, active: int, interior: int
) -> tuple[SamplingPlan, int]:
    """Calibrate with more and more samples, until they are enough to plan with."""
    samples, most = (
        (_FIRST, 1 << 40) if rule.epsilon is not None else (8 * _FIRST, math.ceil(_SEEN / rule.floor))
    )
    while True:
        hits, vertices = sampler.calibrate(samples)
        if rule.epsilon is not None:
            plan = plan_rounds(
                hits, vertices, samples, rule=rule, delta=delta, active=active, interior=interior
            )
            if samples * 20 >= plan.first:
                return plan, samples
            samples *= 4
        else:
            seen = kth_largest(hits, vertices, rule.top_k)
            if seen >= _SEEN or samples >= most:
                return plan_rounds(
                    hits, vertices, samples, rule=rule, delta=delta, active=active, interior=interior
                ), samples
            samples = min(most, samples * max(2, min(8, math.ceil(1.2 * _SEEN / max(seen, 1)))))


def plan_rounds(
    hits: I64, vertices: I64, samples: int, *, rule: StoppingRule, delta: float, active: int, interior: int
) -> SamplingPlan:
    """Share out delta and choose the first round's size from a calibration's histogram."""
    order = np.argsort(hits)
    hits, vertices = hits[order], vertices[order]
    share = np.maximum(hits, 0.5) / samples
    cap = None
    if rule.epsilon is not None:
        wanted = np.full(len(hits), rule.epsilon)
        cap = enough_samples(rule.epsilon, CAP_SHARE * delta, interior)
        delta = (1 - CAP_SHARE) * delta
    else:
        last = kth_largest(hits, vertices, rule.top_k)
        near = hits >= max(1.0, last - 2 * math.sqrt(last))
        # what gets among the top will have had bad luck here
        share = np.where(near, np.maximum(share, last / samples), share)
        wanted = np.where(near, rule.relative_error * share, math.inf)
    budget = delta / 2 * (1 - UNIFORM_SHARE) / 2  # the first round's, one side

    def needed(size: float) -> F64:
        """The probability of failure with which a round of this size would do for each vertex, by Bernstein's
        inequality.
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
    plan = SamplingPlan(hits, weight, max(2, math.ceil(high)), cap, delta)
    return SamplingPlan(hits, weight, _first_size(plan, share, vertices, rule), cap, delta)


def _first_size(plan: SamplingPlan, share: F64, vertices: I64, rule: StoppingRule) -> int:
    """The size at which the rule would hold if every vertex were one standard deviation off to the worse
    side, and a margin: a second round has less of delta left, so it costs more than the margin.
    """

    def unmet(size: int) -> float:
        off = np.sqrt(share * (1 - share) * size) * (1 if rule.epsilon is not None else -1)
        expected = Pairs(
            plan.calibration, np.rint(np.maximum(share * size + off, 0)).astype(np.int64), vertices
        )
        return rule.unmet(
            expected,
            *binomial_bounds(np.minimum(expected.hits, size), size, plan.levels(plan.calibration, 1)),
        )

    low, high = 1, max(16, plan.first)
    while unmet(high) > 1.0:
        low, high = high, 2 * high
    while high - low > high // 100 + 1:
        middle = (low + high) // 2
        low, high = (middle, high) if unmet(middle) > 1.0 else (low, middle)
    return math.ceil(high * _MARGIN)


def enough_samples(epsilon: float, delta: float, interior: int) -> int:
    """Samples after which all |estimate - b| <= epsilon with probability 1 - delta, from nothing but a bound
    on a path's inner vertices.

    The sum of all b is the mean number of inner vertices, so giving v the share b(v) / interior of delta
    gives away no more than delta, and Chernoff's bound for a single v says how many samples its share needs;
    the worst b decides (the argument of SILVAN: Pellegrini, Vandin 2023, with the binomial's own rate in the
    place of Bennett's). It plays the part of the vertex-diameter bound of Riondato, Kornaropoulos (2016),
    whose constant c = 0.5 is only an estimate.
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
    """Kullback-Leibler divergence of a coin of share x from one of share b; infinite where x is out of reach."""
    with np.errstate(divide="ignore", invalid="ignore"):
        one = np.where(x > 0, x * np.log(x / b), 0.0)
        other = np.where(x < 1, (1 - x) * (np.log1p(-x) - np.log1p(-b)), 0.0)
    return np.asarray(one + other)


def kth_largest(values: NDArray[Any], vertices: I64, k: int) -> Any:
    """The k-th largest value, each counted `vertices` times; the smallest if there are fewer."""
    order = np.argsort(-values, kind="stable")
    at = min(int(np.searchsorted(np.cumsum(vertices[order]), k)), len(order) - 1)
    return values[order][at]
