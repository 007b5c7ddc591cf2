"""Train: matured snapshots in, one registered model per target out, with everything that was found on the way
recorded beside it.
"""

from __future__ import annotations

import textwrap
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import date
from functools import partial
from itertools import chain

from pyspark.sql import DataFrame, SparkSession

from engage_spark import log
from engage_spark.contract import Contract
from engage_spark.errors import TransientError
from engage_spark.lake import translate_spark_errors
from engage_spark.lake.scratch import scratch
from engage_spark.ml.data.split import FOLD
from engage_spark.ml.data.split_rows import TargetSnapshots, choose_snapshots, with_masked_targets
from engage_spark.ml.evaluation.metrics import HEADLINE
from engage_spark.ml.fairness.audit import attributes
from engage_spark.ml.feature_spec import LeakPolicy, Target, TargetSpecs, target_named, targets_of
from engage_spark.ml.leakage.audit import audit_leakage
from engage_spark.ml.leakage.findings import audit_outcome, leak_error
from engage_spark.ml.selection.gram import to_grams
from engage_spark.ml.selection.profile import to_profile
from engage_spark.ml.train_target import TrainedTarget, train_target, trainable_splits
from engage_spark.ml.training.final_models import WINNER
from engage_spark.pipelines.context import RunContext, StageRun, now
from engage_spark.pipelines.model_inputs import ModelInputs, find_model_inputs
from engage_spark.pipelines.results import Grid, Report
from engage_spark.pipelines.stages import SNAPSHOT_DATE, SPLITS, TRAIN, TRAINING_RUNS
from engage_spark.pipelines.train.card import cost_in_words
from engage_spark.pipelines.train.inputs import build_training_set, require_names, specs_of
from engage_spark.pipelines.train.register import RegisteredTarget, record, write_training_runs
from engage_spark.settings import Settings
from engage_spark.spark.session import delete_directory
from engage_spark.tracking import Tracker

WIDTH = 54
"""Columns that are left beside the name of a target on a terminal of 80."""


def run(
    spark: SparkSession,
    settings: Settings,
    *,
    contract: Contract,
    target: Sequence[str] = (),
    as_of: date | None = None,
    force: bool = False,
) -> Report:
    """Train, judge and register a model for each target (default: all) on the snapshots whose label window
    has closed by `as_of` (today).

    The same work is not done twice: when the latest training was of the same tables, contract, settings and
    code, it is left as it is unless `force`. Every customer's side is drawn at the first training and kept in
    `splits`. A leak that the audit finds stops a strict training before any fit. A model becomes champion
    when it passes its gates and is better than the champion on the same test rows.

    Cost: one join of customers, features and graph into scratch; three passes over the fit side (profile,
    Gram matrices of all targets and folds, histograms of the audit), and a shuffle of content hashes; per
    target folds x candidates fits and five more; one pass each over the test side for metrics of each final
    model and for the fairness table. On the driver: matrices of the features, and at most
    `models.judged_rows` scores a model. One Delta commit each for `splits` (where there are newcomers),
    `training_runs` and `runs`.

    Raises ConfigurationError when no snapshot has matured or the rows cannot be trained on, GateError when a
    strict audit stops, and TransientError when MLflow cannot be reached: the models are kept locally then,
    and the message says where.
    """
    started, started_at = time.monotonic(), now()
    context = RunContext(spark, settings, contract)
    as_of = as_of or started_at.date()
    goals = tuple(target_named(contract, name) for name in dict.fromkeys(target)) or targets_of(contract)
    found = find_model_inputs(context)
    snapshots = choose_snapshots(list(found.days), goals, as_of=as_of, limit=settings.models.snapshots)
    notes = [
        *found.notes,
        *(f"{t.name} is not trained: no snapshot has matured" for t in goals if t.name not in snapshots),
    ]
    goals = tuple(t for t in goals if t.name in snapshots)
    tracker = Tracker(settings.tracking, staging=settings.lake.scratch_root)
    tracker.check()
    work = _work(context, found, goals, snapshots)
    if work.is_up_to_date and not force and all(tracker.has_training(t.name, work.run_id) for t in goals):
        return _left(context, work, started, notes)
    specs = specs_of(context, goals, graph=found.graph is not None)
    require_names(specs.values(), contract_id=contract.id)
    attempt = work.previous.attempt + 1 if work.is_up_to_date and force and work.previous else 1
    with scratch(spark, context.lake) as keep, translate_spark_errors("the models cannot be trained"):
        training_set = build_training_set(context, work, found, specs, snapshots, keep, as_of=as_of)
        rows, version = training_set.rows, training_set.splits_version
        trained = _train(context, specs, snapshots, rows)
        recorded = _record_all(
            trained,
            lambda of: record(context, work, tracker, of, found, rows, attempt=attempt, splits=version),
        )
    said = (
        []
        if training_set.undrawn_stratum is None
        else [
            f"the sides are drawn by what {training_set.undrawn_stratum} says now: none of its snapshots has "
            "matured yet"
        ]
    )
    outputs = {TRAINING_RUNS: write_training_runs(context, work, recorded), SPLITS: version}
    expected = sum(
        found.days[d][contract.entity.name].rows_valid for d in {d for s in snapshots.values() for d in s.all}
    )
    context.log.append(
        spark,
        work.to_run(rows_in=expected, valid=expected, quarantined=0, outputs=outputs, started_at=started_at),
    )
    return _report(context, recorded, time.monotonic() - started, [*notes, *said])


def _record_all(
    trained: Sequence[TrainedTarget], one: Callable[[TrainedTarget], RegisteredTarget]
) -> list[RegisteredTarget]:
    """Record every target, also when MLflow is lost on the way: each model is kept then, and one error says
    where all of them lie.
    """
    recorded, lost = [], []
    for of in trained:
        try:
            recorded.append(one(of))
        except TransientError as e:
            lost.append(e)
    if lost:
        details = [line for e in lost for line in (e.message, *e.details)]
        hints = dict.fromkeys(e.hint for e in lost if e.hint)
        raise TransientError(
            f"{len(lost)} of {len(trained)} models were not brought to MLflow",
            details=details,
            hint="; ".join(hints),
        )
    return recorded


def _work(
    context: RunContext, found: ModelInputs, goals: Sequence[Target], snapshots: dict[str, TargetSnapshots]
) -> StageRun:
    days = sorted(set(chain.from_iterable(s.all for s in snapshots.values())))
    latest = context.log.latest(context.spark, TRAIN)
    inputs = found.inputs(days) | {
        "targets": ",".join(f"{t.name}:{'+'.join(map(str, snapshots[t.name].all))}" for t in goals)
    }
    return StageRun(
        stage=TRAIN,
        snapshot_date=days[-1],
        inputs=inputs,
        contract=context.contract,
        settings_digest=context.settings.digest("models", "features"),
        previous=latest.get(days[-1]),
    )


def _train(
    context: RunContext,
    specs: dict[str, TargetSpecs],
    snapshots: dict[str, TargetSnapshots],
    rows: DataFrame,
) -> list[TrainedTarget]:
    models, key = context.settings.models, context.contract.entity.key
    every_spec = [spec for of_target in specs.values() for spec in of_target.all]
    targets = [of_target.main.target for of_target in specs.values()]
    masked = with_masked_targets(rows, targets, snapshots)
    n_features = len({n for spec in every_spec for n in spec.names})
    with log.stage("looking at features and targets", features=n_features):
        profile = to_profile(masked, every_spec)
    with log.stage("Gram matrices of all folds"):
        grams = to_grams(masked, specs=every_spec, fold=FOLD, scales=profile.scales)
    with log.stage("leakage audit"):
        audited = [spec for of_target in specs.values() for spec in (of_target.main, of_target.other)]
        findings = audit_leakage(
            masked, specs=audited, grams=grams, profile=profile, key=key, day=SNAPSHOT_DATE
        )
    outcome = audit_outcome(findings, LeakPolicy(models.policy))
    if outcome.stops:
        raise leak_error(findings)
    for line in outcome.lines:
        log.event(line, level="warning")
    splits = trainable_splits(rows, specs, snapshots, candidates=models.candidates)
    return [
        train_target(
            of_target,
            snapshots[name],
            splits[name],
            grams=grams[name],
            findings=findings,
            models=models,
            key=key,
            day=SNAPSHOT_DATE,
            protected=attributes(context.contract),
            scratch_path=partial(scratch_path, context.spark, context.settings.lake.scratch_root),
        )
        for name, of_target in specs.items()
    ]


@contextmanager
def scratch_path(spark: SparkSession, root: str | None) -> Iterator[str]:
    """Yield the path of a new directory below `root` that Spark may write to, and delete it afterwards."""
    path = f"{root}/{uuid.uuid4().hex}"
    try:
        yield path
    finally:
        delete_directory(spark, path)


def _left(context: RunContext, work: StageRun, started: float, notes: Sequence[str]) -> Report:
    told = f"trained before on the same data, contract, settings and code (run {work.run_id[:8]}); --force trains again"
    return Report(
        stage=TRAIN,
        seconds=time.monotonic() - started,
        notes=(*notes, told),
        locations={TRAINING_RUNS: context.lake.location(TRAINING_RUNS)},
    )


def _report(
    context: RunContext, recorded: Sequence[RegisteredTarget], seconds: float, notes: Sequence[str]
) -> Report:
    lines: list[tuple[str, str]] = []
    for of in recorded:
        t = of.trained
        lines.append(
            (
                t.target.name,
                f"{t.final.candidate.name} of {', '.join(e.candidate.name for e in t.comparison.results)}",
            )
        )
        lines += [("", text) for text in _told(of)]
    return Report(
        stage=TRAIN,
        seconds=seconds,
        lines=tuple(lines),
        table=_table(recorded),
        locations={
            **{name: context.lake.location(name) for name in (SPLITS, TRAINING_RUNS)},
            "MLflow": Tracker(context.settings.tracking).place.uri,
        },
        notes=tuple(notes),
    )


def _table(recorded: Sequence[RegisteredTarget]) -> Grid:
    rows = []
    for of in recorded:
        metric = HEADLINE[of.trained.target.task]
        for what, final in of.trained.finals.by_role.items():
            found = final.metrics[metric.name]
            value = "–" if found is None else f"{found.value:.3g} [{found.low:.3g}, {found.high:.3g}]"
            rows.append(
                (
                    of.trained.target.name if what == WINNER else "",
                    what,
                    f"{len(final.features)}",
                    f"{metric.name} {value}",
                )
            )
    return ("target", "model", "features", "on the test side"), tuple(rows)


def _told(of: RegisteredTarget) -> list[str]:
    """What there is to say of one target beside the table, each within 80 columns."""
    t, role = of.trained, "champion" if of.decision.promoted else "challenger"
    said = [f"version {of.version.version}, {role}: {of.decision.reason}"]
    said.append(
        f"{t.conformal.coverage:.0%} intervals or sets hold {t.coverage.value:.1%} of the test labels"
    )
    if (ece := t.final.metrics.get("ece")) is not None:
        pays = t.threshold is not None and t.threshold <= 1
        contact = f"contact from p = {t.threshold:.2f} on" if pays else "no contact pays at these costs"
        said.append(f"calibration error {ece.value:.3f}; {contact}")
    if (
        t.out_of_time is not None
        and (late := t.out_of_time.by_role[WINNER].metrics[HEADLINE[t.target.task].name]) is not None
    ):
        said.append(
            f"out of time, on {t.snapshots.out_of_time}: {late.value:.3g} [{late.low:.3g}, {late.high:.3g}]"
        )
    if not t.is_apart_from_baseline:
        said.append("its interval and the baseline's overlap")
    if (cost := t.selection_cost) is not None:
        said.append(cost_in_words(cost))
    return [line for text in said for line in textwrap.wrap(text, WIDTH)]
