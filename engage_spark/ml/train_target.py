"""Train one target: select features, compare candidates, fit, calibrate, measure, explain, compare groups.

This module joins what the packages of `ml` offer, so it stands above all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from pyspark.sql import DataFrame

from engage_spark import log
from engage_spark.contract.money import ContactMoney
from engage_spark.errors import FitError
from engage_spark.ml.data.driver_sample import RowSample
from engage_spark.ml.data.fit_draw import FitDraw
from engage_spark.ml.data.split_rows import SplitRows, TargetSnapshots
from engage_spark.ml.evaluation.conformal import Conformal
from engage_spark.ml.evaluation.profit_curve import Profit, profits
from engage_spark.ml.evaluation.promotion import ModelGate
from engage_spark.ml.explain.explainer import Explainer
from engage_spark.ml.explain.reasons import Importance, explainer_of, global_importance
from engage_spark.ml.fairness.audit import Attribute
from engage_spark.ml.fairness.model_audit import compare_groups, proxy_tests
from engage_spark.ml.feature_spec import Feature, Target, TargetSpecs, Task
from engage_spark.ml.fold_models import FoldModel, ScratchPath, fold_models
from engage_spark.ml.leakage.findings import LeakFinding
from engage_spark.ml.selection.fold_gram import FoldGrams
from engage_spark.ml.serving_model import (
    ServingModel,
    measure_conformal,
    serving_model,
)
from engage_spark.ml.trainable_targets import fit_draw
from engage_spark.ml.trained_target import TrainedTarget
from engage_spark.ml.training.candidates import CONSTANT, Candidate, baseline_for
from engage_spark.ml.training.cross_validation import (
    CandidateComparison,
    FitRows,
    compare_candidates,
    features_by_fold,
    rows_by_held_out_fold,
    select_features,
)
from engage_spark.ml.training.final_models import (
    ALL,
    BASELINE,
    OTHER,
    UNPROTECTED,
    WINNER,
    BaselineError,
    FinalModels,
    FittedModel,
    fit_final_models,
    measure_final_models,
)
from engage_spark.ml.training.fit import narrow, own_failure
from engage_spark.ml.training.gates import ALL_LABELS, coverage_of, gates_of, serving_gate
from engage_spark.ml.training.variants import VARIED_FOLDS, VariantResult, variants_on_folds
from engage_spark.settings.model import ModelSettings
from engage_spark.spark.schema import column_named
from engage_spark.spark.threads import call_side_by_side

Fitted = TypeVar("Fitted")
EXPLAINED_ROWS = 20_000
"""Most rows that global importance is averaged over."""


@dataclass(frozen=True, kw_only=True, eq=False)
class _Task:
    """What the steps of one target's training share. `draw` says how the rows of a fit are drawn, `fit_rows`
    are those drawn, by the fold held out.
    """

    specs: TargetSpecs
    snapshots: TargetSnapshots
    splits: SplitRows
    grams: FoldGrams
    models: ModelSettings
    key: tuple[str, ...]
    day: str
    draw: FitDraw
    fit_rows: FitRows

    @property
    def target(self) -> Target:
        return self.specs.main.target

    @property
    def days(self) -> int:
        """Of how many snapshots the rows are."""
        return len(self.snapshots.train)

    def sample(self, split: str) -> RowSample:
        """Return how rows of a split are drawn for the driver."""
        return self.splits.sample(split, label=self.target.name, limit=self.models.judged_rows)


@dataclass(frozen=True, kw_only=True, eq=False)
class _Measured:
    """The judged model and what it is compared with, measured."""

    winner: FittedModel
    finals: FinalModels
    out_of_time: FinalModels | None
    conformal: Conformal


def train_target(
    specs: TargetSpecs,
    snapshots: TargetSnapshots,
    splits: SplitRows,
    *,
    grams: FoldGrams,
    findings: Sequence[LeakFinding],
    models: ModelSettings,
    key: Sequence[str],
    day: str,
    protected: Sequence[Attribute],
    money: ContactMoney | None,
    scratch_path: ScratchPath,
) -> TrainedTarget:
    """Train and measure the model of one target on rows that `trainable_targets` accepted.

    `findings` are those of the leakage audit, of all targets; `protected` are the attributes whose groups are
    compared. `money` is what contacts by the target cost and bring; without it there are no profits. A
    model that cannot be fitted, or cannot predict a row that it is measured on, is left out.

    Cost: folds x candidates fits and at most nine more where none fails: the model and the baseline on all
    folds, three variants on two folds each, and the model on all matured days; with forests as ranker one per
    fold, one on all, and for two of the variants one on two folds each; a few small jobs for each model of a
    fold; one pass over the test split for the metrics of the model, the baseline, importance and the fairness
    table. At most `models.judged_rows` scores per model on the driver. Where a fit may not take all rows, two
    jobs more, which count them.

    Errors: ConfigurationError where the rows cannot be trained on, FitError where a fit fails.
    """
    task = _task(specs, snapshots, splits, grams=grams, models=models, key=key, day=day)
    own_findings = tuple(
        f for f in findings if f.target in (None, task.target.name) and f.policy in (None, specs.main.policy)
    )
    comparison, measured = _judged_model(task)
    fit_rows = task.fit_rows
    variants = _variants(task, comparison)
    folds = _folds(task, comparison, scratch_path)
    comparison = replace(comparison, fitted=())  # so that no model of a fold outlives its target's training
    finals, out_of_time, conformal = measured.finals, measured.out_of_time, measured.conformal
    judged_serves = ServingModel(
        fitted=measured.winner,
        conformal=conformal,
        days=snapshots.train,
        background=task.draw.even(fit_rows[None]),
    )
    serving = serving_model(
        judged_serves,
        task.target,
        splits,
        snapshots,
        out_of_time=out_of_time,
        key=key,
        day=day,
        models=models,
    )
    serving, explainer = _explained(task, serving, otherwise=judged_serves, scratch_path=scratch_path)
    profit_curves = _profits(finals, money, models)
    selected_from = _selected_from(finals, profit_curves)
    judged = finals if out_of_time is None else out_of_time
    gates = gates_of(
        judged,
        conformal,
        stopping=[str(f) for f in own_findings if f.stops],
        leaking=specs.leaking(measured.winner.features),
        stand_in=comparison.stand_in,
        models=models,
    )
    return TrainedTarget(
        specs=specs,
        snapshots=snapshots,
        splits=splits,
        comparison=comparison,
        variants=variants,
        findings=own_findings,
        finals=finals,
        out_of_time=out_of_time,
        conformal=conformal,
        coverage=coverage_of(conformal, finals, models)[ALL_LABELS],
        money=money,
        profits=profit_curves,
        selected_from=selected_from,
        serving=serving,
        folds=folds,
        fitted_rows=task.draw.counted(fit_rows[None]),
        gates=(*gates, *_serving_gates(serving, out_of_time)),
        explainer=explainer,
        **_audits(task, measured, serving, explainer, protected, selected_from),
    )


def _task(
    specs: TargetSpecs,
    snapshots: TargetSnapshots,
    splits: SplitRows,
    *,
    grams: FoldGrams,
    models: ModelSettings,
    key: Sequence[str],
    day: str,
) -> _Task:
    draw = fit_draw(splits, specs.main.target, models=models, key=key)
    return _Task(
        specs=specs,
        snapshots=snapshots,
        splits=splits,
        grams=grams,
        models=models,
        key=tuple(key),
        day=day,
        draw=draw,
        fit_rows=rows_by_held_out_fold(
            draw.drawn(splits.fit), key=key, day=day, folds=grams.folds, models=models, n_rows=draw.n_rows
        ),
    )


def _judged_model(task: _Task) -> tuple[CandidateComparison, _Measured]:
    """Select features, compare candidates, and return the best one that can be fitted and measured."""
    spec, models = task.specs.main, task.models
    with log.stage(f"choosing {min(models.keep, len(spec.features))} of {len(spec.features)} features"):
        selection = select_features(spec, task.grams, task.fit_rows, days=task.days, models=models)
    comparison = compare_candidates(
        spec,
        selection,
        task.fit_rows,
        task.splits.fit,
        key=task.key,
        sample=task.sample("fit"),
        models=models,
    )
    features = comparison.selected
    return _fit_best(
        comparison,
        lambda candidate, baseline: _measured(task, candidate, features, baseline),
        baseline=baseline_for(task.target),
    )


def _measured(
    task: _Task, candidate: Candidate, features: Sequence[Feature], baseline: Candidate
) -> _Measured:
    """Fit a candidate with what it is compared with, and measure them on all sides that are not fitted on.

    Errors: FitError where the candidate, BaselineError where the baseline cannot be fitted or cannot predict.
    """
    splits, models = task.splits, task.models
    fitted = fit_final_models(
        candidate,
        {WINNER: features},
        task.specs.main,
        task.fit_rows[None],
        calibration=splits.calibration,
        key=task.key,
        days=task.days,
        models=models,
        baseline=baseline,
    )

    def measured_on(split: str, rows: DataFrame, roles: Mapping[str, FittedModel]) -> FinalModels:
        return measure_final_models(
            roles, task.target, rows, key=task.key, day=task.day, sample=task.sample(split), models=models
        )

    with log.stage("evaluating on the test split", rows=splits.counts["test"]):
        late = {role: fitted[role] for role in (WINNER, BASELINE)}
        newest = splits.out_of_time
        measures: list[Callable[[], Any]] = [
            lambda: measured_on("test", splits.test, fitted),
            lambda: None if newest is None else measured_on("out_of_time", newest, late),
            lambda: measure_conformal(
                fitted[WINNER],
                task.target,
                splits.conformal,
                sample=task.sample("conformal"),
                key=task.key,
                day=task.day,
                models=models,
            ),
        ]
        finals, out_of_time, conformal = call_side_by_side(
            measures, rows=splits.test, parallelism=models.parallelism
        )
    return _Measured(winner=fitted[WINNER], finals=finals, out_of_time=out_of_time, conformal=conformal)


def _folds(task: _Task, comparison: CandidateComparison, scratch_path: ScratchPath) -> tuple[FoldModel, ...]:
    """Return the models of the winner's folds; none where one cannot be read: rows that the model has learnt
    are predicted by itself then, and marked so.
    """
    models = comparison.fold_models
    try:
        return fold_models(
            models,
            task.fit_rows,
            task.target,
            draw=task.draw,
            parallelism=task.models.parallelism,
            scratch_path=scratch_path,
        )
    except Exception as e:  # noqa: BLE001 (what a retry may cure is raised)
        failure = own_failure("reading the models of the folds", comparison.selected, e)
        log.event(f"rows that were learnt have no prediction out of fold: {failure.message}", level="warning")
        return ()


def _explained(
    task: _Task, serving: ServingModel, *, otherwise: ServingModel, scratch_path: ScratchPath
) -> tuple[ServingModel, Explainer]:
    """Return the model that serves, and what explains it. Where that of a refit cannot be read, the judged
    model serves (`otherwise`).

    Errors: as `explainer_of` for the judged model, since no prediction is stored without reasons.
    """

    def explainer(of: ServingModel) -> Explainer:
        with scratch_path() as path:
            return explainer_of(
                of.fitted.model,
                target=task.target,
                spark=task.fit_rows[None].sparkSession,
                scratch=path,
                background=narrow(of.background, of.fitted.features),
            )

    try:
        return serving, explainer(serving)
    except Exception as e:
        failure = own_failure("reading what explains the model", serving.fitted.features, e)
        if not serving.is_refit:
            raise failure from e
        log.event(f"the judged model serves, not the one fitted again: {failure.message}", level="warning")
    judged = replace(otherwise, failure=failure.message)
    return _explained(task, judged, otherwise=judged, scratch_path=scratch_path)


def _audits(
    task: _Task,
    measured: _Measured,
    serving: ServingModel,
    explainer: Explainer,
    protected: Sequence[Attribute],
    threshold: float | None,
) -> dict[str, Any]:
    """Weigh the features of the model that serves, and compare groups by the judged one: fields of
    `TrainedTarget`.

    What fails costs itself: the models are fitted by then.
    """
    winner, target, key, day = measured.winner, task.target, task.key, task.day
    with log.stage("explaining, comparing groups"):
        columns = _audited_columns(winner.features, target, key=key, day=day, protected=protected)
        test_rows = task.splits.test.select(*map(column_named, columns))
        parts: list[Callable[[], Any]] = [
            lambda: compare_groups(
                winner.model.transform(test_rows),
                target,
                measured.conformal,
                key=key,
                protected=protected,
                threshold=threshold,
                models=task.models,
            ),
            lambda: proxy_tests(
                winner.features, task.splits, key=key, day=day, protected=protected, models=task.models
            ),
            lambda: _importance(task, serving, explainer, test_rows),
        ]
        fairness, (proxies, untested), importance = call_side_by_side(
            parts, rows=test_rows, parallelism=task.models.parallelism
        )
        return {
            "importance": importance,
            "fairness": fairness,
            "proxies": proxies,
            "untested_proxies": untested,
        }


def _importance(
    task: _Task, serving: ServingModel, explainer: Explainer, test_rows: DataFrame
) -> tuple[Importance, ...]:
    """Return the importance of features; none where the model fails on a row that it was not measured on."""
    scored = serving.fitted.model.transform(test_rows)
    try:
        return global_importance(
            scored,
            explainer,
            key=task.key,
            limit=EXPLAINED_ROWS,
            seed=task.models.seed,
            total=task.splits.counts["test"],
        )
    except Exception as e:  # noqa: BLE001 (what a retry may cure is raised)
        failure = own_failure("measuring importance", serving.fitted.features, e)
        log.event(f"nothing is known of the importance of features: {failure.message}", level="warning")
        return ()


def _serving_gates(serving: ServingModel, out_of_time: FinalModels | None) -> tuple[ModelGate, ...]:
    """Return the gate of a model that was fitted again; the judged model has its own."""
    if not serving.is_refit or out_of_time is None:
        return ()
    return (serving_gate(serving.conformal, serving.covered, out_of_time.labels),)


def _fit_best(
    comparison: CandidateComparison,
    fit: Callable[[Candidate, Candidate], Fitted],
    *,
    baseline: Candidate,
) -> tuple[CandidateComparison, Fitted]:
    """Fit the best candidate that can be fitted on all folds and measured, and return the comparison that it
    wins.

    `fit` takes a candidate and the baseline; where the baseline fails, a constant stands in. The comparison
    holds the models of the winner's folds alone: others are not needed any more.
    """
    while True:
        try:
            fitted = fit(comparison.winner.candidate, baseline)
            return replace(comparison, fitted=comparison.fold_models), fitted
        except BaselineError as e:
            if baseline is CONSTANT:
                raise
            baseline = CONSTANT
            log.event(f"a constant stands in for the baseline: {e.message}", level="warning")
            comparison = replace(comparison, stand_in=e.message)
        except FitError as e:
            comparison = comparison.without_winner(e)


def _variants(task: _Task, comparison: CandidateComparison) -> dict[str, VariantResult]:
    """Measure the winner on folds with all features, by the other policy, and without protected fields, where
    these are other features. What fails costs advice: it is said, and the rest is measured.
    """
    specs, main = task.specs, task.specs.main
    folds = sorted(k for k in task.fit_rows if k is not None)[:VARIED_FOLDS]
    rows = {k: task.fit_rows[k] for k in folds}
    variants: dict[str, dict[int, Sequence[Feature]]] = {}
    if len(comparison.selected) < len(main.features):
        variants[ALL] = dict.fromkeys(folds, main.features)
    for role, spec in ((OTHER, specs.other), (UNPROTECTED, specs.unprotected)):
        if spec.names == main.names:
            continue
        try:
            variants[role] = dict(
                features_by_fold(spec, task.grams, rows, days=task.days, models=task.models)
            )
        except Exception as e:  # noqa: BLE001 (what a retry may cure is raised)
            failure = own_failure(f"choosing features {role}", spec.features, e)
            log.event(f"no comparison with {role}: {failure.message}", level="warning")
    if not variants:
        return {}
    return variants_on_folds(
        comparison,
        variants,
        task.fit_rows,
        task.splits.fit,
        key=task.key,
        sample=task.sample("fit"),
        models=task.models,
    )


def _profits(finals: FinalModels, money: ContactMoney | None, models: ModelSettings) -> tuple[Profit, ...]:
    """Return the profit of contacts on the test rows, at the declared value first, then at further ones."""
    if money is None:
        return ()
    return profits(
        finals.labels[finals.even],
        finals.by_role[WINNER].scores[finals.even],
        values=(money.value, *(v for v in money.values if v != money.value)),
        cost=money.cost,
        success=money.success,
        clusters=finals.customers[finals.even],
        replicates=models.bootstrap,
        seed=models.seed,
    )


def _selected_from(finals: FinalModels, profit_curves: Sequence[Profit]) -> float | None:
    """Return the probability from which on groups are compared as selected: that at which a contact pays;
    without money the share of class 1 among the test rows. Nulls: None for numbers.
    """
    if finals.target.task is not Task.BINARY:
        return None
    if profit_curves:
        return profit_curves[0].chosen
    return float(finals.labels[finals.even].mean())


def _audited_columns(
    features: Sequence[Feature],
    target: Target,
    *,
    key: Sequence[str],
    day: str,
    protected: Sequence[Attribute],
) -> list[str]:
    """List the columns that explanation and audit need: Spark plans over few columns much quicker."""
    names = [*key, day, target.name, *(f.name for f in features), *(a.name for a in protected)]
    return list(dict.fromkeys(names))
