"""Ranks and the comparison against pandas and scipy, ties and constant columns included."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest
from chispa import assert_df_equality
from scipy.stats import spearmanr

from engage_spark.graph.ranks import QUANTILES, compare_given_with_measured, percentile, with_ranks

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession


def columns(spark: SparkSession, given: list[float | None], measured: list[float | None]) -> DataFrame:
    return spark.createDataFrame(list(zip(given, measured, strict=True)), "given_f double, measured_f double")


def two_columns(n: int = 3000) -> pd.DataFrame:
    """Many ties at 0, a heavy tail, and a given column that goes along with the measured one in part."""
    rng = np.random.default_rng(3)
    measured = np.where(rng.random(n) < 0.3, 0.0, np.round(rng.pareto(1.5, n), 2))
    return pd.DataFrame({"given": np.round(rng.random(n) + measured / 10, 3), "measured": measured})


def test_ranks_are_those_of_pandas(spark: SparkSession) -> None:
    from pyspark.sql import functions as F

    data = two_columns()
    rows = columns(spark, data.given.tolist(), data.measured.tolist()).transform(
        with_ranks, of=["given_f", "measured_f"]
    )
    actual = rows.withColumn("share", percentile(F.col("measured_f_below"), len(data))).toPandas()
    for c in ("given_f", "measured_f"):
        assert (actual[f"{c}_below"] == actual[c].rank(method="min") - 1).all()
        assert (actual[f"{c}_ties"] == actual.groupby(c)[c].transform("size")).all()
    assert actual.share.min() == 0 and actual.share[actual.measured_f.idxmax()] == 100.0
    zeros = actual[actual.measured_f == 0]
    assert (
        (zeros.measured_f_below == 0).all()
        and (zeros.measured_f_ties == len(zeros)).all()
        and len(zeros) > 500
    )


def test_nulls_have_no_rank_and_count_for_nobody(spark: SparkSession) -> None:
    rows = columns(spark, [3.0, None, 1.0, 1.0, None], [None] * 5).transform(
        with_ranks, of=["given_f", "measured_f"]
    )
    expected = spark.createDataFrame(
        [(1.0, 0, 2), (1.0, 0, 2), (3.0, 2, 1), (None, None, None), (None, None, None)],
        "given_f double, given_f_below bigint, given_f_ties bigint",
    )
    actual = rows.select(*expected.columns)
    assert_df_equality(actual, expected, ignore_nullable=True, ignore_row_order=True)


def test_the_comparison_is_that_of_pandas_and_scipy(spark: SparkSession) -> None:
    data = two_columns()
    missing = [0.5, None, float("nan")]
    rows = columns(spark, [*data.given, None, 0.5, 0.5], [*data.measured, *missing])
    actual = compare_given_with_measured(rows, fields=["f"])["f"]
    assert actual.pop("rows_compared") == 3000
    assert actual.pop("rows_without_given") == 3
    assert actual.pop("spearman") == pytest.approx(spearmanr(data.given, data.measured).statistic, abs=1e-12)
    difference = data.measured - data.given
    for name, expected in {
        "mean_given": data.given.mean(),
        "mean_measured": data.measured.mean(),
        "mean_difference": difference.mean(),
        "mean_absolute_difference": difference.abs().mean(),
    }.items():
        assert actual.pop(name) == pytest.approx(expected, rel=1e-12), name
    assert actual == {
        f"{side}_p{q:02}": np.quantile(data[side], q / 100, method="inverted_cdf")
        for side in ("given", "measured")
        for q in QUANTILES
    }


def test_the_comparison_has_the_same_bits_on_any_partitioning(spark: SparkSession) -> None:
    data = two_columns(500)
    rows = columns(spark, data.given.tolist(), data.measured.tolist())
    assert compare_given_with_measured(
        rows.repartition(5, "given_f"), fields=["f"]
    ) == compare_given_with_measured(rows.coalesce(1), fields=["f"])


def test_a_constant_column_has_no_correlation(spark: SparkSession) -> None:
    actual = compare_given_with_measured(columns(spark, [0.2, 0.2, 0.2], [0.1, 0.2, 0.3]), fields=["f"])["f"]
    assert actual["spearman"] is None
    assert (actual["measured_p01"], actual["measured_p50"], actual["measured_p99"]) == (0.1, 0.2, 0.3)


def test_nothing_to_compare_gives_nulls(spark: SparkSession) -> None:
    actual = compare_given_with_measured(columns(spark, [None, None], [0.1, 0.2]), fields=["f"])["f"]
    assert (actual.pop("rows_compared"), actual.pop("rows_without_given")) == (0, 2)
    assert set(actual.values()) == {None}
