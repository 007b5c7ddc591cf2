"""Rows for the driver: as many as are asked for, whole customers, in one order."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from pyspark.sql import functions as F

from engage_spark.errors import InputError
from engage_spark.ml.data.driver_sample import HASH, RowSample, sample_rows, to_arrays

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession


@pytest.fixture(scope="module")
def rows(spark: SparkSession) -> DataFrame:
    """4,000 customers of two days each."""
    customers = spark.range(8000, numPartitions=3)
    return customers.select(
        F.concat(F.lit("c"), (F.col("id") % 4000).cast("string")).alias("key"),
        (F.col("id") / 4000).cast("int").alias("day"),
        F.when(F.col("id") % 10 == 0, None).otherwise(F.col("id") * 0.5).alias("value"),
    )


@pytest.mark.connect
def test_all_rows_come_where_there_are_no_more_than_the_limit(rows: DataFrame) -> None:
    assert sample_rows(rows, RowSample(expected=8000, limit=8000), key=["key"], seed=0).count() == 8000


def test_a_sample_has_about_as_many_rows_and_customers_stay_whole(rows: DataFrame) -> None:
    some = sample_rows(rows, RowSample(expected=8000, limit=2000), key=["key"], seed=0)
    per_customer = some.groupBy("key").count().collect()
    assert {r["count"] for r in per_customer} == {2}
    assert 2000 * 0.85 < 2 * len(per_customer) < 2000 * 1.15


def test_a_rare_class_is_kept_whole_and_the_others_stand_for_it(rows: DataFrame) -> None:
    rare = rows.withColumn("label", (F.col("value") < 50).cast("int")).na.fill({"label": 0})
    ones = rare.where("label = 1").count()
    assert 80 < ones < 100
    drawn = RowSample(expected=8000, limit=1000, label="label", ones=ones)
    arrays = to_arrays(sample_rows(rare, drawn, key=["key"], seed=0), {"label": F.col("label")}, limit=1000)
    labels, weights = arrays["label"], drawn.weights(arrays["label"])
    assert labels.sum() == ones
    assert weights.sum() == pytest.approx(8000, rel=0.1) and 850 < len(labels) < 1150
    even = drawn.is_even(arrays[HASH])
    assert 0 < labels[even].sum() < ones / 4 and even.sum() == (weights > 1).sum() + labels[even].sum()


def test_another_seed_draws_others(rows: DataFrame) -> None:
    first, second = (
        {
            r["key"]
            for r in sample_rows(rows, RowSample(expected=8000, limit=800), key=["key"], seed=s).collect()
        }
        for s in (0, 1)
    )
    assert first != second


@pytest.mark.parametrize("partitions", [1, 2, 7])
def test_arrays_lie_in_the_same_order_on_any_partitioning(rows: DataFrame, partitions: int) -> None:
    def arrays(frame: DataFrame) -> dict[str, np.ndarray]:
        some = sample_rows(frame, RowSample(expected=8000, limit=1000), key=["key"], seed=0)
        return to_arrays(some, {"day": F.col("day"), "value": F.col("value")}, limit=1000)

    expected, actual = arrays(rows), arrays(rows.repartition(partitions, "value"))
    for name in (HASH, "day", "value"):
        np.testing.assert_array_equal(actual[name], expected[name])
    assert (np.diff(expected[HASH]) >= 0).all()
    assert np.isnan(expected["value"]).any(), "null is NaN"


@pytest.mark.connect
def test_more_rows_than_were_expected_are_not_taken_silently(rows: DataFrame) -> None:
    some = sample_rows(rows, RowSample(expected=8000, limit=8000), key=["key"], seed=0)
    with pytest.raises(InputError, match="a sample of 100 rows for the driver has 8,000"):
        to_arrays(some, {"value": F.col("value")}, limit=100)
