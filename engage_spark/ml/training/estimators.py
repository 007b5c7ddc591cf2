"""Build a candidate's estimator, with its settings, the seed and the names of its columns."""

from __future__ import annotations

from typing import Any

from engage_spark.ml.feature_spec import Target, Task
from engage_spark.ml.training.candidates import Candidate, Family

AGGREGATED_MB = 512
"""What a task may hold of a forest's histograms: one pass over the rows per level, where the default of 256
makes two at 40 trees.
"""


def estimator(
    candidate: Candidate,
    *,
    target: Target,
    label: str,
    seed: int,
    predicted: str,
    classed: str,
    weight: str | None = None,
) -> Any:
    """Build the unfitted estimator of a candidate on column `__features`.

    A regression writes its prediction to `predicted`; a classifier the vectors `__raw` and `probability`, and
    the likelier class to `classed`. The seed decides the bags of a forest and the samples of boosting; linear
    models have none. `weight`: the column that says how much a row counts.
    """
    binary = target.task is Task.BINARY
    columns = {"featuresCol": "__features", "labelCol": label}
    columns |= {} if weight is None else {"weightCol": weight}
    if binary:
        columns |= {"rawPredictionCol": "__raw", "probabilityCol": "probability", "predictionCol": classed}
    else:
        columns |= {"predictionCol": predicted}
    if candidate.family is Family.XGBOOST:
        from engage_spark.ml.training.xgboost import boosted

        return boosted(candidate, binary=binary, label=label, seed=seed, columns=columns)
    unfitted = _mllib(candidate.family, binary)()
    for name, value in {**columns, **candidate.params, **_own(candidate.family, seed)}.items():
        unfitted.set(
            unfitted.getParam(name), value
        )  # some constructors lack parameters that their estimators have
    return unfitted


def _own(family: Family, seed: int) -> dict[str, Any]:
    if family in (Family.FOREST, Family.GBT):
        return {"seed": seed, "maxMemoryInMB": AGGREGATED_MB}
    return {"maxDepth": 0, "seed": seed} if family is Family.CONSTANT else {}


def _mllib(family: Family, binary: bool) -> Any:
    from pyspark.ml import classification as c
    from pyspark.ml import regression as r

    kinds = {
        Family.LINEAR: (c.LogisticRegression, r.LinearRegression),
        Family.TWEEDIE: (None, r.GeneralizedLinearRegression),
        Family.FOREST: (c.RandomForestClassifier, r.RandomForestRegressor),
        Family.GBT: (c.GBTClassifier, r.GBTRegressor),
        # A tree that is not split predicts the mean of its labels, or the share of each class.
        Family.CONSTANT: (c.DecisionTreeClassifier, r.DecisionTreeRegressor),
    }
    return kinds[family][0 if binary else 1]
