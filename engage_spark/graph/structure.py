"""Components, core numbers and PageRank over a compressed adjacency (CSR): single passes or few, one core, the same bits everywhere.

`indptr` (int64, n + 1) and `indices` (int32) as in `scipy.sparse.csr_matrix`: the neighbours of v are indices[indptr[v]:indptr[v+1]],
without repeats and without v. An undirected graph holds both directions of each edge. Memory-mapped arrays are read, never copied.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from engage_spark.errors import TransientError

I32 = np.ndarray[Any, np.dtype[np.int32]]
I64 = np.ndarray[Any, np.dtype[np.int64]]
F64 = np.ndarray[Any, np.dtype[np.float64]]

DAMPING = 0.85
TOLERANCE = 1e-12
MOST_ROUNDS = 1000


def components(indptr: I64, indices: I32) -> I32:
    """The connected part of each vertex of an undirected graph, numbered by descending size, ties by their smallest vertex.

    Breadth-first search: each arc is looked at once. Working memory: 8 bytes per vertex.
    """
    return by_size(_components(indptr, indices))


def core_numbers(indptr: I64, indices: I32) -> I32:
    """The largest k such that the vertex is in a subgraph of minimum degree k. Undirected.

    Bucket peeling, each arc looked at once (Batagelj, Zaversnik 2003). Working memory: 16 bytes per vertex.
    """
    found: I32 = _core_numbers(indptr, indices)
    return found


def pagerank(indptr: I64, indices: I32, out_degree: I32 | I64) -> F64:
    """PageRank with damping 0.85; a walker without a way out starts anywhere anew. Sums to 1.

    `indptr`, `indices`: the vertices that lead TO each vertex (for an undirected graph: its neighbours); `out_degree`: how many vertices
    each leads to. Power iteration until the sum of absolute changes is at most 1e-12, each value summed in the order of `indices`, so the
    result does not depend on cores. One pass over the arcs per iteration, at most 170 of them or so at this damping. Working memory: 16 bytes
    per vertex. Raises TransientError when it does not converge, which damping rules out.
    """
    ranks, rounds = _pagerank(indptr, indices, out_degree, DAMPING, TOLERANCE, MOST_ROUNDS)
    if rounds > MOST_ROUNDS:
        raise TransientError(f"PageRank did not converge in {MOST_ROUNDS} iterations", mend="the adjacency is damaged; run the stage again")
    found: F64 = ranks
    return found


def by_size(labels: I32) -> I32:
    """Number groups anew: 0 is the largest, ties by their smallest vertex. `labels` are from 0 to below n."""
    if len(labels) == 0:
        return labels.astype(np.int32)
    sizes = np.bincount(labels)
    first = np.full(len(sizes), len(labels), dtype=np.int64)
    np.minimum.at(first, labels, np.arange(len(labels)))
    order = np.lexsort((first, -sizes))
    rank = np.empty(len(sizes), dtype=np.int32)
    rank[order] = np.arange(len(sizes), dtype=np.int32)
    return rank[labels]


def group_sizes(labels: I32) -> I64:
    """For each vertex the number of vertices with its label."""
    return np.bincount(labels).astype(np.int64)[labels] if len(labels) else np.zeros(0, dtype=np.int64)


@njit(nogil=True, cache=True)
def _components(indptr: I64, indices: I32) -> I32:  # pragma: no cover (compiled)
    n = len(indptr) - 1
    labels = np.full(n, -1, dtype=np.int32)
    queue = np.empty(n, dtype=np.int32)
    count = 0
    for root in range(n):
        if labels[root] >= 0:
            continue
        labels[root] = count
        queue[0] = root
        head, tail = 0, 1
        while head < tail:
            v = queue[head]
            head += 1
            for e in range(indptr[v], indptr[v + 1]):
                u = indices[e]
                if labels[u] < 0:
                    labels[u] = count
                    queue[tail] = u
                    tail += 1
        count += 1
    return labels


@njit(nogil=True, cache=True)
def _core_numbers(indptr: I64, indices: I32) -> I32:  # pragma: no cover (compiled)
    n = len(indptr) - 1
    core = np.empty(n, dtype=np.int32)
    most = 0
    for v in range(n):
        core[v] = indptr[v + 1] - indptr[v]
        most = max(most, core[v])
    start = np.zeros(most + 2, dtype=np.int64)
    for v in range(n):
        start[core[v] + 1] += 1
    for d in range(most + 1):
        start[d + 1] += start[d]
    ordered = np.empty(n, dtype=np.int32)
    place = np.empty(n, dtype=np.int32)
    filled = start.copy()
    for v in range(n):
        place[v] = filled[core[v]]
        ordered[place[v]] = v
        filled[core[v]] += 1
    # Vertices lie ordered by what is left of their degree; start[d] is where those of degree d begin.
    for i in range(n):
        v = ordered[i]
        for e in range(indptr[v], indptr[v + 1]):
            u = indices[e]
            if core[u] > core[v]:
                d = core[u]
                first = max(start[d], i + 1)
                w = ordered[first]
                if u != w:
                    ordered[first], ordered[place[u]] = u, w
                    place[w] = place[u]
                    place[u] = first
                start[d] = first + 1
                core[u] = d - 1
    return core


@njit(nogil=True, cache=True)
def _pagerank(
    indptr: I64, indices: I32, out_degree: I64, damping: float, tolerance: float, most: int
) -> tuple[F64, int]:  # pragma: no cover (compiled)
    n = len(indptr) - 1
    rank = np.full(n, 1.0 / max(n, 1))
    share = np.empty(n)
    for round_ in range(1, most + 1):
        dangling = 0.0
        for v in range(n):
            if out_degree[v] == 0:
                dangling += rank[v]
                share[v] = 0.0
            else:
                share[v] = rank[v] / out_degree[v]
        base = (1.0 - damping + damping * dangling) / n if n else 0.0
        change = 0.0
        for v in range(n):
            total = 0.0
            for e in range(indptr[v], indptr[v + 1]):
                total += share[indices[e]]
            new = base + damping * total
            change += abs(new - rank[v])
            rank[v] = new
        if change <= tolerance:
            return rank, round_
    return rank, most + 1
