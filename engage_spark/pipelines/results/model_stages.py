"""Define the results of training, scoring, the registry and monitoring."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime

from engage_spark.ml.measurement import MonitoredMeasure
from engage_spark.pipelines.results.base import StageResult


@dataclass(frozen=True, kw_only=True)
class MetricEstimate:
    """A metric with its interval."""

    metric: str
    value: float
    low: float
    high: float


@dataclass(frozen=True, kw_only=True)
class ModelOnTest:
    """One of the models of a target on the test split. `role` is winner, baseline and so on."""

    role: str
    features: int
    headline: MetricEstimate | None


@dataclass(frozen=True, kw_only=True)
class VariantOnFolds:
    """The model on other features: the means of a metric over some folds, its own and that of the model."""

    role: str
    features: int
    metric: str
    value: float
    reference: float
    folds: int


@dataclass(frozen=True, kw_only=True)
class SelectionCost:
    """What the selection of features costs against all of them: AUC, or a share of RMSE."""

    features: int
    offered: int
    metric: str
    lost: float
    ranker: str


@dataclass(frozen=True, kw_only=True)
class TrainedModel:
    """One target's model: what won, how good it is on the test split, and whether it became champion.

    `coverage` is what intervals or sets promise, `covered` the share of test labels that they hold.
    `threshold` is the probability from which a contact pays (None for numbers and without money, above 1
    where none pays), by figures from `money_source`.
    `provisional`: it became champion, though the rows could not tell of every gate. `decision` is the stable
    code of why it became champion or not, `reason` the same in words; `gain` is over the champion on the same
    rows, None where there was nothing to compare with. The model that serves was fitted on `serving_days`:
    where one of them is an out-of-time day, again after the judgement. The judged model was fitted on
    `fitted_rows` of `rows_to_fit`, which are more where `models.fit_rows` is less.
    """

    target: str
    candidate: str
    candidates: tuple[str, ...]
    version: int
    promoted: bool
    decision: str
    reason: str
    coverage: float
    covered: float
    models: tuple[ModelOnTest, ...]
    fitted_rows: int
    rows_to_fit: int
    calibration_error: float | None = None
    r_squared: MetricEstimate | None = None
    threshold: float | None = None
    money_source: str = ""
    out_of_time: MetricEstimate | None = None
    out_of_time_days: tuple[date, ...] = ()
    provisional: bool = False
    serving_days: tuple[date, ...] = ()
    failed_candidates: tuple[tuple[str, str], ...] = ()
    """Candidates that could not be fitted or evaluated, with the reason."""
    beats_baseline: bool = True
    """Whether the intervals of model and baseline in the headline metric are apart."""
    stand_in: str = ""
    """Why a constant stands in for the contract's baseline, which nothing shows to be beaten; or empty."""
    selection_cost: SelectionCost | None = None
    gain: MetricEstimate | None = None
    variants: tuple[VariantOnFolds, ...] = ()
    """What other features would do: all, those of the policy that was not set, none that is protected."""
    unaudited: tuple[str, ...] = ()
    """What could not be audited of protected groups, and why."""


@dataclass(frozen=True, kw_only=True)
class TrainResult(StageResult):
    """What was trained in this run; empty where the same work was done before.

    `viewer` is the command that serves MLflow's pages, empty where a server does; `page` their address, empty
    on Databricks.
    """

    run_id: str
    targets: tuple[TrainedModel, ...]
    viewer: str = ""
    page: str = ""


@dataclass(frozen=True, kw_only=True)
class UsedChampion:
    """The model that predicts a target."""

    target: str
    candidate: str
    version: int


@dataclass(frozen=True, kw_only=True)
class ScoredSnapshot:
    """The predictions of one target and day."""

    snapshot_date: date
    target: str
    run_id: str
    rows: int
    seconds: float


@dataclass(frozen=True, kw_only=True)
class ScoreResult(StageResult):
    """What was scored in this run, and by which champions."""

    champions: tuple[UsedChampion, ...]
    snapshots: tuple[ScoredSnapshot, ...]


@dataclass(frozen=True, kw_only=True)
class ModelSummary:
    """A registered version: its role, the facts it was tagged with, the gates that it failed, and those that
    its rows could not tell of, which make it provisional.
    """

    target: str
    version: int
    aliases: tuple[str, ...]
    created: datetime
    candidate: str | None
    headline: MetricEstimate | None
    failed_gates: tuple[str, ...]
    facts: Mapping[str, str]
    unshown_gates: tuple[str, ...] = ()
    provisional: bool = False


@dataclass(frozen=True, kw_only=True)
class TargetModels:
    """What is registered for one target. `newest` is its highest version number, None where there is none."""

    target: str
    champion: ModelSummary | None
    challenger: ModelSummary | None
    versions: int
    newest: int | None


@dataclass(frozen=True, kw_only=True)
class ModelsResult(StageResult):
    """Champion and challenger of every target; `not_sent` are folders of runs that MLflow has not got yet."""

    targets: tuple[TargetModels, ...]
    not_sent: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class ModelResult(StageResult):
    """One version in full."""

    model: ModelSummary
    features: tuple[tuple[str, str], ...]
    parameters: Mapping[str, str]
    metrics: Mapping[str, float]


@dataclass(frozen=True, kw_only=True)
class PromoteResult(StageResult):
    """The new champion, and the version that it replaced (None: there was none)."""

    champion: ModelSummary
    replaced: int | None


@dataclass(frozen=True, kw_only=True)
class SendResult(StageResult):
    """The version that a kept run became; None where the run holds no model."""

    target: str | None = None
    name: str | None = None
    version: int | None = None
    aliases: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class MonitoredDay:
    """The predictions of one target on one day, measured. `fresh`: by this run, not by an earlier one."""

    snapshot_date: date
    target: str
    model: str
    run_id: str
    fresh: bool
    measurements: tuple[MonitoredMeasure, ...]


@dataclass(frozen=True, kw_only=True)
class MonitorResult(StageResult):
    """What was measured in this run, and of a target for which nothing was due, its newest measured day."""

    days: tuple[MonitoredDay, ...]
