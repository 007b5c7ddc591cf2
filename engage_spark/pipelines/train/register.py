"""What a training leaves behind: a run in MLflow with everything that was found, a registered model, a row in
`training_runs`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pyspark.sql import DataFrame

from engage_spark import log
from engage_spark.contract import system_contract
from engage_spark.errors import EngageError
from engage_spark.lake import code_version, translate_spark_errors
from engage_spark.ml.data.driver_sample import sample_rows
from engage_spark.ml.evaluation.bootstrap import Gain, paired_gain
from engage_spark.ml.evaluation.metrics import HEADLINE
from engage_spark.ml.evaluation.promotion import Decision, decide
from engage_spark.ml.feature_spec import feature_tables
from engage_spark.ml.scoring import Scorer, require_schema
from engage_spark.ml.train_target import TrainedTarget
from engage_spark.ml.training.final_models import BASELINE, WINNER, scores_of
from engage_spark.pipelines.context import RunContext, StageRun
from engage_spark.pipelines.model_inputs import ModelInputs
from engage_spark.pipelines.score import scorer_of
from engage_spark.pipelines.stages import SNAPSHOT_DATE, SPLITS, TRAINING_RUNS
from engage_spark.pipelines.train.artifacts import artefacts
from engage_spark.spark.schema import spark_schema
from engage_spark.tracking import CHAMPION, MlflowRun, ModelFacts, ModelVersion, Tracker


@dataclass(frozen=True, kw_only=True, eq=False)
class RegisteredTarget:
    """A trained target, its version in the registry, and whether it became champion."""

    trained: TrainedTarget
    version: ModelVersion
    decision: Decision


def record(
    context: RunContext,
    work: StageRun,
    tracker: Tracker,
    trained: TrainedTarget,
    found: ModelInputs,
    rows: DataFrame,
    *,
    attempt: int = 1,
    splits: int | None = None,
) -> RegisteredTarget:
    """Bring one target's training to MLflow: a run with params, metrics and artefacts, the model as a
    version, its alias.

    The champion that there is predicts the same test rows, and the new model takes its place only where it
    passed its gates and is better with confidence; else it becomes challenger. Where MLflow does not say who
    is champion, it becomes neither. `attempt` tells a forced training from the one that it repeats
    (`ModelFacts`); `splits` is the version of that table. Cost: one pass of the champion over the test side.
    Raises TransientError where MLflow cannot be reached: everything is kept then, and the message says where.
    """
    target = trained.target
    decision, reasons = _decided(context, work, tracker, trained, attempt)
    stored = json.loads(_scorer(context, trained).to_json())
    with log.stage(f"{target.name}: recording in MLflow"):
        with tracker.run(
            target.name,
            name=f"{work.snapshot_date} {trained.final.candidate.name}",
            params=_params(context, trained),
            tags=_tags(context, work),
        ) as run:
            _metrics(run, trained)
            for path, content in artefacts(context, work, trained, decision).items():
                run.artefact(path, content)
            run.model(
                context.spark,
                trained.final.model,
                features=_columns(trained, rows),
                extras={"scorer": stored, "graph_values": context.settings.features.graph_values},
                name=target.name,
                facts=_facts(context, work, trained, found, attempt, splits),
            )
        version = tracker.register(run)
        if reasons is not None:
            version = (tracker.promote if decision.promoted else tracker.challenge)(version, reasons=reasons)
    return RegisteredTarget(trained=trained, version=version, decision=decision)


def _decided(
    context: RunContext, work: StageRun, tracker: Tracker, trained: TrainedTarget, attempt: int
) -> tuple[Decision, Mapping[str, str] | None]:
    """The decision, and the reasons that go with its alias: None, for no alias, where MLflow does not say who
    is champion.

    Nothing raises here for MLflow's sake: the model is not kept yet.
    """
    try:
        before = _rival(tracker, trained.target.name, work.run_id, attempt)
    except EngageError as e:
        return Decision(promoted=False, reason=f"the champion could not be asked: {e.message}"), None
    gain, why = (None, None) if before is None else _gain_over(context, tracker, before, trained)
    decision = decide(trained.gates, gain, champion=None if before is None else f"version {before.version}")
    return decision, {"decision": decision.reason} | ({} if why is None else {"champion": why})


def _rival(tracker: Tracker, target: str, run_id: str, attempt: int) -> ModelVersion | None:
    """The version that the new one must beat: the champion, None where there is none.

    Where an attempt that did not end has made this very training champion already, it is what was champion
    before: no model beats itself.
    """
    held = tracker.registry.holder(target, CHAMPION)
    if held is None or not held.is_of(run_id, attempt):
        return held
    replaced = held.facts.get("replaced")
    return None if replaced is None else tracker.registry.version(target, int(replaced))


def _gain_over(
    context: RunContext, tracker: Tracker, before: ModelVersion, trained: TrainedTarget
) -> tuple[Gain | None, str | None]:
    """The gain over a version on the same test rows; None, and why, where its files cannot be had or it
    cannot score them.
    """
    chosen, target, test = context.settings.models, trained.target, trained.splits.test
    try:
        scorer = scorer_of(tracker.registry.opened(before))
        require_schema(dict(test.dtypes), scorer)
        with translate_spark_errors(f"the model of version {before.version} cannot be read"):
            model = tracker.load(context.spark, before)
    except EngageError as e:
        return None, str(e)
    hashed = sample_rows(
        test,
        key=context.contract.entity.key,
        seed=chosen.seed,
        expected=trained.splits.counts["test"],
        limit=chosen.judged_rows,
    )
    theirs = scores_of(model, scorer.features, hashed, target, day=SNAPSHOT_DATE, limit=chosen.judged_rows)[
        "score"
    ]
    finals = trained.finals
    gain = paired_gain(
        HEADLINE[target.task],
        finals.labels,
        finals.by_role[WINNER].scores,
        theirs,
        clusters=finals.customers,
        replicates=chosen.bootstrap,
        confidence=chosen.gain,
        seed=chosen.seed,
    )
    return gain, None


def _scorer(context: RunContext, trained: TrainedTarget) -> Scorer:
    personal = {f.name for t in feature_tables(context.contract) for f in t.fields if f.is_personal}
    return Scorer(
        target=trained.target,
        features=trained.final.features,
        masked=tuple(f.name for f in trained.final.features if f.name in personal),
        explainer=trained.explainer,
        conformal=trained.conformal,
        threshold=trained.threshold,
    )


def _columns(trained: TrainedTarget, rows: DataFrame) -> list[tuple[str, str]]:
    types = dict(rows.dtypes)
    return [(f.name, types[f.name]) for f in trained.final.features]


def _params(context: RunContext, trained: TrainedTarget) -> dict[str, Any]:
    chosen = context.settings.models.model_dump(mode="json")
    return {
        **{f"models.{key}": value for key, value in chosen.items()},
        "features.graph_values": context.settings.features.graph_values,
        "candidate": trained.final.candidate.name,
        **{f"candidate.{key}": value for key, value in trained.final.candidate.params.items()},
        "features": ", ".join(f.name for f in trained.final.features),
    }


def _tags(context: RunContext, work: StageRun) -> dict[str, str]:
    return {
        "engage_run_id": work.run_id,
        "engage_stage": work.stage,
        "engage_snapshot": str(work.snapshot_date),
        "engage_inputs": json.dumps(dict(work.inputs), sort_keys=True),
        "engage_contract": context.contract.digest,
        "engage_code": code_version(),
        "engage_settings": work.settings_digest,
    }


def _facts(
    context: RunContext,
    work: StageRun,
    trained: TrainedTarget,
    found: ModelInputs,
    attempt: int,
    splits: int | None,
) -> ModelFacts:
    headline = HEADLINE[trained.target.task].name
    value = trained.final.metrics[headline]
    assert value is not None
    data = {
        f"{table}/{day}": str(run.outputs.get(_stored(context, table), ""))
        for day in trained.snapshots.all
        for table, run in found.days[day].items()
    }
    data |= {} if splits is None else {SPLITS: str(splits)}
    return ModelFacts(
        run_id=work.run_id,
        contract_id=context.contract.id,
        contract_digest=context.contract.digest,
        settings_digest=work.settings_digest,
        code_version=code_version(),
        data=data,
        candidate=trained.final.candidate.name,
        policy=trained.specs.main.policy.value,
        metric=headline,
        value=value.value,
        low=value.low,
        high=value.high,
        snapshots=tuple(map(str, trained.snapshots.all)),
        failed_gates=tuple(g.name for g in trained.gates if not g.passed),
        attempt=attempt,
    )


def _stored(context: RunContext, table: str) -> str:
    """The entity lies in its judged table; the others under their own names."""
    return f"{table}_judged" if table == context.contract.entity.name else table


def _metrics(run: MlflowRun, trained: TrainedTarget) -> None:
    """Every figure by where it was measured; one that is not defined there is left out.

    `test/…` is the model on the test side, `baseline/…`, `all_features/…` and so on what it is compared with
    on the same rows; `late_model/…` and `late_baseline/…` are of the newest snapshot, which was kept apart.
    `cv/…` is the mean over the folds, before calibration: so `cv/log_loss`, `cv/brier` and `cv/ece` are not
    to be read beside `test/…`, which is after it.
    """
    finals = [
        ("test" if what == WINNER else what.replace(" ", "_"), final)
        for what, final in trained.finals.by_role.items()
    ]
    if trained.out_of_time is not None:
        finals += [(f"late_{what}", final) for what, final in trained.out_of_time.by_role.items()]
    for where, final in finals:
        for name, found in final.metrics.items():
            if found is not None:
                run.metrics(
                    {
                        f"{where}/{name}": found.value,
                        f"{where}/{name}_low": found.low,
                        f"{where}/{name}_high": found.high,
                    }
                )
    winner = trained.comparison.winner
    for name in winner.folds:
        run.metrics({f"cv/{name}": winner.mean(name)})
        run.curve(f"folds/{name}", enumerate(winner.folds[name]))
    run.metrics(
        {
            "coverage": trained.coverage.value,
            "coverage_low": trained.coverage.low,
            "coverage_high": trained.coverage.high,
        }
    )
    selection = trained.comparison.selection
    if selection.jaccard is not None:
        run.metrics({"selection/jaccard": selection.jaccard})
    if selection.final.curve:
        run.curve("selection/r2", sorted(selection.final.curve.items()))
    for entrant in trained.comparison.results:
        with run.child(entrant.candidate.name) as child:
            child.params(dict(entrant.candidate.params))
            child.metrics(
                {f"cv/{name}": entrant.mean(name) for name in entrant.folds} | {"seconds": entrant.seconds}
            )


def write_training_runs(context: RunContext, work: StageRun, recorded: Sequence[RegisteredTarget]) -> int:
    """Replace the rows of this training in one commit; the version that this made."""
    table = system_contract().table(TRAINING_RUNS)
    schema = spark_schema(table)
    rows = [_row(context, work, of) for of in recorded]
    frame = context.spark.createDataFrame(
        [tuple(r[name] for name in schema.names) for r in rows], schema
    ).coalesce(1)
    return context.lake.replace(frame, table, where=f"run_id = '{work.run_id}'", tag=work.run_id)


def _row(context: RunContext, work: StageRun, of: RegisteredTarget) -> Mapping[str, Any]:
    t, metric = of.trained, HEADLINE[of.trained.target.task]
    model, baseline = t.final.metrics[metric.name], t.finals.by_role[BASELINE].metrics[metric.name]
    late = None if t.out_of_time is None else t.out_of_time.by_role[WINNER].metrics[metric.name]
    assert model is not None
    assert baseline is not None
    folds = t.comparison.winner.folds[metric.name]
    mean = sum(folds) / len(folds)
    return {
        "run_id": work.run_id,
        "target": t.target.name,
        "snapshot_date": work.snapshot_date,
        "snapshots": list(t.snapshots.all),
        "policy": t.specs.main.policy.value,
        "task": t.target.task.value,
        "candidate": t.final.candidate.name,
        "rows_fit": t.splits.counts["fit"],
        "rows_held_out": t.splits.counts["test"],
        "features": [f.name for f in t.final.features],
        "metric": metric.name,
        "higher_is_better": metric.better == "higher",
        "baseline": baseline.value,
        "baseline_lower": baseline.low,
        "baseline_upper": baseline.high,
        "cross_validated": mean,
        "cross_validated_deviation": (sum((x - mean) ** 2 for x in folds) / max(1, len(folds) - 1)) ** 0.5,
        "held_out": model.value,
        "held_out_lower": model.low,
        "held_out_upper": model.high,
        "out_of_time": None if late is None else late.value,
        "threshold": None if t.threshold is None or t.threshold > 1 else t.threshold,
        "promoted": of.decision.promoted,
        "reason": of.decision.reason,
        "mlflow_run_id": of.version.run_id,
        "model_name": of.version.name,
        "model_version": str(of.version.version),
        "contract_digest": context.contract.digest,
        "table_versions": json.dumps(dict(work.inputs), sort_keys=True),
    }
