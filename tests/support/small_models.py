"""A few hundred rows of every kind of column, and models of them, for tests of explanation and scoring."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pyspark.ml import PipelineModel
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from engage_spark.ml.explain.explainer import Explainer
from engage_spark.ml.explain.reasons import explainer_of
from engage_spark.ml.feature_spec import Feature, Target, Task
from engage_spark.ml.training.candidates import Candidate, Family
from engage_spark.ml.training.pipeline import calibrated
from tests.support.made_rows import fit_one

LEAVES = Target(name="leaves", task=Task.BINARY, minimum=0.0, maximum=1.0, label_days=30, baseline=None)
AMOUNT = Target(name="amount", task=Task.REGRESSION, minimum=0.0, maximum=5.0, label_days=0, baseline=None)
FEATURES = tuple(
    Feature(name=n, table="people", categorical=n in ("zone", "plan"))
    for n in ("age", "visits", "zone", "share", "member", "plan")
)
_TREES = {"maxDepth": 5, "minInstancesPerNode": 5}
PARAMS: Mapping[Family, Mapping[str, Any]] = {
    Family.LINEAR: {"regParam": 1e-4, "elasticNetParam": 0.5, "maxIter": 20},
    Family.TWEEDIE: {
        "family": "tweedie",
        "variancePower": 1.5,
        "linkPower": 0.0,
        "regParam": 1e-3,
        "maxIter": 20,
    },
    Family.FOREST: {"numTrees": 8, **_TREES},
    Family.GBT: {"maxIter": 8, "stepSize": 0.3, "maxDepth": 3},
    Family.XGBOOST: {"n_estimators": 12, "max_depth": 4, "learning_rate": 0.3},
    Family.CONSTANT: {},
}


def people(spark: SparkSession, rows: int = 900) -> DataFrame:
    """id, features (int, bigint, text, double, boolean, text; nulls in four), the labels, and a column that
    no model knows.
    """

    def drawn(salt: int) -> Any:
        return F.pmod(F.xxhash64(F.lit(salt), "id"), F.lit(10_000)) / 10_000.0

    zones = F.array(*map(F.lit, ("north", "east", "south", "west")))
    found = spark.range(rows).select(
        F.concat(F.lit("P-"), F.lpad(F.col("id").cast("string"), 5, "0")).alias("id"),
        F.when(drawn(1) < 0.95, F.floor(18 + 60 * drawn(2)).cast("int")).alias("age"),
        F.floor(40 * drawn(3) * drawn(4)).alias("visits"),
        F.when(drawn(5) < 0.9, F.element_at(zones, (1 + F.floor(4 * drawn(6))).cast("int"))).alias("zone"),
        F.when(drawn(7) < 0.9, drawn(8)).alias("share"),
        F.when(drawn(9) < 0.9, drawn(10) < 0.3).alias("member"),
        F.when(drawn(11) < 0.5, "basic").otherwise("plus").alias("plan"),
        drawn(12).alias("noise"),
    )
    visits, share, north = (
        F.col("visits"),
        F.coalesce("share", F.lit(0.5)),
        F.coalesce(F.col("zone") == "north", F.lit(False)),
    )
    worth = 1.8 * share * (visits / 10) + F.when(north, 0.8).otherwise(0.1) + 0.3 * F.col("noise")
    leaves = (F.col("noise") + 0.03 * visits - 0.4 * share - F.when(north, 0.2).otherwise(0.0) < 0.3).cast(
        "double"
    )
    return found.withColumns({"amount": F.greatest(worth - 0.3, F.lit(0.0)), "leaves": leaves}).drop("noise")


def fitted(rows: DataFrame, target: Target, family: Family, *, calibrate: bool = False) -> PipelineModel:
    only = () if family is Family.CONSTANT else None
    candidate = Candidate(name=family.value, family=family, params=PARAMS[family], only=only)
    model = fit_one(rows, candidate, target=target, features=FEATURES)
    return calibrated(model, rows, label=target.name, key=["id"], days=1)[0] if calibrate else model


def explained(model: PipelineModel, rows: DataFrame, target: Target, at: Path) -> Explainer:
    return explainer_of(
        model, target=target, spark=rows.sparkSession, scratch=str(at / "stage"), background=rows
    )
