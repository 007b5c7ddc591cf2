"""Random shortest paths: for each sample one uniform pair of different vertices and one uniform shortest path between them.

The share of samples with v inside their path estimates betweenness(v) / (n (n - 1)) over ordered pairs (Riondato, Kornaropoulos 2016), and
since every sample adds 0 or 1 per vertex, sums are integers: order-free. A pair is searched from both ends, always on the side
whose next level has fewer arcs (Borassi, Natale 2016, KADABRA). When the sides meet, they meet along arcs from one side's last level
to the other's; one of these is drawn in proportion to the number of shortest paths through it, and from its ends the path is drawn
back, every predecessor in proportion to the paths that reach it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from engage_spark.errors import InputError
from engage_spark.graph import random
from engage_spark.graph.csr import F64, I32, I64, Csr
from engage_spark.graph.diameter import vertex_diameter_bound
from engage_spark.graph.jit import kernel
from engage_spark.graph.scalar import bfs, count_paths_wide, dijkstra

__all__ = ["PathSample", "sample_paths", "vertex_diameter_bound"]

# Path counts of either side stay below this, so that their products are finite; beyond it the sample is drawn with wide counts.
_MANY = 1e150


@dataclass(frozen=True, eq=False)
class PathSample:
    """What a range of samples hit; the sums (and the maximum) of two ranges are those of their union."""

    hits: I64
    """Per vertex: samples with it strictly inside their path."""
    interior: int
    """Vertices strictly inside, summed over the samples: hits.sum()."""
    unreachable: int
    """Samples whose pair has no path; they hit nothing."""
    longest: int
    """Vertices strictly inside the longest path drawn."""


def sample_paths(csr: Csr, *, seed: int, start: int, count: int) -> PathSample:
    """Samples start..start+count-1 of the sequence that `seed` names: a function of (seed, sample number), so ranges may be split at will.

    Directed graphs are searched forwards from s and backwards from t. With lengths, Dijkstra's algorithm runs from s until t is settled.
    Path counts may be of any size: samples that see more than 1e150 paths (long grids) are drawn with counts of mantissa and exponent.
    InputError for a graph of fewer than two vertices and for a negative range.
    """
    if csr.n < 2:
        raise InputError(f"a graph of {csr.n} vertices has no pair to sample", mend="betweenness is 0 throughout; do not sample")
    if start < 0 or count < 0:
        raise InputError(f"samples {start}..{start + count - 1} are no range", mend="start and count must be at least 0")
    hits = np.zeros(csr.n, dtype=np.int64)
    key = np.uint64(seed & 0xFFFFFFFFFFFFFFFF)
    unreachable, longest = _sample(*csr.out, *csr.into, key, start, count, hits)
    return PathSample(hits, int(hits.sum()), int(unreachable), int(longest))


@kernel
def _pair(state: np.uint64, n: int) -> tuple[int, int]:
    s = random.below(random.draw(state, np.uint64(1)), np.uint64(n))
    t = random.below(random.draw(state, np.uint64(2)), np.uint64(n - 1))
    return s, t + 1 if t >= s else t


@kernel
def _level(indptr: I64, indices: I32, side: int, depth: int, first: int, last: int, queue: I32, mark: I32, paths: F64) -> tuple[int, float]:
    """Look at all arcs out of queue[first:last], which is level `depth` of `side`. Unmarked heads make the next level; returns its end in
    the queue and the number of paths over arcs to the other side (marks of the sides have opposite signs).
    """
    end, met = last, 0.0
    mine = side * (depth + 2)
    for i in range(first, last):
        v = queue[i]
        for e in range(indptr[v], indptr[v + 1]):
            w = indices[e]
            if mark[w] == 0:
                mark[w] = mine
                paths[w] = paths[v]
                queue[end] = w
                end += 1
            elif mark[w] == mine:
                paths[w] += paths[v]
            elif (mark[w] < 0) != (side < 0):
                met += paths[v] * paths[w]
    return end, met


@kernel
def _arcs_and_paths(indptr: I64, first: int, last: int, queue: I32, paths: F64) -> tuple[int, float]:
    """Of a level: arcs out of it, and the largest path count."""
    arcs, most = 0, 0.0
    for i in range(first, last):
        arcs += indptr[queue[i] + 1] - indptr[queue[i]]
        most = max(most, paths[queue[i]])
    return arcs, most


@kernel
def _meeting(
    indptr: I64, indices: I32, side: int, first: int, last: int, queue: I32, mark: I32, paths: F64, wanted: float
) -> tuple[int, int]:
    """The arc between the sides at which the running sum of paths passes `wanted`; the last one if rounding keeps it from that."""
    passed, v_found, w_found = 0.0, -1, -1
    for i in range(first, last):
        v = queue[i]
        for e in range(indptr[v], indptr[v + 1]):
            w = indices[e]
            if mark[w] != 0 and (mark[w] < 0) != (side < 0):
                through = paths[v] * paths[w]
                if through > 0.0:
                    v_found, w_found = v, w
                passed += through
                if passed > wanted:
                    return v_found, w_found
    return v_found, w_found


@kernel
def _walk_back(indptr: I64, indices: I32, at: int, mark: I32, paths: F64, state: np.uint64, number: int, hits: I64) -> tuple[int, int]:
    """From a marked vertex back to where its side began, hitting every vertex but the last; how many were hit, the next draw's number.

    `indptr` and `indices` are the arcs against the side's direction.
    """
    inside = 0
    while mark[at] != 1 and mark[at] != -1:
        hits[at] += 1
        inside += 1
        before = mark[at] - 1 if mark[at] > 0 else mark[at] + 1
        total = 0.0
        for e in range(indptr[at], indptr[at + 1]):
            if mark[indices[e]] == before:
                total += paths[indices[e]]
        wanted = random.unit(random.draw(state, np.uint64(number))) * total
        number += 1
        passed, found = 0.0, -1
        for e in range(indptr[at], indptr[at + 1]):
            u = indices[e]
            if mark[u] == before and paths[u] > 0.0:
                found = u
                passed += paths[u]
                if passed > wanted:
                    break
        at = found
    return inside, number


@kernel
def _search(
    indptr: I64, indices: I32, back_indptr: I64, back_indices: I32, s: int, t: int, u: float, mark: I32, paths: F64, ahead: I32, behind: I32
) -> tuple[int, int, int, int, int]:
    """Search from both ends until they meet, or one is done. `mark` is +(distance + 1) on the side of s, -(distance + 1) on that of t.

    Returns the ends (v, w) of the drawn arc between the sides, the filled lengths of both queues, and 1 if they met, 0 if they can't,
    -1 if there are too many paths to count so.
    """
    mark[s], mark[t], paths[s], paths[t] = 1, -1, 1.0, 1.0
    ahead[0], behind[0] = s, t
    a_first, a_last, a_depth, b_first, b_last, b_depth = 0, 1, 0, 0, 1, 0
    a_arcs, b_arcs = indptr[s + 1] - indptr[s], back_indptr[t + 1] - back_indptr[t]
    while a_first < a_last and b_first < b_last:
        if a_arcs <= b_arcs:
            end, met = _level(indptr, indices, 1, a_depth, a_first, a_last, ahead, mark, paths)
            if met > 0.0:
                v, w = _meeting(indptr, indices, 1, a_first, a_last, ahead, mark, paths, u * met)
                return v, w, end, b_last, 1
            a_first, a_last, a_depth = a_last, end, a_depth + 1
            a_arcs, most = _arcs_and_paths(indptr, a_first, a_last, ahead, paths)
        else:
            end, met = _level(back_indptr, back_indices, -1, b_depth, b_first, b_last, behind, mark, paths)
            if met > 0.0:
                w, v = _meeting(back_indptr, back_indices, -1, b_first, b_last, behind, mark, paths, u * met)
                return v, w, a_last, end, 1
            b_first, b_last, b_depth = b_last, end, b_depth + 1
            b_arcs, most = _arcs_and_paths(back_indptr, b_first, b_last, behind, paths)
        if most > _MANY:
            return -1, -1, a_last, b_last, -1
    return -1, -1, a_last, b_last, 0


@kernel
def _from_one_end(
    indptr: I64, indices: I32, lengths: I64, back_indptr: I64, back_indices: I32, back_lengths: I64, s: int, t: int, state: np.uint64,
    distance: I64, order: I32, heap: I32, place: I32, paths: F64, scale: I64, hits: I64,
) -> int:  # fmt: skip
    """Draw the path by a search from s alone, with wide path counts; the vertices inside it, or -1 if t can't be reached.

    `distance` is -1 throughout before and after.
    """
    if len(lengths):
        settled = dijkstra(indptr, indices, lengths, s, t, distance, order, heap, place)
    else:
        settled = bfs(indptr, indices, s, distance, order)
    inside = -1
    if distance[t] >= 0:
        count_paths_wide(indptr, indices, lengths, order, settled, distance, paths, scale)
        inside = _walk_wide(back_indptr, back_indices, back_lengths, s, t, distance, paths, scale, state, hits)
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
        wanted = random.unit(random.draw(state, np.uint64(number))) * total
        number += 1
        passed, found = 0.0, -1
        for e in range(back_indptr[at], back_indptr[at + 1]):
            u, length = back_indices[e], back_lengths[e] if len(back_lengths) else 1
            if distance[u] >= 0 and distance[u] + length == distance[at]:
                share = math.ldexp(paths[u], int(max(scale[u] - top, -2000)))
                if share > 0.0:
                    found = u
                    passed += share
                    if passed > wanted:
                        break
        at = found
        if at == s:
            return inside
        hits[at] += 1
        inside += 1


@kernel
def _sample(
    indptr: I64, indices: I32, lengths: I64, back_indptr: I64, back_indices: I32, back_lengths: I64,
    seed: np.uint64, start: int, count: int, hits: I64,
) -> tuple[int, int]:  # fmt: skip
    """How many pairs were unreachable, and the most vertices inside a path."""
    n = len(indptr) - 1
    weighted = len(lengths) > 0
    mark, paths = np.zeros(n, dtype=np.int32), np.empty(n)
    ahead, behind = np.empty(n, dtype=np.int32), np.empty(n, dtype=np.int32)
    heap, place = np.empty(n if weighted else 0, dtype=np.int32), np.empty(n if weighted else 0, dtype=np.int32)
    distance, scale = np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64)
    unreachable, longest = 0, 0
    for sample in range(start, start + count):
        state = random.stream(seed, np.uint64(sample))
        s, t = _pair(state, n)
        found, v, w = -1, -1, -1
        if not weighted:
            u = random.unit(random.draw(state, np.uint64(3)))
            v, w, a_last, b_last, found = _search(indptr, indices, back_indptr, back_indices, s, t, u, mark, paths, ahead, behind)
            if found == 1:
                one, number = _walk_back(back_indptr, back_indices, v, mark, paths, state, 4, hits)
                two, number = _walk_back(indptr, indices, w, mark, paths, state, number, hits)
                longest = max(longest, one + two)
            for i in range(a_last):
                mark[ahead[i]] = 0
            for i in range(b_last):
                mark[behind[i]] = 0
        if found == -1:
            if len(distance) == 0:
                distance, scale = np.full(n, -1, dtype=np.int64), np.empty(n, dtype=np.int64)
            inside = _from_one_end(
                indptr, indices, lengths, back_indptr, back_indices, back_lengths, s, t, state,
                distance, ahead, heap, place, paths, scale, hits,
            )  # fmt: skip
            found = 1 if inside >= 0 else 0
            longest = max(longest, inside)
        if found == 0:
            unreachable += 1
    return unreachable, longest
