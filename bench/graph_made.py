"""The benchmark's graph: heavy-tailed, with communities, any size, the same for every run. Plain numpy, no
part of the product.

Every vertex has a weight (a power law, cut) and a place in communities of two sizes. Edges are drawn in three
layers, inside a small community, inside a large one, and anywhere, both ends in proportion to the weights
(Chung, Lu 2002, layer by layer), until the wanted number of different ones is there.
"""

from __future__ import annotations

import numpy as np

from engage_spark.numerics.dtypes import F64, I64


def made_graph(n: int = 100_000, mean_degree: float = 187.5, *, seed: int = 7) -> tuple[I64, I64]:
    """Different undirected edges (src < dst), `n * mean_degree / 2` of them; ids in no particular order."""
    rng = np.random.default_rng(seed)
    wanted = int(n * mean_degree / 2)
    weight = np.minimum((1 - rng.random(n)) ** (-1 / 1.7), n**0.5)
    keys = np.zeros(0, dtype=np.int64)
    layers = [
        (_places(rng, n, n / 250), 0.35),
        (_places(rng, n, n / 5000), 0.45),
        (np.zeros(n, dtype=np.int64), 0.2),
    ]
    while len(keys) < wanted:
        missing = max(wanted - len(keys), 1000) * 1.15
        fresh = [keys]
        for community, share in layers:
            a, b = _pairs(rng, community, weight, int(missing * share))
            a, b = np.minimum(a, b), np.maximum(a, b)
            fresh.append((a * n + b)[a != b])
        keys = np.concatenate(fresh)
        keys.sort()
        keys = keys[np.diff(keys, prepend=-1) > 0]
    keys = np.sort(rng.permutation(keys)[:wanted])
    return keys // n, keys % n


def _places(rng: np.random.Generator, n: int, communities: float) -> I64:
    """A community for each vertex, their sizes unlike."""
    count = max(int(communities), 1)
    size = rng.gamma(3.0, size=count)
    return rng.choice(count, size=n, p=size / size.sum())


def _pairs(rng: np.random.Generator, community: I64, weight: F64, count: int) -> tuple[I64, I64]:
    """Both ends by weight, the second out of the first one's community."""
    order = np.argsort(community, kind="stable")
    mass = np.cumsum(weight[order])
    first = np.searchsorted(community[order], np.arange(community.max() + 2))
    before = np.concatenate([[0.0], mass])[first]
    a = order[np.minimum(np.searchsorted(mass, rng.random(count) * mass[-1], side="right"), len(order) - 1)]
    low, high = before[community[a]], before[community[a] + 1]
    b = order[
        np.minimum(
            np.searchsorted(mass, low + rng.random(count) * (high - low), side="right"), len(order) - 1
        )
    ]
    return a, b
