"""Training rows for the audit from a pandas frame: keys, day, sides and folds, and plans made by hand."""

from __future__ import annotations

import datetime
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from engage_spark.ml.feature_spec import Feature, FeatureSpec, LeakPolicy, Target, Task
from engage_spark.ml.leakage.audit import LeakFinding, audit_leakage
from engage_spark.ml.selection.gram import to_grams
from engage_spark.ml.selection.profile import to_profile

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyspark.sql import DataFrame, SparkSession

DAY = datetime.date(2025, 10, 21)


def plan(
    name: str,
    task: Task,
    features: Sequence[str],
    data: pd.DataFrame,
    *,
    policy: LeakPolicy = LeakPolicy.STRICT,
) -> FeatureSpec:
    target = Target(name=name, task=task, minimum=None, maximum=None, label_days=0, baseline=None)
    used = tuple(Feature(name=f, table="t", categorical=data[f].dtype == object) for f in features)
    return FeatureSpec(target=target, policy=policy, features=used, excluded=())


def with_sides(data: pd.DataFrame, *, seed: int = 3) -> pd.DataFrame:
    """A key per row (unless there is one), a day, and a side with five folds of `fit`."""
    rng = np.random.default_rng(seed)
    side = rng.choice(["fit", "calibration", "conformal", "test"], len(data), p=[0.64, 0.08, 0.08, 0.2])
    fold = np.where(side == "fit", rng.integers(0, 5, len(data)), -1)
    keyed = data if "key" in data else data.assign(key=[f"r{i}" for i in range(len(data))])
    return (
        keyed.assign(day=[DAY] * len(data), side=side, fold=fold)
        if "day" not in data
        else keyed.assign(side=side, fold=fold)
    )


def frame(spark: SparkSession, data: pd.DataFrame) -> DataFrame:
    """The rows in Spark; NaN is null, and fold −1 is none."""
    from pyspark.sql import functions as F

    kinds = {"f": "double", "i": "bigint", "b": "boolean"}
    ddl = ", ".join(
        f"`{c}` {'date' if c == 'day' else kinds.get(t.kind, 'string')}" for c, t in data.dtypes.items()
    )
    rows = [tuple(None if pd.isna(v) else v for v in r) for r in data.astype(object).itertuples(index=False)]
    rows_in_spark = spark.createDataFrame(rows, ddl).withColumn(
        "fold", F.when(F.col("fold") >= 0, F.col("fold").cast("int"))
    )
    return rows_in_spark.repartition(3, "key")


def audit_rows(rows: DataFrame, specs: Sequence[FeatureSpec], **options: Any) -> tuple[LeakFinding, ...]:
    profile = to_profile(rows, specs)
    grams = to_grams(rows, specs=specs, fold="fold", scales=profile.scales)
    return audit_leakage(rows, specs=specs, grams=grams, profile=profile, key=["key"], day="day", **options)
