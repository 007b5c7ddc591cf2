"""The leakage audit: every planted leak is found, honest data stays silent, and the real tables show what is
known of them.
"""

from __future__ import annotations

import datetime
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from engage_spark.contract import load_contract
from engage_spark.ml.feature_spec import LeakPolicy, Task, build_feature_spec, targets_of
from engage_spark.ml.leakage import target_histogram
from engage_spark.ml.leakage.audit import audit_leakage, to_duplicate_counts, to_target_histograms
from engage_spark.ml.selection.gram import to_grams
from engage_spark.ml.selection.profile import to_profile
from tests.support.audited import DAY, audit_rows, frame, plan, with_sides
from tests.support.spark_jobs import jobs_of

if TYPE_CHECKING:
    from pathlib import Path

    from pyspark.sql import DataFrame, SparkSession

ROWS = 1500


def honest() -> pd.DataFrame:
    """Two targets, and features that are related to them and to nothing too closely."""
    rng = np.random.default_rng(11)
    data = pd.DataFrame(
        {
            "visits": rng.poisson(6, ROWS),
            "spend": np.round(rng.gamma(2, 50, ROWS), 3),
            "plan": rng.choice(["a", "b", "c"], ROWS),
            "flag": rng.random(ROWS) < 0.3,
            "score": rng.normal(size=ROWS),
        }
    )
    data["left"] = (0.4 * (data.visits - 6) + data.score + rng.logistic(size=ROWS) > 0.8).astype(float)
    data["worth"] = 10 * data.visits + data.spend + 30 * (data.plan == "a") + rng.normal(0, 40, ROWS)
    data.loc[rng.random(ROWS) < 0.1, "spend"] = np.nan
    return data


HONEST = ("visits", "spend", "plan", "flag", "score")


def with_leaks() -> pd.DataFrame:
    """One column for each check, with what it is of."""
    rng = np.random.default_rng(12)
    data = honest()
    y = data.left
    data["near"] = y + rng.normal(0, 0.25, ROWS)  # AUC
    # one-to-one with the label, as a category
    data["code"] = np.where(y == 1, rng.choice(["x", "y"], ROWS), "z")
    # a threshold
    data["late"] = np.where(
        (y == 1) & (rng.random(ROWS) < 0.5), 40.0 + rng.random(ROWS), rng.integers(0, 30, ROWS)
    )
    data["gone"] = np.where(
        (y == 1) & (rng.random(ROWS) < 0.75) | (rng.random(ROWS) < 0.05), np.nan, rng.normal(size=ROWS)
    )
    data["status"] = np.where(rng.random(ROWS) < np.where(y == 1, 0.5, 0.05), 2, 1)
    data["cents"] = 100 * data.worth + 7
    data["void"] = np.nan
    data["same"] = 3.0
    data["number"] = np.arange(ROWS) * 3 + 10**6
    data["name"] = [f"n{i}" for i in range(ROWS)]
    data["city"] = [f"c{i}" for i in rng.integers(0, 150, ROWS)]
    data["level"] = data.plan.map({"a": 30, "b": 10, "c": 20})
    return data


@pytest.fixture(scope="module")
def leaky(spark: SparkSession) -> DataFrame:
    return frame(spark, with_sides(with_leaks()))


BINARY = ("near", "code", "late", "gone", "status")
ALONE = ("void", "same", "number", "name", "city", "level")


@pytest.mark.connect
def test_each_planted_leak_is_found_once_under_its_own_name(leaky: DataFrame) -> None:
    data = with_leaks()
    plans = [
        plan("left", Task.BINARY, (*HONEST, *BINARY, *ALONE), data),
        plan("worth", Task.REGRESSION, (*HONEST, "cents"), data),
    ]
    findings = {(f.target, f.columns): (f.check, f.stops) for f in audit_rows(leaky, plans)}
    assert findings == {
        ("left", ("near",)): ("too good to be true", True),
        ("left", ("code",)): ("label proxy", True),
        ("left", ("late",)): ("label proxy", True),
        ("left", ("gone",)): ("missing with the label", True),
        ("left", ("status",)): ("label-like", False),
        ("worth", ("cents",)): ("label proxy", True),
        (None, ("void",)): ("empty", True),
        (None, ("same",)): ("constant", False),
        (None, ("number",)): ("identifier", False),
        (None, ("name",)): ("identifier", True),
        (None, ("city",)): ("too many levels", True),
        (None, ("plan", "level")): ("twins", False),
    }


def test_honest_features_are_passed_over_in_silence(leaky: DataFrame) -> None:
    data = with_leaks()
    assert (
        audit_rows(
            leaky, [plan("left", Task.BINARY, HONEST, data), plan("worth", Task.REGRESSION, HONEST, data)]
        )
        == ()
    )


def test_a_formula_is_found_with_the_fields_that_it_is_made_of(spark: SparkSession) -> None:
    data = honest()
    data["worth"] = (
        3 * data.visits - 2 * data.score + data.flag + np.random.default_rng(1).normal(0, 0.2, ROWS)
    )
    (only,) = audit_rows(frame(spark, with_sides(data)), [plan("worth", Task.REGRESSION, HONEST, data)])
    assert only.check == "reconstructs a formula" and only.stops
    assert only.columns == ("visits", "score"), "the smallest subset above the limit: the flag adds little"
    z = data[["visits", "score"]]
    beta, *_ = np.linalg.lstsq(np.column_stack([z, np.ones(ROWS)]), data.worth, rcond=None)
    assert only.measured == pytest.approx(
        1 - (data.worth - z @ beta[:2] - beta[2]).var() / data.worth.var(), abs=0.01
    )


def test_a_target_that_one_feature_gives_in_a_curve_is_found(spark: SparkSession) -> None:
    data = honest()
    data["worth"] = (data.visits - 6.0) ** 2 + np.random.default_rng(1).normal(0, 0.5, ROWS)
    (only,) = audit_rows(frame(spark, with_sides(data)), [plan("worth", Task.REGRESSION, HONEST, data)])
    assert (only.check, only.columns) == (
        "too good to be true",
        ("visits",),
    ) and "straight line" not in only.explanation


def test_policies_are_told_apart(leaky: DataFrame) -> None:
    data = with_leaks()
    plans = [
        plan("left", Task.BINARY, HONEST, data),
        plan("left", Task.BINARY, (*HONEST, "near"), data, policy=LeakPolicy.PERMISSIVE),
    ]
    assert [(f.policy, f.columns) for f in audit_rows(leaky, plans)] == [(LeakPolicy.PERMISSIVE, ("near",))]


def test_areas_are_those_of_scikit_learn_exact_for_few_values_and_near_for_many(leaky: DataFrame) -> None:
    data = with_leaks()
    plans = [plan("left", Task.BINARY, ("visits", "status", "flag", "score", "near", "spend"), data)]
    histograms = to_target_histograms(
        leaky, specs=plans, profile=to_profile(leaky, plans), day="day", split="side"
    ).histograms["left"]
    for name in ("visits", "status", "flag"):
        area = roc_auc_score(data.left, data[name])
        assert target_histogram.auc(histograms[name]) == pytest.approx(max(area, 1 - area), abs=1e-12)
    for name in ("score", "near"):
        assert target_histogram.auc(histograms[name]) == pytest.approx(
            roc_auc_score(data.left, data[name]), abs=0.004
        )
    assert histograms["spend"].rows[-1] == data.spend.isna().sum() and histograms["spend"].rows.sum() == ROWS
    assert histograms["score"].of_target == pytest.approx(data.left.var(ddof=0) * ROWS)


@pytest.mark.slow
def test_the_audit_is_the_same_on_any_partitioning(leaky: DataFrame) -> None:
    data = with_leaks()
    plans = [
        plan("left", Task.BINARY, (*HONEST, *BINARY, *ALONE), data),
        plan("worth", Task.REGRESSION, HONEST, data),
    ]
    once = audit_rows(leaky, plans)
    assert len(once) > 8
    for n in (1, 7):
        assert audit_rows(leaky.repartition(n, "name"), plans) == once


def test_rows_that_are_alike_but_for_the_key_are_counted_across_sides(spark: SparkSession) -> None:
    """Contents A (3 keys, two sides), B (2 keys, same fold), C; A's null lies elsewhere than C's. D's labels
    differ; E's 11 keys are a common profile.
    """
    rows = [
        ("a1", DAY, "fit", 0, 1.0, None, 1.0),
        ("a2", DAY, "fit", 0, 1.0, None, 1.0),
        ("a3", DAY, "test", None, 1.0, None, 1.0),
        ("b1", DAY, "fit", 1, 2.0, "x", 0.0),
        ("b2", DAY, "fit", 1, 2.0, "x", 0.0),
        ("c1", DAY, "fit", 2, None, None, 1.0),
        ("c1", DAY + datetime.timedelta(1), "fit", 2, None, None, 1.0),
        ("d1", DAY, "fit", 3, -0.0, "y", 0.0),
        ("d2", DAY, "fit", 4, 0.0, "y", 1.0),
        *((f"e{i}", DAY, "fit" if i % 2 else "test", i % 2 or None, 9.0, "e", 0.0) for i in range(11)),
    ]
    rows = spark.createDataFrame(
        rows, "key string, day date, side string, fold int, n double, t string, y double"
    )
    data = pd.DataFrame({"n": [1.0], "t": ["x"]})
    plans = [plan("y", Task.BINARY, ("n", "t"), data)]
    counts = to_duplicate_counts(rows, specs=plans, key=["key"], day="day", split="side", fold="fold")
    assert (counts.keys, counts.groups, counts.repeated, counts.across) == (20, 3, 4, 2), (
        "one customer on two days is no duplicate"
    )
    assert (counts.parted, counts.labelled, counts.differ) == (3, 2, 1)
    assert (counts.profiles, counts.common) == (1, 11)
    assert (counts.twice, counts.split_keys) == (0, 0)
    more = rows.union(rows.where("key = 'b1'")).union(
        rows.where("key = 'c1'").selectExpr("key", "day", "'test'", "fold", "n", "t", "y")
    )
    counts_of_more = to_duplicate_counts(more, specs=plans, key=["key"], day="day", split="side", fold="fold")
    assert (counts_of_more.twice, counts_of_more.split_keys) == (3, 1)


@pytest.mark.slow
def test_an_audit_takes_two_passes_however_many_features(
    spark: SparkSession, leaky: DataFrame, spark_kind: str
) -> None:
    if spark_kind != "classic":
        pytest.skip("only a classic session tells how many jobs it ran")
    data = with_leaks()

    def jobs(features: tuple[str, ...]) -> int:
        plans = [plan("left", Task.BINARY, features, data)]
        profile = to_profile(leaky, plans)
        grams = to_grams(leaky, specs=plans, fold="fold", scales=profile.scales)
        return jobs_of(
            spark,
            lambda: audit_leakage(leaky, specs=plans, grams=grams, profile=profile, key=["key"], day="day"),
        )

    counted = jobs(HONEST[:2]), jobs((*HONEST, *BINARY, *ALONE))
    assert counted[0] == counted[1] <= 7, (
        "adaptive execution runs a job a shuffle, and the frame has one of its own in each of the two passes"
    )


@pytest.mark.slow
def test_generated_customers_are_passed_over_in_silence_under_both_policies(spark: SparkSession) -> None:
    from pyspark.sql import functions as F

    from engage_spark.features.run_formulas import to_features
    from engage_spark.synth import SynthPlan, customers

    contract = load_contract()
    (key,), day = contract.entity.key, "snapshot_date"
    synthetic = customers(
        spark, SynthPlan(customers=3000, snapshots=1, partitions=2, seed=42, contract=contract)
    )
    (table,) = contract.derived
    rows = synthetic.join(to_features(synthetic, table=table).drop(day), on=key, how="inner")
    hashed = F.pmod(F.xxhash64(key), F.lit(100))
    side = F.when(hashed < 64, "fit").when(hashed < 80, "calibration").otherwise("test")
    rows = rows.withColumns({"side": side, "fold": F.when(hashed < 64, (hashed % 5).cast("int"))})
    plans = [
        build_feature_spec(contract, t, policy=p, graph=False)
        for t in targets_of(contract)
        for p in LeakPolicy
    ]
    assert len(plans) == 6 and min(len(p.names) for p in plans) >= 20
    profile = to_profile(rows, plans)
    grams = to_grams(rows, specs=plans, fold="fold", scales=profile.scales)
    findings = audit_leakage(rows, specs=plans, grams=grams, profile=profile, key=[key], day=day)
    assert [str(f) for f in findings if f.policy is not LeakPolicy.PERMISSIVE] == []


def real(path: Path) -> pd.DataFrame:
    if not path.is_file():
        pytest.skip(f"{path} is not here")
    data = pd.read_csv(path)
    return data.rename(columns=lambda c: "_".join(c.lower().split()))


@pytest.mark.slow
def test_the_iranian_table_shows_formula_label_like_columns_twins_and_duplicates(
    spark: SparkSession, shared_data: Path
) -> None:
    data = real(shared_data / "tables" / "iranian_churn.csv")
    features = [c for c in data if c != "churn"]
    plans = [
        plan("churn", Task.BINARY, features, data),
        plan("customer_value", Task.REGRESSION, [c for c in features if c != "customer_value"], data),
    ]
    findings = {(f.check, f.target, f.columns): f for f in audit_rows(frame(spark, with_sides(data)), plans)}
    assert set(findings) == {
        ("label-like", "churn", ("complains",)),
        ("label-like", "churn", ("status",)),
        ("reconstructs a formula", "customer_value", ("seconds_of_use", "frequency_of_sms")),
        ("twins", None, ("age_group", "age")),
        ("duplicates", None, ("key",)),
        ("common profiles", None, ("key",)),
    }
    sizes = data.groupby(features).size()
    repeated, (eleven,) = sizes[sizes <= 10].sub(1).sum(), sizes[sizes > 10]
    duplicates = findings["duplicates", None, ("key",)]
    assert duplicates.explanation.startswith(f"{repeated} of 3,150 rows repeat")
    assert findings["common profiles", None, ("key",)].measured == eleven / 3150 == 11 / 3150
    assert duplicates.stops, "their labels agree far more often than by chance"
    assert (
        findings["reconstructs a formula", "customer_value", ("seconds_of_use", "frequency_of_sms")].measured
        > 0.95
    )


@pytest.mark.slow
def test_the_bank_table_shows_its_repeated_rows_and_its_names(spark: SparkSession, shared_data: Path) -> None:
    data = real(shared_data / "tables" / "bank_dirty.csv")
    data = data.assign(key=data.customerid.astype(str))
    findings = audit_rows(
        frame(spark, with_sides(data)),
        [plan("exited", Task.BINARY, [c for c in data if c not in ("exited", "key")], data)],
    )
    by_check = {f.check: f for f in findings if f.check != "in several splits"}
    assert by_check["key held twice"].measured == data.key.duplicated().sum() == 2
    assert by_check["too many levels"].columns == ("surname",)
    assert {f.columns for f in findings if f.check == "identifier"} == {("rownumber",), ("customerid",)}
    assert set(by_check) == {"key held twice", "too many levels", "identifier"}
