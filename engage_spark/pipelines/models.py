"""Models: what is registered for each target, one version in full, and who is champion by hand. Needs no
Spark.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from engage_spark.contract import Contract
from engage_spark.errors import ConfigurationError
from engage_spark.ml.feature_spec import target_named, targets_of
from engage_spark.pipelines.results import Report
from engage_spark.settings import Settings
from engage_spark.tracking import CHALLENGER, CHAMPION, ModelVersion, Tracker


def run(settings: Settings, *, contract: Contract) -> Iterator[Report]:
    """Champion and challenger of every target of the contract, in its order. Two calls to MLflow per target."""
    tracker = Tracker(settings.tracking)
    for target in targets_of(contract):
        started = time.monotonic()
        versions = tracker.registry.versions(target.name)
        lines = [
            line
            for role in (CHAMPION, CHALLENGER)
            for v in versions
            if role in v.aliases
            for line in _lines(role, v)
        ]
        notes = (
            [] if any(CHAMPION in v.aliases for v in versions) else [_without_champion(target.name, versions)]
        )
        yield Report(
            stage=target.name,
            seconds=time.monotonic() - started,
            lines=(*lines, ("versions", f"{len(versions)}")) if versions else (),
            notes=tuple(notes),
        )
    yield from _kept(tracker)


def show(
    settings: Settings, *, contract: Contract, target: str, version: int | None = None
) -> Iterator[Report]:
    """One version (default: the champion, else the newest): facts, features, parameters, metrics, and where
    its files are.
    """
    started = time.monotonic()
    tracker = Tracker(settings.tracking)
    chosen = _chosen(tracker, target_named(contract, target).name, version)
    opened = tracker.registry.opened(chosen)
    record = tracker.registry.run_of(chosen)
    others = {
        k: v
        for k, v in chosen.facts.items()
        if k not in ("candidate", "metric", "value", "low", "high", "failed_gates")
    }
    yield Report(
        stage=f"{target} version {chosen.version}",
        seconds=time.monotonic() - started,
        lines=(
            ("role", ", ".join(chosen.aliases) or "-"),
            ("candidate", chosen.facts.get("candidate", "-")),
            ("headline", headline(chosen)),
            ("gates", gates(chosen)),
            ("registered", f"{chosen.created:%Y-%m-%d %H:%M} UTC"),
            *sorted((key.replace("_", " "), value) for key, value in others.items()),
        ),
        locations={"model": chosen.uri, "artefacts": record.artefacts, "MLflow's run": chosen.run_id},
    )
    yield Report(
        stage=f"{len(opened.features)} features", seconds=0.0, table=(("feature", "type"), opened.features)
    )
    if record.params:
        yield Report(
            stage="parameters",
            seconds=0.0,
            table=(("parameter", "value"), tuple(sorted(record.params.items()))),
        )
    if record.metrics:
        rows = tuple((name, f"{value:.6g}") for name, value in sorted(record.metrics.items()))
        yield Report(stage="metrics", seconds=0.0, table=(("metric", "value"), rows))


def promote(
    settings: Settings, *, contract: Contract, target: str, version: int, force: bool = False
) -> Report:
    """Make a version champion by hand. Raises GateError where it failed gates, unless forced; that is
    recorded on the version.
    """
    started = time.monotonic()
    tracker = Tracker(settings.tracking)
    chosen = tracker.registry.version(target_named(contract, target).name, version)
    before = tracker.registry.holder(chosen.target, CHAMPION)
    made = tracker.promote(chosen, reasons={"promoted": "by hand"}, force=force)
    was = "none" if before is None else f"version {before.version}"
    forced = (
        (f"it did not pass its gates ({', '.join(made.failed_gates)}) and was forced; its tags say so",)
        if made.failed_gates
        else ()
    )
    return Report(
        stage=f"promote {target}",
        seconds=time.monotonic() - started,
        lines=(
            ("champion", f"version {made.version}: {made.facts.get('candidate', '-')}, {headline(made)}"),
            ("before", was),
        ),
        notes=forced,
    )


def send(settings: Settings, *, folder: Path) -> Report:
    """Bring a run that was kept to MLflow and register its model. It gets no alias: whether it is to be
    champion was not decided.
    """
    started = time.monotonic()
    tracker = Tracker(settings.tracking)
    version = tracker.send(folder)
    note = (
        f"`engage-spark models promote {version.target} {version.version}` makes it champion"
        if version
        else ""
    )
    return Report(
        stage="send",
        seconds=time.monotonic() - started,
        lines=(("model", f"{version.name} version {version.version}" if version else "none in this run"),),
        locations={"MLflow": tracker.place.uri},
        notes=(note,) if version and not version.aliases else (),
    )


def headline(version: ModelVersion) -> str:
    """The metric that versions are compared by, with its interval."""
    facts = version.facts
    if "metric" not in facts:
        return "-"
    value, low, high = (float(facts[key]) for key in ("value", "low", "high"))
    return f"{facts['metric']} {value:.4g} [{low:.4g}, {high:.4g}]"


def gates(version: ModelVersion) -> str:
    """Whether all gates were passed, or which were not."""
    return "passed" if not version.failed_gates else f"failed: {', '.join(version.failed_gates)}"


def _lines(role: str, version: ModelVersion) -> Iterator[tuple[str, str]]:
    """A version in three lines, each within 80 columns."""
    days = version.facts.get("snapshots", "-").split(", ")
    on = ", ".join(days) if len(days) <= 3 else f"{len(days)} snapshots, {days[0]} to {days[-1]}"
    yield role, f"version {version.version}: {version.facts.get('candidate', '-')}, {headline(version)}"
    yield "", f"trained {version.created:%Y-%m-%d %H:%M} UTC on {on}"
    yield "", f"gates {gates(version)}" + ("; promoted by force" if "forced" in version.facts else "")


def _without_champion(target: str, versions: Sequence[ModelVersion]) -> str:
    if not versions:
        return "no model yet; `engage-spark train` makes one"
    return f"no champion; `engage-spark models promote {target} VERSION` chooses one of the versions up to {versions[-1].version}"


def _kept(tracker: Tracker) -> Iterator[Report]:
    if folders := tracker.kept():
        yield Report(
            stage="not sent yet",
            seconds=0.0,
            locations={str(i): str(folder) for i, folder in enumerate(folders, 1)},
            notes=("`engage-spark models send FOLDER` brings such a run to MLflow",),
        )


def _chosen(tracker: Tracker, target: str, number: int | None) -> ModelVersion:
    if number is not None:
        return tracker.registry.version(target, number)
    versions = tracker.registry.versions(target)
    if not versions:
        raise ConfigurationError(
            f"no model of {target!r} is registered at {tracker.place.registry}",
            hint="run `engage-spark train`",
        )
    return next((v for v in versions if CHAMPION in v.aliases), versions[-1])
