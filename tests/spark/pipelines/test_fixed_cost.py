"""What ingest and features cost whatever the data: jobs and commits of a small delivery."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from engage_spark.pipelines.features import run_features
from engage_spark.pipelines.ingest.run import run_ingest
from tests.support.deliveries import ENGAGEMENT, customers, deliver, settings_of
from tests.support.spark_jobs import jobs_of

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from engage_spark.settings import Settings

DAY = "2025-10-21"
JOBS = {"ingest": 12, "features": 8}
STAGES = {"ingest": run_ingest, "features": run_features}


def test_a_small_delivery_takes_few_jobs_and_two_commits_a_stage(
    spark: SparkSession, session_settings: Settings, spark_kind: str, tmp_path: Path
) -> None:
    deliver(customers(60), ENGAGEMENT, tmp_path, DAY)
    settings = settings_of(session_settings, tmp_path, landed_at=f"{DAY}T12:59:59Z")
    for name, stage in STAGES.items():
        if spark_kind == "classic":  # Connect shows nobody its scheduler
            jobs = jobs_of(spark, lambda stage=stage: stage(spark, settings, contract=ENGAGEMENT))  # type: ignore[misc]
            assert 0 < jobs <= JOBS[name], name
        else:
            stage(spark, settings, contract=ENGAGEMENT)
    commits = Counter(p.parent.parent.name for p in (tmp_path / "lake").glob("*/_delta_log/*.json"))
    assert commits == {"customers_judged": 1, "customer_features": 1, "runs": 2}
