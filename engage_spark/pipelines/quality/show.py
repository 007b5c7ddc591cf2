"""Show what failed: the recorded results of a checked day."""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import date
from typing import Any

from pyspark.sql import SparkSession

from engage_spark.contract import Contract
from engage_spark.pipelines.context import RunContext
from engage_spark.pipelines.quality.history import read_results
from engage_spark.pipelines.results import RuleOutcome, ShowResult
from engage_spark.publication import RUNS
from engage_spark.settings import Settings

_SEVERITY_ORDER = {"critical": 0, "warning": 1, "info": 2}


def run_show(
    spark: SparkSession,
    settings: Settings,
    *,
    contract: Contract,
    snapshot_date: date | None = None,
    table: str | None = None,
) -> ShowResult:
    """List what was broken on a day (default: the newest that was checked), worst first.

    Cost: that of `read_results`; nothing is checked again.
    """
    started = time.monotonic()
    context = RunContext(spark, settings, contract)
    day, results = read_results(context, snapshot_date, table)
    outcomes = [_rule_outcome(r) for r in results]
    broken = [o for o in outcomes if not o.passed or (o.violations and o.counts_rows)]
    broken.sort(key=lambda o: (o.table, o.passed, _SEVERITY_ORDER[o.severity], -o.violations, o.rule_name))
    return ShowResult(
        stage="quality show",
        seconds=time.monotonic() - started,
        locations={RUNS: context.lake.location(RUNS)},
        snapshot_date=day,
        tables=tuple(sorted({o.table for o in outcomes})),
        rules=len(outcomes),
        failed=sum(not o.passed for o in outcomes),
        broken=tuple(broken),
    )


def _rule_outcome(row: Mapping[str, Any]) -> RuleOutcome:
    names = RuleOutcome.__dataclass_fields__.keys() - {"table", "samples"}
    return RuleOutcome(
        table=row["table_name"], samples=tuple(row["samples"]), **{name: row[name] for name in names}
    )
