"""Time `analyze` beside DuckDB on the same rows: `python bench/analytics.py [--rows N …] [--cores N]`.

The stage runs as users run it, on a lake with one published snapshot: it reads, counts, correlates, judges
and writes its tables. DuckDB reads the same Parquet files and counts the same metrics in the same segments:
number, sum, sum of squares, minimum, maximum, quantiles where the stage has them, and distinct customers;
neither correlations nor claims. Prints seconds, and how many times as long the stage takes.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
from deltalake import DeltaTable, write_deltalake

sys.path.insert(0, str(Path(__file__).parents[1]))  # for the lakes of the tests

from bench.machine import described
from engage_spark.analytics.spec_plan import dimensions_of, metrics_of
from engage_spark.contract import Contract, judged_table, load_contract
from engage_spark.contract.analytics import analytics_spec_of
from engage_spark.contract.analytics_spec import AnalyticsSpec, DimensionKind
from engage_spark.publication import PUBLISHED, Kind, Run
from engage_spark.settings import LakeSettings, Settings, SparkSettings
from tests.support.lake_without_spark import type_of

DAY, RUN = date(2025, 10, 21), "0" * 32
CHUNK = 500_000


def build(root: Path, contract: Contract, rows: int) -> None:
    """Write a lake with one snapshot of the entity: skewed numbers with two decimals, 0.1% null."""
    stored = judged_table(contract.entity)
    schema = pa.schema([(f.name, type_of(f.spark_type)) for f in stored.fields])
    for first in range(0, rows, CHUNK):
        n, rng = min(CHUNK, rows - first), np.random.default_rng(first)
        columns = {f.name: _column(f, n, first, rng) for f in stored.fields}
        frame = pa.table(columns, schema=schema)
        partitions = ["snapshot_date", "_run_id"]
        write_deltalake(str(root / stored.name), frame, mode="append", partition_by=partitions)


def published(contract: Contract, rows: int) -> Run:
    """Return the run that publishes the snapshot."""
    at = datetime(2025, 10, 22, tzinfo=UTC)
    return Run(
        run_id=RUN,
        stage=f"ingest:{contract.entity.name}",
        kind=Kind.SNAPSHOT,
        snapshot_date=DAY,
        status=PUBLISHED,
        inputs={},
        outputs={judged_table(contract.entity).name: 0},
        contract_id=contract.id,
        contract_version=contract.version,
        contract_digest=contract.digest,
        settings_digest="",
        rows_in=rows,
        rows_valid=rows,
        rows_quarantined=0,
        message="",
        started_at=at,
        finished_at=at,
        attempt=1,
    )


def _column(f: Any, n: int, first: int, rng: np.random.Generator) -> pa.Array:
    kind = type_of(f.spark_type)
    fixed = {"snapshot_date": DAY, "_run_id": RUN, "_dq_status": "valid"}
    if f.name in fixed:
        return pa.array([fixed[f.name]] * n, kind)
    missing = rng.random(n) < 0.001
    if f.allowed:
        return pa.array(rng.choice(list(map(str, f.allowed)), n), mask=missing).cast(kind)
    if pa.types.is_floating(kind) or pa.types.is_integer(kind):
        low, high = f.minimum or 0, 1000 if f.maximum is None else f.maximum
        values = low + (high - low) * rng.beta(1.5, 6, n)
        values = np.floor(values) if pa.types.is_integer(kind) else np.round(values, 2)
        return pa.array(values, mask=missing).cast(kind)
    if kind == pa.string():
        return pa.array([f"CUST-{i:08d}" for i in range(first, first + n)])
    return pa.nulls(n, kind)


def stage(root: Path, contract: Contract, cores: int, rows: int) -> tuple[float, int]:
    """Run the stage; return its seconds, without those of the session, and the number of states."""
    from engage_spark.lake import Lake, RunLog
    from engage_spark.pipelines.analyze.run import run_analyze
    from engage_spark.spark.session import open_session

    settings = Settings(
        lake=LakeSettings(root=str(root)),
        spark=SparkSettings(master=f"local[{cores}]", driver_memory="2g", shuffle_partitions=cores),
    )
    with open_session(settings) as spark:
        spark.range(1000).mapInArrow(lambda batches: batches, "id bigint").count()  # workers are there
        RunLog(Lake(settings.lake)).append(spark, published(contract, rows))
        started = time.monotonic()
        run_analyze(spark, settings, contract=contract)
        seconds = time.monotonic() - started
        return seconds, Lake(settings.lake).read(spark, "analytics_states").count()


def beside(root: Path, contract: Contract, spec: AnalyticsSpec, cores: int) -> tuple[float, int, int]:
    """Count the same with DuckDB; return its seconds, how many groups it made, and the dimensions that it
    could not read.
    """
    files = DeltaTable(str(root / judged_table(contract.entity).name)).file_uris()
    db = duckdb.connect(config={"threads": cores})
    db.execute("SET memory_limit = '8GB'")
    (key,) = contract.entity.key
    parquet = f"read_parquet({files!r}, hive_partitioning = false)"
    read = f"(SELECT *, DATE '{DAY}' AS snapshot_date FROM {parquet})"
    started, groups, skipped = time.monotonic(), 0, 0
    for d in (None, *dimensions_of(spec)):
        is_summarised = d is None or d.kind.is_summarised
        aggregates = [f"approx_count_distinct({key})", "count(*)"]
        for m in metrics_of(spec):
            if not (is_summarised or m.by_rules):
                continue
            x = f"({m.source.replace('`', chr(34))})::DOUBLE"
            aggregates += [f"count({x})", f"sum({x})", f"sum({x} * {x})", f"min({x})", f"max({x})"]
            if is_summarised:
                aggregates.append(f"approx_quantile({x}, [0.05, 0.25, 0.5, 0.75, 0.95])")
        group = "0" if d is None else d.source.replace("`", '"').replace("AS STRING", "AS VARCHAR")
        if d is not None and d.kind is DimensionKind.BAND:
            group = "+".join(f"({group} >= {b})::INT" for b in d.bounds)
        if d is not None and d.kind is DimensionKind.QUARTILE:
            bounds = f"SELECT approx_quantile({group}, [0.25, 0.5, 0.75]) FROM {read}"
            (cuts,) = db.execute(bounds).fetchone() or ((),)
            group = "+".join(f"({group} >= {c})::INT" for c in cuts)
        try:
            query = f"SELECT {group} AS g, {', '.join(aggregates)} FROM {read} GROUP BY g"
            groups += len(db.execute(query).fetchall())
        except duckdb.Error:
            skipped += 1  # a formula in Spark's words
    return time.monotonic() - started, groups, skipped


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--rows", type=int, nargs="+", default=[1_000_000, 10_000_000])
    options.add_argument("--cores", type=int, default=os.cpu_count() or 1)
    given = options.parse_args()
    contract = load_contract()
    spec = analytics_spec_of(contract).within({contract.entity.name})
    print(described())
    print(f"{len(spec.metrics)} metrics, {len(spec.dimensions)} dimensions, {given.cores} cores")
    for rows in given.rows:
        with tempfile.TemporaryDirectory() as home:
            build(Path(home), contract, rows)
            ours, states = stage(Path(home), contract, given.cores, rows)
            theirs, groups, skipped = beside(Path(home), contract, spec, given.cores)
        print(
            f"{rows:>12,} rows  analyze {ours:7.1f} s ({states:,} states)  DuckDB {theirs:7.1f} s "
            f"({groups:,} groups, {skipped} dimensions left out)  ratio {ours / theirs:.2f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
