"""One target: which features are kept and which kind of model is best, decided on the fit side alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from engage_spark import log
from engage_spark.ml.data.driver_sample import HASH, sample_rows, to_arrays
from engage_spark.ml.evaluation.metrics import HEADLINE, evaluate, metrics_of
from engage_spark.ml.feature_spec import Feature, FeatureSpec
from engage_spark.ml.selection.fold_gram import FoldGrams
from engage_spark.ml.selection.rfe import Selection, ranks_from, select
from engage_spark.ml.training.candidates import Candidate, candidates_for
from engage_spark.ml.training.fit import Fitted, Job, fit_all, out_of_fold, partitions_for, prepared
from engage_spark.ml.training.pipeline import slots
from engage_spark.settings.model import ModelSettings
from engage_spark.spark.schema import column_named

FOLD = "fold"
Rows = Mapping[int | None, DataFrame]
"""Rows of the fit side that a model is fitted on, by the fold that is held out; under None all of them."""


@dataclass(frozen=True, kw_only=True)
class CandidateResult:
    """A candidate's figures on the folds it was not fitted on: by metric one value a fold, and seconds of all
    its fits.
    """

    candidate: Candidate
    folds: Mapping[str, tuple[float, ...]]
    seconds: float

    def mean(self, metric: str) -> float:
        return float(np.mean(self.folds[metric]))


@dataclass(frozen=True, kw_only=True)
class CandidateComparison:
    """What the folds said of one target: the features, the entrants in the order of the settings, the best of
    them.
    """

    plan: FeatureSpec
    selection: Selection
    entrants: tuple[CandidateResult, ...]
    winner: CandidateResult

    @property
    def chosen(self) -> tuple[Feature, ...]:
        """The features of the final model."""
        return chosen_of(self.plan, self.selection.final.kept)


def chosen_of(plan: FeatureSpec, names: Sequence[str]) -> tuple[Feature, ...]:
    """The plan's features of these names, in its order."""
    return tuple(f for f in plan.features if f.name in set(names))


def training_rows(
    rows: DataFrame, *, key: Sequence[str], day: str, folds: Sequence[int], chosen: ModelSettings, many: int
) -> Rows:
    """Each training fold's rows of the fit side with the target known, lying the same in every run
    (`prepared`).
    """
    number = chosen.partitions or partitions_for(many)
    held = {k: rows.where(F.col(FOLD) != k) for k in folds} | {None: rows}
    return {
        k: prepared(of, key=list(key), day=day, partitions=number, seed=chosen.seed) for k, of in held.items()
    }


def select_features(plan: FeatureSpec, grams: FoldGrams, rows: Rows, *, chosen: ModelSettings) -> Selection:
    """The features to keep, when each fold is held out and when none is: by Gram matrices, or by forests
    where the settings say so.

    Cost: linear algebra on the driver; with the forest as ranker one fit a fold and one more.
    """
    if chosen.ranker == "linear":
        return select(grams.using(plan.names), chosen.keep)
    (forest,) = candidates_for(plan.target, ["forest"], rows=grams.everything().rows)
    jobs = [_job(forest, plan, plan.features, of, chosen, fold) for fold, of in rows.items()]
    found = {f.job.fold: _importances(f, plan) for f in fit_all(jobs, parallelism=chosen.parallelism)}
    return ranks_from({k: v for k, v in found.items() if k is not None}, found[None], keep=chosen.keep)


def _importances(fitted: Fitted, plan: FeatureSpec) -> dict[str, float]:
    """A forest's importances by source feature: the sum of its slots'."""
    from pyspark.ml.classification import RandomForestClassificationModel
    from pyspark.ml.regression import RandomForestRegressionModel

    (forest,) = (
        s
        for s in fitted.model.stages
        if isinstance(s, RandomForestClassificationModel | RandomForestRegressionModel)
    )
    found = dict.fromkeys(plan.names, 0.0)
    for slot, value in zip(slots(fitted.model), forest.featureImportances.toArray(), strict=True):
        found[slot.feature] += float(value)
    return found


def compare_candidates(
    plan: FeatureSpec,
    selection: Selection,
    rows: Rows,
    fit_side: DataFrame,
    *,
    key: Sequence[str],
    many: int,
    chosen: ModelSettings,
) -> CandidateComparison:
    """Fit every candidate on every training fold with that fold's features, and judge it on the fold that was
    held out.

    Cost: folds x candidates fits, `parallelism` at a time, and one job that predicts and fetches at most
    `judged_rows` rows a candidate.
    """
    target = plan.target
    candidates = candidates_for(target, chosen.candidates, rows=many)
    folds = [k for k in rows if k is not None]
    kept = {k: chosen_of(plan, selection.folds[k].kept) for k in folds}
    jobs = [_job(c, plan, kept[k], rows[k], chosen, k) for k in folds for c in candidates]
    with log.stage(f"{target.name}: {len(candidates)} candidates on {len(folds)} folds", fits=len(jobs)):
        fitted = fit_all(jobs, parallelism=chosen.parallelism)
    with log.stage(f"{target.name}: judging {len(candidates)} candidates"):
        scores = _out_of_fold(fitted, fit_side, candidates, key=key, many=many, chosen=chosen)
    entrants = tuple(_entrant(i, c, fitted, scores, plan) for i, c in enumerate(candidates))
    best = HEADLINE[target.task]
    winner = max(entrants, key=lambda e: e.mean(best.name) * (1 if best.better == "higher" else -1))
    return CandidateComparison(plan=plan, selection=selection, entrants=entrants, winner=winner)


def _job(
    candidate: Candidate,
    plan: FeatureSpec,
    features: Sequence[Feature],
    rows: DataFrame,
    chosen: ModelSettings,
    fold: int | None,
) -> Job:
    return Job(
        candidate=candidate,
        target=plan.target,
        features=tuple(features),
        rows=rows,
        label=plan.target.name,
        seed=chosen.seed,
        fold=fold,
    )


def _out_of_fold(
    fitted: Sequence[Fitted],
    fit_side: DataFrame,
    candidates: Sequence[Candidate],
    *,
    key: Sequence[str],
    many: int,
    chosen: ModelSettings,
) -> dict[str, np.ndarray]:
    used = dict.fromkeys(
        [*key, FOLD, fitted[0].job.label, *(f.name for job in fitted for f in job.job.features)]
    )
    some = sample_rows(
        fit_side.select(*map(column_named, used)),
        key=key,
        seed=chosen.seed,
        expected=many,
        limit=chosen.judged_rows,
    )
    scores = out_of_fold(fitted, some, key=HASH)
    number = F.array_position(F.array(*(F.lit(c.name) for c in candidates)), F.col("candidate"))
    columns = {"candidate": number, "fold": F.col("fold"), "label": F.col("label"), "score": F.col("score")}
    return to_arrays(scores, columns, limit=chosen.judged_rows * len(candidates))


def _entrant(
    i: int, candidate: Candidate, fitted: Sequence[Fitted], scores: dict[str, np.ndarray], plan: FeatureSpec
) -> CandidateResult:
    metrics = metrics_of(plan.target.task)
    mine = scores["candidate"] == i + 1
    by_fold: dict[str, list[float]] = {m.name: [] for m in metrics}
    for k in sorted(set(scores["fold"][mine].tolist())):
        rows = mine & (scores["fold"] == k)
        for name, value in evaluate(metrics, scores["label"][rows], scores["score"][rows]).items():
            by_fold[name].append(float("nan") if value is None else value)
    return CandidateResult(
        candidate=candidate,
        folds={name: tuple(values) for name, values in by_fold.items()},
        seconds=sum(f.seconds for f in fitted if f.job.candidate == candidate),
    )


__all__ = [
    "FOLD",
    "CandidateComparison",
    "CandidateResult",
    "Rows",
    "chosen_of",
    "compare_candidates",
    "select_features",
    "training_rows",
]
