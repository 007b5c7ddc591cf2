"""Judge the predictions of every scored day whose labels have become known, into `model_monitoring`."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date
from typing import Any

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from engage_spark.contract import (
    SNAPSHOT_DATE,
    VALID,
    Contract,
    judged_table,
    predictions_table,
    system_contract,
)
from engage_spark.contract.stored_tables import Split
from engage_spark.errors import ConfigurationError, GateError, InputError, NotPublishedError
from engage_spark.lake import translate_spark_errors
from engage_spark.ml.data.driver_sample import HASH, RowSample, sample_rows, to_arrays
from engage_spark.ml.data.training_set import known_days, label_end
from engage_spark.ml.fairness.audit import attributes, audit_fairness
from engage_spark.ml.feature_spec import Target, Task, target_named, targets_of
from engage_spark.ml.measurement import BoundVerdict, MonitoredMeasure, measurement_text
from engage_spark.ml.monitoring import (
    group_measurements,
    input_drift,
    judge,
    performance,
    score_drift,
)
from engage_spark.pipelines.context import RunContext, StageRun, past_day
from engage_spark.pipelines.quality.history import read_states
from engage_spark.pipelines.results import MonitoredDay, MonitorResult, Note
from engage_spark.pipelines.runner import StageRunner
from engage_spark.pipelines.stages import (
    MODEL_MONITORING,
    TRAINING_RUNS,
    ingest_stage,
    monitor_stage,
    score_stage,
)
from engage_spark.publication import RUN_ID, Run
from engage_spark.quality.drift import compare_days
from engage_spark.settings import Settings
from engage_spark.spark.compat import to_arrow
from engage_spark.spark.schema import column_named, spark_schema

RUN_COLUMN = "run_id"
LABEL, SCORE, DECISION, COVERED, PROTECTED = "__label", "__score", "__decision", "__covered", "__protected"
_SETTINGS = ("bootstrap", "judged_rows", "seed", "smallest_group")


@dataclass(frozen=True, kw_only=True)
class ScoredDay:
    """A target's predictions of a day as they were published, and the rows of that day with their labels.

    The labels come with a later delivery of the day, which puts the predictions out of date for other
    readers: here they are judged as they were made.
    """

    target: Target
    day: date
    predictions: Run
    entity: Run


@dataclass(frozen=True, kw_only=True)
class ModelOfDay:
    """The model that predicted a day.

    `trained_on` is the newest day that it was fitted on, None where `training_runs` does not know it.
    """

    name: str
    version: str
    trained_on: date | None
    features: tuple[str, ...]


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
            measured.append(_stored(context, one, days[-1].day))
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


def read_monitoring(context: RunContext, target: str, days: Sequence[date] | None = None) -> DataFrame:
    """Read the published rows of `model_monitoring` of a target: of `days`, or of every day.

    Errors: NotPublishedError where nothing is published, or not each of `days`.
    """
    visible = context.log.publication(context.spark).visible(monitor_stage(target))
    lacking = sorted(set(days or ()) - set(visible))
    if lacking or not visible:
        raise NotPublishedError.of(MODEL_MONITORING, days=lacking, command="monitor")
    runs = [run.run_id for day, run in visible.items() if days is None or day in days]
    return context.lake.read(context.spark, MODEL_MONITORING).where(F.col(RUN_COLUMN).isin(runs))


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
        runs = publication.published_days(score_stage(target.name))
        for day in sorted(d for d in runs if d in entity and asked in (None, d)):
            if _is_known(target, day, entity[day], as_of=as_of):
                scored.append(ScoredDay(target=target, day=day, predictions=runs[day], entity=entity[day]))
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
    models = runner.context.settings.models
    return runner.plan(
        monitor_stage(scored.target.name),
        scored.day,
        inputs={
            # Not the run of the predictions: scored again later, the model may have learnt the labels.
            runner.context.contract.entity.name: scored.entity.run_id,
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
        model = _model_of(context, scored)
        rows = _unlearnt(_labelled(context, scored), scored, model)
        measurements = judge(
            _measure(context, scored, model, rows, notes),
            dict(context.contract.entity[name].monitoring),
            task=scored.target.task,
        )
        attempt.replace(
            table,
            _frame(context, work, scored, model, measurements),
            where=_of(scored.day, name),
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


def _of(day: date, target: str) -> str:
    quoted = target.replace("\\", "\\\\").replace("'", "\\'")
    return f"{SNAPSHOT_DATE} = DATE'{day}' AND target = '{quoted}'"


def _predictions(context: RunContext, scored: ScoredDay) -> DataFrame:
    """Read the predictions of a target and day as their run made them, also where they are out of date."""
    table = predictions_table(context.contract)
    if not context.log.is_present(context.spark, scored.predictions, table.name):
        raise NotPublishedError(
            f"{table.name} does not hold the predictions of {scored.target.name} on {scored.day} any more",
            hint=f"run `engage-spark score --snapshot-date {scored.day}` again; it makes them anew",
        )
    rows = context.lake.read(context.spark, table.name)
    return rows.where(_of(scored.day, scored.target.name)).where(
        F.col(RUN_ID) == F.lit(scored.predictions.run_id)
    )


def _labelled(context: RunContext, scored: ScoredDay) -> DataFrame:
    """Join the predictions of a day with the labels and protected fields of the same customers.

    Rows whose label is null are left out. No job.
    """
    contract = context.contract
    key = list(contract.entity.key)
    labels = context.log.read_published(
        context.spark,
        judged_table(contract.entity),
        stage=ingest_stage(contract.entity),
        day=SNAPSHOT_DATE,
        days=[scored.day],
    ).where((F.col("_dq_status") == VALID) & column_named(scored.target.name).isNotNull())
    wanted = labels.select(
        *map(column_named, key),
        column_named(scored.target.name).cast("double").alias(LABEL),
        *(column_named(a.name).alias(f"{PROTECTED}{i}") for i, a in enumerate(attributes(contract))),
    )
    return _predictions(context, scored).join(wanted, on=key, how="inner")


def _model_of(context: RunContext, scored: ScoredDay) -> ModelOfDay:
    """Name the model that made the predictions, and find in `training_runs` what it learnt from."""
    rows = _predictions(context, scored).select("model_name", "model_version").limit(1).collect()
    if not rows:
        raise InputError(f"nobody was scored on {scored.day}", hint="there is nothing to judge")
    name, version = rows[0]
    runs = context.lake.find(context.spark, TRAINING_RUNS)
    trained = (
        []
        if runs is None
        else runs.where(
            (F.col("model_name") == name)
            & (F.col("model_version") == version)
            & (F.col("target") == scored.target.name)
        )
        .select(
            F.coalesce(*(F.col(c) for c in ("serving_snapshots", "snapshots") if c in runs.columns)).alias(
                "days"
            ),
            "features",
        )
        .collect()
    )
    days = [day for row in trained for day in row["days"]]
    return ModelOfDay(
        name=name,
        version=version,
        trained_on=max(days) if days else None,
        features=tuple(trained[0]["features"]) if trained else (),
    )


def _unlearnt(rows: DataFrame, scored: ScoredDay, model: ModelOfDay) -> DataFrame:
    """Leave out the customers whose labels the model may have learnt.

    These are those that it was fitted, calibrated or measured on, unless the label window of the day begins
    after the windows of all days that the model learnt: a window that overlaps, or a target without one, has
    nearly the same labels.
    """
    target = scored.target
    if (
        target.label_days
        and model.trained_on is not None
        and scored.day >= label_end(model.trained_on, target)
    ):
        return rows
    if "side" not in rows.columns:
        raise InputError(
            "the predictions do not say on which side of the splits a customer is",
            hint=f"run `engage-spark score --snapshot-date {scored.day}`: this version says it",
        )
    return rows.where(F.col("side").isin(Split.TEST.value, "new"))


def _measure(
    context: RunContext, scored: ScoredDay, model: ModelOfDay, rows: DataFrame, notes: list[Note]
) -> Iterator[MonitoredMeasure]:
    """Yield every measurement of a day's predictions; what cannot be measured is added to `notes`."""
    models, target, binary = context.settings.models, scored.target, scored.target.task is Task.BINARY
    label = F.col(LABEL)
    held = (
        F.array_contains("prediction_set", label.cast("int"))
        if binary
        else (label >= F.col("lower")) & (label <= F.col("upper"))
    )
    rows = rows.withColumn(COVERED, held)
    drawn = _row_sample(rows, scored, limit=models.judged_rows)
    sample = sample_rows(rows, drawn, key=context.contract.entity.key, seed=models.seed)
    columns = {"label": label, "score": F.col("prediction"), "covered": held.cast("double")}
    arrays = to_arrays(sample, columns, limit=models.judged_rows)
    if not len(arrays["label"]):
        raise InputError(
            f"no prediction of {target.name} on {scored.day} has a label that the model has not learnt",
            hint="ingest the labels of the day; customers that the model was fitted on do not count",
        )
    yield from performance(
        target,
        arrays["label"],
        arrays["score"],
        arrays["covered"],
        weights=drawn.weights(arrays["label"]),
        replicates=models.bootstrap,
        seed=models.seed,
    )
    about = {"target": target.name, "snapshot_date": scored.day}
    try:
        yield from _groups(context, target, rows)
    except InputError as e:
        notes.append(Note("GroupsNotMonitored", about | {"reason": e.message}))
    if model.trained_on is None:
        notes.append(Note("DriftNotMonitored", about | {"model": f"{model.name} version {model.version}"}))
    else:
        yield from _drift(context, scored, model, arrays["score"][drawn.is_even(arrays[HASH])])


def _row_sample(rows: DataFrame, scored: ScoredDay, *, limit: int) -> RowSample:
    """Return how rows are drawn where they are more than `limit`: of two classes the rarer one is kept."""
    expected = scored.predictions.rows_valid
    if expected <= limit:
        return RowSample(expected=expected, limit=limit)
    (counted,) = rows.agg(F.count(F.lit(1)).alias("n"), F.count_if(F.col(LABEL) == 1).alias("ones")).collect()
    ones = counted["ones"] if scored.target.task is Task.BINARY else None
    return RowSample(expected=counted["n"], limit=limit, label=LABEL, ones=ones)


def _groups(context: RunContext, target: Target, rows: DataFrame) -> Iterator[MonitoredMeasure]:
    protected = attributes(context.contract)
    if not protected:
        return
    key = context.contract.entity.key
    named = rows.select(
        *map(column_named, key),
        *(F.col(f"{PROTECTED}{i}").alias(a.name) for i, a in enumerate(protected)),
        F.col(LABEL),
        F.col("prediction").alias(SCORE),
        F.coalesce(F.col("decision"), F.lit(0)).alias(DECISION),
        F.col(COVERED),
    )
    yield from group_measurements(
        audit_fairness(
            named,
            target=target,
            protected=protected,
            key=key,
            smallest=context.settings.models.smallest_group,
            label=LABEL,
            prediction=SCORE,
            decision=DECISION if target.task is Task.BINARY else None,
            covered=COVERED,
        )
    )


def _drift(
    context: RunContext, scored: ScoredDay, model: ModelOfDay, scores: Any
) -> Iterator[MonitoredMeasure]:
    """Yield the drift of inputs and of scores since the newest day that the model learnt.

    A day whose states or predictions are not there any more gives no drift of that kind.
    """
    entity, day = context.contract.entity, model.trained_on
    assert day is not None
    publication = context.log.publication(context.spark)
    delivered = publication.published_days(ingest_stage(entity))
    runs = [delivered[d].run_id for d in (day, scored.day) if d in delivered]
    states = read_states(context, entity, first=min(day, scored.day), last=max(day, scored.day), runs=runs)
    n = scored.predictions.rows_valid
    if day in states and scored.day in states and day != scored.day:
        for d in compare_days(states[day], states[scored.day]):
            if d.column in model.features and d.psi is not None:
                yield input_drift(d.column, d.psi, d.noise or 0.0, n=n, against=str(day))
    before = publication.published_days(score_stage(scored.target.name)).get(day)
    table = predictions_table(context.contract).name
    if before is None or day == scored.day or not context.log.is_present(context.spark, before, table):
        return
    reference = ScoredDay(target=scored.target, day=day, predictions=before, entity=scored.entity)
    models = context.settings.models
    sample = sample_rows(
        _predictions(context, reference).where(F.col("model_version") == F.lit(model.version)),
        RowSample(expected=before.rows_valid, limit=models.judged_rows),
        key=entity.key,
        seed=models.seed,
    )
    old = to_arrays(sample, {"score": F.col("prediction")}, limit=models.judged_rows)["score"]
    if len(old):
        yield score_drift(scores, old, against=str(day))


def _frame(
    context: RunContext,
    work: StageRun,
    scored: ScoredDay,
    model: ModelOfDay,
    measurements: Sequence[MonitoredMeasure],
) -> DataFrame:
    common = {
        SNAPSHOT_DATE: scored.day,
        "target": scored.target.name,
        "model_name": model.name,
        "model_version": model.version,
        "made_ahead": scored.predictions.finished_at.astimezone(UTC).date()
        <= label_end(scored.day, scored.target),
        "predictions_run": scored.predictions.run_id,
        RUN_COLUMN: work.run_id,
    }
    schema = spark_schema(system_contract().table(MODEL_MONITORING))
    records = [
        common
        | {
            "measure": m.measure,
            "attribute": m.attribute,
            "member": m.group,
            "against": m.against,
            "value": m.value,
            "low": m.low,
            "high": m.high,
            "n_rows": m.n,
            "bound": m.bound,
            "verdict": m.verdict.value,
        }
        for m in measurements
    ]
    rows = [tuple(record[name] for name in schema.names) for record in records]
    return context.spark.createDataFrame(rows, schema).coalesce(1)


def _stored(context: RunContext, target: Target, day: date) -> MonitoredDay:
    """Return what an earlier run measured of a day."""
    run = context.log.publication(context.spark).visible(monitor_stage(target.name))[day]
    rows = to_arrow(read_monitoring(context, target.name, [day])).to_pylist()
    measurements = [
        MonitoredMeasure(
            measure=r["measure"],
            value=r["value"],
            low=r["low"],
            high=r["high"],
            n=r["n_rows"],
            attribute=r["attribute"],
            group=r["member"],
            against=r["against"],
            bound=r["bound"],
            verdict=BoundVerdict(r["verdict"]),
        )
        for r in rows
    ]
    return MonitoredDay(
        snapshot_date=day,
        target=target.name,
        model=f"{rows[0]['model_name']} version {rows[0]['model_version']}",
        run_id=run.run_id,
        fresh=False,
        measurements=tuple(sorted(measurements, key=lambda m: (m.measure, m.attribute or "", m.group or ""))),
    )


def _past_error(past: Sequence[tuple[MonitoredDay, MonitoredMeasure]], result: MonitorResult) -> GateError:
    return GateError(
        f"{len(past)} measures of models in use are past the contract's bounds",
        details=[f"{d.target} of {d.snapshot_date}: {measurement_text(m)}" for d, m in past],
        hint=f"look at {MODEL_MONITORING}; train on newer days, or choose another model with "
        "`engage-spark models promote`",
        result=result,
    )
