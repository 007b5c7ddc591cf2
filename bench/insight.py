"""Time the insight tools on one core: a cold start, each tool warm, and the peak of memory.

`python bench/insight.py [--rows N] [--days N] [--calls N] [--lake PATH]`: makes a lake of N customers, or
takes one that `engage-spark` made. Of a made lake the tables of analytics are those of 500 customers, since
they do not grow with customers: their rows follow from metrics and segments alone. Customers, predictions and
the graph's table have all rows.

Aims: p99 of 1 s for each tool, of 3 s for the three that look at customers; a cold start of 3 s; 512 MB.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from datetime import date, timedelta
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))  # for the lakes of the tests

NEWEST = date(2025, 10, 21)
AIMS = {"explain_customer": 3.0, "similar_customers": 3.0, "top_influencers": 3.0}
"""Seconds; the other tools have 1."""
COLD_AIM, MEMORY_AIM = 3.0, 512


def build(root: Path, *, rows: int, days: int) -> None:
    """Write a lake of some days of analytics, and of the newest day's customers, scores and graph."""
    from engage_spark.contract import (
        GraphRole,
        Role,
        judged_table,
        load_contract,
        predictions_table,
        tracked_table,
    )
    from tests.support.counted_lake import analyze, ingest, made_customers
    from tests.support.lake_without_spark import SmallLake

    contract = load_contract()
    lake, states, entity = SmallLake(root, contract), {}, contract.entity
    for back in range(days - 1, -1, -1):
        day, customers = NEWEST - timedelta(days=back), made_customers(contract, 500, seed=back)
        if back:
            ingest(lake, day, customers)
        else:
            run_id = "c" * 32
            write(root, judged_table(entity), rows, {"_dq_status": "valid", "_run_id": run_id})
            outputs = {f"{entity.name}_judged": 0}
            lake.publish(f"ingest:{entity.name}", day, run_id, rows=rows, outputs=outputs)
        analyze(lake, day, customers, states)
    for f in (f for f in entity.fields if f.role is Role.TARGET):
        run_id, inputs = f"s{f.name}", {f"{entity.name}/{NEWEST}": "c" * 32}
        write(root, predictions_table(contract), rows, {"target": f.name, "_run_id": run_id})
        outputs = {"predictions": 0}
        lake.publish(f"score:{f.name}", NEWEST, run_id, rows=rows, outputs=outputs, inputs=inputs)
    (vertices,) = contract.of_graph_role(GraphRole.VERTICES)
    write(root, tracked_table(vertices), rows, {"_run_id": "g" * 32})
    lake.publish(f"graph:{vertices.name}", NEWEST, "g" * 32, rows=rows, outputs={vertices.name: 0})


def write(root: Path, table: Any, n: int, constants: Mapping[str, str]) -> None:
    """Append n made-up rows of the newest day to a table, partitioned as the stages do."""
    import numpy as np
    import pyarrow as pa
    from deltalake import write_deltalake

    from tests.support.lake_without_spark import type_of

    rng = np.random.default_rng(len(table.name))
    columns = {}
    for f in table.fields:
        kind = type_of(f.spark_type)
        if f.name == "snapshot_date":
            columns[f.name] = pa.array([NEWEST] * n, kind)
        elif f.name in constants:
            columns[f.name] = pa.array([constants[f.name]] * n)
        elif pa.types.is_list(kind):
            columns[f.name] = pa.array([[]] * n, kind)
        elif f.is_key and kind == pa.string():
            columns[f.name] = pa.array([f"CUST-{i:07d}" for i in range(n)])
        elif f.allowed:
            columns[f.name] = pa.array(rng.choice(list(map(str, f.allowed)), n)).cast(kind)
        elif pa.types.is_floating(kind) or pa.types.is_integer(kind):
            columns[f.name] = pa.array(rng.uniform(0, 100, n)).cast(kind, safe=False)
        else:
            columns[f.name] = pa.nulls(n, kind)
    names = {f.name for f in table.fields}
    partitions = [c for c in ("snapshot_date", "target", "_run_id") if c in names]
    write_deltalake(str(root / table.name), pa.table(columns), mode="append", partition_by=partitions)


def questions(insight: Any, calls: int) -> dict[str, list[dict[str, Any]]]:
    """Return the questions to each tool: with every metric, dimension and customer in turn."""
    words = insight.vocabulary
    metrics, dimensions = list(words.metrics), list(words.dimensions)
    asked: dict[str, list[dict[str, Any]]] = {}
    for tool in insight.tools:
        names = {a.name: a for a in tool.arguments}
        asked[tool.name] = []
        for i in range(calls):
            given: dict[str, Any] = {}
            if "metric" in names and tool.name != "cohort":
                given["metric"] = metrics[i % len(metrics)]
            if tool.name in ("compare_segments", "distribution", "what_changed") and i % 2 and dimensions:
                given["dimension"] = dimensions[i % len(dimensions)]
            if "customer" in names:
                given["customer"] = f"CUST-{(i * 7919) % 10_000:07d}"
            asked[tool.name].append(given)
    return asked


def measure(lake: Path, calls: int) -> None:
    """Open the lake, ask it everything, and print as JSON what that took."""
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    begun = time.perf_counter()
    from engage_spark.insight import Insight
    from engage_spark.reader import open_lake

    insight = Insight(open_lake(lake))
    insight.call("describe")
    cold = time.perf_counter() - begun
    from engage_spark.errors import EngageError

    tools = {}
    for name, asked in questions(insight, calls).items():
        seconds, refusals = [], []
        for i, given in enumerate([asked[0], *asked]):
            started = time.perf_counter()
            try:
                insight.call(name, given)
            except EngageError as e:  # a refusal is quicker than an answer, and is not timed
                refusals.append(e.code)
            else:
                seconds += [time.perf_counter() - started] if i else []  # the first one is not warm
        if not seconds:
            raise SystemExit(f"{name} answered nothing: {', '.join(sorted(set(refusals)))}")
        seconds.sort()
        p99 = seconds[min(len(seconds) - 1, int(len(seconds) * 0.99))]
        median = seconds[len(seconds) // 2]
        refused = sorted(set(refusals))
        tools[name] = {"median": median, "p99": p99, "answered": len(seconds), "refused": refused}
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    peak = int(next(x for x in status.splitlines() if x.startswith("VmHWM")).split()[1]) / 1024
    print(json.dumps({"cold": cold, "peak_mb": peak, "tools": tools}))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--days", type=int, default=8)
    parser.add_argument("--calls", type=int, default=100)
    parser.add_argument("--lake", type=Path, help="a lake that was made before")
    parser.add_argument("--measure", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        measure(options.lake, options.calls)
        return
    with tempfile.TemporaryDirectory() as home:
        lake = options.lake or Path(home)
        if options.lake is None:
            build(lake, rows=options.rows, days=options.days)
        command = [sys.executable, __file__, "--lake", str(lake), "--calls", str(options.calls), "--measure"]
        ran = subprocess.run(command, check=True, capture_output=True, text=True)
    result = json.loads(ran.stdout.splitlines()[-1])
    memory = f"peak {result['peak_mb']:.0f} MB (aim {MEMORY_AIM})"
    print(f"cold start {result['cold']:.2f} s (aim {COLD_AIM:g}), {memory}")
    for name, t in result["tools"].items():
        aim = AIMS.get(name, 1.0)
        late = "" if t["p99"] <= aim else "  ABOVE THE AIM"
        refused = f", else {', '.join(t['refused'])}" if t["refused"] else ""
        times = f"median {t['median']:6.3f} s   p99 {t['p99']:6.3f} s (aim {aim:g}){late}"
        print(f"{name:18} {times}   {t['answered']} of {options.calls} answered{refused}")


if __name__ == "__main__":
    main()
