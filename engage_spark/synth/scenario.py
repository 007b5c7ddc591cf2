"""Read the story (`scenario.yaml`) into frozen dataclasses and check it against the contract. No Spark."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from importlib.resources import files
from pathlib import Path
from typing import Any

from engage_spark.contract.model import Table
from engage_spark.errors import ConfigurationError
from engage_spark.strict_yaml import load_yaml

SHAPES = ("normal", "lognormal", "logit", "shares", "binary", "hours")


@dataclass(frozen=True, kw_only=True)
class Story:
    """How one field is made; see the head of scenario.yaml."""

    name: str
    shape: str
    loads: tuple[tuple[str, float], ...]
    spread: float = 1.0
    zeros: float = 0.0
    decimals: int = 2
    floor: bool = False
    times: str | None = None
    plus: str | None = None
    part_of: str | None = None
    ceiling: float | None = None
    idle: tuple[str, int] | None = None
    weights: tuple[float, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Layer:
    """One cut of the customers into blocks, and its share of the mean degree."""

    block: int
    share: float


@dataclass(frozen=True, kw_only=True)
class GraphStory:
    """How connections, follows and interactions are made; see scenario.yaml."""

    layers: tuple[Layer, ...]
    sociability: Story
    following: Story
    outside_followers: Story
    circle_share: float
    community_share: float
    community_skew: float
    fame_trait: str
    fame_exponent: float
    largest_in_degree: int
    youth_skew: float
    interaction_weeks: int
    interactions_per_connection: float
    interaction_tail: float
    most_interactions: int
    kinds: tuple[tuple[str, float], ...]


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """The whole story. `roles` says which field plays which part; the code names no field itself."""

    traits: tuple[str, ...]
    prefix: str
    digits: int
    missing_share: float
    roles: Mapping[str, str]
    rolling: tuple[str, ...]
    stories: tuple[Story, ...]
    graph: GraphStory
    claims: tuple[Mapping[str, Any], ...] = field(default=())
    breaks: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


def _story(name: str, raw: Mapping[str, Any]) -> Story:
    options = {f.name for f in fields(Story)}
    unknown = sorted(set(raw) - options)
    if unknown:
        raise ConfigurationError(
            f"scenario: {name} has unknown options {unknown}",
            hint=f"the options are: {', '.join(sorted(options))}",
        )
    values = dict(raw)
    values["loads"] = tuple((k, float(v)) for k, v in values.get("loads", {"noise": 1}).items())
    values["weights"] = tuple(float(w) for w in values.get("weights", ()))
    if "idle" in values:
        values["idle"] = (values["idle"]["field"], int(values["idle"]["days"]))
    return Story(name=name, **values)


def _graph(raw: Mapping[str, Any]) -> GraphStory:
    values = dict(raw)
    values["layers"] = tuple(Layer(**layer) for layer in values["layers"])
    values["kinds"] = tuple((k, float(v)) for k, v in values["kinds"].items())
    for part in ("sociability", "following", "outside_followers"):
        values[part] = _story(part, {"shape": "lognormal", **values[part]})
    return GraphStory(**values)


def load_scenario(path: Path | None = None) -> Scenario:
    """Read a scenario file; None means the packaged one.

    Errors: ConfigurationError for unknown or missing options.
    """
    text = path.read_text() if path else files("engage_spark.synth").joinpath("scenario.yaml").read_text()
    raw = load_yaml(text)
    try:
        roles = dict(raw["roles"])
        rolling = tuple(roles.pop("rolling"))
        return Scenario(
            traits=tuple(raw["traits"]),
            prefix=raw["ids"]["prefix"],
            digits=int(raw["ids"]["digits"]),
            missing_share=float(raw["missing_share"]),
            roles=roles,
            rolling=rolling,
            stories=tuple(_story(name, spec) for name, spec in raw["fields"].items()),
            graph=_graph(raw["graph"]),
            claims=tuple(raw.get("claims", ())),
            breaks=raw.get("breaks", {}),
        )
    except (KeyError, TypeError) as error:
        raise ConfigurationError(
            f"the scenario is incomplete or malformed: {error}",
            hint="compare it with the packaged scenario.yaml",
        ) from error


def check_scenario(scenario: Scenario, table: Table) -> None:
    """Raise one ConfigurationError that names every disagreement between the story and the contract's entity
    table.
    """
    graph_fields = {scenario.roles[r] for r in ("connections", "following", "followers")}
    described = {s.name for s in scenario.stories} | graph_fields
    declared = {f.name for f in table.fields if not f.is_key and f.spark_type != "date"}
    problems = [f"no story for field {name}" for name in sorted(declared - described)]
    problems += [f"story for undeclared field {name}" for name in sorted(described - declared)]
    problems += [
        f"role {role} names undeclared field {name}"
        for role, name in scenario.roles.items()
        if name not in declared
    ]
    problems += [
        f"rolling counter {name} is not declared" for name in scenario.rolling if name not in declared
    ]
    for s in scenario.stories:
        if s.shape not in SHAPES:
            problems.append(f"{s.name}: unknown shape {s.shape}")
        problems += [
            f"{s.name}: unknown trait {t}" for t, _ in s.loads if t != "noise" and t not in scenario.traits
        ]
        if s.name not in declared:
            continue
        f = table[s.name]
        if s.shape in ("normal", "lognormal", "logit") and (
            f.reference_mean is None or f.minimum is None or f.maximum is None
        ):
            problems.append(f"{s.name}: the contract gives no mean or no range to calibrate to")
        if s.shape in ("shares", "binary") and not f.reference_shares:
            problems.append(f"{s.name}: the contract gives no shares")
    if problems:
        raise ConfigurationError(
            "the scenario does not fit the contract",
            hint="correct scenario.yaml or the contract",
            details=problems,
        )
