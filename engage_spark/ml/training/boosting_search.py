"""Choose depth and rounds of boosted trees inside the folds, on few rows.

How many rounds a small table bears follows from nothing else. For each depth one model of all rounds is
fitted with each of the first folds held out. A shorter one is its beginning, so a single pass over the rows
left out gives the loss after each round, and no further fit is needed.

The test side, the calibration side and the newest day play no part. The losses are of the folds that the
candidates are compared on, so the metrics of a candidate that was searched for are a little too good there;
what is said of the final model is measured on the test side.

Source: J. H. Friedman, "Greedy function approximation: a gradient boosting machine", Annals of Statistics 29,
2001, section 5: the number of rounds by the loss on rows left out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

import numpy as np
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from engage_spark import log
from engage_spark.errors import FitError
from engage_spark.ml.data.fit_draw import WEIGHT
from engage_spark.ml.data.split import FOLD
from engage_spark.ml.feature_spec import Feature, FeatureSpec, Task
from engage_spark.ml.training.candidates import Candidate, Family
from engage_spark.ml.training.fit import Fitted, Job, fit_all, own_failure, to_vectors
from engage_spark.settings.model import ModelSettings
from engage_spark.spark.schema import column_named

ROUNDS = 100
"""Rounds of each fit of a search."""
DEPTHS = (3, 5)
"""Depths that are tried, the least deep first."""
STEP = 0.1
"""How much of a tree is added: a third of what a fit of few rounds adds."""
SEARCHED_FOLDS = 2
"""Folds that the losses are of, the first ones. The loss is a smooth curve of rounds, which two folds show;
each further one would cost as many jobs as a comparison of all candidates.
"""
ENOUGH = 0.001
"""Of the smallest loss the share by which a model of fewer rounds may be worse and is taken: no metric shows
it, and each round costs jobs in every fit that follows.
"""


@dataclass(frozen=True, kw_only=True)
class BoostingSearch:
    """The settings of a candidate that its folds chose, and the losses that say why.

    `losses`: by depth the mean over the searched folds of the loss on rows left out, after 1, 2, … rounds;
    empty where the search failed. Units: log-loss for two classes, squared error otherwise.
    """

    candidate: Candidate
    losses: Mapping[int, tuple[float, ...]]

    @property
    def text(self) -> str:
        """What was tried and chosen, in a sentence."""
        best = "; ".join(
            f"depth {depth}: {min(losses):.4g} after {losses.index(min(losses)) + 1}"
            for depth, losses in self.losses.items()
        )
        params = self.candidate.params
        return (
            f"{self.candidate.name}: {params['maxIter']} rounds of depth {params['maxDepth']}, chosen on "
            f"{SEARCHED_FOLDS} folds among {ROUNDS} rounds (smallest mean loss on rows left out: {best} "
            "rounds)."
        )


def search_boosting(
    candidate: Candidate,
    spec: FeatureSpec,
    features: Mapping[int, Sequence[Feature]],
    rows: Mapping[int, DataFrame],
    fit_split: DataFrame,
    *,
    models: ModelSettings,
) -> BoostingSearch:
    """Return a boosted candidate with the depth and rounds whose mean loss on the folds left out is smallest.

    `features` and `rows` are those of a fit by the fold that it leaves out, `fit_split` the rows of all
    folds. Of depths that are equally good the least deep one is taken, and the fewest rounds within `ENOUGH`
    of its smallest loss. The choice depends on the rows alone. A search that fails costs itself: the
    candidate is returned as it was, and that is said.

    Cost: a fit of `ROUNDS` rounds per depth for each of `SEARCHED_FOLDS`, and one job each that reads the
    rows left out.

    Errors: TransientError where the cluster fails.
    """
    searched = sorted(rows)[:SEARCHED_FOLDS]
    jobs = [
        Job(
            candidate=replace(candidate, params={**candidate.params, **_params(depth, ROUNDS)}),
            target=spec.target,
            features=tuple(features[k]),
            rows=rows[k],
            label=spec.target.name,
            seed=models.seed,
            fold=k,
        )
        for k in searched
        for depth in DEPTHS
    ]
    try:
        with log.stage(f"searching depth and rounds of {candidate.name}", fits=len(jobs)):
            fitted = fit_all(jobs, parallelism=models.parallelism)
            losses = [held_out_losses(f, fit_split) for f in fitted]
        if not np.isfinite(losses).all():
            raise FitError("the loss on the rows left out is not defined after each round")
    except Exception as e:  # noqa: BLE001 (what a retry may cure is raised)
        failure = own_failure(f"searching depth and rounds of {candidate.name}", spec.features, e)
        log.event(f"{candidate.name} keeps its settings: {failure.message}", level="warning")
        return BoostingSearch(candidate=candidate, losses={})
    by_depth: dict[int, list[list[float]]] = {depth: [] for depth in DEPTHS}
    for job, of_fold in zip(jobs, losses, strict=True):
        by_depth[int(job.candidate.params["maxDepth"])].append(of_fold)
    means = {depth: tuple(np.mean(folds, axis=0).tolist()) for depth, folds in by_depth.items()}
    depth, rounds = choose_boosting(means)
    params = MappingProxyType({**candidate.params, **_params(depth, rounds)})
    return BoostingSearch(candidate=replace(candidate, params=params), losses=means)


def choose_boosting(losses: Mapping[int, Sequence[float]]) -> tuple[int, int]:
    """Return depth and rounds: those of the smallest loss, with the fewest rounds within `ENOUGH` of it."""
    depth = min(sorted(losses), key=lambda d: min(losses[d]))
    enough = min(losses[depth]) * (1.0 + ENOUGH)
    return depth, next(i for i, loss in enumerate(losses[depth], 1) if loss <= enough)


def is_searched(candidate: Candidate, rows: int, models: ModelSettings) -> bool:
    """Return whether the settings of a candidate are searched for when it is fitted on so many rows."""
    return candidate.family is Family.GBT and rows <= models.search_rows


def held_out_losses(fitted: Fitted, fit_split: DataFrame) -> list[float]:
    """Return the mean loss after each round of boosted trees, on the fold that they were fitted without.

    Units: log-loss, or squared error.

    Cost: one job over the rows of the fold.
    """
    job = fitted.job
    held_out = fit_split.where(column_named(FOLD) == F.lit(job.fold))
    if WEIGHT in job.rows.columns:  # all of its rows are there, so they count alike
        held_out = held_out.withColumn(WEIGHT, F.lit(1.0))
    vectors = to_vectors(replace(job, rows=held_out), fitted.preparation)
    model: Any = fitted.estimation.stages[0]
    if job.target.task is Task.BINARY:
        # MLlib's margin is half the log-odds, and its loss twice the log-loss.
        return [loss / 2.0 for loss in model.evaluateEachIteration(vectors)]
    return list(model.evaluateEachIteration(vectors, "squared"))


def _params(depth: int, rounds: int) -> dict[str, float | int | str]:
    return {"maxDepth": depth, "maxIter": rounds, "stepSize": STEP}
