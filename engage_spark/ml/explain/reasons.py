"""Explain a fitted pipeline: its explainer, the reasons of each row, and the importance of features."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from engage_spark.contract import REASONS_TYPE
from engage_spark.errors import ConfigurationError, InputError
from engage_spark.ml.explain.explainer import Explainer, Linear, Link
from engage_spark.ml.explain.tree_ensemble import (
    BOOSTED,
    FORESTS,
    SINGLE,
    Ensemble,
    booster_ensemble,
    read_ensemble,
)
from engage_spark.ml.feature_spec import Target, Task
from engage_spark.ml.training.pipeline import PREDICTION, PROBABILITY, slots
from engage_spark.ml.training.preparation import FEATURES
from engage_spark.numerics.dtypes import F64, I32, I64
from engage_spark.numerics.limbs import join, split

if TYPE_CHECKING:
    from pyspark.ml import PipelineModel
    from pyspark.sql import Column, DataFrame, SparkSession

REASONS, OTHERS, SCORE = "reasons", "other_contributions", "score_raw"
"""What explains a row's score: its largest contributions, the sum of all others, and the score itself."""
LINEAR = ("LinearRegressionModel", "LogisticRegressionModel", "GeneralizedLinearRegressionModel")
XGBOOST = ("SparkXGBClassifierModel", "SparkXGBRegressorModel")
PICKED = "array<struct<feature:int,contribution:double>>"
_PICKED = "struct<reasons:array<struct<feature:int,contribution:double>>,others:double,score:double>"
_PICKED_TYPE = pa.struct(
    [
        ("reasons", pa.list_(pa.struct([("feature", pa.int32()), ("contribution", pa.float64())]))),
        ("others", pa.float64()),
        ("score", pa.float64()),
    ]
)
_FAR = 1000.0  # standard deviations; what is further out counts as this far


def explainer_of(
    model: PipelineModel,
    *,
    target: Target,
    spark: SparkSession,
    scratch: str,
    background: DataFrame | None = None,
) -> Explainer:
    """Build the explainer of a model of `fit_all`, calibrated or not, in memory or reloaded.

    Trees are read from what Spark writes of them, so the estimator's stage is saved at `scratch`, a path that
    the caller removes. A linear model needs `background`, the rows that it was fitted on: contributions are
    compared with their means. A calibrated model is explained before calibration, which keeps the order of
    rows.

    Units: those of the target for regressions, log-odds for logistic and boosted classifiers, probability for
    forests, logarithms of the amount for Tweedie.

    Cost: of trees the jobs that save the stage, and those of `read_ensemble`; of linear models one scan.

    Errors: ConfigurationError for other estimators.
    """
    stage = _estimator(model)
    kind = type(stage).__name__
    binary = target.task is Task.BINARY
    vector_slots = slots(model)
    features = tuple(dict.fromkeys(s.feature for s in vector_slots))
    explained: Ensemble | Linear
    if kind in XGBOOST:
        explained = booster_ensemble(stage.get_booster().save_raw("json").decode())
    elif kind in LINEAR:
        if background is None:
            raise ConfigurationError(
                f"the reasons of a {kind} need rows to compare with",
                hint="give the rows that it was fitted on",
            )
        means = vector_position_means(model, background, count=len(vector_slots))
        explained = Linear(
            coefficients=np.array(stage.coefficients.toArray()), means=means, intercept=float(stage.intercept)
        )
    else:
        stage.write().overwrite().save(scratch)
        explained = read_ensemble(spark, scratch)
        if kind == BOOSTED[0]:
            # MLlib's margin is half the log-odds. Doubling is exact.
            explained = replace(explained, value=2.0 * explained.value, bias=2.0 * explained.bias)
    return Explainer(
        features=features,
        categories=tuple(dict.fromkeys(s.feature for s in vector_slots if s.level is not None)),
        source=np.array([features.index(s.feature) for s in vector_slots], np.int32),
        link=_link(stage, kind),
        model=explained,
        minimum=None if binary else target.minimum,
        maximum=None if binary else target.maximum,
    )


def _estimator(model: PipelineModel) -> Any:
    for stage in reversed(model.stages):
        if type(stage).__name__ in (*FORESTS, *BOOSTED, *SINGLE, *LINEAR, *XGBOOST):
            return stage
    raise ConfigurationError(
        "the pipeline has no stage whose predictions can be explained",
        hint="explain a forest, boosted trees or a linear model",
        details=[type(s).__name__ for s in model.stages],
    )


def _link(stage: Any, kind: str) -> Link:
    if kind in (BOOSTED[0], XGBOOST[0], "LogisticRegressionModel"):
        return Link.LOGIT
    if kind != "GeneralizedLinearRegressionModel":
        return Link.IDENTITY
    power = stage.getOrDefault("linkPower") if stage.getOrDefault("family") == "tweedie" else None
    if power not in (0.0, 1.0):
        raise ConfigurationError(
            "a generalised linear model of another link than log or identity",
            hint="use tweedie with linkPower 0 or 1",
        )
    return Link.LOG if power == 0.0 else Link.IDENTITY


def _inputs(scored: DataFrame) -> list[Column]:
    """Return the columns of the assembled vector and of the model's own prediction, before calibration."""
    from pyspark.ml.functions import vector_to_array
    from pyspark.sql import functions as F

    own = vector_to_array(F.col(PROBABILITY))[1] if PROBABILITY in scored.columns else F.col(PREDICTION)
    return [vector_to_array(F.col(FEATURES)), own]


def _arrays(vectors: Any, served: Any) -> tuple[Any, Any]:
    values = vectors.flatten().to_numpy(zero_copy_only=False)
    return values.reshape(len(vectors), -1), served.to_numpy(zero_copy_only=False)


def with_reasons(
    scored: DataFrame, explainer: Explainer, *, top: int, masked: Collection[str] = ()
) -> DataFrame:
    """Add `reasons`: per row the `top` features whose contribution is largest by magnitude.

    Ties are ordered by name; features that contribute nothing are left out. Beside them stand
    `other_contributions`, the sum of those that are not listed, and `score_raw`, the model's own sum before
    link, calibration and bounds: the explainer's base, all listed and all other contributions add up to it.
    `scored` is a transform of the model that the explainer was made of, with its source columns. Values are
    text as Spark casts it. With `top` 0 nothing is explained, and the others are all that lies beyond base.

    Grain: unchanged.

    Units: contributions, base and score are in those of the explainer.

    Nulls: a value is null where the feature was null or is one of `masked`.

    Cost: no job; one Arrow exchange of the vector.

    Errors: the job fails with ExplanationError where a row's contributions do not add up to its prediction.
    """
    from pyspark.sql import functions as F

    from engage_spark.spark.compat import arrow_udf

    if top < 0:
        raise ConfigurationError(f"{top} reasons are asked for", hint="set models.reasons to 0 or more")
    names = explainer.features
    explained = scored.withColumn(
        "__explained", arrow_udf(_picker(explainer, top), _PICKED)(*_inputs(scored))
    )

    listed = listed_reasons("__explained.reasons", names if top else (), masked=masked)
    return explained.withColumns(
        {REASONS: listed, OTHERS: F.col("__explained.others"), SCORE: F.col("__explained.score")}
    ).drop("__explained")


def listed_reasons(picked: str, names: Sequence[str], *, masked: Collection[str]) -> Column:
    """Return `reasons` of the column `picked`, which tells features by their position in `names`.

    Nulls: a value is null where the feature was null or is one of `masked`.
    """
    from pyspark.sql import functions as F

    from engage_spark.spark.schema import column_named

    def to_reason(reason: Column) -> Column:
        value = F.lit(None).cast("string")
        # cases, because an array of all values would be built for every reason
        for i, name in enumerate(names):
            if name not in masked:
                value = F.when(reason["feature"] == i, column_named(name).cast("string")).otherwise(value)
        name_of_feature = F.element_at(F.array(*map(F.lit, names)), reason["feature"] + 1)
        return F.struct(
            name_of_feature.alias("feature"),
            value.alias("value"),
            reason["contribution"].alias("contribution"),
        )

    return F.transform(picked, to_reason) if names else F.array().cast(REASONS_TYPE)


def _picker(explainer: Explainer, top: int) -> Any:
    def picked(batches: Iterator[tuple[pa.Array, pa.Array]]) -> Iterator[pa.Array]:
        for vectors, served in batches:
            x, own = _arrays(vectors, served)
            feature, contribution, counts, others, score = explainer.explained(x, own, top)
            yield pa.StructArray.from_arrays(
                [reason_lists(feature, contribution, counts), pa.array(others), pa.array(score)],
                fields=list(_PICKED_TYPE),
            )

    # Annotations are text in this module, and Spark reads the kind of UDF from real ones.
    picked.__annotations__ = {"batches": Iterator[tuple[pa.Array, pa.Array]], "return": Iterator[pa.Array]}
    return picked


def reason_lists(feature: I32, contribution: F64, counts: I64) -> pa.ListArray:
    """Return the picked reasons of all rows, of which `counts` tells how many each row has."""
    ends = pa.array(np.concatenate([[0], np.cumsum(counts)]).astype(np.int32))
    listed = pa.StructArray.from_arrays(
        [pa.array(feature), pa.array(contribution)], names=["feature", "contribution"]
    )
    return pa.ListArray.from_arrays(ends, listed)


@dataclass(frozen=True)
class Importance:
    """How much a feature moves predictions: the mean magnitude of its contributions over `rows` rows.

    `direction` is the correlation of contribution and value, between -1 and 1; None for categories, and where
    one of the two never varies.

    Units: those of the explainer.
    """

    feature: str
    mean_contribution: float
    direction: float | None
    rows: int


def global_importance(
    scored: DataFrame,
    explainer: Explainer,
    *,
    key: Sequence[str],
    limit: int = 50_000,
    seed: int = 0,
    total: int | None = None,
) -> tuple[Importance, ...]:
    """Measure the importance of every feature on about `limit` rows chosen by hash of (seed, key).

    The largest comes first, ties by name. Contributions and values are rounded to a grid, and everything
    after that is whole numbers: the same bits on any partitioning. Values further than 1,000 standard
    deviations out count as 1,000. `total`: how many rows there are, where that is known.

    Cost: one job that explains the chosen rows, and one that counts all where `total` is None; a few numbers
    per partition are collected.

    Errors: ConfigurationError where there is no row.
    """
    from pyspark.sql import functions as F

    from engage_spark.spark.schema import column_named

    total = scored.count() if total is None else total
    if not total:
        raise ConfigurationError("importance was asked for over no rows", hint="give scored rows")
    hashes = F.shiftrightunsigned(F.xxhash64(F.lit(seed), *map(column_named, key)), 33)
    sample = scored if total <= limit else scored.where(hashes < F.lit(limit * 2**31 // total))
    at = np.array(
        [np.flatnonzero(explainer.source == i)[0] for i in range(len(explainer.features))], np.int64
    )
    # contributions take 28 bits, values 30: products fit into 63
    unit = 2.0 ** (27 - np.ceil(np.log2(_bound(explainer))))

    def explained(x: Any, own: Any) -> Any:
        moved = np.rint(np.clip(explainer.checked(x, own) * unit, -(2.0**28), 2.0**28)).astype(np.int64)
        value = np.rint(np.clip(x[:, at], -_FAR, _FAR) * 2.0**20).astype(np.int64)
        return np.concatenate(
            [np.abs(moved), moved, value, moved * moved, value * value, moved * value], axis=1
        )

    rows, sums = _summed(sample, explained)
    if not rows:
        raise ConfigurationError(
            f"none of {total} rows was drawn for importance",
            hint="raise `limit`, or give rows with distinct keys",
        )
    importances = []
    for i, name in enumerate(explainer.features):
        size, m, v, mm, vv, mv = sums[i :: len(explainer.features)]
        # whole numbers, so nothing cancels, and it is 0 exactly where one never varies
        spread = (rows * mm - m * m) * (rows * vv - v * v)
        measured = name not in explainer.categories and spread > 0
        direction = (rows * mv - m * v) / math.sqrt(spread) if measured else None
        importances.append(Importance(name, size / rows / float(unit), direction, rows))
    return tuple(sorted(importances, key=lambda t: (-t.mean_contribution, t.feature)))


def _bound(explainer: Explainer) -> float:
    """Return what no contribution exceeds.

    It is the range of a tree's leaves, or a linear feature's change over `_FAR` standard deviations.
    """
    model = explainer.model
    if isinstance(model, Ensemble):
        return float(sum(np.ptp(tree) for tree in np.split(model.value, model.roots[1:]))) or 1.0
    return float(np.abs(model.coefficients).sum()) * _FAR or 1.0


def vector_position_means(model: PipelineModel, rows: DataFrame, *, count: int) -> F64:
    """Return the mean of each position of the assembled vector over `rows`, on a grid of 2^-32.

    The same bits come out on any partitioning.

    Cost: one job.
    """

    def on_grid(x: Any, _own: Any) -> Any:
        if np.any(np.abs(x) >= 2.0**30):
            raise InputError(
                "a feature is more than 2^30 standard deviations out",
                hint="look for values that are not measurements",
            )
        return np.rint(x * 2.0**32).astype(np.int64)

    n_rows, sums = _summed(model.transform(rows), on_grid)
    if not n_rows:
        raise ConfigurationError(
            "there are no rows to compare with", hint="give the rows that the model was fitted on"
        )
    return np.array([s / n_rows / 2**32 for s in sums[:count]])


def _summed(scored: DataFrame, numbers: Callable[[Any, Any], Any]) -> tuple[int, list[int]]:
    """Count the rows, and sum exactly the whole numbers that `numbers` makes of them. One job."""
    from pyspark.sql import functions as F

    def partition(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        rows, high, low = 0, np.zeros(0, np.int64), np.zeros(0, np.int64)
        for batch in batches:
            if batch.num_rows:
                values = numbers(*_arrays(batch.column(0), batch.column(1)))
                rows += batch.num_rows
                own = [part.sum(axis=0) for part in split(values)]
                high, low = own if rows == batch.num_rows else (high + own[0], low + own[1])
        if rows:
            columns = [np.arange(-1, len(high)), np.concatenate([[0], high]), np.concatenate([[rows], low])]
            yield pa.RecordBatch.from_arrays(
                [pa.array(c.astype(np.int64)) for c in columns], names=["place", "high", "low"]
            )

    vectors, served = _inputs(scored)
    parts = scored.select(vectors.alias("x"), served.alias("own")).mapInArrow(
        partition, "place bigint, high bigint, low bigint"
    )
    added = parts.groupBy("place").agg(F.sum("high").alias("high"), F.sum("low").alias("low")).collect()
    sums = {row["place"]: join(row["high"], row["low"]) for row in added}
    return sums.pop(-1, 0), [sums[place] for place in sorted(sums)]
