"""Graphs for the tests, and what NetworkX and NetworKit say about them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import networkit as nk
import networkx as nx
import numpy as np
import pyarrow.parquet as pq
from hypothesis import strategies as st

from engage_spark.graph.kernels.csr import Csr, build_csr


@dataclass(frozen=True)
class Edges:
    """An edge list as it might arrive: loops, parallel edges and isolated vertices included."""

    n: int
    src: tuple[int, ...]
    dst: tuple[int, ...]
    weight: tuple[int, ...] | None = None
    directed: bool = False

    def csr(self) -> Csr:
        weight = None if self.weight is None else np.array(self.weight, dtype=np.int64)
        return build_csr(
            np.array(self.src, dtype=np.int64),
            np.array(self.dst, dtype=np.int64),
            self.n,
            weight=weight,
            directed=self.directed,
        )

    def networkx(self) -> Any:
        graph: Any = nx.DiGraph() if self.directed else nx.Graph()
        graph.add_nodes_from(range(self.n))
        for i, (u, v) in enumerate(zip(self.src, self.dst, strict=True)):
            length = 1 if self.weight is None else self.weight[i]
            if u != v and not (graph.has_edge(u, v) and graph[u][v]["length"] <= length):
                graph.add_edge(u, v, length=length)
        return graph

    def betweenness(self) -> np.ndarray:
        """Over ordered pairs, by NetworkX."""
        values = nx.betweenness_centrality(
            self.networkx(), normalized=False, weight=None if self.weight is None else "length"
        )
        return np.array([values[v] for v in range(self.n)]) * (1 if self.directed else 2)

    def networkit_betweenness(self) -> np.ndarray:
        """Over ordered pairs, by NetworKit."""
        graph = nk.Graph(self.n, weighted=self.weight is not None, directed=self.directed)
        for u, v, length in self.networkx().edges(data="length"):
            graph.addEdge(u, v, length)
        return np.array(nk.centrality.Betweenness(graph).run().scores())


def of(graph: Any) -> Edges:
    """An undirected graph of NetworkX, its vertices numbered in their order."""
    number = {v: i for i, v in enumerate(graph)}
    pairs = [(number[u], number[v]) for u, v in graph.edges]
    return Edges(len(number), tuple(u for u, _ in pairs), tuple(v for _, v in pairs))


@st.composite
def edge_lists(draw: Any, *, directed: bool | None = None, weighted: bool | None = None) -> Edges:
    """Small graphs of every kind: dense to empty, with trees, stars and cliques planted in some."""
    n = draw(st.integers(1, 24))
    vertex = st.integers(0, n - 1)
    pairs = draw(st.lists(st.tuples(vertex, vertex), max_size=60))
    shape = draw(st.sampled_from(["as it is", "tree", "star", "clique"]))
    if shape == "tree":
        pairs += [(v, draw(st.integers(0, v - 1))) for v in range(1, n)]
    elif shape == "star":
        pairs += [(0, v) for v in range(1, n)]
    elif shape == "clique":
        size = draw(st.integers(1, min(n, 7)))
        pairs += [(u, v) for u in range(size) for v in range(size)]
    with_lengths = draw(st.booleans()) if weighted is None else weighted
    lengths = (
        tuple(draw(st.lists(st.integers(1, 4), min_size=len(pairs), max_size=len(pairs))))
        if with_lengths
        else None
    )
    one_way = draw(st.booleans()) if directed is None else directed
    return Edges(n, tuple(u for u, _ in pairs), tuple(v for _, v in pairs), lengths, one_way)


def real(shared_data: Path, name: str, *, directed: bool = False) -> tuple[Csr, np.ndarray]:
    """One of the real graphs with ids by descending degree, and the published id of each vertex."""
    table = pq.read_table(shared_data / "graphs" / f"{name}.parquet")
    src, dst = table.column(0).to_numpy(), table.column(1).to_numpy()
    ids, dense = np.unique(np.concatenate([src, dst]), return_inverse=True)
    order = np.argsort(-np.bincount(dense), kind="stable")
    rank = np.empty(len(ids), dtype=np.int64)
    rank[order] = np.arange(len(ids))
    src, dst = rank[dense[: len(src)]], rank[dense[len(src) :]]
    return build_csr(src, dst, len(ids), directed=directed), ids[order]
