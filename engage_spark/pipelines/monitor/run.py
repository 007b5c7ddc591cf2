"""Judge the predictions of every scored day whose labels have become known, into `model_monitoring`."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import UTC, date

from pyspark.sql import SparkSession

from engage_spark.contract import SNAPSHOT_DATE, Contract, system_contract
from engage_spark.errors import ConfigurationError, GateError, NotPublishedError
from engage_spark.lake import translate_spark_errors
from engage_spark.ml.data.training_set import known_days
from engage_spark.ml.feature_spec import Target, target_named, targets_of
from engage_spark.ml.measurement import BoundVerdict, MonitoredMeasure, measurement_text
from engage_spark.ml.monitoring import judge
from engage_spark.pipelines.context import RunContext, StageRun, past_day
from engage_spark.pipelines.monitor.measure import measure_day
from engage_spark.pipelines.monitor.monitoring_table import RUN_COLUMN, stored_day, to_rows
from engage_spark.pipelines.monitor.scored_days import ScoredDay, labelled_predictions, model_of, unlearnt
from engage_spark.pipelines.nothing_to_do import without_monitoring
from engage_spark.pipelines.results import MonitoredDay, MonitorResult, Note
from engage_spark.pipelines.runner import StageRunner
from engage_spark.pipelines.stages import (
    MODEL_MONITORING,
    features_stage,
    ingest_stage,
    monitor_stage,
    rows_of_target,
    score_stage,
)
from engage_spark.publication import Run
from engage_spark.settings import Settings
from engage_spark.wording import counted

_SETTINGS = ("bootstrap", "judged_rows", "seed", "smallest_group")


def run_monitor(
    spark: SparkSession,
    settings: Settings,
    *,
    contract: Contract,
    snapshot_date: date | None = None,
    target: Sequence[str] = (),
    as_of: date | None = None,
    force: bool = False,
) -> MonitorResult:
    """Judge the predictions of `snapshot_date`, or of every scored day whose labels are known by `as_of`
    (default: today) and that has not been judged from these predictions and labels yet.

    Measured are the metrics of the task, coverage, the groups of protected fields, the drift of each
    delivered input since the newest day that the model learnt, and that of the scores. Customers whose labels
    the model may have learnt are left out. What is past a bound of the contract's property `monitoring` is an
    error, after everything is published. Predictions are judged as they stand: run it before `score` makes
    those of a delivery with labels anew. A day that cannot be judged is named in the notes, and the others
    are.

    Grain: one row per snapshot, target, measure, attribute and group.
    Cost: per day and target one join of predictions and labels, of which at most `models.judged_rows` rows
    reach the driver, one aggregation of it by group, two scans of small tables, two Delta commits.
    Errors: NotPublishedError where there are no predictions, or none of `snapshot_date` whose labels are
    known; ConfigurationError where `as_of` is in the future; GateError where a measure is past its bound;
    what is wrong with `snapshot_date`, where it was asked for.
    """
    if not target and (nothing := without_monitoring(contract)) is not None:
        return nothing
    started, as_of = time.monotonic(), past_day(as_of)
    context = RunContext(spark, settings, contract)
    runner = StageRunner(context=context, snapshot_date=snapshot_date, force=force)
    targets = tuple(target_named(contract, name) for name in dict.fromkeys(target)) or targets_of(contract)
    scored = _scored_days(context, targets, as_of=as_of, asked=snapshot_date)
    measured: list[MonitoredDay] = []
    notes: list[Note] = []
    for one in targets:
        days = [s for s in scored if s.target.name == one.name]
        due = [(work, s) for s in days if runner.is_due(work := _stage_run(runner, s))]
        for work, s in due:
            try:
                measured.append(_monitor(runner, work, s, notes))
            except ConfigurationError as e:
                if snapshot_date is not None:
                    raise
                facts = {"target": one.name, "snapshot_date": s.day, "reason": e.message}
                notes.append(Note("DayNotMonitored", facts))
        if not due and days:
            measured.append(stored_day(context, one, days[-1].day))
    if not any(d.fresh for d in measured) and not notes:
        notes.append(Note("MonitoringUpToDate"))
    result = MonitorResult(
        stage="monitor",
        seconds=time.monotonic() - started,
        locations=runner.places(MODEL_MONITORING),
        notes=tuple(notes),
        days=tuple(measured),
    )
    if past := [(d, m) for d in measured for m in d.measurements if m.verdict is BoundVerdict.PAST]:
        raise _past_error(past, result)
    return result


def _scored_days(
    context: RunContext, targets: Sequence[Target], *, as_of: date, asked: date | None
) -> list[ScoredDay]:
    """List every target's scored days whose labels are known, oldest first.

    Errors: NotPublishedError where there is none, saying why.
    """
    publication, contract = context.log.publication(context.spark), context.contract
    entity = publication.visible(ingest_stage(contract.entity))
    scored: list[ScoredDay] = []
    waiting: list[str] = []
    for target in targets:
        of_target = contract.target_tables[target.name]
        is_derived = of_target.name != contract.entity.name
        derived = publication.visible(features_stage(of_target)) if is_derived else {}
        runs = publication.published_days(score_stage(target.name))
        for day in sorted(d for d in runs if d in entity and asked in (None, d)):
            if is_derived and day not in derived:
                waiting.append(f"{target.name} of {day}: its labels are not derived; run `features` first")
            elif _is_known(target, day, entity[day], as_of=as_of):
                scored.append(
                    ScoredDay(
                        target=target,
                        day=day,
                        predictions=runs[day],
                        entity=entity[day],
                        derived=derived.get(day),
                    )
                )
            else:
                waiting.append(f"{target.name} of {day}: its labels are not known by {as_of}")
    if not scored:
        raise NotPublishedError(
            f"there are no predictions{f' of {asked}' if asked else ''} whose labels are known by {as_of}",
            details=waiting,
            hint="run `engage-spark score`, and `engage-spark ingest` with the labels once they are known; "
            "--as-of takes another day",
        )
    return scored


def _is_known(target: Target, day: date, entity: Run, *, as_of: date) -> bool:
    """Return whether the labels of a day are known (see `known_days`)."""
    return bool(known_days({day: entity.landed_at.astimezone(UTC).date()}, target, as_of=as_of))


def _stage_run(runner: StageRunner, scored: ScoredDay) -> StageRun:
    models, contract = runner.context.settings.models, runner.context.contract
    labels = contract.target_tables[scored.target.name].name
    return runner.plan(
        monitor_stage(scored.target.name),
        scored.day,
        inputs={
            # Not the run of the predictions: scored again later, the model may have learnt the labels.
            contract.entity.name: scored.entity.run_id,
            **({} if scored.derived is None else {labels: scored.derived.run_id}),
            "settings": ",".join(f"{name}={getattr(models, name)}" for name in _SETTINGS),
        },
        source_rows=scored.predictions.rows_valid,
    )


def _monitor(runner: StageRunner, work: StageRun, scored: ScoredDay, notes: list[Note]) -> MonitoredDay:
    """Judge a day and publish what was measured; what could not be is added to `notes`."""
    context, name = runner.context, scored.target.name
    table = system_contract().table(MODEL_MONITORING)
    with (
        runner.attempt(work, f"judging {name} of {scored.day}", tables=[MODEL_MONITORING]) as attempt,
        translate_spark_errors(f"the predictions of {scored.day} cannot be judged"),
    ):
        model = model_of(context, scored)
        rows = unlearnt(labelled_predictions(context, scored), scored, model)
        measurements = judge(
            measure_day(context, scored, model, rows, notes),
            dict(context.contract.target_tables[name][name].monitoring),
            task=scored.target.task,
        )
        attempt.replace(
            table,
            to_rows(context, work, scored, model, measurements),
            where=rows_of_target(scored.day, name),
            run_column=RUN_COLUMN,
            partition_by=(SNAPSHOT_DATE, "target"),
            properties={},
        )
        attempt.publish(rows_in=work.source_rows, valid=work.source_rows)
    return MonitoredDay(
        snapshot_date=scored.day,
        target=name,
        model=f"{model.name} version {model.version}",
        run_id=work.run_id,
        fresh=True,
        measurements=measurements,
    )


def _past_error(past: Sequence[tuple[MonitoredDay, MonitoredMeasure]], result: MonitorResult) -> GateError:
    return GateError(
        f"past the contract's bounds: {counted(len(past), 'measure')} of models in use",
        details=[f"{d.target} of {d.snapshot_date}: {measurement_text(m)}" for d, m in past],
        hint=f"look at {MODEL_MONITORING}; train on newer days, or choose another model with "
        "`engage-spark models promote`",
        result=result,
    )
