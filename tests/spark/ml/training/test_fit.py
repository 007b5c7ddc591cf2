"""Fits side by side: the order of rows, what is shared, what fails, and how far two trainings on the same
rows are apart.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest

from engage_spark.errors import ConfigurationError, FitError, TransientError
from engage_spark.ml.data.driver_sample import RowSample
from engage_spark.ml.data.fit_draw import FitDraw, FittedRows
from engage_spark.ml.data.preflight import fold_counts, require_trainable
from engage_spark.ml.feature_spec import Feature
from engage_spark.ml.training import fit as fitting
from engage_spark.ml.training.fit import RETRAINED_WITHIN, Job, fit_all, out_of_fold, partitions_for, prepared
from tests.support.made_rows import FEATURES, LEFT, QUICK, VALUE, frame, make_rows

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession


@pytest.fixture(scope="module")
def rows() -> pd.DataFrame:
    return make_rows(300, seed=8)


@pytest.fixture(scope="module")
def people(spark: SparkSession, rows: pd.DataFrame) -> DataFrame:
    return frame(spark, rows)


def job(
    rows: DataFrame,
    name: str = "linear",
    *,
    fold: int | None = 0,
    target: Any = LEFT,
    label: str | None = None,
) -> Job:
    return Job(
        candidate=QUICK[name],
        target=target,
        features=FEATURES,
        rows=rows,
        label=label or target.name,
        seed=1,
        fold=fold,
    )


def places(rows: DataFrame) -> dict[str, tuple[int, int]]:
    """Partition and place within it, by key."""
    from pyspark.sql import functions as F

    place = F.monotonically_increasing_id().bitwiseAND(2**33 - 1)
    return {
        r["id"]: (r["part"], r["place"])
        for r in rows.select("id", F.spark_partition_id().alias("part"), place.alias("place")).collect()
    }


def test_rows_lie_alike_however_they_came(people: DataFrame) -> None:
    found = [
        places(prepared(people.repartition(n), key="id", day="fold", partitions=3, seed=4)) for n in (1, 2, 7)
    ]
    assert found[0] == found[1] == found[2]
    assert {part for part, _ in found[0].values()} == {0, 1, 2}
    for part in range(3):
        keys_by_place = sorted((place, key) for key, (p, place) in found[0].items() if p == part)
        assert [key for _, key in keys_by_place] == sorted(key for _, key in keys_by_place)


def test_one_partition_is_sorted_by_key(people: DataFrame) -> None:
    found = [
        places(prepared(people.repartition(n), key="id", day="fold", partitions=1, seed=4)) for n in (1, 7)
    ]
    assert found[0] == found[1]
    assert [key for _, key in sorted((place, key) for key, (_, place) in found[0].items())] == sorted(
        found[0]
    )


def test_the_seed_decides_the_buckets(people: DataFrame) -> None:
    a, b = (places(prepared(people, key="id", day=None, partitions=3, seed=s)) for s in (1, 2))
    assert a != b


def test_partitions_follow_the_number_of_rows_alone(people: DataFrame) -> None:
    assert [partitions_for(n) for n in (0, 1, 100_000, 100_001, 1_000_000)] == [1, 1, 1, 2, 10]
    assert {
        part for part, _ in places(prepared(people, key="id", day=None, partitions=None, seed=1)).values()
    } == {0}


@pytest.mark.connect
def test_models_come_in_the_order_of_their_jobs_and_share_their_preparation(
    people: DataFrame,
) -> None:
    training = people.where("fold <> 0")
    jobs = [
        job(training, "linear"),
        job(training, "baseline"),
        job(training, "forest"),
        job(people, "linear", fold=None),
    ]
    found = fit_all(jobs, parallelism=2)
    assert [f.job for f in found] == jobs
    linear, _, forest, other = (f.model.stages for f in found)
    assert all(a is b for a, b in zip(linear[:-2], forest[:-2], strict=True))
    assert linear[0] is not other[0], "other rows have other means"
    assert all(f.seconds > 0 for f in found)


def test_no_job_is_no_model() -> None:
    assert fit_all([], parallelism=2) == []


@pytest.mark.connect
def test_a_failing_fit_is_told_by_candidate_target_and_fold_and_stops_the_rest(
    people: DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pyspark.sql import functions as F

    started: list[str] = []
    really = fitting._fit

    def noted(j: Job, shared: Any) -> Any:
        started.append(j.candidate.name)
        return really(j, shared)

    monkeypatch.setattr(fitting, "_fit", noted)
    negative = people.withColumn("value", -F.col("value") - 1)
    jobs = [job(negative, n, target=VALUE, fold=2) for n in ("tweedie", *["baseline"] * 30)]
    with pytest.raises(
        FitError, match="the fit of tweedie for value on the rows outside fold 2 failed: .*negative"
    ):
        fit_all(jobs, parallelism=1)
    assert started[0] == "tweedie"
    assert len(started) < len(jobs), "what waited was not started"


def test_a_fit_that_lost_its_cluster_is_worth_a_retry(
    people: DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lost(*_: Any) -> Any:
        raise ConnectionResetError("the driver is gone")

    monkeypatch.setattr(fitting, "_fit", lost)
    with pytest.raises(TransientError, match="during the fit of baseline for value on all rows") as caught:
        fit_all([job(people, "baseline", target=VALUE, fold=None)], parallelism=1)
    assert caught.value.exit_code == 4


def test_a_wrong_job_is_refused_before_any_fit(people: DataFrame, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fitting, "_count", lambda j: pytest.fail("a fit was started"))
    with pytest.raises(ConfigurationError, match="is a feature too"):
        fit_all([job(people), job(people, label="visits")], parallelism=2)


@pytest.mark.slow
def test_models_of_fewer_rows_are_weighted_so_that_their_mean_is_that_of_all(spark: SparkSession) -> None:
    """Of 6,000 rows one in twenty is labelled 1, and 1,000 are fitted on, of which 300 are."""
    from pyspark.sql import functions as F

    noise = F.pmod(F.xxhash64("id"), F.lit(100)) / 100.0
    rows = spark.range(6_000).select(
        F.col("id").cast("string").alias("id"),
        (F.col("id") % 20 == 0).cast("int").alias("left"),
        noise.alias("visits"),
    )
    features = tuple(f for f in FEATURES if f.name == "visits") or (
        Feature(name="visits", table="people", categorical=False),
    )
    counted = RowSample(expected=6_000, limit=6_000, label="left", ones=300)
    draw = FitDraw.of(counted, limit=1_000, key=["id"], seed=1)
    drawn = prepared(draw.drawn(rows), key="id", day=None, partitions=1, seed=1)
    counts = {r["left"]: r["n"] for r in drawn.groupBy("left").agg(F.count("*").alias("n")).collect()}
    assert counts[1] == 300 and 600 < counts[0] < 800
    assert draw.counted(drawn) == FittedRows(used=sum(counts.values()), there=6_000)
    even = draw.even(drawn).agg(F.count("*"), F.sum("left")).first()
    assert even is not None and 0.02 < even[1] / even[0] < 0.09, "a sample of all rows alike"
    whole = prepared(rows, key="id", day=None, partitions=1, seed=1)
    jobs = [
        Job(candidate=QUICK[n], target=LEFT, features=features, rows=of, label="left", seed=1)
        for n in ("linear", "forest", "gbt")
        for of in (whole, drawn)
    ]
    means = []
    for fitted in fit_all(jobs, parallelism=2):
        mean = fitted.model.transform(rows).agg(F.avg("prediction")).first()
        assert mean is not None
        means.append(mean[0])
    assert means[1::2] == pytest.approx(means[::2], abs=0.01), "300 of 1,000 rows are labelled 1"
    assert means[:2] == pytest.approx([0.05, 0.05], abs=0.01)


def test_a_boolean_label_is_fitted_as_0_and_1(people: DataFrame) -> None:
    from pyspark.sql import functions as F

    truth = people.withColumn("left", F.col("left").cast("boolean"))
    both = [fit_all([job(r, "linear", fold=None)], parallelism=1)[0].model for r in (people, truth)]
    a, b = (m.transform(people).select("prediction").toArrow() for m in both)
    np.testing.assert_allclose(a["prediction"], b["prediction"], atol=1e-12)


@pytest.mark.slow
def test_each_row_is_judged_once_by_each_candidate_that_has_not_seen_it(
    people: DataFrame, rows: pd.DataFrame
) -> None:
    from pyspark.sql import functions as F

    parts = {k: people.where(f"fold <> {k}") for k in range(3)}
    fitted = fit_all(
        [job(parts[k], n, fold=k) for k in range(3) for n in ("linear", "baseline")], parallelism=2
    )
    found = out_of_fold(fitted, people, key=["id"]).toArrow().to_pandas()
    assert list(found.columns) == ["id", "candidate", "fold", "label", "score"]
    for name in ("linear", "baseline"):
        candidate_rows = found[found.candidate == name].set_index("id").sort_index()
        assert (candidate_rows.label == rows.set_index("id").left).all()
        assert (candidate_rows.fold == rows.set_index("id").fold).all()
    expected = {k: rows[rows.fold != k].left.mean() for k in range(3)}
    constant = found[found.candidate == "baseline"]
    np.testing.assert_allclose(constant.score, constant.fold.map(expected), atol=1e-12)
    signs = F.when(F.col("id") < "c00150", float("inf")).otherwise(float("-inf"))
    infinite = people.withColumns({"spend.per visit": F.lit(float("inf")), "paying": signs})
    scores = out_of_fold(fitted, infinite, key=["id"]).toArrow().to_pandas()
    assert scores[scores.candidate == "linear"].score.isna().any(), "a NaN stays the candidate's own"
    assert scores[scores.candidate == "baseline"].score.notna().all()


def test_out_of_fold_predictions_of_a_model_of_all_rows_are_refused(people: DataFrame) -> None:
    fitted = fit_all([job(people, "baseline", fold=None)], parallelism=1)
    with pytest.raises(ConfigurationError, match="the fold that it left out"):
        out_of_fold(fitted, people, key="id")


def test_counts_of_labels_and_values_are_those_of_pandas(people: DataFrame, rows: pd.DataFrame) -> None:
    found = fold_counts(people, label="left", features=FEATURES)
    assert [c.fold for c in found] == [0, 1, 2]
    for c in found:
        fold_rows = rows[rows.fold == c.fold]
        assert (c.rows, c.ones, c.zeros, c.unlabelled) == (
            len(fold_rows),
            (fold_rows.left == 1).sum(),
            (fold_rows.left == 0).sum(),
            0,
        )
        assert dict(c.present) == {f.name: fold_rows[f.name].notna().sum() for f in FEATURES}
        assert (c.minimum, c.maximum) == (0.0, 1.0)
    require_trainable(found, target=LEFT, features=FEATURES)


def test_nan_infinity_and_missing_labels_are_counted_apart(spark: SparkSession) -> None:
    data = [(1.0, 2.0), (float("nan"), float("inf")), (None, float("nan")), (4.0, None), (0.0, float("-inf"))]
    (found,) = fold_counts(
        spark.createDataFrame(data, "spend double, age double"),
        label="spend",
        fold=None,
        features=[Feature(name="age", table="people", categorical=False)],
    )
    assert (found.rows, found.unlabelled, found.ones, found.zeros, found.minimum, found.maximum) == (
        5,
        2,
        1,
        1,
        0.0,
        4.0,
    )
    assert (found.present["age"], found.infinite["age"]) == (3, 2)


@pytest.mark.slow
@pytest.mark.parametrize("target", [LEFT, VALUE], ids=lambda t: t.name)
def test_two_trainings_on_the_same_rows_agree_within_the_stated_tolerance(
    people: DataFrame, target: Any
) -> None:
    names = ["linear", "forest", "gbt", *(["tweedie"] if target is VALUE else [])]
    scores: list[list[np.ndarray]] = []
    for parts in (2, 7):
        training = prepared(people.repartition(parts, "value"), key="id", day="fold", partitions=2, seed=3)
        fitted = fit_all([job(training, n, fold=None, target=target) for n in names], parallelism=2)
        scores.append(
            [
                f.model.transform(people.repartition(1))
                .select("prediction")
                .toArrow()["prediction"]
                .to_numpy()
                for f in fitted
            ]
        )
    for name, a, b in zip(names, *scores, strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=RETRAINED_WITHIN * np.ptp(a), err_msg=name)
