"""Build Great Expectations' Data Docs of a checked snapshot."""

from __future__ import annotations

import time
from datetime import date
from pathlib import Path

from pyspark.sql import SparkSession

from engage_spark import log
from engage_spark.contract import Contract
from engage_spark.errors import NotPublishedError
from engage_spark.gx.data_docs import build_site
from engage_spark.gx.gx_runner import require_gx
from engage_spark.gx.recorded_results import PublishedValidation, published
from engage_spark.pipelines.context import RunContext
from engage_spark.pipelines.quality.history import read_results
from engage_spark.pipelines.results import DocsResult, DocumentedTable
from engage_spark.settings import Settings


def run_docs(
    spark: SparkSession,
    settings: Settings,
    *,
    contract: Contract,
    snapshot_date: date | None = None,
    out: Path,
) -> DocsResult:
    """Build the site of one checked day (default: the newest), published or rejected, of every input table.

    Cost: two scans of a small table.
    Source: quality_results, in the table runs.
    Errors: NotPublishedError when nothing was checked on that day; ConfigurationError when Great Expectations
    is not installed.
    """
    started = time.monotonic()
    require_gx()
    context = RunContext(spark, settings, contract)
    day, results = read_results(context, snapshot_date, None)
    tables = [t for t in contract.tables if any(r["table_name"] == t.name for r in results)]
    if not tables:
        raise NotPublishedError(
            f"no table of this contract was checked on {day}",
            hint="run `engage-spark ingest`; `engage-spark runs` shows what was checked",
        )
    attempts = {a.run_id: a.status for a in context.log.attempts(spark) if a.snapshot_date == day}
    documents: list[PublishedValidation] = []
    statuses: list[str] = []
    for table in tables:
        own = sorted((r for r in results if r["table_name"] == table.name), key=lambda r: str(r["rule_name"]))
        # Absent where another process has checked the day between the two looks at `runs`.
        statuses.append(attempts.get(own[0]["run_id"], "just checked again"))
        documents.append(published(table, own, day=day, status=statuses[-1], version=contract.version))
    with log.stage("building Data Docs", out=str(out)):
        index = build_site(documents, out)
    return DocsResult(
        stage="quality docs",
        seconds=time.monotonic() - started,
        index=str(index),
        tables=tuple(
            DocumentedTable(
                table=d.table,
                snapshot_date=d.day,
                status=status,
                expectations=d.result["statistics"]["evaluated_expectations"],
                failed=d.result["statistics"]["unsuccessful_expectations"],
            )
            for d, status in zip(documents, statuses, strict=True)
        ),
    )
