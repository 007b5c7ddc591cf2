"""Small deliveries for the pipeline tests: valid rows of any contract's tables as Parquet, and what came out,
for comparison.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from engage_spark.contract import Contract, Field, Table, load_contract
from engage_spark.lake import Lake, RunLog
from engage_spark.publication import Run
from engage_spark.settings import Settings
from tests.support.paths import DATA

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

ENGAGEMENT = load_contract()
BIKES = load_contract(DATA / "bikes.odcs.yaml")
ARROW = {
    "int": pa.int32(),
    "bigint": pa.int64(),
    "double": pa.float64(),
    "string": pa.string(),
    "boolean": pa.bool_(),
    "date": pa.date32(),
    "timestamp": pa.timestamp("us", "UTC"),
}


def _values(f: Field, n: int, rng: np.random.Generator) -> Any:
    if f.allowed:
        return rng.choice(np.array(f.allowed, dtype=object), n)
    low, high = (f.minimum or 0, f.maximum if f.maximum is not None else 100)
    match f.spark_type:
        case "int" | "bigint":
            return rng.integers(int(low), int(high) + 1, n).astype(object)
        case "double":
            return rng.uniform(low, high, n).astype(object)
        case "boolean":
            return rng.integers(0, 2, n).astype(bool).astype(object)
        case "date":
            return np.array([date(2015 + int(y), 3, 1) for y in rng.integers(0, 9, n)], dtype=object)
    return np.array([None] * n, dtype=object)


def _any_rows(table: Table, n: int, seed: int) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    return pd.DataFrame({f.name: pd.Series(_values(f, n, rng), dtype=object) for f in table.fields})


def customers(n: int, *, seed: int = 1, start: int = 0) -> pd.DataFrame:
    """Rows that break no rule of the packaged contract."""
    rows = _any_rows(ENGAGEMENT.entity, n, seed)
    rows["customer_id"] = [f"CUST-{start + i:06d}" for i in range(n)]
    rows["last_login_days_ago"] %= 8
    rows["sessions_last_7_days"] = np.minimum(rows["sessions_last_7_days"], rows["sessions_last_30_days"])
    paying = rows["transaction_count_last_30_days"] > 0
    rows["transaction_revenue_30_day"] = (
        (rows["transaction_revenue_30_day"] * paying).astype(float).astype(object)
    )
    months = np.resize(np.array([1.0, 2.5, 3.0, 4.0]), n)
    rows["transaction_revenue_last_90_days"] = np.minimum(
        rows["transaction_revenue_30_day"] * months, 30000.0
    )
    rows.loc[rows.index[::7], ["last_login_days_ago", "sessions_last_7_days", "sessions_last_30_days"]] = [
        40,
        0,
        0,
    ]
    rows.loc[rows.index[3::7], "followers_count"] = 0
    return rows


def stations(n: int, *, seed: int = 1) -> pd.DataFrame:
    """Rows that break no rule of the bikes contract."""
    rows = _any_rows(BIKES.entity, n, seed)
    rows["station_code"] = [f"ST{i:04d}" for i in range(n)]
    rows["bikes_parked"] = np.minimum(rows["bikes_parked"], rows["docks_total"])
    rows["rides_started"] += 1
    rows["rides_started"] = np.minimum(rows["rides_started"], 2000)
    return rows


def events(
    table: Table, pairs: list[tuple[str | None, str | None]], days: list[str | None], *, seed: int = 1
) -> pd.DataFrame:
    """Rows of a log: its two reference columns from `pairs`, its event time at noon of `days` in turn."""
    rows = _any_rows(table, len(pairs), seed)
    first, second = (r.column for r in table.references)
    rows[first], rows[second] = [p[0] for p in pairs], [p[1] for p in pairs]
    moments = [
        None if (d := days[i % len(days)]) is None else pd.Timestamp(f"{d}T12:00:00", tz="UTC")
        for i in range(len(pairs))
    ]
    rows[table.event_time] = pd.Series(moments, dtype=object)
    return rows


def write(rows: pd.DataFrame, table: Table, folder: Path, *, files: int = 1) -> None:
    """Write rows as `files` Parquet files into a folder, which is emptied first."""
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("*.parquet"):
        old.unlink()
    schema = pa.schema([(f.name, ARROW[f.spark_type]) for f in table.fields])
    for i in range(files):
        part = rows.iloc[i::files]
        # By hand: pandas would turn a null among integers, and NaN, into one another.
        columns = [
            pa.array(
                [None if v is None else v for v in part[n].tolist()], schema.field(n).type, from_pandas=False
            )
            for n in schema.names
        ]
        pq.write_table(pa.table(columns, schema=schema), folder / f"part-{i}.parquet")


def deliver(rows: pd.DataFrame, contract: Contract, home: Path, day: str, *, files: int = 1) -> None:
    """Write one snapshot of the entity below `home/raw`."""
    write(rows, contract.entity, home / "raw" / contract.entity.name / f"snapshot_date={day}", files=files)


def deliver_log(rows: pd.DataFrame, table: Table, home: Path, *, files: int = 1) -> None:
    """Write one log below `home/raw`."""
    write(rows, table, home / "raw" / table.name, files=files)


def settings_of(session_settings: Settings, home: Path, **ingest: Any) -> Settings:
    """Settings with input and lake below `home`."""
    return Settings(
        input={"root": str(home / "raw")},
        lake={"root": str(home / "lake")},
        ingest=ingest,
        spark=session_settings.spark,
    )  # type: ignore[arg-type]


def run_log(settings: Settings) -> RunLog:
    return RunLog(Lake(settings.lake))


def latest(spark: SparkSession, settings: Settings, stage: str) -> dict[str, Run]:
    """The latest attempt of a stage by day as text."""
    latest = run_log(settings).publication(spark).latest
    return {str(day): run for (s, day), run in latest.items() if s == stage}


def content(rows: DataFrame, *, without: tuple[str, ...] = ()) -> str:
    """A hash over the sorted rows."""
    columns = [c for c in rows.columns if c not in without]
    lines = sorted(repr(tuple(r)) for r in rows.select(*columns).collect())
    return hashlib.sha256("\n".join(lines).encode()).hexdigest() + f"/{len(lines)}"


def reasons(rows: DataFrame, key: str) -> dict[Any, list[list[str]]]:
    """The rules broken, by key value (a list of rows, for a key may be there twice); sound rows are left
    out.
    """
    found: dict[Any, list[list[str]]] = {}
    for r in rows.where("size(_dq_errors) > 0").select(key, "_dq_errors").collect():
        found.setdefault(r[key], []).append([e["rule"] for e in r["_dq_errors"]])
    return found


def sums(runs: Mapping[str, Run]) -> dict[str, tuple[int, int, int, str]]:
    return {day: (r.rows_in, r.rows_valid, r.rows_quarantined, r.status) for day, r in runs.items()}
