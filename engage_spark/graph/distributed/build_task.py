"""The arrays of a graph from numbered edges in files: what the one building task does, in numpy and numba."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from engage_spark.graph.kernels import csr as arrays
from engage_spark.graph.kernels.csr import Csr, build_csr
from engage_spark.graph.kernels.diameter import vertex_diameter_bound
from engage_spark.graph.kernels.reduction import shrink
from engage_spark.numerics.dtypes import I32, I64
from engage_spark.numerics.jit import kernel


class Built(NamedTuple):
    """What is known of a graph once it is built."""

    n: int
    m: int
    arcs: int
    bytes: int
    active: int
    """Vertices whose betweenness is not known to be 0 from their neighbourhood."""
    core: int
    """Vertices that are left when trees are folded: what the exact computation runs over."""
    core_arcs: int
    interior: int
    """A bound on the inner vertices of a shortest path."""


BUILT_SCHEMA = ", ".join(f"{name} bigint" for name in Built._fields)


def assemble(
    pieces: Path, names: list[str], n: int, directory: Path, *, weighted: bool, directed: bool
) -> Built:
    """Build the graph of all `names` among `pieces`, renumber it by (degree descending, rank) and write it:
    `csr/`, `position.npy` (by rank a vertex's number), and what `shrink` found.

    The result does not depend on how the edges were spread over the pieces. InputError where the directory
    cannot be written.
    """
    u, v = (_read(pieces, names, ending, np.int32) for ending in ("u", "v"))
    lengths = _read(pieces, names, "length", np.int64) if weighted else None
    ranked = build_csr(u, v, n, weight=lengths, directed=directed)
    del u, v, lengths
    degree = np.diff(ranked.indptr)
    if directed:
        degree = degree + np.diff(ranked.into[0])
    order = np.argsort(-degree, kind="stable").astype(np.int32)
    position = np.empty(n, dtype=np.int32)
    position[order] = np.arange(n, dtype=np.int32)
    graph = renumbered(ranked, order, position)
    del ranked
    directory.mkdir(parents=True, exist_ok=True)
    np.save(directory / "position.npy", position)
    arrays.save(graph, directory / "csr")
    shrunk = shrink(graph)
    np.save(directory / "zero.npy", shrunk.zero)
    if shrunk.core is not graph:
        arrays.save(shrunk.core, directory / "core")
        for name in ("vertex_weight", "original", "core_of", "contributions"):
            np.save(directory / f"{name}.npy", getattr(shrunk, name))
    return Built(
        n=n,
        m=graph.arcs if directed else graph.arcs // 2,
        arcs=graph.arcs,
        bytes=graph.bytes,
        active=int(n - np.count_nonzero(shrunk.zero)),
        core=shrunk.core.n,
        core_arcs=shrunk.core.arcs,
        interior=max(0, vertex_diameter_bound(graph) - 2),
    )


@dataclass(frozen=True, eq=False)
class Core:
    """What dependencies are computed on: the graph without its trees, or the graph itself (then the arrays
    are None).
    """

    csr: Csr
    vertex_weight: I64 | None
    original: I64 | None
    core_of: I64 | None
    contributions: I64 | None


def load_core(directory: Path) -> Core:
    """The core below a directory that `assemble` wrote, memory-mapped."""
    if not (directory / "core").is_dir():
        return Core(arrays.load(directory / "csr"), None, None, None, None)
    vectors = [
        np.load(directory / f"{name}.npy", mmap_mode="r")
        for name in ("vertex_weight", "original", "core_of", "contributions")
    ]
    return Core(arrays.load(directory / "core"), *vectors)


def _read(pieces: Path, names: list[str], ending: str, kind: Any) -> Any:
    """All pieces in one array, read one after the other, so that no more than the array is held."""
    sizes = [(pieces / f"{name}.{ending}").stat().st_size // np.dtype(kind).itemsize for name in names]
    whole, at = np.empty(sum(sizes), dtype=kind), 0
    for name, size in zip(names, sizes, strict=True):
        if size:
            whole[at : at + size] = np.memmap(pieces / f"{name}.{ending}", dtype=kind, mode="r")
        at += size
    return whole


def renumbered(csr: Csr, order: I32, position: I32) -> Csr:
    """The same graph with vertex `order[i]` called i. Rows come out ascending, because they are filled in the
    order of their entries.
    """
    none = np.zeros(0, dtype=np.int64)
    into = csr.into
    weights = into[2] if into[2] is not None else none
    out = _turned(into[0], into[1], weights, order, position, np.diff(csr.indptr))
    kept = out[2] if csr.weights is not None else None
    if not csr.directed:
        return Csr(out[0], out[1], kept)
    back = _turned(
        csr.indptr,
        csr.indices,
        csr.weights if csr.weights is not None else none,
        order,
        position,
        np.diff(into[0]),
    )
    return Csr(out[0], out[1], kept, back[0], back[1], back[2] if csr.weights is not None else None)


@kernel
def _turned(
    starts: I64, entries: I32, weights: I64, order: I32, position: I32, degree: I64
) -> tuple[I64, I32, I64]:
    """Transpose and renumber: entry x of row w becomes entry position[w] of row position[x]."""
    n = len(order)
    indptr = np.zeros(n + 1, dtype=np.int64)
    for v in range(n):
        indptr[v + 1] = indptr[v] + degree[order[v]]
    at = indptr[:-1].copy()
    indices, lengths = np.empty(len(entries), dtype=np.int32), np.empty(len(weights), dtype=np.int64)
    for v in range(n):
        w = order[v]
        for e in range(starts[w], starts[w + 1]):
            row = position[entries[e]]
            indices[at[row]] = v
            if len(weights):
                lengths[at[row]] = weights[e]
            at[row] += 1
    return indptr, indices, lengths
