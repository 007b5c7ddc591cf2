"""Define the typed result of every pipeline: plain, frozen data for schedulers, notebooks and tests.

No Spark and no wording here. `to_plain` makes a result JSON-able; `engage_spark.cli.render` puts it into
words.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass
from datetime import date, datetime
from enum import Enum, StrEnum
from typing import Any

from engage_spark.ml.measurement import MonitoredMeasure


@dataclass(frozen=True)
class Note:
    """A warning that a reader must not miss.

    `code` is a stable CamelCase name, `facts` are the plain values that its wording in `cli/render/notes.py`
    needs.
    """

    code: str
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class StageResult:
    """What every stage returns at least.

    `seconds` is wall-clock time; `locations` says where each table or file is (path or catalog name).
    """

    stage: str
    seconds: float
    locations: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[Note, ...] = ()


# --- synth, ingest, features


@dataclass(frozen=True, kw_only=True)
class SynthResult(StageResult):
    """What was made up; `reused` where the same plan had made it before."""

    customers: int
    snapshots: int
    seed: int
    end_date: date
    faults: bool
    reused: bool = False


@dataclass(frozen=True, kw_only=True)
class RuleOutcome:
    """One rule or gate on one table and day: what it measured, its bounds, whether it passed.

    `measured`, `minimum` and `maximum` are in `unit`; `violations` are rows. `samples` are values that broke
    it, some of them masked.
    """

    table: str
    rule_name: str
    column_name: str | None
    severity: str
    rows_checked: int
    violations: int
    measured: float | None
    minimum: float | None
    maximum: float | None
    unit: str
    passed: bool
    samples: tuple[str, ...] = ()

    @property
    def counts_rows(self) -> bool:
        """Whether this is a rule on rows: what a gate measures is not the share of the rows that broke it."""
        share = 100.0 * self.violations / self.rows_checked if self.rows_checked else 0.0
        return self.minimum is None and self.unit == "percent" and self.measured == share


def rule_outcome(table: str, line: Mapping[str, Any]) -> RuleOutcome:
    """Return a line of quality_results, or what is to become one, as the outcome of a rule on `table`."""
    values = {f.name: line[f.name] for f in fields(RuleOutcome) if f.name not in ("table", "samples")}
    return RuleOutcome(table=table, samples=tuple(line["samples"]), **values)


@dataclass(frozen=True, kw_only=True)
class IngestedSnapshot:
    """One table of one day that was checked. `broken_rules` are the other rules broken beyond tolerance."""

    table: str
    snapshot_date: date
    run_id: str
    status: str
    rows_in: int
    valid: int
    quarantined: int
    seconds: float
    failed_gates: tuple[RuleOutcome, ...] = ()
    broken_rules: tuple[RuleOutcome, ...] = ()

    @property
    def published(self) -> bool:
        """Whether readers may see it: no gate rejected it."""
        return not self.failed_gates


@dataclass(frozen=True, kw_only=True)
class IngestResult(StageResult):
    """What was checked in this run; rows that were left as they were are not counted."""

    snapshots: tuple[IngestedSnapshot, ...]
    rows_in: int
    valid: int
    quarantined: int

    def rejected(self) -> tuple[IngestedSnapshot, ...]:
        """Return the snapshots that a gate rejected."""
        return tuple(s for s in self.snapshots if not s.published)


@dataclass(frozen=True, kw_only=True)
class DerivedSnapshot:
    """The features of one table and day. `features` counts the formulas, `failures` the rows on which a
    formula could not be computed, by field.
    """

    table: str
    snapshot_date: date
    run_id: str
    rows: int
    features: int
    seconds: float
    failures: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class FeaturesResult(StageResult):
    """What was derived in this run."""

    snapshots: tuple[DerivedSnapshot, ...]
    rows: int


# --- graph


@dataclass(frozen=True, kw_only=True)
class TopVertex:
    """One of the most central vertices of a day."""

    id: str
    centrality: float
    betweenness: float
    lower: float
    upper: float
    degree: int
    community: int


@dataclass(frozen=True, kw_only=True)
class MeasuredGraph:
    """The graph of one day. `sources` and `paths` say how betweenness was found; paths are 0 when it is
    exact.

    Of the `top_k` most central vertices `certain_members` are proven to be among them, and for the first
    `certain_places` the order is; `contenders` cannot be excluded (0 when exact).

    `compared` holds, by field, the figures of the delivered against the measured values (columns of
    graph_comparison).
    """

    snapshot_date: date
    run_id: str
    vertices: int
    edges: int
    method: str
    sources: int
    paths: int
    top_k: int
    certain_members: int
    certain_places: int
    contenders: int
    seconds: float
    top: tuple[TopVertex, ...] = ()
    compared: Mapping[str, Mapping[str, float | int | None]] = field(default_factory=dict)
    picture: str | None = None


@dataclass(frozen=True, kw_only=True)
class GraphResult(StageResult):
    """What was measured in this run."""

    snapshots: tuple[MeasuredGraph, ...]


# --- models


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


# --- runs, demo


@dataclass(frozen=True, kw_only=True)
class StageAttempt:
    """One attempt of one stage, as `runs` has it."""

    stage: str
    snapshot_date: date
    attempt: int
    run_id: str
    status: str
    rows_in: int
    valid: int
    quarantined: int
    message: str
    started_at: datetime
    seconds: float


@dataclass(frozen=True, kw_only=True)
class RunsResult(StageResult):
    """Attempts, oldest first."""

    attempts: tuple[StageAttempt, ...]
    published: int


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


@dataclass(frozen=True, kw_only=True)
class MetricChange:
    """How the mean of a metric over all customers changed since the snapshot before, with its interval."""

    metric: str
    unit: str | None
    before: float
    after: float
    change: float
    lower: float | None
    upper: float | None
    n: int


@dataclass(frozen=True, kw_only=True)
class AnalyzedDay:
    """The analytics of one day.

    `previous` is the snapshot before it that it was compared with, `changes` what changed most against its
    own uncertainty. `merged` counts the snapshots by period. `verdicts` counts the claims by verdict.
    """

    snapshot_date: date
    run_id: str
    customers: int
    metrics: int
    dimensions: int
    segments: int
    merged: Mapping[str, int]
    previous: date | None
    changes: tuple[MetricChange, ...]
    verdicts: Mapping[str, int]
    seconds: float


@dataclass(frozen=True, kw_only=True)
class AnalyzeResult(StageResult):
    """What was analyzed in this run, by day."""

    days: tuple[AnalyzedDay, ...]


@dataclass(frozen=True, kw_only=True)
class DemoResult(StageResult):
    """The result of every stage of the demo, in order."""

    stages: tuple[StageResult, ...]


class StepOutcome(StrEnum):
    """What became of a stage on a day."""

    DONE = "done"
    ALREADY_DONE = "already done"
    REJECTED = "rejected"
    FAILED = "failed"
    NOT_YET = "not yet"
    NOT_RUN = "not run"
    NOT_DELIVERED = "no delivery"

    @property
    def is_missing(self) -> bool:
        """Whether the day does not have what the stage makes."""
        return self in (
            StepOutcome.REJECTED,
            StepOutcome.FAILED,
            StepOutcome.NOT_YET,
            StepOutcome.NOT_RUN,
        )


@dataclass(frozen=True, kw_only=True)
class PipelineStep:
    """A stage on a day, or on all of them together (`snapshot_date` None), and what became of it.

    `message` says why, where it was not done; `exit_code` is what the stage's own command would end with.
    """

    snapshot_date: date | None
    stage: str
    outcome: StepOutcome
    seconds: float
    exit_code: int = 0
    message: str = ""


@dataclass(frozen=True, kw_only=True)
class PipelineResult(StageResult):
    """What became of every stage on every day, in the order in which they ran."""

    days: tuple[date, ...]
    steps: tuple[PipelineStep, ...]


# --- quality


@dataclass(frozen=True, kw_only=True)
class FailedExpectation:
    """An expectation that does not hold, or could not be run (then `exception` says why).

    `columns` is empty for one about the table; `result` is what Great Expectations' result holds, masked.
    """

    type: str
    columns: tuple[str, ...]
    severity: str
    result: Mapping[str, Any]
    exception: str | None = None


@dataclass(frozen=True, kw_only=True)
class SuiteCheckResult(StageResult):
    """Any data against a suite. `validation` is the whole Great Expectations validation result."""

    data: str
    suite: str
    engine: str
    expectations: int
    failed: tuple[FailedExpectation, ...]
    validation: Mapping[str, Any]

    @property
    def success(self) -> bool:
        """Whether every expectation holds."""
        return not self.failed


@dataclass(frozen=True, kw_only=True)
class ColumnDrift:
    """One column on two days. `moved` are the bins that moved most, with their shares before and after.

    `psi` is the population stability index, `ks` the Kolmogorov-Smirnov distance; `missing_change` is the
    change of the missing share. All are fractions; None where they cannot be had.
    """

    column: str
    change: str
    psi: float | None
    ks: float | None
    missing_change: float | None
    moved: tuple[tuple[str, float, float], ...] = ()
    appeared: tuple[str, ...] = ()
    vanished: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class DriftResult(StageResult):
    """Two days of a table, column by column, over their valid rows. `columns` are those that changed;
    `changes` counts all by kind.
    """

    table: str
    day: date
    against: date
    changes: Mapping[str, int]
    some_psi: float
    much_psi: float
    columns: tuple[ColumnDrift, ...]


@dataclass(frozen=True, kw_only=True)
class ColumnSummary:
    """One column over several days. `personal` columns show no values.

    `mean`, `minimum` and `maximum` are in the column's own terms: a number, the length of a text, a day, a
    moment. `commonest` holds the values of a closed list with their rows, commonest first. `median` and
    `distinct` are estimates from sketches.
    """

    column: str
    type: str
    personal: bool
    rows: int
    missing: int
    mean: float | date | None = None
    minimum: float | date | None = None
    maximum: float | date | None = None
    commonest: tuple[tuple[str, int], ...] = ()
    median: float | None = None
    distinct: int | None = None


@dataclass(frozen=True, kw_only=True)
class StatesResult(StageResult):
    """What several published days of a table hold together."""

    table: str
    days: tuple[date, ...]
    rows: int
    columns: tuple[ColumnSummary, ...]


@dataclass(frozen=True, kw_only=True)
class ShowResult(StageResult):
    """What was broken on a checked day, worst first; `rules` counts all rules and gates."""

    snapshot_date: date
    tables: tuple[str, ...]
    rules: int
    failed: int
    broken: tuple[RuleOutcome, ...]


@dataclass(frozen=True, kw_only=True)
class ProfileResult(StageResult):
    """A contract drafted from data. `text` is its YAML."""

    rows: int
    columns: int
    key: tuple[str, ...]
    kind: str
    text: str


@dataclass(frozen=True, kw_only=True)
class DocumentedTable:
    """One table in the Data Docs of a day."""

    table: str
    snapshot_date: date
    status: str
    expectations: int
    failed: int


@dataclass(frozen=True, kw_only=True)
class DocsResult(StageResult):
    """The Data Docs that were built; `index` is their first page."""

    index: str
    tables: tuple[DocumentedTable, ...]


@dataclass(frozen=True, kw_only=True)
class SuiteResult(StageResult):
    """The rules about a table as a Great Expectations suite, in its JSON form."""

    table: str
    suite: Mapping[str, Any]


# --- JSON


def to_plain(value: Any) -> Any:
    """Return a result as dicts, lists, numbers, text and None, ready for `json.dumps`.

    Properties of a result are among its values. Days and moments become ISO text, numbers that are not finite
    None.
    """
    if isinstance(value, Enum):
        value = value.value
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, date):
        return value.isoformat()
    if is_dataclass(value) and not isinstance(value, type):
        properties = [n for n in dir(type(value)) if isinstance(getattr(type(value), n), property)]
        value = {name: getattr(value, name) for name in (*(f.name for f in fields(value)), *properties)}
    if isinstance(value, Mapping):
        return {str(key): to_plain(item) for key, item in value.items()}
    if isinstance(value, Sequence | frozenset | set):
        return [to_plain(item) for item in value]
    raise TypeError(f"a result holds plain data, and no {type(value).__name__}")


# --- tables


@dataclass(frozen=True, kw_only=True)
class OptimizedTable:
    """One table: rows that no reader could see, its files and bytes before and after."""

    table: str
    rows_removed: int
    files_before: int
    files_after: int
    bytes_before: int
    bytes_after: int


@dataclass(frozen=True, kw_only=True)
class OptimizeResult(StageResult):
    """What was removed and joined."""

    tables: tuple[OptimizedTable, ...]


@dataclass(frozen=True, kw_only=True)
class VacuumedTable:
    """One table: files that were deleted, live files and their bytes.

    A dry run counts up to 1,000 files; None where Delta does not say how many they were.
    """

    table: str
    files_removed: int | None
    files: int
    bytes: int


@dataclass(frozen=True, kw_only=True)
class VacuumResult(StageResult):
    """What was deleted."""

    retention_days: int
    tables: tuple[VacuumedTable, ...]
    scratch_folders: int
    landings: int


@dataclass(frozen=True, kw_only=True)
class TableVersionLine:
    """One version of a table. `run_id`, `stage` and `status` are empty where no run of `runs` made it."""

    version: int
    committed_at: datetime
    operation: str
    run_id: str | None
    stage: str
    status: str
    rows: int | None
    files_added: int | None
    files_removed: int | None


@dataclass(frozen=True, kw_only=True)
class StoredTableVersions:
    """One table: live files and bytes, the number of versions in its log, and the newest of them."""

    table: str
    files: int
    bytes: int
    n_versions: int
    versions: tuple[TableVersionLine, ...]


@dataclass(frozen=True, kw_only=True)
class TablesHistoryResult(StageResult):
    """What the tables are made of."""

    tables: tuple[StoredTableVersions, ...]


@dataclass(frozen=True, kw_only=True)
class CatalogView:
    """One view of a catalog: the table that it selects from, and how many runs it shows."""

    name: str
    table: str
    runs: int


@dataclass(frozen=True, kw_only=True)
class ViewsResult(StageResult):
    """The views that show what is published."""

    views: tuple[CatalogView, ...]


@dataclass(frozen=True, kw_only=True)
class MigrationStep:
    """One change that a stored table needs: `kind` is add, widen, rewrite, note or refuse."""

    table: str
    kind: str
    change: str


@dataclass(frozen=True, kw_only=True)
class MigrateResult(StageResult):
    """What the stored tables need to be as the contract declares them, and whether it was done."""

    steps: tuple[MigrationStep, ...]
    applied: bool


@dataclass(frozen=True, kw_only=True)
class ErasedPlace:
    """One place where a key may be: what was there, and what is still there. None: it was not looked at."""

    place: str
    occurrences: int | None
    remaining: int | None
    remark: str = ""


@dataclass(frozen=True, kw_only=True)
class ForgetResult(StageResult):
    """Where a key was looked for, and what was there."""

    places: tuple[ErasedPlace, ...]
    applied: bool
    was_known: bool
    """Whether the key had been erased before."""
