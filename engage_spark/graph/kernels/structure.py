"""Find components, core numbers, PageRank and reciprocity: one or a few passes on one core, the same bits
everywhere.
"""

from __future__ import annotations

import numpy as np

from engage_spark.errors import PermanentError
from engage_spark.graph.kernels.csr import Csr
from engage_spark.numerics.dtypes import F64, I32, I64
from engage_spark.numerics.jit import kernel

DAMPING = 0.85
TOLERANCE = 1e-12
MAX_ITERATIONS = 1000


def components(csr: Csr) -> I32:
    """Find the connected component of each vertex of an undirected graph.

    Components are numbered by descending size, ties by their smallest vertex.
    Cost: breadth-first search, each arc is read once. Working memory: 12 bytes per vertex.
    """
    return number_by_size(connected_parts(csr.indptr, csr.indices, np.zeros(csr.n, dtype=np.int32)))


def core_numbers(csr: Csr) -> I32:
    """Find for each vertex of an undirected graph the largest k such that it is in a subgraph of minimum
    degree k.

    Cost: each arc is read once. Working memory: 28 bytes per vertex.
    Source: bucket peeling (Batagelj, Zaversnik 2003).
    """
    return _core_numbers(csr.indptr, csr.indices)


def pagerank(csr: Csr) -> F64:
    """Compute PageRank with damping 0.85, along the arcs of a directed graph. Sums to 1.

    A walker at a vertex without arcs restarts anywhere. Power iteration until the sum of absolute changes is
    at most 1e-12. Each value is summed in the order of the vertices that lead to it, so the result does not
    depend on cores.
    Cost: one pass over the arcs per iteration, some 170 at most at this damping. Working memory: 24 bytes per
    vertex.
    Errors: PermanentError when it does not converge, which damping rules out for a sound graph.
    """
    indptr, indices, _ = csr.into
    ranks: F64
    ranks, iterations = _pagerank(indptr, indices, csr.degrees, DAMPING, TOLERANCE, MAX_ITERATIONS)
    if iterations > MAX_ITERATIONS:
        raise PermanentError(
            f"PageRank did not converge in {MAX_ITERATIONS} iterations",
            hint="the graph is damaged; look at its edges",
        )
    return ranks


def reciprocity(csr: Csr) -> F64:
    """Compute for each vertex of a directed graph 2 x arcs that are returned / all arcs in or out.

    Nulls: NaN where a vertex has no arcs.
    Cost: one merge of the sorted rows of both directions, each arc is read once.
    """
    back_indptr, back_indices, _ = csr.into
    mutual = _count_mutual(csr.indptr, csr.indices, back_indptr, back_indices).astype(np.float64)
    arcs = (csr.degrees + np.diff(back_indptr)).astype(np.float64)
    share: F64 = np.divide(2 * mutual, arcs, out=np.full(csr.n, np.nan), where=arcs > 0)
    return share


def number_by_size(labels: I32) -> I32:
    """Renumber groups by size: 0 is the largest, ties by their smallest vertex. `labels` are 0 to below n."""
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
    """Count for each vertex the vertices with its label."""
    return np.bincount(labels).astype(np.int64)[labels] if len(labels) else np.zeros(0, dtype=np.int64)


@kernel
def connected_parts(indptr: I64, indices: I32, labels: I32) -> I32:
    """Label the connected parts of each group."""
    n = len(indptr) - 1
    piece = np.full(n, -1, dtype=np.int32)
    queue = np.empty(n, dtype=np.int32)
    count = 0
    for root in range(n):
        if piece[root] >= 0:
            continue
        piece[root] = count
        queue[0] = root
        head, tail = 0, 1
        while head < tail:
            v = queue[head]
            head += 1
            for e in range(indptr[v], indptr[v + 1]):
                u = indices[e]
                if piece[u] < 0 and labels[u] == labels[v]:
                    piece[u] = count
                    queue[tail] = u
                    tail += 1
        count += 1
    return piece


@kernel
def _core_numbers(indptr: I64, indices: I32) -> I32:
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
    position = np.empty(n, dtype=np.int32)
    filled = start.copy()
    for v in range(n):
        position[v] = filled[core[v]]
        ordered[position[v]] = v
        filled[core[v]] += 1
    # Vertices are ordered by their remaining degree; start[d] is where those of degree d begin.
    for i in range(n):
        v = ordered[i]
        for e in range(indptr[v], indptr[v + 1]):
            u = indices[e]
            if core[u] > core[v]:
                d = core[u]
                first = max(start[d], i + 1)
                w = ordered[first]
                if u != w:
                    ordered[first], ordered[position[u]] = u, w
                    position[w] = position[u]
                    position[u] = first
                start[d] = first + 1
                core[u] = d - 1
    return core


@kernel
def _pagerank(
    indptr: I64, indices: I32, out_degree: I64, damping: float, tolerance: float, most: int
) -> tuple[F64, int]:
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


@kernel
def _count_mutual(indptr: I64, indices: I32, back_indptr: I64, back_indices: I32) -> I64:
    """For each vertex the number of vertices that it leads to and that lead to it."""
    n = len(indptr) - 1
    mutual = np.zeros(n, dtype=np.int64)
    for v in range(n):
        e, f = indptr[v], back_indptr[v]
        while e < indptr[v + 1] and f < back_indptr[v + 1]:
            a, b = indices[e], back_indices[f]
            mutual[v] += a == b
            e += a <= b
            f += b <= a
    return mutual
