"""Measure the report of a whole lake: `python bench/report.py [--customers N] [--snapshots N] [--graph]`.

Makes customers with `synth`, takes them through ingest, features and analyze in one session, with `--graph`
the logs and the graph of the newest day, too, and then writes the page and its tables in a process of its
own, without Spark. Nothing is trained: what a page shows of models does not grow with customers. Prints the
seconds of each step, and of the page its size by section, its time and its peak of memory.

Aim: under 5 MB at 100,000 customers.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from machine import described, run_measured

AIM = 5_000_000


def make(home: Path, customers: int, snapshots: int, *, with_graph: bool) -> None:
    """Print the seconds of each stage as JSON, in a session of their own."""
    from engage_spark.contract import load_contract
    from engage_spark.pipelines.analyze.run import run_analyze
    from engage_spark.pipelines.features import run_features
    from engage_spark.pipelines.graph.run import run_graph
    from engage_spark.pipelines.ingest.run import delivered_days, run_ingest
    from engage_spark.pipelines.synth import run_synth
    from engage_spark.settings import Settings
    from engage_spark.spark.session import open_session

    settings, contract = Settings(**_settings(home, customers, snapshots)), load_contract()
    seconds: dict[str, float] = {}

    def timed(name: str, stage: Callable[..., Any], **arguments: Any) -> None:
        began = time.monotonic()
        stage(spark, settings, contract=contract, **arguments)
        seconds[name] = time.monotonic() - began

    with open_session(settings) as spark:
        timed("synth", run_synth)
        for table in contract.logs if not with_graph else ():
            shutil.rmtree(home / "raw" / table.name)
        newest = max(delivered_days(spark, settings, contract=contract))
        timed("ingest", run_ingest)
        timed("features", run_features)
        if with_graph:
            timed("graph", run_graph, snapshot_date=newest)
        timed("analyze", run_analyze)
    print(json.dumps(seconds))


def _settings(home: Path, customers: int, snapshots: int) -> dict[str, Any]:
    return {
        "synth": {"customers": customers, "snapshots": snapshots, "out": str(home / "raw")},
        "input": {"root": str(home / "raw")},
        "lake": {"root": str(home / "lake")},
        "spark": {"master": "local[2]", "driver_memory": "3g", "shuffle_partitions": 4},
    }


def show(home: Path) -> None:
    """Write the page and its tables; print sizes as JSON."""
    from engage_spark import open_lake
    from engage_spark.report import build_report, write_table_files

    began = time.monotonic()
    report = build_report(open_lake(home / "lake"))
    seconds = time.monotonic() - began
    (home / "report.html").write_text(report.html, encoding="utf-8")
    write_table_files(home / "tables", report.tables)
    parts = re.findall(r"<section id='(\w+)'(.*?)</section>", report.html, re.DOTALL)
    by_section = {name: len(part.encode()) for name, part in parts}
    sizes = {"bytes": len(report.html.encode()), "sections": by_section, "absent": report.absent}
    print(json.dumps(sizes | {"page_s": seconds, "tables": len(report.tables)}))


def main() -> None:
    """Run both, each in a process of its own."""
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--customers", type=int, default=100_000)
    options.add_argument("--snapshots", type=int, default=2)
    options.add_argument("--graph", action="store_true", help="ingest the logs and measure the graph, too")
    options.add_argument("--out", type=Path, help="folder to leave the page and its tables in")
    options.add_argument("--step", choices=("make", "show"), help=argparse.SUPPRESS)
    options.add_argument("--home", type=Path, help=argparse.SUPPRESS)
    given = options.parse_args()
    if given.step == "make":
        make(given.home, given.customers, given.snapshots, with_graph=given.graph)
        return
    if given.step == "show":
        show(given.home)
        return
    print(described())
    with tempfile.TemporaryDirectory() as folder:
        asked = ["--home", folder, "--customers", str(given.customers), "--snapshots", str(given.snapshots)]
        asked += ["--graph"] if given.graph else []
        made = run_measured([__file__, "--step", "make", *asked])
        print(", ".join(f"{k} {v:.1f}" for k, v in made.items()), flush=True)
        page = run_measured([__file__, "--step", "show", "--home", folder])
        if given.out:
            given.out.mkdir(parents=True, exist_ok=True)
            shutil.copy(Path(folder) / "report.html", given.out)
            shutil.copytree(Path(folder) / "tables", given.out / "tables", dirs_exist_ok=True)
    verdict = "reached" if page["bytes"] < AIM else "missed"
    print(
        f"page {page['bytes'] / 1e6:.2f} MB ({AIM / 1e6:.0f} asked: {verdict}), in {page['page_s']:.1f} s, "
    )
    print(f"peak {page['peak_gib']:.2f} GiB, {page['tables']} files of tables, absent: {page['absent']}")
    print(", ".join(f"{name} {size / 1e3:.0f} kB" for name, size in page["sections"].items()))


if __name__ == "__main__":
    sys.exit(main())
