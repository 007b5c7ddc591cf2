"""Compute Brandes' dependencies of many sources at once on an unweighted graph.

One visit of an arc serves all sources, each in a lane of its own. Forward, a row of `current` holds a
vertex's path counts in the lanes whose search reached it in the last step, and 0 in the others, so that a
plain sum of the neighbours' rows is right in every lane; vertices that a lane has seen before are masked once
per vertex, not once per arc. A step either pulls into every vertex that some lane has not seen, or pushes out
of those reached in the last step, whichever has fewer arcs. Each step's vertices and their new lanes are
noted. Backward, the notes are read from the end: a row of `current` holds (weight + delta) / counts of the
step after, and again plain sums of rows give the dependencies.

Source: Then et al. 2014, "The more the merrier: efficient multi-source graph traversal" (sharing arc visits
between searches); Beamer et al. 2012, "Direction-optimizing breadth-first search" (choosing each level's
direction).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from engage_spark.graph.kernels.simd import (
    add_row,
    clear_row,
    finish_pushed_counts,
    finish_pushed_dependencies,
    pull_counts,
    pull_dependencies,
)
from engage_spark.numerics.dtypes import F64, I32, I64
from engage_spark.numerics.jit import kernel

# A pushed row is read, added to and written, after a look at whether it is wanted; a pulled one is read.
_PUSH_COST = 2


@kernel
def _grow_notes(vertices: I32, masks: Any, filled: int, n: int) -> tuple[I32, Any]:
    """Return the notes with space for n more."""
    if filled + n <= len(vertices):
        return vertices, masks
    more = max(2 * len(vertices), filled + n)
    longer, wider = np.empty(more, dtype=np.int32), np.empty(more, dtype=masks.dtype)
    longer[:filled] = vertices[:filled]
    wider[:filled] = masks[:filled]
    return longer, wider


@kernel
def _pull_forward(
    indptr: I64,
    indices: I32,
    unseen: Any,
    waiting: I32,
    most: Any,
    current: Any,
    target: Any,
    counts: Any,
    vertices: I32,
    masks: Any,
    end: int,
) -> tuple[int, int, bool]:
    """Pull into every vertex of `waiting`, then shorten it to those that some lane still has not seen."""
    left, fits = 0, True
    for i in range(len(waiting)):
        w = waiting[i]
        new, high = pull_counts(
            current, indices, indptr[w], indptr[w + 1], unseen[w], counts, target, w, most
        )
        if high:
            fits = False
        if new:
            vertices[end], masks[end] = w, new
            end += 1
            unseen[w] ^= new
        if unseen[w]:
            waiting[left] = w
            left += 1
    return end, left, fits


@kernel
def _push_forward(
    indptr: I64,
    indices: I32,
    unseen: Any,
    most: Any,
    current: Any,
    target: Any,
    counts: Any,
    touched: Any,
    vertices: I32,
    masks: Any,
    first: int,
    last: int,
) -> tuple[int, bool]:
    """Push out of the vertices noted at first..last-1. `touched` is False throughout before and after."""
    n = len(unseen)
    end, fits = last, True
    for i in range(first, last):
        v = vertices[i]
        for e in range(indptr[v], indptr[v + 1]):
            w = indices[e]
            if unseen[w]:
                add_row(masks[i], current, v, target, w)
                if not touched[w]:
                    touched[w] = True
                    vertices[end] = w
                    end += 1
    if end - last > n >> 4:  # ascending order suits the caches
        end = last
        for w in range(n):
            if touched[w]:
                vertices[end] = w
                end += 1
    next_note = last
    for i in range(last, end):
        w = vertices[i]
        touched[w] = False
        new, high = finish_pushed_counts(unseen[w], counts, target, w, most)
        if high:
            fits = False
        if new:
            vertices[next_note], masks[next_note] = w, new
            next_note += 1
            unseen[w] ^= new
    return next_note, fits


@kernel
def _clear(current: Any, vertices: I32, masks: Any, first: int, last: int) -> None:
    for i in range(first, last):
        clear_row(masks[i], current, vertices[i])


@kernel
def _count_arcs(indptr: I64, vertices: I32, first: int, last: int) -> int:
    arcs = 0
    for i in range(first, last):
        arcs += indptr[vertices[i] + 1] - indptr[vertices[i]]
    return arcs


@kernel
def count_neighbour_arcs(indptr: I64, indices: I32, sources: I64) -> I64:
    """Count for each source the arcs out of all its neighbours together."""
    arcs = np.zeros(len(sources), dtype=np.int64)
    for i in range(len(sources)):
        for e in range(indptr[sources[i]], indptr[sources[i] + 1]):
            arcs[i] += indptr[indices[e] + 1] - indptr[indices[e]]
    return arcs


@kernel
def _backward(
    indptr: I64,
    indices: I32,
    back_indptr: I64,
    back_indices: I32,
    weight: Any,
    times: Any,
    current: Any,
    target: Any,
    counts: Any,
    wanted: Any,
    vertices: I32,
    masks: Any,
    before: int,
    first: int,
    last: int,
    total: F64,
    squares: F64,
) -> None:
    """Go from the step noted at first..last-1, whose rows are in `current`, to the one before it, noted at
    before..first-1.
    """
    pushed = _PUSH_COST * _count_arcs(back_indptr, vertices, first, last) < _count_arcs(
        indptr, vertices, before, first
    )
    if pushed:
        for i in range(before, first):
            wanted[vertices[i]] = True
        for i in range(first, last):
            w = vertices[i]
            for e in range(back_indptr[w], back_indptr[w + 1]):
                if wanted[back_indices[e]]:
                    add_row(masks[i], current, w, target, back_indices[e])
    for i in range(before, first):
        v = vertices[i]
        if pushed:
            wanted[v] = False
            one, two = finish_pushed_dependencies(masks[i], counts, weight[v], times, target, v)
        elif masks[i]:
            one, two = pull_dependencies(
                current, indices, indptr[v], indptr[v + 1], masks[i], counts, weight[v], times, target, v
            )
        else:
            continue
        total[v] += one
        if len(squares):
            squares[v] += two


@kernel
def _drop_seen(indptr: I64, unseen: Any, waiting: I32, left: int) -> tuple[int, int]:
    """Drop from waiting[:left] what every lane has seen. Returns how many are left, and their arcs."""
    still_left, arcs = 0, 0
    for i in range(left):
        w = waiting[i]
        if unseen[w]:
            waiting[still_left] = w
            still_left += 1
            arcs += indptr[w + 1] - indptr[w]
    return still_left, arcs


@kernel
def _start(
    sources: I64, one_lane: Any, unseen: Any, current: Any, counts: Any, vertices: I32, masks: Any
) -> int:
    """Note the sources, with a count of 1 in their lanes. They are noted without a lane, because their own
    dependencies are not needed.
    """
    unseen[:] = 0
    for lane in range(len(sources)):
        unseen |= one_lane[lane]
    end = 0
    for lane in range(len(sources)):
        s = sources[lane]
        current[s * len(one_lane) + lane] = 1
        counts[s * len(one_lane) + lane] = 1
        unseen[s] ^= one_lane[lane]
        noted = False
        for i in range(end):
            noted = noted or vertices[i] == s
        if not noted:
            vertices[end], masks[end] = s, 0
            end += 1
    return end


@kernel
def _forward(
    indptr: I64,
    indices: I32,
    back_indptr: I64,
    back_indices: I32,
    sources: I64,
    most: Any,
    one_lane: Any,
    current: Any,
    target: Any,
    counts: Any,
) -> tuple[bool, I32, Any, I64, int]:
    """Run all steps. Returns whether the counts fit, the notes, where each step's notes begin, and how many
    steps there were; `current` and `target` were swapped after each but the first.
    """
    n = len(indptr) - 1
    unseen, touched = np.empty(n, dtype=one_lane.dtype), np.zeros(n, dtype=np.bool_)
    waiting, left = np.arange(n).astype(np.int32), n
    vertices, masks = (
        np.empty(4 * n + len(sources), dtype=np.int32),
        np.empty(4 * n + len(sources), dtype=one_lane.dtype),
    )
    begins, step, fits = np.zeros(16, dtype=np.int64), 1, True
    first, last = 0, _start(sources, one_lane, unseen, current, counts, vertices, masks)
    begins[1] = last
    while fits and last > first:
        vertices, masks = _grow_notes(vertices, masks, last, n)
        pushing = _PUSH_COST * _count_arcs(indptr, vertices, first, last)
        pull = False
        if pushing > n:
            left, pulling = _drop_seen(back_indptr, unseen, waiting, left)
            pull = pulling < pushing
        if pull:
            end, left, fits = _pull_forward(
                back_indptr,
                back_indices,
                unseen,
                waiting[:left],
                most,
                current,
                target,
                counts,
                vertices,
                masks,
                last,
            )
        else:
            end, fits = _push_forward(
                indptr, indices, unseen, most, current, target, counts, touched, vertices, masks, first, last
            )
        _clear(current, vertices, masks, first, last)
        current, target = target, current
        step += 1
        if step == len(begins):
            longer = np.zeros(2 * len(begins), dtype=np.int64)
            longer[:step] = begins
            begins = longer
        begins[step] = end
        first, last = last, end
    return fits, vertices, masks, begins, step


@kernel
def add_up(
    indptr: I64,
    indices: I32,
    back_indptr: I64,
    back_indices: I32,
    sources: I64,
    weight: Any,
    times: Any,
    most: Any,
    one_lane: Any,
    current: Any,
    target: Any,
    counts: Any,
    total: F64,
    squares: F64,
) -> bool:
    """Add the dependencies of at least one source and at most one per lane.

    Returns False, and adds nothing, if a path count passed `most`. `weight` is per target, `times` per lane,
    `one_lane` the masks of the single lanes. `current` and `target` are 0 throughout before and after; the
    contents of `counts` do not matter.
    """
    fits, vertices, masks, begins, steps = _forward(
        indptr, indices, back_indptr, back_indices, sources, most, one_lane, current, target, counts
    )
    if steps % 2 == 0:
        current, target = target, current
    if fits:
        wanted = np.zeros(len(indptr) - 1, dtype=np.bool_)
        # The last step found nothing new, and the first one's vertices are sources.
        for step in range(steps - 1, 1, -1):
            before, first, last = begins[step - 1], begins[step], begins[step + 1]
            _backward(
                indptr,
                indices,
                back_indptr,
                back_indices,
                weight,
                times,
                current,
                target,
                counts,
                wanted,
                vertices,
                masks,
                before,
                first,
                last,
                total,
                squares,
            )
            _clear(current, vertices, masks, first, last)
            current, target = target, current
        steps = 2
    _clear(current, vertices, masks, begins[steps - 1], begins[steps])
    return fits
