"""Communities by Leiden's method on modularity (Traag, Waltman, van Eck 2019), deterministic: one core, a fixed order, no dice.

Chosen over label propagation for its modularity: 0.836 against 0.813 on the Facebook graph, 0.457 against 0.199 on the GitHub graph (igraph's
label propagation), at the same cost of a few passes over the arcs. Two things differ from the paper, both so that the same graph gives
the same communities everywhere: vertices are visited in the order of a hash of (seed, vertex), and in the refinement a vertex joins the
best part instead of one drawn by its gain. That can leave a community in pieces (2 of 30 on the GitHub graph), so the pieces are told apart
at the end, which only raises the modularity.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from engage_spark.graph.structure import F64, I32, I64, by_size

MOST_LEVELS = 100
PASSES = 2
"""How often the whole method runs, each time from the communities of the time before; the authors' implementation does two as well."""
GAIN = 1e-9
"""A move must gain more than this (in arcs), so that rounding cannot make two moves undo each other for ever."""


def communities(indptr: I64, indices: I32, *, seed: int = 0) -> I32:
    """The community of each vertex of an undirected graph, numbered by descending size, ties by their smallest vertex.

    `indptr` and `indices` as in `structure`. A vertex without edges is a community of its own. Each community is connected.
    Working memory: 56 bytes per vertex, and 12 bytes per arc of the first aggregated graph (which is much smaller than the graph).
    """
    n = len(indptr) - 1
    labels = np.arange(n, dtype=np.int32)
    for _ in range(PASSES):
        before = labels
        labels = _one_pass(indptr, indices, labels, seed)
        if (labels == before).all():
            break
    return by_size(_pieces(indptr, indices, labels))


def modularity(indptr: I64, indices: I32, labels: I32) -> float:
    """Newman's modularity of a division; 0 for a graph without edges."""
    arcs = len(indices)
    if not arcs:
        return 0.0
    groups = int(labels.max()) + 1
    degree = np.diff(indptr)
    inside = int(_arcs_inside(indptr, indices, labels))
    total = np.bincount(labels, weights=degree, minlength=groups)
    return float(inside / arcs - np.sum((total / arcs) ** 2))


def _one_pass(indptr: I64, indices: I32, labels: I32, seed: int) -> I32:
    """Move, refine, aggregate, and again on the aggregated graph, until nothing is left to aggregate."""
    n = len(indptr) - 1
    weights = np.ones(1, dtype=np.int64)  # one weight for all arcs: the graph itself is not copied
    loops = np.zeros(n, dtype=np.int64)
    member = np.arange(n, dtype=np.int32)  # the vertex of the current level that each vertex has become part of
    start = labels
    result = labels
    for level in range(MOST_LEVELS):
        size = len(indptr) - 1
        order = visiting_order(size, seed + level)
        strength = _strengths(indptr, weights, loops)
        moved = _compact(_move(indptr, indices, weights, strength, start, order))
        result = moved[member]
        if int(moved.max(initial=-1)) + 1 == size:
            break
        refined = _compact(_refine(indptr, indices, weights, strength, moved, order))
        groups = int(refined.max()) + 1
        if groups == size:
            break
        start = np.empty(groups, dtype=np.int32)
        start[refined] = moved
        indptr, indices, weights, loops = _aggregate(indptr, indices, weights, loops, refined, groups)
        member = refined[member]
    return result


def visiting_order(n: int, seed: int) -> I32:
    """0 to n - 1 in the order of a hash of (seed, number): splitmix64."""
    with np.errstate(over="ignore"):
        x = np.arange(n, dtype=np.uint64) + np.uint64((seed * 0x9E3779B97F4A7C15 + 0x632BE59BD9B4E019) % 2**64)
        x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        x ^= x >> np.uint64(31)
    return np.argsort(x, kind="stable").astype(np.int32)


def _compact(labels: I32) -> I32:
    """The same groups, numbered without gaps in the order of their first vertex."""
    found: I32 = _compacted(labels)
    return found


@njit(nogil=True, cache=True)
def _compacted(labels: I32) -> I32:  # pragma: no cover (compiled)
    number = np.full(len(labels), -1, dtype=np.int32)
    out = np.empty(len(labels), dtype=np.int32)
    used = 0
    for v in range(len(labels)):
        if number[labels[v]] < 0:
            number[labels[v]] = used
            used += 1
        out[v] = number[labels[v]]
    return out


@njit(nogil=True, cache=True)
def _strengths(indptr: I64, weights: I64, loops: I64) -> I64:  # pragma: no cover (compiled)
    """The sum of the weights of each vertex's arcs, its loop included."""
    n = len(indptr) - 1
    out = loops.copy()
    for v in range(n):
        if len(weights) == 1:
            out[v] += (indptr[v + 1] - indptr[v]) * weights[0]
        else:
            for e in range(indptr[v], indptr[v + 1]):
                out[v] += weights[e]
    return out


@njit(nogil=True, cache=True)
def _arcs_inside(indptr: I64, indices: I32, labels: I32) -> int:  # pragma: no cover (compiled)
    inside = 0
    for v in range(len(indptr) - 1):
        for e in range(indptr[v], indptr[v + 1]):
            inside += labels[indices[e]] == labels[v]
    return inside


@njit(nogil=True, cache=True)
def _pieces(indptr: I64, indices: I32, labels: I32) -> I32:  # pragma: no cover (compiled)
    """The connected pieces of each group."""
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


@njit(nogil=True, cache=True)
def _move(indptr: I64, indices: I32, weights: I64, strength: I64, start: I32, order: I32) -> I32:  # pragma: no cover (compiled)
    """Move each vertex to the neighbouring community with the largest gain, until none gains; only neighbours of moved ones are revisited."""
    n = len(indptr) - 1
    labels = start.copy()
    total = np.zeros(n, dtype=np.int64)
    for v in range(n):
        total[labels[v]] += strength[v]
    everything = float(max(total.sum(), 1))
    shared = np.zeros(n, dtype=np.int64)
    touched = np.empty(n, dtype=np.int32)
    queue = order.copy()
    waiting = np.ones(n, dtype=np.bool_)
    head, held = 0, n
    one = len(weights) == 1
    while held > 0:
        v = queue[head]
        head = head + 1 if head + 1 < n else 0
        held -= 1
        waiting[v] = False
        found = 0
        for e in range(indptr[v], indptr[v + 1]):
            c = labels[indices[e]]
            if shared[c] == 0:
                touched[found] = c
                found += 1
            shared[c] += weights[0] if one else weights[e]
        own = labels[v]
        total[own] -= strength[v]
        best, most = own, shared[own] - strength[v] * (total[own] / everything)
        for i in range(found):
            c = touched[i]
            gain = shared[c] - strength[v] * (total[c] / everything)
            if gain > most + GAIN or (gain >= most - GAIN and c < best and best != own):
                best, most = c, max(gain, most)
            shared[c] = 0
        total[best] += strength[v]
        if best != own:
            labels[v] = best
            for e in range(indptr[v], indptr[v + 1]):
                u = indices[e]
                if labels[u] != best and not waiting[u]:
                    waiting[u] = True
                    tail = head + held
                    queue[tail if tail < n else tail - n] = u
                    held += 1
    return labels


@njit(nogil=True, cache=True)
def _refine(indptr: I64, indices: I32, weights: I64, strength: I64, within: I32, order: I32) -> I32:  # pragma: no cover (compiled)
    """Split each community into well connected parts: single vertices join the best part of their community that is well connected to it."""
    n = len(indptr) - 1
    community = np.zeros(n, dtype=np.int64)
    for v in range(n):
        community[within[v]] += strength[v]
    everything = float(max(strength.sum(), 1))
    labels = np.arange(n).astype(np.int32)
    total = strength.copy()
    outward = np.zeros(n, dtype=np.int64)  # weight between a part and the rest of its community
    alone = np.ones(n, dtype=np.bool_)
    one = len(weights) == 1
    for v in range(n):
        for e in range(indptr[v], indptr[v + 1]):
            if within[indices[e]] == within[v]:
                outward[v] += weights[0] if one else weights[e]
    shared = np.zeros(n, dtype=np.int64)
    touched = np.empty(n, dtype=np.int32)
    for i in range(n):
        v = order[i]
        whole = community[within[v]]
        if not alone[v] or outward[v] < strength[v] * ((whole - strength[v]) / everything):
            continue
        found = 0
        for e in range(indptr[v], indptr[v + 1]):
            u = indices[e]
            if within[u] == within[v]:
                c = labels[u]
                if shared[c] == 0:
                    touched[found] = c
                    found += 1
                shared[c] += weights[0] if one else weights[e]
        best, most = v, 0.0
        for j in range(found):
            c = touched[j]
            if c != v and outward[c] >= total[c] * ((whole - total[c]) / everything):
                gain = shared[c] - strength[v] * (total[c] / everything)
                if gain > most + GAIN or (gain >= most - GAIN and best != v and c < best):
                    best, most = c, max(gain, most)
        if best != v:
            labels[v] = best
            alone[best] = False
            total[best] += strength[v]
            outward[best] += outward[v] - 2 * shared[best]
        for j in range(found):
            shared[touched[j]] = 0
    return labels


@njit(nogil=True, cache=True)
def _aggregate(
    indptr: I64, indices: I32, weights: I64, loops: I64, labels: I32, groups: int
) -> tuple[I64, I32, I64, I64]:  # pragma: no cover (compiled)
    """The graph whose vertices are the groups; arcs between two are summed, arcs inside become the group's loop."""
    n = len(indptr) - 1
    first = np.zeros(groups + 1, dtype=np.int64)
    for v in range(n):
        first[labels[v] + 1] += 1
    for g in range(groups):
        first[g + 1] += first[g]
    members = np.empty(n, dtype=np.int32)
    filled = first[:-1].copy()
    for v in range(n):
        members[filled[labels[v]]] = v
        filled[labels[v]] += 1
    one = len(weights) == 1
    shared = np.zeros(groups, dtype=np.int64)
    touched = np.empty(groups, dtype=np.int32)
    out_loops = np.zeros(groups, dtype=np.int64)
    out_indptr = np.zeros(groups + 1, dtype=np.int64)
    out_indices = np.empty(groups, dtype=np.int32)
    out_weights = np.empty(groups, dtype=np.int64)
    arcs = 0
    for g in range(groups):
        found = 0
        for i in range(first[g], first[g + 1]):
            v = members[i]
            out_loops[g] += loops[v]
            for e in range(indptr[v], indptr[v + 1]):
                c = labels[indices[e]]
                w = weights[0] if one else weights[e]
                if c == g:
                    out_loops[g] += w
                    continue
                if shared[c] == 0:
                    touched[found] = c
                    found += 1
                shared[c] += w
        if arcs + found > len(out_indices):
            room = 2 * (arcs + found)
            larger, heavier = np.empty(room, dtype=np.int32), np.empty(room, dtype=np.int64)
            larger[:arcs], heavier[:arcs] = out_indices[:arcs], out_weights[:arcs]
            out_indices, out_weights = larger, heavier
        for i in range(found):
            c = touched[i]
            out_indices[arcs], out_weights[arcs] = c, shared[c]
            shared[c] = 0
            arcs += 1
        out_indptr[g + 1] = arcs
    # At least two entries, because one weight stands for "all arcs weigh this".
    return out_indptr, out_indices[: max(arcs, 2)], out_weights[: max(arcs, 2)], out_loops
