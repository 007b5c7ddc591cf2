"""Hold what a training knows of one target's model: what won, how good it is, and what serves."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from engage_spark.contract.money import ContactMoney
from engage_spark.ml.data.fit_draw import FittedRows
from engage_spark.ml.data.split_rows import SplitRows, TargetSnapshots
from engage_spark.ml.evaluation.bootstrap import Interval
from engage_spark.ml.evaluation.conformal import Conformal
from engage_spark.ml.evaluation.footing import LearntDays
from engage_spark.ml.evaluation.metrics import HEADLINE
from engage_spark.ml.evaluation.profit_curve import Profit
from engage_spark.ml.evaluation.promotion import ModelGate
from engage_spark.ml.explain.explainer import Explainer
from engage_spark.ml.explain.reasons import Importance
from engage_spark.ml.fairness.group_metrics import Fairness
from engage_spark.ml.fairness.proxy import Proxy
from engage_spark.ml.feature_spec import Target, TargetSpecs, Task
from engage_spark.ml.fold_models import FoldModel
from engage_spark.ml.leakage.findings import LeakFinding
from engage_spark.ml.serving_model import (
    ServingModel,
)
from engage_spark.ml.training.cross_validation import (
    CandidateComparison,
)
from engage_spark.ml.training.final_models import (
    ALL,
    BASELINE,
    WINNER,
    FinalModel,
    FinalModels,
)
from engage_spark.ml.training.variants import PairedMeans, VariantResult

WORST_AUC, WORST_RMSE = 0.005, 0.01
"""What selection may cost before it is reported: a loss in AUC, or a share of RMSE."""


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

    `variants` are its candidate on other features, measured on some folds, by the role of such a model.
    `money` is what the contract declares of contacts, `selected_from` the probability from which on groups
    are compared as selected. `untested_proxies` says of protected attributes that could not be tested why
    not. `fitted_rows`: how many rows the judged model was fitted on, of how many.
    """

    specs: TargetSpecs
    snapshots: TargetSnapshots
    splits: SplitRows
    comparison: CandidateComparison
    variants: Mapping[str, VariantResult]
    findings: tuple[LeakFinding, ...]
    finals: FinalModels
    out_of_time: FinalModels | None
    conformal: Conformal
    coverage: Interval
    money: ContactMoney | None
    profits: tuple[Profit, ...]
    selected_from: float | None
    serving: ServingModel
    folds: tuple[FoldModel, ...]
    fitted_rows: FittedRows
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
    def all_features(self) -> VariantResult | None:
        """The candidate on all features; None where nothing was selected from them, or it failed."""
        return self.variants.get(ALL)

    def beside(self, variant: VariantResult) -> PairedMeans | None:
        """Return a variant's mean of the headline metric beside the model's own, over the folds that define
        both; None where none does.
        """
        return variant.beside(self.comparison.winner, HEADLINE[self.target.task].name)

    @property
    def is_apart_from_baseline(self) -> bool:
        """Whether the intervals of model and baseline in the headline metric do not overlap; never where a
        constant stands in for the baseline.
        """
        if self.comparison.stand_in:
            return False
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
        """The lowest probability at which a contact pays; None for numbers, and without money."""
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
        is_binary, means = self.target.task is Task.BINARY, self.beside(self.all_features)
        if means is None or min(losses) <= 0 or not (is_binary or means.value):
            return None
        loss = sum(losses) / len(losses) / (1.0 if is_binary else means.value)
        if loss <= (WORST_AUC if is_binary else WORST_RMSE):
            return None
        return SelectionLoss(
            loss=loss,
            metric=metric.name,
            n_features=len(self.final.features),
            n_all_features=len(self.specs.main.features),
            ranker=self.comparison.selection.ranker,
        )
