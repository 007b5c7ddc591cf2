"""Compare a trained model with the champion, and decide whether it takes its place."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from functools import partial
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from engage_spark import log
from engage_spark.contract import SNAPSHOT_DATE
from engage_spark.errors import ConfigurationError, EngageError
from engage_spark.lake import COMMIT_WAIT, table_lock, translate_spark_errors
from engage_spark.ml.data.driver_sample import sample_rows
from engage_spark.ml.data.split_draw import SplitDraw
from engage_spark.ml.data.training_set import label_end
from engage_spark.ml.evaluation.bootstrap import Gain, paired_gain
from engage_spark.ml.evaluation.footing import Footing, common_footing
from engage_spark.ml.evaluation.metrics import HEADLINE
from engage_spark.ml.evaluation.promotion import Decision, Rival, decide
from engage_spark.ml.feature_spec import LeakPolicy
from engage_spark.ml.scoring import Scorer, require_schema
from engage_spark.ml.trained_target import TrainedTarget
from engage_spark.ml.training.final_models import WINNER, scores_of
from engage_spark.ml.training.preparation import preparation_of
from engage_spark.pipelines.champions import meaning_changes, scorer_of
from engage_spark.pipelines.context import RunContext, StageRun
from engage_spark.tracking import CHAMPION, Champion, ModelVersion, Tracker

if TYPE_CHECKING:
    from pyspark.ml import PipelineModel

T = TypeVar("T")
MOST_TURNS = 5
"""How often it is decided anew where other trainings make champions meanwhile."""
UNREADABLE = (ConfigurationError, ValueError, TypeError, KeyError, AttributeError)
"""What reading stored text raises where the text is something else."""


@dataclass(frozen=True, kw_only=True)
class ComparedVersion:
    """A decision with the reasons to record, and the number of the version that it was taken against.

    Nulls: `reasons` is None, for no alias, where MLflow does not say who is champion; `rival` where there is
    none.
    """

    decision: Decision
    reasons: Mapping[str, str] | None
    rival: int | None = None


def decide_on(
    context: RunContext,
    stage_run: StageRun,
    tracker: Tracker,
    trained: TrainedTarget,
    *,
    attempt: int,
    draw: SplitDraw | None,
) -> ComparedVersion:
    """Decide on promotion.

    Whatever is wrong with the champion is caught here, because the model is not kept yet: what cannot be
    loaded, or fails on a row, costs the comparison and no more.

    Cost: the champion's model is fetched, and passes once over the rows that models are judged on.
    """
    try:
        champion = _champion(tracker, trained.target.name, stage_run.run_id, attempt)
    except EngageError as e:
        reason = f"the champion could not be asked: {e.message}"
        unknown = Decision(promoted=False, code="ChampionUnknown", reason=reason)
        return ComparedVersion(decision=unknown, reasons=None)
    if champion is None:
        decision = decide(trained.gates, None)
        return ComparedVersion(decision=decision, reasons={"decision": decision.reason})
    rival, error = _rival(context, tracker, champion, trained, draw)
    decision = decide(trained.gates, rival)
    reasons = {"decision": decision.reason} | ({} if error is None else {"champion": error})
    return ComparedVersion(decision=decision, reasons=reasons, rival=champion.version)


def carry_out(
    context: RunContext,
    tracker: Tracker,
    version: ModelVersion,
    verdict: ComparedVersion,
    again: Callable[[], ComparedVersion],
) -> tuple[ModelVersion, ComparedVersion]:
    """Give a version its alias by a verdict, and return both.

    The champion's alias moves only from the version that was compared with: where another training was
    quicker, `again` decides against its champion. MLflow has no such condition, so a lock of the lake keeps
    two trainings apart between the look and the move.
    """
    for _ in range(MOST_TURNS):
        if verdict.reasons is None:
            return version, verdict
        if not verdict.decision.promoted:
            return tracker.challenge(version, reasons=verdict.reasons), verdict
        with table_lock(context.spark, context.lake, CHAMPION, wait=COMMIT_WAIT):
            promoted = tracker.registry.promote_over(
                version,
                expected=verdict.rival,
                reasons=verdict.reasons,
                is_rival=verdict.decision.code != "ChampionNoRival",
            )
        if promoted is not None:
            return promoted, verdict
        log.event(f"another version of {version.target} became champion meanwhile; deciding again")
        verdict = again()
    reason = "other versions became champion each time that it was decided; promote by hand"
    decision = Decision(promoted=False, code="ChampionUnknown", reason=reason)
    reasons = {"decision": reason}
    return tracker.challenge(version, reasons=reasons), ComparedVersion(decision=decision, reasons=reasons)


def _champion(tracker: Tracker, target: str, run_id: str, attempt: int) -> ModelVersion | None:
    """Return the version that the new one must beat: the champion, None where there is none.

    Where an attempt that did not end has made this very training champion already, it is the version that was
    champion before: no model beats itself.
    """
    champion = tracker.registry.holder(target, CHAMPION)
    if champion is None or not champion.is_of(run_id, attempt):
        return champion
    replaced = champion.facts.get("replaced")
    return None if replaced is None else tracker.registry.version(target, int(replaced))


def _rival(
    context: RunContext,
    tracker: Tracker,
    version: ModelVersion,
    trained: TrainedTarget,
    draw: SplitDraw | None,
) -> tuple[Rival, str | None]:
    """Compare with a version, and say what kept it from being compared, None where nothing did."""
    policy, own = version.facts.get("policy", ""), trained.specs.main.policy
    other_policy = f"it was trained by policy {policy or 'unknown'}, and this one by {own.value}"
    rival = Rival(
        name=f"version {version.version}",
        is_shown=version.is_shown_by([g.name for g in trained.gates]),
        gates=frozenset(version.gates),
        is_stricter=policy == LeakPolicy.STRICT and own is not LeakPolicy.STRICT,
        differences=() if policy == own.value else (other_policy,),
    )
    try:
        try:
            champion = tracker.registry.opened(version)
        except ConfigurationError as e:
            if not isinstance(e.__cause__, UNREADABLE):
                raise
            return replace(rival, differences=(*rival.differences, e.message)), None
        differences, scorer = _differences(context, champion, draw)
        rival = replace(rival, differences=(*rival.differences, *differences))
        if rival.is_stricter or rival.differences or scorer is None:
            return rival, None
        with translate_spark_errors(f"the model of version {champion.version} cannot be read"):
            model = tracker.load(context.spark, champion)
        if refused := _unread_preparation(model):
            return replace(rival, differences=(refused,)), None
        scores, waits = _comparable_scores(trained, _learnt_days(champion, scorer))
        if scores is None:
            return replace(rival, waits=waits), None
        return replace(rival, gain=_gain_over(context, model, scorer, trained, scores)), None
    except Exception as e:  # noqa: BLE001 (an own error, one of the model's library, one of Spark)
        return rival, str(e) if isinstance(e, EngageError) else _words(e)


def _differences(
    context: RunContext, champion: Champion, draw: SplitDraw | None
) -> tuple[list[str], Scorer | None]:
    """Say in words why figures of a version and of a model of its policy are no comparison; and its scorer.

    What is stored beside the version and cannot be read is such a reason: nothing scores by it either.
    """
    differences: list[str] = []

    def read(what: str, stored: Callable[[], T]) -> T | None:
        try:
            return stored()
        except UNREADABLE as e:
            differences.append(f"what is stored of {what} cannot be read: {_words(e)}")
            return None

    values = context.settings.features.graph_values
    other_splits = read("its splits", lambda: _other_splits(champion, draw))
    changes = read(
        "the meaning of its features",
        lambda: _other_meaning(meaning_changes(champion, context.contract, graph_values=values)),
    )
    scorer = read("how it scores", lambda: scorer_of(champion))
    return [*(other_splits or ()), *(changes or ()), *differences], scorer


def _unread_preparation(model: PipelineModel) -> str:
    """Say why a model cannot score by this release, whatever is predicted with it; nothing where it can."""
    try:
        preparation_of(model)
    except ConfigurationError as e:
        return e.message
    return ""


def _other_splits(champion: Champion, draw: SplitDraw | None) -> list[str]:
    if draw is None:
        return []
    stored = champion.extras.get("splits")
    if stored is None:
        return ["it does not say by which splits its customers were parted"]
    if SplitDraw.from_json(str(stored)).is_same(draw):
        return []
    return [f"its customers were parted by other splits ({champion.facts.get('splits', 'unknown')})"]


def _other_meaning(changes: Sequence[str] | None) -> list[str]:
    if changes is None:
        return ["it does not say what its features meant"]
    return [f"what it learnt means something else now: {'; '.join(changes)}"] if changes else []


def _words(error: Exception) -> str:
    return error.message if isinstance(error, EngageError) else f"{type(error).__name__}: {error}"


def _learnt_days(champion: Champion, scorer: Scorer) -> tuple[date, ...]:
    """Return the days that a version was fitted on; where it does not say, all that its training used."""
    days = scorer.days or str(champion.facts.get("snapshots", "")).split(", ")
    return tuple(date.fromisoformat(d) for d in days if d)


def _comparable_scores(trained: TrainedTarget, learnt: Collection[date]) -> tuple[np.ndarray | None, str]:
    """Return the scores of the model that may be compared with a champion that has `learnt` these days; None,
    and why, where neither may.
    """
    footing, waits = common_footing(
        trained.learnt_days, learnt, label_end=partial(label_end, target=trained.target)
    )
    if footing is Footing.NONE:
        return None, waits
    if footing is Footing.SERVING:
        return trained.serving.scores, ""
    return trained.judged.by_role[WINNER].scores, ""


def _gain_over(
    context: RunContext,
    model: PipelineModel,
    scorer: Scorer,
    trained: TrainedTarget,
    scores: np.ndarray,
) -> Gain:
    """Return the gain of `scores` over a champion's model on the rows that models are judged on."""
    models, target, splits = context.settings.models, trained.target, trained.splits
    part, test = ("test", splits.test) if splits.out_of_time is None else ("out_of_time", splits.out_of_time)
    require_schema(dict(test.dtypes), scorer)
    sample = splits.sample(part, label=target.name, limit=models.judged_rows)
    hashed = sample_rows(test, sample, key=context.contract.entity.key, seed=models.seed)
    champion_scores = scores_of(
        model, scorer.features, hashed, target, day=SNAPSHOT_DATE, limit=models.judged_rows
    )["score"]
    judged = trained.judged
    return paired_gain(
        HEADLINE[target.task],
        judged.labels,
        scores,
        champion_scores,
        weights=judged.weights,
        clusters=judged.customers,
        replicates=models.bootstrap,
        confidence=models.gain,
        seed=models.seed,
    )
