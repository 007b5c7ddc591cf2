"""Find the champions of the targets, and read what is stored beside a registered model."""

from __future__ import annotations

import json
from collections.abc import Sequence

from engage_spark.contract import Contract
from engage_spark.errors import ConfigurationError, NoChampionError
from engage_spark.ml.feature_meaning import changed_meanings
from engage_spark.ml.feature_spec import target_named, targets_of
from engage_spark.ml.scoring import Scorer
from engage_spark.tracking import CHAMPION, Champion, Tracker

SPLIT_RUNS = "split_runs"
"""Beside a model: the trainings that had put customers on their sides until then."""


def find_champions(
    tracker: Tracker, contract: Contract, targets: Sequence[str]
) -> tuple[list[Champion], tuple[str, ...]]:
    """Return the champions of the named targets, or of all targets that have one, and the targets without.

    What MLflow refuses is an error, not an absence.

    Errors: NoChampionError where a named target has none, or no target has any.
    """
    if targets:
        return [tracker.champion(target_named(contract, name).name) for name in dict.fromkeys(targets)], ()
    holders = {t.name: tracker.registry.holder(t.name, CHAMPION) for t in targets_of(contract)}
    absent = tuple(name for name, version in holders.items() if version is None)
    if len(absent) == len(holders):
        raise NoChampionError(
            f"there is no champion for any target of contract {contract.id!r} at {tracker.place.registry}",
            details=[
                f"{name}: no model named {tracker.registry.name(name)!r} has that alias" for name in absent
            ],
            hint=(
                "run `engage-spark train`; or choose a version by hand: `engage-spark models promote "
                "TARGET VERSION`"
            ),
        )
    return [tracker.registry.opened(version) for version in holders.values() if version is not None], absent


def require_graph_values(champions: Sequence[Champion], configured: str) -> None:
    """Refuse models that were trained on other graph values than the configured ones.

    Their columns have the same names, and not the same values.

    Errors: ConfigurationError with all such models.
    """
    trained_on = [(c, c.extras.get("graph_values")) for c in champions]
    refused = [(c, values) for c, values in trained_on if values != configured]
    if refused:
        kinds = {str(values) for _, values in refused if values is not None}
        either = f"set features.graph_values={kinds.pop()}, or train" if len(kinds) == 1 else "train"
        raise ConfigurationError(
            f"models were not trained on what features.graph_values={configured} gives",
            details=[
                f"{c.name} version {c.version} "
                + (
                    "does not say on which values it was trained"
                    if values is None
                    else f"was trained with features.graph_values={values}"
                )
                for c, values in refused
            ],
            hint=f"{either} the targets again with features.graph_values={configured}: `engage-spark train`",
        )


def meaning_changes(champion: Champion, contract: Contract, *, graph_values: str) -> tuple[str, ...] | None:
    """Say of each field that a model uses and that means something else now what has changed.

    Nulls: None where nothing is stored of what they meant, as with models of earlier releases.
    """
    stored = champion.extras.get("meaning")
    return None if stored is None else changed_meanings(stored, contract, graph_values=graph_values)


def require_same_meaning(
    champions: Sequence[Champion], contract: Contract, *, graph_values: str
) -> tuple[Champion, ...]:
    """Refuse models whose target or features mean something else now than in training.

    Returns the models that do not say what theirs meant.

    Errors: ConfigurationError with every such field of every model.
    """
    changes = [(c, meaning_changes(c, contract, graph_values=graph_values)) for c in champions]
    if changed := [f"{c.name} version {c.version}: {line}" for c, lines in changes for line in lines or ()]:
        raise ConfigurationError(
            f"models learnt their features by other definitions than those of contract {contract.id!r}",
            details=changed,
            hint="train the targets again: `engage-spark train`; or score by the contract that they learnt",
        )
    return tuple(c for c, lines in changes if lines is None)


def scorer_of(champion: Champion) -> Scorer:
    """Return the scorer that was stored beside a registered model.

    Errors: ConfigurationError where nothing is stored, or it cannot be read.
    """
    if "scorer" not in champion.extras:
        raise ConfigurationError(
            f"model {champion.name!r} version {champion.version} has nothing stored beside it to score with",
            hint=(
                "it was not registered by `engage-spark train`: train the target, or promote "
                "a version that was"
            ),
        )
    return Scorer.from_json(
        json.dumps(champion.extras["scorer"]), model_name=champion.name, model_version=str(champion.version)
    )
