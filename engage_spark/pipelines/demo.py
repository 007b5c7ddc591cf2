"""Demo: every stage that exists, one after the other, on made-up data."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, time, timedelta

from pyspark.sql import SparkSession

from engage_spark.contract import Contract
from engage_spark.pipelines import features, graph, ingest, synth
from engage_spark.pipelines.report import Report
from engage_spark.settings import Input, Settings


def run(spark: SparkSession, settings: Settings, *, contract: Contract) -> Iterator[Report]:
    """Make data below `synth.out`, ingest it, derive features, measure the graph. Yields each stage's report when the stage is done.

    The data land half an hour after their last day, unless `ingest.landed_at` says otherwise: made up today, they would be found too old.
    """
    landed_at = settings.ingest.landed_at or datetime.combine(settings.synth.end_date + timedelta(days=1), time(0, 30), UTC)
    chosen = {"input": Input(root=settings.synth.out), "ingest": settings.ingest.model_copy(update={"landed_at": landed_at})}
    settings = settings.model_copy(update=chosen)
    yield synth.run(spark, settings, contract=contract, reuse=True)
    yield ingest.run(spark, settings, contract=contract)
    yield features.run(spark, settings, contract=contract)
    yield graph.run(spark, settings, contract=contract)
