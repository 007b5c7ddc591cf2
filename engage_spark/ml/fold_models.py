"""Predict customers whom a model has learnt by the model of the fold that was held out with them.

Cross-validation fits a model without each fold anyway. What is kept of it is its explainer, which holds the
whole estimator, and the few numbers that turn raw columns into its vector: small enough to be stored beside
the model that serves, and no Spark model has to be saved or loaded for it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from functools import partial, reduce
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from engage_spark.ml.explain.explainer import Explainer
from engage_spark.ml.explain.reasons import (
    OTHERS,
    PICKED,
    REASONS,
    SCORE,
    explainer_of,
    listed_reasons,
    reason_lists,
)
from engage_spark.ml.feature_spec import Feature, Target, Task
from engage_spark.ml.training.fit import narrow
from engage_spark.ml.training.pipeline import (
    PREDICTION,
    PROBABILITY,
    calibration_stages,
    imputed_fields,
    unseen_of,
)
from engage_spark.ml.training.preparation import NumberSlot, preparation_of

if TYPE_CHECKING:
    from collections.abc import Collection

    from pyspark.ml import PipelineModel
    from pyspark.sql import Column, DataFrame, SparkSession

    from engage_spark.ml.data.fit_draw import FitDraw
    from engage_spark.ml.training.cross_validation import FitRows
    from engage_spark.ml.training.fit import Fitted

ScratchPath = Callable[[], AbstractContextManager[str]]
"""Opens a directory that does not exist yet, which Spark may write to, and deletes it when the block ends."""
BASE, IMPUTED, UNSEEN = "__base", "__imputed", "__unseen"


@dataclass(frozen=True, kw_only=True, eq=False)
class FoldModel:
    """The model that was fitted without one fold, on `names`. `levels` are those of each category, the most
    frequent first.
    """

    fold: int
    names: tuple[str, ...]
    numbers: tuple[NumberSlot, ...]
    levels: Mapping[str, tuple[str, ...]]
    explainer: Explainer

    @property
    def features(self) -> tuple[Feature, ...]:
        """The source columns, in the order of the model's features."""
        return tuple(Feature(name=name, table="", categorical=name in self.levels) for name in self.names)

    def vector(self) -> Column:
        """Return the vector of a row as an array of doubles, as the fitted pipeline would assemble it."""
        from pyspark.sql import functions as F

        from engage_spark.spark.schema import column_named

        parts = []
        for n in self.numbers:
            value = column_named(n.name).cast("double")
            known = F.when(value.isNull() | F.isnan(value), F.lit(n.filled)).otherwise(value)
            parts.append((known - F.lit(n.centre)) * F.lit(n.scale))
        for name, known_levels in self.levels.items():
            value = F.coalesce(column_named(name).cast("string"), F.lit(known_levels[0]))
            parts += [(value == F.lit(level)).cast("double") for level in known_levels]
        return F.array(*parts)

    def to_json(self) -> str:
        """Return text that `from_json` reads, bit for bit."""
        return json.dumps(
            {
                "fold": self.fold,
                "names": self.names,
                "numbers": [asdict(n) for n in self.numbers],
                "levels": [[name, list(levels)] for name, levels in self.levels.items()],
                "explainer": json.loads(self.explainer.to_json()),
            },
            allow_nan=False,
        )

    @classmethod
    def from_json(cls, text: str) -> FoldModel:
        """Read what `to_json` wrote.

        Errors: ValueError, KeyError, TypeError or InputError where the text is something else.
        """
        d = json.loads(text)
        return cls(
            fold=int(d["fold"]),
            names=tuple(map(str, d["names"])),
            numbers=tuple(NumberSlot(**n) for n in d["numbers"]),
            levels={name: tuple(levels) for name, levels in d["levels"]},
            explainer=Explainer.from_json(json.dumps(d["explainer"])),
        )


def fold_model(
    model: PipelineModel,
    fold: int,
    *,
    names: Sequence[str],
    target: Target,
    spark: SparkSession,
    scratch: str,
    background: DataFrame | None,
) -> FoldModel:
    """Read the model that was fitted without a fold on the features `names`; see `explainer_of` for the rest.

    Cost: that of `explainer_of`.
    """
    preparation = preparation_of(model)
    return FoldModel(
        fold=fold,
        names=tuple(names),
        numbers=preparation.numbers,
        levels=preparation.levels,
        explainer=explainer_of(model, target=target, spark=spark, scratch=scratch, background=background),
    )


def fold_models(
    fitted: Sequence[Fitted],
    rows: FitRows,
    target: Target,
    *,
    draw: FitDraw,
    parallelism: int,
    scratch_path: ScratchPath,
) -> tuple[FoldModel, ...]:
    """Read the models of all folds, `parallelism` at a time. `rows` are those that each was fitted on, as
    drawn, by the fold held out.

    Cost: that of `fold_model` for each.
    """

    from engage_spark.spark.threads import call_side_by_side

    def read(f: Fitted) -> FoldModel:
        fold = f.job.fold
        assert fold is not None
        with scratch_path() as path:
            background = narrow(draw.even(rows[fold]), f.job.features)
            return fold_model(
                f.model,
                fold,
                names=[feature.name for feature in f.job.features],
                target=target,
                spark=background.sparkSession,
                scratch=path,
                background=background,
            )

    if not fitted:
        return ()
    calls = [partial(read, f) for f in fitted]
    return tuple(call_side_by_side(calls, rows=fitted[0].job.rows, parallelism=parallelism))


def with_fold_scores(
    rows: DataFrame,
    folds: Sequence[FoldModel],
    serving: PipelineModel,
    *,
    task: Task,
    fold: str,
    top: int,
    masked: Collection[str] = (),
) -> DataFrame:
    """Predict each row by the model of its fold, as a transform of the serving model and `with_reasons` do.

    Added are the prediction (of two classes the vector of probabilities, too, and the prediction calibrated
    as that of `serving` is), what explains it, and under `BASE`, `IMPUTED` and `UNSEEN` what depends on the
    fold.

    Grain: unchanged; the fold of every row must be that of one of `folds`.

    Cost: no job; one Arrow exchange of the vector.
    """
    from pyspark.ml import PipelineModel
    from pyspark.ml.functions import array_to_vector
    from pyspark.sql import functions as F

    from engage_spark.spark.compat import arrow_udf
    from engage_spark.spark.schema import column_named

    names = tuple(dict.fromkeys(name for f in folds for name in f.explainer.features))
    own = column_named(fold)

    def by_fold(of: Any) -> Column:
        cases = [(own == F.lit(f.fold), of(f)) for f in folds]
        return reduce(lambda chain, case: chain.when(*case), cases[1:], F.when(*cases[0]))

    kind = f"struct<reasons:{PICKED},others:double,score:double,served:double>"
    explained = arrow_udf(_picker(folds, names, top), kind)(by_fold(lambda f: f.vector()), own)
    scored = rows.withColumn("__explained", explained).withColumns(
        {
            BASE: by_fold(lambda f: F.lit(float(f.explainer.base))),
            IMPUTED: by_fold(lambda f: imputed_fields(f.features)),
            UNSEEN: by_fold(lambda f: unseen_of(f.levels)),
            REASONS: listed_reasons("__explained.reasons", names if top else (), masked=masked),
            OTHERS: F.col("__explained.others"),
            SCORE: F.col("__explained.score"),
            PREDICTION: F.col("__explained.served"),
        }
    )
    scored = scored.drop("__explained")
    if task is not Task.BINARY:
        return scored
    both = F.array(1.0 - F.col(PREDICTION), F.col(PREDICTION))
    scored = scored.withColumn(PROBABILITY, array_to_vector(both))
    return PipelineModel(stages=list(calibration_stages(serving))).transform(scored)


def _picker(folds: Sequence[FoldModel], names: Sequence[str], top: int) -> Any:
    explainers = {f.fold: f.explainer for f in folds}
    places = {f.fold: np.array([names.index(n) for n in f.explainer.features], np.int32) for f in folds}

    def picked(batches: Iterator[tuple[pa.Array, pa.Array]]) -> Iterator[pa.Array]:
        for vectors, own in batches:
            fold, flat = own.to_numpy(zero_copy_only=False), vectors.flatten().to_numpy(zero_copy_only=False)
            starts = np.concatenate([[0], np.cumsum(vectors.value_lengths().to_numpy(zero_copy_only=False))])
            counts = np.zeros(len(fold), np.int64)
            others, score, served = (np.zeros(len(fold)) for _ in range(3))
            rows, features, values = [np.zeros(0, np.int64)], [np.zeros(0, np.int32)], [np.zeros(0)]
            for k, explainer in explainers.items():
                at = np.flatnonzero(fold == k)
                x = flat[starts[at][:, None] + np.arange(len(explainer.source))]
                served[at] = explainer.served(explainer.model.raw(x))
                feature, value, counts[at], others[at], score[at] = explainer.explained(x, served[at], top)
                rows.append(np.repeat(at, counts[at]))
                features.append(places[k][feature])
                values.append(value)
            order = np.argsort(np.concatenate(rows), kind="stable")
            lists = reason_lists(np.concatenate(features)[order], np.concatenate(values)[order], counts)
            yield pa.StructArray.from_arrays(
                [lists, pa.array(others), pa.array(score), pa.array(served)],
                names=["reasons", "others", "score", "served"],
            )

    # Annotations are text in this module, and Spark reads the kind of UDF from real ones.
    picked.__annotations__ = {"batches": Iterator[tuple[pa.Array, pa.Array]], "return": Iterator[pa.Array]}
    return picked
