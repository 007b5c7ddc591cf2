"""Make the rows of `model_monitoring`, and read them again."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from engage_spark.contract import SNAPSHOT_DATE, system_contract
from engage_spark.errors import NotPublishedError
from engage_spark.ml.data.training_set import label_end
from engage_spark.ml.feature_spec import Target
from engage_spark.ml.measurement import BoundVerdict, MonitoredMeasure
from engage_spark.pipelines.context import RunContext, StageRun
from engage_spark.pipelines.monitor.scored_days import ModelOfDay, ScoredDay
from engage_spark.pipelines.results import MonitoredDay
from engage_spark.pipelines.stages import MODEL_MONITORING, monitor_stage
from engage_spark.spark.compat import from_rows, to_arrow
from engage_spark.spark.schema import spark_schema

RUN_COLUMN = "run_id"


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


def to_rows(
    context: RunContext,
    work: StageRun,
    scored: ScoredDay,
    model: ModelOfDay,
    measurements: Sequence[MonitoredMeasure],
) -> DataFrame:
    """Make the rows of a day that was measured, in the columns of `model_monitoring`. No job."""
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
    return from_rows(context.spark, rows, schema).coalesce(1)


def stored_day(context: RunContext, target: Target, day: date) -> MonitoredDay:
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
