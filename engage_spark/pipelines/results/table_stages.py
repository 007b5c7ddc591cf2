"""Define the results of the stages that make tables: synth, ingest, features, graph, and analyze."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import date
from typing import Any

from engage_spark.pipelines.results.base import StageResult


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
class EventLatency:
    """Seconds from the time of events to the commit that shows them: half of them took at most `p50`, 95% at
    most `p95`, the newest `shortest`. `promised` is the contract's bound, where it has one.
    """

    shortest: float
    p50: float
    p95: float
    promised: float | None = None


@dataclass(frozen=True, kw_only=True)
class StreamedBatch(IngestedSnapshot):
    """One batch of files of a log that was checked. `batch` is Spark's number of it, None for files that its
    stream does not hand out. `repeated` events were in the log before. `latency` is None where readers see no
    new event.
    """

    batch: int | None
    files: int
    repeated: int = 0
    latency: EventLatency | None = None


@dataclass(frozen=True, kw_only=True)
class StreamResult(IngestResult):
    """What a stream checked: a snapshot for each batch of files."""

    snapshots: tuple[StreamedBatch, ...]

    @property
    def is_worth_showing(self) -> bool:
        """Whether there is anything to say."""
        return bool(self.snapshots or self.notes)


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
