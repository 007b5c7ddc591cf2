"""Draw connections, follows and interactions in numpy, block by block, without a shuffle or a state.

Connections follow an overlapping block model: each layer cuts a permutation of the customers into blocks, and
a pair within a block connects with probability 1 - exp(-rate * w_i * w_j) (Norros, Reittu 2006), decided by
the pair's hash. Small dense blocks close triangles and make communities, the weights make the degrees
heavy-tailed. Who and when is local to a block or a follower.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from engage_spark.numerics.dtypes import F64, I64, U64
from engage_spark.numerics.splitmix import GOLDEN, mix64
from engage_spark.synth.hashing import Permutation, hashed, to_unit, uniform
from engage_spark.synth.rows import SynthModel, customer_age, follow_draws, most_follows, sociability

DAY = 86_400
_STRIP_PAIRS = 1 << 18
_DRAWS = 1 << 18


@dataclass(frozen=True)
class Blocks:
    """One layer: a permutation cut into blocks of nearly equal size, none above the layer's."""

    model: SynthModel
    layer: int

    @property
    def count(self) -> int:
        """The number of blocks."""
        return -(-self.model.customers // self.model.scenario.graph.layers[self.layer].block)

    @property
    def order(self) -> Permutation:
        """The permutation that is cut."""
        return Permutation(self.model.seed, f"layer/{self.layer}", self.model.customers)

    def start(self, block: Any) -> Any:
        """Return the first position of a block, or of each of an array."""
        return block * self.model.customers // self.count

    def of(self, ids: I64) -> I64:
        """Return the block of each customer."""
        return ((self.order.forward(ids) + 1) * self.count - 1) // self.model.customers

    def members(self, block: int) -> I64:
        """Return the customers of a block."""
        return self.order.inverse(np.arange(self.start(block), self.start(block + 1), dtype=np.int64))


def solve_rates(
    model: SynthModel, weights: F64, mean_degree: float, solve: Callable[..., float]
) -> tuple[float, ...]:
    """Solve the rate of each layer so that the expected mean degree of all layers is the contract's.

    `weights` are sorted; expectations are taken over a grid of 512 group means. A layer never gives more than
    half its block.
    """
    groups = np.array_split(weights, min(512, len(weights)))
    grid, size = np.array([g.mean() for g in groups]), np.array([len(g) for g in groups]) / len(weights)
    products, chance = np.multiply.outer(grid, grid), np.multiply.outer(size, size)
    n = model.customers
    sizes = [n / Blocks(model, i).count for i in range(len(model.scenario.graph.layers))]
    rates: list[float] = []
    missed = np.ones_like(products)
    total = min(mean_degree, 0.5 * sum(s - 1 for s in sizes), 0.5 * (n - 1))
    for i, layer in enumerate(model.scenario.graph.layers):
        wanted = min(layer.share * total, 0.6 * (sizes[i] - 1))
        if wanted <= 0:
            rates.append(0.0)
            continue
        among = (sizes[i] - 1) / (n - 1)
        last = i == len(model.scenario.graph.layers) - 1

        def mean_at(x: float, among: float = among, last: bool = last, before: F64 = missed) -> float:
            within = 1.0 - np.exp(-np.exp(x) * products)
            if last:
                return float((n - 1) * np.sum(chance * (1.0 - before * (1.0 - among * within))))
            return float((n - 1) * among * np.sum(chance * within))

        target = total if last else wanted
        rates.append(float(np.exp(solve(mean_at, target, start=-4.0, name=f"connections in layer {i}"))))
        missed = missed * (1.0 - among * (1.0 - np.exp(-rates[-1] * products)))
    return tuple(rates)


def _hit(rate: float, wi: F64, wj: F64, pair: U64) -> Any:
    return to_unit(pair) < -np.expm1(-rate * wi * wj)


def connection_units(model: SynthModel) -> int:
    """Count the independent pieces of work the connections fall into; each holds about as many customers as
    the largest block.
    """
    return len(model.rates) * _groups(model)


def _groups(model: SynthModel) -> int:
    return min(Blocks(model, i).count for i in range(len(model.rates)))


def connections(model: SynthModel, units: I64) -> Iterator[tuple[I64, I64]]:
    """Draw undirected edges of the given units, each pair once over all units, smaller id first."""
    groups = _groups(model)
    for unit in units.tolist():
        layer, group = unit % len(model.rates), unit // len(model.rates)
        blocks = Blocks(model, layer)
        for block in range(group * blocks.count // groups, (group + 1) * blocks.count // groups):
            yield from _block_edges(model, layer, blocks.members(block))


def _block_edges(model: SynthModel, layer: int, members: I64) -> Iterator[tuple[I64, I64]]:
    weights, rate, n = sociability(model, members), model.rates[layer], len(members)
    keys = hashed(model.seed, f"pair/{layer}", members)
    earlier = [
        (m, Blocks(model, m).of(members), hashed(model.seed, f"pair/{m}", members)) for m in range(layer)
    ]
    strip = max(1, _STRIP_PAIRS // max(n, 1))
    for top in range(0, n - 1, strip):
        bottom = min(top + strip, n - 1)
        pair = mix64(keys[top:bottom, None] + keys[None, top:])
        # u < x is necessary for u < 1 - exp(-x), and spares the exponential of most pairs.
        maybe = to_unit(pair) < np.multiply.outer(rate * weights[top:bottom], weights[top:])
        row, col = np.nonzero(maybe)
        upper = col > row
        row, col = row[upper], col[upper]
        hits = _hit(rate, weights[top + row], weights[top + col], pair[row, col])
        i, j = top + row[hits], top + col[hits]
        fresh = np.ones(len(i), dtype=bool)
        for m, block, key in earlier:
            shared = np.flatnonzero(block[i] == block[j])
            a, b = i[shared], j[shared]
            fresh[shared] &= ~_hit(model.rates[m], weights[a], weights[b], mix64(key[a] + key[b]))
        a, b = members[i[fresh]], members[j[fresh]]
        if len(a):
            yield np.minimum(a, b), np.maximum(a, b)


@dataclass(frozen=True)
class FameDistribution:
    """A power law of the fame rank, by which famous customers are followed.

    It is flat up to the rank `x0`: the first ranks would have too many followers.
    """

    exponent: float
    x0: float

    @property
    def mass(self) -> float:
        """The integral over all ranks, by which the density is divided."""
        rest = 1.0 - self.exponent
        return float(self.x0**rest + (1.0 - self.x0**rest) / rest)

    def quantile(self, u: F64) -> F64:
        """Return the rank, as a share of all customers, below which a share `u` of the follows goes."""
        rest, mass = 1.0 - self.exponent, self.mass
        flat = self.x0**rest
        y = u * mass
        curved = (flat + rest * np.maximum(y - flat, 0.0)) ** (1.0 / rest)
        return np.asarray(np.where(y < flat, y * self.x0**self.exponent, curved))

    def below(self, x: F64) -> F64:
        """Return the share of the follows that goes to ranks below `x`."""
        rest = 1.0 - self.exponent
        curved = self.x0**rest + (np.maximum(x, self.x0) ** rest - self.x0**rest) / rest
        return np.asarray(np.where(x < self.x0, x * self.x0**-self.exponent, curved) / self.mass)


def fame(model: SynthModel) -> FameDistribution:
    """Fit the power law of fame.

    Its most followed customer is expected to have at most `largest_in_degree` followers, and at most half of
    all customers.
    """
    story = model.scenario.graph
    mean = float(model.table[model.scenario.roles["following"]].reference_mean or 1.0)
    mean = max(1e-9, min(mean, most_follows(model) / 2) * (1.0 - story.circle_share - story.community_share))
    top = max(1.0, min(story.largest_in_degree, model.customers / 2) / mean)
    low, high = 1e-12, 1.0
    for _ in range(80):
        x0 = (low * high) ** 0.5
        low, high = (
            (x0, high)
            if x0**-story.fame_exponent / FameDistribution(story.fame_exponent, x0).mass > top
            else (low, x0)
        )
    return FameDistribution(story.fame_exponent, high)


def _split(model: SynthModel, draws: I64) -> tuple[I64, I64]:
    """Count the draws that stay in the circle (first layer), and in circle or community (second layer)."""
    story = model.scenario.graph
    circle = np.rint(draws * story.circle_share).astype(np.int64)
    return circle, circle + np.rint(draws * story.community_share).astype(np.int64)


def expected_follows(model: SynthModel) -> F64:
    """Compute the expected number of distinct targets for 0, 1, ... draws up to the largest out-degree."""
    n, most = model.customers, most_follows(model)
    draws = np.unique(np.rint(np.geomspace(1, max(most, 1), 60)).astype(np.int64)) if most else np.array([1])
    circle, near = _split(model, draws)
    edges = np.unique(
        np.concatenate([np.arange(min(n, 2048) + 1), np.rint(np.geomspace(1, n, 2048))]).astype(np.int64)
    )
    width = np.diff(edges)
    share = np.diff(fame(model).below(edges / n)) / width

    def distinct(counts: I64, p: F64, times: Any) -> F64:
        return np.asarray(
            [float(np.sum(times * -np.expm1(k * np.log1p(-np.minimum(p, 1 - 1e-12))))) for k in counts]
        )

    famous = distinct(draws - near, share, width) * (1 - 1 / n)
    b1, b2 = (n / Blocks(model, i).count for i in (0, 1))
    places = np.arange(round(b2) + 1) / max(round(b2), 1)
    local = distinct(
        near - circle, np.diff(1 - (1 - places) ** (1 / model.scenario.graph.community_skew)), 1
    ) * (1 - 1 / b2)
    inner = distinct(circle, np.full(max(round(b1) - 1, 1), 1 / max(round(b1) - 1, 1)), 1)
    all_of_them = famous + local * (1 - famous / n) + inner * (1 - (famous + local) / n)
    return np.asarray(
        np.interp(np.arange(most + 1), np.concatenate([[0], draws]), np.concatenate([[0.0], all_of_them]))
    )


def follows(model: SynthModel, ids: I64) -> Iterator[tuple[I64, I64]]:
    """Draw directed edges that start at the given customers: no repeats, none to oneself."""
    draws = follow_draws(model, ids)
    bounds = np.cumsum(draws)
    start = 0
    while start < len(ids):
        before = bounds[start - 1] if start else 0
        stop = max(start + 1, int(np.searchsorted(bounds, before + _DRAWS, side="right")))
        yield _follows_of(model, ids[start:stop], draws[start:stop])
        start = stop


def _follows_of(model: SynthModel, ids: I64, draws: I64) -> tuple[I64, I64]:
    n, story = model.customers, model.scenario.graph
    owner = np.repeat(np.arange(len(ids)), draws)
    number = np.arange(len(owner)) - np.repeat(np.cumsum(draws) - draws, draws)
    u = to_unit(mix64(hashed(model.seed, "follow", ids)[owner] + number.astype(np.uint64) * GOLDEN))
    circle, near = (bound[owner] for bound in _split(model, draws))
    target = np.empty(len(owner), dtype=np.int64)
    far = number >= near
    rank = np.minimum((fame(model).quantile(u[far]) * n).astype(np.int64), n - 1)
    target[far] = Permutation(model.seed, f"trait/{story.fame_trait}", n).inverse(n - 1 - rank)
    for layer, in_layer in ((0, number < circle), (1, (number >= circle) & ~far)):
        blocks = Blocks(model, layer)
        place = blocks.order.forward(ids)
        block = ((place + 1) * blocks.count - 1) // n
        begin = blocks.start(block)
        size, begin, own = (
            (blocks.start(block + 1) - begin)[owner[in_layer]],
            begin[owner[in_layer]],
            (place - begin)[owner[in_layer]],
        )
        if layer == 0:
            step = (own + 1 + (u[in_layer] * np.maximum(size - 1, 0)).astype(np.int64)) % size
        else:
            step = np.minimum(
                ((1 - (1 - u[in_layer]) ** story.community_skew) * size).astype(np.int64), size - 1
            )
        target[in_layer] = blocks.order.inverse(begin + step)
    # Sorted and compared by hand: np.unique hashes integers, which is four times slower here.
    pairs = np.sort(owner * n + target)
    pairs = pairs[np.diff(pairs, prepend=-1) > 0]
    src, dst = ids[pairs // n], pairs % n
    return src[src != dst], dst[src != dst]


def seconds_back(model: SynthModel, src: I64, dst: I64, ages: Callable[[I64], I64], stream: str) -> I64:
    """Draw the age of edges, in seconds before the end of the last snapshot's day.

    An edge is made after both signups, and more edges are old than young.
    """
    young = np.minimum(ages(src), ages(dst))
    u = uniform(
        model.seed, stream, src.astype(np.uint64) * np.uint64(model.customers) + dst.astype(np.uint64)
    )
    return np.asarray(
        1 + np.floor(u ** (1 / model.scenario.graph.youth_skew) * (young * DAY - 1)), dtype=np.int64
    )


def age_lookup(model: SynthModel) -> Callable[[I64], I64]:
    """Signup ages by customer: a table of all for up to four million customers (16 MB), beyond that computed
    each time.
    """
    if model.customers > 1 << 22:
        return lambda ids: customer_age(model, ids)
    table = customer_age(model, np.arange(model.customers, dtype=np.int64)).astype(np.int32)
    return lambda ids: table[ids].astype(np.int64)


def _tail_scale(model: SynthModel) -> float:
    """Find the scale of the power law of events per connection that gives their mean."""
    story = model.scenario.graph
    k = np.arange(1, story.most_interactions + 1)
    low, high = 0.0, float(story.most_interactions)
    for _ in range(60):
        c = (low + high) / 2
        low, high = (
            (c, high)
            if np.minimum(1.0, (c / k) ** story.interaction_tail).sum() < story.interactions_per_connection
            else (low, c)
        )
    return low


def interactions(model: SynthModel, src: I64, dst: I64, back: I64) -> tuple[I64, I64, I64, I64]:
    """Draw the events of the given connections: who, towards whom, kind (rank), seconds before the end of the
    last day.

    Events per connection follow a power law; they fall into the last weeks, and after the pair connected.
    """
    story = model.scenario.graph
    pair = mix64(
        src.astype(np.uint64) * np.uint64(model.customers)
        + dst.astype(np.uint64)
        + np.uint64(model.seed & 0xFFFFFFFF)
    )
    u = to_unit(mix64(pair ^ np.uint64(0xA5A5A5A5)))
    count = np.minimum(
        np.floor(_tail_scale(model) * u ** (-1 / story.interaction_tail)), story.most_interactions
    ).astype(np.int64)
    edge = np.repeat(np.arange(len(src)), count)
    number = (np.arange(len(edge)) - np.repeat(np.cumsum(count) - count, count)).astype(np.uint64)
    h = mix64(pair[edge] + (number + np.uint64(1)) * GOLDEN)
    window = np.minimum(back[edge], story.interaction_weeks * 7 * DAY)
    when = 1 + np.floor(to_unit(h) * (window - 1)).astype(np.int64)
    h = mix64(h)
    shares = np.cumsum([share for _, share in story.kinds])
    kind = np.minimum(np.searchsorted(shares / shares[-1], to_unit(h), side="right"), len(shares) - 1)
    swap = (h & np.uint64(1)).astype(bool)
    return (
        np.where(swap, dst[edge], src[edge]),
        np.where(swap, src[edge], dst[edge]),
        kind.astype(np.int64),
        when,
    )
