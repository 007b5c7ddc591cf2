"""Node arrays of saved MLlib models against what the models themselves say."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pyspark.ml import Pipeline, PipelineModel
from pyspark.ml.classification import (
    DecisionTreeClassifier,
    GBTClassifier,
    LogisticRegression,
    RandomForestClassifier,
)
from pyspark.ml.feature import OneHotEncoder, StringIndexer, VectorAssembler
from pyspark.ml.functions import vector_to_array
from pyspark.ml.regression import DecisionTreeRegressor, GBTRegressor, RandomForestRegressor
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from engage_spark.errors import ConfigurationError
from engage_spark.ml.explain import tree_ensemble
from engage_spark.ml.explain.tree_ensemble import Ensemble, read_ensemble, stage_path
from engage_spark.ml.explain.treeshap import contributions
from tests.support.spark_jobs import jobs_of

SLOTS = ("a", "b", "c", "d")


@pytest.fixture(scope="module")
def rows(spark: SparkSession) -> DataFrame:
    drawn = [
        (F.pmod(F.xxhash64(F.lit(i), "id"), F.lit(1000)) / 700.0).alias(name) for i, name in enumerate(SLOTS)
    ]
    found = spark.range(1500).select("id", *drawn)
    score = F.col("a") * F.col("b") - 0.5 * F.col("c") * F.col("c")
    return found.withColumns(
        {
            "amount": score,
            "label": (score > 0.05).cast("double"),
            "third": F.floor(F.col("a") * 2),
            "kind": F.concat(F.lit("k"), F.floor(F.col("d") * 4).cast("string")),
        }
    )


def fitted(rows: DataFrame, estimator: Any, inputs: tuple[str, ...] = SLOTS) -> PipelineModel:
    return Pipeline(stages=[VectorAssembler(inputCols=list(inputs), outputCol="__slots"), estimator]).fit(
        rows
    )


def saved(spark: SparkSession, model: PipelineModel, at: Path) -> str:
    model.write().overwrite().save(str(at))
    return stage_path(spark, str(at), model.stages[-1].uid)


ESTIMATORS: dict[str, Any] = {
    "forest_class": lambda: RandomForestClassifier(
        featuresCol="__slots", labelCol="label", numTrees=12, maxDepth=6, seed=1
    ),
    "forest_amount": lambda: RandomForestRegressor(
        featuresCol="__slots", labelCol="amount", numTrees=12, maxDepth=6, seed=1
    ),
    "boosted_class": lambda: GBTClassifier(
        featuresCol="__slots", labelCol="label", maxIter=8, maxDepth=4, seed=1
    ),
    "boosted_amount": lambda: GBTRegressor(
        featuresCol="__slots", labelCol="amount", maxIter=8, maxDepth=4, seed=1
    ),
    "tree_class": lambda: DecisionTreeClassifier(featuresCol="__slots", labelCol="label", maxDepth=4, seed=1),
    "tree_amount": lambda: DecisionTreeRegressor(
        featuresCol="__slots", labelCol="amount", maxDepth=4, seed=1
    ),
}


@pytest.mark.parametrize(
    "kind",
    [
        pytest.param(kind, marks=[] if kind in ("forest_class", "boosted_amount") else pytest.mark.slow)
        for kind in ESTIMATORS
    ],
)
def test_the_arrays_predict_what_the_model_predicts(
    spark: SparkSession, rows: DataFrame, tmp_path: Path, kind: str
) -> None:
    model = fitted(rows, ESTIMATORS[kind]())
    trees = read_ensemble(spark, saved(spark, model, tmp_path / "model"))
    scored = model.transform(rows)
    own = {
        "boosted_class": lambda: vector_to_array("rawPrediction")[1],
        "forest_class": lambda: vector_to_array("probability")[1],
        "tree_class": lambda: vector_to_array("probability")[1],
    }.get(kind, lambda: F.col("prediction"))()
    transformed = scored.select(vector_to_array("__slots").alias("x"), own.alias("raw")).collect()
    x, raw = np.array([r["x"] for r in transformed]), np.array([r["raw"] for r in transformed])
    assert np.ptp(raw) > 0.1
    np.testing.assert_allclose(trees.raw(x), raw, rtol=0, atol=1e-12)
    assert np.abs(contributions(trees, x).sum(axis=1) + trees.base - raw).max() < 1e-12


@pytest.mark.connect
def test_thresholds_have_all_their_bits(spark: SparkSession, rows: DataFrame, tmp_path: Path) -> None:
    model = fitted(rows, ESTIMATORS["forest_amount"]())
    trees = read_ensemble(spark, saved(spark, model, tmp_path / "model"))
    thresholds = [
        float(t) for t in re.findall(r"If \(feature \d+ <= (\S+)\)", model.stages[-1].toDebugString)
    ]
    assert trees.threshold[trees.feature >= 0].tolist() == thresholds  # both in preorder


def test_files_in_sight_are_read_without_a_job_and_say_what_spark_reads(
    spark: SparkSession, rows: DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = saved(spark, fitted(rows, ESTIMATORS["boosted_class"]()), tmp_path / "model")
    here: list[Ensemble] = []
    assert jobs_of(spark, lambda: here.append(read_ensemble(spark, path))) == 0
    monkeypatch.setattr(tree_ensemble, "shared_with_server", lambda *_: None)
    by_spark = read_ensemble(spark, path)
    for field in fields(by_spark):
        np.testing.assert_array_equal(getattr(here[0], field.name), getattr(by_spark, field.name))


def test_boosted_probability_is_a_function_of_the_margin(
    spark: SparkSession, rows: DataFrame, tmp_path: Path
) -> None:
    model = fitted(rows, ESTIMATORS["boosted_class"]())
    trees = read_ensemble(spark, saved(spark, model, tmp_path / "model"))
    transformed = (
        model.transform(rows)
        .select(vector_to_array("__slots").alias("x"), vector_to_array("probability")[1].alias("p"))
        .collect()
    )
    raw = trees.raw(np.array([r["x"] for r in transformed]))
    np.testing.assert_allclose(1 / (1 + np.exp(-2 * raw)), [r["p"] for r in transformed], rtol=0, atol=1e-12)


@pytest.mark.parametrize("kind", ["forest", "boosted"])
def test_one_hot_slots_that_are_split_as_two_categories_are_read(
    spark: SparkSession, rows: DataFrame, tmp_path: Path, kind: str
) -> None:
    stages = [
        StringIndexer(inputCol="kind", outputCol="__kind"),
        OneHotEncoder(inputCol="__kind", outputCol="__hot", dropLast=False),
        VectorAssembler(inputCols=["__hot", "a"], outputCol="__slots"),
    ]
    label = F.when(F.col("kind") == "k1", F.col("a")).when(F.col("kind") == "k2", 0.5).otherwise(-F.col("a"))
    made = {
        "forest": RandomForestRegressor(featuresCol="__slots", labelCol="y", numTrees=6, maxDepth=5, seed=1),
        "boosted": GBTRegressor(featuresCol="__slots", labelCol="y", maxIter=6, maxDepth=4, seed=1),
    }[kind]
    model = Pipeline(stages=[*stages, made]).fit(rows.withColumn("y", label))
    path = saved(spark, model, tmp_path / "model")
    nodes = spark.read.parquet(f"{path}/data").select("nodeData.split.*").where("numCategories = 2")
    assert nodes.select("leftCategoriesOrThreshold").distinct().count() == 2, "both sides are tried"
    transformed = model.transform(rows).select(vector_to_array("__slots").alias("x"), "prediction").collect()
    x = np.array([r["x"] for r in transformed])
    trees = read_ensemble(spark, path)
    np.testing.assert_allclose(trees.raw(x), [r["prediction"] for r in transformed], rtol=0, atol=1e-12)
    assert np.abs(contributions(trees, x).sum(axis=1) + trees.base - trees.raw(x)).max() < 1e-12


def test_a_split_by_category_is_refused(spark: SparkSession, rows: DataFrame, tmp_path: Path) -> None:
    stages = [
        StringIndexer(inputCol="kind", outputCol="__kind"),
        VectorAssembler(inputCols=["__kind", "a"], outputCol="__slots"),
    ]
    estimator = RandomForestRegressor(featuresCol="__slots", labelCol="d", numTrees=3, maxDepth=3, seed=1)
    model = Pipeline(stages=[*stages, estimator]).fit(rows)
    path = saved(spark, model, tmp_path / "model")
    with pytest.raises(ConfigurationError, match="splits slot 0 by category"):
        read_ensemble(spark, path)


def test_three_classes_are_refused(spark: SparkSession, rows: DataFrame, tmp_path: Path) -> None:
    model = fitted(rows, RandomForestClassifier(featuresCol="__slots", labelCol="third", numTrees=2, seed=1))
    path = saved(spark, model, tmp_path / "model")
    with pytest.raises(ConfigurationError, match="tells 3 classes apart"):
        read_ensemble(spark, path)


def test_a_model_without_trees_is_refused(spark: SparkSession, rows: DataFrame, tmp_path: Path) -> None:
    model = fitted(rows, LogisticRegression(featuresCol="__slots", labelCol="label"))
    path = saved(spark, model, tmp_path / "model")
    with pytest.raises(ConfigurationError, match="LogisticRegressionModel, which has no trees"):
        read_ensemble(spark, path)


@pytest.mark.connect
def test_a_stage_that_is_not_in_the_pipeline_is_named(
    spark: SparkSession, rows: DataFrame, tmp_path: Path
) -> None:
    fitted(rows, LogisticRegression(featuresCol="__slots", labelCol="label")).write().save(
        str(tmp_path / "model")
    )
    with pytest.raises(ConfigurationError, match="no stage GBT_1"):
        stage_path(spark, str(tmp_path / "model"), "GBT_1")
