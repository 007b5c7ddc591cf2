"""Score the valid customers of a day with the champions, into `predictions`."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import date
from functools import reduce

from pyspark.ml import PipelineModel
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from engage_spark import log
from engage_spark.contract import SNAPSHOT_DATE, Contract, predictions_table
from engage_spark.errors import NotPublishedError
from engage_spark.lake import RunLog, translate_spark_errors
from engage_spark.lake.scratch import scratch
from engage_spark.ml.feature_spec import (
    FeatureSpec,
    LeakPolicy,
    build_feature_spec,
    money_of,
    target_named,
    targets_of,
)
from engage_spark.ml.scoring import NEW, Scorer, require_schema, to_predictions
from engage_spark.pipelines.champions import (
    SPLIT_RUNS,
    find_champions,
    require_graph_values,
    require_same_meaning,
    scorer_of,
)
from engage_spark.pipelines.context import RunContext, StageRun
from engage_spark.pipelines.model_inputs import ModelInputs, find_model_inputs, rows_of
from engage_spark.pipelines.nothing_to_do import without_scores
from engage_spark.pipelines.results import Note, ScoredSnapshot, ScoreResult, UsedChampion
from engage_spark.pipelines.runner import StageRunner
from engage_spark.pipelines.stages import SPLITS, rows_of_target, score_stage
from engage_spark.publication import RUN_ID, Run
from engage_spark.settings import Settings
from engage_spark.spark.schema import column_named
from engage_spark.tracking import Champion, Tracker

TARGET = "target"
OF_MODEL = ("model", "reasons", "money")
"""Inputs of a run that are not tables."""
_SPLIT, _SIDE = "__split_", "__side"
PARTITIONS = (SNAPSHOT_DATE, TARGET)
"""What is replaced at a time, so that other targets' files are not even read."""
PROPERTIES = {"delta.dataSkippingNumIndexedCols": "3"}


@dataclass(frozen=True, eq=False)
class LoadedChampion:
    """A champion with its model loaded, and the spec that says which tables hold its features."""

    champion: Champion
    scorer: Scorer
    model: PipelineModel
    spec: FeatureSpec


def run_score(
    spark: SparkSession,
    settings: Settings,
    *,
    contract: Contract,
    snapshot_date: date | None = None,
    target: Sequence[str] = (),
    force: bool = False,
    due_only: bool = False,
) -> ScoreResult:
    """Predict every target that has a champion, for one snapshot or for all that it has not scored yet.

    `target` names the targets; by default all of them. `snapshot_date` None: every snapshot without
    predictions, or whose tables changed since; the newest also where its champion, `models.reasons`, of two
    classes the money of a contact, or `features` settings changed. Older snapshots keep what was predicted
    for them, so that it can be judged once labels are known; `snapshot_date` or `force` scores them anew
    (`due_only` does not). Its rows are replaced in one commit, and other targets' rows stay, so a rerun gives
    the same rows.

    Cost: per snapshot one join of customers, features, graph and splits, which is written to scratch once
    where several targets are due and read by each; per target one pass through its model and the explanation
    (of a day that the model was fitted on two, each of its part of the rows), one Delta commit, a count, then
    the row in `runs`. Nothing on the driver grows with customers; the models pass through it.

    Errors: NoChampionError where no target has a champion or one that was asked for has none;
    NotPublishedError where the inputs of the snapshot are not there; ConfigurationError where the features of
    the tables are not those of a model or mean something else by now, or a model was trained on the other
    kind of graph values;
    TransientError where MLflow cannot be reached.
    """
    if not target and (nothing := without_scores(contract)) is not None:
        return nothing
    started = time.monotonic()
    context = RunContext(spark, settings, contract)
    runner = StageRunner(context=context, snapshot_date=snapshot_date, force=force, due_only=due_only)
    inputs = find_model_inputs(context)
    if snapshot_date is not None and snapshot_date not in inputs.days:
        raise NotPublishedError(
            f"the snapshot of {snapshot_date} has not all that models need",
            details=inputs.lacking(),
            hint=(
                "run `engage-spark ingest`, `features` and `graph` for it; `engage-spark runs` shows "
                "what became "
                "of each attempt"
            ),
        )
    tracker = Tracker(settings.tracking, staging=settings.lake.scratch_root)
    champions, without_champion = find_champions(tracker, contract, target)
    graph_values = settings.features.graph_values
    require_graph_values(champions, graph_values)
    without_meaning = require_same_meaning(champions, contract, graph_values=graph_values)
    loaded: dict[str, LoadedChampion] = {}
    runs: list[tuple[str, Run]] = []
    n_as_made = 0
    for day in [snapshot_date] if snapshot_date else sorted(inputs.days):
        stage_runs = {c.target: _stage_run(runner, inputs, day, c) for c in champions}
        due = {t: r for t, r in stage_runs.items() if runner.is_due(r)}
        if not runner.does_again and day < max(inputs.days):
            as_made = {t for t, r in due.items() if _was_scored(context, r)}
            n_as_made += bool(as_made)
            due = {t: r for t, r in due.items() if t not in as_made}
        if missing := [c for c in champions if c.target in due and c.target not in loaded]:
            with log.stage("fetching the champions", models=len(missing)):
                loaded |= {c.target: _load(tracker, context, c, inputs) for c in missing}
        if due:
            with (
                log.stage(f"scoring {day}", targets=len(due)),
                translate_spark_errors(f"{day} cannot be scored"),
            ):
                runs += _score(runner, inputs, day, [(r, loaded[t]) for t, r in due.items()])
    notes = [
        *inputs.notes,
        *(Note("TargetWithoutChampion", {"target": name}) for name in without_champion),
        *(
            Note("MeaningUnknown", {"target": c.target, "version": c.version, "name": c.name})
            for c in without_meaning
        ),
        *([Note("PredictionsAsMade", {"n_days": n_as_made})] if n_as_made else []),
        *([] if runs or n_as_made else [Note("PredictionsUpToDate")]),
    ]
    return ScoreResult(
        stage="score",
        seconds=time.monotonic() - started,
        locations=runner.places(predictions_table(contract).name),
        notes=tuple(notes),
        champions=tuple(map(_used, champions)),
        snapshots=tuple(_scored(name, run) for name, run in runs),
    )


def _used(c: Champion) -> UsedChampion:
    return UsedChampion(target=c.target, candidate=c.facts.get("candidate", ""), version=c.version)


def _scored(target: str, run: Run) -> ScoredSnapshot:
    return ScoredSnapshot(
        snapshot_date=run.snapshot_date,
        target=target,
        run_id=run.run_id,
        rows=run.rows_valid,
        seconds=run.seconds,
    )


def read_predictions(context: RunContext, days: Sequence[date] | None = None) -> DataFrame:
    """Read the published predictions of `days`, or of every day.

    A target that has none on a day is not there.

    Grain: that of `predictions`, with its columns.

    Cost: the run log is read once, anew; one row is looked for per target and day that is asked for and whose
    run was not the last to write.

    Errors: NotPublishedError where one of `days` has no published target, or there is nothing at all;
    TransientError where an attempt that did not end has replaced the rows of a target on one of `days`.
    """
    table, log = predictions_table(context.contract), RunLog(context.lake)  # a caller may keep a context
    publication = log.publication(context.spark)
    days_by_target: dict[str, list[date]] = {}
    for target in targets_of(context.contract):
        visible = publication.visible(score_stage(target.name))
        if published := [d for d in visible if days is None or d in days]:
            days_by_target[target.name] = published
    lacking = sorted(set(days or ()) - {d for published in days_by_target.values() for d in published})
    if lacking or not days_by_target:
        raise NotPublishedError.of(table.name, days=lacking, command="score")
    parts = [
        log.read_published(
            context.spark,
            table,
            stage=score_stage(name),
            day=SNAPSHOT_DATE,
            days=None if days is None else published,
        ).where(F.col(TARGET) == name)
        for name, published in days_by_target.items()
    ]
    return reduce(DataFrame.unionByName, parts)


def _stage_run(runner: StageRunner, inputs: ModelInputs, day: date, champion: Champion) -> StageRun:
    models = runner.context.settings.models
    model = {
        "model": f"{champion.name}@{champion.version}:{champion.run_id}",
        "reasons": str(models.reasons),
    }
    if (money := money_of(runner.context.contract, champion.target)) is not None:
        model["money"] = f"{money.value!r} {money.cost!r} {money.success!r}"
    return runner.plan(
        score_stage(champion.target),
        day,
        inputs=inputs.inputs([day]) | model,
        settings=("features",),
        source_rows=inputs.days[day][runner.context.contract.entity.name].rows_valid,
    )


def _was_scored(context: RunContext, stage_run: StageRun) -> bool:
    """Return whether a day has predictions of these very tables, whichever model made them."""
    run = stage_run.published
    if run is None:
        return False
    tables, now = (
        {name: state for name, state in inputs.items() if name not in OF_MODEL}
        for inputs in (run.inputs, stage_run.inputs)
    )
    table = predictions_table(context.contract).name
    return tables == now and context.log.is_present(context.spark, run, table)


def _load(tracker: Tracker, context: RunContext, champion: Champion, inputs: ModelInputs) -> LoadedChampion:
    scorer = scorer_of(champion)
    target = target_named(context.contract, champion.target)
    # What the model takes is decided by its own features; the spec only says which tables hold them.
    spec = build_feature_spec(
        context.contract, target, policy=LeakPolicy.PERMISSIVE, graph=inputs.graph is not None
    )
    return LoadedChampion(champion, scorer, tracker.load(context.spark, champion), spec)


def _score(
    runner: StageRunner, inputs: ModelInputs, day: date, due: Sequence[tuple[StageRun, LoadedChampion]]
) -> list[tuple[str, Run]]:
    """Score the due targets of a day one after the other; each is published as soon as it is written."""
    context = runner.context
    rows = rows_of(context, inputs, [day], specs=[loaded.spec for _, loaded in due], labelled=False)
    for _, loaded in due:  # before anything is written
        require_schema(dict(rows.dtypes), loaded.scorer, needed=[*context.contract.entity.key, SNAPSHOT_DATE])
    if any(SPLIT_RUNS in loaded.champion.extras for _, loaded in due):
        rows = _with_splits(context, rows)
    with ExitStack() as stack:
        if len(due) > 1:
            rows = stack.enter_context(scratch(context.spark, context.lake))(rows, "rows")
        return [
            (loaded.champion.target, _publish(runner, stage_run, rows, loaded)) for stage_run, loaded in due
        ]


def _with_splits(context: RunContext, rows: DataFrame) -> DataFrame:
    """Add what `splits` says of each customer; nothing where there is no such table."""
    splits, key = context.lake.find(context.spark, SPLITS), list(context.contract.entity.key)
    if splits is None:
        return rows
    columns = [F.col(c).alias(f"{_SPLIT}{c}") for c in ("side", "fold", "drawn", RUN_ID)]
    return rows.join(splits.select(*map(column_named, key), *columns), on=key, how="left")


def _with_side(rows: DataFrame, champion: Champion) -> DataFrame:
    """Add the side of each customer as the champion's training knew it, which later trainings do not change.

    Nulls: where the champion does not say which trainings its splits are of, and of customers who have been
    drawn anew since.
    """
    side, known = F.lit(None).cast("string"), champion.extras.get(SPLIT_RUNS)
    if known is not None and f"{_SPLIT}side" in rows.columns:
        is_later = F.coalesce(~F.col(f"{_SPLIT}drawn"), F.lit(True))
        side = F.when(F.col(f"{_SPLIT}{RUN_ID}").isin(list(known)), F.col(f"{_SPLIT}side"))
        side = side.when(is_later, F.lit(NEW))
    return rows.withColumn(_SIDE, side)


def _publish(runner: StageRunner, stage_run: StageRun, rows: DataFrame, loaded: LoadedChampion) -> Run:
    contract, target, models = runner.context.contract, loaded.champion.target, runner.context.settings.models
    table = predictions_table(contract)
    where = rows_of_target(stage_run.snapshot_date, target)
    # Of a day that the model has learnt, two parts are read; there is no other day on which it could matter.
    is_learnt = f"{_SPLIT}fold" in rows.columns and str(stage_run.snapshot_date) in (loaded.scorer.days or ())
    with runner.attempt(stage_run, f"scoring {target}", tables=[table.name]) as attempt:
        predicted = to_predictions(
            _with_side(rows, loaded.champion),
            loaded.model,
            loaded.scorer,
            key=contract.entity.key,
            day=SNAPSHOT_DATE,
            top=models.reasons,
            money=money_of(contract, target),
            side=_SIDE,
            fold=f"{_SPLIT}fold" if is_learnt else None,
        )
        attempt.replace(table, predicted, where=where, partition_by=PARTITIONS, properties=PROPERTIES)
        return attempt.publish(rows_in=attempt.work.source_rows, valid=attempt.count(table, where=where))
