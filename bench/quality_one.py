"""One measured run of one engine: `quality_one.py ours|gx-basic|gx-boolean|duckdb FILES SCRATCH`. Prints one
JSON line.

Twice in one process, for cold and warm; starting Spark and importing are not counted. All engines have two
threads.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

from features_ours import counted
from quality_rules import TABLE, means, rules

Found = dict[str, Any]


def ours(spark: Any, files: str) -> Callable[[], Found]:
    """Keys, then every row with its reasons (`noop`, so that nothing is pruned), then counts and means by a
    second look at the same plan.

    Ingest writes the judged rows once and counts what was written, so it evaluates no rule twice; here
    nothing is written.
    """
    from engage_spark.quality import (
        MAX_LITERAL_KEYS,
        TableCounts,
        binning,
        count_columns,
        cuts_of,
        duplicated_keys,
        evaluate_gates,
        row_checks,
        with_check_results,
        with_duplicate_flag,
    )
    from engage_spark.spark.schema import conform

    names = {r.name for r in rules()}
    checks = tuple(c for c in row_checks(TABLE) if c.name in names)
    gated = tuple(means())
    table = type(TABLE)(**{f: getattr(TABLE, f) for f in TABLE.__dataclass_fields__} | {"gates": gated})
    measured = tuple(binning(TABLE[g.column or ""]) for g in gated)

    def run() -> Found:
        marks = [time.time()]
        rows = conform(spark.read.parquet(files), TABLE).rows
        keys = duplicated_keys(rows, TABLE)
        few = keys.limit(MAX_LITERAL_KEYS + 1).collect()
        assert len(few) <= MAX_LITERAL_KEYS
        duplicates = spark.createDataFrame(few, keys.schema) if few else None
        judged = with_duplicate_flag(rows, duplicates, table=TABLE).transform(
            with_check_results, checks=checks
        )
        marks.append(time.time())
        judged.write.format("noop").mode("overwrite").save()
        marks.append(time.time())
        counted = count_columns(
            judged, rules=[c.name for c in checks], binnings=measured, cuts=cuts_of(table)
        )
        counts = TableCounts(
            rows=counted.rows, quarantined=counted.quarantined, broken=counted.broken, columns=counted.columns
        )
        results = evaluate_gates(counts, table, checks).counts
        took = [b - a for a, b in pairwise([*marks, time.time()])]
        return {
            "rules": len(results),
            "failed": sum(not r.passed for r in results),
            "violations": sum(counted.broken.values()),
            "keys, rows, counts": took,
        }

    return run


def gx(spark: Any, files: str, result_format: str) -> Callable[[], Found]:
    """The suite by GX's own public API. `persist` as GX has it (on) unless GX_PERSIST=0."""
    os.environ["GX_ANALYTICS_ENABLED"] = "false"
    import great_expectations as gx_
    from great_expectations.expectations.expectation_configuration import ExpectationConfiguration

    context = gx_.get_context(mode="ephemeral")
    context.variables.progress_bars = {"globally": False}
    source = context.data_sources.add_spark("spark", persist=os.environ.get("GX_PERSIST", "1") == "1")
    definition = source.add_dataframe_asset("customers").add_batch_definition_whole_dataframe("all")
    suite = gx_.ExpectationSuite(name="customers")
    for r in rules():
        suite.add_expectation(ExpectationConfiguration(type=r.type, kwargs=r.kwargs).to_domain_obj())

    def run() -> Found:
        batch = definition.get_batch(batch_parameters={"dataframe": spark.read.parquet(files)})
        found = batch.validate(suite, result_format=result_format)
        raised = [r for r in found.results if any(_raised(e) for e in _exceptions(r))]
        assert not raised, raised[0].to_json_dict()
        counts = [_unexpected(r) for r in found.results]
        return {
            "rules": len(found.results),
            "failed": sum(not r.success for r in found.results),
            "violations": sum(counts),
        }

    return run


def _unexpected(result: Any) -> int:
    """How many rows GX counted against the expectation; for a query it tells them as the observed value."""
    of_query = result.expectation_config.type == "unexpected_rows_expectation"
    return int(result.result.get("observed_value" if of_query else "unexpected_count") or 0)


def _exceptions(result: Any) -> list[Any]:
    info = result.exception_info or {}
    return [info] if "raised_exception" in info else list(info.values())


def _raised(info: Any) -> bool:
    return isinstance(info, dict) and bool(info.get("raised_exception"))


def duckdb(files: str) -> Callable[[], Found]:
    """Counts and means in one scan, unique keys in another, and every row with its reasons in a third, hashed
    so that nothing is pruned.
    """
    import duckdb as db

    con = db.connect()
    con.execute("SET threads = 2; SET preserve_insertion_order = false; SET enable_progress_bar = false")
    stated = [r for r in rules() if r.sql]
    broken = " OR ".join(f"coalesce({r.sql}, false)" for r in stated)
    reasons = ", ".join(
        f"CASE WHEN {r.sql} THEN {{'rule': '{r.name}', 'column': '{r.column}', 'value': "
        f"CAST({r.column} AS VARCHAR)}} END"
        for r in stated
    )
    errors = f"CASE WHEN {broken} THEN list_filter([{reasons}], lambda x: x IS NOT NULL) END"
    counts = ", ".join([*(f"count_if({r.sql})" for r in stated), *(f"avg({g.column})" for g in means())])

    def run() -> Found:
        told = con.execute(f"SELECT {counts} FROM read_parquet('{files}')").fetchone() or ()
        twice = con.execute(
            f"SELECT {TABLE.key[0]} FROM read_parquet('{files}') GROUP BY 1 HAVING count(*) > 1"
        ).fetchall()
        con.execute(
            f"SELECT bit_xor(hash(r)) FROM (SELECT *, {errors} AS _dq_errors FROM read_parquet('{files}')) r"
        ).fetchall()
        low = [
            (m < (g.minimum or m)) or (m > (g.maximum or m))
            for g, m in zip(means(), told[len(stated) :], strict=True)
        ]
        failed = sum(n > 0 for n in told[: len(stated)]) + bool(twice) + sum(low)
        return {"rules": len(rules()), "failed": failed, "violations": sum(told[: len(stated)])}

    return run


def twice(run: Callable[[], Found]) -> tuple[Found, list[tuple[float, float]]]:
    spans = []
    found: Found = {}
    for _ in range(2):
        began = time.time()
        found = run()
        spans.append((began, time.time()))
    return found, spans


def main() -> None:
    engine, files, scratch = sys.argv[1:4]
    if engine == "duckdb":
        found, spans = twice(duckdb(f"{files}/*.parquet"))
        print(json.dumps(found | {"seconds": [b - a for a, b in spans]}))
        return
    from engage_spark.settings import Settings
    from engage_spark.spark.session import open_session

    events = Path(scratch) / "events"
    events.mkdir(parents=True)
    conf = {
        "spark.eventLog.enabled": "true",
        "spark.eventLog.dir": str(events),
        "spark.eventLog.rolling.enabled": "false",
        "spark.eventLog.compress": "false",
        "spark.sql.maxMetadataStringLength": "100000",
    }
    spark_settings = {"master": "local[2]", "driver_memory": "4g", "shuffle_partitions": 4, "conf": conf}
    with open_session(Settings(lake={"root": scratch}, spark=spark_settings)) as spark:
        run = (
            ours(spark, files)
            if engine == "ours"
            else gx(spark, files, "BASIC" if engine == "gx-basic" else "BOOLEAN_ONLY")
        )
        found, spans = twice(run)
    (log,) = events.iterdir()
    print(
        json.dumps(found | {"seconds": [b - a for a, b in spans], "counts": counted(log, files, *spans[0])})
    )


if __name__ == "__main__":
    main()
