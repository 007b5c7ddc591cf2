"""Fill the model card of a training."""

from __future__ import annotations

from collections.abc import Iterator

from engage_spark.lake import code_version
from engage_spark.ml.evaluation.metrics import HEADLINE, metrics_of
from engage_spark.ml.evaluation.promotion import Decision, GateAnswer
from engage_spark.ml.fairness.group_metrics import ALL as EVERYBODY
from engage_spark.ml.fairness.group_metrics import GroupFigure
from engage_spark.ml.feature_spec import LeakPolicy, Task
from engage_spark.ml.report.card_parts import Alternative, AuditEntry, Scored, SelectedFeature
from engage_spark.ml.report.model_card import Card, selection_text
from engage_spark.ml.trained_target import TrainedTarget
from engage_spark.ml.training.calibration import MEAN, CalibrationMap
from engage_spark.ml.training.final_models import BASELINE, OTHER, UNPROTECTED, WINNER, FinalModel
from engage_spark.pipelines.context import RunContext, StageRun
from engage_spark.wording import counted, number


def card_of(
    context: RunContext, work: StageRun, t: TrainedTarget, decision: Decision, *, looks: int | None
) -> Card:
    """Return everything that the card needs. Pure: the same training gives the same card.

    `looks` counts the trainings that were judged on the test side, this one included; None: unknown.
    """
    contract, selection, plan = context.contract, t.comparison.selection, t.specs.main
    entity = contract.entity.title
    importance = {i.feature: i.mean_contribution for i in t.importance}
    frequency = {name: round(share * len(selection.folds)) for name, share in selection.frequency.items()}
    return Card(
        name=f"{contract.name}: {t.target.name}",
        version=f"of training {work.run_id[:12]}",
        target=t.target,
        description=contract.target_tables[t.target.name][t.target.name].description,
        policy=plan.policy,
        kind=t.final.candidate.name,
        parameters=tuple((k, str(v)) for k, v in t.final.candidate.params.items()),
        run=work.run_id,
        code=code_version(),
        contract=f"{contract.id} {contract.version}, `{contract.digest[:12]}`",
        settings=work.settings_digest[:12],
        uses=(f"to rank {entity} by {t.target.name}, and to read its interval or set beside it",),
        snapshots=tuple(map(str, t.snapshots.all)),
        tables=tuple(sorted((k, v[:12]) for k, v in work.inputs.items() if k != "targets")),
        parts=t.splits.parts,
        kept=tuple(
            SelectedFeature(name=f.name, importance=importance.get(f.name), folds=frequency.get(f.name))
            for f in t.final.features
        ),
        importance_is=_importance_is(t),
        eliminated=tuple(n for n in plan.names if n not in {f.name for f in t.final.features}),
        excluded=plan.excluded,
        selection=tuple(_selection(t)),
        candidates=tuple(_candidates(t)),
        searches=tuple(search.text for search in t.comparison.searches),
        judged=f"On {counted(len(t.finals.labels), 'row')} of the test split, which no model has seen.",
        scored=_scored(t, t.final),
        gains=tuple(
            (name, g)
            for name in (BASELINE,)
            if (g := t.finals.gain(WINNER, over=name, models=context.settings.models)) is not None
        ),
        calibration=_calibration(t, entity),
        conformal=t.conformal,
        coverage=_coverage(t),
        money=t.money,
        profits=t.profits,
        selected_from=t.selected_from,
        fairness=t.fairness,
        proxies=t.proxies,
        untested_proxies=t.untested_proxies,
        findings=tuple(
            AuditEntry(about=", ".join(f.columns), text=str(f), stops=f.stops) for f in t.findings
        ),
        versions=tuple(_versions(t)),
        limits=tuple(_limits(t, decision, looks, entity)),
        entity=entity,
    )


def _importance_is(t: TrainedTarget) -> str:
    return "mean size of its contribution, " + (
        "before calibration" if t.target.task is Task.BINARY else f"in {t.target.unit or 'units'}"
    )


def _scored(t: TrainedTarget, final: FinalModel) -> tuple[Scored, ...]:
    baseline = t.finals.by_role[BASELINE]
    intervals = ((m.name, final.metrics[m.name]) for m in metrics_of(t.target.task))
    return tuple(
        Scored(metric=name, model=value, baseline=baseline.metrics[name])
        for name, value in intervals
        if value is not None
    )


def _selection(t: TrainedTarget) -> Iterator[str]:
    selection = t.comparison.selection
    if selection.note:
        yield selection.note
    if selection.jaccard is not None:
        yield (
            f"The folds agree on their features to a Jaccard index of {selection.jaccard:.2f} (ranker: "
            f"{selection.ranker})."
        )
    if t.all_features is not None:
        metric = HEADLINE[t.target.task].name
        if (means := t.all_features.beside(t.comparison.winner, metric)) is not None:
            folds = counted(means.folds, "fold")
            yield (
                f"On {folds}, all {len(t.specs.main.features)} features give {metric} "
                f"{number(means.value)}, the selected ones {number(means.reference)}."
            )
    if t.selection_loss:
        yield selection_text(**vars(t.selection_loss))


def _candidates(t: TrainedTarget) -> Iterator[tuple[str, float, float]]:
    name = HEADLINE[t.target.task].name
    for e in t.comparison.results:
        yield e.candidate.name, e.mean(name), e.deviation(name)


def _calibration(t: TrainedTarget, entity: str) -> tuple[str, ...]:
    c = t.final.calibration
    if c is None:
        return ()
    compared = ", ".join(f"{loss:.4f} {method}" for method, loss in c.losses.items())
    reason = f"chosen by log-loss on folds left out ({compared})" if compared else "too few to compare"
    return (
        f"Calibrated by {_method(c, entity)} on {t.splits.counts['calibration']:,} rows kept for it: "
        f"{reason}. These rows can show no probability below {c.low:.2g} or above {c.high:.5g}, and none "
        f"is given.",
        *_calibrated_again(t, entity),
    )


def _calibrated_again(t: TrainedTarget, entity: str) -> Iterator[str]:
    c = t.serving.fitted.calibration
    if t.serving.is_refit and c is not None:
        yield (
            f"The model that serves is calibrated anew on the {entity} kept for it, by {_method(c, entity)}; "
            f"its probabilities lie between {c.low:.2g} and {c.high:.5g}."
        )


def _method(c: CalibrationMap, entity: str) -> str:
    if c.method == MEAN:
        return f"the mean (labels do not rise with the scores: all {entity} have nearly one probability)"
    return f"{c.method} regression"


def _coverage(t: TrainedTarget) -> tuple[tuple[str, GroupFigure], ...]:
    """Return the share of labels that are covered: of all rows, then by group of each protected field."""
    return tuple(
        ("all" if f.attribute == EVERYBODY else f"{f.attribute} {f.group}", f)
        for f in t.fairness.figures
        if f.metric == "coverage" and f.value is not None and len(f.attributes) == 1
    )


def _versions(t: TrainedTarget) -> Iterator[Alternative]:
    other = LeakPolicy.PERMISSIVE if t.specs.main.policy is LeakPolicy.STRICT else LeakPolicy.STRICT
    names = {
        OTHER: f"policy {other.value}",
        UNPROTECTED: "without the protected fields",
    }
    metric = HEADLINE[t.target.task].name
    for role, name in names.items():
        if (variant := t.variants.get(role)) is not None and (means := t.beside(variant)) is not None:
            yield Alternative(name=name, features=variant.n_features, metric=metric, **vars(means))


def _limits(t: TrainedTarget, decision: Decision, looks: int | None, entity: str) -> Iterator[str]:
    role = "provisional champion" if decision.is_provisional else "champion"
    yield f"Decision: {role if decision.promoted else 'not champion'}, {decision.reason}."
    days = "the days that it has learnt" if t.out_of_time is None else f"{t.snapshots.out_of_time}"
    yield f"Gates are taken on {len(t.judged.labels):,} rows of test {entity} on {days}."
    yield (
        f"Nobody knows how often models were judged on the test {entity}."
        if looks is None
        else f"Models were judged on these test {entity} in {counted(looks, 'training')}, "
        "this one included: the more they are, the likelier it is that the best of them is so by chance."
    )
    headline = HEADLINE[t.target.task]
    if undefined := t.comparison.undefined_folds(headline.name):
        folds = counted(undefined, "fold")
        yield f"{headline.title} is undefined on {folds}, so candidates are compared on the others."
    for name, reason in t.comparison.failed:
        yield f"Candidate {name} failed and was left out: {reason}"
    if t.comparison.stand_in:
        yield f"A constant stands in for the baseline of the contract, which failed: {t.comparison.stand_in}"
    for gate in t.gates:
        verdict = gate.verdict.upper() if gate.answer is GateAnswer.FAILED else gate.verdict
        yield f"Gate {gate.name} {verdict}: {gate.demand}; measured {gate.measured}."
    if t.fitted_rows.text:
        yield (
            f"It was fitted on {t.fitted_rows.text}. The {entity} were drawn by hash, rows of a rarer class "
            "kept and weighted; what the others would have taught it is lost."
        )
    yield _serving(t, entity)
    if t.out_of_time is None:
        yield (
            "One snapshot only: nothing is known of how it ages. A test out of time comes with the "
            "second matured snapshot."
        )
    else:
        name = HEADLINE[t.target.task].name
        newest = t.out_of_time.by_role[WINNER].metrics[name]
        if newest is not None:
            yield (
                f"Out of time, on {t.snapshots.out_of_time}: {name} {number(newest.value)} "
                f"[{number(newest.low)}, {number(newest.high)}]."
            )


def _serving(t: TrainedTarget, entity: str) -> str:
    """Say which model was judged, and which one serves."""
    serving, judged = t.serving, ", ".join(map(str, t.snapshots.train))
    if serving.coverage is None:
        why = f" Fitting it again on all matured days failed: {serving.failure}" if serving.failure else ""
        return f"The model that serves is the one that was judged, fitted on {judged}.{why}"
    promised, covered = t.conformal.coverage, serving.coverage
    drawn = f" ({serving.rows.text})" if serving.rows and serving.rows.text else ""
    short = "" if covered.low <= promised <= covered.high else f", which is not the promised {promised:.0%}"
    return (
        f"Judged was a model fitted on {judged}. The one that serves is the same candidate with the same "
        f"features, fitted again on the fit {entity} of {', '.join(map(str, serving.days))}{drawn}, with "
        f"its calibration and its intervals measured anew on their own {entity} of these days. Coverage on "
        f"the test {entity} of {serving.newest}: {covered.value:.1%} [{covered.low:.1%}, {covered.high:.1%}]"
        f"{short}. It has learnt that day's other {entity}, and none of these."
    )
