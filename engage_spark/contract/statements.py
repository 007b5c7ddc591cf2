"""Declare what a contract says of the data beyond its fields, indicators and claims, and read them."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class OverTime(StrEnum):
    """What a number is over days: a stock, or a count over the days before, which never adds up."""

    STOCK = "stock"
    ROLLING = "rolling"


class AnalyticsUse(StrEnum):
    """What analytics does with a field. VALUE: a metric that cohorts show as well."""

    METRIC = "metric"
    DIMENSION = "dimension"
    COHORT = "cohort"
    QUARTILES = "quartiles"
    VALUE = "value"


class Aim(StrEnum):
    """Whether a rule is meant to go with high or with low values of a target."""

    HIGH = "high"
    LOW = "low"


class ClaimKind(StrEnum):
    """How a claim is measured.

    A contract declares the first eleven; the others follow from what it declares of fields and tables.
    """

    RATIO = "ratio"
    GROUP_MEAN = "group_mean"
    HIGHEST = "highest"
    DIFFERENCE = "difference"
    MEAN_ABOVE = "mean_above"
    MEAN_BETWEEN = "mean_between"
    SHARE = "share"
    SHAPE = "shape"
    CUSTOMERS = "customers"
    GATE = "gate"
    UNMEASURABLE = "unmeasurable"
    REFERENCE_MEAN = "reference_mean"
    REFERENCE_SHARE = "reference_share"
    RULES = "rules"
    MISSING = "missing"


class Shape(StrEnum):
    """The form of a distribution."""

    NORMAL = "normal"
    RIGHT_SKEWED = "right_skewed"
    LONG_TAILED = "long_tailed"
    POWER_LAW = "power_law"
    PEAKS_BETWEEN = "peaks_between"


@dataclass(frozen=True, kw_only=True)
class Indicator:
    """A named rule on a row that is meant to point to a target: an SQL boolean, null where it is unknown."""

    name: str
    version: int
    expression: str
    description: str
    aim: str
    direction: Aim


@dataclass(frozen=True, kw_only=True)
class Claim:
    """A statement about the data, as declared; what `kind` needs is in `arguments`."""

    name: str
    version: int
    statement: str
    source: str
    kind: ClaimKind
    arguments: tuple[tuple[str, Any], ...] = ()

    def argument(self, name: str) -> Any:
        """Return an argument; None where it is not given."""
        return dict(self.arguments).get(name)


_TEXTS = ("metric", "group", "rest", "dimension", "segment", "expression", "table", "gate", "reason", "shape")
_NUMBERS = ("claimed", "above", "low", "high")
_FLAGS = ("complement",)
ARGUMENTS: Mapping[ClaimKind, tuple[tuple[str, ...], tuple[str, ...]]] = {
    ClaimKind.RATIO: (("metric", "group", "claimed"), ("rest", "complement")),
    ClaimKind.GROUP_MEAN: (("metric", "group", "claimed"), ("complement",)),
    ClaimKind.HIGHEST: (("metric", "dimension", "segment"), ("complement",)),
    ClaimKind.DIFFERENCE: (("metric", "group", "low", "high"), ("rest", "complement")),
    ClaimKind.MEAN_ABOVE: (("expression", "above"), ()),
    ClaimKind.MEAN_BETWEEN: (("metric", "low", "high"), ("complement",)),
    ClaimKind.SHARE: (("expression", "claimed"), ()),
    ClaimKind.SHAPE: (("metric", "shape"), ("low", "high")),
    ClaimKind.CUSTOMERS: (("claimed",), ()),
    ClaimKind.GATE: (("table", "gate"), ()),
    ClaimKind.UNMEASURABLE: (("reason",), ()),
}
"""Of each kind that a contract can declare, the arguments that it needs, and those that it may have."""
_INDICATOR_KEYS = ("name", "version", "expression", "description", "aim", "direction")
_CLAIM_KEYS = ("name", "version", "statement", "source", "kind")
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")


def read_indicators(at: str, value: Any, problems: list[str]) -> tuple[Indicator, ...]:
    """Read the property `indicators`; what is wrong goes to `problems`, and such an indicator is left out."""
    indicators = []
    for here, entry in _entries(at, "indicators", value, problems):
        wrong = _wrong_keys(entry, _INDICATOR_KEYS, ())
        wrong += _wrong_texts(entry, ("expression", "description", "aim"))
        if "direction" in entry and entry["direction"] not in tuple(Aim):
            wrong.append(f"direction must be one of {', '.join(Aim)}, found {entry['direction']!r}")
        problems += [f"{here}: {x}" for x in wrong]
        if not wrong:
            indicators.append(Indicator(**{**entry, "direction": Aim(entry["direction"])}))
    return tuple(indicators)


def read_claims(at: str, value: Any, problems: list[str]) -> tuple[Claim, ...]:
    """Read the property `claims`; what is wrong goes to `problems`, and such a claim is left out."""
    claims = []
    for here, entry in _entries(at, "claims", value, problems):
        kind = entry.get("kind")
        if kind not in tuple(ARGUMENTS):
            problems.append(f"{here}: kind must be one of {', '.join(ARGUMENTS)}, found {kind!r}")
            continue
        needed, optional = ARGUMENTS[ClaimKind(kind)]
        wrong = _wrong_keys(entry, (*_CLAIM_KEYS, *needed), optional)
        wrong += _wrong_texts(entry, ("statement", "source", *_TEXTS))
        wrong += [
            f"{name} must be a finite number, found {entry[name]!r}"
            for name in _NUMBERS
            if name in entry and not _is_number(entry[name])
        ]
        wrong += [
            f"{name} must be true or false, found {entry[name]!r}"
            for name in _FLAGS
            if name in entry and not isinstance(entry[name], bool)
        ]
        wrong = wrong or _wrong_arguments(ClaimKind(kind), entry)
        problems += [f"{here}: {x}" for x in wrong]
        if not wrong:
            common = {key: entry[key] for key in _CLAIM_KEYS}
            arguments = tuple((key, entry[key]) for key in (*needed, *optional) if key in entry)
            claims.append(Claim(**{**common, "kind": ClaimKind(kind)}, arguments=arguments))
    return tuple(claims)


def _entries(at: str, what: str, value: Any, problems: list[str]) -> list[tuple[str, dict[str, Any]]]:
    """Return the mappings of a list, each with where it stands."""
    if value is None:
        return []
    if not isinstance(value, list):
        problems.append(f"{at}: {what} must be a list of mappings, found {type(value).__name__}")
        return []
    entries = []
    for i, entry in enumerate(value, 1):
        if isinstance(entry, dict):
            entries.append((f"{at}, {what} {str(entry.get('name', i))[:100]!r}", entry))
        else:
            problems.append(f"{at}: {what} {i} must be a mapping, found {type(entry).__name__}")
    return entries


def _wrong_keys(entry: Mapping[str, Any], needed: tuple[str, ...], optional: tuple[str, ...]) -> list[str]:
    known = (*needed, *optional)
    wrong = [f"{key} is missing" for key in needed if key not in entry]
    wrong += [f"unknown key {key!r}, known are {', '.join(known)}" for key in entry if key not in known]
    name, version = entry.get("name"), entry.get("version")
    if "name" in entry and not (isinstance(name, str) and len(name) <= 100 and _NAME.fullmatch(name)):
        wrong.append(
            f"name must be a letter, then letters, digits and underscores, found {str(name)[:100]!r}"
        )
    if "version" in entry and (isinstance(version, bool) or not isinstance(version, int) or version < 1):
        wrong.append(f"version must be a whole number from 1 on, found {version!r}")
    return wrong


def _wrong_texts(entry: Mapping[str, Any], names: tuple[str, ...]) -> list[str]:
    return [
        f"{name} must be a text that is not empty, found {entry[name]!r}"
        for name in names
        if name in entry and not (isinstance(entry[name], str) and entry[name].strip())
    ]


def _is_number(value: Any) -> bool:
    return not isinstance(value, bool) and isinstance(value, int | float) and math.isfinite(value)


def _wrong_arguments(kind: ClaimKind, entry: Mapping[str, Any]) -> list[str]:
    """Say what is wrong with arguments of the right types."""
    wrong = []
    claimed: Any = entry.get("claimed")
    if kind is ClaimKind.RATIO and claimed <= 1:
        wrong.append(f"claimed {claimed:g} must be above 1; for a smaller mean swap group and rest")
    if kind is ClaimKind.SHARE and not 0 <= claimed <= 1:
        wrong.append(f"claimed {claimed:g} must be a share, 0 to 1")
    if kind is ClaimKind.CUSTOMERS and (claimed < 1 or claimed != int(claimed)):
        wrong.append(f"claimed {claimed:g} must be a whole number of customers")
    if kind is ClaimKind.SHAPE:
        shape = entry["shape"]
        if shape not in tuple(Shape):
            wrong.append(f"shape must be one of {', '.join(Shape)}, found {shape!r}")
        has_range = "low" in entry and "high" in entry
        if (shape == Shape.PEAKS_BETWEEN) != has_range or ("low" in entry) != ("high" in entry):
            wrong.append(f"low and high belong to the shape {Shape.PEAKS_BETWEEN}, both")
    if "low" in entry and "high" in entry and entry["low"] >= entry["high"]:
        wrong.append(f"low {entry['low']:g} must be below high {entry['high']:g}")
    return wrong
