"""Score: the champions over the valid customers of a day, into `predictions`."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from functools import reduce

from pyspark.ml import PipelineModel
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from engage_spark import log
from engage_spark.contract import Contract, Table, predictions_table
from engage_spark.errors import ConfigurationError
from engage_spark.lake import Run, storage_error
from engage_spark.ml.plan import ModelPlan, Policy, model_plan, target_named, targets
from engage_spark.ml.scoring import Scorer, to_predictions
from engage_spark.pipelines.model_rows import DAY, Sources, rows_of, sources
from engage_spark.pipelines.report import Report
from engage_spark.pipelines.stage import Bench, Work, now
from engage_spark.settings import Settings
from engage_spark.tracking import Champion, Tracker

STAGE = "score"
PROPERTIES = {"delta.dataSkippingNumIndexedCols": "3"}


@dataclass(frozen=True, eq=False)
class Ready:
    """A champion with its model fetched."""

    champion: Champion
    scorer: Scorer
    model: PipelineModel
    plan: ModelPlan


def run(
    spark: SparkSession,
    settings: Settings,
    *,
    contract: Contract,
    snapshot_date: date | None = None,
    target: Sequence[str] = (),
    force: bool = False,
) -> Report:
    """Predict every target that has a champion (default: all) for `snapshot_date`, or every snapshot that lacks these champions' word.

    A snapshot is scored anew when its tables or a champion changed; its rows are replaced in one commit, so a rerun gives the same rows.
    Cost per snapshot: one join of customers, features and graph, one pass per target through its model and TreeSHAP, one Delta commit,
    a count, then the row in `runs`. Nothing on the driver grows with customers; the models pass through it.

    Raises ConfigurationError when no target has a champion, when one that was asked for has none, or when the features of the tables
    are not those of a model, and TransientError when MLflow cannot be reached.
    """
    started = time.monotonic()
    bench = Bench(spark, settings, contract)
    found = sources(bench)
    if snapshot_date is not None and snapshot_date not in found.days:
        raise ConfigurationError(
            f"the snapshot of {snapshot_date} has not all that models need", details=found.notes,
            mend="run `engage-spark ingest`, `features` and `graph` for it; `engage-spark runs` shows what became of each attempt",
        )  # fmt: skip
    tracker = Tracker(settings.tracking, staging=settings.lake.scratch_root)
    champions, notes = _champions(tracker, contract, target)
    latest = bench.log.latest(spark, STAGE)
    ready: list[Ready] = []
    runs: list[Run] = []
    for day in [snapshot_date] if snapshot_date else sorted(found.days):
        work = Work(
            stage=STAGE, snapshot_date=day,
            inputs=found.inputs([day]) | {f"model/{c.target}": f"{c.name}@{c.version}:{c.run_id}" for c in champions},
            contract=contract, settings_digest=settings.digest("features"), before=latest.get(day),
        )  # fmt: skip
        if work.done and not force and snapshot_date is None:
            continue
        if not ready:
            with log.stage("fetching the champions", models=len(champions)):
                ready = [_ready(tracker, bench, c, found) for c in champions]
        with log.stage(f"scoring {day}", run_id=work.run_id), storage_error(f"{day} cannot be scored"):
            runs.append(_score(bench, work, found, ready))
    return _report(bench, champions, runs, time.monotonic() - started, [*found.notes, *notes])


def _champions(tracker: Tracker, contract: Contract, wanted: Sequence[str]) -> tuple[list[Champion], list[str]]:
    """The champions of the wanted targets; where none is named, of all that have one."""
    if wanted:
        return [tracker.champion(target_named(contract, name).name) for name in dict.fromkeys(wanted)], []
    champions, absent = [], []
    for goal in targets(contract):
        try:
            champions.append(tracker.champion(goal.name))
        except ConfigurationError as e:
            absent.append((goal.name, e))
    if not champions:
        raise absent[0][1]
    return champions, [f"{name} is not scored: it has no champion" for name, _ in absent]


def scorer_of(champion: Champion) -> Scorer:
    """What was stored beside a registered model."""
    return Scorer.from_json(json.dumps(champion.extras["scorer"]), model_name=champion.name, model_version=str(champion.version))


def _ready(tracker: Tracker, bench: Bench, champion: Champion, found: Sources) -> Ready:
    scorer = scorer_of(champion)
    target = target_named(bench.contract, champion.target)
    # What the model takes is decided by its own features; the plan only says which tables hold them.
    plan = model_plan(bench.contract, target, policy=Policy.PERMISSIVE, graph=found.graph is not None)
    return Ready(champion, scorer, tracker.load(bench.spark, champion), plan)


def _score(bench: Bench, work: Work, found: Sources, ready: Sequence[Ready]) -> Run:
    started_at, day, table = now(), work.snapshot_date, predictions_table(bench.contract)
    rows = rows_of(bench, found, [day], plans=[r.plan for r in ready], labelled=False)
    predicted = reduce(DataFrame.unionByName, [_predictions(bench, rows, r) for r in ready])
    where = f"{DAY} = DATE'{day}'"
    bench.lake.replace(
        predicted.withColumn("_run_id", F.lit(work.run_id)), table, where=where, tag=work.run_id, partition_by=(DAY,), properties=PROPERTIES
    )
    version = bench.lake.written_version(bench.spark, table.name)
    written = bench.lake.read(bench.spark, table.name, version=version).where(where).count()
    expected = found.days[day][bench.contract.entity.name].rows_valid * len(ready)
    run = work.finished(rows_in=expected, valid=written, quarantined=0, outputs={table.name: version}, started_at=started_at)
    return bench.log.append(bench.spark, run)


def _predictions(bench: Bench, rows: DataFrame, ready: Ready) -> DataFrame:
    return to_predictions(rows, ready.model, ready.scorer, key=bench.contract.entity.key, day=DAY, top=bench.settings.models.reasons)


def _report(bench: Bench, champions: Sequence[Champion], runs: Sequence[Run], seconds: float, notes: Sequence[str]) -> Report:
    table: Table = predictions_table(bench.contract)
    told = () if runs else ("every snapshot has the predictions of these champions already; --force makes them again",)
    return Report(
        stage=STAGE,
        seconds=seconds,
        lines=tuple((c.target, f"{c.facts.get('candidate', '')} version {c.version}") for c in champions),
        table=(("snapshot", "rows", "seconds"), tuple((str(r.snapshot_date), f"{r.rows_valid:,}", f"{r.seconds:.1f}") for r in runs))
        if runs
        else None,
        locations={table.name: bench.lake.place(table.name)},
        notes=(*notes, *told),
    )
