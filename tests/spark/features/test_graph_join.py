"""The join of features and graph: which value is taken, and what a missing row does."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from chispa import assert_df_equality
from pyspark.errors import PySparkException

from engage_spark.features import with_graph_features

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

ON = ("customer_id", "day")
JOINED = "customer_id string, day int, network_centrality double, posts int, degree int, reciprocity double"


@pytest.fixture(scope="module")
def features(spark: SparkSession) -> DataFrame:
    rows = [("a", 1, 0.9, 5), ("b", 1, None, 6), ("a", 2, 0.8, 7)]
    return spark.createDataFrame(rows, "customer_id string, day int, network_centrality double, posts int")


@pytest.fixture(scope="module")
def graph(spark: SparkSession) -> DataFrame:
    rows = [
        ("a", 1, 3, 0.1, None, "r"),
        ("b", 1, 0, 0.0, 0.5, "r"),
        ("a", 2, 4, None, 0.25, "s"),
        ("c", 1, 9, 0.7, 0.7, "r"),
    ]
    return spark.createDataFrame(
        rows,
        "customer_id string, day int, degree int, network_centrality double, reciprocity double, "
        "_run_id string",
    )


def test_the_measured_value_takes_the_place_of_the_given_one(
    spark: SparkSession, features: DataFrame, graph: DataFrame
) -> None:
    rows = with_graph_features(features, graph, on=ON)
    expected = [("a", 1, 0.1, 5, 3, None), ("a", 2, None, 7, 4, 0.25), ("b", 1, 0.0, 6, 0, 0.5)]
    assert_df_equality(
        rows, spark.createDataFrame(expected, JOINED), ignore_nullable=True, ignore_row_order=True
    )


def test_the_given_value_stays_where_that_is_set(
    spark: SparkSession, features: DataFrame, graph: DataFrame
) -> None:
    rows = with_graph_features(features, graph, on=ON, measured=False)
    expected = [("a", 1, 0.9, 5, 3, None), ("a", 2, 0.8, 7, 4, 0.25), ("b", 1, None, 6, 0, 0.5)]
    assert_df_equality(
        rows, spark.createDataFrame(expected, JOINED), ignore_nullable=True, ignore_row_order=True
    )


def test_without_a_graph_the_rows_stay_as_they_are(features: DataFrame) -> None:
    assert with_graph_features(features, None, on=ON) is features


@pytest.mark.parametrize("measured", [True, False])
@pytest.mark.connect
def test_a_row_that_the_graph_lacks_fails_with_its_key(
    features: DataFrame, graph: DataFrame, measured: bool
) -> None:
    rows = with_graph_features(features, graph.where("day = 1"), on=ON, measured=measured)
    with pytest.raises(
        PySparkException, match="no graph features for customer_id a, day 2; run `engage-spark graph`"
    ):
        rows.collect()
