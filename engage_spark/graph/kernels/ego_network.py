"""Measure the ego networks of vertices exactly: triangles and ego-betweenness.

Each vertex is measured by itself, so tasks may divide the vertices. The ego network of v is v, its
neighbours, and the edges among them. Its edges among neighbours are v's triangles. Two neighbours that are
not connected are 2 apart, and c + 1 shortest paths join them when c other neighbours are connected to both; v
is on one of these. So the ego-betweenness of v is the sum of 1 / (c + 1) over the unconnected pairs of
neighbours.

Cost: per vertex of degree d the sum of its neighbours' degrees to find the ego network, then the cheaper of
d^2/2 x d/64 machine words (bit rows, up to degree 8,192) and the sum of squared degrees within the ego
network (counting: for hubs and sparse ego networks; memory 8 bytes per edge of the ego network). Both give
the same integers: how many pairs have which c.
Source: Freeman 1982; Everett, Borgatti 2005.
"""

from __future__ import annotations

import numpy as np

from engage_spark.graph.kernels.csr import Csr
from engage_spark.numerics.dtypes import F64, I32, I64
from engage_spark.numerics.jit import kernel

MAX_BIT_ROW_DEGREE = 8192
"""Degree up to which an ego network may be held as bit rows: 8 MB."""
_WORDS_PER_STEP = 8
"""Words of bit rows that take as long as one step of counting, measured."""


def measure_ego_networks(csr: Csr, vertices: I64) -> tuple[I64, F64]:
    """Count triangles, and compute ego-betweenness over unordered pairs (not normalised), of `vertices`.

    The graph is undirected. The same bits whichever vertices are measured together.
    Cost: working memory of 4 bytes per vertex of the graph, and the largest ego network.
    """
    return _measure_ego_networks(
        csr.indptr, csr.indices, np.asarray(vertices, dtype=np.int64), MAX_BIT_ROW_DEGREE
    )


def clustering(triangles: I64, degree: I64 | I32) -> F64:
    """Return triangles as a share of the pairs of neighbours; 0 for a degree below 2."""
    return _share_of_pairs(triangles.astype(np.float64), degree)


def normalised(ego_betweenness: F64, degree: I64 | I32) -> F64:
    """Return ego-betweenness as a share of the pairs of neighbours, from 0 to 1; 0 for a degree below 2."""
    return _share_of_pairs(ego_betweenness, degree)


def _share_of_pairs(values: F64, degree: I64 | I32) -> F64:
    d = degree.astype(np.float64)
    return np.divide(values, d * (d - 1) / 2, out=np.zeros(len(values)), where=d > 1)


@kernel
def _measure_ego_networks(indptr: I64, indices: I32, vertices: I64, widest: int) -> tuple[I64, F64]:
    n = len(indptr) - 1
    position = np.full(n, -1, dtype=np.int32)
    triangles = np.zeros(len(vertices), dtype=np.int64)
    ego = np.zeros(len(vertices))
    inner = np.empty(1 << 16, dtype=np.int32)
    for i in range(len(vertices)):
        v = vertices[i]
        begin, d = indptr[v], indptr[v + 1] - indptr[v]
        if d < 2:
            continue
        for j in range(d):
            position[indices[begin + j]] = j
        # The ego network as a CSR of its own: vertices 0 to d - 1 in the order of the neighbours, so that its
        # rows are sorted.
        rows = np.zeros(d + 1, dtype=np.int64)
        filled = 0
        squares = 0
        for j in range(d):
            x = indices[begin + j]
            wanted = filled + indptr[x + 1] - indptr[x] + 1
            if wanted > len(inner):
                larger = np.empty(2 * wanted, dtype=np.int32)
                larger[:filled] = inner[:filled]
                inner = larger
            # Unsigned indices have no code for negative ones, and every entry is written: a branch would be
            # guessed wrongly too often.
            at = np.uint64(filled)
            for e in range(np.uint64(indptr[x]), np.uint64(indptr[x + 1])):
                k = position[np.uint64(indices[e])]
                inner[at] = k
                at += np.uint64(k >= 0)
            rows[j + 1] = at
            filled = rows[j + 1]
            squares += (filled - rows[j]) ** 2
        for j in range(d):
            position[indices[begin + j]] = -1
        triangles[i] = filled // 2
        words = (d + 63) // 64
        if d <= widest and d * d // 2 * words < _WORDS_PER_STEP * squares:
            pairs = _pairs_by_bits(rows, inner, d, words)
        else:
            pairs = _pairs_by_counting(rows, inner, d)
        total = 0.0
        for c in range(len(pairs)):
            total += pairs[c] / (c + 1)
        ego[i] = total
    return triangles, ego


@kernel
def _pairs_by_bits(rows: I64, inner: I32, d: int, words: int) -> I64:
    """How many unconnected pairs of the ego network have c others connected to both, by c."""
    one, low = np.uint64(1), np.uint64(63)
    bits = np.zeros((words, d), dtype=np.uint64)
    most = 0
    for j in range(d):
        most = max(most, rows[j + 1] - rows[j])
        for e in range(rows[j], rows[j + 1]):
            k = inner[e]
            bits[k >> 6, j] |= one << np.uint64(k & 63)
    pairs = np.zeros(most + 1, dtype=np.int64)
    shared = np.empty(d, dtype=np.uint64)
    for j in range(np.uint64(1), np.uint64(d)):
        shared[:j] = 0
        for w in range(np.uint64(words)):
            x = bits[w, j]
            if x != 0:
                column = bits[w]
                for k in range(np.uint64(j)):
                    shared[k] += _ones(x & column[k])
        for k in range(np.uint64(j)):
            linked = (bits[k >> np.uint64(6), j] >> (k & low)) & one
            pairs[shared[k]] += np.int64(one - linked)
    return pairs


@kernel
def _ones(x: np.uint64) -> np.uint64:
    """How many bits are set; LLVM makes one instruction of it."""
    x = x - ((x >> np.uint64(1)) & np.uint64(0x5555555555555555))
    x = (x & np.uint64(0x3333333333333333)) + ((x >> np.uint64(2)) & np.uint64(0x3333333333333333))
    x = (x + (x >> np.uint64(4))) & np.uint64(0x0F0F0F0F0F0F0F0F)
    return (x * np.uint64(0x0101010101010101)) >> np.uint64(56)


@kernel
def _pairs_by_counting(rows: I64, inner: I32, d: int) -> I64:
    """Count the same by the walks of two steps from each vertex; pairs without such a walk remain."""
    count = np.zeros(d, dtype=np.int32)
    reached = np.empty(d + 1, dtype=np.int32)
    most = 0
    for j in range(d):
        most = max(most, rows[j + 1] - rows[j])
    pairs = np.zeros(most + 1, dtype=np.int64)
    linked = 0
    for j in range(d):
        n_reached = np.uint64(0)
        for e in range(np.uint64(rows[j]), np.uint64(rows[j + 1])):
            x = np.uint64(inner[e])
            for f in range(np.uint64(rows[x]), np.uint64(rows[x + np.uint64(1)])):
                k = np.uint64(inner[f])
                if k >= np.uint64(j):
                    break
                before = count[k]
                reached[n_reached] = k
                n_reached += np.uint64(before == 0)
                count[k] = before + 1
        for e in range(rows[j], rows[j + 1]):
            if inner[e] >= j:
                break
            count[inner[e]] *= -1
        for r in range(n_reached):
            k = np.uint64(reached[r])
            if count[k] > 0:
                pairs[np.uint64(count[k])] += 1
                linked += 1
            count[k] = 0
    pairs[0] = d * (d - 1) // 2 - rows[d] // 2 - linked
    return pairs
