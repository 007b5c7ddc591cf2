"""Fit the final models of a target on the whole fit split, and measure them on rows that none has seen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from engage_spark import log
from engage_spark.errors import ConfigurationError, EngageError, FitError
from engage_spark.ml.data.driver_sample import HASH, RowSample, sample_rows, to_arrays
from engage_spark.ml.evaluation.bootstrap import Gain, Interval, intervals, paired_gain
from engage_spark.ml.evaluation.metrics import HEADLINE, metrics_of
from engage_spark.ml.feature_spec import Feature, FeatureSpec, Target, Task
from engage_spark.ml.training.calibration import CalibrationMap
from engage_spark.ml.training.candidates import Candidate
from engage_spark.ml.training.fit import Job, failure_of, fit_all, narrow
from engage_spark.ml.training.pipeline import PREDICTION, calibrated, candidate_features
from engage_spark.settings.model import ModelSettings
from engage_spark.spark.schema import column_named
from engage_spark.spark.threads import call_side_by_side

if TYPE_CHECKING:
    from pyspark.ml import PipelineModel

WINNER, BASELINE, ALL, OTHER, UNPROTECTED = (
    "model",
    "baseline",
    "all features",
    "other policy",
    "without protected",
)
"""The roles of final models: the one to register, and those that it is compared with."""


@dataclass(frozen=True, kw_only=True, eq=False)
class FittedModel:
    """A model fitted on the whole fit split, and calibrated where the target has two classes.

    `features` are those that the estimator takes.
    """

    candidate: Candidate
    features: tuple[Feature, ...]
    model: PipelineModel
    calibration: CalibrationMap | None = None


@dataclass(frozen=True, kw_only=True, eq=False)
class FinalModel:
    """A fitted model in its role, with its scores and metrics on the test rows.

    `scores` are in an order that all final models of a target share.
    """

    role: str
    candidate: Candidate
    features: tuple[Feature, ...]
    model: PipelineModel
    calibration: CalibrationMap | None
    scores: np.ndarray
    metrics: Mapping[str, Interval | None]


@dataclass(frozen=True, kw_only=True, eq=False)
class FinalModels:
    """All final models of a target by role, on the same test rows: labels, and customers as hashes.

    `weights` say how many rows each of them stands for, `sample` how they were drawn.
    """

    target: Target
    labels: np.ndarray
    customers: np.ndarray
    weights: np.ndarray
    sample: RowSample
    by_role: Mapping[str, FinalModel]

    @property
    def even(self) -> np.ndarray:
        """Which of the rows are a sample without weights, for figures that take none."""
        return self.sample.is_even(self.customers)

    def gain(self, role: str, *, over: str, models: ModelSettings) -> Gain | None:
        """Return the paired gain of one role over another in the headline metric.

        Nulls: None where one of the roles has no model, or the rows leave the metric undefined.
        """
        if role not in self.by_role or over not in self.by_role:
            return None
        headline = HEADLINE[self.target.task].name
        if any(self.by_role[r].metrics[headline] is None for r in (role, over)):
            return None
        return paired_gain(
            HEADLINE[self.target.task],
            self.labels,
            self.by_role[role].scores,
            self.by_role[over].scores,
            weights=self.weights,
            clusters=self.customers,
            replicates=models.bootstrap,
            confidence=models.gain,
            seed=models.seed,
        )


def fit_final_models(
    candidate: Candidate,
    features: Mapping[str, Sequence[Feature]],
    spec: FeatureSpec,
    rows: DataFrame,
    *,
    calibration: DataFrame,
    key: Sequence[str],
    days: int,
    models: ModelSettings,
    baseline: Candidate,
) -> dict[str, FittedModel]:
    """Fit the candidate on the features of each role, and the baseline on those of the spec.

    `calibration` holds the rows that models of two classes are calibrated on, of customers that `key` names
    and of so many `days`. Roles whose candidate and features are the same share one model.

    Cost: one fit per model, and one job to calibrate it.

    Errors: FitError where the model cannot be fitted, BaselineError where the baseline cannot; another role
    is left out then.
    """
    target = spec.target
    uses = {role: (candidate.name, candidate_features(candidate, of)) for role, of in features.items()}
    try:
        uses[BASELINE] = (baseline.name, candidate_features(baseline, spec.features))
    except ConfigurationError as e:
        raise BaselineError(e.message, hint=e.hint, details=e.details) from e
    candidates = {c.name: c for c in (candidate, baseline)}
    distinct = list(dict.fromkeys(uses.values()))
    with log.stage(
        f"fitting {candidate.name} on all folds, and what it is compared with", fits=len(distinct)
    ):
        fitted, failed = _fitted(
            [(candidates[name], used) for name, used in distinct],
            target,
            rows,
            calibration=calibration,
            key=key,
            days=days,
            models=models,
        )
    uses = _without_failed(uses, failed)
    by_use = {(f.candidate.name, f.features): f for f in fitted}
    return {role: by_use[use] for role, use in uses.items()}


def refit_model(
    judged: FittedModel,
    target: Target,
    rows: DataFrame,
    *,
    calibration: DataFrame,
    key: Sequence[str],
    days: int,
    models: ModelSettings,
) -> FittedModel:
    """Fit the candidate of a judged model on other rows with the same features, and calibrate it anew.

    Arguments are those of `fit_final_models`.

    Cost: one fit, and one job to calibrate it.

    Errors: FitError where it cannot be fitted.
    """
    with log.stage(f"fitting {judged.candidate.name} again on all matured days"):
        fitted, failed = _fitted(
            [(judged.candidate, judged.features)],
            target,
            rows,
            calibration=calibration,
            key=key,
            days=days,
            models=models,
        )
    for error in failed.values():
        raise error
    return fitted[0]


def _fitted(
    uses: Sequence[tuple[Candidate, tuple[Feature, ...]]],
    target: Target,
    rows: DataFrame,
    *,
    calibration: DataFrame,
    key: Sequence[str],
    days: int,
    models: ModelSettings,
) -> tuple[list[FittedModel], dict[tuple[str, tuple[Feature, ...]], FitError]]:
    """Fit and calibrate each use, and return the models with the errors of those that failed.

    A model that predicts NaN for a row of the calibration split is one of these.
    """
    jobs = [
        Job(
            candidate=candidate,
            target=target,
            features=used,
            rows=rows,
            label=target.name,
            seed=models.seed,
        )
        for candidate, used in uses
    ]
    failures: dict[Job, FitError] = {}
    fits = fit_all(jobs, parallelism=models.parallelism, failures=failures)
    made = [
        (job, FittedModel(candidate=job.candidate, features=job.features, model=fit.model))
        for job, fit in zip([j for j in jobs if j not in failures], fits, strict=True)
    ]

    def calibrated_or_failed(job: Job, model: FittedModel) -> FittedModel | FitError:
        try:
            return _calibrated(model, target, calibration, key=key, days=days)
        except Exception as e:
            failure = failure_of(job.description, job.features, e)
            if not isinstance(failure, FitError):
                raise failure from e
            return failure

    outcomes = call_side_by_side(
        [partial(calibrated_or_failed, job, model) for job, model in made],
        rows=rows,
        parallelism=models.parallelism,
    )
    fitted = [model for model in outcomes if isinstance(model, FittedModel)]
    failures |= {job: e for (job, _), e in zip(made, outcomes, strict=True) if isinstance(e, FitError)}
    return fitted, {(job.candidate.name, job.features): error for job, error in failures.items()}


def _calibrated(
    fitted: FittedModel, target: Target, rows: DataFrame, *, key: Sequence[str], days: int
) -> FittedModel:
    """Return a model of two classes calibrated, another as it is."""
    if target.task is not Task.BINARY:
        return fitted
    model, chart = calibrated(
        fitted.model,
        narrow(rows, fitted.features, *key, target.name),
        label=target.name,
        key=key,
        days=days,
    )
    return replace(fitted, model=model, calibration=chart)


def _without_failed(
    uses: Mapping[str, tuple[str, tuple[Feature, ...]]],
    failed: Mapping[tuple[str, tuple[Feature, ...]], FitError],
) -> dict[str, tuple[str, tuple[Feature, ...]]]:
    """Leave out comparisons that could not be fitted, and say so.

    Errors: FitError where it is the model, BaselineError where it is the baseline.
    """
    _require_roles({role: failed[use] for role, use in uses.items() if use in failed})
    return {role: use for role, use in uses.items() if use not in failed}


class BaselineError(FitError):
    """The baseline could not be fitted, or cannot predict the rows: another one is needed."""


def _require_roles(failed: Mapping[str, FitError]) -> None:
    """Say which comparisons are left out.

    Errors: FitError where it is the model that failed, BaselineError where it is the baseline.
    """
    if WINNER in failed:
        raise failed[WINNER]
    if BASELINE in failed:
        e = failed[BASELINE]
        raise BaselineError(e.message, hint=e.hint, details=e.details) from e
    for role, error in failed.items():
        log.event(f"no comparison with {role}: {error.message}", level="warning")


def measure_final_models(
    fitted: Mapping[str, FittedModel],
    target: Target,
    rows: DataFrame,
    *,
    key: Sequence[str],
    day: str,
    sample: RowSample,
    models: ModelSettings,
) -> FinalModels:
    """Predict the same rows with each model, those of a sample, and add bootstrap intervals.

    Cost: one job per model, where roles that share one count once.

    Errors: FitError where the model cannot predict a row, BaselineError where the baseline cannot; another
    role is left out then.
    """
    arrays: dict[int, dict[str, np.ndarray]] = {}
    failed: dict[str, FitError] = {}
    hashed = sample_rows(rows, sample, key=key, seed=models.seed)
    for role, f in fitted.items():
        if id(f) not in arrays:
            try:
                arrays[id(f)] = scores_of(
                    f.model, f.features, hashed, target, day=day, limit=models.judged_rows
                )
            except FitError as e:
                failed[role] = e
    _require_roles(failed)
    first = next(iter(arrays.values()))
    labels, customers = first["label"], first[HASH]
    weights = sample.weights(labels)
    metrics = {
        model: intervals(
            metrics_of(target.task),
            labels,
            own["score"],
            weights=weights,
            clusters=customers,
            replicates=models.bootstrap,
            seed=models.seed,
        )
        for model, own in arrays.items()
    }
    finals = {
        role: FinalModel(
            role=role,
            candidate=f.candidate,
            features=f.features,
            model=f.model,
            calibration=f.calibration,
            scores=arrays[id(f)]["score"],
            metrics=metrics[id(f)],
        )
        for role, f in fitted.items()
        if id(f) in arrays
    }
    return FinalModels(
        target=target,
        labels=labels,
        customers=customers,
        weights=weights,
        sample=sample,
        by_role=finals,
    )


def scores_of(
    model: PipelineModel,
    features: Sequence[Feature],
    hashed: DataFrame,
    target: Target,
    *,
    day: str,
    limit: int,
) -> dict[str, np.ndarray]:
    """Return labels and predictions of rows with `__hash` (see `sample_rows`), ordered by hash and day.

    The order is the same for every model.

    Cost: one job.

    Errors: FitError where the model fails on a row, or predicts NaN or infinity.
    """
    columns = {
        "day": F.unix_date(column_named(day)),
        "label": column_named(target.name).cast("double"),
        "score": F.col(PREDICTION),
    }
    rows = narrow(hashed, features, HASH, day, target.name)
    try:
        arrays = to_arrays(model.transform(rows), columns, limit=limit)
    except Exception as e:
        failure = failure_of(f"predicting {target.name}", features, e)
        raise (failure if isinstance(failure, EngageError) else e) from e
    n_rows, wrong = len(arrays["score"]), int((~np.isfinite(arrays["score"])).sum())
    if wrong:
        raise FitError(
            f"the model of {target.name} predicts NaN or infinity for {wrong:,} of {n_rows:,} rows",
            hint="look for infinite values of its features",
        )
    return arrays
