"""Hold a Great Expectations 1.x suite: read from its JSON strictly, written back without loss.

No Spark, no GX.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from engage_spark.contract import Severity
from engage_spark.errors import InputError
from engage_spark.wording import counted

PARAMETER = "$PARAMETER"
SUITE_KEYS = frozenset({"name", "id", "expectations", "suite_parameters", "meta", "notes"})
EXPECTATION_KEYS = frozenset(
    {
        "type",
        "kwargs",
        "id",
        "meta",
        "severity",
        "notes",
        "description",
        "rendered_content",
        "expectation_context",
    }
)


@dataclass(frozen=True, kw_only=True)
class Expectation:
    """One expectation as declared.

    `id` is its own, or follows from what it says and where it stands.
    """

    type: str
    kwargs: Mapping[str, Any]
    id: str
    severity: Severity = Severity.CRITICAL
    meta: Mapping[str, Any] = field(default_factory=dict)
    notes: str | Sequence[str] | None = None
    description: str | None = None

    def as_json(self) -> dict[str, Any]:
        """Return the expectation as GX writes it into suites and results."""
        texts = {"notes": self.notes, "description": self.description}
        return {
            "type": self.type,
            "kwargs": dict(self.kwargs),
            "meta": dict(self.meta),
            "severity": self.severity.value,
            "id": self.id,
            **{k: v for k, v in texts.items() if v is not None},
        }


@dataclass(frozen=True, kw_only=True)
class Suite:
    """A suite as declared.

    `parameters` are the values for `{"$PARAMETER": name}` in the expectations' kwargs.
    """

    name: str
    expectations: tuple[Expectation, ...]
    id: str | None = None
    parameters: Mapping[str, Any] = field(default_factory=dict)
    meta: Mapping[str, Any] = field(default_factory=dict)
    notes: str | Sequence[str] | None = None

    def as_json(self) -> dict[str, Any]:
        """Return the suite as GX writes it; `ExpectationSuite(**suite.as_json())` takes it."""
        return {
            "name": self.name,
            "id": self.id,
            "expectations": [e.as_json() for e in self.expectations],
            "suite_parameters": dict(self.parameters),
            "meta": dict(self.meta),
            "notes": self.notes,
        }

    def with_parameters(self, values: Mapping[str, Any]) -> Suite:
        """Return the suite with these values added; they win over its own."""
        return replace(self, parameters={**self.parameters, **values})


def identity(*parts: Any) -> str:
    """Return a UUID-shaped id that follows from its parts (the first 128 bits of their SHA-256), the same on
    every run.
    """
    digest = hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()
    return "-".join((digest[:8], digest[8:12], digest[12:16], digest[16:20], digest[20:32]))


def parse_suite(text: str, *, origin: str) -> Suite:
    """Read the JSON of a GX 1.x suite.

    Errors: ONE InputError that lists everything that is wrong with it as a suite; what an expectation demands
    is looked at later, one by one, since an expectation that cannot be run is a failed result and not a
    broken file.
    """
    try:
        raw = json.loads(text)
    except (ValueError, RecursionError) as e:
        raise InputError(
            f"{origin} is not JSON: {e}", hint="give the suite as Great Expectations saves it"
        ) from None
    if not isinstance(raw, dict):
        raise InputError(
            f"{origin} holds no suite but {_kind(raw)}", hint="give the suite as Great Expectations saves it"
        )
    if "expectation_suite_name" in raw:
        raise InputError(
            f"{origin} is a suite of Great Expectations 0.x",
            hint="open and save it with GX 1.x, whose form this reads",
        )
    problems = [f"unknown key {key!r}" for key in sorted(set(raw) - SUITE_KEYS)]
    if not isinstance(raw.get("name"), str) or not raw["name"]:
        problems.append("name: must be a text")
    for key in ("suite_parameters", "meta"):
        if not isinstance(raw.get(key) or {}, dict):
            problems.append(f"{key}: must be an object, found {_kind(raw[key])}")
    listed = raw.get("expectations")
    if not isinstance(listed, list):
        problems.append(f"expectations: must be a list, found {_kind(listed)}")
        listed = []
    expectations = [_expectation(item, i, problems) for i, item in enumerate(listed)]
    ids = [item["id"] for item in listed if isinstance(item, dict) and item.get("id")]
    problems += [
        f"id {one!r} is given to {ids.count(one)} expectations"
        for one in sorted({g for g in ids if ids.count(g) > 1})
    ]
    if problems:
        raise InputError(
            f"{origin} has {counted(len(problems), 'violation')} of the form of a suite",
            details=problems,
            hint="correct the JSON, or save the suite again with Great Expectations 1.x",
        )
    return Suite(
        name=raw["name"],
        id=raw.get("id"),
        expectations=tuple(e for e in expectations if e is not None),
        parameters=raw.get("suite_parameters") or {},
        meta=raw.get("meta") or {},
        notes=raw.get("notes"),
    )


def _expectation(item: Any, i: int, problems: list[str]) -> Expectation | None:
    at = f"expectations[{i}]"
    if not isinstance(item, dict):
        problems.append(f"{at}: must be an object, found {_kind(item)}")
        return None
    wrong = [f"{at}: unknown key {key!r}" for key in sorted(set(item) - EXPECTATION_KEYS)]
    if not isinstance(item.get("type"), str) or not item["type"]:
        wrong.append(f"{at}: type must be a text")
    if not isinstance(item.get("kwargs"), dict):
        wrong.append(f"{at}: kwargs must be an object, found {_kind(item.get('kwargs'))}")
    if item.get("severity") not in (None, *(s.value for s in Severity)):
        wrong.append(f"{at}: severity must be one of {', '.join(Severity)}, found {item['severity']!r}")
    if not isinstance(item.get("meta") or {}, dict):
        wrong.append(f"{at}: meta must be an object, found {_kind(item['meta'])}")
    problems += wrong
    if wrong:
        return None
    return Expectation(
        type=item["type"],
        kwargs=item["kwargs"],
        id=item.get("id") or identity(i, item["type"], item["kwargs"]),
        severity=Severity(item.get("severity") or Severity.CRITICAL),
        meta=item.get("meta") or {},
        notes=item.get("notes"),
        description=item.get("description"),
    )


def _kind(value: Any) -> str:
    names = {
        dict: "an object",
        list: "a list",
        str: "a text",
        bool: "true or false",
        int: "a number",
        float: "a number",
    }
    return names.get(type(value), "nothing")
