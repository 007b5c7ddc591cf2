"""Compile the steps of the Leiden method, which `community` puts together.

Weights are integers; a single one stands for all arcs.
"""

from __future__ import annotations

import numpy as np

from engage_spark.numerics.dtypes import I32, I64
from engage_spark.numerics.jit import kernel

GAIN = 1e-9
"""A move must gain more than this (in arcs), so that rounding cannot make two moves undo each other
endlessly.
"""


@kernel
def compact_labels(labels: I32) -> I32:
    """Renumber the groups without gaps in the order of their first vertex."""
    number = np.full(len(labels), -1, dtype=np.int32)
    out = np.empty(len(labels), dtype=np.int32)
    used = 0
    for v in range(len(labels)):
        if number[labels[v]] < 0:
            number[labels[v]] = used
            used += 1
        out[v] = number[labels[v]]
    return out


@kernel
def vertex_strengths(indptr: I64, weights: I64, loops: I64) -> I64:
    """Sum the weights of each vertex's arcs, its loop included."""
    n = len(indptr) - 1
    out = loops.copy()
    for v in range(n):
        if len(weights) == 1:
            out[v] += (indptr[v + 1] - indptr[v]) * weights[0]
        else:
            for e in range(indptr[v], indptr[v + 1]):
                out[v] += weights[e]
    return out


@kernel
def arcs_inside(indptr: I64, indices: I32, labels: I32) -> int:
    """Count the arcs whose two ends have the same label."""
    inside = 0
    for v in range(len(indptr) - 1):
        for e in range(indptr[v], indptr[v + 1]):
            inside += labels[indices[e]] == labels[v]
    return inside


@kernel
def move_vertices(indptr: I64, indices: I32, weights: I64, strength: I64, start: I32, order: I32) -> I32:
    """Move each vertex to the neighbouring community with the largest gain until none gains.

    Neighbours of a moved vertex are visited again.
    """
    n = len(indptr) - 1
    labels = start.copy()
    total = np.zeros(n, dtype=np.int64)
    for v in range(n):
        total[labels[v]] += strength[v]
    total_strength = float(max(total.sum(), 1))
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
        n_touched = 0
        for e in range(indptr[v], indptr[v + 1]):
            c = labels[indices[e]]
            if shared[c] == 0:
                touched[n_touched] = c
                n_touched += 1
            shared[c] += weights[0] if one else weights[e]
        own = labels[v]
        total[own] -= strength[v]
        best, most = own, shared[own] - strength[v] * (total[own] / total_strength)
        for i in range(n_touched):
            c = touched[i]
            gain = shared[c] - strength[v] * (total[c] / total_strength)
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


@kernel
def refine_communities(  # noqa: C901, PLR0912 (a kernel: calls would hand over a dozen arrays)
    indptr: I64, indices: I32, weights: I64, strength: I64, within: I32, order: I32
) -> I32:
    """Split each community into parts.

    A single vertex joins the best part that is well connected to the rest of the community.
    """
    n = len(indptr) - 1
    community = np.zeros(n, dtype=np.int64)
    for v in range(n):
        community[within[v]] += strength[v]
    total_strength = float(max(strength.sum(), 1))
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
        community_strength = community[within[v]]
        if not alone[v] or outward[v] < strength[v] * ((community_strength - strength[v]) / total_strength):
            continue
        n_touched = 0
        for e in range(indptr[v], indptr[v + 1]):
            u = indices[e]
            if within[u] == within[v]:
                c = labels[u]
                if shared[c] == 0:
                    touched[n_touched] = c
                    n_touched += 1
                shared[c] += weights[0] if one else weights[e]
        best, most = v, 0.0
        for j in range(n_touched):
            c = touched[j]
            if c != v and outward[c] >= total[c] * ((community_strength - total[c]) / total_strength):
                gain = shared[c] - strength[v] * (total[c] / total_strength)
                if gain > most + GAIN or (gain >= most - GAIN and best != v and c < best):
                    best, most = c, max(gain, most)
        if best != v:
            labels[v] = best
            alone[best] = False
            total[best] += strength[v]
            outward[best] += outward[v] - 2 * shared[best]
        for j in range(n_touched):
            shared[touched[j]] = 0
    return labels


@kernel
def aggregate_graph(
    indptr: I64, indices: I32, weights: I64, loops: I64, labels: I32, groups: int
) -> tuple[I64, I32, I64, I64]:
    """Build the graph whose vertices are the groups.

    Arcs between two groups are summed, arcs inside become the group's loop.
    """
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
        n_touched = 0
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
                    touched[n_touched] = c
                    n_touched += 1
                shared[c] += w
        if arcs + n_touched > len(out_indices):
            room = 2 * (arcs + n_touched)
            larger, heavier = np.empty(room, dtype=np.int32), np.empty(room, dtype=np.int64)
            larger[:arcs], heavier[:arcs] = out_indices[:arcs], out_weights[:arcs]
            out_indices, out_weights = larger, heavier
        for i in range(n_touched):
            c = touched[i]
            out_indices[arcs], out_weights[arcs] = c, shared[c]
            shared[c] = 0
            arcs += 1
        out_indptr[g + 1] = arcs
    # At least two entries, because one weight stands for "all arcs weigh this".
    return out_indptr, out_indices[: max(arcs, 2)], out_weights[: max(arcs, 2)], out_loops
