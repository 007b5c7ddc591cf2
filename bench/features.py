"""Ingest and features, measured: `python bench/features.py [--rows 100000 1000000 2000000] [--runs 1]`.
The figures of issue 11: `--rows 2000000 10000000 --runs 3`; with several sizes a last table gives the seconds
of each further million between the smallest and the largest.

Each figure comes from a process of its own: ours from a cold JVM (its start is not counted, its warming up
is), DuckDB and Polars with two threads on the same files, one after the other on an otherwise idle machine.
The rows are those of `engage-spark synth` at 100,000 customers; larger sizes repeat them under new keys,
since what is measured does not depend on the graph.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from machine import described, run_measured

HERE = Path(__file__).parent
CACHE = HERE.parent / ".cache" / "bench"
DAY = "snapshot_date=2025-10-21"
BASE = 100_000
FILE_ROWS = 500_000


def base_rows() -> Path:
    """100,000 synthetic customers, made once."""
    root = CACHE / "synth"
    if (
        not (root / "customers" / DAY / "_SUCCESS").exists()
        and not (root / "customers" / "_SUCCESS").exists()
    ):
        run_measured(["-c", _SYNTH.format(out=str(root))])
    return root / "customers" / DAY


_SYNTH = """
from engage_spark.contract import load_contract
from engage_spark.spark.session import open_session
from engage_spark.settings import Settings
from engage_spark.synth import SynthPlan, customers
plan = SynthPlan(customers=100000, contract=load_contract(), seed=42)
spark_settings = {{"master": "local[2]", "driver_memory": "3g", "shuffle_partitions": 4}}
with open_session(Settings(spark=spark_settings)) as spark:
    rows = customers(spark, plan).coalesce(1)
    rows.write.mode("overwrite").partitionBy("snapshot_date").parquet("{out}/customers")
print("{{}}")
"""


def raw(rows: int) -> Path:
    """A raw folder of `rows` customers: the base repeated, each time under keys of its own."""
    root = CACHE / f"raw-{rows}"
    folder = root / "customers" / DAY
    if (root / "done").exists():
        return root
    shutil.rmtree(root, ignore_errors=True)
    folder.mkdir(parents=True)
    base = pq.read_table(base_rows(), partitioning=None)
    part: list[pa.Table] = []
    for turn in range(-(-rows // BASE)):
        table = base.slice(0, min(BASE, rows - turn * BASE))
        keys = pc.binary_join_element_wise(
            pa.scalar("CUST-"),
            pc.utf8_lpad(
                pc.cast(pa.array(range(turn * BASE, turn * BASE + len(table))), pa.string()), 9, "0"
            ),
            "",
        )
        part.append(table.set_column(0, "customer_id", keys))
        if sum(map(len, part)) >= FILE_ROWS or (turn + 1) * BASE >= rows:
            pq.write_table(pa.concat_tables(part), folder / f"part-{turn:05d}.parquet", compression="zstd")
            part = []
    (root / "done").touch()
    return root


def measure(rows: int, runs: int) -> dict[str, Any]:
    """Medians over `runs` of each engine, one after the other."""
    root, found = raw(rows), {}
    for engine in ("ours", "duckdb", "polars"):
        taken = []
        for _ in range(runs):
            out = CACHE / "out"
            shutil.rmtree(out, ignore_errors=True)
            out.mkdir()
            arguments = [str(HERE / "features_ours.py"), str(root), str(out)]
            if engine != "ours":
                arguments = [
                    str(HERE / "features_yardstick.py"),
                    engine,
                    f"{root}/customers/*/*.parquet",
                    str(out),
                ]
            taken.append(run_measured(arguments))
        found[engine] = taken[0] | {
            "seconds": {s: statistics.median(t["seconds"][s] for t in taken) for s in ("ingest", "features")},
            "peak_gib": statistics.median(t["peak_gib"] for t in taken),
        }
        shutil.rmtree(out)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, nargs="+", default=[100_000, 1_000_000, 2_000_000])
    parser.add_argument("--runs", type=int, default=1)
    options = parser.parse_args()
    print(described())
    print(
        "| rows | engine | ingest s | features s | both s | ratio to DuckDB | rows per s and core | "
        "peak GiB | jobs and raw scans |"
    )
    print("|--:|---|--:|--:|--:|--:|--:|--:|---|")
    measured: dict[int, dict[str, float]] = {}
    for rows in options.rows:
        found = measure(rows, options.runs)
        duck = sum(found["duckdb"]["seconds"].values())
        for engine, one in found.items():
            ingest, features = one["seconds"]["ingest"], one["seconds"]["features"]
            both = ingest + features
            counts = "; ".join(
                f"{stage}: {c['jobs']} jobs, {c['full_scans']} full-width, {c['narrow_scans']} narrow"
                for stage, c in one.get("counts", {}).items()
            )
            print(
                f"| {rows:,} | {engine} | {ingest:.1f} | {features:.1f} | {both:.1f} | "
                f"{both / duck:.1f} | {rows / both / 2:,.0f} "
                f"| {one['peak_gib']:.1f} | {counts} |",
                flush=True,
            )
        measured[rows] = {engine: sum(one["seconds"].values()) for engine, one in found.items()}
    if len(measured) > 1:
        least, most = min(measured), max(measured)
        print(f"\n| engine | seconds per further million, {least:,} to {most:,} rows |\n|---|--:|")
        for engine, seconds in measured[most].items():
            print(f"| {engine} | {(seconds - measured[least][engine]) / (most - least) * 1e6:.1f} |")


if __name__ == "__main__":
    main()
