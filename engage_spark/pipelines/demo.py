"""Demo: every stage that exists, one after the other, on made-up data."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, time, timedelta

from pyspark.sql import SparkSession

from engage_spark.contract import Contract
from engage_spark.errors import NoChampionError
from engage_spark.ml.feature_spec import targets_of
from engage_spark.pipelines import features, synth
from engage_spark.pipelines.graph import run as graph
from engage_spark.pipelines.ingest import run as ingest
from engage_spark.pipelines.results import Report, StageResult
from engage_spark.pipelines.score import run_score
from engage_spark.pipelines.train.run import run_train
from engage_spark.settings import InputSettings, Settings


def run(spark: SparkSession, settings: Settings, *, contract: Contract) -> Iterator[Report | StageResult]:
    """Make data below `synth.out`, ingest, derive features, measure the graph, train, score. Yields each
    stage's report at its end.

    The models are trained as if it were the day on which the last label of the made-up data is known.
    """
    yield from prepare(spark, settings, contract=contract)
    known = settings.synth.end_date + timedelta(days=max(t.label_days for t in targets_of(contract)))
    yield run_train(spark, settings, contract=contract, as_of=known)
    try:
        yield run_score(spark, settings, contract=contract)
    # so few customers that no model passed its gates: everything before that is done all the same
    except NoChampionError as e:
        yield Report(stage="score", seconds=0.0, notes=(e.message, *((e.hint,) if e.hint else ())))


def prepare(spark: SparkSession, settings: Settings, *, contract: Contract) -> Iterator[Report | StageResult]:
    """Everything that models need: made-up data, judged, with features and graph.

    The data land half an hour after their last day, unless `ingest.landed_at` says otherwise: made up today,
    they would be found too old.
    """
    landed_at = settings.ingest.landed_at or datetime.combine(
        settings.synth.end_date + timedelta(days=1), time(0, 30), UTC
    )
    chosen = {
        "input": InputSettings(root=settings.synth.out),
        "ingest": settings.ingest.model_copy(update={"landed_at": landed_at}),
    }
    settings = settings.model_copy(update=chosen)
    yield synth.run(spark, settings, contract=contract, reuse=True)
    yield ingest.run(spark, settings, contract=contract)
    yield features.run(spark, settings, contract=contract)
    yield graph.run(spark, settings, contract=contract)
