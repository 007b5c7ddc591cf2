"""Describe the customers of each day, its week and its month, into the tables of analytics."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from functools import partial

from pyspark.sql import SparkSession

from engage_spark.analytics.changes import change_rows
from engage_spark.analytics.claims import claim_rows
from engage_spark.analytics.cohorts import cohort_rows
from engage_spark.analytics.correlations import correlation_rows
from engage_spark.analytics.count_states import count_states, with_segments
from engage_spark.analytics.indicators import indicator_rows
from engage_spark.analytics.plan import MOST_SEGMENTS, CountedDimension, CountedMetric, StatesPlan, whole
from engage_spark.analytics.rollups import Grain, days_of_period, last_day_before, rollup_rows
from engage_spark.analytics.spec_plan import dimensions_of, metrics_of
from engage_spark.analytics.state_rows import Row, segment_rows, state_rows
from engage_spark.analytics.states import ALL, CUSTOMERS, OTHER_SEGMENT, DayStates
from engage_spark.contract import Contract
from engage_spark.contract.analytics import analytics_spec_of
from engage_spark.contract.analytics_spec import AnalyticsSpec
from engage_spark.errors import NotPublishedError
from engage_spark.lake.run_log import code_version
from engage_spark.pipelines.analyze.analytics_tables import read_states, write_rows
from engage_spark.pipelines.analyze.day_inputs import DayInputs, find_day_inputs, read_checks, rows_of_day
from engage_spark.pipelines.context import RunContext, StageRun
from engage_spark.pipelines.results import AnalyzedDay, AnalyzeResult, MetricChange, Note
from engage_spark.pipelines.runner import StageRunner
from engage_spark.pipelines.stages import ANALYTICS, ANALYTICS_STATES, ANALYZE
from engage_spark.publication import Run
from engage_spark.settings import Settings
from engage_spark.spark.threads import call_side_by_side

SHOWN_CHANGES = 5
COMMITS_AT_ONCE = 4
"""Tables that are written side by side: a commit of few rows is waiting, for the planner and the store."""


def run_analyze(
    spark: SparkSession,
    settings: Settings,
    *,
    contract: Contract,
    snapshot_date: date | None = None,
    force: bool = False,
    due_only: bool = False,
) -> AnalyzeResult:
    """Describe the customers of `snapshot_date`, or of every published snapshot that is not up to date.
    With `due_only` that of `snapshot_date` is left as it is where it is up to date.

    What is counted says the contract (`contract.analytics`). All tables of a day are published together. A
    day's week and month are merged from the states of their snapshots up to it, and it is compared with the
    last snapshot before it, of the week before and of the month before; a day among them that is published
    again makes it due again. What was derived from or measured on the customers is used where it is published
    and up to date, else its metrics are left out, and a note says so.

    Grain: see the system contract; nothing that is written grows with customers.
    Cost: per day a scan of the columns that quartiles and open dimensions need, where there are any, one scan
    of all columns with a join of the published tables, a Delta commit for each table that has rows (8 at
    most, four at a time) and one for `runs`, a scan of the run log for the results of checks, and of at most
    31 other days the states: one scan of a small table, or none where they were made by the same command.
    Errors: NotPublishedError where no customers are published, or not those of `snapshot_date`; ContractError
    where the contract's analytics make no sense.
    """
    started = time.monotonic()
    context = RunContext(spark, settings, contract)
    runner = StageRunner(context=context, snapshot_date=snapshot_date, force=force, due_only=due_only)
    stage = _Analysis(runner, analytics_spec_of(contract))
    days = [analyzed for day in stage.asked if (analyzed := stage.analyze(day)) is not None]
    return AnalyzeResult(
        stage="analyze",
        seconds=time.monotonic() - started,
        locations=runner.places(*ANALYTICS),
        notes=tuple(stage.notes) if days else (Note("AnalyticsUpToDate"),),
        days=tuple(days),
    )


@dataclass
class _Analysis:
    """The work of one command, day by day, oldest first."""

    runner: StageRunner
    spec: AnalyticsSpec
    notes: list[Note] = field(default_factory=list)

    def __post_init__(self) -> None:
        context = self.runner.context
        self.inputs = find_day_inputs(context, self.spec)
        day, entity = self.runner.snapshot_date, context.contract.entity.name
        if not self.inputs or (day and day not in self.inputs):
            raise NotPublishedError.of(entity, days=[day] if day else ())
        self.asked = [day] if day else list(self.inputs)
        self.analyzed = self.runner.publication.visible(ANALYZE)
        self.states: dict[date, DayStates] = {}
        self.usable: dict[date, bool] = {}

    def analyze(self, day: date) -> AnalyzedDay | None:
        """Analyze a day if it is due, else return None."""
        others, stale = self._other_days(day)
        work = self._work(day, others)
        if not self.runner.is_due(work):
            return None
        self.states = {d: s for d, s in self.states.items() if d in others}
        self.states |= read_states(
            self.runner.context, {d: self.analyzed[d] for d in others if d not in self.states}
        )
        self._note_inputs(self.inputs[day], others, stale)
        return self._publish(work, self.inputs[day], others)

    def _other_days(self, day: date) -> tuple[list[date], list[date]]:
        """Return the other days that a day is merged and compared with, and those that are not up to date."""
        published = [d for d in self.inputs if d <= day]
        wanted = {d for grain in Grain for d in days_of_period(grain, day, published)}
        wanted |= {d for grain in Grain if (d := last_day_before(grain, day, published)) is not None}
        wanted.discard(day)
        for other in wanted - set(self.usable):
            self.usable[other] = self._is_usable(other)
        usable = [d for d in sorted(wanted) if self.usable[d]]
        return usable, sorted(wanted - set(usable))

    def _is_usable(self, day: date) -> bool:
        """Return whether a day's states are those of its inputs, by this contract, settings and code."""
        run, context = self.analyzed.get(day), self.runner.context
        if run is None or not run.outputs:
            return False
        plan = self._work(day, [])
        same = (
            run.contract_digest == plan.contract.digest
            and run.settings_digest == plan.settings_digest
            and run.code_version == code_version()
            and {t: r for t, r in run.inputs.items() if "/" not in t} == plan.inputs
        )
        return same and context.log.is_present(context.spark, run, ANALYTICS_STATES)

    def _work(self, day: date, others: Sequence[date]) -> StageRun:
        inputs = self.inputs[day].identity | self.inputs[day].checks
        for other in others:
            inputs |= {f"{t}/{other}": run_id for t, run_id in self.inputs[other].identity.items()}
        entity = self.runner.context.contract.entity.name
        return self.runner.plan(
            ANALYZE,
            day,
            inputs=inputs,
            settings=("analytics",),
            source_rows=self.inputs[day].runs[entity].rows_valid,
        )

    def _note_inputs(self, inputs: DayInputs, others: Sequence[date], stale: Sequence[date]) -> None:
        day = {"snapshot_date": inputs.day}
        if inputs.missing:
            self.notes.append(Note("AnalyzedWithout", day | {"tables": inputs.missing}))
        if stale:
            self.notes.append(Note("DaysNotMerged", day | {"days": tuple(stale)}))
        if not others and not stale:
            self.notes.append(Note("OneSnapshot", day))

    def _publish(self, work: StageRun, inputs: DayInputs, others: Sequence[date]) -> AnalyzedDay:
        context, day = self.runner.context, work.snapshot_date
        with self.runner.attempt(work, f"analyzing {day}", tables=ANALYTICS) as attempt:
            spec = self.spec.within(set(inputs.runs))
            metrics = metrics_of(spec)
            rows = rows_of_day(context, spec, inputs)
            plan = StatesPlan(
                metrics=metrics, dimensions=(whole(), *with_segments(rows, dimensions_of(spec)))
            )
            counted, sample = count_states(
                rows,
                plan,
                key=context.contract.entity.key,
                n_rows=work.source_rows,
                sample=context.settings.analytics.correlation_rows if len(metrics) > 1 else 0,
            )
            self.states[day] = counted
            dimensions = [d.dimension for d in plan.dimensions]
            made: dict[str, list[Row]] = {
                ANALYTICS_STATES: list(state_rows(counted, plan.dimensions)),
                "segments": list(segment_rows(counted, plan.dimensions)),
                "rollups": list(rollup_rows(day, self._period_states(day), metrics)),
                "cohorts": list(cohort_rows(day, counted, spec.cohorts, _values(metrics, spec))),
                "correlations": []
                if sample is None
                else list(
                    correlation_rows(sample.rows, [m.name for m in metrics], population=counted.customers())
                ),
                "changes": self._changes(day, others, dimensions),
                "indicators": list(indicator_rows(self.spec, counted)),
                "claims": list(claim_rows(self.spec, counted, read_checks(context, inputs))),
            }
            writes = [partial(write_rows, attempt, table, lines) for table, lines in made.items()]
            call_side_by_side(writes, rows=rows, parallelism=COMMITS_AT_ONCE)
            run = attempt.publish(rows_in=work.source_rows, valid=counted.customers())
        self.analyzed[day], self.usable[day] = run, bool(run.outputs)
        self._note_segments(day, plan, counted)
        return _analyzed_day(run, plan, made)

    def _period_states(self, day: date) -> Mapping[date, DayStates]:
        return {d: s for d, s in self.states.items() if d <= day}

    def _changes(
        self, day: date, others: Sequence[date], dimensions: Sequence[CountedDimension]
    ) -> list[Row]:
        rows: list[Row] = []
        published = [d for d in self.inputs if d <= day]
        for grain in Grain:
            before = last_day_before(grain, day, published)
            if before in others and before is not None:
                rows += change_rows(grain.value, before, self.states[before], self.states[day], dimensions)
        return rows

    def _note_segments(self, day: date, plan: StatesPlan, counted: DayStates) -> None:
        for d in plan.dimensions:
            n = counted.customers(d.dimension.name, OTHER_SEGMENT)
            if n and len(d.segments) >= MOST_SEGMENTS:
                facts = {"snapshot_date": day, "dimension": d.dimension.name, "n_customers": n}
                self.notes.append(Note("SegmentsMerged", facts | {"n_segments": MOST_SEGMENTS}))


def _values(metrics: Sequence[CountedMetric], spec: AnalyticsSpec) -> list[CountedMetric]:
    return [m for m in metrics if m.name in spec.values]


def _analyzed_day(run: Run, plan: StatesPlan, made: Mapping[str, Sequence[Row]]) -> AnalyzedDay:
    units = {m.name: m.unit for m in plan.metrics}
    of_day = [
        r
        for r in made["changes"]
        if r["grain"] == Grain.DAY and r["dimension"] == ALL and r["metric"] != CUSTOMERS
    ]
    merged = {r["grain"]: r["period_days"] for r in made["rollups"]}
    return AnalyzedDay(
        snapshot_date=run.snapshot_date,
        run_id=run.run_id,
        customers=run.rows_valid,
        metrics=len(plan.metrics),
        dimensions=len(plan.dimensions) - 1,
        segments=len(made["segments"]),
        merged=merged,
        previous=max((r["previous_date"] for r in made["changes"]), default=None),
        changes=tuple(
            MetricChange(
                metric=r["metric"],
                unit=units[r["metric"]],
                before=r["mean_before"],
                after=r["mean_after"],
                change=r["change"],
                lower=r["change_lower"],
                upper=r["change_upper"],
                n=r["n_after"],
            )
            for r in sorted(of_day, key=_surprise, reverse=True)[:SHOWN_CHANGES]
        ),
        verdicts=dict(Counter(r["verdict"] for r in made.get("claims", ()))),
        seconds=run.seconds,
    )


def _surprise(row: Row) -> float:
    """Return a change in units of the half width of its interval; 0 where it has none."""
    if row["change_lower"] is None or not row["change"]:
        return 0.0
    half = (row["change_upper"] - row["change_lower"]) / 2
    return float("inf") if half == 0 else abs(row["change"]) / half
