"""Many sources at once: each lane as if it were alone, in either precision, with any path counts, on any
processor.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engage_spark.errors import ConfigurationError
from engage_spark.graph.kernels import traversal
from engage_spark.graph.kernels.brandes import BATCH_WIDTH, batch_order, dependencies, worker_bytes
from engage_spark.graph.kernels.csr import Csr
from tests.support.examples import examples
from tests.support.graphs import Edges, edge_lists, of, real
from tests.support.paths import ROOT


def one_at_a_time(
    csr: Csr, sources: np.ndarray, weight: np.ndarray, times: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    total, squares = np.zeros(csr.n), np.zeros(csr.n)
    traversal.add_up(*csr.out, sources.astype(np.int64), times, weight, total, squares)
    return total, squares


def skewed(n: int, mean_degree: int, *, directed: bool = False) -> Csr:
    """A graph with hubs, so that steps are both pushed and pulled."""
    rng = np.random.default_rng(3)
    ends = (n * rng.random((2, n * mean_degree // 2)) ** 3).astype(int)
    return Edges(n, tuple(ends[0].tolist()), tuple(ends[1].tolist()), directed=directed).csr()


@settings(max_examples=examples(60), deadline=None)
@given(edge_lists(weighted=False), st.sampled_from(["float64", "float32"]), st.integers(0, 2**32 - 1))
def test_lanes_give_what_one_source_at_a_time_gives_with_any_weights(
    edges: Edges, precision: str, seed: int
) -> None:
    csr, rng = edges.csr(), np.random.default_rng(seed)
    sources = rng.integers(0, csr.n, rng.integers(1, 70))  # some twice in a batch, the last batch not full
    weight, times = rng.integers(0, 5, csr.n).astype(float), rng.integers(0, 5, len(sources)).astype(float)
    got = dependencies(
        csr, sources, precision=precision, vertex_weight=weight, source_weight=times, squares=True
    )  # type: ignore[arg-type]
    total, squares = one_at_a_time(csr, sources, weight, times)
    tolerance = 1e-12 if precision == "float64" else 1e-5
    np.testing.assert_allclose(got.total, total, rtol=tolerance)
    assert got.squares is not None
    np.testing.assert_allclose(got.squares, squares, rtol=2 * tolerance)


@pytest.mark.parametrize("directed", [False, True])
@pytest.mark.parametrize(("precision", "tolerance"), [("float64", 1e-12), ("float32", 2e-5)])
def test_lanes_agree_where_steps_are_pushed_and_pulled(
    directed: bool, precision: str, tolerance: float
) -> None:
    csr = skewed(5000, 20, directed=directed)
    sources = np.arange(0, 5000, 51)
    got = dependencies(csr, sources, precision=precision, squares=True)  # type: ignore[arg-type]
    total, squares = one_at_a_time(csr, sources, np.ones(csr.n), np.ones(len(sources)))
    np.testing.assert_allclose(got.total, total, rtol=tolerance)
    assert got.squares is not None
    np.testing.assert_allclose(got.squares, squares, rtol=2 * tolerance)


def test_float32_is_within_its_stated_error_on_a_real_graph(shared_data: Path) -> None:
    csr, _ = real(shared_data, "github_social")
    sources = np.random.default_rng(1).choice(csr.n, 256, replace=False)
    narrow, wide = (dependencies(csr, sources, precision=p).total for p in ("float32", "float64"))  # type: ignore[arg-type]
    assert 0 < np.abs(narrow - wide).max() < 1e-5 * wide.max()
    assert np.abs(narrow - wide)[wide > 0].max() > 0
    assert (np.abs(narrow - wide) <= 1e-4 * wide).all()


def diamonds(links: int) -> Edges:
    """A chain of diamonds: 2**links shortest paths from end to end."""
    src, dst = [], []
    for joint in range(0, 3 * links, 3):
        src += [joint, joint, joint + 1, joint + 2]
        dst += [joint + 1, joint + 2, joint + 3, joint + 3]
    return Edges(3 * links + 1, tuple(src), tuple(dst))


@pytest.mark.parametrize("links", [90, 120, 1100])
@pytest.mark.parametrize("precision", ["float64", "float32"])
def test_path_counts_that_overflow_are_computed_in_wider_numbers(links: int, precision: str) -> None:
    """2**90 fits float32, 2**120 only float64, 2**1100 neither; sources at an end overflow, those in the
    middle do not.
    """
    edges = diamonds(links)
    csr = edges.csr()
    sources = np.array([0, 3 * (links // 2), 0, edges.n - 1])
    got = dependencies(csr, sources, precision=precision).total  # type: ignore[arg-type]
    joints = np.arange(3, edges.n - 1, 3)
    behind_of_ends = 2 * (edges.n - 1 - joints) + joints
    middle = 3 * (links // 2)
    behind_of_middle = np.where(joints > middle, edges.n - 1 - joints, np.where(joints < middle, joints, 0))
    np.testing.assert_allclose(
        got[joints], behind_of_ends + behind_of_middle, rtol=1e-12 if precision == "float64" else 1e-5
    )


def test_an_overflow_leaves_no_trace_in_the_next_batch() -> None:
    csr, sources = diamonds(1100).csr(), np.arange(16) * 3 + 1650
    clean = dependencies(csr, sources).total
    dependencies(csr, np.array([0]))
    assert dependencies(csr, sources).total.tolist() == clean.tolist()


@pytest.mark.parametrize("precision", ["float64", "float32"])
def test_the_same_call_has_the_same_bits_whatever_ran_before(precision: str) -> None:
    csr, other = skewed(800, 10), of(nx.path_graph(40)).csr()
    sources = np.arange(100)
    first = dependencies(csr, sources, precision=precision, squares=True)  # type: ignore[arg-type]
    dependencies(other, np.arange(40), precision=precision)  # type: ignore[arg-type]
    dependencies(csr, np.arange(300, 340), precision=precision)  # type: ignore[arg-type]
    again = dependencies(csr, sources, precision=precision, squares=True)  # type: ignore[arg-type]
    assert again.total.tobytes() == first.total.tobytes()
    assert again.squares is not None
    assert first.squares is not None
    assert again.squares.tobytes() == first.squares.tobytes()


def digest() -> str:
    """All kernels' results on one graph, as a hash of their bits."""
    from engage_spark.graph.kernels.path_sampling import sample_paths

    csr = skewed(400, 8)
    actual = hashlib.sha256()
    for precision in ("float64", "float32"):
        result = dependencies(csr, np.arange(64), precision=precision, squares=True)  # type: ignore[arg-type]
        assert result.squares is not None
        actual.update(result.total.tobytes() + result.squares.tobytes())
    actual.update(sample_paths(csr, seed=1, start=0, count=500).hits.tobytes())
    actual.update(one_at_a_time(csr, np.arange(64), np.ones(csr.n), np.ones(64))[0].tobytes())
    return actual.hexdigest()


@pytest.mark.long
def test_a_processor_without_wide_vectors_gives_the_same_bits(tmp_path: Path) -> None:
    """The compiler targets a processor with the smallest vectors (no AVX, no fused multiply-add)."""
    code = "from tests.unit.graph.kernels.test_multi_source_bfs import digest; print(digest())"
    plain = os.environ | {
        "NUMBA_CPU_NAME": "generic",
        "NUMBA_CPU_FEATURES": "",
        "NUMBA_CACHE_DIR": str(tmp_path),
    }
    ran = subprocess.run(
        [sys.executable, "-c", code], env=plain, cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.strip() == digest()


def test_the_batch_order_puts_the_best_connected_sources_first() -> None:
    csr = of(nx.Graph([(0, 1), (0, 2), (0, 3), (3, 4), (4, 5)])).csr()
    # Arcs of the neighbours: 0 has 1 + 1 + 2, 1 and 2 have 3, 3 has 3 + 2, 4 has 2 + 1, 5 has 2.
    assert batch_order(csr, np.arange(6)).tolist() == [3, 0, 1, 2, 4, 5]
    assert batch_order(csr, np.array([5, 4, 3])).tolist() == [2, 1, 0]


def test_an_unknown_precision_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="float64"):
        dependencies(of(nx.path_graph(3)).csr(), np.array([0]), precision="float16")  # type: ignore[arg-type]


@pytest.mark.skipif(sys.platform != "linux", reason="the peak is read from /proc")
@pytest.mark.parametrize("precision", ["float64", "float32"])
def test_no_more_memory_is_used_than_was_promised(precision: str) -> None:
    """On a long path every lane meets a vertex in another step, which needs the most notes there can be."""
    code = (
        "import sys, numpy as np\n"
        "from pathlib import Path\n"
        "from engage_spark.graph.kernels.brandes import BATCH_WIDTH, dependencies\n"
        "from engage_spark.graph.kernels.csr import build_csr\n"
        "def peak():\n"
        "    status = open('/proc/self/status')\n"
        "    return int(next(x for x in status if x.startswith('VmHWM')).split()[1]) * 1024\n"
        "n, precision = 100_000, sys.argv[1]\n"
        "path = lambda n: build_csr(np.arange(n - 1), np.arange(1, n), n)\n"
        "dependencies(path(9), np.arange(9), precision=precision, squares=True)\n"
        "csr = path(n)\n"
        "Path('/proc/self/clear_refs').write_text('5')\n"
        "before = peak()\n"
        "sources = np.arange(BATCH_WIDTH[precision]) * (n // BATCH_WIDTH[precision])\n"
        "dependencies(csr, sources, precision=precision, squares=True)\n"
        "print(peak() - before)\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code, precision], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr
    used, promised = int(ran.stdout), worker_bytes(100_000, precision)  # type: ignore[arg-type]
    assert 0.3 * promised < used < promised
    assert worker_bytes(200_000, precision) > 1.9 * promised  # type: ignore[arg-type]
    assert set(BATCH_WIDTH) == {"float64", "float32"}
