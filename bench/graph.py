"""Betweenness end to end on Spark: `python bench/graph.py [--customers 100000] [--cores 1 2] [--exact]`.

The graph is `graph_made`'s: 187.5 connections a customer, 9.4 million edges at 100,000 customers, in Parquet
with string ids like the product. Every run is a process of its own with a local session of so many cores; its
time is from the call of `betweenness` to the stored scores, with Python workers started and kernels compiled
before (compiled code is kept on disk, so that happens once per installation). Exact runs are estimated from a
share of the sources unless --exact is given. Run it on an otherwise idle machine.
"""

from __future__ import annotations

import argparse
import json
import os
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from graph_made import made_graph
from machine import described, run_measured

CACHE = Path(__file__).parents[1] / ".cache" / "bench"
SHARE = 4096
"""Sources that stand for all when exact is only timed."""


def edges_file(customers: int) -> Path:
    path = CACHE / f"graph-{customers}.parquet"
    if not path.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        src, dst = made_graph(customers)
        names = np.array([f"CUST-{i:06d}" for i in range(customers)], dtype=object)
        table = pa.table({"src": pa.array(names[src], pa.string()), "dst": pa.array(names[dst], pa.string())})
        pq.write_table(table, path, row_group_size=1 << 20)
    return path


class Watch(threading.Thread):
    """The most private memory that any one Python worker below this process had, and the most resident memory
    of all together.
    """

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.worker = self.mapped = 0

    def run(self) -> None:
        while True:
            for status in Path("/proc").glob("[0-9]*/status"):
                try:
                    if b"pyspark.daemon" not in status.with_name("cmdline").read_bytes():
                        continue
                    status_lines = dict(line.split(":", 1) for line in status.read_text().splitlines())
                except OSError:
                    continue
                self.worker = max(self.worker, int(status_lines["RssAnon"].split()[0]) << 10)
                self.mapped = max(self.mapped, int(status_lines["RssFile"].split()[0]) << 10)
            time.sleep(0.1)


def measure(customers: int, cores: int, method: str) -> None:
    """One run in this process; the last line is JSON."""
    from engage_spark.graph import betweenness, open_layout
    from engage_spark.graph.betweenness import SOURCES_PER_BATCH
    from engage_spark.graph.distributed.source_tasks import dependency_sums
    from engage_spark.settings import Settings, SparkSettings
    from engage_spark.spark.session import open_session

    settings = Settings(
        spark=SparkSettings(master=f"local[{cores}]", driver_memory="3g", shuffle_partitions=4)
    )
    with open_session(settings) as spark:
        tiny = spark.createDataFrame([(i, (i * 7 + 1) % 50) for i in range(50)], "src int, dst int")
        for kind in ("exact", "sampled"):
            betweenness(tiny, method=kind, epsilon=0.2)
        edges = spark.read.parquet(str(edges_file(customers)))
        watch = Watch()
        watch.start()
        started = time.monotonic()
        measured: dict[str, Any]
        if method == "share":
            with open_layout(edges) as layout:
                begun = time.monotonic()
                layout.materialize(
                    dependency_sums(
                        layout, sources=SHARE, seed=1, batch=SOURCES_PER_BATCH, precision="float64"
                    ),
                    "share",
                )
                seconds = time.monotonic() - begun
                measured = {
                    "seconds": {"layout": begun - started, "sources": seconds},
                    "core": layout.summary.core,
                    "share": SHARE,
                }
                measured["all_sources"] = seconds * layout.summary.core / SHARE
        else:
            result = betweenness(edges, method=method)
            measured = vars(result.report) | {
                "scores": result.scores.selectExpr("max(betweenness)", "avg(stderr)").collect()[0].asDict()
            }
        total = time.monotonic() - started
    print(
        json.dumps(
            measured
            | {
                "total": total,
                "cores": cores,
                "worker_mb": watch.worker / 1e6,
                "worker_mapped_mb": watch.mapped / 1e6,
            }
        )
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--customers", type=int, default=100_000)
    parser.add_argument("--cores", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--exact", action="store_true", help="compute all of the exact answer too")
    parser.add_argument("--run", nargs=3, metavar=("CUSTOMERS", "CORES", "METHOD"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    os.environ["PYTHONPATH"] = str(Path(__file__).parents[1])
    if options.run:
        measure(int(options.run[0]), int(options.run[1]), options.run[2])
        return
    edges_file(options.customers)
    print(f"{described()}\n")
    for cores in options.cores:
        for method in ("sampled", "share", *(["exact"] if options.exact else [])):
            result = run_measured([__file__, "--run", str(options.customers), str(cores), method])
            phases = ", ".join(f"{name} {value:.1f}" for name, value in result["seconds"].items())
            extra = f"all sources {result['all_sources']:.0f} s" if method == "share" else ""
            if method == "sampled":
                extra = (
                    f"{result['samples']} + {result['calibration']} paths, {result['rounds']} rounds, "
                    f"error ±{result['error']:.1e}, top 10 "
                )
                extra += f"±{result['relative_error']:.1%}, {result['contenders']} contenders"
            print(
                f"| {cores} cores | {method} | {result['total']:.1f} s | {phases} | {extra} | worker "
                f"{result['worker_mb']:.0f} MB "
                f"(+ {result['worker_mapped_mb']:.0f} mapped) | peak {result['peak_gib']:.1f} GiB |",
                flush=True,
            )


if __name__ == "__main__":
    main()
