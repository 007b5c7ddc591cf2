"""Time the lake's door without Spark: opening one of 365 days, and a group-by over a million customers.

`python bench/open_lake.py [--rows N] [--days N]`: prints seconds and the peak of memory, on one thread.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa

sys.path.insert(0, str(Path(__file__).parents[1]))  # for the lakes of the tests

from engage_spark.contract import judged_table, load_contract
from tests.support.lake_without_spark import SmallLake, type_of

NEWEST = date(2025, 10, 21)


def build(root: Path, *, rows: int, days: int) -> None:
    """Write a lake of `days` snapshots of 200 customers, the newest of `rows`."""
    from deltalake import write_deltalake

    contract = load_contract()
    lake, stored = SmallLake(root, contract), judged_table(contract.entity)
    schema = pa.schema([(f.name, type_of(f.spark_type)) for f in stored.fields])
    for back in range(days - 1, -1, -1):
        day, n = NEWEST - timedelta(days=back), rows if back == 0 else 200
        rng = np.random.default_rng(back)
        columns = {}
        for f in stored.fields:
            kind = type_of(f.spark_type)
            if f.name == "snapshot_date":
                columns[f.name] = pa.array([day] * n, kind)
            elif f.name == "_run_id":
                columns[f.name] = pa.array([f"{back:032x}"] * n)
            elif f.name == "_dq_status":
                columns[f.name] = pa.array(["valid"] * n)
            elif f.allowed:
                columns[f.name] = pa.array(rng.choice(list(map(str, f.allowed)), n)).cast(kind)
            elif pa.types.is_floating(kind) or pa.types.is_integer(kind):
                columns[f.name] = pa.array(rng.uniform(0, 100, n)).cast(kind, safe=False)
            elif kind == pa.string():
                columns[f.name] = pa.array([f"CUST-{i:07d}" for i in range(n)])
            else:
                columns[f.name] = pa.nulls(n, kind)
        frame = pa.table(columns, schema=schema)
        partitions = ["snapshot_date", "_run_id"]
        write_deltalake(str(root / stored.name), frame, mode="append", partition_by=partitions)
        outputs = {stored.name: 0}
        lake.publish(f"ingest:{contract.entity.name}", day, f"{back:032x}", rows=n, outputs=outputs)


def measure(root: Path) -> None:
    """Open the lake, ask it, and print what that took."""
    begun = time.perf_counter()
    from engage_spark import open_lake

    imported = time.perf_counter()
    lake = open_lake(root)
    counted = lake.sql("SELECT count(DISTINCT snapshot_date) AS n FROM customers", threads=1)
    opened = time.perf_counter()
    query = (
        "SELECT account_type, count(*) AS n, avg(engagement_score) AS score FROM customers "
        f"WHERE snapshot_date = DATE '{NEWEST}' GROUP BY ALL ORDER BY ALL"
    )
    answer = lake.sql(query, memory="256MB", threads=1)
    answered = time.perf_counter()
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    peak = int(next(x for x in status.splitlines() if x.startswith("VmHWM")).split()[1]) / 1024
    print(
        f"{counted.arrow['n'][0]} days: imported in {imported - begun:.2f} s, opened and counted in "
        f"{opened - imported:.2f} s; "
        f"{sum(answer.arrow['n'].to_pylist()):,} rows grouped in {answered - opened:.2f} s; "
        f"peak memory {peak:.0f} MB"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--days", type=int, default=365)
    parser.add_argument("--at", type=Path, help="a lake that was built before")
    options = parser.parse_args()
    if options.at:
        measure(options.at)
        return
    with tempfile.TemporaryDirectory() as home:
        build(Path(home), rows=options.rows, days=options.days)
        for _ in range(3):
            subprocess.run([sys.executable, __file__, "--at", home], check=True)


if __name__ == "__main__":
    main()
