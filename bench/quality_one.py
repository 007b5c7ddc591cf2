"""One measured run of one engine: `quality_one.py ENGINE FILES SCRATCH WARM`, with an engine of
`quality.ENGINES`. Prints one JSON line.

Once cold, then WARM times in the same process; starting Spark and importing are not counted. All engines have
two threads.
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
from machine import event_log
from quality_rules import TABLE, means, rules

Found = dict[str, Any]


def ours(spark: Any, files: str, *, every_row: bool) -> Callable[[], Found]:
    """Run what `quality.check` runs: keys, then one scan that builds the reasons of each row, counts rules by
    them, and counts the exact states of all columns.

    `every_row` hands every row with its reasons over as well (`noop`, so that nothing is pruned): the rules
    are evaluated once more for that. Ingest evaluates them once, since it counts what it wrote.
    """
    from engage_spark.quality import (
        TableCounts,
        binning,
        collect_duplicates,
        count_columns,
        cuts_of,
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
    binnings = tuple(binning(f) for f in TABLE.fields)

    def run() -> Found:
        marks = [time.time()]
        rows = conform(spark.read.parquet(files), TABLE).rows
        duplicates = collect_duplicates(rows, TABLE, materialize=lambda keys: keys)
        judged = with_duplicate_flag(rows, duplicates, table=TABLE).transform(
            with_check_results, checks=checks
        )
        marks.append(time.time())
        if every_row:
            judged.write.format("noop").mode("overwrite").save()
        marks.append(time.time())
        counted = count_columns(
            judged, rules=[c.name for c in checks], binnings=binnings, cuts=cuts_of(table)
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


def gx(spark: Any, files: str, result_format: str, *, persist: bool) -> Callable[[], Found]:
    """The suite by GX's own public API. Without being told otherwise GX persists the table."""
    os.environ["GX_ANALYTICS_ENABLED"] = "false"
    import great_expectations as gx_
    from great_expectations.expectations.expectation_configuration import ExpectationConfiguration

    context = gx_.get_context(mode="ephemeral")
    context.variables.progress_bars = {"globally": False}
    source = context.data_sources.add_spark("spark", persist=persist)
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


def repeated(run: Callable[[], Found], warm: int) -> tuple[Found, list[tuple[float, float]]]:
    spans = []
    found: Found = {}
    for _ in range(1 + warm):
        began = time.time()
        found = run()
        spans.append((began, time.time()))
    return found, spans


def main() -> None:
    engine, files, scratch, warm = sys.argv[1:5]
    if engine == "duckdb":
        found, spans = repeated(duckdb(f"{files}/*.parquet"), int(warm))
        print(json.dumps(found | {"seconds": [b - a for a, b in spans]}))
        return
    from engage_spark.settings import Settings
    from engage_spark.spark.session import open_session

    events = Path(scratch) / "events"
    conf = event_log(events) | {"spark.sql.maxMetadataStringLength": "100000"}
    spark_settings = {"master": "local[2]", "driver_memory": "4g", "shuffle_partitions": 4, "conf": conf}
    with open_session(Settings(lake={"root": scratch}, spark=spark_settings)) as spark:
        if engine.startswith("ours"):
            run = ours(spark, files, every_row=engine == "ours-rows")
        else:
            answers = "BASIC" if engine.startswith("gx-basic") else "BOOLEAN_ONLY"
            run = gx(spark, files, answers, persist=not engine.endswith("-unpersisted"))
        found, spans = repeated(run, int(warm))
    (log,) = events.iterdir()
    print(
        json.dumps(found | {"seconds": [b - a for a, b in spans], "counts": counted(log, files, *spans[0])})
    )


if __name__ == "__main__":
    main()
