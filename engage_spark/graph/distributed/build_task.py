"""Build the arrays of a graph from files of numbered edges: the work of the one building task.

Numpy and numba only; nothing here knows Spark.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from engage_spark.graph.kernels.csr import (
    MAX_THREADS,
    Csr,
    Piece,
    build_from_pieces,
    load_csr,
    run_in_threads,
    save_csr,
)
from engage_spark.graph.kernels.diameter import vertex_diameter_bound
from engage_spark.graph.kernels.reduction import ReducedGraph, reduce_graph
from engage_spark.numerics.dtypes import I64


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
    pieces: Path, names: list[str], n: int, directory: Path, *, weighted: bool, directed: bool, threads: int
) -> GraphSummary:
    """Build the graph of all `names` among `pieces`, numbered by (degree descending, rank), and write it.

    Writes `csr/`, `position.npy` (a vertex's number by rank), and the results of `reduce_graph`. The graph
    depends neither on how the edges were spread over the pieces nor on the number of threads.
    Cost: see `build_from_pieces`; the pieces are mapped into memory, never copied. Then some passes over the
    arcs, trees and diameter at the same time where there are two threads.
    Errors: InputError where the directory cannot be written.
    """
    threads = max(1, min(threads, MAX_THREADS))
    graph, position = build_from_pieces(
        [_map_piece(pieces / name, weighted=weighted) for name in names],
        n,
        weighted=weighted,
        directed=directed,
        by_degree=True,
        threads=threads,
    )
    directory.mkdir(parents=True, exist_ok=True)

    def write() -> None:
        np.save(directory / "position.npy", position)
        save_csr(graph, directory / "csr")

    reduced: ReducedGraph
    reduced, diameter, _ = run_in_threads(
        [partial(reduce_graph, graph), partial(vertex_diameter_bound, graph), write], threads
    )
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
        interior=max(0, diameter - 2),
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


def _map_piece(path: Path, *, weighted: bool) -> Piece:
    """Map the files of one piece into memory."""

    def read(ending: str, kind: Any) -> Any:
        file = path.with_name(f"{path.name}.{ending}")
        return np.memmap(file, dtype=kind, mode="r") if file.stat().st_size else np.zeros(0, dtype=kind)

    length = read("length", np.int64) if weighted else np.zeros(0, dtype=np.int64)
    return Piece(read("u", np.int32), read("v", np.int32), length)
