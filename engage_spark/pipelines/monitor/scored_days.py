"""Read the predictions of a scored day with their labels, and what the model had learnt."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from engage_spark.contract import SNAPSHOT_DATE, VALID, judged_table, predictions_table, tracked_table
from engage_spark.contract.stored_tables import Split
from engage_spark.errors import InputError, NotPublishedError
from engage_spark.ml.data.training_set import label, label_end
from engage_spark.ml.fairness.audit import attributes
from engage_spark.ml.feature_spec import Target
from engage_spark.pipelines.context import RunContext
from engage_spark.pipelines.stages import TRAINING_RUNS, features_stage, ingest_stage, rows_of_target
from engage_spark.publication import RUN_ID, Run
from engage_spark.spark.joins import join_required
from engage_spark.spark.schema import column_named

LABEL, PROTECTED = "__label", "__protected"
"""Columns that are added to predictions; each protected field is a number after the second."""


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
    derived: Run | None = None
    """The run that derived the labels, of a target of a derived table."""


@dataclass(frozen=True, kw_only=True)
class ModelOfDay:
    """The model that predicted a day.

    `trained_on` is the newest day that it was fitted on, None where `training_runs` does not know it.
    """

    name: str
    version: str
    trained_on: date | None
    features: tuple[str, ...]


def predictions_of(context: RunContext, scored: ScoredDay) -> DataFrame:
    """Read the predictions of a target and day as their run made them, also where they are out of date."""
    table = predictions_table(context.contract)
    if not context.log.is_present(context.spark, scored.predictions, table.name):
        raise NotPublishedError(
            f"{table.name} does not hold the predictions of {scored.target.name} on {scored.day} any more",
            hint=f"run `engage-spark score --snapshot-date {scored.day}` again; it makes them anew",
        )
    rows = context.lake.read(context.spark, table.name)
    return rows.where(rows_of_target(scored.day, scored.target.name)).where(
        F.col(RUN_ID) == F.lit(scored.predictions.run_id)
    )


def labelled_predictions(context: RunContext, scored: ScoredDay) -> DataFrame:
    """Join the predictions of a day with the labels and protected fields of the same customers.

    Rows whose label is null are left out. No job.
    """
    contract = context.contract
    key, name = list(contract.entity.key), scored.target.name
    of_target = contract.target_tables[name]
    rows = context.log.read_published(
        context.spark,
        judged_table(contract.entity),
        stage=ingest_stage(contract.entity),
        day=SNAPSHOT_DATE,
        days=[scored.day],
    ).where(F.col("_dq_status") == VALID)
    if of_target.name != contract.entity.name:
        derived = context.log.read_published(
            context.spark,
            tracked_table(of_target),
            stage=features_stage(of_target),
            day=SNAPSHOT_DATE,
            days=[scored.day],
        )
        rows = join_required(
            rows,
            derived,
            on=[*key, SNAPSHOT_DATE],
            columns=[name],
            what=f"labels ({of_target.name})",
            hint="run `engage-spark features` for that day",
        )
    wanted = rows.select(
        *map(column_named, key),
        label(of_target[name]).cast("double").alias(LABEL),
        *(column_named(a.name).alias(f"{PROTECTED}{i}") for i, a in enumerate(attributes(contract))),
    )
    labelled = wanted.where(F.col(LABEL).isNotNull())
    return predictions_of(context, scored).join(labelled, on=key, how="inner")


def model_of(context: RunContext, scored: ScoredDay) -> ModelOfDay:
    """Name the model that made the predictions, and find in `training_runs` what it learnt from."""
    rows = predictions_of(context, scored).select("model_name", "model_version").limit(1).collect()
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


def unlearnt(rows: DataFrame, scored: ScoredDay, model: ModelOfDay) -> DataFrame:
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
