"""Data Docs of a day, from quality_results as ingest writes them."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from engage_spark.contract import load_contract
from engage_spark.errors import NotPublishedError
from engage_spark.lake import Lake, RunLog
from engage_spark.pipelines.context import StageRun
from engage_spark.pipelines.quality.docs import run_docs
from engage_spark.pipelines.stages import ingest_stage
from engage_spark.quality import row_checks
from tests.support.paths import DATA

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from engage_spark.settings import Settings

BIKES = load_contract(DATA / "bikes.odcs.yaml")


def write_results(spark: SparkSession, settings: Settings, day: date, broken: str) -> None:
    usual: dict[str, Any] = {
        "table_name": BIKES.entity.name, "snapshot_date": day, "rows_checked": 50,
        "violations": 0, "measured": 0.0,
        "unit": "percent", "minimum": None, "maximum": None, "passed": True, "samples": [],
    }  # fmt: skip
    lines = [
        usual
        | {
            "rule_name": c.name,
            "column_name": c.column,
            "severity": c.severity.value,
            "dimension": str(c.dimension),
            "description": "-",
        }
        for c in row_checks(BIKES.entity)
    ]
    lines = [
        one | {"violations": 2, "passed": False, "samples": ["<i>x"]} if one["rule_name"] == broken else one
        for one in lines
    ]
    work = StageRun(
        stage=ingest_stage(BIKES.entity),
        snapshot_date=day,
        inputs={},
        contract=BIKES,
        settings_digest="",
        previous=None,
    )
    started = datetime(2025, 10, 22, tzinfo=UTC)
    run = work.to_run(rows_in=0, valid=0, quarantined=0, outputs={}, started_at=started)
    lines = [one | {"run_id": run.run_id} for one in lines]
    RunLog(Lake(settings.lake)).append(spark, run, {"quality_results": lines, "quality_states": []})


@pytest.mark.slow
def test_the_newest_day_or_the_one_asked_for_is_shown(
    spark: SparkSession, settings: Settings, tmp_path: Path
) -> None:
    out = tmp_path / "docs"
    write_results(spark, settings, date(2025, 10, 20), "district.allowed")
    write_results(spark, settings, date(2025, 10, 21), "no_such_rule")
    newest = run_docs(spark, settings, contract=BIKES, out=out)
    (table,) = newest.tables
    assert (table.table, table.snapshot_date, table.status) == (
        "stations",
        date(2025, 10, 21),
        "published",
    )
    assert table.failed == 0
    older = run_docs(spark, settings, contract=BIKES, snapshot_date=date(2025, 10, 20), out=out)
    assert older.tables[0].failed == 1
    (page,) = (out / "validations").rglob("*.html")
    assert "&lt;i&gt;x" in page.read_text()
    assert Path(older.index) == out / "index.html"


def test_a_day_that_was_not_checked_is_an_error(
    spark: SparkSession, settings: Settings, tmp_path: Path
) -> None:
    write_results(spark, settings, date(2025, 10, 21), "district.allowed")
    with pytest.raises(NotPublishedError, match="nothing was checked on 2024-01-01"):
        run_docs(spark, settings, contract=BIKES, snapshot_date=date(2024, 1, 1), out=tmp_path / "docs")
