"""Demo: every stage that exists, one after the other, on made-up data."""

from __future__ import annotations

from collections.abc import Iterator

from pyspark.sql import SparkSession

from engage_spark.contract import Contract
from engage_spark.pipelines import features, graph, ingest, synth
from engage_spark.pipelines.report import Report
from engage_spark.settings import Input, Settings


def run(spark: SparkSession, settings: Settings, *, contract: Contract) -> Iterator[Report]:
    """Make data below `synth.out`, ingest it from there, derive features, measure the graph. Yields each stage's report when it is done."""
    settings = settings.model_copy(update={"input": Input(root=settings.synth.out)})
    yield synth.run(spark, settings, contract=contract, reuse=True)
    yield ingest.run(spark, settings, contract=contract)
    yield features.run(spark, settings, contract=contract)
    yield graph.run(spark, settings, contract=contract)
