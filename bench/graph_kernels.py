"""The graph kernels, measured on one core: `python bench/graph_kernels.py [--vertices 100000] [--long]`;
prints Markdown.

Every figure comes from a process of its own, one after the other. "Per source" is wall time divided by the
sources: ours (1,024) and igraph's (24 of `betweenness(sources=...)`) are random ones; NetworKit's
`EstimateBetweenness` draws its own, one more than it is asked for, and is divided by that; its exact
`Betweenness` takes no subset, so it is run whole, on the larger graphs only with `--long`. Kernels are
compiled before the clock starts. Memory is the growth of the peak resident set from just before the
computation, over the graph in memory (ours: mapped, so its pages are counted when they are first touched;
peers: their own graph, already built).
"""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ["OMP_NUM_THREADS"] = "1"

import numpy as np
from graph_made import made_graph
from machine import described, run_measured

HERE = Path(__file__).parent
CACHE = HERE.parent / ".cache" / "bench"
SOURCES = {"ours": 1024, "igraph": 24, "networkit": 24}
DELTA = 0.1


def settled_mb() -> float:
    """Resident memory now; the peak is counted from here."""
    Path("/proc/self/clear_refs").write_text("5")
    return peak_mb()


def peak_mb() -> float:
    line = next(x for x in Path("/proc/self/status").read_text().splitlines() if x.startswith("VmHWM"))
    return int(line.split()[1]) / 1024


def prepared(name: str, vertices: int) -> Path:
    """The graph, ids by descending degree, as mapped rows; made or read once."""
    from engage_spark.graph.kernels.csr import build_csr, save_csr

    where = CACHE / (f"made-{vertices}.csr" if name == "made" else f"{name}.csr")
    if where.exists():
        return where
    if name == "made":
        src, dst = made_graph(vertices)
    else:
        import pyarrow.parquet as pq

        data = os.environ.get("ENGAGE_SPARK_TEST_DATA") or HERE.parents[1] / "shared" / "data"
        table = pq.read_table(Path(data) / "graphs" / f"{name}.parquet")
        src, dst = table.column(0).to_numpy(), table.column(1).to_numpy()
    ids, dense = np.unique(np.concatenate([src, dst]), return_inverse=True)
    rank = np.empty(len(ids), dtype=np.int64)
    rank[np.argsort(-np.bincount(dense), kind="stable")] = np.arange(len(ids))
    where.parent.mkdir(parents=True, exist_ok=True)
    save_csr(build_csr(rank[dense[: len(src)]], rank[dense[len(src) :]], len(ids)), where)
    return where


def timed(call: Callable[[], Any]) -> tuple[float, Any]:
    started = time.perf_counter()
    result = call()
    return time.perf_counter() - started, result


def ours(csr: Any, precision: str) -> dict[str, float]:
    from engage_spark.graph.kernels.brandes import dependencies, worker_bytes
    from engage_spark.graph.kernels.csr import build_csr

    sources = np.random.default_rng(1).choice(csr.n, min(SOURCES["ours"], csr.n), replace=False)
    # Compiles, or reads what was compiled.
    dependencies(
        build_csr(np.array([0, 1]), np.array([1, 2]), 3), np.array([0]), precision=precision, squares=True
    )
    csr.indices.sum()
    before = settled_mb()
    seconds, _ = timed(lambda: dependencies(csr, sources, precision=precision, squares=True))
    return {
        "ms": seconds / len(sources) * 1e3,
        "mb": peak_mb() - before,
        "promised_mb": worker_bytes(csr.n, precision) / 2**20,
    }


def igraph_subset(csr: Any) -> dict[str, float]:
    import igraph

    rows = np.repeat(np.arange(csr.n), csr.degrees)
    once = rows < csr.indices
    graph = igraph.Graph(csr.n, np.stack([rows[once], csr.indices[once]], axis=1))
    before = settled_mb()
    sources = np.random.default_rng(1).choice(csr.n, SOURCES["igraph"], replace=False)
    seconds, _ = timed(lambda: graph.betweenness(sources=sources.tolist()))
    return {"ms": seconds / len(sources) * 1e3, "mb": peak_mb() - before}


def networkit_graph(csr: Any) -> Any:
    import networkit as nk

    nk.setNumberOfThreads(1)
    rows = np.repeat(np.arange(csr.n), csr.degrees)
    once = rows < csr.indices
    graph = nk.Graph(csr.n)
    graph.addEdges((rows[once].astype(np.uint64), csr.indices[once].astype(np.uint64)))
    assert graph.numberOfEdges() == csr.arcs // 2
    return graph


def networkit_estimate(csr: Any) -> dict[str, float]:
    import networkit as nk

    graph = networkit_graph(csr)
    before = settled_mb()
    count = SOURCES["networkit"]
    seconds, _ = timed(nk.centrality.EstimateBetweenness(graph, count, normalized=False, parallel=False).run)
    return {"ms": seconds / (count + 1) * 1e3, "mb": peak_mb() - before}


def networkit_exact(csr: Any) -> dict[str, float]:
    import networkit as nk

    graph = networkit_graph(csr)
    before = settled_mb()
    seconds, _ = timed(nk.centrality.Betweenness(graph).run)
    return {"ms": seconds / csr.n * 1e3, "mb": peak_mb() - before}


def path_samples(csr: Any, count: int = 20_000) -> dict[str, float]:
    from engage_spark.graph.kernels.path_sampling import sample_paths

    sample_paths(csr, seed=0, start=0, count=1)
    csr.indices.sum()
    before = settled_mb()
    seconds, sample = timed(lambda: sample_paths(csr, seed=1, start=0, count=count))
    return {"ms": seconds / count * 1e3, "mb": peak_mb() - before, "inside": sample.interior / count}


def networkit_approx(csr: Any, epsilon: float) -> dict[str, float]:
    """Samples and time to an absolute error of epsilon with probability 1 - DELTA, by Riondato and
    Kornaropoulos's fixed count.
    """
    import networkit as nk

    graph = networkit_graph(csr)
    algorithm = nk.centrality.ApproxBetweenness(graph, epsilon=epsilon, delta=DELTA)
    seconds, _ = timed(algorithm.run)
    return {"samples": algorithm.numberOfSamples(), "seconds": seconds}


def our_approx(csr: Any, epsilon: float) -> dict[str, float]:
    """The same by empirical Bernstein bounds over all vertices and at most 40 rounds, each half as many
    again.
    """
    from engage_spark.graph.kernels.path_sampling import sample_paths

    sample_paths(csr, seed=0, start=0, count=1)
    started, done, hits, count = time.perf_counter(), 0, np.zeros(csr.n), 1000
    level = math.log(8 * csr.n * 40 / DELTA)
    while True:
        hits += sample_paths(csr, seed=1, start=done, count=count - done).hits
        done, count = count, count + count // 2
        share = hits / done
        bound = np.sqrt(2 * (share * (1 - share) * done / (done - 1)) * level / done) + 7 * level / (
            3 * (done - 1)
        )
        if bound.max() <= epsilon:
            return {"samples": done, "seconds": time.perf_counter() - started}


def errors_at_equal_time(csr: Any, seconds: float) -> dict[str, Any]:
    """Both estimators, as many sources or samples as the time allows, against exact; Freeman's scale."""
    from scipy.stats import spearmanr

    from engage_spark.graph.kernels.brandes import BATCH_WIDTH, dependencies
    from engage_spark.graph.kernels.path_sampling import sample_paths

    pairs = (csr.n - 1) * (csr.n - 2)
    spent, exact = timed(lambda: dependencies(csr, np.arange(csr.n)).total / pairs)
    per_source, per_sample = ours(csr, "float32")["ms"] / 1e3, path_samples(csr)["ms"] / 1e3
    sources = min(csr.n, max(1, int(seconds / per_source / BATCH_WIDTH["float32"])) * BATCH_WIDTH["float32"])
    samples = int(seconds / per_sample)
    top = np.argsort(-exact)[:100]
    result: dict[str, Any] = {"seconds": seconds, "exact_s": spent, "sources": sources, "samples": samples}
    chosen = np.random.default_rng(5).choice(csr.n, sources, replace=False)
    by_sources = dependencies(csr, chosen, precision="float32").total * (csr.n / sources) / pairs
    by_paths = sample_paths(csr, seed=5, start=0, count=samples).hits * (csr.n / (csr.n - 2) / samples)
    for name, estimate in (("by_sources", by_sources), ("by_paths", by_paths)):
        error = np.abs(estimate - exact)
        result[name] = [
            error.max(),
            float(np.median(error[top] / exact[top])),
            float(spearmanr(estimate, exact).statistic),
            float((estimate == 0).mean()),
        ]
    return result


def reduced(csr: Any, precision: str) -> dict[str, float]:
    """Exact betweenness of the whole graph, trees removed first, divided by all vertices."""
    from engage_spark.graph.kernels.brandes import dependencies
    from engage_spark.graph.kernels.reduction import reduce_graph

    ours(csr, precision)
    reduce_graph(csr)
    small_s, small = timed(lambda: reduce_graph(csr))
    sources = np.arange(small.core.n)
    seconds, _ = timed(
        lambda: dependencies(small.core, sources, precision=precision, vertex_weight=small.vertex_weight)
    )
    return {"ms": (small_s + seconds) / csr.n * 1e3, "seconds": small_s + seconds}


TASKS: dict[str, Callable[..., dict[str, Any]]] = {
    "float32": lambda csr: ours(csr, "float32"),
    "float64": lambda csr: ours(csr, "float64"),
    "reduced32": lambda csr: reduced(csr, "float32"),
    "reduced64": lambda csr: reduced(csr, "float64"),
    "igraph": igraph_subset,
    "estimate": networkit_estimate,
    "exact": networkit_exact,
    "paths": path_samples,
    "approx": lambda csr: networkit_approx(csr, 0.01),
    "our_approx": lambda csr: our_approx(csr, 0.01),
    "errors": lambda csr: errors_at_equal_time(csr, 1.0 if csr.n > 10_000 else 0.05),
}


def one(task: str, where: str) -> None:
    from engage_spark.graph.kernels.csr import load_csr

    csr = load_csr(where)
    print(json.dumps(TASKS[task](csr) | {"n": csr.n, "edges": csr.arcs // 2}))


def row(*cells: Any) -> None:
    print("| " + " | ".join(f"{c:.3g}" if isinstance(c, float) else str(c) for c in cells) + " |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--vertices", type=int, default=100_000)
    parser.add_argument(
        "--long",
        action="store_true",
        help="NetworKit's Betweenness and ApproxBetweenness on larger graphs too (many minutes)",
    )
    parser.add_argument("--one", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        one(*options.one)
        return
    names = {"facebook_combined": "facebook", "github_social": "github", "made": "made"}
    graphs = {short: str(prepared(name, options.vertices)) for name, short in names.items()}

    def run(task: str, graph: str) -> dict[str, Any]:
        return run_measured([str(HERE / "graph_kernels.py"), "--one", task, graphs[graph]])

    print(f"One core of: {described()}.\n")
    row(
        "graph",
        "vertices, edges",
        "kernel",
        "ms per source",
        "float32 is faster",
        "float64 is faster",
        "memory, MB",
    )
    row(*["---"] * 7)
    for graph in ("github", "made", "facebook"):
        mine = {p: run(p, graph) for p in ("float32", "float64")}
        size = f"{mine['float32']['n']:,}, {mine['float32']['edges']:,}"
        for precision, result in mine.items():
            row(
                graph,
                size,
                f"ours, {precision}",
                result["ms"],
                "",
                "",
                f"{result['mb']:.0f} (at most {result['promised_mb']:.0f})",
            )
        if graph != "made":
            for task, precision in (("reduced32", "float32"), ("reduced64", "float64")):
                result = run(task, graph)
                row(
                    graph,
                    size,
                    f"ours, {precision}, exact and whole: {result['seconds']:.1f} s",
                    result["ms"],
                    "",
                    "",
                    "",
                )
        peers = {"igraph": "igraph `betweenness(sources)`", "estimate": "NetworKit `EstimateBetweenness`"}
        if graph == "facebook" or (graph == "github" and options.long):
            peers["exact"] = "NetworKit `Betweenness`"
        for task, title in peers.items():
            result = run(task, graph)
            row(
                graph,
                size,
                title,
                result["ms"],
                *(f"{result['ms'] / mine[p]['ms']:.0f}×" for p in mine),
                f"{result['mb']:.0f}",
            )
    print()
    row(
        "graph",
        "µs per path sample",
        "vertices inside",
        "samples to ±0.01 (90%)",
        "seconds",
        "`ApproxBetweenness` samples",
        "seconds",
    )
    row(*["---"] * 7)
    for graph in graphs:
        sampled, bounded = run("paths", graph), run("our_approx", graph)
        peer = (
            run("approx", graph)
            if graph == "facebook" or options.long
            else {"samples": "not run", "seconds": ""}
        )
        row(
            graph,
            sampled["ms"] * 1e3,
            sampled["inside"],
            bounded["samples"],
            bounded["seconds"],
            peer["samples"],
            peer["seconds"],
        )
    print()
    row(
        "in the same time",
        "on",
        "largest error",
        "median relative error, top 100",
        "rank correlation, all",
        "share estimated as 0",
    )
    row(*["---"] * 6)
    for graph in ("facebook", "github"):
        result = run("errors", graph)
        where = f"{graph}, {result['seconds']} s (exact in float64: {result['exact_s']:.1f} s)"
        row(f"{result['sources']:,} sources, float32", where, *result["by_sources"])
        row(f"{result['samples']:,} path samples", where, *result["by_paths"])


if __name__ == "__main__":
    sys.exit(main())
