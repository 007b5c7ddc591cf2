"""One target: the models that are fitted on the whole fit side, and what they say of rows that no model has
seen.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from engage_spark import log
from engage_spark.ml.data.driver_sample import HASH, sample_rows, to_arrays
from engage_spark.ml.data.split_rows import SplitRows
from engage_spark.ml.evaluation.bootstrap import Gain, Interval, intervals, paired_gain
from engage_spark.ml.evaluation.metrics import HEADLINE, metrics_of
from engage_spark.ml.feature_spec import Feature, FeatureSpec, Target, Task
from engage_spark.ml.training.candidates import Candidate, baseline_for
from engage_spark.ml.training.fit import Job, fit_all
from engage_spark.ml.training.pipeline import PREDICTION, calibrated, candidate_features
from engage_spark.settings.model import ModelSettings
from engage_spark.spark.schema import column_named

if TYPE_CHECKING:
    from pyspark.ml import PipelineModel

WINNER, BASELINE, ALL, OTHER, UNPROTECTED, CHAMPION = (
    "model",
    "baseline",
    "all features",
    "other policy",
    "without protected",
    "champion",
)


@dataclass(frozen=True, kw_only=True, eq=False)
class FinalModel:
    """A model that was fitted on the whole fit side, and calibrated where the target has two classes.

    `features` are those it was offered. `scores` are of the test rows, in an order that all finals of a
    target share.
    """

    what: str
    candidate: Candidate
    features: tuple[Feature, ...]
    model: PipelineModel
    scores: np.ndarray
    metrics: Mapping[str, Interval | None]


@dataclass(frozen=True, kw_only=True, eq=False)
class FinalModels:
    """All finals of a target on the same test rows: labels, customers as hashes, and the finals by what they
    are.
    """

    target: Target
    labels: np.ndarray
    customers: np.ndarray
    of: Mapping[str, FinalModel]

    def gain(self, one: str, over: str, *, chosen: ModelSettings) -> Gain | None:
        """The paired gain of one final over another in the headline metric; None where there is none of that
        kind.
        """
        if one not in self.of or over not in self.of:
            return None
        a, b = self.of[one].scores, self.of[over].scores
        return paired_gain(
            HEADLINE[self.target.task],
            self.labels,
            a,
            b,
            clusters=self.customers,
            replicates=chosen.bootstrap,
            confidence=chosen.gain,
            seed=chosen.seed,
        )


def fit_finals(
    candidate: Candidate,
    offered: Mapping[str, Sequence[Feature]],
    plan: FeatureSpec,
    rows: DataFrame,
    sides: SplitRows,
    *,
    chosen: ModelSettings,
) -> dict[str, tuple[Candidate, tuple[Feature, ...], PipelineModel]]:
    """Fit the candidate on the features under each name in `offered`, and the baseline. Cost: a fit each, and
    two jobs to calibrate it.
    """
    target = plan.target
    simplest = baseline_for(target)
    wanted = {name: (candidate, tuple(features)) for name, features in offered.items()} | {
        BASELINE: (simplest, plan.features)
    }
    jobs = [
        Job(candidate=c, target=target, features=features, rows=rows, label=target.name, seed=chosen.seed)
        for c, features in wanted.values()
    ]
    with log.stage(
        f"{target.name}: fitting {candidate.name} on all folds, and what it is compared with", fits=len(jobs)
    ):
        fitted = fit_all(jobs, parallelism=chosen.parallelism)
        models = {name: f.model for name, f in zip(wanted, fitted, strict=True)}
        if target.task is Task.BINARY:
            models = {
                name: calibrated(model, sides.calibration, label=target.name)
                for name, model in models.items()
            }
    return {
        name: (c, candidate_features(c, features), models[name]) for name, (c, features) in wanted.items()
    }


def judge(
    models: Mapping[str, tuple[Candidate, tuple[Feature, ...], PipelineModel]],
    target: Target,
    rows: DataFrame,
    *,
    key: Sequence[str],
    day: str,
    many: int,
    chosen: ModelSettings,
) -> FinalModels:
    """What each model says of the same rows, at most `judged_rows` of them, with bootstrap intervals. Cost: a
    job per model.
    """
    finals: dict[str, FinalModel] = {}
    some = sample_rows(rows, key=key, seed=chosen.seed, expected=many, limit=chosen.judged_rows)
    labels = customers = np.empty(0)
    for name, (candidate, features, model) in models.items():
        arrays = scores_of(model, features, some, target, day=day, limit=chosen.judged_rows)
        labels, customers = arrays["label"], arrays[HASH]
        found = intervals(
            metrics_of(target.task),
            labels,
            arrays["score"],
            clusters=customers,
            replicates=chosen.bootstrap,
            seed=chosen.seed,
        )
        finals[name] = FinalModel(
            what=name,
            candidate=candidate,
            features=features,
            model=model,
            scores=arrays["score"],
            metrics=found,
        )
    return FinalModels(target=target, labels=labels, customers=customers, of=finals)


def scores_of(
    model: PipelineModel,
    features: Sequence[Feature],
    hashed: DataFrame,
    target: Target,
    *,
    day: str,
    limit: int,
) -> dict[str, np.ndarray]:
    """Labels and predictions of rows with `__hash` (see `sample_rows`), in the order of hash and day: the
    same for every model. One job.
    """
    columns = {
        "day": F.unix_date(column_named(day)),
        "label": column_named(target.name).cast("double"),
        "score": F.col(PREDICTION),
    }
    # Spark plans a pipeline over a few columns in a fraction of the time that it takes over all of them.
    narrow = hashed.select(
        HASH, *map(column_named, dict.fromkeys([day, target.name, *(f.name for f in features)]))
    )
    return to_arrays(model.transform(narrow), columns, limit=limit)
