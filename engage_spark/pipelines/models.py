"""List registered models, show one, promote one by hand, send a kept run to MLflow. Needs no Spark."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

from engage_spark.contract import Contract
from engage_spark.errors import NoChampionError
from engage_spark.ml.feature_spec import target_named, targets_of
from engage_spark.pipelines.results import (
    MetricEstimate,
    ModelResult,
    ModelsResult,
    ModelSummary,
    PromoteResult,
    SendResult,
    TargetModels,
)
from engage_spark.settings import Settings
from engage_spark.tracking import CHALLENGER, CHAMPION, ModelVersion, Tracker


def list_models(settings: Settings, *, contract: Contract) -> ModelsResult:
    """List champion and challenger of every target of the contract, in its order. Cost: two calls to MLflow
    per target.
    """
    started = time.monotonic()
    tracker = Tracker(settings.tracking)
    targets = tuple(_models_of(t.name, tracker.registry.versions(t.name)) for t in targets_of(contract))
    return ModelsResult(
        stage="models",
        seconds=time.monotonic() - started,
        targets=targets,
        not_sent=tuple(map(str, tracker.unsent_runs())),
    )


def show_model(
    settings: Settings, *, contract: Contract, target: str, version: int | None = None
) -> ModelResult:
    """Return one version (default: the champion, else the newest): facts, features, parameters, metrics,
    places.
    """
    started = time.monotonic()
    tracker = Tracker(settings.tracking)
    model = _version(tracker, target_named(contract, target).name, version)
    opened = tracker.registry.opened(model)
    record = tracker.registry.run_of(model)
    return ModelResult(
        stage=f"{target} version {model.version}",
        seconds=time.monotonic() - started,
        locations={"model": model.uri, "artefacts": record.artefacts, "MLflow's run": model.run_id},
        model=summarize_version(model),
        features=tuple(opened.features),
        parameters=dict(record.params),
        metrics=dict(record.metrics),
    )


def promote_model(
    settings: Settings, *, contract: Contract, target: str, version: int, force: bool = False
) -> PromoteResult:
    """Make a version champion by hand.

    Errors: GateError where it failed gates, or is provisional and the champion's gates are shown (and not a
    strict one in place of a permissive one), unless forced, which is recorded on the version.
    """
    started = time.monotonic()
    tracker = Tracker(settings.tracking)
    model = tracker.registry.version(target_named(contract, target).name, version)
    previous = tracker.registry.holder(model.target, CHAMPION)
    champion = tracker.promote(model, reasons={"promoted": "by hand"}, force=force)
    return PromoteResult(
        stage=f"promote {target}",
        seconds=time.monotonic() - started,
        champion=summarize_version(champion),
        replaced=None if previous is None else previous.version,
    )


def send_run(settings: Settings, *, folder: Path) -> SendResult:
    """Bring a run that was kept locally to MLflow and register its model.

    It gets no alias: nothing has decided whether it is to be champion.
    """
    started = time.monotonic()
    tracker = Tracker(settings.tracking)
    model = tracker.send(folder)
    return SendResult(
        stage="send",
        seconds=time.monotonic() - started,
        locations={"MLflow": tracker.place.uri},
        target=model.target if model else None,
        name=model.name if model else None,
        version=model.version if model else None,
        aliases=tuple(model.aliases) if model else (),
    )


def summarize_version(model: ModelVersion) -> ModelSummary:
    """Return a registered version as plain data."""
    facts = model.facts
    headline = None
    if "metric" in facts:
        value, low, high = (float(facts[key]) for key in ("value", "low", "high"))
        headline = MetricEstimate(metric=facts["metric"], value=value, low=low, high=high)
    return ModelSummary(
        target=model.target,
        version=model.version,
        aliases=tuple(model.aliases),
        created=model.created,
        candidate=facts.get("candidate"),
        headline=headline,
        failed_gates=model.failed_gates,
        facts=dict(facts),
        unshown_gates=model.unshown_gates or (),
        provisional=model.is_provisional,
    )


def _models_of(target: str, versions: Sequence[ModelVersion]) -> TargetModels:
    by_role = {
        role: next((summarize_version(v) for v in versions if role in v.aliases), None)
        for role in (CHAMPION, CHALLENGER)
    }
    return TargetModels(
        target=target,
        champion=by_role[CHAMPION],
        challenger=by_role[CHALLENGER],
        versions=len(versions),
        newest=versions[-1].version if versions else None,
    )


def _version(tracker: Tracker, target: str, number: int | None) -> ModelVersion:
    if number is not None:
        return tracker.registry.version(target, number)
    versions = tracker.registry.versions(target)
    if not versions:
        raise NoChampionError(
            f"no model of {target!r} is registered at {tracker.place.registry}",
            hint="run `engage-spark train`",
        )
    return next((v for v in versions if CHAMPION in v.aliases), versions[-1])
