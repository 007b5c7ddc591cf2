from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from pyspark.ml import PipelineModel
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from engage_spark.contract import load_contract, predictions_table
from engage_spark.contract.money import ContactMoney
from engage_spark.errors import ConfigurationError
from engage_spark.ml.evaluation.conformal import calibrate_regression, calibrate_sets
from engage_spark.ml.evaluation.profit_curve import contact_counts
from engage_spark.ml.explain.reasons import explainer_of
from engage_spark.ml.feature_spec import Target, Task
from engage_spark.ml.fold_models import fold_model
from engage_spark.ml.scoring import COLUMNS, Scorer, to_predictions
from engage_spark.ml.training.candidates import Family
from engage_spark.ml.training.pipeline import calibration_stages
from tests.support.small_models import AMOUNT, FEATURES, LEAVES, explained, fitted, people

TYPES = {"id": "string", "snapshot_date": "date", "target": "string"} | {
    f.name: f.spark_type
    for f in predictions_table(load_contract()).fields
    if not f.is_key and f.name != "_run_id"
}
MONEY = ContactMoney(value=125.0, cost=10.0, success=0.2)
DAY = "2025-10-21"


class Trained(NamedTuple):
    rows: DataFrame
    model: PipelineModel
    scorer: Scorer
    path: str

    def scored(
        self,
        rows: DataFrame | None = None,
        model: PipelineModel | None = None,
        top: int = 3,
        money: ContactMoney = MONEY,
    ) -> DataFrame:
        rows = self.rows if rows is None else rows
        return to_predictions(
            rows,
            model or self.model,
            self.scorer,
            key="id",
            day="snapshot_date",
            top=top,
            money=money,
            side="__side" if "__side" in rows.columns else None,
        )


def trained(spark: SparkSession, target: Target, family: Family, at: Path) -> Trained:
    rows = people(spark).withColumn("snapshot_date", F.lit(DAY).cast("date"))
    binary = target.task is Task.BINARY
    model = fitted(rows, target, family, calibrate=binary)
    predictions = model.transform(rows).select(target.name, "prediction").collect()
    label, prediction = np.array([r[0] for r in predictions]), np.array([r[1] for r in predictions])
    if binary:
        conformal = calibrate_sets(label, prediction, coverage=0.8)
    else:
        conformal = calibrate_regression(
            label, prediction, coverage=0.8, minimum=target.minimum, maximum=target.maximum, parts=4
        )
    scorer = Scorer(
        target=target,
        features=FEATURES,
        masked=("age",),
        explainer=explained(model, rows, target, at),
        conformal=conformal,
        contacts=contact_counts(label, prediction, customers=np.arange(len(label))) if binary else None,
        days=(DAY,),
        model_name=target.name,
        model_version="3",
    )
    model.write().overwrite().save(str(at / "model"))
    return Trained(rows, model, scorer, str(at / "model"))


@pytest.fixture(scope="module")
def leaves(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    return trained(spark, LEAVES, Family.GBT, tmp_path_factory.mktemp("leaves"))


@pytest.fixture(scope="module")
def amount(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    return trained(spark, AMOUNT, Family.TWEEDIE, tmp_path_factory.mktemp("amount"))


@pytest.mark.connect
def test_predictions_of_two_classes_have_the_declared_columns(leaves: Trained) -> None:
    scored = leaves.scored()
    assert dict(scored.dtypes) == TYPES
    assert tuple(scored.columns) == ("id", "snapshot_date", *COLUMNS)
    predictions = scored.collect()
    assert len(predictions) == 900
    own = {r["id"]: r for r in leaves.model.transform(leaves.rows).collect()}
    zero, one = leaves.scorer.conformal.sets([r["prediction"] for r in predictions])
    for row, with_zero, with_one in zip(predictions, zero, one, strict=True):
        expected = own[row["id"]]
        assert row["prediction"] == row["probability"] == expected["prediction"]
        assert 1 / (1 + np.exp(-row["score_raw"])) == pytest.approx(expected["probability"][1], abs=1e-12)
        assert row["prediction_set"] == [c for c, there in ((0, with_zero), (1, with_one)) if there]
        assert row["decision"] == int(row["prediction"] >= 0.4)
        assert (row["lower"], row["upper"], row["target"], row["model_name"], row["model_version"]) == (
            None,
            None,
            "leaves",
            "leaves",
            "3",
        )
        assert row["imputed"] == [f.name for f in FEATURES if expected[f.name] is None]
        assert 1 <= len(row["reasons"]) <= 3
    assert {r["decision"] for r in predictions} == {0, 1}
    assert {tuple(r["prediction_set"]) for r in predictions} > {(0,), (1,)}


def test_predictions_of_a_number_have_an_interval_and_no_classes(amount: Trained) -> None:
    scored = amount.scored()
    assert dict(scored.dtypes) == TYPES
    predictions = scored.collect()
    low, high = amount.scorer.conformal.intervals([r["prediction"] for r in predictions])
    assert [(r["lower"], r["upper"]) for r in predictions] == list(
        zip(low.tolist(), high.tolist(), strict=True)
    )
    of_classes = ("probability", "prediction_set", "decision", "decision_threshold", "contact_value")
    assert {r[name] for r in predictions for name in of_classes} == {None}
    assert np.ptp([r["prediction"] for r in predictions]) > 0.3


@pytest.mark.parametrize("top", [0, 2, 6])
@pytest.mark.parametrize("which", ["leaves", "amount"])
def test_base_and_contributions_add_up_to_the_score_from_the_table_alone(
    request: pytest.FixtureRequest, which: str, top: int
) -> None:
    case: Trained = request.getfixturevalue(which)
    rows = case.scored(top=top).collect()
    listed = np.array([sum(r["contribution"] for r in row["reasons"]) for row in rows])
    base, others, score = (
        np.array([r[n] for r in rows]) for n in ("base", "other_contributions", "score_raw")
    )
    np.testing.assert_allclose(base + listed + others, score, rtol=0, atol=1e-9)
    assert {r["unit"] for r in rows} == {"log-odds" if which == "leaves" else "log amount"}
    assert np.ptp(score) > 0.3
    assert (np.abs(others).max() > 0) == (top < 6)
    assert len(set(base)) == 1
    if which == "amount":
        low, high = case.scorer.target.minimum, case.scorer.target.maximum
        np.testing.assert_allclose(
            np.clip(np.exp(score), low, high), [r["prediction"] for r in rows], atol=1e-9
        )


@pytest.mark.parametrize("money", [MONEY, replace(MONEY, cost=20.0), replace(MONEY, value=50.0, success=0.5)])
def test_the_decision_follows_from_the_money_that_is_stored_beside_it(
    leaves: Trained, money: ContactMoney
) -> None:
    rows = leaves.scored(money=money).collect()
    assert {(r["contact_value"], r["contact_cost"], r["contact_success"]) for r in rows} == {
        (money.value, money.cost, money.success)
    }
    for r in rows:
        assert r["decision_threshold"] == r["contact_cost"] / (r["contact_success"] * r["contact_value"])
        assert r["decision"] == int(r["probability"] >= r["decision_threshold"])
    assert {r["decision"] for r in rows} == {0, 1}


@pytest.mark.parametrize(
    ("money", "threshold"),
    [
        (ContactMoney(value=20.0, cost=5.0, success=0.2), 1.25),
        (ContactMoney(value=25.1, cost=5.0, success=0.2), 5.0 / (0.2 * 25.1)),
    ],
    ids=["no contact can pay", "those who would pay are too few"],
)
def test_no_decision_is_made_where_contacts_earn_nothing(
    leaves: Trained, money: ContactMoney, threshold: float
) -> None:
    rows = leaves.scored(money=money).collect()
    assert {(r["decision"], r["decision_threshold"]) for r in rows} == {(None, threshold)}


def test_rows_that_the_model_has_learnt_are_marked(leaves: Trained) -> None:
    sides = F.array(*map(F.lit, ("fit", "test", "new")), F.lit(None).cast("string"))
    sided = leaves.rows.withColumn(
        "__side", F.element_at(sides, (1 + F.pmod(F.hash("id"), F.lit(4))).cast("int"))
    )
    other = sided.withColumn("snapshot_date", F.lit("2025-10-22").cast("date"))
    seen = {(r["side"], r["in_sample"]) for r in leaves.scored(sided).collect()}
    assert seen == {("fit", True), ("test", False), ("new", False), (None, None)}
    assert {(r["side"], r["in_sample"]) for r in leaves.scored(other).collect()} == {
        (side, False) for side in ("fit", "test", "new", None)
    }
    assert {(r["side"], r["in_sample"]) for r in leaves.scored().collect()} == {(None, None)}


@pytest.mark.parametrize("which", ["leaves", "amount"])
def test_rows_that_were_learnt_are_predicted_by_the_model_of_their_fold(
    spark: SparkSession, request: pytest.FixtureRequest, which: str, tmp_path: Path
) -> None:
    case: Trained = request.getfixturevalue(which)
    target, family = case.scorer.target, Family.GBT if which == "leaves" else Family.TWEEDIE
    part = F.pmod(F.hash("id"), F.lit(3))
    rows = case.rows.withColumns(
        {"__side": F.when(part == 2, "test").otherwise("fit"), "__fold": F.when(part < 2, part)}
    )
    folds, expected = [], {}
    for k in (0, 1):
        others = rows.where(F.col("__fold") == 1 - k)
        model = fitted(others, target, family)
        folds.append(
            fold_model(
                model,
                k,
                names=[f.name for f in FEATURES],
                target=target,
                spark=spark,
                scratch=str(tmp_path / str(k)),
                background=others,
            )
        )
        served = PipelineModel(stages=[*model.stages, *calibration_stages(case.model)])
        held_out = served.transform(rows.where(F.col("__fold") == k))
        expected |= {r["id"]: r["prediction"] for r in held_out.select("id", "prediction").collect()}
    assert len(calibration_stages(case.model)) == (which == "leaves")
    scorer = replace(case.scorer, folds=tuple(folds))
    stored = Scorer.from_json(scorer.to_json(), model_name=which, model_version="3")
    scored = to_predictions(
        rows,
        case.model,
        stored,
        key="id",
        day="snapshot_date",
        top=2,
        money=MONEY,
        side="__side",
        fold="__fold",
    )
    assert dict(scored.dtypes) == TYPES
    assert scored.count() == rows.count()
    plain = {r["id"]: r for r in case.scored(rows).collect()}
    moved = 0
    for r in scored.collect():
        assert r["out_of_fold"] == (r["side"] == "fit") == (r["id"] in expected)
        assert r["in_sample"] is False
        total = r["base"] + sum(x["contribution"] for x in r["reasons"]) + r["other_contributions"]
        assert total == pytest.approx(r["score_raw"], abs=1e-9)
        assert r["imputed"] == plain[r["id"]]["imputed"]
        if r["out_of_fold"]:
            assert r["prediction"] == pytest.approx(expected[r["id"]], abs=1e-9)
            moved += abs(r["prediction"] - plain[r["id"]]["prediction"]) > 1e-3
        else:
            assert r["prediction"] == plain[r["id"]]["prediction"]
    assert moved > 100, "the models of the folds are others"


@pytest.mark.slow
@pytest.mark.parametrize("which", ["leaves", "amount"])
def test_the_same_bits_come_out_in_any_company_and_of_the_reloaded_model(
    spark: SparkSession, request: pytest.FixtureRequest, which: str, tmp_path: Path
) -> None:
    case: Trained = request.getfixturevalue(which)
    at_once = case.scored().orderBy("id").toArrow()
    for partitions in (1, 2, 7):
        apart = case.rows.repartition(partitions, F.xxhash64(F.lit(partitions), "id"))
        assert case.scored(apart).orderBy("id").toArrow().equals(at_once)
    reloaded = PipelineModel.load(case.path)
    assert case.scored(model=reloaded).orderBy("id").toArrow().equals(at_once)
    again = explainer_of(
        reloaded, target=case.scorer.target, spark=spark, scratch=str(tmp_path / "s"), background=case.rows
    )
    assert again.to_json() == case.scorer.explainer.to_json()
    stored = Scorer.from_json(case.scorer.to_json(), model_name=which, model_version="3")
    assert case._replace(scorer=stored).scored(model=reloaded).orderBy("id").toArrow().equals(at_once)
    for at in (0, 17, 899):
        one = case.rows.where(F.col("id") == f"P-{at:05d}")
        assert case.scored(one, model=reloaded).toArrow().equals(at_once.slice(at, 1))


def test_a_category_that_training_did_not_see_is_scored(leaves: Trained) -> None:
    predictions = leaves.scored(leaves.rows.limit(3).withColumn("zone", F.lit("moon"))).collect()
    assert all(0 <= r["prediction"] <= 1 and "zone" not in r["imputed"] for r in predictions)
    assert [r["unseen"] for r in predictions] == [["zone"]] * 3
    assert {tuple(r["unseen"]) for r in leaves.scored().collect()} == {()}, "a null is not an unseen level"


def test_a_row_without_any_value_is_scored_and_says_so(leaves: Trained) -> None:
    empty = leaves.rows.limit(1).withColumns(
        {f.name: F.lit(None).cast(dict(leaves.rows.dtypes)[f.name]) for f in FEATURES}
    )
    row = leaves.scored(empty).collect()[0]
    assert row["imputed"] == [f.name for f in FEATURES]
    assert [r["value"] for r in row["reasons"]] == [None] * len(row["reasons"])
    assert row["unseen"] == []


def test_features_of_another_numeric_type_are_scored_alike(leaves: Trained) -> None:
    wider = leaves.rows.withColumns(
        {"age": F.col("age").cast("bigint"), "visits": F.col("visits").cast("decimal(10,0)")}
    )
    expected = [r["prediction"] for r in leaves.scored().orderBy("id").collect()]
    assert [r["prediction"] for r in leaves.scored(wider).orderBy("id").collect()] == expected


def test_rows_with_other_features_are_refused_before_any_job(leaves: Trained) -> None:
    lazy = (
        leaves.rows.withColumn("noisy", F.raise_error(F.lit("a job ran")))
        .drop("share")
        .withColumn("age", F.lit("old"))
    )
    with pytest.raises(ConfigurationError) as caught:
        leaves.scored(lazy)
    assert caught.value.details == (
        "age is string, text, and was number in training",
        "share (number) is missing",
    )


def test_a_scorer_of_another_training_is_refused(leaves: Trained) -> None:
    other = fitted(leaves.rows, LEAVES, Family.CONSTANT)
    with pytest.raises(ConfigurationError, match="not of one training") as caught:
        leaves.scored(model=other)
    assert caught.value.details[0] == "only the scorer knows age"
