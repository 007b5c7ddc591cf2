"""Render the results of training, scoring and the model registry."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator

from engage_spark.cli.render.summary import Renderers, Summary, summary, table
from engage_spark.pipelines.results import (
    MetricEstimate,
    ModelResult,
    ModelsResult,
    ModelSummary,
    PromoteResult,
    ScoreResult,
    SelectionCost,
    SendResult,
    TargetModels,
    TrainedModel,
    TrainResult,
    VariantOnFolds,
)
from engage_spark.wording import counted, number

WIDTH = 54
"""Columns that are left beside the name of a target on a terminal of 80."""
HEADLINE_FACTS = ("candidate", "metric", "value", "low", "high", "failed_gates", "unshown_gates")
"""Tags of a version that are shown in words, so not once more as they are."""


def render_train(result: TrainResult) -> Summary:
    """Show each target's winner in words, and all its models on the test split in a table."""
    lines: list[tuple[str, str]] = []
    for t in result.targets:
        lines.append((t.target, f"{t.candidate} of {', '.join(t.candidates)}"))
        lines += [("", line) for text in _trained_texts(t) for line in textwrap.wrap(text, WIDTH)]
    rows = (
        (t.target if i == 0 else "", m.role, f"{m.features}", _test_text(t, m.headline))
        for t in result.targets
        for i, m in enumerate(t.models)
    )
    looks = {
        "cards and plots": result.viewer,
        "then open" if result.viewer else "cards and plots": result.page,
    }
    places = dict(result.locations) | {name: how for name, how in looks.items() if how}
    return summary(
        result,
        lines=tuple(lines),
        table=table(("target", "model", "features", "on the test split"), rows),
        locations=places,
    )


def _test_text(trained: TrainedModel, estimate: MetricEstimate | None) -> str:
    if estimate is None:
        metric = next((m.headline.metric for m in trained.models if m.headline), "")
        return f"{metric} –"
    return f"{estimate.metric} {_estimate_text(estimate)}"


def _estimate_text(e: MetricEstimate) -> str:
    """Return a value with its interval as the card has them: 3,750 [3,421, 4,112]."""
    return f"{number(e.value)} [{number(e.low)}, {number(e.high)}]"


def _trained_texts(t: TrainedModel) -> Iterator[str]:
    champion = "provisional champion" if t.provisional else "champion"
    role = champion if t.promoted else "challenger"
    yield f"version {t.version}, {role}: {t.reason}"
    for name, reason in t.failed_candidates:
        yield f"{name} failed and was left out: {reason}"
    if t.fitted_rows < t.rows_to_fit:
        share = t.fitted_rows / t.rows_to_fit
        yield f"fitted on {t.fitted_rows:,} of {t.rows_to_fit:,} rows ({share:.1%}; models.fit_rows)"
    if t.r_squared is not None:
        yield f"R² {_estimate_text(t.r_squared)}"
    yield f"{t.coverage:.0%} intervals or sets hold {t.covered:.1%} of the test labels"
    if t.calibration_error is not None:
        yield f"calibration error {t.calibration_error:.3f}"
        yield _decision_text(t)
    if (newest := t.out_of_time) is not None:
        days = ", ".join(map(str, t.out_of_time_days))
        yield f"out of time, on {days}: {newest.metric} {_estimate_text(newest)}"
        if set(t.serving_days) & set(t.out_of_time_days):
            yield f"serves: the same, fitted again on {', '.join(map(str, t.serving_days))}"
    for v in t.variants:
        yield _variant_text(t, v)
    if t.stand_in:
        yield f"a constant stands in for the baseline, which failed: {t.stand_in}"
    elif not t.beats_baseline:
        yield "its interval and the baseline's overlap"
    if t.selection_cost is not None:
        yield _selection_text(t.selection_cost)
    yield from t.unaudited


def _variant_text(t: TrainedModel, v: VariantOnFolds) -> str:
    of = f"{v.metric} {number(v.value)} with {counted(v.features, 'feature')}"
    own = f"{number(v.reference)} of this one with {t.models[0].features}"
    return f"{v.role}, on {counted(v.folds, 'fold')}: {of}, {own}"


def _decision_text(t: TrainedModel) -> str:
    """Say from which probability a contact pays, and whose figures that follows from."""
    if t.threshold is None:
        return "no decision: the contract declares no money of this target"
    pays = f"contact from p = {t.threshold:.2f} on" if t.threshold <= 1 else "no contact pays"
    return f"{pays} (money: {t.money_source})"


def _selection_text(cost: SelectionCost) -> str:
    from engage_spark.ml.report.model_card import selection_text

    return selection_text(
        cost.lost,
        metric=cost.metric,
        n_features=cost.features,
        n_all_features=cost.offered,
        ranker=cost.ranker,
    )


def render_score(result: ScoreResult) -> Summary:
    """Show the champions, and rows by snapshot and target."""
    rows = ((str(s.snapshot_date), s.target, f"{s.rows:,}", f"{s.seconds:.1f}") for s in result.snapshots)
    return summary(
        result,
        lines=tuple((c.target, f"{c.candidate} version {c.version}") for c in result.champions),
        table=table(("snapshot", "target", "rows", "seconds"), rows),
    )


def render_models(result: ModelsResult) -> list[Summary]:
    """Show champion and challenger of every target, then the runs that MLflow has not got yet."""
    targets = [
        Summary(
            stage=t.target,
            seconds=0.0,
            lines=(*_target_lines(t), ("versions", f"{t.versions}")) if t.versions else (),
            notes=() if t.champion else (_no_champion_text(t),),
        )
        for t in result.targets
    ]
    if result.not_sent:
        targets.append(
            Summary(
                stage="not sent yet",
                seconds=0.0,
                locations={str(i): folder for i, folder in enumerate(result.not_sent, 1)},
                notes=("`engage-spark models send FOLDER` brings such a run to MLflow",),
            )
        )
    return targets


def _target_lines(t: TargetModels) -> Iterator[tuple[str, str]]:
    for role, version in (("champion", t.champion), ("challenger", t.challenger)):
        if version is not None:
            yield from _version_lines(role, version)


def _version_lines(role: str, m: ModelSummary) -> Iterator[tuple[str, str]]:
    """Yield a version in three lines, each within 80 columns."""
    days = m.facts.get("snapshots", "-").split(", ")
    on = ", ".join(days) if len(days) <= 3 else f"{len(days)} snapshots, {days[0]} to {days[-1]}"
    provisional = ", provisional" if m.provisional else ""
    yield role, f"version {m.version}{provisional}: {m.candidate or '-'}, {headline_text(m.headline)}"
    yield "", f"trained {m.created:%Y-%m-%d %H:%M} UTC on {on}"
    policy = m.facts.get("policy", "unknown")
    yield (
        "",
        f"policy {policy}; gates {_gates_text(m)}" + ("; promoted by force" if "forced" in m.facts else ""),
    )


def _no_champion_text(t: TargetModels) -> str:
    if not t.versions:
        return "no model yet; `engage-spark train` makes one"
    command = f"`engage-spark models promote {t.target} VERSION`"
    return f"no champion; {command} chooses one of the versions up to {t.newest}"


def headline_text(estimate: MetricEstimate | None) -> str:
    """Return the metric that versions are compared by, with its interval."""
    if estimate is None:
        return "-"
    return f"{estimate.metric} {_estimate_text(estimate)}"


def _gates_text(m: ModelSummary) -> str:
    if m.failed_gates:
        return f"failed: {', '.join(m.failed_gates)}"
    return f"not shown: {', '.join(m.unshown_gates)}" if m.unshown_gates else "passed"


def render_model(result: ModelResult) -> list[Summary]:
    """Show one version: what it is, its features, parameters and metrics."""
    m = result.model
    others = sorted((k.replace("_", " "), v) for k, v in m.facts.items() if k not in HEADLINE_FACTS)
    first = summary(
        result,
        lines=(
            ("role", ", ".join(m.aliases) or "-"),
            ("candidate", m.candidate or "-"),
            ("headline", headline_text(m.headline)),
            ("gates", _gates_text(m) + ("; provisional" if m.provisional else "")),
            ("registered", f"{m.created:%Y-%m-%d %H:%M} UTC"),
            *others,
        ),
    )
    metrics = tuple((name, number(value, 6)) for name, value in sorted(result.metrics.items()))
    parts = (
        (counted(len(result.features), "feature"), ("feature", "type"), result.features),
        ("parameters", ("parameter", "value"), tuple(sorted(result.parameters.items()))),
        ("metrics", ("metric", "value"), metrics),
    )
    return [
        first,
        *(Summary(stage=name, seconds=0.0, table=(headers, rows)) for name, headers, rows in parts if rows),
    ]


def render_promote(result: PromoteResult) -> Summary:
    """Show the new champion, what was before, and whether it was forced."""
    m = result.champion
    failed = ", ".join(m.failed_gates)
    unshown = f"it is provisional: its rows could not tell of {', '.join(m.unshown_gates)}"
    return summary(
        result,
        lines=(
            ("champion", f"version {m.version}: {m.candidate or '-'}, {headline_text(m.headline)}"),
            ("before", "none" if result.replaced is None else f"version {result.replaced}"),
        ),
        more_notes=(
            *((f"it did not pass its gates ({failed}) and was forced; its tags say so",) if failed else ()),
            *((unshown,) if m.provisional else ()),
        ),
    )


def render_send(result: SendResult) -> Summary:
    """Show the version that a kept run became."""
    model = "none in this run" if result.version is None else f"{result.name} version {result.version}"
    advice = f"`engage-spark models promote {result.target} {result.version}` makes it champion"
    return summary(
        result,
        lines=(("model", model),),
        more_notes=(advice,) if result.version is not None and not result.aliases else (),
    )


RENDERERS: Renderers = {
    TrainResult: render_train,
    ScoreResult: render_score,
    ModelsResult: render_models,
    ModelResult: render_model,
    PromoteResult: render_promote,
    SendResult: render_send,
}
