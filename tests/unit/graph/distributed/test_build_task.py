"""The build from pieces, the memory and time it predicts, and the checks before it starts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings

from engage_spark.errors import ConfigurationError
from engage_spark.graph.distributed.build_task import (
    SUMMARY_SCHEMA,
    GraphSummary,
    build_graph,
    load_core,
)
from engage_spark.graph.distributed.resources import (
    check_memory,
    estimate_memory,
    host_memory,
    parse_bytes,
    predict_core_seconds,
)
from engage_spark.graph.kernels.csr import Piece, build_from_pieces, load_csr
from tests.support.examples import examples
from tests.support.graphs import Edges, edge_lists

TRIANGLE_AND_TAIL = Edges(5, (0, 1, 2, 2, 3), (1, 2, 0, 3, 4))


def pieces(directory: Path, edges: Edges, parts: int) -> list[str]:
    """The edges spread over raw files as the tasks write them."""
    directory.mkdir(parents=True)
    for part in range(parts):
        for ending, values, kind in (
            ("u", edges.src, np.int32),
            ("v", edges.dst, np.int32),
            ("length", edges.weight, np.int64),
        ):
            if values is not None:
                np.array(values[part::parts], dtype=kind).tofile(directory / f"p{part}.{ending}")
    return [f"p{part}" for part in range(parts)]


@given(edges=edge_lists())
@settings(
    max_examples=examples(24), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_the_graph_depends_neither_on_pieces_nor_on_threads(
    edges: Edges, tmp_path_factory: pytest.TempPathFactory
) -> None:
    home = tmp_path_factory.mktemp("pieces")
    options = {"weighted": edges.weight is not None, "directed": edges.directed}
    built = []
    for parts in (1, 3):
        names = pieces(home / f"in{parts}", edges, parts)
        target = home / f"out{parts}"
        built.append(build_graph(home / f"in{parts}", names, edges.n, target, threads=parts, **options))
    assert built[0] == built[1]
    one, other = load_csr(home / "out1" / "csr"), load_csr(home / "out3" / "csr")
    names = [a for a in vars(one) if getattr(one, a) is not None]
    assert all(np.array_equal(getattr(one, a), getattr(other, a)) for a in names)
    position = np.load(home / "out1" / "position.npy")
    assert sorted(position) == list(range(edges.n))
    graph = edges.networkx()
    degree = np.array([graph.degree(v) for v in range(edges.n)])
    assert (np.diff(degree[np.argsort(position)]) <= 0).all(), "degrees descend"
    arcs = {(int(position[u]), int(position[v]), d) for u, v, d in graph.edges(data="length")}
    both = arcs if edges.directed else arcs | {(v, u, d) for u, v, d in arcs}
    sources = np.repeat(np.arange(edges.n), np.diff(one.indptr))
    lengths = one.weights if one.weights is not None else np.ones(one.arcs, dtype=np.int64)
    assert set(zip(sources.tolist(), one.indices.tolist(), lengths.tolist(), strict=True)) == both
    assert built[0].m == len(arcs)


def test_renumbering_keeps_rows_ascending_with_their_lengths() -> None:
    u, v = (np.array(ends, dtype=np.int32) for ends in ([0, 0, 3, 3, 0], [1, 3, 1, 2, 1]))
    piece = Piece(u, v, np.array([5, 7, 9, 4, 6]))
    csr, position = build_from_pieces([piece], 4, weighted=True, directed=True, by_degree=True, threads=2)
    assert position.tolist() == [1, 2, 3, 0]
    assert csr.indptr.tolist() == [0, 2, 4, 4, 4]
    assert csr.indices.tolist() == [2, 3, 0, 2]
    assert csr.weights is not None
    assert csr.weights.tolist() == [9, 4, 7, 5]
    assert csr.back_indices is not None
    assert csr.back_indices.tolist() == [1, 0, 1, 0]


def test_a_core_is_stored_beside_the_graph_where_trees_were_removed(tmp_path: Path) -> None:
    built = build_graph(
        tmp_path / "in",
        pieces(tmp_path / "in", TRIANGLE_AND_TAIL, 2),
        5,
        tmp_path / "out",
        weighted=False,
        directed=False,
        threads=1,
    )
    core = load_core(tmp_path / "out")
    assert (built.n, built.m, built.core, built.active) == (5, 5, 3, 2)
    assert core.csr.n == 3
    assert core.vertex_weight is not None
    assert sorted(core.vertex_weight) == [1, 1, 3]
    assert [word.split()[0] for word in SUMMARY_SCHEMA.split(", ")] == list(GraphSummary._fields)


def test_memory_is_8_bytes_an_edge_and_what_the_workers_need() -> None:
    need = estimate_memory(n=1000, edges=50_000, directed=False, weighted=False, worker=70_000, workers=4)
    assert need.csr == 8 * 50_000 + 8 * 1001
    assert need.bytes == max(need.csr + 4 * 70_000, need.building)
    assert (
        estimate_memory(n=1000, edges=50_000, directed=False, weighted=True, worker=0, workers=1).csr
        == need.csr + 16 * 50_000
    )


def test_a_graph_that_does_not_fit_is_refused_with_figures() -> None:
    need = estimate_memory(n=10**8, edges=10**10, directed=False, weighted=False, worker=10**11, workers=8)
    check_memory(need, n=10**8, edges=10**10, memory=10**13, host=1)
    with pytest.raises(ConfigurationError) as caught:
        check_memory(need, n=10**8, edges=10**10, memory=None, host=128 << 30)
    message = str(caught.value)
    for words in (
        "880.80 GB on a host, and 103.08 GB are allowed",
        "8 workers of 100.00 GB",
        "75% of the smallest host",
        "graph.memory",
    ):
        assert words in message


def test_the_bytes_of_a_graph_are_those_that_were_predicted(tmp_path: Path) -> None:
    edges = Edges(200, tuple(range(199)), tuple(range(1, 200)))
    built = build_graph(
        tmp_path / "in",
        pieces(tmp_path / "in", edges, 1),
        200,
        tmp_path / "out",
        weighted=False,
        directed=False,
        threads=1,
    )
    assert (
        built.bytes
        == estimate_memory(n=200, edges=199, directed=False, weighted=False, worker=0, workers=1).csr
    )


def test_predicted_seconds_grow_with_sources_arcs_and_lengths() -> None:
    built = GraphSummary(n=10, m=20, arcs=40, bytes=0, active=10, core=10, core_arcs=40, interior=5)
    assert predict_core_seconds(built, 20, weighted=False) == pytest.approx(
        2 * predict_core_seconds(built, 10, weighted=False)
    )
    assert predict_core_seconds(built, 10, weighted=True) > predict_core_seconds(built, 10, weighted=False)


def test_memory_of_the_host_and_of_a_setting_in_bytes() -> None:
    assert 1 << 28 < host_memory() < 1 << 50
    assert [parse_bytes(text) for text in ("2k", "3m", "4g", "1t")] == [2048, 3 << 20, 4 << 30, 1 << 40]
