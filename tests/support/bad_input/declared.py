"""What a case is, how a test takes all cases of a group, and how its result is held against what the case
declares.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import pytest

from engage_spark.errors import EngageError


class Outcome(StrEnum):
    """What becomes of bad input."""

    REFUSED = "refused"
    REJECTED = "rejected"
    QUARANTINED = "quarantined"
    WARNED = "warned"
    ACCEPTED = "accepted"


@dataclass(frozen=True, kw_only=True)
class Case:
    """One case. `evidence`: fragments of the error where refused or rejected, names of the broken rules where
    quarantined or warned.

    `given` is what the group's test makes the input from; `note` says what is not plain from the rest.
    """

    name: str
    outcome: Outcome
    evidence: tuple[str, ...] = ()
    given: Any = None
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class Group:
    """Cases that one test sees."""

    title: str
    about: str
    cases: tuple[Case, ...]

    def __post_init__(self) -> None:
        names = [c.name for c in self.cases]
        assert len(set(names)) == len(names), [n for n in names if names.count(n) > 1]
        for c in self.cases:
            assert bool(c.evidence) == (c.outcome is not Outcome.ACCEPTED), c.name


def each(group: Group) -> pytest.MarkDecorator:
    """Run a test for every case of a group, as its argument `case`. `coverage` looks for this decorator."""
    return pytest.mark.parametrize("case", group.cases, ids=[c.name for c in group.cases])


def refused(name: str, *evidence: str, given: Any, note: str = "") -> Case:
    return Case(name=name, outcome=Outcome.REFUSED, evidence=evidence, given=given, note=note)


def accepted(name: str, *, given: Any, note: str = "") -> Case:
    return Case(name=name, outcome=Outcome.ACCEPTED, given=given, note=note)


def quarantined(name: str, *rules: str, given: Any, note: str = "") -> Case:
    return Case(name=name, outcome=Outcome.QUARANTINED, evidence=rules, given=given, note=note)


def warned(name: str, *rules: str, given: Any, note: str = "") -> Case:
    return Case(name=name, outcome=Outcome.WARNED, evidence=rules, given=given, note=note)


def rejected(name: str, *evidence: str, given: Any, note: str = "") -> Case:
    return Case(name=name, outcome=Outcome.REJECTED, evidence=evidence, given=given, note=note)


def assert_told(case: Case, error: EngageError) -> None:
    """The error is one for people: it says all that the case declares, how to mend it, and shows no stack."""
    text = str(error)
    for fragment in case.evidence:
        assert fragment in text
    assert error.exit_code == (3 if case.outcome is Outcome.REJECTED else 2)
    assert error.hint
    assert "Traceback" not in text
    assert "\tat " not in text


def assert_judged(case: Case, rows: Iterable[Mapping[str, Any]]) -> None:
    """The rows of a case break exactly the rules that it declares, taken together, and their status is its
    outcome.
    """
    rows = list(rows)
    assert rows, f"no row of the case {case.name!r} came out"
    broken = {e["rule"] for r in rows for e in r["_dq_errors"]}
    assert broken == set(case.evidence)
    statuses = {r["_dq_status"] for r in rows if r["_dq_errors"]} or {r["_dq_status"] for r in rows}
    assert statuses == {"quarantined" if case.outcome is Outcome.QUARANTINED else "valid"}
