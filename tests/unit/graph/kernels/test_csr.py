"""The compressed rows: what they hold, and that half-written ones are never read."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from engage_spark.errors import InputError
from engage_spark.graph.kernels.csr import Csr, build_csr, load_csr, save_csr


def rows(csr: Csr) -> list[list[int]]:
    return [csr.indices[csr.indptr[v] : csr.indptr[v + 1]].tolist() for v in range(csr.n)]


def ids(*values: int) -> np.ndarray:
    return np.array(values, dtype=np.int64)


def test_an_undirected_edge_is_in_both_rows_once_loops_and_repeats_are_gone() -> None:
    csr = build_csr(ids(3, 0, 1, 0, 2, 0), ids(0, 3, 0, 1, 2, 2), 5)
    assert rows(csr) == [[1, 2, 3], [0], [0], [0], []]
    assert (csr.n, csr.arcs, csr.directed) == (5, 6, False)


def test_a_directed_graph_keeps_its_arcs_both_ways_round() -> None:
    csr = build_csr(ids(2, 0, 0, 2), ids(0, 1, 1, 1), 3, directed=True)
    assert rows(csr) == [[1], [], [0, 1]]
    starts, neighbours, _ = csr.into
    assert (starts.tolist(), neighbours.tolist()) == ([0, 1, 3, 3], [2, 0, 2])
    assert csr.directed


def test_of_parallel_edges_the_shortest_stays() -> None:
    csr = build_csr(ids(0, 1, 0), ids(1, 0, 1), 2, weight=ids(5, 3, 4))
    assert csr.weights is not None
    assert csr.weights.tolist() == [3, 3]


def test_of_parallel_arcs_the_shortest_stays_in_both_directions() -> None:
    csr = build_csr(ids(0, 0, 1), ids(1, 1, 0), 2, weight=ids(5, 4, 9), directed=True)
    assert csr.out[2].tolist() == [4, 9]
    assert csr.into[2].tolist() == [9, 4]


@pytest.mark.parametrize("directed", [False, True])
def test_rows_equal_those_of_scipy(directed: bool) -> None:
    from scipy.sparse import coo_array

    rng = np.random.default_rng(5)
    src, dst = rng.integers(0, 300, 4000), rng.integers(0, 300, 4000)
    csr = build_csr(src, dst, 300, directed=directed)
    src, dst = src[src != dst], dst[src != dst]
    if not directed:
        src, dst = np.concatenate([src, dst]), np.concatenate([dst, src])
    expected = coo_array((np.ones(len(src)), (src, dst)), shape=(300, 300)).tocsr()
    expected.sum_duplicates()
    assert csr.indptr.tolist() == expected.indptr.tolist()
    assert csr.indices.tolist() == expected.indices.tolist()


@pytest.mark.parametrize("n", [0, 1, 4])
def test_no_edges_make_a_graph_of_isolated_vertices(n: int) -> None:
    csr = build_csr(ids(), ids(), n)
    assert (csr.n, csr.arcs) == (n, 0)


def test_an_edge_costs_eight_bytes_and_a_vertex_eight() -> None:
    csr = build_csr(ids(0, 1, 2), ids(1, 2, 3), 4)
    assert csr.bytes == 3 * 8 + 5 * 8
    directed = build_csr(ids(0, 1, 2), ids(1, 2, 3), 4, directed=True)
    assert directed.bytes == 3 * 8 + 2 * 5 * 8


def test_all_that_is_wrong_with_the_edges_is_reported_at_once() -> None:
    with pytest.raises(InputError) as error:
        build_csr(ids(0, 7, -1), np.array([0.5, 1.0, 2.0]), 3, weight=ids(1, 0, 2))
    message = str(error.value)
    assert "src has 2 ids outside 0..2, the first 7" in message
    assert "dst is float64" in message
    assert "weight has 1 values below 1, the first 0" in message


def test_lengths_whose_sums_could_overflow_are_refused() -> None:
    with pytest.raises(InputError, match=r"could exceed 2\^62"):
        build_csr(ids(0), ids(1), 8, weight=ids(2**60))


def test_the_arrays_cannot_be_written_to_but_the_callers_can() -> None:
    indptr = np.array([0, 0], dtype=np.int64)
    csr = Csr(indptr, np.zeros(0, dtype=np.int32))
    assert not csr.indptr.flags.writeable
    assert indptr.flags.writeable


@pytest.mark.parametrize("directed", [False, True])
def test_a_saved_graph_is_mapped_back_as_it_was(tmp_path: Path, directed: bool) -> None:
    csr = build_csr(ids(0, 1, 2, 2), ids(1, 2, 0, 3), 6, weight=ids(1, 2, 3, 4), directed=directed)
    save_csr(csr, tmp_path / "graph")
    again = load_csr(tmp_path / "graph")
    for ours, theirs in zip(csr.out + csr.into, again.out + again.into, strict=True):
        assert ours.dtype == theirs.dtype
        assert ours.tolist() == theirs.tolist()
    assert again.directed == directed
    assert isinstance(again.indices.base, np.memmap) or isinstance(again.indices.base.base, np.memmap)


def test_a_process_maps_a_graph_once_and_a_rewritten_one_anew(tmp_path: Path) -> None:
    save_csr(build_csr(ids(0), ids(1), 2), tmp_path / "graph")
    first = load_csr(tmp_path / "graph")
    assert load_csr(tmp_path / "graph") is first
    save_csr(build_csr(ids(0, 1), ids(1, 2), 3), tmp_path / "graph")
    assert load_csr(tmp_path / "graph").n == 3
    assert first.n == 2
    assert [p.name for p in tmp_path.iterdir()] == ["graph"]


def test_a_write_that_fails_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path, array: np.ndarray) -> None:
        if path.name == "indices.npy":
            raise OSError("No space left on device")
        np.lib.format.write_array(path.open("wb"), array)

    monkeypatch.setattr("engage_spark.graph.kernels.csr.np.save", full)
    with pytest.raises(InputError, match="No space left"):
        save_csr(build_csr(ids(0), ids(1), 2), tmp_path / "graph")
    assert list(tmp_path.iterdir()) == []


def test_where_no_graph_is_the_path_is_reported(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no graph can be read from .*nothing"):
        load_csr(tmp_path / "nothing")


def test_a_graph_whose_arrays_do_not_fit_is_refused(tmp_path: Path) -> None:
    save_csr(build_csr(ids(0), ids(1), 2), tmp_path / "one")
    save_csr(build_csr(ids(0, 1), ids(1, 2), 3), tmp_path / "two")
    shutil.copy(tmp_path / "two" / "indices.npy", tmp_path / "one" / "indices.npy")
    with pytest.raises(InputError, match="damaged"):
        load_csr(tmp_path / "one")


def test_a_truncated_array_is_refused(tmp_path: Path) -> None:
    save_csr(build_csr(ids(0), ids(1), 2), tmp_path / "graph")
    whole = (tmp_path / "graph" / "indices.npy").read_bytes()
    (tmp_path / "graph" / "indices.npy").write_bytes(whole[:-4])
    with pytest.raises(InputError, match="no graph can be read"):
        load_csr(tmp_path / "graph")
