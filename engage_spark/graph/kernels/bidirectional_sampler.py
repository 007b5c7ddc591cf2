"""Draw a random shortest path by breadth-first searches from both ends, always extending the one whose next
level has fewer arcs.

Before a level is entered, its arcs are checked: does one lead to the other search's last level? That takes
one bit per vertex, a set small enough for the first cache at a hundred thousand vertices; most searches end
with such a check, and the largest level is never entered. If level a of one search and level b of the other
meet, every shortest path crosses between them exactly once.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from engage_spark.graph.kernels.simd import prefetch_row
from engage_spark.numerics import random_draws
from engage_spark.numerics.dtypes import F64, I32, I64
from engage_spark.numerics.jit import kernel

# Path counts of either search stay below this, so that their products are finite.
_MAX_PATHS = 1e150


@kernel
def _sum_crossing_paths(
    indptr: I64, indices: I32, queue: I32, first: int, last: int, across: Any, paths: F64, passed: F64
) -> float:
    """Shortest paths over arcs from queue[first:last] to the vertices in the bit set `across`; running sums
    into `passed`.
    """
    met = 0.0
    for i in range(first, last):
        if i + 2 < last:
            prefetch_row(indptr, indices, queue[i + 2])
        v = queue[i]
        crossing = 0.0
        # Unsigned: numba then omits the code for negative indices, a quarter of this loop.
        for e in range(np.uint64(indptr[v]), np.uint64(indptr[v + 1])):
            w = np.uint64(indices[e])
            if across[w >> np.uint64(3)] >> np.uint8(w & np.uint64(7)) & np.uint8(1):
                crossing += paths[w]
        met += crossing * paths[v]
        passed[i - first] = met
    return met


@kernel
def _draw_crossing(
    indptr: I64,
    indices: I32,
    queue: I32,
    first: int,
    last: int,
    across: Any,
    paths: F64,
    passed: F64,
    u: float,
) -> tuple[int, int]:
    """Find the arc that holds path number u * met, in the order of `_sum_crossing_paths`."""
    wanted = u * passed[last - first - 1]
    i = first + np.searchsorted(passed[: last - first], wanted, side="right")
    while i >= last or passed[i - first] == (passed[i - first - 1] if i > first else 0.0):
        i -= 1  # u * met was rounded up to met: the last vertex with paths
    v = queue[i]
    total, other = passed[i - first - 1] if i > first else 0.0, -1
    for e in range(indptr[v], indptr[v + 1]):
        w = indices[e]
        if (across[w >> 3] >> (w & 7)) & 1:
            other = w
            total += paths[w] * paths[v]
            if total > wanted:
                break
    return v, other


@kernel
def _enter_level(
    indptr: I64, indices: I32, queue: I32, first: int, last: int, new: int, mark: I32, paths: F64
) -> int:
    """Append the next level to the queue, with its path counts; returns its end. Nothing in it belongs to the
    other search.
    """
    end = last
    for i in range(first, last):
        v = queue[i]
        for e in range(indptr[v], indptr[v + 1]):
            w = indices[e]
            if mark[w] == 0:
                mark[w] = new
                paths[w] = paths[v]
                queue[end] = w
                end += 1
            elif mark[w] == new:
                paths[w] += paths[v]
    return end


@kernel
def _flip_bits(queue: I32, first: int, last: int, bits: Any) -> None:
    for i in range(first, last):
        bits[queue[i] >> 3] ^= np.uint8(1 << (queue[i] & 7))


@kernel
def _arcs_and_paths(indptr: I64, queue: I32, first: int, last: int, paths: F64) -> tuple[int, float]:
    """Of a level: arcs out of it, and the largest path count."""
    arcs, most = 0, 0.0
    for i in range(first, last):
        arcs += indptr[queue[i] + 1] - indptr[queue[i]]
        most = max(most, paths[queue[i]])
    return arcs, most


@kernel
def _walk_back(
    indptr: I64,
    indices: I32,
    at: int,
    end: int,
    mark: I32,
    paths: F64,
    state: np.uint64,
    number: int,
    hits: I64,
) -> tuple[int, int]:
    """Walk from a marked vertex back to `end`, where its search began, and hit all vertices but that one.

    Returns how many were hit, and the next draw's number. `indptr` and `indices` are the arcs against the
    direction of the search.
    """
    inside = 0
    while at != end:
        hits[at] += 1
        inside += 1
        before = mark[at] - 1 if mark[at] > 0 else mark[at] + 1
        if before in (1, -1):
            break
        total = 0.0
        for e in range(indptr[at], indptr[at + 1]):
            if mark[indices[e]] == before:
                total += paths[indices[e]]
        wanted = random_draws.unit(random_draws.draw(state, np.uint64(number))) * total
        number += 1
        passed, predecessor = 0.0, -1
        for e in range(indptr[at], indptr[at + 1]):
            if mark[indices[e]] == before:
                predecessor = indices[e]
                passed += paths[predecessor]
                if passed > wanted:
                    break
        at = predecessor
    return inside, number


@kernel
def draw_from_both_ends(
    indptr: I64,
    indices: I32,
    back_indptr: I64,
    back_indices: I32,
    s: int,
    t: int,
    state: np.uint64,
    mark: I32,
    paths: F64,
    ahead: I32,
    behind: I32,
    ahead_bits: Any,
    behind_bits: Any,
    passed: F64,
    hits: I64,
) -> int:
    """Hit the vertices inside a random shortest path and return how many.

    Returns -1 if there is no path, -2 if there are too many to count in float64. `mark` is 0 throughout
    before and after, and in between +(distance + 1) for the search from s, -(distance + 1) for that from t.
    The bit sets hold each search's last level, and are empty before and after.
    """
    mark[s], mark[t], paths[s], paths[t] = 1, -1, 1.0, 1.0
    ahead[0], behind[0] = s, t
    _flip_bits(ahead, 0, 1, ahead_bits)
    _flip_bits(behind, 0, 1, behind_bits)
    a_first, a_last, a_depth, b_first, b_last, b_depth = 0, 1, 1, 0, 1, 1
    a_arcs, b_arcs = indptr[s + 1] - indptr[s], back_indptr[t + 1] - back_indptr[t]
    v, w, met, most = -1, -1, 0.0, 1.0
    while a_first < a_last and b_first < b_last and most <= _MAX_PATHS:
        if a_arcs <= b_arcs:
            met = _sum_crossing_paths(indptr, indices, ahead, a_first, a_last, behind_bits, paths, passed)
            if met > 0.0:
                u = random_draws.unit(random_draws.draw(state, np.uint64(3)))
                v, w = _draw_crossing(indptr, indices, ahead, a_first, a_last, behind_bits, paths, passed, u)
                break
            _flip_bits(ahead, a_first, a_last, ahead_bits)
            a_depth += 1
            a_first, a_last = (
                a_last,
                _enter_level(indptr, indices, ahead, a_first, a_last, a_depth, mark, paths),
            )
            _flip_bits(ahead, a_first, a_last, ahead_bits)
            a_arcs, most = _arcs_and_paths(indptr, ahead, a_first, a_last, paths)
        else:
            met = _sum_crossing_paths(
                back_indptr, back_indices, behind, b_first, b_last, ahead_bits, paths, passed
            )
            if met > 0.0:
                u = random_draws.unit(random_draws.draw(state, np.uint64(3)))
                w, v = _draw_crossing(
                    back_indptr, back_indices, behind, b_first, b_last, ahead_bits, paths, passed, u
                )
                break
            _flip_bits(behind, b_first, b_last, behind_bits)
            b_depth += 1
            b_first, b_last = (
                b_last,
                _enter_level(back_indptr, back_indices, behind, b_first, b_last, -b_depth, mark, paths),
            )
            _flip_bits(behind, b_first, b_last, behind_bits)
            b_arcs, most = _arcs_and_paths(back_indptr, behind, b_first, b_last, paths)
    inside = -1 if most <= _MAX_PATHS else -2
    if met > 0.0:
        one, number = _walk_back(back_indptr, back_indices, v, s, mark, paths, state, 4, hits)
        two, number = _walk_back(indptr, indices, w, t, mark, paths, state, number, hits)
        inside = one + two
    _flip_bits(ahead, a_first, a_last, ahead_bits)
    _flip_bits(behind, b_first, b_last, behind_bits)
    mark[ahead[:a_last]] = 0
    mark[behind[:b_last]] = 0
    return inside
