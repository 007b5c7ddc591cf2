"""Train on matured snapshots: one registered model per target, stored with all its metrics."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date
from functools import partial

from pyspark.sql import SparkSession

from engage_spark import log
from engage_spark.contract import SNAPSHOT_DATE, Contract
from engage_spark.errors import PermanentError, TransientError
from engage_spark.lake import code_version, translate_spark_errors
from engage_spark.lake.scratch import scratch
from engage_spark.ml.data.split import FOLD
from engage_spark.ml.data.split_rows import TargetSnapshots, choose_snapshots, with_masked_targets
from engage_spark.ml.data.training_set import known_days, label_end
from engage_spark.ml.fairness.audit import attributes
from engage_spark.ml.feature_spec import (
    LeakPolicy,
    Target,
    TargetSpecs,
    money_of,
    target_named,
    targets_of,
)
from engage_spark.ml.leakage.audit import audit_leakage
from engage_spark.ml.leakage.findings import audit_outcome, leak_error, time_findings
from engage_spark.ml.selection.gram import to_grams
from engage_spark.ml.selection.profile import to_profile
from engage_spark.ml.train_target import train_target
from engage_spark.ml.trainable_targets import trainable_targets
from engage_spark.ml.trained_target import TrainedTarget
from engage_spark.pipelines.context import RunContext, StageRun, past_day
from engage_spark.pipelines.model_inputs import ModelInputs, find_model_inputs, require_two_classes
from engage_spark.pipelines.nothing_to_do import without_training
from engage_spark.pipelines.results import Note, TrainedModel, TrainResult
from engage_spark.pipelines.runner import StageRunner
from engage_spark.pipelines.stages import SPLITS, TRAIN, TRAINING_RUNS
from engage_spark.pipelines.train.inputs import TrainingSet, build_training_set, specs_of
from engage_spark.pipelines.train.register import (
    RegisteredTarget,
    register_target,
    trained_model,
    write_training_runs,
)
from engage_spark.publication import Kind
from engage_spark.settings import Settings
from engage_spark.spark.few_rows import planned_for
from engage_spark.spark.files import delete_directory
from engage_spark.tracking import Tracker
from engage_spark.tracking.client import importing_mlflow
from engage_spark.wording import counted


def run_train(
    spark: SparkSession,
    settings: Settings,
    *,
    contract: Contract,
    target: Sequence[str] = (),
    as_of: date | None = None,
    force: bool = False,
) -> TrainResult:
    """Train, measure and register a model per target on the snapshots that have matured by `as_of`.

    A snapshot has matured when its label window is over and a delivery has landed since. `target` names
    the targets, by default all of them; `as_of` is today by default. The same work is not done twice: a
    target that any published training was of, on the same tables with the same contract, settings and
    code, is left as it is unless `force`. Every customer's split is drawn at the first training and kept
    in `splits`. A leak that the audit finds stops a strict training before any fit. A model becomes
    champion when it passes its gates and is better than the champion on the same test rows.

    On few rows `few_rows.OPTIONS` of the session change while it trains, and other work of that session has
    them, too; they are given back at the end (see `planned_for`).

    Cost: one join of customers, features and graph into scratch; three passes over the fit split (profile,
    Gram matrices of all targets and folds, histograms of the audit), and a shuffle of content hashes; per
    target folds x candidates fits and at most nine more where none fails (see `train_target`), and a few
    small jobs to keep each fold's model; one pass each over the test split for metrics of each final model
    and for the fairness table. On the driver: matrices of the features, and at most `models.judged_rows`
    scores per model. One Delta commit each for `splits` (where there are newcomers), `training_runs` and
    `runs`.

    Errors: ConfigurationError where `as_of` is in the future or the rows cannot be trained on;
    NotMaturedError where no snapshot has matured; FitError where a fit fails; GateError where a strict audit
    stops; TransientError where the cluster fails, or MLflow cannot be reached: the models are kept locally
    then, and the message says where.
    """
    if not target and (nothing := without_training(contract)) is not None:
        return nothing
    started, as_of = time.monotonic(), past_day(as_of)
    context = RunContext(spark, settings, contract)
    runner = StageRunner(context=context, force=force)
    targets = tuple(target_named(contract, name) for name in dict.fromkeys(target)) or targets_of(contract)
    with importing_mlflow():  # meanwhile, since it takes seconds; whoever needs it meets what fails
        inputs = find_model_inputs(context)
    landed = inputs.landed(contract.entity.name)
    snapshots = choose_snapshots(landed, targets, as_of=as_of, limit=settings.models.snapshots)
    notes = [
        *inputs.notes,
        *(Note("TargetNotMatured", {"target": t.name}) for t in targets if t.name not in snapshots),
        *early_landings(landed, targets, as_of=as_of),
    ]
    targets = tuple(t for t in targets if t.name in snapshots)
    tracker = Tracker(settings.tracking, staging=settings.lake.scratch_root)
    tracker.check()
    before = {} if force else _trained_before(runner, tracker, inputs, targets, snapshots)
    notes += _trained_notes(before)
    targets = tuple(t for t in targets if t.name not in before)

    def result(run_id: str, models: tuple[TrainedModel, ...], locations: Mapping[str, str]) -> TrainResult:
        return TrainResult(
            stage=TRAIN,
            seconds=time.monotonic() - started,
            locations=locations,
            notes=tuple(notes),
            run_id=run_id,
            targets=models,
            viewer=tracker.place.viewer,
            page=tracker.place.page,
        )

    if not targets:
        return result(next(iter(before.values())), (), runner.places(TRAINING_RUNS))
    require_two_classes(context, {t.name: snapshots[t.name] for t in targets})
    stage_run = _stage_run(runner, inputs, targets, snapshots)
    specs = specs_of(context, targets, graph=inputs.graph is not None)
    repeat = _last_attempt(context, stage_run) + 1 if force else 1
    with (
        runner.attempt(stage_run, f"training {counted(len(targets), 'target')}") as attempt,
        translate_spark_errors("the models cannot be trained"),
        planned_for(spark, stage_run.source_rows),
        scratch(spark, context.lake) as materialize,
    ):
        training_set = build_training_set(
            context, stage_run, inputs, specs, snapshots, materialize, as_of=as_of
        )
        trained = _train(context, specs, snapshots, training_set)
        registered = _register_all(
            trained,
            lambda t: register_target(
                context,
                stage_run,
                tracker,
                t,
                inputs,
                training_set.rows,
                attempt=repeat,
                splits_version=training_set.splits_version,
                draw=training_set.draw,
                split_runs=training_set.split_runs,
            ),
        )
        attempt.note_output(TRAINING_RUNS, write_training_runs(context, stage_run, registered))
        attempt.note_output(SPLITS, training_set.splits_version)
        attempt.publish(rows_in=stage_run.source_rows, valid=stage_run.source_rows)
    notes += _split_notes(training_set)
    locations = {**runner.places(SPLITS, TRAINING_RUNS), "MLflow": tracker.place.uri}
    return result(stage_run.run_id, tuple(map(trained_model, registered)), locations)


def _last_attempt(context: RunContext, stage_run: StageRun) -> int:
    """Return the number of the last published attempt at the same work, 0 where there is none."""
    attempts = context.log.attempts(context.spark, TRAIN)
    return max((r.attempt for r in attempts if r.run_id == stage_run.run_id and r.published), default=0)


def _trained_notes(before: Mapping[str, str]) -> Iterator[Note]:
    """Note each training of before with the targets that it was of."""
    for run_id in dict.fromkeys(before.values()):
        names = tuple(name for name, of in before.items() if of == run_id)
        yield Note("TrainedBefore", {"run_id": run_id, "targets": names})


def _split_notes(training_set: TrainingSet) -> Iterator[Note]:
    if training_set.repaired_keys:
        yield Note("SplitsRepaired", {"n_keys": training_set.repaired_keys})
    if training_set.undrawn_stratum is not None:
        yield Note("SplitsNotMatured", {"target": training_set.undrawn_stratum})


def early_landings(landed: Mapping[date, date], targets: Sequence[Target], *, as_of: date) -> Iterator[Note]:
    """Note, per target, the snapshots whose window is over and whose delivery landed before that."""
    for target in targets:
        known = known_days(landed, target, as_of=as_of)
        if early := [d for d in sorted(landed) if label_end(d, target) < as_of and d not in known]:
            yield Note("LabelsNotDelivered", {"target": target.name, "days": len(early), "newest": early[-1]})


def _register_all(
    trained: Sequence[TrainedTarget], register: Callable[[TrainedTarget], RegisteredTarget]
) -> list[RegisteredTarget]:
    """Register every target, also when MLflow is lost on the way.

    Each model is kept then, and one error says where all of them are: TransientError where waiting can mend
    every cause, else PermanentError.
    """
    registered: list[RegisteredTarget] = []
    errors: list[TransientError | PermanentError] = []
    for t in trained:
        try:
            registered.append(register(t))
        except (TransientError, PermanentError) as e:
            errors.append(e)
    if errors:
        passing = all(isinstance(e, TransientError) for e in errors)
        raise (TransientError if passing else PermanentError)(
            f"{len(errors)} of {counted(len(trained), 'model')} not brought to MLflow",
            details=[line for e in errors for line in (e.message, *e.details)],
            hint="; ".join(dict.fromkeys(e.hint for e in errors if e.hint)),
        )
    return registered


def _trained_before(
    runner: StageRunner,
    tracker: Tracker,
    inputs: ModelInputs,
    targets: Sequence[Target],
    snapshots: Mapping[str, TargetSnapshots],
) -> dict[str, str]:
    """Return, by target, the published training that did the same work, whatever was trained since.

    A training counts where a version of the model is still there. What the other targets of a training were
    plays no part.
    """
    context, before = runner.context, {}
    work = _stage_run(runner, inputs, targets, snapshots)
    same = [
        run
        for run in context.log.attempts(context.spark, TRAIN)
        if run.published
        and (run.contract_digest, run.settings_digest) == (context.contract.digest, work.settings_digest)
        and run.code_version == code_version()
    ]
    for target in targets:
        tables, days = inputs.inputs(snapshots[target.name].all), _days_of(target, snapshots)
        for run in same:
            is_same = days in run.inputs["targets"].split(",") and tables.items() <= run.inputs.items()
            if is_same and tracker.has_training(target.name, run.run_id):
                before[target.name] = run.run_id
    return before


def _days_of(target: Target, snapshots: Mapping[str, TargetSnapshots]) -> str:
    return f"{target.name}:{'+'.join(map(str, snapshots[target.name].all))}"


def _stage_run(
    runner: StageRunner,
    inputs: ModelInputs,
    targets: Sequence[Target],
    snapshots: Mapping[str, TargetSnapshots],
) -> StageRun:
    days = sorted({d for s in snapshots.values() for d in s.all})
    days_by_target = ",".join(_days_of(t, snapshots) for t in targets)
    entity = runner.context.contract.entity.name
    return runner.plan(
        TRAIN,
        days[-1],
        inputs=inputs.inputs(days) | {"targets": days_by_target},
        settings=("models", "features"),
        source_rows=sum(inputs.days[d][entity].rows_valid for d in days),
        kind=Kind.TRAINING,
    )


def _train(
    context: RunContext,
    specs: Mapping[str, TargetSpecs],
    snapshots: Mapping[str, TargetSnapshots],
    training_set: TrainingSet,
) -> list[TrainedTarget]:
    rows = training_set.rows
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
            masked,
            specs=audited,
            grams=grams,
            profile=profile,
            key=key,
            day=SNAPSHOT_DATE,
            duplicates=training_set.duplicates,
        )
    findings = (
        *findings,
        *(
            f
            for t in targets
            for f in time_findings(
                t.name,
                trained=snapshots[t.name].train,
                label_days=t.label_days,
                tested=snapshots[t.name].out_of_time,
            )
        ),
    )
    outcome = audit_outcome(findings, LeakPolicy(models.policy))
    if outcome.stops:
        raise leak_error(findings)
    for line in outcome.lines:
        log.event(line, level="warning")
    trainable = trainable_targets(rows, specs, snapshots, key=key, models=models)
    trained = []
    for name, of_target in trainable.items():
        with log.subject(name):
            trained.append(
                train_target(
                    of_target.specs,
                    snapshots[name],
                    of_target.splits,
                    grams=grams[name],
                    findings=findings,
                    models=models,
                    key=key,
                    day=SNAPSHOT_DATE,
                    protected=attributes(context.contract),
                    money=money_of(context.contract, name),
                    scratch_path=partial(scratch_path, context.spark, context.settings.lake.scratch_root),
                )
            )
        for reason in trained[-1].unaudited:
            log.event(reason, level="warning")
    return trained


@contextmanager
def scratch_path(spark: SparkSession, root: str | None) -> Iterator[str]:
    """Yield the path of a new directory below `root` that Spark may write to, and delete it afterwards."""
    path = f"{root}/{uuid.uuid4().hex}"
    try:
        yield path
    finally:
        delete_directory(spark, path)
