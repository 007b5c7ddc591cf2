"""Train one target: select features, compare candidates, fit, calibrate, measure, explain, compare groups.

This module joins what the packages of `ml` offer, so it stands above all of them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from engage_spark import log
from engage_spark.errors import ConfigurationError, FitError
from engage_spark.ml.data.preflight import fold_counts, require_trainable
from engage_spark.ml.data.split import FOLD, SIDE
from engage_spark.ml.data.split_rows import SplitRows, TargetSnapshots, split_rows
from engage_spark.ml.data.training_set import labelled
from engage_spark.ml.evaluation.bootstrap import Interval
from engage_spark.ml.evaluation.conformal import Conformal
from engage_spark.ml.evaluation.footing import LearntDays
from engage_spark.ml.evaluation.metrics import HEADLINE
from engage_spark.ml.evaluation.profit_curve import Profit, profits
from engage_spark.ml.evaluation.promotion import ModelGate
from engage_spark.ml.explain.explainer import Explainer
from engage_spark.ml.explain.reasons import Importance, explainer_of, global_importance
from engage_spark.ml.fairness.audit import Attribute
from engage_spark.ml.fairness.group_metrics import Fairness
from engage_spark.ml.fairness.model_audit import compare_groups, proxy_tests
from engage_spark.ml.fairness.proxy import Proxy
from engage_spark.ml.feature_spec import Feature, Target, TargetSpecs, Task
from engage_spark.ml.fold_models import FoldModel, ScratchPath, fold_models
from engage_spark.ml.leakage.findings import LeakFinding
from engage_spark.ml.selection.fold_gram import FoldGrams
from engage_spark.ml.serving_model import (
    ServingModel,
    measure_conformal,
    serving_model,
)
from engage_spark.ml.training.candidates import Candidate, baseline_for, candidates_for
from engage_spark.ml.training.cross_validation import (
    CandidateComparison,
    CandidateResult,
    FitRows,
    all_features_on_folds,
    compare_candidates,
    features_named,
    rows_by_held_out_fold,
    select_features,
)
from engage_spark.ml.training.final_models import (
    BASELINE,
    OTHER,
    UNPROTECTED,
    WINNER,
    FinalModel,
    FinalModels,
    FittedModel,
    fit_final_models,
    measure_final_models,
)
from engage_spark.ml.training.fit import narrow
from engage_spark.ml.training.gates import ALL_LABELS, coverage_of, gates_of, serving_gate
from engage_spark.ml.training.pipeline import candidate_features
from engage_spark.settings.model import ModelSettings
from engage_spark.spark.schema import column_named

WORST_AUC, WORST_RMSE = 0.005, 0.01
"""What selection may cost before it is reported: a loss in AUC, or a share of RMSE."""
EXPLAINED_ROWS = 20_000
"""Most rows that global importance is averaged over."""


@dataclass(frozen=True, kw_only=True)
class SelectionLoss:
    """What the selected features lose against all features, on the folds where both were measured.

    Units: `loss` is in AUC for two classes, and a share of RMSE for numbers.
    """

    loss: float
    metric: str
    n_features: int
    n_all_features: int
    ranker: str


@dataclass(frozen=True, kw_only=True, eq=False)
class TrainedTarget:
    """Everything that a training knows of one target's model.

    `all_features` is its candidate on all features, measured on some folds; None where there is no such.
    `untested_proxies` says of protected attributes that could not be tested why not.
    """

    specs: TargetSpecs
    snapshots: TargetSnapshots
    splits: SplitRows
    comparison: CandidateComparison
    all_features: CandidateResult | None
    findings: tuple[LeakFinding, ...]
    finals: FinalModels
    out_of_time: FinalModels | None
    conformal: Conformal
    coverage: Interval
    profits: tuple[Profit, ...]
    serving: ServingModel
    folds: tuple[FoldModel, ...]
    explainer: Explainer
    importance: tuple[Importance, ...]
    fairness: Fairness
    proxies: tuple[Proxy, ...]
    untested_proxies: tuple[str, ...]
    gates: tuple[ModelGate, ...]

    @property
    def target(self) -> Target:
        """The target that the model predicts."""
        return self.specs.main.target

    @property
    def final(self) -> FinalModel:
        """The model that was judged; `serving` is the one to register."""
        return self.finals.by_role[WINNER]

    @property
    def is_apart_from_baseline(self) -> bool:
        """Whether the intervals of model and baseline in the headline metric do not overlap."""
        name = HEADLINE[self.target.task].name
        model, baseline = self.final.metrics[name], self.finals.by_role[BASELINE].metrics[name]
        return model is not None and baseline is not None and model.apart_from(baseline)

    @property
    def unaudited(self) -> tuple[str, ...]:
        """What could not be audited of groups and of what gives them away, and why."""
        return (*self.fairness.unaudited, *self.untested_proxies)

    @property
    def judged(self) -> FinalModels:
        """The final models on the rows that gates are taken on: those of a day that none has learnt, where
        there is one, else the test split of the days that they have learnt.
        """
        return self.finals if self.out_of_time is None else self.out_of_time

    @property
    def learnt_days(self) -> LearntDays:
        """The days that gates are taken on, and those that its two models were fitted on."""
        newest = self.snapshots.out_of_time
        is_late = self.out_of_time is not None and newest is not None
        return LearntDays(
            judged_on=(newest,) if is_late and newest is not None else self.snapshots.train,
            judged_model=self.snapshots.train,
            serving=self.serving.days,
        )

    @property
    def threshold(self) -> float | None:
        """The lowest probability at which a contact pays at the configured value; None for numbers."""
        return self.profits[0].chosen if self.profits else None

    @property
    def selection_loss(self) -> SelectionLoss | None:
        """What the selection costs, where every fold says so and their mean is more than WORST_AUC or
        WORST_RMSE; None where it is not.
        """
        if self.all_features is None:
            return None
        metric = HEADLINE[self.target.task]
        full = self.all_features.folds[metric.name]
        selected = self.comparison.winner.folds[metric.name]
        losses = [metric.gain(a, s) for a, s in zip(full, selected, strict=False) if not math.isnan(a + s)]
        is_binary, scale = self.target.task is Task.BINARY, self.all_features.mean(metric.name)
        if not losses or min(losses) <= 0 or not (is_binary or scale):
            return None
        loss = sum(losses) / len(losses) / (1.0 if is_binary else scale)
        if loss <= (WORST_AUC if is_binary else WORST_RMSE):
            return None
        return SelectionLoss(
            loss=loss,
            metric=metric.name,
            n_features=len(self.final.features),
            n_all_features=len(self.specs.main.features),
            ranker=self.comparison.selection.ranker,
        )


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
    scratch_path: ScratchPath,
) -> TrainedTarget:
    """Train and measure the model of one target on rows that `trainable_splits` accepted.

    `findings` are those of the leakage audit, of all targets; `protected` are the attributes whose groups are
    compared.

    Cost: folds x candidates fits and at most six more, of which the last is on all matured days; a few small
    jobs for each fold's model of the winner; one pass over the test split for the metrics of each final
    model, one each for importance and the fairness table. At most `models.judged_rows` scores per model on
    the driver.

    Errors: ConfigurationError where the rows cannot be trained on, FitError where a fit fails.
    """
    spec, n_rows = specs.main, splits.counts["fit"]
    target = spec.target
    own_findings = tuple(
        f for f in findings if f.target in (None, target.name) and f.policy in (None, spec.policy)
    )
    fit_rows = rows_by_held_out_fold(
        splits.fit, key=key, day=day, folds=grams.folds, models=models, n_rows=n_rows
    )
    with log.stage(f"choosing {models.keep} of {len(spec.features)} features"):
        selection = select_features(spec, grams, fit_rows, days=len(snapshots.train), models=models)
    drawn = partial(splits.sample, label=target.name, limit=models.judged_rows)
    comparison = compare_candidates(
        spec, selection, fit_rows, splits.fit, key=key, sample=drawn("fit"), models=models
    )
    features = _features_by_role(specs, comparison, grams, fit_rows, days=len(snapshots.train), models=models)
    comparison, fitted = _fit_best(
        comparison,
        lambda candidate: fit_final_models(
            candidate,
            features,
            spec,
            fit_rows[None],
            calibration=splits.calibration,
            key=key,
            days=len(snapshots.train),
            models=models,
        ),
    )
    winner = fitted[WINNER]
    all_features = all_features_on_folds(
        comparison, fit_rows, splits.fit, key=key, sample=drawn("fit"), models=models
    )
    with log.stage("evaluating on the test split", rows=splits.counts["test"]):
        finals = measure_final_models(
            fitted, target, splits.test, key=key, day=day, sample=drawn("test"), models=models
        )
        out_of_time = None
        if splits.out_of_time is not None:
            out_of_time = measure_final_models(
                {role: fitted[role] for role in (WINNER, BASELINE)},
                target,
                splits.out_of_time,
                key=key,
                day=day,
                sample=drawn("out_of_time"),
                models=models,
            )
        conformal = measure_conformal(
            winner,
            target,
            splits.conformal,
            sample=drawn("conformal"),
            key=key,
            day=day,
            models=models,
        )
        coverage = coverage_of(conformal, finals, models)
        profit_curves = _profits(finals, models)
    folds = fold_models(comparison.fold_models, fit_rows, target, scratch_path=scratch_path)
    comparison = replace(comparison, fitted=())  # so that no model of a fold outlives its target's training
    serving = serving_model(
        winner,
        conformal,
        target,
        splits,
        snapshots,
        out_of_time=out_of_time,
        fit_rows=fit_rows[None],
        key=key,
        day=day,
        models=models,
    )
    with log.stage("explaining, comparing groups"):
        with scratch_path() as path:
            explainer = explainer_of(
                serving.fitted.model,
                target=target,
                spark=fit_rows[None].sparkSession,
                scratch=path,
                background=narrow(serving.background, winner.features),
            )
        columns = _audited_columns(winner.features, target, key=key, day=day, protected=protected)
        test_rows = splits.test.select(*map(column_named, columns))
        importance = global_importance(
            serving.fitted.model.transform(test_rows),
            explainer,
            key=key,
            limit=EXPLAINED_ROWS,
            seed=models.seed,
        )
        scored = winner.model.transform(test_rows)
        fairness = compare_groups(
            scored,
            target,
            conformal,
            key=key,
            protected=protected,
            threshold=profit_curves[0].chosen if profit_curves else None,
            models=models,
        )
        proxies, untested = proxy_tests(
            winner.features, splits, key=key, day=day, protected=protected, models=models
        )
    return TrainedTarget(
        specs=specs,
        snapshots=snapshots,
        splits=splits,
        comparison=comparison,
        all_features=all_features,
        findings=own_findings,
        finals=finals,
        out_of_time=out_of_time,
        conformal=conformal,
        coverage=coverage[ALL_LABELS],
        profits=profit_curves,
        serving=serving,
        folds=folds,
        explainer=explainer,
        importance=importance,
        fairness=fairness,
        proxies=proxies,
        untested_proxies=untested,
        gates=(
            *gates_of(
                finals if out_of_time is None else out_of_time,
                conformal,
                stopping=[str(f) for f in own_findings if f.stops],
                leaking=specs.leaking(winner.features),
                models=models,
            ),
            *_serving_gates(serving, out_of_time),
        ),
    )


def _serving_gates(serving: ServingModel, out_of_time: FinalModels | None) -> tuple[ModelGate, ...]:
    """Return the gate of a model that was fitted again; the judged model has its own."""
    if not serving.is_refit or out_of_time is None:
        return ()
    return (serving_gate(serving.conformal, serving.covered, out_of_time.labels),)


def trainable_splits(
    rows: DataFrame,
    specs: Mapping[str, TargetSpecs],
    snapshots: Mapping[str, TargetSnapshots],
    *,
    candidates: Sequence[str],
) -> dict[str, SplitRows]:
    """Part the rows of every target by split, and check before the first fit that all targets can be trained.

    Cost: two jobs per target.

    Errors: one ConfigurationError with all that is in the way, target by target.
    """
    splits: dict[str, SplitRows] = {}
    errors: list[ConfigurationError] = []
    for name, of_target in specs.items():
        target = of_target.main.target
        features = tuple({f.name: f for spec in of_target.all for f in spec.features}.values())
        try:
            candidates_for(target, candidates)
            candidate_features(baseline_for(target), of_target.main.features)
            fit_rows = labelled(rows, target=target, days=snapshots[name].train).where(F.col(SIDE) == "fit")
            require_trainable(
                fold_counts(fit_rows, label=name, features=features, fold=FOLD),
                target=target,
                features=features,
            )
            splits[name] = split_rows(rows, target, snapshots[name])
        except ConfigurationError as e:
            errors.append(e)
    if len(errors) == 1:
        raise errors[0]
    if errors:
        raise ConfigurationError(
            f"{len(errors)} targets cannot be trained",
            details=[line for e in errors for line in (e.message, *(f"  {d}" for d in e.details))],
            hint="; ".join(dict.fromkeys(e.hint for e in errors if e.hint)),
        )
    return splits


def _fit_best(
    comparison: CandidateComparison, fit: Callable[[Candidate], dict[str, FittedModel]]
) -> tuple[CandidateComparison, dict[str, FittedModel]]:
    """Fit the best candidate that can be fitted on all folds, and return the comparison that it wins.

    It holds the models of the winner's folds alone: others are not needed any more.
    """
    while True:
        try:
            fitted = fit(comparison.winner.candidate)
            return replace(comparison, fitted=comparison.fold_models), fitted
        except FitError as e:
            comparison = comparison.without_winner(e)


def _features_by_role(
    specs: TargetSpecs,
    comparison: CandidateComparison,
    grams: FoldGrams,
    fit_rows: FitRows,
    *,
    days: int,
    models: ModelSettings,
) -> dict[str, tuple[Feature, ...]]:
    """Return the features of the final model and of its comparisons, each by its own spec's selection."""
    features = {WINNER: comparison.selected}
    for role, spec in ((OTHER, specs.other), (UNPROTECTED, specs.unprotected)):
        if spec.names != specs.main.names:
            selection = select_features(spec, grams, {None: fit_rows[None]}, days=days, models=models)
            features[role] = features_named(spec, selection.final.kept)
    return features


def _profits(finals: FinalModels, models: ModelSettings) -> tuple[Profit, ...]:
    """Return the profit of contacts on the test rows, the configured value first, then `models.values`."""
    if finals.target.task is not Task.BINARY:
        return ()
    return profits(
        finals.labels[finals.even],
        finals.by_role[WINNER].scores[finals.even],
        values=(models.value, *(v for v in models.values if v != models.value)),
        cost=models.cost,
        success=models.success,
        clusters=finals.customers[finals.even],
        replicates=models.bootstrap,
        seed=models.seed,
    )


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
