"""Remove from a graph what does not change any betweenness: hanging trees, and vertices without arcs.

In an undirected graph a vertex of degree 1 sees everything through its one neighbour. It is merged into that
neighbour, again and again, until what is left (the 2-core of every component that has one) has no such
vertex; a core vertex then stands for all that were merged into it. The pairs that pass a vertex because of
its trees are counted exactly, as integers.

Source: Baglioni et al. 2012, "Fast exact computation of betweenness centrality in social networks"; Sarıyüce
et al. 2013, "Shattering and compressing networks for betweenness centrality".
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engage_spark.graph.kernels.csr import Csr
from engage_spark.numerics.dtypes import F64, I32, I64
from engage_spark.numerics.jit import kernel


@dataclass(frozen=True, eq=False)
class ReducedGraph:
    """A core, and how its values become those of the given graph.

    For every vertex v, with pairs ordered: betweenness(v) = `contributions[v]` + core(v), where core(v) is
    the sum over core sources s of `vertex_weight[s]` times delta_s(v), with targets weighted by
    `vertex_weight` too: what `dependencies(core, all, vertex_weight=...)` returns; 0 outside the core. A
    sample of sources of the given graph is `core_of[sample]` with source weights of 1: the rest is exact
    already.
    """

    core: Csr
    """The core's vertices 0..core.n-1, in the order of their ids in the given graph."""
    vertex_weight: I64
    """Per core vertex: how many vertices it stands for, itself among them."""
    original: I64
    """Per core vertex: its id in the given graph."""
    core_of: I64
    """Per vertex: the core vertex that stands for it; -1 where its component has no core."""
    contributions: I64
    """Per vertex: ordered pairs (s, t) that pass it because s or t hangs on it."""
    zero: NDArray[np.bool_]
    """Per vertex: True where betweenness is known to be 0: no two arcs through it, or a neighbourhood that is
    a clique.
    """
    component: I32
    """Per vertex: number of its (weakly) connected component, counted from 0 in the order of their smallest
    ids.
    """
    component_size: I64
    """Per component: its vertices."""

    def expand(self, core_values: F64) -> F64:
        """Return the betweenness of the given graph over ordered pairs from the core's."""
        values = self.contributions.astype(np.float64)
        values[self.original] += core_values
        return values


def reduce_graph(csr: Csr) -> ReducedGraph:
    """Find the components, merge trees into the core, and find the vertices whose betweenness is 0.

    Directed graphs lose only vertices without arcs. Any lengths are kept.
    Cost: a few passes over the arcs; a copy of the core's arcs unless nothing was removed.
    """
    component, sizes = _components(csr.indptr, csr.indices, *csr.into[:2])
    if csr.directed:
        weight, parent, squares = (
            np.ones(csr.n, dtype=np.int64),
            np.full(csr.n, -1, dtype=np.int64),
            np.zeros(csr.n, dtype=np.int64),
        )
        inside = (csr.degrees > 0) | (np.diff(csr.into[0]) > 0)
        zero = (csr.degrees == 0) | (np.diff(csr.into[0]) == 0)
    else:
        weight, parent, squares = _remove_trees(csr.indptr, csr.indices)
        inside = (parent < 0) & (weight < sizes[component])
        zero = csr.degrees <= 1 if csr.weights is not None else _find_simplicial(csr.indptr, csr.indices)
    below = weight - 1
    contributions = below * below - squares + 2 * below * (sizes[component] - weight)
    original = np.flatnonzero(inside).astype(np.int64)
    core_id = np.full(csr.n, -1, dtype=np.int64)
    core_id[original] = np.arange(len(original))
    core = csr if len(original) == csr.n else _induced(csr, core_id, len(original))
    return ReducedGraph(
        core, weight[original], original, core_id[_roots(parent)], contributions, zero, component, sizes
    )


def _induced(csr: Csr, core_id: I64, n: int) -> Csr:
    indptr, indices, lengths = _induced_rows(*csr.out, core_id, n)
    weighted = csr.weights is not None
    if not csr.directed:
        return Csr(indptr, indices, lengths if weighted else None)
    back_indptr, back_indices, back_lengths = _induced_rows(*csr.into, core_id, n)
    return Csr(
        indptr,
        indices,
        lengths if weighted else None,
        back_indptr,
        back_indices,
        back_lengths if weighted else None,
    )


@kernel
def _components(indptr: I64, indices: I32, back_indptr: I64, back_indices: I32) -> tuple[I32, I64]:
    n = len(indptr) - 1
    component = np.full(n, -1, dtype=np.int32)
    queue = np.empty(n, dtype=np.int32)
    sizes = np.zeros(n, dtype=np.int64)
    count = 0
    for root in range(n):
        if component[root] >= 0:
            continue
        component[root], queue[0] = count, root
        head, tail = 0, 1
        while head < tail:
            v = queue[head]
            head += 1
            for e in range(indptr[v], indptr[v + 1]):
                if component[indices[e]] < 0:
                    component[indices[e]] = count
                    queue[tail] = indices[e]
                    tail += 1
            for e in range(back_indptr[v], back_indptr[v + 1]):
                if component[back_indices[e]] < 0:
                    component[back_indices[e]] = count
                    queue[tail] = back_indices[e]
                    tail += 1
        sizes[count] = tail
        count += 1
    return component, sizes[:count].copy()


@kernel
def _remove_trees(indptr: I64, indices: I32) -> tuple[I64, I64, I64]:
    """Per vertex: how many it stands for, the vertex it was merged into (-1: none), the sum of the squared
    sizes of its branches.
    """
    n = len(indptr) - 1
    weight, parent, squares = (
        np.ones(n, dtype=np.int64),
        np.full(n, -1, dtype=np.int64),
        np.zeros(n, dtype=np.int64),
    )
    left = indptr[1:] - indptr[:-1]
    queue = np.empty(n, dtype=np.int32)
    head, tail = 0, 0
    for v in range(n):
        if left[v] == 1:
            queue[tail] = v
            tail += 1
    while head < tail:
        v = queue[head]
        head += 1
        if left[v] != 1:
            continue  # the other end of the tree's last edge was merged into it
        for e in range(indptr[v], indptr[v + 1]):
            p = indices[e]
            if parent[p] < 0:
                parent[v] = p
                weight[p] += weight[v]
                squares[p] += weight[v] * weight[v]
                left[v] = 0
                left[p] -= 1
                if left[p] == 1:
                    queue[tail] = p
                    tail += 1
                break
    return weight, parent, squares


@kernel
def _roots(parent: I64) -> I64:
    """For each vertex the end of its chain of parents; chains are followed once."""
    n = len(parent)
    root = np.full(n, -1, dtype=np.int64)
    for v in range(n):
        end = v
        while parent[end] >= 0 and root[end] < 0:
            end = parent[end]
        if root[end] >= 0:
            end = root[end]
        at = v
        while root[at] < 0:
            root[at] = end
            if parent[at] < 0:
                break
            at = parent[at]
    return root


@kernel
def _find_simplicial(indptr: I64, indices: I32) -> NDArray[np.bool_]:
    """Vertices whose neighbours all know each other. Most are ruled out by degrees alone: a neighbour must
    have at least as many.
    """
    n = len(indptr) - 1
    simplicial = np.zeros(n, dtype=np.bool_)
    for v in range(n):
        first, last = indptr[v], indptr[v + 1]
        clique = True
        for e in range(first, last):
            u = indices[e]
            if indptr[u + 1] - indptr[u] < last - first:
                clique = False
                break
        if not clique:
            continue
        for e in range(first, last):
            u = indices[e]
            at, end = indptr[u], indptr[u + 1]
            for f in range(first, last):
                w = indices[f]
                if w == u:
                    continue
                while at < end and indices[at] < w:
                    at += 1
                if at == end or indices[at] != w:
                    clique = False
                    break
            if not clique:
                break
        simplicial[v] = clique
    return simplicial


@kernel
def _induced_rows(indptr: I64, indices: I32, weights: I64, new_id: I64, n: int) -> tuple[I64, I32, I64]:
    """Select the rows and columns with a new id of at least 0; new ids ascend with the old ones."""
    starts = np.zeros(n + 1, dtype=np.int64)
    for v in range(len(new_id)):
        if new_id[v] < 0:
            continue
        for e in range(indptr[v], indptr[v + 1]):
            if new_id[indices[e]] >= 0:
                starts[new_id[v] + 1] += 1
    for v in range(n):
        starts[v + 1] += starts[v]
    columns = np.empty(starts[n], dtype=np.int32)
    lengths = np.empty(starts[n] if len(weights) else 0, dtype=np.int64)
    at = 0
    for v in range(len(new_id)):
        if new_id[v] < 0:
            continue
        for e in range(indptr[v], indptr[v + 1]):
            if new_id[indices[e]] >= 0:
                columns[at] = new_id[indices[e]]
                if len(weights):
                    lengths[at] = weights[e]
                at += 1
    return starts, columns, lengths
