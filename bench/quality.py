"""Quality rules, measured: `python bench/quality.py [--rows 100000 1000000] [--engines ours gx-basic]
[--kinds clean faulty] [--warm 3]`. The figures of issue 11: `--rows 5000000 --kinds clean --engines ours
ours-rows duckdb gx-basic gx-basic-unpersisted --warm 3 --bound 1800`; medians of three warm runs.

The same rules on the same file for everyone (`quality_rules`), each engine in a process of its own, one after
the other on an otherwise idle machine. `clean` rows break nothing; of `faulty` ones 1% have one value out of
range. An engine that is not done within `--bound` seconds is ended, and the table says so. What is told:
`ours` builds each row's reasons, counts them, and states all columns exactly; `ours-rows` hands every row
over with its reasons besides, as DuckDB does; GX BASIC tells counts and up to 20 values a rule, GX
BOOLEAN_ONLY yes or no. GX persists the table unless it is told not to (`-unpersisted`).
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from features import CACHE, FILE_ROWS, base_rows
from machine import described, run_measured
from quality_rules import TABLE, rules

HERE = Path(__file__).parent
ENGINES = ("ours", "ours-rows", "duckdb", "gx-boolean", "gx-basic", "gx-basic-unpersisted")


def files(rows: int, kind: str) -> Path:
    """The folder of Parquet files, made once: complete synthetic customers under keys of their own, or those
    with 1% of rows spoilt.
    """
    folder = CACHE / f"quality-{kind}-{rows}"
    if folder.exists():
        return folder
    making = folder.with_name("making")
    shutil.rmtree(making, ignore_errors=True)
    making.mkdir(parents=True)
    base = pq.read_table(base_rows(), partitioning=None).drop_null()
    bounded = [f for f in TABLE.fields if f.maximum is not None]
    part: list[pa.Table] = []
    for start in range(0, rows, len(base)):
        table = base.slice(0, min(len(base), rows - start))
        row = np.arange(start, start + len(table))
        table = table.set_column(0, TABLE.key[0], pa.array([f"CUST-{i:09d}" for i in row]))
        for j, f in enumerate(bounded if kind == "faulty" else ()):
            hit = pa.array((row % 100 == 0) & (row // 100 % len(bounded) == j))
            wrong = pa.scalar(f.maximum + 1, table[f.name].type)
            table = table.set_column(
                table.column_names.index(f.name),
                f.name,
                pc.if_else(hit, wrong, table[f.name].combine_chunks()),
            )
        part.append(table)
    whole = pa.concat_tables(part)
    for i in range(0, rows, FILE_ROWS):
        pq.write_table(
            whole.slice(i, FILE_ROWS), making / f"part-{i // FILE_ROWS:05d}.parquet", compression="zstd"
        )
    making.rename(folder)
    return folder


def measure(engine: str, rows: int, kind: str, *, warm: int, bound: float) -> dict[str, Any] | None:
    scratch = CACHE / "quality-out"
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir(parents=True)
    try:
        return run_measured(
            [str(HERE / "quality_one.py"), engine, str(files(rows, kind)), str(scratch), str(warm)],
            bound=bound,
        )
    except TimeoutError:
        return None
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, nargs="+", default=[100_000, 1_000_000])
    parser.add_argument("--engines", nargs="+", default=ENGINES, choices=ENGINES)
    parser.add_argument("--kinds", nargs="+", default=("clean", "faulty"), choices=("clean", "faulty"))
    parser.add_argument("--warm", type=int, default=1, help="runs after the cold one; their median is shown")
    parser.add_argument("--bound", type=float, default=480.0, help="seconds for all runs of an engine")
    parser.add_argument("--json", action="store_true", help="a line of JSON for each measurement besides")
    options = parser.parse_args()
    for rows in options.rows:
        for kind in options.kinds:
            files(rows, kind)
    print(f"{described()}; {len(rules())} rules")
    print(
        "| rows | kind | engine | cold s | warm s | row-checks per s and core, warm | rules | failed "
        "| violations | jobs | scans, full and narrow | peak GiB |"
    )
    print("|--:|---|---|--:|--:|--:|--:|--:|--:|--:|---|--:|")
    for rows in options.rows:
        for kind in options.kinds:
            for engine in options.engines:
                one = measure(engine, rows, kind, warm=options.warm, bound=options.bound)
                if one is None:
                    print(
                        f"| {rows:,} | {kind} | {engine} | more than {options.bound:.0f} for all | | "
                        "| | | | | | |",
                        flush=True,
                    )
                    continue
                c = one.get("counts")
                looks = f"{c['jobs']} | {c['full_scans']}, {c['narrow_scans']}" if c else "| "
                cold, warm = one["seconds"][0], statistics.median(one["seconds"][1:])
                print(
                    f"| {rows:,} | {kind} | {engine} | {cold:.1f} | {warm:.1f} | "
                    f"{rows * one['rules'] / warm / 2:,.0f} | {one['rules']} | {one['failed']} "
                    f"| {one['violations']:,} | {looks} | {one['peak_gib']:.1f} |",
                    flush=True,
                )
                if options.json:
                    print(json.dumps(one), flush=True)


if __name__ == "__main__":
    main()
