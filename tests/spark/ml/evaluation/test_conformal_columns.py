"""Conformal intervals and sets as Spark columns: the same bits as on arrays."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import pytest

from engage_spark.errors import InputError
from engage_spark.ml.evaluation.conformal import calibrate_regression, calibrate_sets, with_interval, with_set

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


@pytest.mark.connect
def test_intervals_have_the_same_bits_as_on_arrays(spark: SparkSession) -> None:
    random = np.random.default_rng(1)
    p = random.gamma(1.0, 300.0, 3000)
    y = np.maximum(p + random.normal(0, 1, 3000) * p, 0.0)
    groups = np.array([None, "a", "b"], dtype=object)[random.integers(0, 3, 3000)]
    for g in (None, groups):
        made = calibrate_regression(y, p, coverage=0.9, minimum=0.0, maximum=5000.0, parts=10, groups=g)
        new = np.concatenate([random.gamma(1.0, 300.0, 200), made.cuts])
        names = ["a", None, "b", "c"] * 60
        rows = [(float(x), name) for x, name in zip(new, names, strict=False)]
        df = spark.createDataFrame([*rows, (None, "a")], "prediction double, kind string")
        found = with_interval(df, made, group=None if g is None else "kind").collect()
        low, high = made.intervals(new, None if g is None else names[: len(new)])
        assert [(r["interval_low"], r["interval_high"]) for r in found] == [
            *zip(low.tolist(), high.tolist(), strict=True),
            (None, None),
        ]


def test_sets_are_those_of_arrays_and_too_few_rows_give_both_classes(spark: SparkSession) -> None:
    random = np.random.default_rng(2)
    p = random.random(2000)
    y = (random.random(2000) < p).astype(float)
    made = calibrate_sets(y, p, coverage=0.7)
    new = [0.0, 0.1, 0.2, 0.4, 0.5, 0.6, 0.8, 1.0, made.cells[0].radius]
    df = spark.createDataFrame([(x,) for x in [*new, None]], "prediction double")
    found = [r["prediction_set"] for r in with_set(df, made).collect()]
    zero, one = made.sets(new)
    assert found == [
        *([c for c, has in ((0, z), (1, o)) if has] for z, o in zip(zero, one, strict=True)),
        None,
    ]
    few = calibrate_sets([0, 1], [0.2, 0.7], coverage=0.9)
    assert [r["prediction_set"] for r in with_set(df, few).collect()][:-1] == [[0, 1]] * len(new)


def test_a_range_without_bounds_is_infinite_where_the_rows_are_too_few(spark: SparkSession) -> None:
    made = calibrate_regression([1.0], [2.0], coverage=0.9)
    (row,) = with_interval(spark.createDataFrame([(1.0,)], "prediction double"), made).collect()
    assert (row["interval_low"], row["interval_high"]) == (-math.inf, math.inf)


def test_groups_and_their_column_belong_together(spark: SparkSession) -> None:
    df = spark.createDataFrame([(1.0, "a")], "prediction double, kind string")
    with pytest.raises(InputError, match="not by group"):
        with_interval(df, calibrate_regression([1.0], [2.0], coverage=0.9), group="kind")
    with pytest.raises(InputError, match="no column of groups is named"):
        with_interval(df, calibrate_regression([1.0], [2.0], coverage=0.9, groups=["a"]))
