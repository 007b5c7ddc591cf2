"""Score: the champions over the valid customers of a day, into `predictions`."""

from __future__ import annotations

import json
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
from engage_spark.contract import Contract, predictions_table
from engage_spark.errors import ConfigurationError, NoChampionError, NotPublishedError
from engage_spark.lake import Run, translate_spark_errors
from engage_spark.lake.run_log import Latest
from engage_spark.lake.scratch import scratch
from engage_spark.ml.feature_spec import FeatureSpec, LeakPolicy, build_feature_spec, target_named, targets_of
from engage_spark.ml.scoring import Scorer, require_schema, to_predictions
from engage_spark.pipelines.context import RunContext, StageRun, now
from engage_spark.pipelines.model_inputs import ModelInputs, find_model_inputs, rows_of
from engage_spark.pipelines.results import Report
from engage_spark.pipelines.stages import SNAPSHOT_DATE, score_stage
from engage_spark.settings import Settings
from engage_spark.tracking import CHAMPION, Champion, Tracker

TARGET = "target"
PARTITIONS = (SNAPSHOT_DATE, TARGET)
"""What is replaced at a time; so the other targets' files are not so much as read."""
PROPERTIES = {"delta.dataSkippingNumIndexedCols": "3"}


@dataclass(frozen=True, eq=False)
class Ready:
    """A champion with its model fetched."""

    champion: Champion
    scorer: Scorer
    model: PipelineModel
    plan: FeatureSpec


def run(
    spark: SparkSession,
    settings: Settings,
    *,
    contract: Contract,
    snapshot_date: date | None = None,
    target: Sequence[str] = (),
    force: bool = False,
) -> Report:
    """Predict every target that has a champion (default: all) for `snapshot_date`, or every snapshot that
    lacks these champions' word.

    A target of a snapshot is scored anew when the snapshot's tables, its own champion, `models.reasons` or
    `features` settings changed; its rows are replaced in one commit, and other targets' rows stay, so a rerun
    gives the same rows. Cost per snapshot: one join of customers, features and graph, which is written to
    scratch once where several targets are due and read by each; per target one pass through its model and the
    explanation, one Delta commit, a count, then the row in `runs`. Nothing on the driver grows with
    customers; the models pass through it.

    Raises NoChampionError when no target has a champion or one that was asked for has none, ConfigurationError
    when the features of the tables are not those of a model, or a model was trained on the other kind of graph values,
    and TransientError when MLflow cannot be reached.
    """
    started = time.monotonic()
    context = RunContext(spark, settings, contract)
    found = find_model_inputs(context)
    if snapshot_date is not None and snapshot_date not in found.days:
        raise ConfigurationError(
            f"the snapshot of {snapshot_date} has not all that models need",
            details=found.notes,
            hint="run `engage-spark ingest`, `features` and `graph` for it; `engage-spark runs` shows what became of each attempt",
        )
    tracker = Tracker(settings.tracking, staging=settings.lake.scratch_root)
    champions, notes = _champions(tracker, contract, target)
    _require_graph_values(champions, settings.features.graph_values)
    latest = context.log.latest_of_all(spark)
    ready: dict[str, Ready] = {}
    runs: list[tuple[str, Run]] = []
    for day in [snapshot_date] if snapshot_date else sorted(found.days):
        works = {c.target: _work(context, found, latest, day, c) for c in champions}
        due = {t: w for t, w in works.items() if force or snapshot_date is not None or not w.is_up_to_date}
        if fetched := [c for c in champions if c.target in due and c.target not in ready]:
            with log.stage("fetching the champions", models=len(fetched)):
                ready |= {c.target: _ready(tracker, context, c, found) for c in fetched}
        if due:
            with (
                log.stage(f"scoring {day}", targets=len(due)),
                translate_spark_errors(f"{day} cannot be scored"),
            ):
                runs += _score(context, found, day, [(work, ready[t]) for t, work in due.items()])
    return _report(context, champions, runs, time.monotonic() - started, [*found.notes, *notes])


def read_predictions(context: RunContext, days: Sequence[date] | None = None) -> DataFrame:
    """What was predicted and published: of `days`, or of every day; a target that has none on a day is not
    there.

    Grain and columns of `predictions`. Cost: the run log is read once and once more per target; one row is
    looked for per target and day that is asked for. Raises NotPublishedError where one of `days` has no
    published target, or there is nothing at all, and TransientError where an attempt that did not end has
    replaced the rows of a target on one of `days`.
    """
    table, latest = predictions_table(context.contract), context.log.latest_of_all(context.spark)
    made: dict[str, list[date]] = {}
    for goal in targets_of(context.contract):
        stage = score_stage(goal.name)
        if published := sorted(
            d for (s, d), r in latest.items() if s == stage and r.published and (days is None or d in days)
        ):
            made[goal.name] = published
    lacking = sorted(set(days or ()) - {d for published in made.values() for d in published})
    if lacking or not made:
        raise NotPublishedError.of(table.name, days=lacking, command="score")
    parts = [
        context.log.read_published(
            context.spark,
            table,
            stage=score_stage(name),
            day=SNAPSHOT_DATE,
            days=None if days is None else published,
        ).where(F.col(TARGET) == name)
        for name, published in made.items()
    ]
    return reduce(DataFrame.unionByName, parts)


def _champions(
    tracker: Tracker, contract: Contract, wanted: Sequence[str]
) -> tuple[list[Champion], list[str]]:
    """The champions of the wanted targets; where none is named, of all that have one. What MLflow refuses is
    an error, not an absence.
    """
    if wanted:
        return [tracker.champion(target_named(contract, name).name) for name in dict.fromkeys(wanted)], []
    holders = {goal.name: tracker.registry.holder(goal.name, CHAMPION) for goal in targets_of(contract)}
    absent = [name for name, version in holders.items() if version is None]
    if len(absent) == len(holders):
        raise NoChampionError(
            f"there is no champion for any target of contract {contract.id!r} at {tracker.place.registry}",
            details=[
                f"{name}: no model named {tracker.registry.name(name)!r} has that alias" for name in absent
            ],
            hint="run `engage-spark train`; or choose a version by hand: `engage-spark models promote TARGET VERSION`",
        )
    champions = [tracker.registry.opened(version) for version in holders.values() if version is not None]
    return champions, [f"{name} is not scored: it has no champion" for name in absent]


def _require_graph_values(champions: Sequence[Champion], now_set: str) -> None:
    """Refuse models that learnt from the other kind of graph values: the columns are alike, and their values
    are not.
    """
    wrong = [(c, told) for c in champions if (told := c.extras.get("graph_values")) != now_set]
    if wrong:
        kinds = {str(told) for _, told in wrong if told is not None}
        either = f"set features.graph_values={kinds.pop()}, or train" if len(kinds) == 1 else "train"
        raise ConfigurationError(
            f"models were not trained on what features.graph_values={now_set} gives",
            details=[
                f"{c.name} version {c.version} "
                + (
                    "does not say on which values it was trained"
                    if told is None
                    else f"was trained with features.graph_values={told}"
                )
                for c, told in wrong
            ],
            hint=f"{either} the targets again with features.graph_values={now_set}: `engage-spark train`",
        )


def scorer_of(champion: Champion) -> Scorer:
    """What was stored beside a registered model. Raises ConfigurationError when there is nothing, or nothing
    that can be read.
    """
    if "scorer" not in champion.extras:
        raise ConfigurationError(
            f"model {champion.name!r} version {champion.version} has nothing stored beside it to score with",
            hint="it was not registered by `engage-spark train`: train the target, or promote a version that was",
        )
    return Scorer.from_json(
        json.dumps(champion.extras["scorer"]), model_name=champion.name, model_version=str(champion.version)
    )


def _work(context: RunContext, found: ModelInputs, latest: Latest, day: date, champion: Champion) -> StageRun:
    stage = score_stage(champion.target)
    told = {
        "model": f"{champion.name}@{champion.version}:{champion.run_id}",
        "reasons": str(context.settings.models.reasons),
    }
    return StageRun(
        stage=stage,
        snapshot_date=day,
        inputs=found.inputs([day]) | told,
        contract=context.contract,
        settings_digest=context.settings.digest("features"),
        previous=latest.get((stage, day)),
    )


def _ready(tracker: Tracker, context: RunContext, champion: Champion, found: ModelInputs) -> Ready:
    scorer = scorer_of(champion)
    target = target_named(context.contract, champion.target)
    # What the model takes is decided by its own features; the plan only says which tables hold them.
    plan = build_feature_spec(
        context.contract, target, policy=LeakPolicy.PERMISSIVE, graph=found.graph is not None
    )
    return Ready(champion, scorer, tracker.load(context.spark, champion), plan)


def _score(
    context: RunContext, found: ModelInputs, day: date, due: Sequence[tuple[StageRun, Ready]]
) -> list[tuple[str, Run]]:
    """Score the targets of a day that are due, one after the other; each is published as soon as it is
    written.
    """
    rows = rows_of(context, found, [day], specs=[r.plan for _, r in due], labelled=False)
    for _, r in due:  # before anything is written
        require_schema(dict(rows.dtypes), r.scorer, needed=[*context.contract.entity.key, SNAPSHOT_DATE])
    expected = found.days[day][context.contract.entity.name].rows_valid
    with ExitStack() as opened:
        if len(due) > 1:
            rows = opened.enter_context(scratch(context.spark, context.lake))(rows, "rows")
        return [(r.champion.target, _publish(context, work, rows, r, expected=expected)) for work, r in due]


def _publish(context: RunContext, work: StageRun, rows: DataFrame, ready: Ready, *, expected: int) -> Run:
    started_at, table = now(), predictions_table(context.contract)
    key, top = context.contract.entity.key, context.settings.models.reasons
    name = ready.champion.target.replace("\\", "\\\\").replace("'", "\\'")
    where = f"{SNAPSHOT_DATE} = DATE'{work.snapshot_date}' AND {TARGET} = '{name}'"
    with log.stage(f"scoring {ready.champion.target}", run_id=work.run_id):
        predicted = to_predictions(rows, ready.model, ready.scorer, key=key, day=SNAPSHOT_DATE, top=top)
        predicted = predicted.withColumn("_run_id", F.lit(work.run_id))
        version = context.lake.replace(
            predicted, table, where=where, tag=work.run_id, partition_by=PARTITIONS, properties=PROPERTIES
        )
        written = context.lake.read(context.spark, table.name, version=version).where(where).count()
    run = work.to_run(
        rows_in=expected, valid=written, quarantined=0, outputs={table.name: version}, started_at=started_at
    )
    return context.log.append(context.spark, run)


def _report(
    context: RunContext,
    champions: Sequence[Champion],
    runs: Sequence[tuple[str, Run]],
    seconds: float,
    notes: Sequence[str],
) -> Report:
    table = predictions_table(context.contract)
    told = (
        ()
        if runs
        else ("every snapshot has the predictions of these champions already; --force makes them again",)
    )
    rows = tuple(
        (str(r.snapshot_date), target, f"{r.rows_valid:,}", f"{r.seconds:.1f}") for target, r in runs
    )
    return Report(
        stage="score",
        seconds=seconds,
        lines=tuple((c.target, f"{c.facts.get('candidate', '')} version {c.version}") for c in champions),
        table=(("snapshot", "target", "rows", "seconds"), rows) if runs else None,
        locations={table.name: context.lake.location(table.name)},
        notes=(*notes, *told),
    )
