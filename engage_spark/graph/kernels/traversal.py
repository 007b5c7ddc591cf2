"""Compute Brandes' dependencies of one source at a time, for every kind of graph: directed or not, unweighted
or with integer lengths.

Source: Brandes 2001, "A faster algorithm for betweenness centrality". A search settles the vertices in order
of distance; in that order path counts are pushed along tight arcs (those on a shortest path), in the opposite
order dependencies are pulled over the same arcs. Path counts are float64. Where they pass 1e300, which large
grids reach, the source is computed again with counts of a mantissa and an exponent each; every addition is
then still rounded only as a float64's.
"""

from __future__ import annotations

import math

import numpy as np

from engage_spark.numerics.dtypes import F64, I32, I64
from engage_spark.numerics.jit import kernel

MAX_PATHS = 1e300
_GONE = -(1 << 62)


@kernel
def bfs(indptr: I64, indices: I32, source: int, distance: I64, order: I32) -> int:
    """Find distances in arcs. Returns how many vertices were reached; they are in `order`.

    `distance` must be -1 throughout.
    """
    order[0] = source
    distance[source] = 0
    head, tail = 0, 1
    while head < tail:
        v = order[head]
        head += 1
        step = distance[v] + 1
        for e in range(indptr[v], indptr[v + 1]):
            w = indices[e]
            if distance[w] < 0:
                distance[w] = step
                order[tail] = w
                tail += 1
    return tail


@kernel
def _sift_up(heap: I32, position: I32, distance: I64, at: int) -> None:
    v = heap[at]
    while at > 0:
        parent = (at - 1) >> 1
        u = heap[parent]
        if distance[u] <= distance[v]:
            break
        heap[at] = u
        position[u] = at
        at = parent
    heap[at] = v
    position[v] = at


@kernel
def _pop(heap: I32, position: I32, distance: I64, size: int) -> int:
    """Take the nearest vertex off a heap of `size`, which is one smaller afterwards."""
    top = int(heap[0])
    last = heap[size - 1]
    size -= 1
    at = 0
    while True:
        child = 2 * at + 1
        if child >= size:
            break
        if child + 1 < size and distance[heap[child + 1]] < distance[heap[child]]:
            child += 1
        if distance[heap[child]] >= distance[last]:
            break
        heap[at] = heap[child]
        position[heap[at]] = at
        at = child
    if size > 0:
        heap[at] = last
        position[last] = at
    return top


@kernel
def dijkstra(
    indptr: I64,
    indices: I32,
    weights: I64,
    source: int,
    stop: int,
    distance: I64,
    order: I32,
    heap: I32,
    position: I32,
) -> int:
    """Find distances in sums of integer lengths, so that ties are exact.

    Stops when `stop` is settled (-1: never). Returns how many vertices were settled; they are in `order`,
    nearest first. Vertices that were seen and not settled keep a tentative distance, larger than or equal to
    the last settled one's. `distance` must be -1 throughout; `heap` and `position` are scratch.
    """
    distance[source] = 0
    heap[0] = source
    position[source] = 0
    size, settled = 1, 0
    while size > 0:
        v = _pop(heap, position, distance, size)
        size -= 1
        order[settled] = v
        settled += 1
        if v == stop:
            break
        for e in range(indptr[v], indptr[v + 1]):
            w = indices[e]
            through = distance[v] + weights[e]
            if distance[w] < 0:
                distance[w] = through
                heap[size] = w
                position[w] = size
                size += 1
                _sift_up(heap, position, distance, size - 1)
            elif through < distance[w]:
                distance[w] = through
                _sift_up(heap, position, distance, position[w])
    return settled


@kernel
def source_dependencies(
    indptr: I64,
    indices: I32,
    weights: I64,
    weigh: F64,
    order: I32,
    reached: int,
    distance: I64,
    paths: F64,
    delta: F64,
) -> bool:
    """Fill `paths` and `delta` of the reached vertices; False if a path count passed MOST_PATHS. `weights` is
    empty for lengths of 1.
    """
    for i in range(reached):
        paths[order[i]] = 0.0
    paths[order[0]] = 1.0
    for i in range(reached):
        v = order[i]
        if not paths[v] <= MAX_PATHS:
            return False
        for e in range(indptr[v], indptr[v + 1]):
            length = weights[e] if len(weights) else 1
            if distance[indices[e]] == distance[v] + length:
                paths[indices[e]] += paths[v]
    for i in range(reached - 1, -1, -1):
        v = order[i]
        pulled = 0.0
        for e in range(indptr[v], indptr[v + 1]):
            w = indices[e]
            length = weights[e] if len(weights) else 1
            if distance[w] == distance[v] + length:
                pulled += (weigh[w] + delta[w]) / paths[w]
        delta[v] = paths[v] * pulled
    return True


@kernel
def count_paths_wide(
    indptr: I64, indices: I32, weights: I64, order: I32, reached: int, distance: I64, paths: F64, scale: I64
) -> None:
    """Count paths of any number to the reached vertices: `paths[v] * 2**scale[v]`, paths[v] in [0.5, 1)."""
    for i in range(reached):
        paths[order[i]], scale[order[i]] = 0.0, _GONE
    paths[order[0]], scale[order[0]] = 0.5, 1
    for i in range(reached):
        v = order[i]
        for e in range(indptr[v], indptr[v + 1]):
            w = indices[e]
            length = weights[e] if len(weights) else 1
            if distance[w] != distance[v] + length:
                continue
            top = max(scale[v], scale[w])
            # A summand 2000 binary places below the sum is far below its rounding.
            through_v = math.ldexp(paths[v], int(max(scale[v] - top, -2000)))
            so_far = math.ldexp(paths[w], int(max(scale[w] - top, -2000)))
            mantissa, shift = math.frexp(through_v + so_far)
            paths[w], scale[w] = mantissa, top + shift


@kernel
def pull_dependencies_wide(
    indptr: I64,
    indices: I32,
    weights: I64,
    weigh: F64,
    order: I32,
    reached: int,
    distance: I64,
    paths: F64,
    scale: I64,
    delta: F64,
) -> None:
    """Pull dependencies with wide path counts."""
    for i in range(reached - 1, -1, -1):
        v = order[i]
        pulled = 0.0
        for e in range(indptr[v], indptr[v + 1]):
            w = indices[e]
            length = weights[e] if len(weights) else 1
            if distance[w] == distance[v] + length:
                # At most 1, since w is reached by all of v's paths; it may round to 0, below 2**-1074.
                share = math.ldexp(paths[v] / paths[w], int(max(scale[v] - scale[w], -2000)))
                pulled += share * (weigh[w] + delta[w])
        delta[v] = pulled


@kernel
def add_up(
    indptr: I64,
    indices: I32,
    weights: I64,
    sources: I64,
    source_weight: F64,
    weigh: F64,
    total: F64,
    squares: F64,
) -> int:
    """Add every source's dependencies to `total` and, unless it is empty, their squares to `squares`, in the
    order of the sources.

    Returns how many sources needed the wide path counts.
    """
    n = len(indptr) - 1
    weighted = len(weights) > 0
    distance, order = np.full(n, -1, dtype=np.int64), np.empty(n, dtype=np.int32)
    paths, delta = np.zeros(n), np.zeros(n)
    scale = np.empty(0, dtype=np.int64)
    heap, position = (
        np.empty(n if weighted else 0, dtype=np.int32),
        np.empty(n if weighted else 0, dtype=np.int32),
    )
    wide = 0
    for i in range(len(sources)):
        s = sources[i]
        if weighted:
            reached = dijkstra(indptr, indices, weights, s, -1, distance, order, heap, position)
        else:
            reached = bfs(indptr, indices, s, distance, order)
        if not source_dependencies(indptr, indices, weights, weigh, order, reached, distance, paths, delta):
            if len(scale) == 0:
                scale = np.empty(n, dtype=np.int64)
            count_paths_wide(indptr, indices, weights, order, reached, distance, paths, scale)
            pull_dependencies_wide(
                indptr, indices, weights, weigh, order, reached, distance, paths, scale, delta
            )
            wide += 1
        for j in range(reached):
            v = order[j]
            distance[v] = -1
            if v != s:
                total[v] += source_weight[i] * delta[v]
                if len(squares):
                    squares[v] += source_weight[i] * (delta[v] * delta[v])
    return wide
