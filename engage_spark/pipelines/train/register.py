"""Register what a training made: a run and a model in MLflow, and a row in `training_runs`."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from pyspark.sql import DataFrame

from engage_spark import log
from engage_spark.contract import system_contract
from engage_spark.errors import EngageError
from engage_spark.lake import COMMIT_WAIT, code_version, table_lock
from engage_spark.ml.data.split_draw import SplitDraw
from engage_spark.ml.evaluation.bootstrap import Interval
from engage_spark.ml.evaluation.metrics import HEADLINE
from engage_spark.ml.evaluation.profit_curve import ContactCounts, contact_counts
from engage_spark.ml.evaluation.promotion import Decision, GateAnswer
from engage_spark.ml.feature_meaning import digest_of, field_meanings
from engage_spark.ml.feature_spec import Task, feature_tables
from engage_spark.ml.scoring import Scorer
from engage_spark.ml.trained_target import TrainedTarget
from engage_spark.ml.training.final_models import BASELINE, OTHER, WINNER
from engage_spark.pipelines.champions import SPLIT_RUNS
from engage_spark.pipelines.context import RunContext, StageRun
from engage_spark.pipelines.model_inputs import ModelInputs
from engage_spark.pipelines.results import (
    MetricEstimate,
    ModelOnTest,
    SelectionCost,
    TrainedModel,
    VariantOnFolds,
)
from engage_spark.pipelines.stages import SPLITS, TRAINING_RUNS
from engage_spark.pipelines.train.artifacts import artefacts, description
from engage_spark.pipelines.train.rival import carry_out, decide_on
from engage_spark.spark.compat import from_rows
from engage_spark.spark.schema import spark_schema
from engage_spark.tracking import CHAMPION, ModelFacts, ModelVersion, RunRecord, Tracker


@dataclass(frozen=True, kw_only=True, eq=False)
class RegisteredTarget:
    """A trained target, its version in the registry, and whether it became champion."""

    trained: TrainedTarget
    version: ModelVersion
    decision: Decision


def register_target(
    context: RunContext,
    stage_run: StageRun,
    tracker: Tracker,
    trained: TrainedTarget,
    inputs: ModelInputs,
    rows: DataFrame,
    *,
    attempt: int = 1,
    splits_version: int | None = None,
    draw: SplitDraw | None = None,
    split_runs: Sequence[str] = (),
) -> RegisteredTarget:
    """Bring one target's training to MLflow: a run with its artefacts, the model as a version, its alias.

    The champion predicts the same rows, and the new model takes its place only where `promotion.decide` says
    so; else it becomes challenger. Where MLflow does not say who is champion, it
    becomes neither. `attempt` tells a forced training from the one that it repeats (`ModelFacts`);
    `splits_version` is the version of the table `splits`, `draw` what identifies its draw, and `split_runs`
    are the trainings that put the customers on their sides.

    Cost: one pass of the champion over the test split.

    Errors: TransientError where MLflow cannot be reached: everything is kept then, and the message says
    where.
    """
    target = trained.target
    decided = partial(decide_on, context, stage_run, tracker, trained, attempt=attempt, draw=draw)
    verdict = decided()
    looks, repeated = _test_looks(tracker, target.name, stage_run.run_id, attempt, split_runs)
    extras = {
        "scorer": json.loads(_scorer(context, trained).to_json()),
        "graph_values": context.settings.features.graph_values,
        "meaning": _meaning(context, trained),
        SPLIT_RUNS: list(split_runs),
    } | ({} if draw is None else {"splits": draw.to_json()})
    facts = _facts(context, stage_run, trained, inputs, attempt, splits_version)
    with log.subject(target.name), log.stage("recording in MLflow"):
        with tracker.run(
            target.name,
            name=f"{stage_run.snapshot_date} {trained.final.candidate.name}",
            params=_params(context, trained),
            tags=_tags(context, stage_run),
        ) as run:
            _record_metrics(run, trained)
            run.description(description(context, stage_run, trained, verdict.decision, looks=looks))
            for table in _datasets(context, trained, inputs):
                run.dataset(**table)
            files = artefacts(context, stage_run, trained, verdict.decision, looks=looks)
            for path, content in files.items():
                run.artefact(path, content)
            run.model(
                context.spark,
                trained.serving.fitted.model,
                features=_columns(trained, rows),
                extras=extras,
                name=target.name,
                facts=replace(
                    facts,
                    splits="" if draw is None else str(draw),
                    meaning=digest_of(extras["meaning"]),
                    test_looks=looks or 0,
                ),
            )
        version = tracker.register(run)
        if looks is not None:
            _count_look(context, tracker, target.name, split_runs, repeated=repeated)
        version, final = carry_out(context, tracker, version, verdict, decided)
        if final is not verdict:  # another training was quicker, so the card says what is not so any more
            decision_files = artefacts(context, stage_run, trained, final.decision, looks=looks)
            tracker.amend(run, {path: decision_files[path] for path in ("card.md", "gates.json")})
    return RegisteredTarget(trained=trained, version=version, decision=final.decision)


def _test_looks(
    tracker: Tracker, target: str, run_id: str, attempt: int, split_runs: Sequence[str]
) -> tuple[int | None, bool]:
    """Count the trainings that were judged on the test side, with this one, and say whether it repeats one.

    Nulls: None where MLflow does not say, or nobody knows by whom the customers were split.
    """
    if not split_runs:
        return None, False
    try:
        looks = tracker.registry.test_looks(target, split_runs)
        repeated = any(v.is_of(run_id, attempt) for v in tracker.registry.versions_of(target, run_id))
    except EngageError as e:
        log.event(f"nobody knows how often the test side was looked at: {e.message}", level="warning")
        return None, False
    return max(1, looks + (not repeated)), repeated


def _count_look(
    context: RunContext, tracker: Tracker, target: str, split_runs: Sequence[str], *, repeated: bool
) -> None:
    """Store that the test side was looked at once more; where that is refused, the training goes on.

    The champion's lock keeps two trainings apart that count at once.
    """
    try:
        with table_lock(context.spark, context.lake, CHAMPION, wait=COMMIT_WAIT):
            tracker.registry.count_test_look(target, split_runs, repeated=repeated)
    except EngageError as e:
        log.event(f"a look at the test side of {target} was not counted: {e.message}", level="warning")


def _scorer(context: RunContext, trained: TrainedTarget) -> Scorer:
    personal = {f.name for t in feature_tables(context.contract) for f in t.fields if f.is_personal}
    return Scorer(
        target=trained.target,
        features=trained.final.features,
        masked=tuple(name for name in _used(trained) if name in personal),
        explainer=trained.explainer,
        conformal=trained.serving.conformal,
        contacts=_contacts(trained),
        days=tuple(map(str, trained.serving.days)),
        folds=trained.folds,
    )


def _meaning(context: RunContext, trained: TrainedTarget) -> dict[str, dict[str, Any]]:
    """Return what the target and the features of the model mean."""
    names = (trained.target.name, *_used(trained))
    return field_meanings(context.contract, names, graph_values=context.settings.features.graph_values)


def _contacts(trained: TrainedTarget) -> ContactCounts | None:
    """Count on the judged rows what tells at scoring whether contacts earn anything; None for numbers."""
    if trained.target.task is not Task.BINARY:
        return None
    judged, even = trained.judged, trained.judged.even
    scores = judged.by_role[WINNER].scores
    return contact_counts(judged.labels[even], scores[even], customers=judged.customers[even])


def _used(trained: TrainedTarget) -> tuple[str, ...]:
    """List the features of the model that serves, then those that only a fold's model has."""
    models = (trained.final.features, *(f.features for f in trained.folds))
    return tuple(dict.fromkeys(f.name for features in models for f in features))


def _columns(trained: TrainedTarget, rows: DataFrame) -> list[tuple[str, str]]:
    types = dict(rows.dtypes)
    return [(f.name, types[f.name]) for f in trained.final.features]


def _params(context: RunContext, trained: TrainedTarget) -> dict[str, Any]:
    models = context.settings.models.model_dump(mode="json")
    return {
        **{f"models.{key}": value for key, value in models.items()},
        "features.graph_values": context.settings.features.graph_values,
        "candidate": trained.final.candidate.name,
        **{f"candidate.{key}": value for key, value in trained.final.candidate.params.items()},
        "features": ", ".join(f.name for f in trained.final.features),
    }


def _tags(context: RunContext, stage_run: StageRun) -> dict[str, str]:
    return {
        "engage_run_id": stage_run.run_id,
        "engage_stage": stage_run.stage,
        "engage_snapshot": str(stage_run.snapshot_date),
        "engage_inputs": json.dumps(dict(stage_run.inputs), sort_keys=True),
        "engage_contract": context.contract.digest,
        "engage_code": code_version(),
        "engage_settings": stage_run.settings_digest,
    }


def _facts(
    context: RunContext,
    stage_run: StageRun,
    trained: TrainedTarget,
    inputs: ModelInputs,
    attempt: int,
    splits_version: int | None,
) -> ModelFacts:
    headline = HEADLINE[trained.target.task].name
    value = trained.final.metrics[headline]
    assert value is not None
    data = {
        f"{table}/{day}": str(run.outputs.get(_stored(context, table), ""))
        for day in trained.snapshots.all
        for table, run in inputs.days[day].items()
    }
    data |= {} if splits_version is None else {SPLITS: str(splits_version)}
    return ModelFacts(
        run_id=stage_run.run_id,
        contract_id=context.contract.id,
        contract_digest=context.contract.digest,
        settings_digest=stage_run.settings_digest,
        code_version=code_version(),
        data=data,
        candidate=trained.final.candidate.name,
        policy=trained.specs.main.policy.value,
        metric=headline,
        value=value.value,
        low=value.low,
        high=value.high,
        snapshots=tuple(map(str, trained.snapshots.all)),
        failed_gates=tuple(g.name for g in trained.gates if g.answer is GateAnswer.FAILED),
        unshown_gates=tuple(g.name for g in trained.gates if g.answer is GateAnswer.UNKNOWN),
        gates=tuple(g.name for g in trained.gates),
        attempt=attempt,
    )


def _datasets(context: RunContext, trained: TrainedTarget, inputs: ModelInputs) -> Iterator[dict[str, Any]]:
    """Yield the tables of each day as a run's inputs, at the versions that held them."""
    for day in trained.snapshots.all:
        is_learnt = day in trained.snapshots.train
        for table, run in inputs.days[day].items():
            stored = _stored(context, table)
            yield {
                "name": stored,
                "digest": run.run_id,
                "path": context.lake.location(stored),
                "version": run.outputs.get(stored),
                "context": "training and testing" if is_learnt else "testing out of time",
                "snapshot_date": str(day),
            }


def _stored(context: RunContext, table: str) -> str:
    """Return the stored name of a table: the entity is in its judged table, others have their own names."""
    return f"{table}_judged" if table == context.contract.entity.name else table


def _record_metrics(run: RunRecord, trained: TrainedTarget) -> None:
    """Record every metric by where it was measured; one that is not defined there is left out.

    `test/…` is the model on the test split, `baseline/…` and so on what it is compared with on the same rows;
    `late_model/…` and `late_baseline/…` are of the newest snapshot, which was kept apart. `serving/coverage`
    is of the model that serves, where that was fitted again. `cv/…` is the mean over the folds, and
    `all_features/…` that of the same candidate on all features over some of them, `other_policy/…` and
    `without_protected/…` by other features that may be chosen. All of these are before
    calibration: so their `log_loss`, `brier` and `ece` are not to be read beside `test/…`, which is after it.
    """
    finals = [("test" if role == WINNER else role, final) for role, final in trained.finals.by_role.items()]
    if trained.out_of_time is not None:
        finals += [(f"late_{role}", final) for role, final in trained.out_of_time.by_role.items()]
    for prefix, final in finals:
        for name, estimate in final.metrics.items():
            if estimate is not None:
                run.metrics(
                    {
                        f"{prefix}/{name}": estimate.value,
                        f"{prefix}/{name}_low": estimate.low,
                        f"{prefix}/{name}_high": estimate.high,
                    }
                )
    winner = trained.comparison.winner
    for name in winner.folds:
        run.metrics({f"cv/{name}": winner.mean(name)})
        run.curve(f"folds/{name}", enumerate(winner.folds[name]))
    for role, variant in trained.variants.items():
        means = {name: variant.beside(winner, name) for name in winner.folds}
        run.metrics({f"{role.replace(' ', '_')}/{n}": m.value for n, m in means.items() if m is not None})
    run.metrics(
        {
            "coverage": trained.coverage.value,
            "coverage_low": trained.coverage.low,
            "coverage_high": trained.coverage.high,
        }
    )
    if (coverage := trained.serving.coverage) is not None:
        run.metrics(
            {
                "serving/coverage": coverage.value,
                "serving/coverage_low": coverage.low,
                "serving/coverage_high": coverage.high,
            }
        )
    selection = trained.comparison.selection
    if selection.jaccard is not None:
        run.metrics({"selection/jaccard": selection.jaccard})
    if selection.final.curve:
        run.curve("selection/r2", sorted(selection.final.curve.items()))
    for result in trained.comparison.results:
        with run.child(result.candidate.name) as child:
            child.params(dict(result.candidate.params))
            child.metrics(
                {f"cv/{name}": result.mean(name) for name in result.folds} | {"seconds": result.seconds}
            )


def write_training_runs(
    context: RunContext, stage_run: StageRun, registered: Sequence[RegisteredTarget]
) -> int:
    """Replace the rows of this training in one commit, and return the version that this made."""
    table = system_contract().table(TRAINING_RUNS)
    schema = spark_schema(table)
    rows = [_row(context, stage_run, r) for r in registered]
    columns = ([row[name] for name in schema.names] for row in rows)
    frame = from_rows(context.spark, columns, schema).coalesce(1)
    with table_lock(context.spark, context.lake, TRAINING_RUNS, wait=COMMIT_WAIT):
        return context.lake.replace(
            frame, table, where=f"run_id = '{stage_run.run_id}'", tag=stage_run.run_id
        )


def _row(context: RunContext, stage_run: StageRun, registered: RegisteredTarget) -> Mapping[str, Any]:
    t, metric = registered.trained, HEADLINE[registered.trained.target.task]
    model, baseline = t.final.metrics[metric.name], t.finals.by_role[BASELINE].metrics[metric.name]
    newest = None if t.out_of_time is None else t.out_of_time.by_role[WINNER].metrics[metric.name]
    assert model is not None
    assert baseline is not None
    winner = t.comparison.winner
    return {
        "run_id": stage_run.run_id,
        "target": t.target.name,
        "snapshot_date": stage_run.snapshot_date,
        "snapshots": list(t.snapshots.all),
        "serving_snapshots": list(t.serving.days),
        "policy": t.specs.main.policy.value,
        "task": t.target.task.value,
        "candidate": t.final.candidate.name,
        "rows_fit": t.fitted_rows.used,
        "rows_held_out": t.splits.counts["test"],
        "features": [f.name for f in t.final.features],
        "metric": metric.name,
        "higher_is_better": metric.better == "higher",
        "baseline": baseline.value,
        "baseline_lower": baseline.low,
        "baseline_upper": baseline.high,
        "cross_validated": winner.mean(metric.name),
        "cross_validated_deviation": winner.deviation(metric.name),
        "held_out": model.value,
        "held_out_lower": model.low,
        "held_out_upper": model.high,
        "out_of_time": None if newest is None else newest.value,
        "threshold": None if t.threshold is None or t.threshold > 1 else t.threshold,
        "promoted": registered.decision.promoted,
        "provisional": registered.decision.is_provisional,
        "reason": registered.decision.reason,
        "mlflow_run_id": registered.version.run_id,
        "model_name": registered.version.name,
        "model_version": str(registered.version.version),
        "contract_digest": context.contract.digest,
        "table_versions": json.dumps(dict(stage_run.inputs), sort_keys=True),
    }


def trained_model(registered: RegisteredTarget) -> TrainedModel:
    """Return what a reader of the result asks of one target: plain numbers, no frame, no model."""
    t, metric = registered.trained, HEADLINE[registered.trained.target.task].name
    ece, loss, gain = t.final.metrics.get("ece"), t.selection_loss, registered.decision.gain
    newest = None if t.out_of_time is None else t.out_of_time.by_role[WINNER].metrics[metric]
    other_policy = f"policy {t.specs.other.policy.value}"
    return TrainedModel(
        target=t.target.name,
        candidate=t.final.candidate.name,
        candidates=tuple(r.candidate.name for r in t.comparison.results),
        failed_candidates=t.comparison.failed,
        unaudited=t.unaudited,
        version=registered.version.version,
        promoted=registered.decision.promoted,
        provisional=registered.decision.is_provisional,
        decision=registered.decision.code,
        reason=registered.decision.reason,
        gain=None
        if gain is None
        else MetricEstimate(metric=gain.metric, value=gain.gain, low=gain.low, high=gain.high),
        coverage=t.conformal.coverage,
        covered=t.coverage.value,
        models=tuple(
            ModelOnTest(
                role=role, features=len(final.features), headline=_estimate(metric, final.metrics[metric])
            )
            for role, final in t.finals.by_role.items()
        ),
        calibration_error=None if ece is None else ece.value,
        r_squared=_estimate("r2", t.final.metrics.get("r2")),
        threshold=t.threshold,
        money_source="" if t.money is None else t.money.source,
        out_of_time=_estimate(metric, newest),
        serving_days=t.serving.days,
        fitted_rows=t.fitted_rows.used,
        rows_to_fit=t.fitted_rows.there,
        out_of_time_days=() if t.snapshots.out_of_time is None else (t.snapshots.out_of_time,),
        beats_baseline=t.is_apart_from_baseline,
        stand_in=t.comparison.stand_in,
        variants=tuple(
            VariantOnFolds(
                role=other_policy if role == OTHER else role,
                features=v.n_features,
                metric=metric,
                **vars(means),
            )
            for role, v in t.variants.items()
            if (means := t.beside(v)) is not None
        ),
        selection_cost=None
        if loss is None
        else SelectionCost(
            features=loss.n_features,
            offered=loss.n_all_features,
            metric=loss.metric,
            lost=loss.loss,
            ranker=loss.ranker,
        ),
    )


def _estimate(metric: str, interval: Interval | None) -> MetricEstimate | None:
    if interval is None:
        return None
    return MetricEstimate(metric=metric, value=interval.value, low=interval.low, high=interval.high)
