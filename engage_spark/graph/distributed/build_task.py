"""Build the arrays of a graph from files of numbered edges: the work of the one building task.

Numpy and numba only; nothing here knows Spark.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from engage_spark.graph.kernels.csr import Csr, build_csr, load_csr, save_csr
from engage_spark.graph.kernels.diameter import vertex_diameter_bound
from engage_spark.graph.kernels.reduction import reduce_graph
from engage_spark.numerics.dtypes import I32, I64
from engage_spark.numerics.jit import kernel


class GraphSummary(NamedTuple):
    """Counts of a built graph."""

    n: int
    m: int
    arcs: int
    bytes: int
    active: int
    """Vertices whose betweenness is not known to be 0 from their neighbourhood."""
    core: int
    """Vertices that are left when trees are removed: what the exact computation runs over."""
    core_arcs: int
    interior: int
    """A bound on the inner vertices of a shortest path."""


SUMMARY_SCHEMA = ", ".join(f"{name} bigint" for name in GraphSummary._fields)


def build_graph(
    pieces: Path, names: list[str], n: int, directory: Path, *, weighted: bool, directed: bool
) -> GraphSummary:
    """Build the graph of all `names` among `pieces`, numbered by (degree descending, rank), and write it.

    Writes `csr/`, `position.npy` (a vertex's number by rank), and the results of `reduce_graph`. The graph
    does not depend on how the edges were spread over the pieces.
    Errors: InputError where the directory cannot be written.
    """
    u, v = (_read_pieces(pieces, names, ending, np.int32) for ending in ("u", "v"))
    lengths = _read_pieces(pieces, names, "length", np.int64) if weighted else None
    ranked = build_csr(u, v, n, weight=lengths, directed=directed)
    del u, v, lengths
    degree = np.diff(ranked.indptr)
    if directed:
        degree = degree + np.diff(ranked.into[0])
    order = np.argsort(-degree, kind="stable").astype(np.int32)
    position = np.empty(n, dtype=np.int32)
    position[order] = np.arange(n, dtype=np.int32)
    graph = renumber(ranked, order, position)
    del ranked
    directory.mkdir(parents=True, exist_ok=True)
    np.save(directory / "position.npy", position)
    save_csr(graph, directory / "csr")
    reduced = reduce_graph(graph)
    np.save(directory / "zero.npy", reduced.zero)
    if reduced.core is not graph:
        save_csr(reduced.core, directory / "core")
        for name in ("vertex_weight", "original", "core_of", "contributions"):
            np.save(directory / f"{name}.npy", getattr(reduced, name))
    return GraphSummary(
        n=n,
        m=graph.arcs if directed else graph.arcs // 2,
        arcs=graph.arcs,
        bytes=graph.bytes,
        active=int(n - np.count_nonzero(reduced.zero)),
        core=reduced.core.n,
        core_arcs=reduced.core.arcs,
        interior=max(0, vertex_diameter_bound(graph) - 2),
    )


@dataclass(frozen=True, eq=False)
class Core:
    """The graph that dependencies are computed on: without its trees, or the graph itself (then the arrays
    are None).
    """

    csr: Csr
    vertex_weight: I64 | None
    original: I64 | None
    core_of: I64 | None
    contributions: I64 | None


def load_core(directory: Path) -> Core:
    """Map the core below a directory that `build_graph` wrote into memory."""
    if not (directory / "core").is_dir():
        return Core(load_csr(directory / "csr"), None, None, None, None)
    vectors = [
        np.load(directory / f"{name}.npy", mmap_mode="r")
        for name in ("vertex_weight", "original", "core_of", "contributions")
    ]
    return Core(load_csr(directory / "core"), *vectors)


def _read_pieces(pieces: Path, names: list[str], ending: str, kind: Any) -> Any:
    """All pieces in one array, read one after the other, so that no more than the array is held."""
    sizes = [(pieces / f"{name}.{ending}").stat().st_size // np.dtype(kind).itemsize for name in names]
    array, start = np.empty(sum(sizes), dtype=kind), 0
    for name, size in zip(names, sizes, strict=True):
        if size:
            array[start : start + size] = np.memmap(pieces / f"{name}.{ending}", dtype=kind, mode="r")
        start += size
    return array


def renumber(csr: Csr, order: I32, position: I32) -> Csr:
    """Call vertex `order[i]` i; `position` is the inverse of `order`.

    Rows come out ascending, because they are filled in the order of their entries.
    """
    out = _transpose(*csr.into, order, position, np.diff(csr.indptr))
    lengths = out[2] if csr.weights is not None else None
    if not csr.directed:
        return Csr(out[0], out[1], lengths)
    back = _transpose(*csr.out, order, position, np.diff(csr.into[0]))
    return Csr(out[0], out[1], lengths, back[0], back[1], back[2] if csr.weights is not None else None)


@kernel
def _transpose(
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
