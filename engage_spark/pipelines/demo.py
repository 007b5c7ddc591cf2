"""Run every stage, one after the other, on synthetic data."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from datetime import time as time_of_day

from pyspark.sql import SparkSession

from engage_spark.contract import Contract
from engage_spark.errors import NoChampionError
from engage_spark.ml.feature_spec import targets_of
from engage_spark.pipelines.analyze.run import run_analyze
from engage_spark.pipelines.context import now
from engage_spark.pipelines.features import run_features
from engage_spark.pipelines.graph.run import run_graph
from engage_spark.pipelines.ingest.run import run_ingest
from engage_spark.pipelines.results import DemoResult, Note, ScoreResult, StageResult
from engage_spark.pipelines.score import run_score
from engage_spark.pipelines.synth import run_synth
from engage_spark.pipelines.train.run import run_train
from engage_spark.settings import InputSettings, Settings
from engage_spark.tracking import Tracker


def run_demo(
    spark: SparkSession,
    settings: Settings,
    *,
    contract: Contract,
    on_result: Callable[[StageResult], None] = lambda _: None,
) -> DemoResult:
    """Make data below `synth.out`, ingest them, derive features, measure the graph, train models, score,
    and analyze.

    `on_result` is called with each stage's result at its end. The models are trained as of the day on which
    the last label of the synthetic data is known, or as of today where that is yet to come.
    """
    started = time.monotonic()
    results = []
    for result in _stages(spark, settings, contract):
        on_result(result)
        results.append(result)
    return DemoResult(stage="demo", seconds=time.monotonic() - started, stages=tuple(results))


def run_demo_inputs(spark: SparkSession, settings: Settings, *, contract: Contract) -> Iterator[StageResult]:
    """Make everything that models need, and yield each stage's result: checked data with features and graph.

    The data land when their labels are known (`_known_on`), unless `ingest.landed_at` says otherwise: who
    delivers labels delivers late, and the contract's gates on age warn of it.
    """
    landed_at = settings.ingest.landed_at or min(
        now(), datetime.combine(_known_on(settings, contract), time_of_day(0, 30), UTC)
    )
    settings = settings.model_copy(
        update={
            "input": InputSettings(root=settings.synth.out),
            "ingest": settings.ingest.model_copy(update={"landed_at": landed_at}),
        }
    )
    yield run_synth(spark, settings, contract=contract, reuse=True)
    yield run_ingest(spark, settings, contract=contract)
    yield run_features(spark, settings, contract=contract)
    yield run_graph(spark, settings, contract=contract)


def _stages(spark: SparkSession, settings: Settings, contract: Contract) -> Iterator[StageResult]:
    yield from run_demo_inputs(spark, settings, contract=contract)
    as_of = min(now().date(), _known_on(settings, contract))
    yield run_train(spark, settings, contract=contract, as_of=as_of)
    try:
        yield run_score(spark, settings, contract=contract)
    except NoChampionError:
        # So few customers that no model passed its gates: everything before that is done all the same.
        registry = Tracker(settings.tracking).place.registry
        targets = tuple(t.name for t in targets_of(contract))
        notes = (Note("NotScored", {"targets": targets, "registry": registry}),)
        yield ScoreResult(stage="score", seconds=0.0, notes=notes, champions=(), snapshots=())
    yield run_analyze(spark, settings, contract=contract)


def _known_on(settings: Settings, contract: Contract) -> date:
    """Return the day after the last label window of the synthetic data."""
    longest = max(t.label_days for t in targets_of(contract))
    return settings.synth.end_date + timedelta(days=longest + 1)
