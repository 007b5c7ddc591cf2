"""Bound the number of vertices of a shortest path from above, from a few searches."""

from __future__ import annotations

import numpy as np

from engage_spark.graph.kernels.csr import Csr
from engage_spark.graph.kernels.traversal import bfs, dijkstra
from engage_spark.numerics.dtypes import I32, I64
from engage_spark.numerics.jit import kernel


def vertex_diameter_bound(csr: Csr) -> int:
    """Return a number of vertices that no shortest path exceeds: at least 1 (0 without vertices), at most n.

    Undirected: with e the farthest distance from any one vertex of a component, its diameter is at most 2 e.
    Two such vertices per component are tried, the one of most arcs and the middle of a longest path from it;
    the component's size bounds it too. Directed: the same within a strongly connected component with e out of
    and e' into one vertex (a path between two of its vertices stays in it), and a shortest path runs through
    a chain of components, so the largest sum along any chain bounds it. With lengths: hops are at most
    distance / smallest length of the component.
    """
    if csr.n == 0:
        return 0
    if not csr.directed:
        return int(_undirected(*csr.out))
    component, count = _strong_components(csr.indptr, csr.indices)
    return int(min(csr.n, _directed(*csr.out, *csr.into, component, count)))


@kernel
def _search(
    indptr: I64, indices: I32, lengths: I64, source: int, distance: I64, order: I32, heap: I32, position: I32
) -> int:
    if len(lengths):
        return dijkstra(indptr, indices, lengths, source, -1, distance, order, heap, position)
    return bfs(indptr, indices, source, distance, order)


@kernel
def _middle(indptr: I64, indices: I32, lengths: I64, far: int, distance: I64) -> int:
    """Find a vertex about half way on a shortest path to `far`."""
    middle, half = far, distance[far] // 2
    while distance[middle] > half:
        for e in range(indptr[middle], indptr[middle + 1]):
            if distance[indices[e]] + (lengths[e] if len(lengths) else 1) == distance[middle]:
                middle = indices[e]
                break
    return middle


@kernel
def _hub_and_shortest(indptr: I64, lengths: I64, members: I32, size: int) -> tuple[int, int]:
    """Of the first `size` members, the one with most arcs; and the smallest length of their arcs."""
    hub, shortest = members[0], 1 << 62
    for i in range(size):
        v = members[i]
        if indptr[v + 1] - indptr[v] > indptr[hub + 1] - indptr[hub]:
            hub = v
        for e in range(indptr[v], indptr[v + 1]):
            shortest = min(shortest, lengths[e] if len(lengths) else 1)
    return hub, shortest


@kernel
def _undirected(indptr: I64, indices: I32, lengths: I64) -> int:
    n = len(indptr) - 1
    distance, order, members = (
        np.full(n, -1, dtype=np.int64),
        np.empty(n, dtype=np.int32),
        np.empty(n, dtype=np.int32),
    )
    heap, position = np.empty(n, dtype=np.int32), np.empty(n, dtype=np.int32)
    done = np.zeros(n, dtype=np.bool_)
    most = 1
    for root in range(n):
        if done[root]:
            continue
        size = _search(indptr, indices, lengths, root, distance, members, heap, position)
        for i in range(size):
            done[members[i]] = True
            distance[members[i]] = -1
        if size <= max(most, 2):  # so small a component can't raise the bound
            most = max(most, size)
            continue
        best = size
        hub, shortest = _hub_and_shortest(indptr, lengths, members, size)
        for _ in range(2):
            _search(indptr, indices, lengths, hub, distance, order, heap, position)
            far = order[size - 1]
            best = min(best, 2 * distance[far] // shortest + 1)
            hub = _middle(indptr, indices, lengths, far, distance)
            for i in range(size):
                distance[members[i]] = -1
        most = max(most, best)
    return int(most)


@kernel
def _strong_components(indptr: I64, indices: I32) -> tuple[I32, int]:
    """Tarjan's strongly connected components without recursion. An arc never leads to a component of a higher
    number.
    """
    n = len(indptr) - 1
    component = np.full(n, -1, dtype=np.int32)
    index, low, at = np.full(n, -1, dtype=np.int64), np.empty(n, dtype=np.int64), indptr[:-1].copy()
    stack, path = np.empty(n, dtype=np.int32), np.empty(n, dtype=np.int32)
    on_stack, seen, count = 0, 0, 0
    for root in range(n):
        if index[root] >= 0:
            continue
        path[0], depth = root, 1
        while depth > 0:
            v = path[depth - 1]
            if index[v] < 0:
                index[v] = low[v] = seen
                seen += 1
                stack[on_stack] = v
                on_stack += 1
            if at[v] < indptr[v + 1]:
                w = indices[at[v]]
                at[v] += 1
                if index[w] < 0:
                    path[depth] = w
                    depth += 1
                elif component[w] < 0:
                    low[v] = min(low[v], index[w])
                continue
            depth -= 1
            if depth > 0:
                low[path[depth - 1]] = min(low[path[depth - 1]], low[v])
            if low[v] == index[v]:
                while True:
                    on_stack -= 1
                    w = stack[on_stack]
                    component[w] = count
                    if w == v:
                        break
                count += 1
    return component, count


@kernel
def _farthest_inside(
    indptr: I64,
    indices: I32,
    lengths: I64,
    component: I32,
    hub: int,
    distance: I64,
    order: I32,
    heap: I32,
    position: I32,
) -> int:
    """Find the largest distance from `hub` to a vertex of its component; `distance` is -1 throughout before
    and after.
    """
    reached = _search(indptr, indices, lengths, hub, distance, order, heap, position)
    far = 0
    for i in range(reached):
        if component[order[i]] == component[hub]:
            far = max(far, distance[order[i]])
    for i in range(reached):
        distance[order[i]] = -1
    return far


@kernel
def _directed(
    indptr: I64,
    indices: I32,
    lengths: I64,
    back_indptr: I64,
    back_indices: I32,
    back_lengths: I64,
    component: I32,
    count: int,
) -> int:
    n = len(indptr) - 1
    distance, order = np.full(n, -1, dtype=np.int64), np.empty(n, dtype=np.int32)
    heap, position = np.empty(n, dtype=np.int32), np.empty(n, dtype=np.int32)
    size, hub = np.zeros(count, dtype=np.int64), np.full(count, -1, dtype=np.int64)
    shortest = np.full(count, 1 << 62, dtype=np.int64)
    for v in range(n):
        c = component[v]
        size[c] += 1
        if hub[c] < 0 or indptr[v + 1] - indptr[v] > indptr[hub[c] + 1] - indptr[hub[c]]:
            hub[c] = v
        for e in range(indptr[v], indptr[v + 1]):
            if component[indices[e]] == c:
                shortest[c] = min(shortest[c], lengths[e] if len(lengths) else 1)
    own = size.copy()
    for c in range(count):
        if size[c] > 2:
            far = _farthest_inside(
                indptr, indices, lengths, component, hub[c], distance, order, heap, position
            )
            far += _farthest_inside(
                back_indptr, back_indices, back_lengths, component, hub[c], distance, order, heap, position
            )
            own[c] = min(size[c], far // shortest[c] + 1)
    # Components are numbered so that arcs lead to lower ones: the best chain from each is known when it is
    # needed.
    chain, members = own.copy(), np.argsort(component, kind="mergesort")
    most, i = np.int64(1), 0
    for c in range(count):
        after = 0
        while i < n and component[members[i]] == c:
            v = members[i]
            for e in range(indptr[v], indptr[v + 1]):
                if component[indices[e]] != c:
                    after = max(after, chain[component[indices[e]]])
            i += 1
        chain[c] = own[c] + after
        most = max(most, chain[c])
    return int(most)
