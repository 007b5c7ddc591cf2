"""Draw a random shortest path by a search from one end: for lengths, and for too many paths for float64."""

from __future__ import annotations

import math

import numpy as np

from engage_spark.graph.kernels.traversal import bfs, count_paths_wide, dijkstra
from engage_spark.numerics import random_draws
from engage_spark.numerics.dtypes import F64, I32, I64
from engage_spark.numerics.jit import kernel


@kernel
def draw_from_one_end(
    indptr: I64,
    indices: I32,
    lengths: I64,
    back_indptr: I64,
    back_indices: I32,
    back_lengths: I64,
    s: int,
    t: int,
    state: np.uint64,
    distance: I64,
    order: I32,
    heap: I32,
    position: I32,
    paths: F64,
    scale: I64,
    hits: I64,
) -> int:
    """Hit the vertices inside a random shortest path and return how many; -1 if t can't be reached.

    The search runs from s until t is settled, with wide path counts. `distance` is -1 throughout before and
    after.
    """
    if len(lengths):
        settled = dijkstra(indptr, indices, lengths, s, t, distance, order, heap, position)
    else:
        settled = bfs(indptr, indices, s, distance, order)
    inside = -1
    if distance[t] >= 0:
        count_paths_wide(indptr, indices, lengths, order, settled, distance, paths, scale)
        inside = _walk_wide(
            back_indptr, back_indices, back_lengths, s, t, distance, paths, scale, state, hits
        )
    for i in range(settled):
        v = order[i]
        distance[v] = -1
        for e in range(indptr[v], indptr[v + 1]):
            distance[indices[e]] = -1
    return inside


@kernel
def _walk_wide(
    back_indptr: I64,
    back_indices: I32,
    back_lengths: I64,
    s: int,
    t: int,
    distance: I64,
    paths: F64,
    scale: I64,
    state: np.uint64,
    hits: I64,
) -> int:
    inside, at, number = 0, t, 4
    while True:
        top = -(1 << 62)
        for e in range(back_indptr[at], back_indptr[at + 1]):
            u, length = back_indices[e], back_lengths[e] if len(back_lengths) else 1
            if distance[u] >= 0 and distance[u] + length == distance[at]:
                top = max(top, scale[u])
        total = 0.0
        for e in range(back_indptr[at], back_indptr[at + 1]):
            u, length = back_indices[e], back_lengths[e] if len(back_lengths) else 1
            if distance[u] >= 0 and distance[u] + length == distance[at]:
                total += math.ldexp(paths[u], int(max(scale[u] - top, -2000)))
        wanted = random_draws.unit(random_draws.draw(state, np.uint64(number))) * total
        number += 1
        passed, predecessor = 0.0, -1
        for e in range(back_indptr[at], back_indptr[at + 1]):
            u, length = back_indices[e], back_lengths[e] if len(back_lengths) else 1
            if distance[u] >= 0 and distance[u] + length == distance[at]:
                share = math.ldexp(paths[u], int(max(scale[u] - top, -2000)))
                if share > 0.0:
                    predecessor = u
                    passed += share
                    if passed > wanted:
                        break
        at = predecessor
        if at == s:
            return inside
        hits[at] += 1
        inside += 1
