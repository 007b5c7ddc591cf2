"""Great Expectations' Data Docs of a judged snapshot."""

from __future__ import annotations

import time
from datetime import date
from pathlib import Path

from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from engage_spark import log
from engage_spark.contract import SNAPSHOT_DATE, Contract, TableKind
from engage_spark.errors import NotPublishedError
from engage_spark.gx.data_docs import build_site
from engage_spark.gx.gx_runner import require_gx
from engage_spark.gx.published import Published, published
from engage_spark.lake import Lake, RunLog, translate_spark_errors
from engage_spark.pipelines.results import Report
from engage_spark.pipelines.stages import QUALITY_RESULTS
from engage_spark.settings import Settings


def run_docs(
    spark: SparkSession,
    settings: Settings,
    *,
    contract: Contract,
    snapshot_date: date | None = None,
    out: Path,
) -> Report:
    """Build the site of one judged day (default: the newest) from quality_results: published or rejected, of
    every input table judged then.

    One scan of two small tables. Raises ConfigurationError when nothing was judged on that day, or Great
    Expectations is not installed.
    """
    started = time.monotonic()
    require_gx()
    lake = Lake(settings.lake)
    with translate_spark_errors(f"{lake.location(QUALITY_RESULTS)} cannot be read"):
        lines = lake.read(spark, QUALITY_RESULTS)
        day = snapshot_date or lines.agg(F.max(SNAPSHOT_DATE)).collect()[0][0]
        found = (
            [row.asDict() for row in lines.where(F.col(SNAPSHOT_DATE) == F.lit(day)).collect()] if day else []
        )
    tables = [
        t
        for t in contract.tables
        if t.kind in (TableKind.ENTITY, TableKind.LOG) and any(r["table_name"] == t.name for r in found)
    ]
    if not tables:
        raise NotPublishedError(
            f"nothing was judged on {day}",
            hint="run `engage-spark ingest`; `engage-spark runs` shows what was",
        )
    attempts = {a.run_id: a.status for a in RunLog(lake).attempts(spark) if a.snapshot_date == day}
    documents: list[Published] = []
    status: dict[str, str] = {}
    for table in tables:
        own = sorted((r for r in found if r["table_name"] == table.name), key=lambda r: str(r["rule_name"]))
        # By the run that wrote these results: one that was killed before its row in `runs` has none.
        status[table.name] = attempts.get(own[0]["run_id"], "not finished")
        documents.append(published(table, own, day=day, status=status[table.name], version=contract.version))
    with log.stage("building Data Docs", out=str(out)):
        index = build_site(documents, out)
    rows = tuple(
        (
            d.table,
            str(d.day),
            status[d.table],
            f"{d.result['statistics']['evaluated_expectations']}",
            f"{d.result['statistics']['unsuccessful_expectations']}",
        )
        for d in documents
    )
    return Report(
        stage="quality docs",
        seconds=time.monotonic() - started,
        table=(("table", "snapshot", "status", "expectations", "not held"), rows),
        locations={"data docs": str(index)},
    )
