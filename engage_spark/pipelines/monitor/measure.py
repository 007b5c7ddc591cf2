"""Measure the labelled predictions of a day: metrics, coverage, groups, drift."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from engage_spark.contract import predictions_table
from engage_spark.contract.monitoring import OF_DECISIONS
from engage_spark.errors import InputError
from engage_spark.ml.data.driver_sample import HASH, RowSample, sample_rows, to_arrays
from engage_spark.ml.fairness.audit import attributes, audit_fairness
from engage_spark.ml.feature_spec import Target, Task, money_of
from engage_spark.ml.measurement import MonitoredMeasure
from engage_spark.ml.monitoring import group_measurements, input_drift, performance, score_drift
from engage_spark.pipelines.context import RunContext
from engage_spark.pipelines.monitor.scored_days import LABEL, PROTECTED, ModelOfDay, ScoredDay, predictions_of
from engage_spark.pipelines.quality.history import read_states
from engage_spark.pipelines.results import Note
from engage_spark.pipelines.stages import ingest_stage, score_stage
from engage_spark.quality.drift import compare_days
from engage_spark.spark.schema import column_named

SCORE, DECISION, COVERED = "__score", "__decision", "__covered"


def measure_day(
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
    """Yield the figures of groups; without money, nothing is decided, and those of decisions are left out."""
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
    fairness = audit_fairness(
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
    is_decided = money_of(context.contract, target.name) is not None
    for measured in group_measurements(fairness):
        if is_decided or measured.measure.removesuffix("_ratio") not in OF_DECISIONS:
            yield measured


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
        predictions_of(context, reference).where(F.col("model_version") == F.lit(model.version)),
        RowSample(expected=before.rows_valid, limit=models.judged_rows),
        key=entity.key,
        seed=models.seed,
    )
    old = to_arrays(sample, {"score": F.col("prediction")}, limit=models.judged_rows)["score"]
    if len(old):
        yield score_drift(scores, old, against=str(day))
