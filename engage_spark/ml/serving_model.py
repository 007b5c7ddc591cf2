"""Make the model that serves from the one that was judged: fitted again on all matured days.

A model is judged by days that it has not learnt, so what it knows ends a label window before them. Once it is
judged, the same candidate with the same features is fitted again on the fit customers of those days too, and
its calibration and its intervals are measured anew on their own customers. Test customers enter no fit.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date

from pyspark.sql import DataFrame

from engage_spark import log
from engage_spark.ml.data.driver_sample import RowSample, sample_rows
from engage_spark.ml.data.fit_draw import FitDraw, FittedRows
from engage_spark.ml.data.split_rows import SplitRows, TargetSnapshots
from engage_spark.ml.evaluation.bootstrap import Interval
from engage_spark.ml.evaluation.conformal import Conformal, calibrate_regression, calibrate_sets
from engage_spark.ml.feature_spec import Target, Task
from engage_spark.ml.training.final_models import FinalModels, FittedModel, refit_model, scores_of
from engage_spark.ml.training.fit import own_failure, partitions_for, prepared
from engage_spark.ml.training.gates import ALL_LABELS, coverage_of
from engage_spark.numerics.dtypes import F64
from engage_spark.settings.model import ModelSettings


@dataclass(frozen=True, kw_only=True, eq=False)
class ServingModel:
    """The model that is registered and scores, with the days that it was fitted on.

    Where it is not the judged model itself (`is_refit`), it was held against the test customers of `newest`,
    a day of whose other customers it has learnt: `scores` are theirs, in the order of the models out of time,
    `covered` the shares of their labels that are covered, by part. `failure` says why a refit was not made.
    `rows`: how many rows the refit took, of how many; None without one.
    """

    fitted: FittedModel
    conformal: Conformal
    days: tuple[date, ...]
    background: DataFrame
    newest: date | None = None
    scores: F64 | None = None
    covered: Mapping[str, Interval] = field(default_factory=dict)
    failure: str = ""
    rows: FittedRows | None = None

    @property
    def is_refit(self) -> bool:
        """Whether it was fitted again after the judgement."""
        return self.scores is not None

    @property
    def coverage(self) -> Interval | None:
        """The share of all test customers of `newest` whose labels are covered; None without a refit."""
        return self.covered.get(ALL_LABELS)


def serving_model(
    own: ServingModel,
    target: Target,
    splits: SplitRows,
    snapshots: TargetSnapshots,
    *,
    out_of_time: FinalModels | None,
    key: Sequence[str],
    day: str,
    models: ModelSettings,
) -> ServingModel:
    """Fit the judged model again on all matured days; with one snapshot there is nothing to add.

    `own` is the judged model as it would serve, `out_of_time` it on the newest day. What fails costs the
    refit alone: the judged model serves then, and the reason is kept.

    Cost: one fit on the rows of all matured days, one job to calibrate it, one for its intervals or sets and
    one for their coverage; one that counts rows where a fit may not take all.

    Errors: TransientError where the cluster fails.
    """
    if splits.matured is None or splits.out_of_time is None or out_of_time is None:
        return own
    try:
        return _refit(
            own.fitted, target, splits, snapshots, out_of_time=out_of_time, key=key, day=day, models=models
        )
    except Exception as e:  # noqa: BLE001 (what a retry may cure is raised)
        failure = own_failure("fitting the judged model again", own.fitted.features, e)
        log.event(
            f"the judged model serves, since fitting it again failed: {failure.message}", level="warning"
        )
        return replace(own, failure=failure.message)


def _refit(
    judged: FittedModel,
    target: Target,
    splits: SplitRows,
    snapshots: TargetSnapshots,
    *,
    out_of_time: FinalModels,
    key: Sequence[str],
    day: str,
    models: ModelSettings,
) -> ServingModel:
    """Fit the judged model again, and measure it.

    Errors: FitError where it cannot be fitted, or cannot predict a row.
    """
    assert splits.matured is not None
    assert splits.out_of_time is not None
    counted = splits.matured_sample("fit", label=target.name, limit=splits.matured_counts["fit"])
    draw = FitDraw.of(counted, limit=models.fit_rows, key=key, seed=models.seed)
    rows = prepared(
        draw.drawn(splits.matured["fit"]),
        key=list(key),
        day=day,
        partitions=models.partitions or partitions_for(draw.n_rows),
        seed=models.seed,
    )
    fitted = refit_model(
        judged,
        target,
        rows,
        calibration=splits.matured["calibration"],
        key=key,
        days=len(snapshots.all),
        models=models,
    )
    again = measure_conformal(
        fitted,
        target,
        splits.matured["conformal"],
        sample=splits.matured_sample("conformal", label=target.name, limit=models.judged_rows),
        key=key,
        day=day,
        models=models,
    )
    drawn = splits.sample("out_of_time", label=target.name, limit=models.judged_rows)
    sample = sample_rows(splits.out_of_time, drawn, key=key, seed=models.seed)
    arrays = scores_of(fitted.model, fitted.features, sample, target, day=day, limit=models.judged_rows)
    return ServingModel(
        fitted=fitted,
        conformal=again,
        days=snapshots.all,
        background=draw.even(rows),
        newest=snapshots.out_of_time,
        scores=arrays["score"],
        covered=coverage_of(again, out_of_time, models, scores=arrays["score"]),
        rows=draw.counted(rows),
    )


def measure_conformal(
    fitted: FittedModel,
    target: Target,
    rows: DataFrame,
    *,
    sample: RowSample,
    key: Sequence[str],
    day: str,
    models: ModelSettings,
) -> Conformal:
    """Measure intervals or sets on rows that neither the fit nor the calibration has seen.

    Cost: one job; at most `models.judged_rows` scores on the driver.
    """
    hashed = sample_rows(rows, sample, key=key, seed=models.seed)
    arrays = scores_of(fitted.model, fitted.features, hashed, target, day=day, limit=models.judged_rows)
    if target.task is Task.BINARY:
        return calibrate_sets(arrays["label"], arrays["score"], coverage=models.coverage)
    # As many ranges of predictions as have a hundred rows each, ten at most: errors grow with what is
    # predicted.
    parts = max(1, min(10, len(arrays["label"]) // 100))
    return calibrate_regression(
        arrays["label"],
        arrays["score"],
        coverage=models.coverage,
        minimum=target.minimum,
        maximum=target.maximum,
        parts=parts,
    )
