"""Sample shortest paths: for each sample one uniform pair of different vertices and one uniform shortest path
between them.

The share of samples with v inside their path estimates betweenness(v) / (n (n - 1)) over ordered pairs
(Riondato, Kornaropoulos 2016). Every sample adds 0 or 1 per vertex, so sums are integers and do not depend on
their order. A pair is searched from both ends, always from the end whose next level has fewer arcs (Borassi,
Natale 2016, KADABRA). The two searches meet along arcs from one's last level to the other's; one of these is
drawn in proportion to the number of shortest paths through it, and from its ends the path is drawn back,
every predecessor in proportion to the paths that reach it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from engage_spark.errors import InputError
from engage_spark.graph.kernels.bidirectional_sampler import draw_from_both_ends
from engage_spark.graph.kernels.csr import Csr
from engage_spark.graph.kernels.unidirectional_sampler import draw_from_one_end
from engage_spark.numerics import random_draws
from engage_spark.numerics.dtypes import I32, I64
from engage_spark.numerics.jit import kernel


@dataclass(frozen=True, eq=False)
class PathSample:
    """Hits of a range of samples; the sums (and the maximum) of two ranges are those of their union."""

    hits: I64
    """Per vertex: samples with it strictly inside their path."""
    interior: int
    """Vertices strictly inside, summed over the samples: hits.sum()."""
    unreachable: int
    """Samples whose pair has no path; they hit nothing."""
    longest: int
    """Vertices strictly inside the longest path drawn."""


def sample_paths(csr: Csr, *, seed: int, start: int, count: int) -> PathSample:
    """Take samples start..start+count-1 of the sequence of `seed`.

    A sample is a function of (seed, sample number), so ranges may be split at will. Directed graphs are
    searched forwards from s and backwards from t. With lengths, Dijkstra's algorithm runs from s until t is
    settled. Path counts may be of any size: samples that see more than 1e150 paths (long grids) are drawn
    with counts of mantissa and exponent.
    Errors: InputError for a graph of fewer than two vertices and for a negative range.
    """
    if csr.n < 2:
        raise InputError(
            f"a graph of {csr.n} vertices has no pair to sample",
            hint="betweenness is 0 throughout; do not sample",
        )
    if start < 0 or count < 0:
        raise InputError(
            f"samples {start}..{start + count - 1} are not a range", hint="start and count must be at least 0"
        )
    hits = np.zeros(csr.n, dtype=np.int64)
    key = np.uint64(seed & 0xFFFFFFFFFFFFFFFF)
    unreachable, longest = _draw_samples(*csr.out, *csr.into, key, start, count, hits)
    return PathSample(hits, int(hits.sum()), int(unreachable), int(longest))


@kernel
def _draw_pair(state: np.uint64, n: int) -> tuple[int, int]:
    s = random_draws.below(random_draws.draw(state, np.uint64(1)), np.uint64(n))
    t = random_draws.below(random_draws.draw(state, np.uint64(2)), np.uint64(n - 1))
    return s, t + 1 if t >= s else t


@kernel
def _draw_samples(
    indptr: I64,
    indices: I32,
    lengths: I64,
    back_indptr: I64,
    back_indices: I32,
    back_lengths: I64,
    seed: np.uint64,
    start: int,
    count: int,
    hits: I64,
) -> tuple[int, int]:
    """How many pairs were unreachable, and the most vertices inside a path."""
    n = len(indptr) - 1
    weighted = len(lengths) > 0
    mark, paths, passed = np.zeros(n, dtype=np.int32), np.empty(n), np.empty(n)
    ahead, behind = np.empty(n, dtype=np.int32), np.empty(n, dtype=np.int32)
    ahead_bits, behind_bits = np.zeros((n >> 3) + 1, dtype=np.uint8), np.zeros((n >> 3) + 1, dtype=np.uint8)
    heap, position = (
        np.empty(n if weighted else 0, dtype=np.int32),
        np.empty(n if weighted else 0, dtype=np.int32),
    )
    distance, scale = np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64)
    unreachable, longest = 0, 0
    for sample in range(start, start + count):
        state = random_draws.stream(seed, np.uint64(sample))
        s, t = _draw_pair(state, n)
        inside = -2
        if not weighted:
            inside = draw_from_both_ends(
                indptr,
                indices,
                back_indptr,
                back_indices,
                s,
                t,
                state,
                mark,
                paths,
                ahead,
                behind,
                ahead_bits,
                behind_bits,
                passed,
                hits,
            )
        if inside == -2:
            if len(distance) == 0:
                distance, scale = np.full(n, -1, dtype=np.int64), np.empty(n, dtype=np.int64)
            inside = draw_from_one_end(
                indptr,
                indices,
                lengths,
                back_indptr,
                back_indices,
                back_lengths,
                s,
                t,
                state,
                distance,
                ahead,
                heap,
                position,
                paths,
                scale,
                hits,
            )
        if inside < 0:
            unreachable += 1
        longest = max(longest, inside)
    return unreachable, longest
