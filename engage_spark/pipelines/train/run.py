"""Train: matured snapshots in, one registered model per target out, with everything that was found on the way
recorded beside it.
"""

from __future__ import annotations

import textwrap
import time
from collections.abc import Callable, Sequence
from datetime import date
from itertools import chain

from pyspark.sql import DataFrame, SparkSession

from engage_spark import log
from engage_spark.contract import Contract
from engage_spark.errors import TransientError
from engage_spark.lake import translate_spark_errors
from engage_spark.lake.scratch import scratch
from engage_spark.ml.data.split_rows import TargetSnapshots, choose_snapshots, with_masked_targets
from engage_spark.ml.evaluation.metrics import HEADLINE
from engage_spark.ml.feature_spec import LeakPolicy, Target, target_named, targets_of
from engage_spark.ml.leakage.audit import audit_leakage
from engage_spark.ml.leakage.findings import audit_outcome, leak_error
from engage_spark.ml.selection.gram import to_grams
from engage_spark.ml.selection.profile import to_profile
from engage_spark.pipelines.context import RunContext, StageRun, now
from engage_spark.pipelines.model_inputs import DAY, ModelInputs, find_model_inputs
from engage_spark.pipelines.results import Grid, Report
from engage_spark.pipelines.train.final_models import WINNER
from engage_spark.pipelines.train.inputs import (
    SPLITS,
    TargetSpecs,
    plans_of,
    require_names,
    training_set,
)
from engage_spark.pipelines.train.register import TRAINING_RUNS, RegisteredTarget, record, write_training_runs
from engage_spark.pipelines.train.train_target import (
    TrainedTarget,
    cost_of_selection,
    train_target,
    trainable_sides,
)
from engage_spark.settings import Settings
from engage_spark.tracking import Tracker

STAGE = "train"
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
    if work.done and not force and all(tracker.has_training(t.name, work.run_id) for t in goals):
        return _left(context, work, started, notes)
    plans = {t.name: plans_of(context, t, graph=found.graph is not None) for t in goals}
    require_names(context, plans.values())
    attempt = work.before.attempt + 1 if work.done and force and work.before else 1
    with scratch(spark, context.lake) as keep, translate_spark_errors("the models cannot be trained"):
        rows, version, said = training_set(context, work, found, plans, snapshots, keep, as_of=as_of)
        trained = _train(context, goals, plans, snapshots, rows)
        recorded = _record_all(
            trained,
            lambda of: record(context, work, tracker, of, found, rows, attempt=attempt, splits=version),
        )
    outputs = {TRAINING_RUNS: write_training_runs(context, work, recorded), SPLITS: version}
    expected = sum(
        found.days[d][contract.entity.name].rows_valid for d in {d for s in snapshots.values() for d in s.all}
    )
    context.log.append(
        spark,
        work.finished(
            rows_in=expected, valid=expected, quarantined=0, outputs=outputs, started_at=started_at
        ),
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
    latest = context.log.latest(context.spark, STAGE)
    inputs = found.inputs(days) | {
        "targets": ",".join(f"{t.name}:{'+'.join(map(str, snapshots[t.name].all))}" for t in goals)
    }
    return StageRun(
        stage=STAGE,
        snapshot_date=days[-1],
        inputs=inputs,
        contract=context.contract,
        settings_digest=context.settings.digest("models", "features"),
        before=latest.get(days[-1]),
    )


def _train(
    context: RunContext,
    goals: Sequence[Target],
    plans: dict[str, TargetSpecs],
    snapshots: dict[str, TargetSnapshots],
    rows: DataFrame,
) -> list[TrainedTarget]:
    chosen, key = context.settings.models, context.contract.entity.key
    every = [p for t in goals for p in plans[t.name].all]
    known = with_masked_targets(rows, goals, snapshots)
    with log.stage("looking at features and targets", features=len({n for p in every for n in p.names})):
        profile = to_profile(known, every)
    with log.stage("Gram matrices of all folds"):
        grams = to_grams(known, specs=every, fold="fold", scales=profile.scales)
    with log.stage("leakage audit"):
        both = [p for t in goals for p in (plans[t.name].main, plans[t.name].other)]
        findings = audit_leakage(known, specs=both, grams=grams, profile=profile, key=key, day=DAY)
    found = audit_outcome(findings, LeakPolicy(chosen.policy))
    if found.stops:
        raise leak_error(findings)
    for line in found.lines:
        log.say(line, level="warning")
    sides = trainable_sides(context, goals, plans, snapshots, rows)
    return [
        train_target(context, plans[t.name], snapshots[t.name], grams[t.name], findings, sides[t.name])
        for t in goals
    ]


def _left(context: RunContext, work: StageRun, started: float, notes: Sequence[str]) -> Report:
    told = f"trained before on the same data, contract, settings and code (run {work.run_id[:8]}); --force trains again"
    return Report(
        stage=STAGE,
        seconds=time.monotonic() - started,
        notes=(*notes, told),
        locations={TRAINING_RUNS: context.lake.place(TRAINING_RUNS)},
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
                f"{t.final.candidate.name} of {', '.join(e.candidate.name for e in t.contest.entrants)}",
            )
        )
        lines += [("", text) for text in _told(of)]
    return Report(
        stage=STAGE,
        seconds=seconds,
        lines=tuple(lines),
        table=_table(recorded),
        locations={
            **{name: context.lake.place(name) for name in (SPLITS, TRAINING_RUNS)},
            "MLflow": Tracker(context.settings.tracking).place.uri,
        },
        notes=tuple(notes),
    )


def _table(recorded: Sequence[RegisteredTarget]) -> Grid:
    rows = []
    for of in recorded:
        metric = HEADLINE[of.trained.target.task]
        for what, final in of.trained.finals.of.items():
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
    said.append(f"{t.conformal.coverage:.0%} intervals or sets hold {t.covered.value:.1%} of the test labels")
    if (ece := t.final.metrics.get("ece")) is not None:
        pays = t.threshold is not None and t.threshold <= 1
        contact = f"contact from p = {t.threshold:.2f} on" if pays else "no contact pays at these costs"
        said.append(f"calibration error {ece.value:.3f}; {contact}")
    if t.late is not None and (late := t.late.of[WINNER].metrics[HEADLINE[t.target.task].name]) is not None:
        said.append(
            f"out of time, on {t.snapshots.out_of_time}: {late.value:.3g} [{late.low:.3g}, {late.high:.3g}]"
        )
    if not t.apart:
        said.append("its interval and the baseline's overlap")
    if (cost := cost_of_selection(t)) is not None:
        said.append(cost)
    return [line for text in said for line in textwrap.wrap(text, WIDTH)]
