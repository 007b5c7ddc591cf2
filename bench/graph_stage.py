"""The graph stage of two checkouts side by side: `python bench/graph_stage.py --old CHECKOUT [--customers
100000] [--runs 3]`; prints Markdown.

Customers and logs are made and ingested once by this checkout, below `.cache/bench`. Every run is
`engage-spark graph` of one of the two checkouts on a copy of that lake, in a process of its own with a cold
JVM, alternately; its time is of the whole command. The phases are those that the command logs. Run it on an
otherwise idle machine; `bench/lake_digest.py` compares the last two lakes, whose paths are printed.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path

from machine import described

HERE = Path(__file__).parents[1]
CACHE = HERE / ".cache" / "bench"


def run(checkout: Path, lake: Path, raw: Path, *command: str) -> tuple[float, dict[str, float]]:
    """One command of a checkout: its seconds, and those of its phases."""
    settings = {
        "input.root": raw,
        "lake.root": lake,
        "synth.out": raw,
        "spark.master": "local[2]",
        "log.json_lines": "true",
    }
    words = [word for name, value in settings.items() for word in ("--set", f"{name}={value}")]
    code = "from engage_spark.cli import main; main()"
    started = time.monotonic()
    ran = subprocess.run(
        [sys.executable, "-c", code, *command, *words],
        env=os.environ | {"PYTHONPATH": str(checkout)},
        cwd=checkout,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    seconds = time.monotonic() - started
    if ran.returncode:
        raise SystemExit(f"{checkout}: {' '.join(command)} ended with {ran.returncode}\n{ran.stderr[-4000:]}")
    phases: dict[str, float] = {}
    for line in ran.stderr.splitlines():
        event = json.loads(line) if line.startswith("{") else {}
        if "seconds" in event:
            phases[str(event.get("stage", event.get("event")))] = float(event["seconds"])
    return seconds, phases


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--old", type=Path, required=True, help="another checkout of this repository")
    parser.add_argument("--customers", type=int, default=100_000)
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args()
    raw, lake = (CACHE / f"stage-{kind}-{options.customers}" for kind in ("raw", "lake"))
    if not lake.exists():
        run(HERE, lake, raw, "synth", "--customers", str(options.customers))
        run(HERE, lake, raw, "ingest")
    checkouts = {"old": options.old.resolve(), "new": HERE}
    seconds: dict[str, list[float]] = {name: [] for name in checkouts}
    print(f"{described()}\n", flush=True)
    for number in range(options.runs):
        for name, checkout in checkouts.items():
            copy = CACHE / f"stage-{name}"
            shutil.rmtree(copy, ignore_errors=True)
            shutil.copytree(lake, copy)
            taken, phases = run(checkout, copy, raw, "graph")
            seconds[name].append(taken)
            parts = ", ".join(f"{phase} {value:.1f}" for phase, value in phases.items())
            print(f"| {number + 1} | {name} | {taken:.1f} s | {parts} |", flush=True)
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    print(f"\nold {medians['old']:.1f} s, new {medians['new']:.1f} s: {medians['new'] / medians['old']:.2f}")
    print(f"lakes: {CACHE / 'stage-old'} {CACHE / 'stage-new'}")


if __name__ == "__main__":
    main()
