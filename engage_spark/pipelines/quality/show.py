"""What failed: the results of a judged day, for people."""

from __future__ import annotations

import time
from datetime import date
from typing import Any

from pyspark.sql import SparkSession

from engage_spark.contract import Contract
from engage_spark.pipelines.context import RunContext
from engage_spark.pipelines.quality.history import results
from engage_spark.pipelines.results import Report
from engage_spark.pipelines.stages import QUALITY_RESULTS
from engage_spark.quality import RuleCount
from engage_spark.quality.report.formatting import format_bound, format_measured, percentage
from engage_spark.settings import Settings

_ORDER = {"critical": 0, "warning": 1, "info": 2}


def run_show(
    spark: SparkSession,
    settings: Settings,
    *,
    contract: Contract,
    snapshot_date: date | None = None,
    table: str | None = None,
) -> Report:
    """List what was broken on a day (default: the newest judged), worst first. Costs as `results`; nothing is
    judged again.
    """
    started = time.monotonic()
    context = RunContext(spark, settings, contract)
    day, lines = results(context, snapshot_date, table)
    broken = [
        line
        for line in lines
        if not line["passed"] or (line["violations"] and line["unit"] == "percent" and _is_rule(line))
    ]
    broken.sort(
        key=lambda r: (r["table_name"], r["passed"], _ORDER[r["severity"]], -r["violations"], r["rule_name"])
    )
    rows = tuple(
        ("ok" if r["passed"] else "failed", r["severity"], r["rule_name"], f"{r['violations']:,}", _found(r))
        for r in broken
    )
    tables = sorted({r["table_name"] for r in lines})
    return Report(
        stage="quality show",
        seconds=time.monotonic() - started,
        lines=(
            ("snapshot", str(day)),
            ("table", ", ".join(tables)),
            ("rules and gates", f"{len(lines):,}"),
            ("failed", f"{sum(not r['passed'] for r in lines):,}"),
            ("broken within tolerance", f"{sum(r['passed'] for r in broken):,}"),
        ),
        table=(("", "severity", "rule", "rows", "measured, found"), rows) if rows else None,
        locations={QUALITY_RESULTS: context.lake.location(QUALITY_RESULTS)},
    )


def _is_rule(line: dict[str, Any]) -> bool:
    """A rule on rows, which a gate is not: its share is that of the rows that broke it."""
    return line["minimum"] is None and line["measured"] == 100.0 * line["violations"] / line["rows_checked"]


def _found(line: dict[str, Any]) -> str:
    names = RuleCount.__dataclass_fields__
    known: dict[str, Any] = {k: tuple(v) if k == "samples" else v for k, v in line.items() if k in names}
    count = RuleCount(**known)
    if count.samples or (count.violations and _is_rule(line)):
        shown = ", ".join(map(repr, count.samples[:3]))
        return percentage(count.violations, count.rows_checked) + (f": {shown}" if shown else "")
    return f"{format_measured(count)}, bound {format_bound(count)}"
