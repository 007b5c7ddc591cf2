"""A model from raw columns to a bounded prediction: against scikit-learn, for odd rows, saved and reloaded,
on any partitioning.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression, TweedieRegressor
from sklearn.metrics import roc_auc_score

from engage_spark.errors import ConfigurationError
from engage_spark.ml.feature_spec import Target
from engage_spark.ml.training import pipeline
from engage_spark.ml.training.calibration import (
    ISOTONIC,
    LOGISTIC,
    ScoreCounts,
    fit_isotonic,
    fit_logistic,
)
from engage_spark.ml.training.candidates import Candidate, Family, baseline_for
from engage_spark.ml.training.fit import Fitted, Job, fit_all
from engage_spark.ml.training.pipeline import (
    VectorSlot,
    calibrated,
    imputed_fields,
    require_buildable,
    slots,
)
from tests.support.made_rows import FEATURES, LEFT, QUICK, VALUE, fit_one, frame, make_rows

if TYPE_CHECKING:
    from pyspark.ml import PipelineModel
    from pyspark.sql import DataFrame, SparkSession

NUMBERS = [f.name for f in FEATURES if not f.categorical]
PLAN = FEATURES[-1].name


@pytest.fixture(scope="module")
def rows() -> pd.DataFrame:
    return make_rows()


@pytest.fixture(scope="module")
def people(spark: SparkSession, rows: pd.DataFrame) -> DataFrame:
    return frame(spark, rows)


@pytest.fixture(scope="module")
def fitted(people: DataFrame, spark_kind: str) -> dict[tuple[str, str], Fitted]:
    """Every family for both targets, fitted on the rows of two folds."""
    training = people.where("fold <> 0")
    names = [n for n in QUICK if n != "xgboost" or spark_kind == "classic"]
    jobs = [
        Job(candidate=QUICK[n], target=t, features=FEATURES, rows=training, label=t.name, seed=1, fold=0)
        for t in (LEFT, VALUE)
        for n in names
        if (t, n) != (LEFT, "tweedie")
    ]
    return {(f.job.target.name, f.job.candidate.name): f for f in fit_all(jobs, parallelism=2)}


def predictions(model: PipelineModel, rows: DataFrame) -> pd.Series:
    found = model.transform(rows).select("id", "prediction").toArrow().to_pandas()
    return found.set_index("id").prediction.sort_index()


def vectors(model: PipelineModel, rows: DataFrame) -> np.ndarray:
    found = model.transform(rows).select("id", "__features").collect()
    return np.array([r["__features"].toArray() for r in sorted(found, key=lambda r: r["id"])])


def expected_vectors(training: pd.DataFrame, rows: pd.DataFrame) -> np.ndarray:
    """Impute by mean, scale by the sample's standard deviation, encode levels by frequency; a null counts as
    the most frequent.
    """
    means = training[NUMBERS].astype(float).mean()
    filled = training[NUMBERS].astype(float).fillna(means)
    numbers = (rows[NUMBERS].astype(float).fillna(means) - filled.mean()) / filled.std(ddof=1)
    levels = list(training[PLAN].value_counts().index)
    text = rows[PLAN].fillna(levels[0])
    return np.column_stack([numbers, *((text == level).astype(float) for level in levels)])


@pytest.mark.connect
def test_the_assembled_vector_is_that_of_pandas(
    fitted: dict[tuple[str, str], Fitted], people: DataFrame, rows: pd.DataFrame
) -> None:
    found = vectors(fitted["left", "linear"].model, people)
    np.testing.assert_allclose(found, expected_vectors(rows[rows.fold != 0], rows), atol=1e-12)


def test_slots_name_each_position_by_source_and_level(fitted: dict[tuple[str, str], Fitted]) -> None:
    levels = (VectorSlot(PLAN, "basic"), VectorSlot(PLAN, "plus"), VectorSlot(PLAN, "gold"))
    assert slots(fitted["left", "forest"].model) == (*(VectorSlot(n) for n in NUMBERS), *levels)
    assert slots(fitted["left", "baseline"].model) == ()


def test_a_level_that_training_has_not_seen_is_none_of_the_known(
    fitted: dict[tuple[str, str], Fitted], people: DataFrame
) -> None:
    from pyspark.sql import functions as F

    strange = people.limit(1).withColumn("pl`an", F.lit("platinum"))
    assert vectors(fitted["left", "linear"].model, strange)[0, -3:].tolist() == [0.0, 0.0, 0.0]


def test_a_row_without_any_feature_is_scored_as_the_mean_row(
    fitted: dict[tuple[str, str], Fitted], people: DataFrame
) -> None:
    from pyspark.sql import functions as F

    empty = people.limit(1).select(
        "id",
        F.lit(None).cast("int").alias("visits"),
        F.lit(float("nan")).alias("spend.per visit"),
        F.lit(None).cast("boolean").alias("paying"),
        F.lit(None).cast("string").alias("pl`an"),
    )
    model = fitted["left", "linear"].model
    np.testing.assert_allclose(vectors(model, empty), [[0, 0, 0, 1, 0, 0]], atol=1e-12)
    (row,) = model.transform(empty).select(imputed_fields(FEATURES).alias("imputed")).collect()
    assert row["imputed"] == [f.name for f in FEATURES]


def test_imputed_fields_are_those_that_are_missing(people: DataFrame, rows: pd.DataFrame) -> None:
    found = people.select("id", imputed_fields(FEATURES).alias("imputed")).collect()
    missing = {
        row.id: [f.name for f, lacks in zip(FEATURES, row[1:], strict=True) if lacks]
        for row in pd.concat([rows.id, rows[[f.name for f in FEATURES]].isna()], axis=1).itertuples(
            index=False
        )
    }
    assert {r["id"]: r["imputed"] for r in found} == missing


def test_the_logistic_model_is_scikit_learns(people: DataFrame, rows: pd.DataFrame) -> None:
    plain = Candidate(
        name="plain",
        family=Family.LINEAR,
        params={"regParam": 0.01, "elasticNetParam": 0.0, "maxIter": 200, "tol": 1e-10},
    )
    model = fit_one(people, plain, target=LEFT, features=FEATURES[:3])
    x = expected_vectors(rows, rows)[:, :3]
    oracle = LogisticRegression(C=1 / (0.01 * len(rows)), tol=1e-10, max_iter=1000).fit(x, rows.left)
    np.testing.assert_allclose(predictions(model, people), oracle.predict_proba(x)[:, 1], atol=1e-5)


def test_the_tweedie_model_is_scikit_learns(people: DataFrame, rows: pd.DataFrame) -> None:
    params = {
        "family": "tweedie",
        "variancePower": 1.5,
        "linkPower": 0.0,
        "regParam": 0.0,
        "maxIter": 100,
        "tol": 1e-10,
    }
    plain = Candidate(name="plain", family=Family.TWEEDIE, params=params)
    model = fit_one(people, plain, target=VALUE, features=FEATURES[:3])
    x = expected_vectors(rows, rows)[:, :3]
    oracle = TweedieRegressor(power=1.5, link="log", alpha=0, tol=1e-10, max_iter=1000).fit(x, rows.value)
    np.testing.assert_allclose(predictions(model, people), np.clip(oracle.predict(x), 0, 80), rtol=1e-4)


def test_the_constant_baseline_predicts_the_mean_of_its_training_rows(
    fitted: dict[tuple[str, str], Fitted], people: DataFrame, rows: pd.DataFrame
) -> None:
    training = rows[rows.fold != 0]
    for target in ("left", "value"):
        np.testing.assert_allclose(
            predictions(fitted[target, "baseline"].model, people), training[target].mean(), rtol=1e-12
        )


def test_the_named_baseline_is_a_model_of_that_feature_alone(people: DataFrame) -> None:
    model = fit_one(people, baseline_for(LEFT), target=LEFT, features=FEATURES)
    assert slots(model) == (VectorSlot("visits"),)


@pytest.mark.connect
def test_every_prediction_lies_within_the_targets_bounds(
    fitted: dict[tuple[str, str], Fitted], people: DataFrame
) -> None:
    from pyspark.sql import functions as F

    extreme = people.withColumn("spend.per visit", F.lit(1e6))
    for (target, name), f in fitted.items():
        found = predictions(f.model, extreme)
        assert found.between(0, 1 if target == "left" else 80).all(), name
    assert (predictions(fitted["value", "linear"].model, extreme) == 80).all(), (
        "a line far outside is what needs the bound"
    )


@pytest.mark.connect
def test_an_infinite_value_that_makes_a_prediction_nan_fails_loudly(people: DataFrame) -> None:
    from pyspark.errors import PySparkException
    from pyspark.sql import functions as F

    target = Target(name="value", task=VALUE.task, minimum=None, maximum=None, label_days=0, baseline=None)
    model = fit_one(people, QUICK["linear"], target=target, features=FEATURES[1:3])
    both = people.withColumns({"spend.per visit": F.lit(float("inf")), "paying": F.lit(float("-inf"))})
    opposite = people.withColumns({"spend.per visit": F.lit(float("inf")), "paying": F.lit(float("inf"))})
    with pytest.raises(PySparkException, match="one of its features is infinite"):
        predictions(model, both.unionByName(opposite))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["linear", "tweedie", "forest", "gbt", "xgboost", "baseline"])
@pytest.mark.parametrize("target", ["left", "value"])
def test_a_reloaded_model_scores_bit_for_bit_on_any_partitioning(
    fitted: dict[tuple[str, str], Fitted],
    people: DataFrame,
    tmp_path: Path,
    target: str,
    name: str,
    spark_kind: str,
) -> None:
    from pyspark.ml import PipelineModel

    if name == "xgboost" and spark_kind == "connect":
        pytest.skip("xgboost is refused on Connect, which a test of its own shows")
    if (target, name) == ("left", "tweedie"):
        pytest.skip("tweedie is no model of two classes")
    model = fitted[target, name].model
    if target == "left":
        model, _ = calibrated(model, people.where("fold = 0"), label="left", key=["id"], days=1)
    whole = predictions(model, people.repartition(2))
    assert whole.nunique() > 1 or name == "baseline"
    model.write().overwrite().save(str(tmp_path / "model"))
    again = PipelineModel.load(str(tmp_path / "model"))
    assert slots(again) == slots(model)
    for parts in (1, 7):
        pd.testing.assert_series_equal(predictions(again, people.repartition(parts)), whole, check_exact=True)
    single = predictions(again, people.where("id = 'c00007'"))
    assert single.tolist() == [whole["c00007"]]


@pytest.mark.connect
@pytest.mark.parametrize("method", [LOGISTIC, ISOTONIC])
def test_a_calibrated_model_gives_what_its_map_says_and_keeps_the_order(
    fitted: dict[tuple[str, str], Fitted],
    people: DataFrame,
    rows: pd.DataFrame,
    monkeypatch: pytest.MonkeyPatch,
    method: str,
) -> None:
    model, held_out = fitted["left", "linear"].model, people.where("fold = 0")
    fit = fit_logistic if method == LOGISTIC else fit_isotonic
    monkeypatch.setattr(pipeline, "choose_calibration", lambda counts: fit(counts, {}))
    calibrated_model, chart = calibrated(model, held_out, label="left", key=["id"], days=1)
    raw, served = predictions(model, people), predictions(calibrated_model, people)
    own = rows[rows.fold == 0].set_index("id")
    counts = ScoreCounts.of(raw[own.index], own.left, np.zeros(len(own)))
    assert chart.method == method
    np.testing.assert_allclose(chart.apply(raw), fit(counts, {}).apply(raw), rtol=1e-9)
    np.testing.assert_allclose(served, chart.apply(raw), rtol=1e-12)
    assert roc_auc_score(rows.set_index("id").left, served) == roc_auc_score(rows.set_index("id").left, raw)
    again, same = calibrated(model, held_out.repartition(7), label="left", key=["id"], days=1)
    assert same == chart
    pd.testing.assert_series_equal(predictions(again, people), served, check_exact=True)


def test_only_an_uncalibrated_model_of_two_classes_is_calibrated(
    fitted: dict[tuple[str, str], Fitted], people: DataFrame
) -> None:
    with pytest.raises(ConfigurationError, match="only a model of two classes"):
        calibrated(fitted["value", "linear"].model, people, label="value", key=["id"], days=1)
    once, _ = calibrated(fitted["left", "linear"].model, people, label="left", key=["id"], days=1)
    with pytest.raises(ConfigurationError, match="calibrated already"):
        calibrated(once, people, label="left", key=["id"], days=1)


def test_what_stays_beside_the_prediction_is_the_source_and_what_explanation_needs(
    fitted: dict[tuple[str, str], Fitted], people: DataFrame
) -> None:
    assert fitted["value", "gbt"].model.transform(people).columns == [
        *people.columns,
        "__features",
        "prediction",
    ]
    binary, _ = calibrated(fitted["left", "gbt"].model, people, label="left", key=["id"], days=1)
    assert binary.transform(people).columns == [
        *people.columns,
        "__features",
        "__raw",
        "probability",
        "prediction",
    ]


@pytest.mark.connect
def test_xgboost_is_refused_on_connect_before_any_fit(people: DataFrame, spark_kind: str) -> None:
    if spark_kind != "connect":
        pytest.skip("classic sessions fit xgboost")
    with pytest.raises(ConfigurationError, match="Spark Connect"):
        require_buildable(QUICK["xgboost"], features=FEATURES, label="left")
