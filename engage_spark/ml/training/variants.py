"""Measure the best candidate on other features: what selection, another policy and protected fields cost.

This is advice, taken on folds: what fails costs itself and never the training.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from pyspark.sql import DataFrame

from engage_spark import log
from engage_spark.errors import FitError
from engage_spark.ml.data.driver_sample import RowSample
from engage_spark.ml.feature_spec import Feature, LeakPolicy
from engage_spark.ml.training.cross_validation import (
    CandidateComparison,
    CandidateResult,
    FitRows,
    held_out_results,
    job_of,
)
from engage_spark.ml.training.final_models import OTHER
from engage_spark.ml.training.fit import Job, fit_all, own_failure
from engage_spark.settings.model import ModelSettings

VARIED_FOLDS = 2
"""Folds on which the selected features are compared with others, such as all of them."""


@dataclass(frozen=True, kw_only=True)
class PairedMeans:
    """The mean of a metric of a variant, `value`, and of the winner, `reference`, over the same `folds`."""

    value: float
    reference: float
    folds: int


@dataclass(frozen=True, kw_only=True)
class VariantResult:
    """The winner's candidate on other features: `folds` has its metrics on the first folds, `n_features` how
    many it took.
    """

    folds: Mapping[str, tuple[float, ...]]
    n_features: int

    def beside(self, own: CandidateResult, metric: str) -> PairedMeans | None:
        """Return its mean of a metric beside the winner's, over the folds that define both; None without one.

        Values of both are in the order of the folds' numbers, so the first ones are of the same folds.
        """
        pairs = [
            pair
            for pair in zip(self.folds[metric], own.folds[metric], strict=False)
            if not any(map(math.isnan, pair))
        ]
        if not pairs:
            return None
        value, reference = (sum(v) / len(pairs) for v in zip(*pairs, strict=True))
        return PairedMeans(value=value, reference=reference, folds=len(pairs))


def variants_on_folds(
    comparison: CandidateComparison,
    variants: Mapping[str, Mapping[int, Sequence[Feature]]],
    rows: FitRows,
    fit_split: DataFrame,
    *,
    key: Sequence[str],
    sample: RowSample,
    models: ModelSettings,
) -> dict[str, VariantResult]:
    """Fit the winner's candidate on other features, named by what is tried, and measure it on folds.

    What follows from it, such as another ranker or policy, is chosen on rows that the test of the model does
    not use. A variant that fails is left out, and that is said: it costs advice, and no more.

    Cost: a fit per variant and fold, and one job that scans these folds; where it fails, one per variant.
    """
    how: dict[str, Any] = {"key": key, "sample": sample, "models": models}
    try:
        return _variants_on_folds(comparison, variants, rows, fit_split, **how)
    except Exception as e:  # noqa: BLE001 (what a retry may cure is raised)
        features = [f for by_fold in variants.values() for of_fold in by_fold.values() for f in of_fold]
        names = ", ".join(variants)
        failure = own_failure(f"the comparison with {names}", tuple(dict.fromkeys(features)), e)
        if len(variants) == 1:
            log.event(f"no comparison with {names}: {failure.message}", level="warning")
            return {}
    results: dict[str, VariantResult] = {}
    for name, by_fold in variants.items():
        results |= variants_on_folds(comparison, {name: by_fold}, rows, fit_split, **how)
    return results


def _variants_on_folds(
    comparison: CandidateComparison,
    variants: Mapping[str, Mapping[int, Sequence[Feature]]],
    rows: FitRows,
    fit_split: DataFrame,
    *,
    key: Sequence[str],
    sample: RowSample,
    models: ModelSettings,
) -> dict[str, VariantResult]:
    spec, own = comparison.spec, comparison.winner.candidate
    named = {name: replace(own, name=name) for name in variants}
    jobs = [
        job_of(named[name], spec, features, rows[k], models, k)
        for name, by_fold in variants.items()
        for k, features in by_fold.items()
    ]
    failures: dict[Job, FitError] = {}
    strict, permissive = LeakPolicy.STRICT, LeakPolicy.PERMISSIVE
    policy = permissive if spec.policy is strict else strict
    shown = (f"the policy {policy.value}" if name == OTHER else name for name in variants)
    with log.stage(f"comparing with {', '.join(shown)}", fits=len(jobs)):
        fitted = fit_all(jobs, parallelism=models.parallelism, failures=failures)
        reasons = {job.candidate.name: error.message for job, error in failures.items()}
        left = [c for name, c in named.items() if name not in reasons]
        results: dict[str, VariantResult] = {}
        if left:
            fitted = [f for f in fitted if f.job.candidate in left]
            measured, unmeasured = held_out_results(
                fitted, fit_split, left, spec, key=key, sample=sample, models=models
            )
            reasons |= unmeasured
            for made in measured:
                name = made.candidate.name
                n_features = max(len(features) for features in variants[name].values())
                results[name] = VariantResult(folds=made.folds, n_features=n_features)
    for name, reason in reasons.items():
        log.event(f"no comparison with {name}: {reason}", level="warning")
    return results
