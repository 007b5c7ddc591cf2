"""The training set: the right row of each table, of the same day, and nothing that no model or audit asks
for.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from functools import partial
from typing import TYPE_CHECKING

import duckdb
import pytest
from chispa import assert_df_equality
from pyspark.errors import PySparkException

from engage_spark.contract import load_contract
from engage_spark.errors import ConfigurationError
from engage_spark.features import with_graph_features
from engage_spark.ml.data.training_set import labelled, to_scoring_set, to_training_set
from engage_spark.ml.feature_spec import FeatureSpec, LeakPolicy, build_feature_spec, target_named
from tests.support.paths import DATA

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

ENGAGEMENT = load_contract()
BIKES = load_contract(DATA / "bikes.odcs.yaml")
ON = ("customer_id", "snapshot_date")
D1, D2 = date(2025, 9, 1), date(2025, 10, 1)


def plan_of(target: str, *names: str, policy: LeakPolicy = LeakPolicy.STRICT) -> FeatureSpec:
    """The packaged contract's plan, with a few of its features only."""
    spec = build_feature_spec(ENGAGEMENT, target_named(ENGAGEMENT, target), policy=policy)
    features = tuple(f for f in spec.features if f.name in names)
    assert len(features) == len(names)
    return replace(spec, features=features)


CHURN = plan_of(
    "churn_30_day",
    "posts_last_30_days",
    "account_type",
    "network_centrality",
    "follower_following_ratio",
    "betweenness",
)
VALUE = plan_of("lifetime_value_usd", "age", "posts_last_30_days", "profile_quality_score")


@pytest.fixture(scope="module")
def customers(spark: SparkSession) -> DataFrame:
    rows = [
        ("a", D1, 1, "free", 0.1, 30, "F", 0, 10.0, 0.5, "r"),
        ("a", D2, 2, "premium", 0.2, 31, "F", 1, 20.0, 0.6, "r"),
        ("b", D1, 3, None, None, None, "M", None, 30.0, None, "r"),
    ]
    return spark.createDataFrame(
        rows,
        "customer_id string, snapshot_date date, posts_last_30_days int, account_type string, "
        "network_centrality double, "
        "age int, "
        "gender string, churn_30_day int, lifetime_value_usd double, engagement_score double, _run_id string",
    )


@pytest.fixture(scope="module")
def derived(spark: SparkSession) -> DataFrame:
    rows = [
        ("a", D1, 1.5, 0.3, "r"),
        ("a", D2, 2.5, 0.4, "r"),
        ("b", D1, None, 0.5, "r"),
        ("b", D2, 9.0, 9.0, "r"),
    ]
    return spark.createDataFrame(
        rows,
        "customer_id string, snapshot_date date, follower_following_ratio double, "
        "profile_quality_score double, "
        "_run_id string",
    )


@pytest.fixture(scope="module")
def graph(spark: SparkSession) -> DataFrame:
    rows = [("a", D1, 0.01, 0.7, "r"), ("a", D2, 0.02, 0.8, "r"), ("b", D1, 0.0, 0.0, "r")]
    return spark.createDataFrame(
        rows,
        "customer_id string, snapshot_date date, betweenness double, network_centrality double, "
        "_run_id string",
    )


@pytest.mark.connect
def test_features_targets_and_protected_fields_in_the_order_of_the_contract(
    spark: SparkSession, customers: DataFrame, derived: DataFrame, graph: DataFrame
) -> None:
    training_set = to_training_set(
        customers,
        [derived],
        contract=ENGAGEMENT,
        specs=[CHURN, VALUE],
        with_graph=partial(with_graph_features, graph=graph, on=ON),
    )
    expected = spark.createDataFrame(
        [
            ("a", D1, 30, "free", 1, 0.7, 0.3, 1.5, 0.01, 0, 10.0, "F"),
            ("a", D2, 31, "premium", 2, 0.8, 0.4, 2.5, 0.02, 1, 20.0, "F"),
            ("b", D1, None, None, 3, 0.0, 0.5, None, 0.0, None, 30.0, "M"),
        ],
        "customer_id string, snapshot_date date, age int, account_type string, posts_last_30_days int, "
        "network_centrality double, profile_quality_score double, follower_following_ratio double, "
        "betweenness double, churn_30_day int, lifetime_value_usd double, gender string",
    )
    assert_df_equality(training_set, expected, ignore_nullable=True, ignore_row_order=True)


def test_the_later_snapshot_says_nothing_about_the_earlier_one(
    customers: DataFrame, derived: DataFrame, graph: DataFrame
) -> None:
    def of(day: date) -> DataFrame:
        """The set of one day, made where no other day is known."""
        parts = [t.where(f"snapshot_date = DATE'{day}'") for t in (customers, derived, graph)]
        step = partial(with_graph_features, graph=parts[2], on=ON)
        return to_training_set(
            parts[0], [parts[1]], contract=ENGAGEMENT, specs=[CHURN, VALUE], with_graph=step
        )

    step = partial(with_graph_features, graph=graph, on=ON)
    training_set = to_training_set(
        customers, [derived], contract=ENGAGEMENT, specs=[CHURN, VALUE], with_graph=step
    )
    assert_df_equality(training_set, of(D1).unionByName(of(D2)), ignore_nullable=True, ignore_row_order=True)
    assert training_set.count() == 3


def test_the_join_is_that_of_another_engine(spark: SparkSession) -> None:
    day = "date_add(DATE'2025-09-01', CAST(id % 3 AS INT)) AS snapshot_date"
    key = "concat('C', id div 3) AS customer_id"
    rows = spark.range(900).selectExpr(
        key,
        day,
        "CAST(id AS INT) AS age",
        "'x' AS gender",
        "CAST(id % 7 AS INT) AS posts_last_30_days",
        "id * 1.5D AS lifetime_value_usd",
    )
    features = spark.range(1200).selectExpr(
        key, day, "CASE WHEN id % 11 > 0 THEN id / 8D END AS profile_quality_score"
    )
    training_set = to_training_set(
        rows.repartition(5), [features.repartition(3)], contract=ENGAGEMENT, specs=[VALUE]
    )
    set_table, rows_table, features_table = training_set.toArrow(), rows.toArrow(), features.toArrow()
    expected = duckdb.sql(
        "SELECT r.customer_id, r.snapshot_date, age, posts_last_30_days, profile_quality_score, "
        "lifetime_value_usd, gender "
        "FROM rows_table r JOIN features_table f USING (customer_id, snapshot_date) ORDER BY ALL"
    ).fetchall()
    assert len(expected) == len(set_table) == len(rows_table) == 900
    assert len(features_table) == 1200
    assert duckdb.sql("SELECT * FROM set_table ORDER BY ALL").fetchall() == expected


@pytest.mark.connect
def test_a_row_that_has_no_derived_features_that_day_fails_with_its_key(
    customers: DataFrame, derived: DataFrame
) -> None:
    lacking = derived.where("NOT (customer_id = 'a' AND snapshot_date = DATE'2025-10-01')")
    training_set = to_training_set(customers, [lacking], contract=ENGAGEMENT, specs=[VALUE])
    with pytest.raises(
        PySparkException,
        match="customer_features.*customer_id a, snapshot_date 2025-10-01; run `engage-spark features`",
    ):
        training_set.collect()


def test_features_that_no_table_has_are_all_told(customers: DataFrame, derived: DataFrame) -> None:
    with pytest.raises(ConfigurationError) as failed:
        to_training_set(
            customers, [derived.drop("follower_following_ratio")], contract=ENGAGEMENT, specs=[CHURN]
        )
    assert list(failed.value.details) == [
        "follower_following_ratio, of table customer_features",
        "betweenness, of table graph_features",
    ]


def test_a_derived_table_too_few_is_refused(customers: DataFrame) -> None:
    with pytest.raises(ValueError, match="shorter"):
        to_training_set(customers, [], contract=ENGAGEMENT, specs=[VALUE])


def test_what_is_scored_needs_no_target(customers: DataFrame, derived: DataFrame) -> None:
    training_set = to_scoring_set(
        customers.drop("lifetime_value_usd"), [derived], contract=ENGAGEMENT, specs=[VALUE]
    )
    assert training_set.columns == [
        "customer_id",
        "snapshot_date",
        "age",
        "posts_last_30_days",
        "profile_quality_score",
        "gender",
    ]
    assert training_set.count() == 3


@pytest.mark.parametrize("days", [[D1, D2], [D1], []], ids=["two days", "one day", "no day"])
def test_rows_are_labelled_where_the_day_has_matured_and_the_target_is_known(
    spark: SparkSession, customers: DataFrame, days: list[date]
) -> None:
    rows = labelled(customers, target=target_named(ENGAGEMENT, "churn_30_day"), days=days)
    expected = spark.createDataFrame([("a", day) for day in days], "customer_id string, snapshot_date date")
    assert_df_equality(rows.select(*ON), expected, ignore_nullable=True, ignore_row_order=True)


def test_another_business_needs_no_other_code(spark: SparkSession) -> None:
    spec = build_feature_spec(BIKES, target_named(BIKES, "runs_empty"))
    assert spec.names == (
        "district",
        "docks_total",
        "rides_started",
        "rides_ended",
        "mean_ride_km",
        "electric",
        "net_outflow",
        "age_years",
    )
    rows = spark.createDataFrame(
        [("ST0001", D1, "North", "city", 20, 85, 80, 3.1, True, 1)],
        "station_code string, snapshot_date date, district string, operator_owner string, "
        "docks_total int, rides_started int, "
        "rides_ended int, mean_ride_km double, electric boolean, runs_empty int",
    )
    derived = spark.createDataFrame(
        [("ST0001", D1, 5, 8.5)], "station_code string, snapshot_date date, net_outflow int, age_years double"
    )
    training_set = to_training_set(rows, [derived], contract=BIKES, specs=[spec])
    expected = spark.createDataFrame(
        [("ST0001", D1, "North", 20, 85, 80, 3.1, True, 5, 8.5, 1, "city")],
        "station_code string, snapshot_date date, district string, docks_total int, rides_started int, "
        "rides_ended int, mean_ride_km double, electric boolean, net_outflow int, age_years double, "
        "runs_empty int, operator_owner string",
    )
    assert_df_equality(training_set, expected, ignore_nullable=True)


def test_rows_are_moved_once_however_many_tables_are_joined(
    spark: SparkSession,
    customers: DataFrame,
    derived: DataFrame,
    graph: DataFrame,
    capsys: pytest.CaptureFixture[str],
) -> None:
    step = partial(with_graph_features, graph=graph, on=ON)
    before = spark.conf.get("spark.sql.autoBroadcastJoinThreshold")
    spark.conf.set("spark.sql.autoBroadcastJoinThreshold", "-1")
    try:
        to_training_set(
            customers, [derived], contract=ENGAGEMENT, specs=[CHURN, VALUE], with_graph=step
        ).explain()
    finally:
        spark.conf.set("spark.sql.autoBroadcastJoinThreshold", str(before))
    assert capsys.readouterr().out.count("hashpartitioning") == 3
