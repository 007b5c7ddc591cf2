"""One target from its Gram matrices to a judged model: select, compete, fit, calibrate, judge, explain,
compare groups.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from pyspark.ml import PipelineModel
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from engage_spark import log
from engage_spark.errors import ConfigurationError, InputError
from engage_spark.ml.data.driver_sample import HASH, sample_rows
from engage_spark.ml.data.preflight import fold_counts, require_trainable
from engage_spark.ml.data.split_rows import SplitRows, TargetSnapshots, split_rows
from engage_spark.ml.data.training_set import labelled
from engage_spark.ml.evaluation.bootstrap import Interval, arranged, interval
from engage_spark.ml.evaluation.conformal import (
    Conformal,
    calibrate_regression,
    calibrate_sets,
    with_interval,
    with_set,
)
from engage_spark.ml.evaluation.metrics import HEADLINE
from engage_spark.ml.evaluation.profit_curve import Profit, profits
from engage_spark.ml.evaluation.promotion import (
    ModelGate,
    beats_baseline,
    covers,
    is_calibrated,
    is_free_of_leaks,
)
from engage_spark.ml.explain.explainer import Explainer
from engage_spark.ml.explain.reasons import Importance, explainer_of, global_importance
from engage_spark.ml.fairness import audit
from engage_spark.ml.fairness.group_metrics import Fairness
from engage_spark.ml.fairness.proxy import Proxy, proxy_test
from engage_spark.ml.feature_spec import Feature, Target, Task
from engage_spark.ml.leakage.findings import LeakFinding
from engage_spark.ml.selection.fold_gram import FoldGrams
from engage_spark.ml.training.candidates import baseline_for, candidates_for
from engage_spark.ml.training.pipeline import candidate_features
from engage_spark.pipelines.context import RunContext
from engage_spark.pipelines.model_inputs import DAY
from engage_spark.pipelines.train.cross_validation import (
    FOLD,
    CandidateComparison,
    chosen_of,
    compare_candidates,
    select_features,
    training_rows,
)
from engage_spark.pipelines.train.final_models import (
    ALL,
    BASELINE,
    OTHER,
    UNPROTECTED,
    WINNER,
    FinalModel,
    FinalModels,
    fit_finals,
    judge,
    scores_of,
)
from engage_spark.pipelines.train.inputs import TargetSpecs
from engage_spark.settings.model import ModelSettings
from engage_spark.spark.compat import to_arrow
from engage_spark.spark.schema import column_named
from engage_spark.spark.session import delete_directory

WORST_AUC, WORST_RMSE = 0.005, 0.01
"""What selection may cost before it is spoken of: so much AUC, such a share of RMSE."""
EXPLAINED, PROXIED = 20_000, 50_000
"""Rows that global importance is a mean over, and that the proxy test looks at, at most."""


@dataclass(frozen=True, kw_only=True, eq=False)
class TrainedTarget:
    """Everything that is known of one target's model when it has been judged."""

    plans: TargetSpecs
    snapshots: TargetSnapshots
    sides: SplitRows
    contest: CandidateComparison
    findings: tuple[LeakFinding, ...]
    finals: FinalModels
    late: FinalModels | None
    conformal: Conformal
    covered: Interval
    profits: tuple[Profit, ...]
    explainer: Explainer
    importance: tuple[Importance, ...]
    fairness: Fairness
    proxies: tuple[Proxy, ...]
    gates: tuple[ModelGate, ...]

    @property
    def target(self) -> Target:
        return self.plans.main.target

    @property
    def final(self) -> FinalModel:
        return self.finals.of[WINNER]

    @property
    def apart(self) -> bool:
        """Whether the intervals of model and baseline in the headline metric do not overlap."""
        name = HEADLINE[self.target.task].name
        model, baseline = self.final.metrics[name], self.finals.of[BASELINE].metrics[name]
        return model is not None and baseline is not None and model.apart_from(baseline)

    @property
    def threshold(self) -> float | None:
        """The probability from which a contact pays at the configured value; None for numbers."""
        return self.profits[0].chosen if self.profits else None


def train_target(
    context: RunContext,
    plans: TargetSpecs,
    snapshots: TargetSnapshots,
    grams: FoldGrams,
    findings: Sequence[LeakFinding],
    sides: SplitRows,
) -> TrainedTarget:
    """See `train.run` for what is done and its cost. Raises ConfigurationError where the rows cannot be
    trained on.
    """
    plan, chosen, key = plans.main, context.settings.models, context.contract.entity.key
    target = plan.target
    mine = tuple(f for f in findings if f.target in (None, target.name) and f.policy in (None, plan.policy))
    many = sides.counts["fit"]
    lying = training_rows(sides.fit, key=key, day=DAY, folds=grams.folds, chosen=chosen, many=many)
    with log.stage(f"{target.name}: choosing {chosen.keep} of {len(plan.features)} features"):
        selection = select_features(plan, grams, lying, chosen=chosen)
    contest = compare_candidates(plan, selection, lying, sides.fit, key=key, many=many, chosen=chosen)
    models = fit_finals(
        contest.winner.candidate,
        _offered(plans, contest, grams, lying, chosen),
        plan,
        lying[None],
        sides,
        chosen=chosen,
    )
    with log.stage(f"{target.name}: judging on the test side", rows=sides.counts["test"]):
        finals = judge(models, target, sides.test, key=key, day=DAY, many=sides.counts["test"], chosen=chosen)
        late = None
        if sides.out_of_time is not None:
            both = {name: models[name] for name in (WINNER, BASELINE)}
            late = judge(
                both,
                target,
                sides.out_of_time,
                key=key,
                day=DAY,
                many=sides.counts["out_of_time"],
                chosen=chosen,
            )
        conformal = _conformal(models[WINNER][2], models[WINNER][1], target, sides, key=key, chosen=chosen)
        covered = _covered(conformal, finals, chosen)
        earned = _profits(finals, chosen)
    with log.stage(f"{target.name}: explaining, comparing groups"):
        explainer = _explainer(context, models[WINNER][2], target, lying[None])
        scored = models[WINNER][2].transform(
            sides.test.select(*map(column_named, _looked_at(context, models[WINNER][1], target)))
        )
        importance = global_importance(scored, explainer, key=key, limit=EXPLAINED, seed=chosen.seed)
        compared = _fairness(context, scored, target, conformal, earned)
        proxies = _proxies(context, models[WINNER][1], sides, chosen)
    return TrainedTarget(
        plans=plans,
        snapshots=snapshots,
        sides=sides,
        contest=contest,
        findings=mine,
        finals=finals,
        late=late,
        conformal=conformal,
        covered=covered,
        profits=earned,
        explainer=explainer,
        importance=importance,
        fairness=compared,
        proxies=proxies,
        gates=_gates(finals, conformal, covered, mine, chosen),
    )


def trainable_sides(
    context: RunContext,
    goals: Sequence[Target],
    plans: Mapping[str, TargetSpecs],
    snapshots: Mapping[str, TargetSnapshots],
    rows: DataFrame,
) -> dict[str, SplitRows]:
    """The sides of every target, when it is known before the first fit that all of them can be trained and
    judged. Two jobs a target.

    Raises one ConfigurationError with all that is in the way, target by target.
    """
    found: dict[str, SplitRows] = {}
    wrong: list[ConfigurationError] = []
    for target in goals:
        of = plans[target.name]
        features = tuple({f.name: f for p in of.all for f in p.features}.values())
        try:
            candidates_for(target, context.settings.models.candidates)
            candidate_features(baseline_for(target), of.main.features)
            fit = labelled(rows, target=target, days=snapshots[target.name].train).where(
                F.col("side") == "fit"
            )
            require_trainable(
                fold_counts(fit, label=target.name, features=features, fold=FOLD),
                target=target,
                features=features,
            )
            found[target.name] = split_rows(rows, target, snapshots[target.name])
        except ConfigurationError as e:
            wrong.append(e)
    if len(wrong) == 1:
        raise wrong[0]
    if wrong:
        details = [line for e in wrong for line in (e.message, *(f"  {d}" for d in e.details))]
        raise ConfigurationError(
            f"{len(wrong)} targets cannot be trained",
            details=details,
            hint="; ".join(dict.fromkeys(e.hint for e in wrong if e.hint)),
        )
    return found


def cost_of_selection(trained: TrainedTarget) -> str | None:
    """What is to be said where the chosen features cost more than WORST_AUC or WORST_RMSE against all of
    them; None where they do not.
    """
    chosen, everything = trained.final, trained.finals.of.get(ALL)
    metric = HEADLINE[trained.target.task]
    if everything is None:
        return None
    mine, theirs = chosen.metrics[metric.name], everything.metrics[metric.name]
    assert mine is not None
    assert theirs is not None
    binary = trained.target.task is Task.BINARY
    if not binary and not theirs.value:
        return None
    lost = (
        metric.gain(theirs.value, mine.value)
        if binary
        else metric.gain(theirs.value, mine.value) / theirs.value
    )
    if lost <= (WORST_AUC if binary else WORST_RMSE):
        return None
    cost = f"{lost:.4f} AUC" if binary else f"{lost:.1%} RMSE"
    other = "" if trained.contest.selection.ranker == "forest" else "; try models.ranker=forest"
    return f"{len(chosen.features)} of {len(everything.features)} features cost {cost}{other}"


def _offered(
    plans: TargetSpecs,
    contest: CandidateComparison,
    grams: FoldGrams,
    rows: Mapping[int | None, DataFrame],
    chosen: ModelSettings,
) -> dict[str, tuple]:  # type: ignore[type-arg]
    """The features of the final model, and of those that it is compared with: each as its own plan's
    selection leaves them.
    """
    offered = {WINNER: contest.chosen}
    if len(contest.chosen) < len(plans.main.features):
        offered[ALL] = plans.main.features
    for name, plan in ((OTHER, plans.other), (UNPROTECTED, plans.unprotected)):
        if plan.names != plans.main.names:
            offered[name] = chosen_of(
                plan, select_features(plan, grams, {None: rows[None]}, chosen=chosen).final.kept
            )
    return offered


def _conformal(
    model: PipelineModel,
    features: Sequence[Feature],
    target: Target,
    sides: SplitRows,
    *,
    key: Sequence[str],
    chosen: ModelSettings,
) -> Conformal:
    """Intervals or sets from rows that neither the fit nor the calibration has seen."""
    some = sample_rows(
        sides.conformal,
        key=key,
        seed=chosen.seed,
        expected=sides.counts["conformal"],
        limit=chosen.judged_rows,
    )
    found = scores_of(model, features, some, target, day=DAY, limit=chosen.judged_rows)
    if target.task is Task.BINARY:
        return calibrate_sets(found["label"], found["score"], coverage=chosen.coverage)
    # As many ranges of predictions as have a hundred rows each, ten at most: errors grow with what is
    # predicted.
    parts = max(1, min(10, len(found["label"]) // 100))
    return calibrate_regression(
        found["label"],
        found["score"],
        coverage=chosen.coverage,
        minimum=target.minimum,
        maximum=target.maximum,
        parts=parts,
    )


def _covered(conformal: Conformal, finals: FinalModels, chosen: ModelSettings) -> Interval:
    """The share of test rows whose label is within, with its bootstrap interval by customer."""
    within = conformal.covered(finals.labels, finals.of[WINNER].scores).astype(np.float64)
    (held,), draws = arranged(
        within, clusters=finals.customers, replicates=chosen.bootstrap, seed=chosen.seed
    )
    return interval(
        float(held.mean()), draws.evaluate(lambda w: float((w * held).sum() / w.sum())), confidence=0.95
    )


def _profits(finals: FinalModels, chosen: ModelSettings) -> tuple[Profit, ...]:
    """The profit of contacts on the test rows: at the configured value first, then at the others that are to
    be told.
    """
    if finals.target.task is not Task.BINARY:
        return ()
    return profits(
        finals.labels,
        finals.of[WINNER].scores,
        values=(chosen.value, *(v for v in chosen.values if v != chosen.value)),
        cost=chosen.cost,
        success=chosen.success,
        clusters=finals.customers,
        replicates=chosen.bootstrap,
        seed=chosen.seed,
    )


def _looked_at(context: RunContext, features: Sequence[Feature], target: Target) -> list[str]:
    """The key, the day, the target, the features, the protected fields: Spark plans a pipeline over few
    columns much quicker.
    """
    protected = (a.name for a in audit.attributes(context.contract))
    return list(
        dict.fromkeys(
            [*context.contract.entity.key, DAY, target.name, *(f.name for f in features), *protected]
        )
    )


def _explainer(context: RunContext, model: PipelineModel, target: Target, rows: DataFrame) -> Explainer:
    place = f"{context.settings.lake.scratch_root}/{uuid.uuid4().hex}"
    try:
        return explainer_of(model, target=target, spark=context.spark, scratch=place, background=rows)
    finally:
        delete_directory(context.spark, place)


def _fairness(
    context: RunContext, scored: DataFrame, target: Target, conformal: Conformal, earned: Sequence[Profit]
) -> Fairness:
    """Figures of every group of the protected attributes, on the test side; `covered` by what the intervals
    or sets hold.
    """
    label = column_named(target.name).cast("double")
    if target.task is Task.BINARY:
        held = with_set(scored, conformal, name="__set").withColumn(
            "__covered", F.array_contains("__set", label.cast("int"))
        )
    else:
        held = with_interval(scored, conformal, low="__low", high="__high")
        held = held.withColumn("__covered", (label >= F.col("__low")) & (label <= F.col("__high")))
    return audit.audit_fairness(
        held.withColumn("__label", label),
        target=target,
        protected=audit.attributes(context.contract),
        smallest=context.settings.models.smallest_group,
        label="__label",
        covered="__covered",
        threshold=earned[0].chosen if earned else None,
    )


def _proxies(
    context: RunContext, features: Sequence[Feature], sides: SplitRows, chosen: ModelSettings
) -> tuple[Proxy, ...]:
    """How well the model's features tell who is in a protected group, on at most PROXIED test rows. One job."""
    protected = audit.attributes(context.contract)
    if not protected:
        return ()
    many, names = sides.counts["test"], [f.name for f in features]
    some = sample_rows(
        sides.test, key=context.contract.entity.key, seed=chosen.seed, expected=many, limit=PROXIED
    )
    numbers = {
        f.name: column_named(f.name) if f.categorical else column_named(f.name).cast("double")
        for f in features
    }
    groups = [a.group().alias(f"g{i}") for i, a in enumerate(protected)]
    values = [numbers[n].alias(f"f{i}") for i, n in enumerate(names)]
    table = to_arrow(some.select(HASH, F.unix_date(DAY).alias("day"), *values, *groups))
    table = table.sort_by([(HASH, "ascending"), ("day", "ascending")])
    columns = {n: table.column(f"f{i}").to_numpy() for i, n in enumerate(names)}
    found = []
    for i, attribute in enumerate(protected):
        try:
            found.append(
                proxy_test(
                    columns,
                    table.column(f"g{i}").to_pylist(),
                    attribute=attribute.name,
                    keys=table.column(HASH).to_numpy(),
                    smallest=chosen.smallest_group,
                    replicates=chosen.bootstrap,
                    seed=chosen.seed,
                )
            )
        except InputError as e:
            log.say(
                f"no proxy test of {attribute.name} on {table.num_rows:,} test rows: {e.message}",
                level="warning",
            )
    return tuple(found)


def _gates(
    finals: FinalModels,
    conformal: Conformal,
    covered: Interval,
    findings: Sequence[LeakFinding],
    chosen: ModelSettings,
) -> tuple[ModelGate, ...]:
    headline = HEADLINE[finals.target.task].name
    model, baseline = (finals.of[name].metrics[headline] for name in (WINNER, BASELINE))
    gain = finals.gain(WINNER, BASELINE, chosen=chosen)
    assert model is not None
    assert baseline is not None
    assert gain is not None
    found = [
        beats_baseline(model, baseline, gain),
        covers(conformal, covered),
        is_free_of_leaks([str(f) for f in findings if f.stops]),
    ]
    ece = finals.of[WINNER].metrics.get("ece")
    return tuple(found if ece is None else [*found, is_calibrated(ece)])
