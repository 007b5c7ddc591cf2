"""Rows of every kind that a model may meet, for the tests of this folder: whole numbers, fractions, booleans,
text, nulls, odd names.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from engage_spark.ml.feature_spec import Feature, Target, Task
from engage_spark.ml.training.candidates import Candidate, Family

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyspark.ml import PipelineModel
    from pyspark.sql import DataFrame, SparkSession

FEATURES = (
    Feature(name="visits", table="people", categorical=False),
    Feature(name="spend.per visit", table="people", categorical=False),
    Feature(name="paying", table="people", categorical=False),
    Feature(name="pl`an", table="people", categorical=True),
)
LEFT = Target(name="left", task=Task.BINARY, minimum=0.0, maximum=1.0, label_days=30, baseline="visits")
VALUE = Target(name="value", task=Task.REGRESSION, minimum=0.0, maximum=80.0, label_days=0, baseline=None)
DDL = (
    "id string, visits int, `spend.per visit` double, paying boolean, `pl``an` string, fold int, "
    "left int, value double"
)

QUICK = {
    "linear": Candidate(
        name="linear", family=Family.LINEAR, params={"regParam": 1e-4, "elasticNetParam": 0.5, "maxIter": 30}
    ),
    "tweedie": Candidate(
        name="tweedie",
        family=Family.TWEEDIE,
        params={"family": "tweedie", "variancePower": 1.5, "linkPower": 0.0, "regParam": 1e-3, "maxIter": 15},
    ),
    "forest": Candidate(name="forest", family=Family.FOREST, params={"numTrees": 8, "maxDepth": 5}),
    "gbt": Candidate(name="gbt", family=Family.GBT, params={"maxIter": 4, "maxDepth": 3, "stepSize": 0.3}),
    "xgboost": Candidate(name="xgboost", family=Family.XGBOOST, params={"n_estimators": 10, "max_depth": 3}),
    "baseline": Candidate(name="baseline", family=Family.CONSTANT, only=()),
}


def make_rows(n: int = 600, seed: int = 5) -> pd.DataFrame:
    """About a tenth of each feature is missing; the labels depend on all of them, and on chance."""
    r = np.random.default_rng(seed)
    visits, spend, paying = r.poisson(6, n), np.round(r.gamma(2.0, 5.0, n), 2), r.random(n) < 0.4
    plan = r.choice(["basic", "plus", "gold"], n, p=[0.6, 0.3, 0.1])
    margin = 2.5 - 0.5 * visits - 0.8 * paying + 0.05 * spend + np.where(plan == "gold", -1.0, 0.0)
    left = (r.random(n) < 1 / (1 + np.exp(-margin))).astype(int)
    value = np.round(np.clip(spend * (1 + 0.1 * visits) * r.gamma(4.0, 0.25, n), 0, 80), 2)
    rows = pd.DataFrame(
        {
            "id": [f"c{i:05}" for i in range(n)],
            "visits": visits,
            "spend.per visit": spend,
            "paying": paying,
            "pl`an": plan,
            "fold": np.arange(n) % 3,
            "left": left,
            "value": value,
        }
    ).astype({"visits": object, "spend.per visit": object, "paying": object, "pl`an": object})
    for f in FEATURES:
        rows.loc[r.random(n) < 0.1, f.name] = None
    return rows


def frame(spark: SparkSession, rows: pd.DataFrame) -> DataFrame:
    return spark.createDataFrame([tuple(row) for row in rows.itertuples(index=False, name=None)], DDL)


def fit_one(
    rows: DataFrame, candidate: Candidate, *, target: Target, features: Sequence[Feature]
) -> PipelineModel:
    """Fit one candidate on all rows as they are."""
    from engage_spark.ml.training.fit import Job, fit_all

    job = Job(
        candidate=candidate, target=target, features=tuple(features), rows=rows, label=target.name, seed=7
    )
    return fit_all([job], parallelism=1)[0].model
