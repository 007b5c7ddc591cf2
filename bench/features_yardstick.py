"""The same work without Spark: `features_yardstick.py duckdb|polars FILES OUT`. Prints one JSON line of
seconds.

The same checks from the same contract, an array of reasons a row, exact duplicate keys, counts per rule, one
judged Parquet file; then all derived fields over the valid rows, one more Parquet file. Two threads. No table
log, no publication, no masking.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable

os.environ["POLARS_MAX_THREADS"] = "2"

import duckdb
import polars as pl

from engage_spark.contract import Field, Table, load_contract

CONTRACT = load_contract()
CUSTOMERS, FEATURES = CONTRACT.entity, CONTRACT.derived[0]
DAY = "2025-10-21"


def checks(table: Table) -> list[tuple[str, str, str]]:
    """(rule, column shown, SQL that is true where it is broken), in a dialect that DuckDB and Polars
    share.
    """
    found: list[tuple[str, str, str]] = []
    for f in table.fields:
        found.append((f"{f.name}.not_null", f.name, f"{f.name} IS NULL"))
        found += [(f"{f.name}.{kind}", f.name, sql) for kind, sql in _of(f)]
    return found + [(r.name, r.columns[0], f"NOT ({r.expression})") for r in table.rules]


def _of(f: Field) -> list[tuple[str, str]]:
    found = []
    if f.is_floating:
        found.append(("finite", f"{f.name} + 0.0 <> {f.name} OR abs({f.name}) > 1e300"))
    if f.minimum is not None:
        found.append(("range", f"{f.name} < {f.minimum} OR {f.name} > {f.maximum}"))
    if f.allowed:
        found.append(("allowed", f"{f.name} NOT IN ({', '.join(repr(v) for v in f.allowed)})"))
    return found


def run_duckdb(files: str, out: str) -> dict[str, float]:
    con = duckdb.connect()
    con.execute("SET threads = 2; SET preserve_insertion_order = false; SET enable_progress_bar = false")
    found = checks(CUSTOMERS)
    pattern = (CUSTOMERS[CUSTOMERS.key[0]].pattern or "").removeprefix(r"\A").removesuffix(r"\z")
    found.append(("pattern", CUSTOMERS.key[0], f"NOT regexp_full_match({CUSTOMERS.key[0]}, '{pattern}')"))
    broken = " OR ".join(f"coalesce({sql}, false)" for _, _, sql in found)
    reasons = ", ".join(
        f"CASE WHEN {sql} THEN {{'rule': '{rule}', 'column': '{column}', 'severity': 'critical', "
        f"'value': CAST({column} AS VARCHAR)}} END"
        for rule, column, sql in found
    )
    errors = f"CASE WHEN {broken} THEN list_filter([{reasons}], lambda x: x IS NOT NULL) END"
    started = time.monotonic()
    con.execute(
        f"CREATE TEMP TABLE twice AS SELECT customer_id FROM read_parquet('{files}') GROUP BY 1 HAVING "
        "count(*) > 1"
    )
    con.execute(
        "COPY (SELECT c.*, t.customer_id IS NOT NULL AS duplicated, "
        f"{errors.replace('customer_id', 'c.customer_id')} AS _dq_errors, "
        f"DATE '{DAY}' AS snapshot_date FROM read_parquet('{files}') c LEFT JOIN twice t ON "
        "c.customer_id = t.customer_id) "
        f"TO '{out}/judged.parquet' (FORMAT parquet, COMPRESSION snappy)"
    )
    con.execute(
        f"SELECT e.rule, count(*) FROM (SELECT unnest(_dq_errors) AS e FROM '{out}/judged.parquet') "
        "GROUP BY 1"
    ).fetchall()
    ingested = time.monotonic()
    derived, levels = f"SELECT * FROM '{out}/judged.parquet' WHERE NOT duplicated", _levels()
    for level in levels:
        derived = f"SELECT *, {', '.join(f'{_for_duckdb(f)} AS {f.name}' for f in level)} FROM ({derived})"
    con.execute(
        f"COPY (SELECT {', '.join(FEATURES.names)} FROM ({derived})) TO '{out}/features.parquet' "
        "(FORMAT parquet, COMPRESSION snappy)"
    )
    return {"ingest": ingested - started, "features": time.monotonic() - ingested}


def run_polars(files: str, out: str) -> dict[str, float]:
    found = checks(CUSTOMERS)
    flags = [(rule, column, pl.sql_expr(sql).fill_null(value=False)) for rule, column, sql in found]
    key = CUSTOMERS.key[0]
    flags.append(
        (
            "pattern",
            key,
            ~pl.col(key).str.contains((CUSTOMERS[key].pattern or "").replace(r"\A", "^").replace(r"\z", "$")),
        )
    )
    shown = ("rule", "column", "severity", "value")
    started = time.monotonic()
    rows = pl.scan_parquet(files, row_index_name="row")
    twice = (
        rows.group_by(key).len().filter(pl.col("len") > 1).select(key, pl.lit(value=True).alias("duplicated"))
    )
    # An array of reasons built for every row takes Polars minutes; for the few broken rows, check by check,
    # it is quick.
    bad = rows.filter(pl.any_horizontal(flag for _, _, flag in flags)).collect(engine="streaming").lazy()
    reasons = (
        pl.concat(
            [
                bad.filter(flag).select(
                    "row",
                    rule=pl.lit(rule),
                    column=pl.lit(column),
                    severity=pl.lit("critical"),
                    value=pl.col(column).cast(pl.String),
                )
                for rule, column, flag in flags
            ]
        )
        .group_by("row")
        .agg(pl.struct(shown).alias("_dq_errors"))
    )
    judged = (
        rows.join(twice, on=key, how="left")
        .join(reasons, on="row", how="left")
        .drop("row")
        .with_columns(
            pl.col("duplicated").fill_null(value=False), pl.lit(DAY).str.to_date().alias("snapshot_date")
        )
    )
    judged.sink_parquet(f"{out}/judged.parquet", compression="snappy")
    pl.scan_parquet(f"{out}/judged.parquet").select(pl.col("_dq_errors").explode()).drop_nulls().unnest(
        "_dq_errors"
    ).group_by("rule").len().collect()
    ingested = time.monotonic()
    derived = pl.scan_parquet(f"{out}/judged.parquet").filter(~pl.col("duplicated"))
    for level in _levels():
        derived = derived.with_columns(_for_polars(f).alias(f.name) for f in level)
    derived.select(FEATURES.names).sink_parquet(f"{out}/features.parquet", compression="snappy")
    return {"ingest": ingested - started, "features": time.monotonic() - ingested}


def _levels() -> list[list[Field]]:
    counts = [f for f in FEATURES.fields if f.formula and set(f.inputs) & set(FEATURES.names)]
    return [[f for f in FEATURES.fields if f.formula and f not in counts], counts]


def _for_duckdb(f: Field) -> str:
    if f.name == "signup_month":
        return "CAST(date_trunc('month', snapshot_date) - to_months(tenure_months) AS DATE)"
    return (f.formula or "").replace("0.0D", "CAST(0 AS DOUBLE)")


def _for_polars(f: Field) -> pl.Expr:
    if f.name == "signup_month":
        return (
            pl.col("snapshot_date")
            .dt.truncate("1mo")
            .dt.offset_by("-" + pl.col("tenure_months").cast(pl.String) + "mo")
        )
    return pl.sql_expr((f.formula or "").replace("0.0D", "0.0"))


ENGINES: dict[str, Callable[[str, str], dict[str, float]]] = {"duckdb": run_duckdb, "polars": run_polars}

if __name__ == "__main__":
    engine, files, out = sys.argv[1:4]
    print(json.dumps({"seconds": ENGINES[engine](files, out)}))
