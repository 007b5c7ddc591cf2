"""Run the stages of a range of days in order, skip what is done, and say what became of each."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from itertools import pairwise

from pyspark.sql import SparkSession

from engage_spark import log
from engage_spark.contract import Contract, GraphRole
from engage_spark.errors import (
    EngageError,
    GateError,
    InputError,
    NoChampionError,
    NotDeliveredError,
    NotMaturedError,
    NotPublishedError,
    PermanentError,
    TransientError,
)
from engage_spark.lake import translate_spark_errors
from engage_spark.openlineage import LineageJob, running
from engage_spark.pipelines.analyze.run import run_analyze
from engage_spark.pipelines.context import RunContext
from engage_spark.pipelines.features import run_features
from engage_spark.pipelines.graph.run import run_graph
from engage_spark.pipelines.ingest.run import delivered_days, run_ingest
from engage_spark.pipelines.monitor.run import run_monitor
from engage_spark.pipelines.nothing_to_do import stages_to_run
from engage_spark.pipelines.results import (
    AnalyzeResult,
    FeaturesResult,
    GraphResult,
    IngestResult,
    MonitorResult,
    Note,
    PipelineResult,
    PipelineStep,
    ScoreResult,
    StageResult,
    StepOutcome,
    TrainResult,
)
from engage_spark.pipelines.score import run_score
from engage_spark.pipelines.stages import ingest_stage
from engage_spark.pipelines.train.run import run_train
from engage_spark.settings import Settings

LOGS = "logs"
"""The part of ingest that no day has for itself."""
_GATES_BEFORE = ("SnapshotRejectedBefore", "LogRejectedBefore")
_SEVERITY = (0, 3, 4, 2, 1)
"""Exit codes from the best to the worst: rejected, worth a retry, to be corrected, failed for good."""


@dataclass(frozen=True, kw_only=True)
class PipelineStage:
    """A stage of the pipeline: once for each day, or once for all of them.

    `run` is given the day, or None. `needs` names the stages without which a day does not come to this one,
    or without which nothing may be published for one that is run once. `waits_on` are the errors that say
    that its time has not come, which fail nothing.
    """

    name: str
    run: Callable[[date | None], StageResult]
    by_day: bool = True
    needs: tuple[str, ...] = ()
    waits_on: tuple[type[EngageError], ...] = ()
    days: Collection[date] | None = None
    """Days that it has something of, where those are not all."""


def run_pipeline(
    spark: SparkSession,
    settings: Settings,
    *,
    contract: Contract,
    first: date | None = None,
    last: date | None = None,
    stages: Sequence[str] = (),
    as_of: date | None = None,
    keep_going: bool = False,
    on_result: Callable[[StageResult], None] = lambda _: None,
) -> PipelineResult:
    """Bring the days from `first` to `last` through all stages, or through the named ones, in one session.

    Stage by stage, each over the days in order: ingest of every day, then of the logs, whose events are so
    judged by the keys of all days; features; graph; once for all days, monitor and train as of `as_of`
    (default: today); score; analyze. What is published from the same inputs is left as it is, so that a run
    that was killed or failed goes on where it ended, and a day that was delivered again is done again. The
    days are those that are delivered or published; by default all. `on_result` is called with the result of
    each stage that did something.

    A day that a gate rejects, that cannot be read, or that is not whole yet ends the range: the days before
    it are finished, it and later ones are not. With `keep_going` it is left out, and the others are finished.
    Logs wait for a day that is not whole, since their events may name its new keys. Monitoring that finds a
    measure past its bound, and an audit that stops training, hold up no other stage; every other failure ends
    the pipeline, with `keep_going` only what waiting may cure or nothing can. That a day is not whole, no
    labels are known yet, no model is champion, or there are no events to make a graph of fails nothing. Where
    `first` and `last` are one day, undated files are of that day.

    Cost: that of the stages, and for each stage and day one read of the run log.
    Errors: the worst that befell a stage, with the result of all: PermanentError, then ConfigurationError,
    then TransientError, then GateError. NotDeliveredError where the range has no day at all.
    """
    started = time.monotonic()
    names = stages_to_run(contract, stages)
    delivered: tuple[date, ...] = ()
    if "ingest" in names:
        only = first if first == last else None
        try:
            delivered = delivered_days(spark, settings, contract=contract, snapshot_date=only)
        except NotDeliveredError as e:  # what is published was delivered once, and may be archived by now
            log.event(f"nothing is delivered: {e.message}", level="warning")
    published = RunContext(spark, settings, contract).log.publication(spark)
    known = {*delivered, *published.published_days(ingest_stage(contract.entity))}
    days = tuple(d for d in sorted(known) if (first or d) <= d <= (last or d))
    if not days:
        raise _no_day(contract, settings, first, last, sorted(known), "ingest" in names)
    plan = _plan(spark, settings, contract, names, delivered=delivered, as_of=as_of)
    described = LineageJob(name="pipeline", kind="PIPELINE", key=uuid.uuid4().hex, day=days[-1])
    with running(settings.lineage, lambda: described) as job:
        steps, errors = run_stages(plan, days, keep_going=keep_going, on_result=on_result)
        if job is not None and errors:
            job.fail("; ".join(e.message for e in errors))
        elif job is not None:
            job.complete(())
    absent = tuple(_ranges(set(_span(first or days[0], last or days[-1])) - set(days)))
    result = PipelineResult(
        stage="pipeline",
        seconds=time.monotonic() - started,
        notes=(Note("DaysWithoutDelivery", {"days": absent}),) if absent else (),
        days=days,
        steps=steps,
    )
    if errors:
        error = max(errors, key=lambda e: _SEVERITY.index(e.exit_code))
        error.result = result
        raise error
    return result


def _plan(
    spark: SparkSession,
    settings: Settings,
    contract: Contract,
    names: Sequence[str],
    *,
    delivered: Sequence[date],
    as_of: date | None,
) -> list[PipelineStage]:
    """Return the stages as calls of their pipelines."""

    def by_day(run: Callable[..., StageResult], **options: object) -> Callable[[date | None], StageResult]:
        def run_day(day: date | None) -> StageResult:
            return run(
                spark, settings, contract=contract, snapshot_date=day, due_only=True, force=False, **options
            )

        return run_day

    def once(run: Callable[..., StageResult]) -> Callable[[date | None], StageResult]:
        return lambda _: run(spark, settings, contract=contract, as_of=as_of)

    logs = [table.name for table in contract.logs]
    of_models = _needs_of_models(settings, contract)
    stages = {
        "ingest": PipelineStage(
            name="ingest", run=by_day(run_ingest, tables=[contract.entity.name]), days=delivered
        ),
        "features": PipelineStage(name="features", run=by_day(run_features), needs=("ingest",)),
        "graph": PipelineStage(
            name="graph", run=by_day(run_graph), needs=("ingest",), waits_on=(NotPublishedError,)
        ),
        "monitor": PipelineStage(
            name="monitor", run=once(run_monitor), by_day=False, waits_on=(NotPublishedError,)
        ),
        "train": PipelineStage(
            name="train", run=once(run_train), by_day=False, needs=of_models, waits_on=(NotMaturedError,)
        ),
        "score": PipelineStage(
            name="score", run=by_day(run_score), needs=of_models, waits_on=(NoChampionError,)
        ),
        "analyze": PipelineStage(name="analyze", run=by_day(run_analyze), needs=("ingest",)),
    }
    plan = [stages[name] for name in names]
    if "ingest" in names and logs:
        plan.insert(1, PipelineStage(name=LOGS, run=by_day(run_ingest, tables=logs), by_day=False))
    return plan


def _needs_of_models(settings: Settings, contract: Contract) -> tuple[str, ...]:
    """Return the stages that make what models read: a stage with nothing to make is none of them."""
    has_graph = bool(contract.of_graph_role(GraphRole.VERTICES))
    makes = {
        "ingest": True,
        "features": bool(contract.derived),
        "graph": has_graph and settings.features.graph_values == "measured",
    }
    return tuple(name for name, is_needed in makes.items() if is_needed)


def run_stages(
    stages: Sequence[PipelineStage],
    days: Sequence[date],
    *,
    keep_going: bool = False,
    on_result: Callable[[StageResult], None] = lambda _: None,
) -> tuple[tuple[PipelineStep, ...], tuple[EngageError, ...]]:
    """Run stages in order, each over the days in order; return what became of each, and the errors."""
    sequence = _Sequence(tuple(days), keep_going=keep_going, on_result=on_result)
    for stage in stages:
        sequence.run(stage)
    return tuple(sequence.steps), tuple(sequence.errors)


@dataclass
class _Sequence:
    """The steps of a pipeline so far."""

    days: tuple[date, ...]
    keep_going: bool
    on_result: Callable[[StageResult], None]
    steps: list[PipelineStep] = field(default_factory=list)
    errors: list[EngageError] = field(default_factory=list)
    is_over: bool = False
    """Whether nothing more is to be begun."""
    without: dict[date, set[str]] = field(default_factory=dict)
    """Stages that a day does not have."""

    def run(self, stage: PipelineStage) -> None:
        for day in self.days if stage.by_day else (None,):
            self._step(stage, day)
            if day is not None and self.steps[-1].outcome.is_missing:
                self.without.setdefault(day, set()).add(stage.name)
        if stage.name == "ingest" and not self.keep_going:
            self._end_range()

    def _end_range(self) -> None:
        """Leave out the first day that ingest does not have, and all after it."""
        if broken := [d for d in self.days if d in self.without]:
            for day in self.days[self.days.index(broken[0]) :]:
                self.without.setdefault(day, set()).add("ingest")

    def _step(self, stage: PipelineStage, day: date | None) -> None:
        if self._is_left_out(stage, day):
            self._note(stage, day, StepOutcome.NOT_RUN)
        elif stage.name == LOGS and any(s.outcome is StepOutcome.NOT_YET for s in self.steps):
            self._note(stage, day, StepOutcome.NOT_YET, message="a snapshot beside it is not whole")
        elif stage.days is not None and day not in stage.days:
            self._note(stage, day, StepOutcome.NOT_DELIVERED)
        else:
            self._attempt(stage, day)

    def _is_left_out(self, stage: PipelineStage, day: date | None) -> bool:
        if self.is_over:
            return True
        if day is None:
            return all("ingest" in self.without.get(d, ()) for d in self.days)
        if stage.name == "ingest":
            return not self.keep_going and bool(self.without)
        return bool(self.without.get(day, set()) & set(stage.needs))

    def _attempt(self, stage: PipelineStage, day: date | None) -> None:
        started = time.monotonic()
        try:
            with (
                log.subject(f"{stage.name} of {day}" if day else stage.name),
                translate_spark_errors(f"{stage.name} did not end"),
            ):
                result = stage.run(day)
        except stage.waits_on as e:
            self._note(stage, day, StepOutcome.NOT_YET, started, message=_words(e))
        except EngageError as e:
            if isinstance(e, NotPublishedError) and (self.errors or self._lacks(stage)):  # that is said there
                self._note(stage, day, StepOutcome.NOT_RUN, started, message=_words(e))
                return
            if isinstance(e.result, StageResult):
                self.on_result(e.result)
            self.errors.append(e)
            self.is_over = self.is_over or self._ends(stage, e)
            outcome = StepOutcome.REJECTED if isinstance(e, GateError) else StepOutcome.FAILED
            self._note(stage, day, outcome, started, e.exit_code, _words(e))
        else:
            self._note_result(stage, day, result, started)

    def _note_result(
        self, stage: PipelineStage, day: date | None, result: StageResult, started: float
    ) -> None:
        before = [n for n in result.notes if n.code in _GATES_BEFORE]
        if before:
            error = GateError(
                f"{stage.name}{f' of {day}' if day else ''} was rejected before, from the same files",
                details=[str(n.facts["message"]) for n in before],
                hint="deliver again, or `engage-spark ingest --force` checks it again",
            )
            self.errors.append(error)
            self._note(stage, day, StepOutcome.REJECTED, started, error.exit_code, _words(error))
        elif _did_something(result):
            self.on_result(result)
            self._note(stage, day, StepOutcome.DONE, started)
        else:
            waiting = [n.facts["reason"] for n in result.notes if n.code == "DeliveryNotWhole"]
            reasons = "; ".join(dict.fromkeys(map(str, waiting)))
            self._note(stage, day, _without_work(result), started, message=reasons)

    def _lacks(self, stage: PipelineStage) -> bool:
        """Return whether a stage that runs once for all days may find nothing, since one before it did not
        run on some day.
        """
        missing = set().union(*self.without.values())
        return not stage.by_day and bool(missing & set(stage.needs))

    def _ends(self, stage: PipelineStage, error: EngageError) -> bool:
        """Return whether an error ends everything: others would meet it too, or nobody said to go on."""
        if isinstance(error, GateError):
            return False
        if stage.name == "ingest" and isinstance(error, InputError):
            return False
        return isinstance(error, TransientError | PermanentError) or not self.keep_going

    def _note(
        self,
        stage: PipelineStage,
        day: date | None,
        outcome: StepOutcome,
        started: float | None = None,
        exit_code: int = 0,
        message: str = "",
    ) -> None:
        step = PipelineStep(
            snapshot_date=day,
            stage=stage.name,
            outcome=outcome,
            seconds=0.0 if started is None else time.monotonic() - started,
            exit_code=exit_code,
            message=message,
        )
        self.steps.append(step)


def _words(error: EngageError) -> str:
    """Return what a step says of its error: what is wrong, and what to do."""
    return f"{error.message}; {error.hint}" if error.hint else error.message


def _did_something(result: StageResult) -> bool:
    match result:
        case IngestResult() | FeaturesResult() | GraphResult() | ScoreResult():
            return bool(result.snapshots)
        case TrainResult():
            return bool(result.targets)
        case AnalyzeResult():
            return bool(result.days)
        case MonitorResult():
            return any(day.fresh for day in result.days) or _has_note(result, "DayNotMonitored")
    return True


def _without_work(result: StageResult) -> StepOutcome:
    """Return why a stage did nothing."""
    if _has_note(result, "DeliveryNotWhole") or _has_note(result, "LogWithoutKeys"):
        return StepOutcome.NOT_YET
    if isinstance(result, IngestResult) and not (
        _has_note(result, "LogUpToDate") or _has_note(result, "SnapshotUpToDate")
    ):
        return StepOutcome.NOT_DELIVERED
    if any(note.code.startswith("NothingTo") for note in result.notes):
        return StepOutcome.NOT_RUN
    return StepOutcome.ALREADY_DONE


def _has_note(result: StageResult, code: str) -> bool:
    return any(note.code == code for note in result.notes)


def _no_day(
    contract: Contract,
    settings: Settings,
    first: date | None,
    last: date | None,
    known: Sequence[date],
    looked_at_deliveries: bool,
) -> EngageError:
    name, asked = contract.entity.name, f"from {first or 'the first'} to {last or 'the last'}"
    there = [f"there are {', '.join(_ranges(set(known)))}"] if known else []
    if not looked_at_deliveries:
        return NotPublishedError(f"{name} has no published day {asked}", details=there, hint="add ingest")
    return NotDeliveredError(
        f"{name} has no day {asked} in {settings.input.root}, and none is published",
        details=there,
        hint="check the days, and input.root",
    )


def _span(first: date, last: date) -> Iterator[date]:
    return (first + timedelta(days=n) for n in range((last - first).days + 1))


def _ranges(days: set[date]) -> Iterator[str]:
    """Yield days in words, those that follow each other as one: `2025-10-21 to 2025-10-23`."""
    ordered = sorted(days)
    starts = [d for i, d in enumerate(ordered) if not i or ordered[i - 1] != d - timedelta(days=1)]
    ends = [a for a, b in pairwise(ordered) if b - a > timedelta(days=1)] + ordered[-1:]
    for start, end in zip(starts, ends, strict=True):
        yield f"{start}" if start == end else f"{start} to {end}"
