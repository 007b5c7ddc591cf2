"""A label of text and a target by formula go from training to monitoring, and repeated rows stop nothing."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING

import pytest
from pyspark.sql import functions as F

from engage_spark.errors import ConfigurationError
from engage_spark.ml.data.split_rows import TargetSnapshots
from engage_spark.pipelines.analyze.run import run_analyze
from engage_spark.pipelines.context import RunContext
from engage_spark.pipelines.features import run_features
from engage_spark.pipelines.ingest.run import run_ingest
from engage_spark.pipelines.model_inputs import require_two_classes
from engage_spark.pipelines.models import promote_model
from engage_spark.pipelines.monitor.run import run_monitor
from engage_spark.pipelines.results import TrainResult
from engage_spark.pipelines.score import run_score
from engage_spark.pipelines.train.run import run_train
from engage_spark.settings import Settings
from engage_spark.tracking import Tracker
from tests.support.phone_shop import FOLDER, SHOP, as_csv, subscribers, with_duplicates

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

DAY, N, AGAIN = date(2026, 3, 1), 320, 30
MODELS = {
    "candidates": ["linear"],
    "folds": 2,
    "bootstrap": 20,
    "smallest_group": 20,
    "reasons": 2,
    "keep": 4,
}


@pytest.fixture(scope="module")
def settings(
    spark: SparkSession, session_settings: Settings, tmp_path_factory: pytest.TempPathFactory
) -> Settings:
    """A lake of one day, in which 30 of 320 subscribers come twice."""
    home = tmp_path_factory.mktemp("targets")
    as_csv(with_duplicates(subscribers(N), AGAIN), home / "raw" / FOLDER / f"snapshot_date={DAY}")
    settings = Settings(
        input={"root": str(home / "raw")},
        lake={"root": str(home / "lake")},
        tracking={"folder": str(home / "mlflow")},
        models=MODELS,
        spark=session_settings.spark,
    )  # type: ignore[arg-type]
    run_ingest(spark, settings, contract=SHOP)
    run_features(spark, settings, contract=SHOP)
    return settings


@pytest.fixture(scope="module")
def trained(spark: SparkSession, settings: Settings) -> TrainResult:
    return run_train(spark, settings, contract=SHOP)


def table(spark: SparkSession, settings: Settings, name: str) -> DataFrame:
    return spark.read.format("delta").load(f"{settings.lake.root}/{name}")


def test_repeated_rows_are_on_one_side_and_stop_no_training(
    spark: SparkSession, settings: Settings, trained: TrainResult
) -> None:
    assert {t.target for t in trained.targets} == {"churn", "is_severe"}
    splits = {r["subscriber"]: r for r in table(spark, settings, "splits").collect()}
    pairs = [(f"D{i:04d}", f"S{N - AGAIN + i:04d}") for i in range(AGAIN)]
    assert all(splits[a][c] == splits[b][c] for a, b in pairs for c in ("side", "fold", "stratum"))
    assert sum(splits[a]["unit"] is not None or splits[b]["unit"] is not None for a, b in pairs) == AGAIN
    assert len({splits[a]["side"] for a, _ in pairs}) > 1


def test_a_label_of_text_is_1_where_it_is_the_positive_value_from_training_to_monitoring(
    spark: SparkSession, settings: Settings, trained: TrainResult
) -> None:
    tracker = Tracker(settings.tracking)
    for t in trained.targets:
        (version,) = tracker.registry.versions(t.target)
        promote_model(settings, contract=SHOP, target=t.target, version=version.version, force=True)
    run_score(spark, settings, contract=SHOP)
    predictions = table(spark, settings, "predictions")
    valid = table(spark, settings, "subscribers_judged").where("_dq_status = 'valid'")
    assert predictions.count() == 2 * valid.count()
    by_label = (
        predictions.where("target = 'churn'")
        .join(valid.select("subscriber", "churn"), on="subscriber", how="inner")
        .groupBy("churn")
        .agg(F.avg("prediction").alias("mean"))
    )
    means = {r["churn"]: r["mean"] for r in by_label.collect()}
    assert means["Yes"] > means["No"] + 0.1, "the prediction is the probability of Yes"

    run_analyze(spark, settings, contract=SHOP)
    rows = table(spark, settings, "rollups").where("dimension = 'all' AND grain = 'day'")
    counted = {r["metric"]: r["mean"] for r in rows.collect()}
    shares = valid.agg(
        F.avg((F.col("churn") == "Yes").cast("int")), F.avg((F.col("complaint") == "severe").cast("int"))
    ).collect()[0]
    assert (counted["churn"], counted["is_severe"]) == pytest.approx(tuple(shares))

    judged = run_monitor(spark, settings, contract=SHOP)
    auc = {d.target: {m.measure: m.value for m in d.measurements}.get("auc") for d in judged.days}
    assert set(auc) == {"churn", "is_severe"}
    assert (auc["churn"] or 0) > 0.5


def test_what_only_the_rows_show_of_classes_is_refused_with_what_would_do(
    spark: SparkSession, settings: Settings
) -> None:
    from dataclasses import replace

    def as_target(name: str, positive: str) -> None:
        changed = replace(SHOP.entity[name], role=SHOP.entity["churn"].role, allowed=(), positive=positive)
        fields = tuple(changed if f.name == name else f for f in SHOP.entity.fields)
        contract = replace(SHOP, tables=(replace(SHOP.entity, fields=fields), *SHOP.tables[1:]))
        only = TargetSnapshots(train=(DAY,), out_of_time=None)
        require_two_classes(RunContext(spark, settings, contract), {name: only})

    with pytest.raises(ConfigurationError) as e:
        as_target("complaint", "severe")
    assert "has the classes mild, none, severe" in e.value.details[0]
    with pytest.raises(ConfigurationError) as e:
        as_target("plan", "basic")
    assert "its positive value 'basic' is in no row; there is 'Basic', 'Plus'" in e.value.details[0]
    as_target("plan", "Basic")
