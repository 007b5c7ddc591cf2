"""Select features and compare candidates by cross-validation, on the fit split alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from engage_spark import log
from engage_spark.ml.data.driver_sample import HASH, sample_rows, to_arrays
from engage_spark.ml.data.split import FOLD
from engage_spark.ml.evaluation.metrics import HEADLINE, evaluate, metrics_of
from engage_spark.ml.feature_spec import Feature, FeatureSpec
from engage_spark.ml.selection.fold_gram import FoldGrams
from engage_spark.ml.selection.rfe import Selection, ranks_from, select
from engage_spark.ml.training.candidates import Candidate, candidates_for
from engage_spark.ml.training.fit import Fitted, Job, fit_all, out_of_fold, partitions_for, prepared
from engage_spark.ml.training.pipeline import slots
from engage_spark.settings.model import ModelSettings
from engage_spark.spark.schema import column_named

FitRows = Mapping[int | None, DataFrame]
"""Rows of the fit split that a model is fitted on, by the fold that is held out; under None all of them."""


@dataclass(frozen=True, kw_only=True)
class CandidateResult:
    """A candidate's metrics on the folds it was not fitted on: one value per metric and fold.

    Units: `seconds` add up all its fits.
    """

    candidate: Candidate
    folds: Mapping[str, tuple[float, ...]]
    seconds: float

    def mean(self, metric: str) -> float:
        """Return the mean of a metric over the folds."""
        return float(np.mean(self.folds[metric]))


@dataclass(frozen=True, kw_only=True)
class CandidateComparison:
    """The selected features of one target, its candidates in the order of the settings, and the best one."""

    spec: FeatureSpec
    selection: Selection
    results: tuple[CandidateResult, ...]
    winner: CandidateResult

    @property
    def selected(self) -> tuple[Feature, ...]:
        """The features of the final model."""
        return features_named(self.spec, self.selection.final.kept)


def features_named(spec: FeatureSpec, names: Sequence[str]) -> tuple[Feature, ...]:
    """Return the spec's features of these names, in the order of the spec."""
    return tuple(f for f in spec.features if f.name in set(names))


def rows_by_held_out_fold(
    rows: DataFrame,
    *,
    key: Sequence[str],
    day: str,
    folds: Sequence[int],
    models: ModelSettings,
    n_rows: int,
) -> FitRows:
    """Return the fit rows without each fold in turn, and all of them, partitioned and sorted by `prepared`.

    Cost: no job; a sort, and for more than one partition a shuffle, each time that one of the frames is read.
    """
    partitions = models.partitions or partitions_for(n_rows)
    frames = {k: rows.where(F.col(FOLD) != k) for k in folds} | {None: rows}
    return {
        k: prepared(frame, key=list(key), day=day, partitions=partitions, seed=models.seed)
        for k, frame in frames.items()
    }


def select_features(
    spec: FeatureSpec, grams: FoldGrams, rows: FitRows, *, days: int, models: ModelSettings
) -> Selection:
    """Select features once with each fold of `rows` held out, and once with none held out.

    `days`: of how many snapshots the rows are. Features are ranked by Gram matrices, or by forests where
    `models.ranker` says so.

    Cost: linear algebra on the driver; with the forest as ranker one fit per fold and one more.
    """
    if models.ranker == "linear":
        folds = [k for k in rows if k is not None]
        return select(grams.using(spec.names), models.keep, folds=folds, days=days)
    (forest,) = candidates_for(spec.target, ["forest"], rows=grams.everything().rows)
    jobs = [_job(forest, spec, spec.features, frame, models, fold) for fold, frame in rows.items()]
    ranked = {f.job.fold: _importances(f, spec) for f in fit_all(jobs, parallelism=models.parallelism)}
    return ranks_from({k: v for k, v in ranked.items() if k is not None}, ranked[None], keep=models.keep)


def _importances(fitted: Fitted, spec: FeatureSpec) -> dict[str, float]:
    """Add up a forest's importances by source feature."""
    from pyspark.ml.classification import RandomForestClassificationModel
    from pyspark.ml.regression import RandomForestRegressionModel

    (forest,) = (
        s
        for s in fitted.model.stages
        if isinstance(s, RandomForestClassificationModel | RandomForestRegressionModel)
    )
    importances = dict.fromkeys(spec.names, 0.0)
    for slot, value in zip(slots(fitted.model), forest.featureImportances.toArray(), strict=True):
        importances[slot.feature] += float(value)
    return importances


def compare_candidates(
    spec: FeatureSpec,
    selection: Selection,
    rows: FitRows,
    fit_split: DataFrame,
    *,
    key: Sequence[str],
    n_rows: int,
    models: ModelSettings,
) -> CandidateComparison:
    """Fit every candidate on every training fold, and measure it on the fold that was held out.

    Each fold has its own selected features.

    Cost: folds x candidates fits, `parallelism` at a time, and one job that scans the split once per fold,
    predicts by all candidates and fetches at most `judged_rows` rows of each.
    """
    target = spec.target
    candidates = candidates_for(target, models.candidates, rows=n_rows)
    folds = [k for k in rows if k is not None]
    features = {k: features_named(spec, selection.folds[k].kept) for k in folds}
    jobs = [_job(c, spec, features[k], rows[k], models, k) for k in folds for c in candidates]
    with log.stage(f"{len(candidates)} candidates on {len(folds)} folds", fits=len(jobs)):
        fitted = fit_all(jobs, parallelism=models.parallelism)
    with log.stage(f"evaluating {len(candidates)} candidates"):
        scores = _out_of_fold(fitted, fit_split, candidates, key=key, n_rows=n_rows, models=models)
    results = tuple(_result(i, c, fitted, scores, spec) for i, c in enumerate(candidates))
    headline = HEADLINE[target.task]
    winner = max(results, key=lambda r: r.mean(headline.name) * (1 if headline.better == "higher" else -1))
    return CandidateComparison(spec=spec, selection=selection, results=results, winner=winner)


def _job(
    candidate: Candidate,
    spec: FeatureSpec,
    features: Sequence[Feature],
    rows: DataFrame,
    models: ModelSettings,
    fold: int | None,
) -> Job:
    return Job(
        candidate=candidate,
        target=spec.target,
        features=tuple(features),
        rows=rows,
        label=spec.target.name,
        seed=models.seed,
        fold=fold,
    )


def _out_of_fold(
    fitted: Sequence[Fitted],
    fit_split: DataFrame,
    candidates: Sequence[Candidate],
    *,
    key: Sequence[str],
    n_rows: int,
    models: ModelSettings,
) -> dict[str, np.ndarray]:
    columns = dict.fromkeys(
        [*key, FOLD, fitted[0].job.label, *(f.name for job in fitted for f in job.job.features)]
    )
    sample = sample_rows(
        fit_split.select(*map(column_named, columns)),
        key=key,
        seed=models.seed,
        expected=n_rows,
        limit=models.judged_rows,
    )
    scores = out_of_fold(fitted, sample, key=HASH)
    number = F.array_position(F.array(*(F.lit(c.name) for c in candidates)), F.col("candidate"))
    values = {"candidate": number, "fold": F.col("fold"), "label": F.col("label"), "score": F.col("score")}
    return to_arrays(scores, values, limit=models.judged_rows * len(candidates))


def _result(
    i: int, candidate: Candidate, fitted: Sequence[Fitted], scores: dict[str, np.ndarray], spec: FeatureSpec
) -> CandidateResult:
    metrics = metrics_of(spec.target.task)
    own_rows = scores["candidate"] == i + 1
    by_fold: dict[str, list[float]] = {m.name: [] for m in metrics}
    for k in sorted(set(scores["fold"][own_rows].tolist())):
        rows = own_rows & (scores["fold"] == k)
        for name, value in evaluate(metrics, scores["label"][rows], scores["score"][rows]).items():
            by_fold[name].append(float("nan") if value is None else value)
    return CandidateResult(
        candidate=candidate,
        folds={name: tuple(values) for name, values in by_fold.items()},
        seconds=sum(f.seconds for f in fitted if f.job.candidate == candidate),
    )
