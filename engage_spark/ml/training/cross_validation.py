"""Select features and compare candidates by cross-validation, on the fit split alone."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from engage_spark import log
from engage_spark.errors import FitError, InputError
from engage_spark.ml.data.driver_sample import HASH, RowSample, sample_rows, to_arrays
from engage_spark.ml.data.split import FOLD
from engage_spark.ml.evaluation.metrics import HEADLINE, Metric, evaluate, metrics_of
from engage_spark.ml.feature_spec import Feature, FeatureSpec
from engage_spark.ml.selection.fold_gram import FoldGrams
from engage_spark.ml.selection.rfe import Fold, Selection, eliminate, ranks_by_fold, ranks_from, select
from engage_spark.ml.training.boosting_search import BoostingSearch, is_searched, search_boosting
from engage_spark.ml.training.candidates import Candidate, candidates_for
from engage_spark.ml.training.fit import (
    Fitted,
    Job,
    fit_all,
    out_of_fold,
    own_failure,
    partitions_for,
    prepared,
)
from engage_spark.ml.training.pipeline import slots
from engage_spark.settings.model import ModelSettings
from engage_spark.spark.schema import column_named
from engage_spark.wording import counted

FitRows = Mapping[int | None, DataFrame]
"""Rows of the fit split that a model is fitted on, by the fold that is held out; under None all of them."""


@dataclass(frozen=True, kw_only=True)
class CandidateResult:
    """A candidate's metrics on the folds it was not fitted on: one value per metric and fold.

    Nulls: NaN where a fold leaves a metric undefined, such as the AUC of one class.
    Units: `seconds` add up all its fits.
    """

    candidate: Candidate
    folds: Mapping[str, tuple[float, ...]]
    seconds: float

    def defined(self, metric: str) -> tuple[float, ...]:
        """Return the values of a metric on the folds that define it."""
        return tuple(v for v in self.folds[metric] if not math.isnan(v))

    def mean(self, metric: str) -> float:
        """Return the mean of a metric over the folds that define it; NaN where none does."""
        values = self.defined(metric)
        return sum(values) / len(values) if values else math.nan

    def deviation(self, metric: str) -> float:
        """Return the standard deviation of a metric between the folds that define it; 0 for a single one."""
        values = self.defined(metric)
        mean = self.mean(metric)
        return math.sqrt(sum((v - mean) ** 2 for v in values) / max(1, len(values) - 1))


@dataclass(frozen=True, kw_only=True)
class CandidateComparison:
    """The selected features of one target, and its candidates: in the order of the settings, and by merit.

    `ranking` begins with the best one. `failed` names the candidates that could not be fitted or evaluated,
    with the reason; `stand_in` says why a constant stands in for the baseline that the contract names, and is
    empty where none does; `fitted` holds the models of all folds, `searches` what was searched for first.
    """

    spec: FeatureSpec
    selection: Selection
    results: tuple[CandidateResult, ...]
    ranking: tuple[CandidateResult, ...]
    failed: tuple[tuple[str, str], ...] = ()
    stand_in: str = ""
    fitted: tuple[Fitted, ...] = ()
    searches: tuple[BoostingSearch, ...] = ()

    @property
    def winner(self) -> CandidateResult:
        """The best candidate."""
        return self.ranking[0]

    @property
    def fold_models(self) -> tuple[Fitted, ...]:
        """The models of the best candidate, each fitted without a fold."""
        return tuple(f for f in self.fitted if f.job.candidate == self.winner.candidate)

    def undefined_folds(self, metric: str) -> int:
        """Return on how many folds the rows leave a metric of the winner undefined."""
        return len(self.winner.folds[metric]) - len(self.winner.defined(metric))

    def without_winner(self, error: FitError) -> CandidateComparison:
        """Return the comparison with the next best as winner, where this one cannot be fitted on all folds.

        Errors: the given one where no other is left.
        """
        name = self.winner.candidate.name
        if len(self.ranking) == 1:
            raise error
        log.event(f"{name} is left out: {error.message}", level="warning")
        return replace(self, ranking=self.ranking[1:], failed=(*self.failed, (name, error.message)))

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
    ranked = _by_forests(spec, grams, rows, models)
    return ranks_from({k: v for k, v in ranked.items() if k is not None}, ranked[None], keep=models.keep)


def features_by_fold(
    spec: FeatureSpec, grams: FoldGrams, rows: Mapping[int, DataFrame], *, days: int, models: ModelSettings
) -> dict[int, tuple[Feature, ...]]:
    """Return the features that `select_features` keeps with each fold of `rows` held out, and no others.

    Cost: linear algebra on the driver; with the forest as ranker one fit per fold.
    """
    if models.ranker == "linear":
        own = grams.using(spec.names)
        ranks = {k: eliminate(own.training(k), models.keep, days=days) for k in rows}
    else:
        forests = _by_forests(spec, grams, rows, models)
        ranks = ranks_by_fold(forests, sources=spec.names, keep=models.keep)
    return {k: features_named(spec, e.kept) for k, e in ranks.items()}


def _by_forests(
    spec: FeatureSpec, grams: FoldGrams, rows: Mapping[Fold, DataFrame], models: ModelSettings
) -> dict[Fold, dict[str, float]]:
    """Return the importances of features in a forest with each fold of `rows` held out."""
    n_rows = grams.everything().rows
    (forest,) = candidates_for(spec.target, ["forest"], rows=min(n_rows, models.fit_rows or n_rows))
    jobs = [job_of(forest, spec, spec.features, frame, models, fold) for fold, frame in rows.items()]
    fitted = fit_all(jobs, parallelism=models.parallelism)
    return {fold: _importances(f, spec) for fold, f in zip(rows, fitted, strict=True)}


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
    sample: RowSample,
    models: ModelSettings,
) -> CandidateComparison:
    """Fit every candidate on every training fold, and measure it on the fold that was held out.

    Each fold has its own selected features. A candidate that fails on a fold is left out, with the reason.
    On few rows (`models.search_rows`) depth and rounds of boosted trees are searched for before.

    Cost: that of `search_boosting` where there is a search; folds x candidates fits, `parallelism` at a time,
    and one job that scans the split once per fold, predicts by all candidates and fetches the rows of
    `sample` for each; where it fails, such a job for each candidate.

    Errors: FitError where no candidate is left, or no fold tells candidates apart.
    """
    target = spec.target
    n_fitted = min(sample.expected, models.fit_rows or sample.expected)
    candidates = candidates_for(target, models.candidates, rows=n_fitted)
    folds = [k for k in rows if k is not None]
    features = {k: features_named(spec, selection.folds[k].kept) for k in folds}
    searches = [
        search_boosting(c, spec, features, {k: rows[k] for k in folds}, fit_split, models=models)
        for c in candidates
        if is_searched(c, n_fitted, models)
    ]
    searched = {search.candidate.name: search.candidate for search in searches}
    candidates = tuple(searched.get(c.name, c) for c in candidates)
    jobs = [job_of(c, spec, features[k], rows[k], models, k) for k in folds for c in candidates]
    failures: dict[Job, FitError] = {}
    with log.stage(
        f"{counted(len(candidates), 'candidate')} on {counted(len(folds), 'fold')}", fits=len(jobs)
    ):
        fitted = fit_all(jobs, parallelism=models.parallelism, failures=failures)
    reasons = {job.candidate.name: error.message for job, error in reversed(failures.items())}
    candidates = tuple(c for c in candidates if c.name not in reasons)
    if not candidates:
        raise next(iter(failures.values()))
    fitted = [f for f in fitted if f.job.candidate in candidates]
    with log.stage(f"evaluating {counted(len(candidates), 'candidate')}"):
        results, unmeasured = held_out_results(
            fitted, fit_split, candidates, spec, key=key, sample=sample, models=models
        )
    reasons |= unmeasured
    for name, reason in reasons.items():
        log.event(f"{name} is left out: {reason}", level="warning")
    if not results:
        raise FitError(
            f"no candidate for {target.name} can be evaluated",
            hint="look at the features that they were given, such as infinite values",
            details=[f"{name}: {reason}" for name, reason in reasons.items()],
        )
    headline = HEADLINE[target.task]
    comparison = CandidateComparison(
        spec=spec,
        selection=selection,
        results=tuple(results),
        ranking=ranked(results, headline),
        failed=tuple(reasons.items()),
        fitted=tuple(fitted),
        searches=tuple(s for s in searches if s.losses),
    )
    if undefined := comparison.undefined_folds(headline.name):
        log.event(f"{headline.title} is undefined on {undefined} of {len(folds)} folds", level="warning")
    return comparison


def ranked(results: Sequence[CandidateResult], metric: Metric) -> tuple[CandidateResult, ...]:
    """Return the results by their mean of a metric, the best first; ties keep their order.

    Candidates are compared on the same folds. One that is undefined on a fold where another is defined comes
    after all that are not.

    Errors: FitError where the metric is undefined for all.
    """
    most = max((len(r.defined(metric.name)) for r in results), default=0)
    if not most:
        raise FitError(
            f"no candidate can be chosen: {metric.title} is undefined on every fold",
            hint="it needs labels of both classes in a fold: train on more customers or snapshots, "
            "or with fewer models.folds",
        )
    sign = -1 if metric.better == "higher" else 1
    means = {id(r): r.mean(metric.name) for r in results}
    return tuple(
        sorted(
            results,
            key=lambda r: (
                len(r.defined(metric.name)) < most,
                math.isnan(means[id(r)]),
                sign * means[id(r)] if not math.isnan(means[id(r)]) else 0.0,
            ),
        )
    )


def job_of(
    candidate: Candidate,
    spec: FeatureSpec,
    features: Sequence[Feature],
    rows: DataFrame,
    models: ModelSettings,
    fold: int | None,
) -> Job:
    """Return the fit of a candidate on the rows without a fold; None: on all."""
    return Job(
        candidate=candidate,
        target=spec.target,
        features=tuple(features),
        rows=rows,
        label=spec.target.name,
        seed=models.seed,
        fold=fold,
    )


def held_out_results(
    fitted: Sequence[Fitted],
    fit_split: DataFrame,
    candidates: Sequence[Candidate],
    spec: FeatureSpec,
    *,
    key: Sequence[str],
    sample: RowSample,
    models: ModelSettings,
) -> tuple[list[CandidateResult], dict[str, str]]:
    """Measure candidates on the folds that each was not fitted on; and say of those that fail why.

    Where they cannot be scored together, one by one, so that whichever fails costs itself.
    """
    how: dict[str, Any] = {"key": key, "sample": sample, "models": models}
    try:
        scores = _out_of_fold(fitted, fit_split, candidates, **how)
    except Exception as e:  # noqa: BLE001 (what a retry may cure is raised)
        names = ", ".join(c.name for c in candidates)
        features = tuple(dict.fromkeys(f for job in fitted for f in job.job.features))
        failure = own_failure(f"predicting held-out folds by {names}", features, e)
        if len(candidates) == 1:
            return [], {names: failure.message}
        log.event(f"candidates are scored one by one: {failure.message}", level="warning")
        alone = [
            held_out_results([f for f in fitted if f.job.candidate == c], fit_split, [c], spec, **how)
            for c in candidates
        ]
        return [r for own, _ in alone for r in own], {n: why for _, own in alone for n, why in own.items()}
    results: list[CandidateResult] = []
    reasons: dict[str, str] = {}
    for i, c in enumerate(candidates):
        try:
            results.append(_result(i, c, fitted, scores, spec, sample))
        except InputError as e:
            reasons[c.name] = "; ".join((e.message, *e.details))
    return results, reasons


def _out_of_fold(
    fitted: Sequence[Fitted],
    fit_split: DataFrame,
    candidates: Sequence[Candidate],
    *,
    key: Sequence[str],
    sample: RowSample,
    models: ModelSettings,
) -> dict[str, np.ndarray]:
    columns = dict.fromkeys(
        [*key, FOLD, fitted[0].job.label, *(f.name for job in fitted for f in job.job.features)]
    )
    hashed = sample_rows(fit_split.select(*map(column_named, columns)), sample, key=key, seed=models.seed)
    scores = out_of_fold(fitted, hashed, key=HASH)
    number = F.call_function(
        "array_position", F.array(*(F.lit(c.name) for c in candidates)), F.col("candidate")
    )
    values = {"candidate": number, "fold": F.col("fold"), "label": F.col("label"), "score": F.col("score")}
    return to_arrays(scores, values, limit=models.judged_rows * len(candidates))


def _result(
    i: int,
    candidate: Candidate,
    fitted: Sequence[Fitted],
    scores: dict[str, np.ndarray],
    spec: FeatureSpec,
    sample: RowSample,
) -> CandidateResult:
    """Measure a candidate on the folds that it was fitted without, in the order of their numbers."""
    metrics = metrics_of(spec.target.task)
    own_rows = scores["candidate"] == i + 1
    by_fold: dict[str, list[float]] = {m.name: [] for m in metrics}
    folds = {f.job.fold for f in fitted if f.job.candidate == candidate and f.job.fold is not None}
    for k in sorted(folds):
        rows = own_rows & (scores["fold"] == k)
        if not rows.any():
            for values in by_fold.values():
                values.append(math.nan)
            continue
        labels = scores["label"][rows]
        for name, value in evaluate(metrics, labels, scores["score"][rows], sample.weights(labels)).items():
            by_fold[name].append(math.nan if value is None else value)
    return CandidateResult(
        candidate=candidate,
        folds={name: tuple(values) for name, values in by_fold.items()},
        seconds=sum(f.seconds for f in fitted if f.job.candidate == candidate),
    )
