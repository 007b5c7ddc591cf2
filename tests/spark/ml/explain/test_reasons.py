from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from pyspark.ml import PipelineModel
from pyspark.ml.functions import vector_to_array
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from engage_spark.errors import ConfigurationError
from engage_spark.ml.explain.explainer import Explainer, Link
from engage_spark.ml.explain.reasons import (
    explainer_of,
    global_importance,
    vector_position_means,
    with_reasons,
)
from engage_spark.ml.explain.tree_ensemble import Ensemble
from engage_spark.ml.feature_spec import Target
from engage_spark.ml.training.candidates import Family
from engage_spark.ml.training.pipeline import slots
from tests.support.small_models import AMOUNT, LEAVES, explained, fitted, people

KINDS = [
    (LEAVES, Family.LINEAR, Link.LOGIT),
    (AMOUNT, Family.GBT, Link.IDENTITY),
    *(
        pytest.param(*kind, marks=pytest.mark.slow)
        for kind in (
            (LEAVES, Family.FOREST, Link.IDENTITY),
            (LEAVES, Family.GBT, Link.LOGIT),
            (AMOUNT, Family.LINEAR, Link.IDENTITY),
            (AMOUNT, Family.TWEEDIE, Link.LOG),
            (AMOUNT, Family.FOREST, Link.IDENTITY),
        )
    ),
]


@pytest.fixture(scope="module")
def rows(spark: SparkSession) -> DataFrame:
    return people(spark)


@pytest.fixture(scope="module")
def boosted(rows: DataFrame) -> PipelineModel:
    return fitted(rows, LEAVES, Family.GBT, calibrate=True)


@pytest.fixture(scope="module")
def explainer(boosted: PipelineModel, rows: DataFrame, tmp_path_factory: pytest.TempPathFactory) -> Explainer:
    return explained(boosted, rows, LEAVES, tmp_path_factory.mktemp("boosted"))


def by_hand(scored: DataFrame, explainer: Explainer) -> dict[str, np.ndarray]:
    scored_rows = scored.select("id", vector_to_array("__features").alias("x")).collect()
    return dict(
        zip(
            [r["id"] for r in scored_rows],
            explainer.contributions(np.array([r["x"] for r in scored_rows])),
            strict=True,
        )
    )


@pytest.mark.parametrize(
    ("target", "family", "link"), KINDS, ids=lambda v: getattr(v, "name", None) or str(v)
)
def test_reasons_of_every_kind_of_model_add_up_to_what_it_predicts(
    rows: DataFrame, tmp_path: Path, target: Target, family: Family, link: Link
) -> None:
    model = fitted(rows, target, family)
    explainer = explained(model, rows, target, tmp_path)
    assert explainer.link is link
    row_reasons = (
        with_reasons(model.transform(rows), explainer, top=6).select("prediction", "reasons").collect()
    )
    total = explainer.base + np.array([sum(r["contribution"] for r in row["reasons"]) for row in row_reasons])
    predicted = np.array([row["prediction"] for row in row_reasons])
    np.testing.assert_allclose(explainer.served(total), predicted, rtol=0, atol=1e-9)
    assert np.ptp(predicted) > 0.2
    assert all(
        [abs(r["contribution"]) for r in row["reasons"]]
        == sorted((abs(r["contribution"]) for r in row["reasons"]), reverse=True)
        for row in row_reasons
    )


@pytest.mark.connect
def test_reasons_show_the_values_of_the_row_but_not_of_masked_fields(
    rows: DataFrame, boosted: PipelineModel, explainer: Explainer
) -> None:
    row_reasons = with_reasons(boosted.transform(rows), explainer, top=6, masked=["age", "no_feature"])
    expected = {r["id"]: r for r in rows.collect()}
    seen: set[tuple[str, bool]] = set()
    for row in row_reasons.select("id", "reasons").collect():
        for reason in row["reasons"]:
            name, value = reason["feature"], expected[row["id"]][reason["feature"]]
            seen.add((name, value is None))
            if name == "age" or value is None:
                assert reason["value"] is None
            elif name in ("share", "visits"):
                assert float(reason["value"]) == float(value)
            else:
                assert reason["value"] == str(value).lower()
    assert {
        ("age", False),
        ("visits", False),
        ("share", False),
        ("share", True),
        ("zone", False),
        ("zone", True),
    } <= seen


def test_the_top_reasons_are_those_with_the_largest_contributions(
    rows: DataFrame, boosted: PipelineModel, explainer: Explainer
) -> None:
    scored = boosted.transform(rows)
    expected = by_hand(scored, explainer)
    for row in with_reasons(scored, explainer, top=2).select("id", "reasons").collect():
        values = expected[row["id"]]
        best = sorted(
            (n for n in range(len(values)) if values[n] != 0),
            key=lambda n: (-abs(values[n]), explainer.features[n]),
        )[:2]
        assert [(r["feature"], r["contribution"]) for r in row["reasons"]] == [
            (explainer.features[n], values[n]) for n in best
        ]


def test_no_reasons_are_an_empty_array(rows: DataFrame, boosted: PipelineModel, explainer: Explainer) -> None:
    row_reasons = with_reasons(boosted.transform(rows.limit(2)), explainer, top=0)
    assert [r["reasons"] for r in row_reasons.collect()] == [[], []]


def test_a_baseline_without_features_has_no_reasons(rows: DataFrame, tmp_path: Path) -> None:
    model = fitted(rows, AMOUNT, Family.CONSTANT)
    explainer = explained(model, rows, AMOUNT, tmp_path)
    assert with_reasons(model.transform(rows.limit(1)), explainer, top=3).collect()[0]["reasons"] == []
    mean = rows.agg(F.avg("amount")).collect()[0][0]
    assert explainer.base == pytest.approx(mean)
    assert global_importance(model.transform(rows), explainer, key=["id"]) == ()


@pytest.mark.connect
def test_an_explainer_of_another_model_fails_the_job(rows: DataFrame, explainer: Explainer) -> None:
    other = fitted(rows.where("visits < 9"), LEAVES, Family.GBT)
    with pytest.raises(Exception, match="what the model predicts is"):
        with_reasons(other.transform(rows), explainer, top=3).select("reasons").collect()


def test_reasons_and_importance_have_the_same_bits_on_any_partitioning(
    rows: DataFrame, boosted: PipelineModel, explainer: Explainer
) -> None:
    whole = (
        with_reasons(boosted.transform(rows), explainer, top=3)
        .orderBy("id")
        .select("reasons", "prediction")
        .toArrow()
    )
    expected = global_importance(boosted.transform(rows), explainer, key=["id"], limit=300)
    for partitions in (1, 7):  # made in 2
        apart = boosted.transform(rows.repartition(partitions, F.xxhash64(F.lit(3), "id")))
        found = with_reasons(apart, explainer, top=3).orderBy("id").select("reasons", "prediction")
        assert found.toArrow().equals(whole)
        assert global_importance(apart, explainer, key=["id"], limit=300) == expected


def test_importance_is_the_mean_magnitude_and_the_correlation_of_all_rows(
    rows: DataFrame, boosted: PipelineModel, explainer: Explainer
) -> None:
    scored = boosted.transform(rows)
    scored_rows = scored.select(vector_to_array("__features").alias("x")).collect()
    x = np.array([r["x"] for r in scored_rows])
    moved = explainer.contributions(x)
    found = {i.feature: i for i in global_importance(scored, explainer, key=["id"])}
    assert set(found) == set(explainer.features)
    for n, name in enumerate(explainer.features):
        assert found[name].rows == len(x)
        assert found[name].mean_contribution == pytest.approx(np.abs(moved[:, n]).mean(), abs=1e-6)
        if name in ("zone", "plan"):
            assert found[name].direction is None
        else:
            expected = np.corrcoef(moved[:, n], x[:, list(explainer.source).index(n)])[0, 1]
            assert found[name].direction == pytest.approx(expected, abs=1e-4)
    sizes = [i.mean_contribution for i in global_importance(scored, explainer, key=["id"])]
    assert sizes == sorted(sizes, reverse=True)


@pytest.mark.connect
def test_importance_takes_about_as_many_rows_as_it_may(
    rows: DataFrame, boosted: PipelineModel, explainer: Explainer
) -> None:
    found = global_importance(boosted.transform(rows), explainer, key=["id"], limit=300)
    assert 250 < found[0].rows < 350


def test_importance_over_no_rows_is_refused(
    rows: DataFrame, boosted: PipelineModel, explainer: Explainer
) -> None:
    with pytest.raises(ConfigurationError, match="over no rows"):
        global_importance(boosted.transform(rows.where("age > 900")), explainer, key=["id"])


def test_means_of_slots_are_zero_for_numbers_and_shares_for_levels(
    rows: DataFrame, boosted: PipelineModel
) -> None:
    found = dict(
        zip(slots(boosted), vector_position_means(boosted, rows, count=len(slots(boosted))), strict=True)
    )
    most = rows.where("zone is not null").groupBy("zone").count().orderBy(F.desc("count")).first()["zone"]
    filled = {r["zone"]: r["count"] for r in rows.fillna(most, ["zone"]).groupBy("zone").count().collect()}
    for slot, mean in found.items():
        expected = 0.0 if slot.level is None else filled[slot.level] / 900 if slot.feature == "zone" else None
        assert expected is None or mean == pytest.approx(expected, abs=1e-9)


def test_a_linear_model_without_rows_to_compare_with_is_not_explained(
    spark: SparkSession, rows: DataFrame, tmp_path: Path
) -> None:
    model = fitted(rows, AMOUNT, Family.LINEAR)
    with pytest.raises(ConfigurationError, match="need rows to compare with"):
        explainer_of(model, target=AMOUNT, spark=spark, scratch=str(tmp_path / "s"))


@pytest.mark.slow
@pytest.mark.parametrize("target", [LEAVES, AMOUNT], ids=lambda t: t.name)
def test_xgboost_models_are_explained_within_their_32_bits(
    rows: DataFrame, tmp_path: Path, spark_kind: str, target: Target
) -> None:
    if spark_kind == "connect":
        pytest.skip("xgboost's Spark estimator cannot be fitted through Connect")
    model = fitted(rows, target, Family.XGBOOST)
    explainer = explained(model, rows, target, tmp_path)
    assert isinstance(explainer.model, Ensemble)
    assert explainer.model.single, "it adds up in 32 bits, and is given room for that"
    row_reasons = (
        with_reasons(model.transform(rows), explainer, top=6).select("prediction", "reasons").collect()
    )
    total = explainer.base + np.array([sum(r["contribution"] for r in row["reasons"]) for row in row_reasons])
    np.testing.assert_allclose(
        explainer.served(total), [row["prediction"] for row in row_reasons], rtol=0, atol=2e-5
    )
