"""Models through MLflow and back, on a real sqlite file, on classic Spark and on Connect."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from engage_spark.settings import Tracking
from engage_spark.tracking import Facts, Tracker, Version

if TYPE_CHECKING:
    from pyspark.ml import PipelineModel
    from pyspark.sql import DataFrame, SparkSession

FEATURES = (("visits", "int"), ("spent", "double"), ("plan", "string"))
FACTS = Facts(
    run_id="a" * 64, contract_id="shop", contract_digest="c" * 64, settings_digest="d" * 64,
    code_version="0.1.0", data={"shop_features": "3"},
    candidate="linear", policy="strict", metric="auc", value=0.9, low=0.88, high=0.92, snapshots=("2025-10-21",),
)  # fmt: skip
EXTRAS = {"threshold": 0.2, "quantiles": [0.1, 0.25], "unseen": {"plan": "Ünknown"}}


@pytest.fixture(scope="module")
def rows(spark: SparkSession) -> DataFrame:
    values = [(i, (i * 37 % 11) / 7.0, "abc"[i % 3], float(i % 5 > 1)) for i in range(60)]
    return spark.createDataFrame([*values, (None, 2.5, None, 1.0)], "visits int, spent double, plan string, label double")


@pytest.fixture(scope="module")
def fitted(rows: DataFrame) -> PipelineModel:
    from pyspark.ml import Pipeline
    from pyspark.ml.classification import GBTClassifier
    from pyspark.ml.feature import Imputer, OneHotEncoder, StringIndexer, VectorAssembler

    stages = [
        Imputer(inputCols=["visits", "spent"], outputCols=["__visits", "__spent"]),
        StringIndexer(inputCol="plan", outputCol="__plan", handleInvalid="keep"),
        OneHotEncoder(inputCol="__plan", outputCol="__hot"),
        VectorAssembler(inputCols=["__visits", "__spent", "__hot"], outputCol="__features"),
        GBTClassifier(featuresCol="__features", labelCol="label", maxIter=3, maxDepth=3, seed=1),
    ]
    return Pipeline(stages=stages).fit(rows)


@pytest.fixture(scope="module")
def tracking(tmp_path_factory: pytest.TempPathFactory) -> Tracking:
    return Tracking(folder=str(tmp_path_factory.mktemp("tracking") / "mlflow"))


@pytest.fixture(scope="module")
def tracker(tracking: Tracking, tmp_path_factory: pytest.TempPathFactory) -> Tracker:
    return Tracker(tracking, staging=str(tmp_path_factory.mktemp("staging")))


@pytest.fixture(scope="module")
def version(spark: SparkSession, tracker: Tracker, fitted: PipelineModel) -> Version:
    with tracker.run("churned", name="first") as run:
        run.metrics({"test/auc": 0.9})
        run.model(spark, fitted, features=FEATURES, extras=EXTRAS, name="churned", facts=FACTS)
    return tracker.promote(tracker.register(run), reasons={"promoted": "no champion before"})


def predicted(model: PipelineModel, rows: DataFrame) -> list[tuple[float, ...]]:
    from pyspark.ml.functions import vector_to_array

    scored = model.transform(rows).select("prediction", vector_to_array("probability").alias("p")).collect()
    return [(r.prediction, *r.p) for r in scored]


def test_a_model_from_the_registry_predicts_the_same_bits(
    spark: SparkSession, tracker: Tracker, version: Version, fitted: PipelineModel, rows: DataFrame
) -> None:
    champion = tracker.champion("churned")
    assert (champion.version, champion.features, champion.extras, champion.metrics) == (1, FEATURES, EXTRAS, {"test/auc": 0.9})
    loaded = tracker.load(spark, champion)
    assert predicted(loaded, rows) == predicted(fitted, rows)
    assert len(set(predicted(fitted, rows))) > 3


def test_nothing_stays_where_models_pass_through(tracker: Tracker, version: Version) -> None:
    assert tracker.staging is not None
    assert list(Path(tracker.staging).iterdir()) == []


def test_without_a_staging_place_the_model_passes_beside_its_files(
    spark: SparkSession, tmp_path: Path, tracking: Tracking, fitted: PipelineModel, rows: DataFrame, version: Version
) -> None:
    loaded = Tracker(tracking).load(spark, version)
    assert predicted(loaded, rows) == predicted(fitted, rows)
