"""Whatever is asked: an answer, or an error of the package with a code; no text ever becomes SQL."""

from __future__ import annotations

import math
from datetime import date, datetime
from typing import Any

import pytest

from engage_spark.errors import EngageError
from engage_spark.insight import (
    BadArgumentError,
    Insight,
    NotDeclaredError,
    SuppressedError,
    UnknownToolError,
)
from tests.support.gym import HOSTILE, NEWEST

INJECTIONS = (
    "'; DROP TABLE members; --",
    '" OR 1=1 --',
    "cancelled' UNION SELECT member FROM members --",
    "North') OR ('a'='a",
    "read_csv('/etc/passwd')",
    "?",
    "$1",
    "{metric}",
    "../../runs",
    "\0",
    "\ud800",
    "M0001\nM0002",
    "\u202eM0001",
    "x" * 100_000,
    "💣" * 150,
    "Ｍ０００１",
)
TYPES: tuple[Any, ...] = (
    10**400,
    10**5_000,  # Python writes no number that long
    -(2**63) - 1,
    math.nan,
    math.inf,
    True,
    b"bytes",
    ["cancelled"],
    {"metric": "cancelled"},
    object(),
    1.5,
    -1,
)
TOOLS = (
    "describe", "distribution", "compare_segments", "trend", "cohort", "what_changed", "data_quality",
    "check_claim", "correlate", "churn_drivers", "explain_customer", "similar_customers", "top_influencers",
    "recommend", "fairness",
)  # fmt: skip
NEEDED = {
    "compare_segments": {"metric": "cancelled"},
    "trend": {"metric": "cancelled"},
    "correlate": {"metric": "cancelled"},
    "explain_customer": {"customer": "M0001"},
    "similar_customers": {"customer": "M0001"},
}


def test_the_list_of_tools_is_whole(gym: Insight) -> None:
    assert {t.name for t in gym.tools} == set(TOOLS)


@pytest.mark.parametrize("tool", TOOLS)
def test_no_argument_of_a_tool_lets_harm_through(gym: Insight, tool: str) -> None:
    """Every argument takes every hostile value: typed errors, and never an answer to what was not asked."""
    (declared,) = [t for t in gym.tools if t.name == tool]
    for argument in declared.arguments:
        for value in (*INJECTIONS, *TYPES):
            given = {**NEEDED.get(tool, {}), argument.name: value}
            with pytest.raises(EngageError) as caught:
                gym.call(tool, given)
            assert caught.value.code in ("BadArgument", "NotDeclared"), (argument.name, value)
            assert len(str(caught.value)) < 20_000
            assert "Traceback" not in str(caught.value)
    assert gym.call("describe").facts[0].value == 600


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(10**5_000, id="huge"),
        "",
        "drop",
        "__class__",
        "describe; recommend",
        None,
        7,
        ["describe"],
        "x" * 10**6,
    ],
)
def test_an_unknown_tool_is_named_with_those_that_there_are(gym: Insight, name: Any) -> None:
    with pytest.raises(UnknownToolError) as caught:
        gym.call(name)
    assert set(caught.value.allowed) == set(TOOLS)
    assert len(caught.value.message) < 200


@pytest.mark.parametrize("given", [["metric"], "metric", 7])
def test_arguments_are_a_mapping(gym: Insight, given: Any) -> None:
    with pytest.raises(BadArgumentError):
        gym.call("describe", given)


@pytest.mark.parametrize(
    ("tool", "given", "argument", "allowed"),
    [
        ("describe", {"metrik": "minutes"}, "metrik", "metric"),
        ("describe", {"metric": "minute"}, "metric", "minutes"),
        ("describe", {"metric": "MINUTES"}, "metric", "minutes"),
        ("describe", {1: "minutes"}, "1", "metric"),
        ("describe", {"dimension": "plan", "segment": "gold"}, "segment", "Gold"),
        ("describe", {"dimension": "plan"}, "segment", ""),
        ("describe", {"segment": "Gold"}, "dimension", "plan"),
        ("describe", {"dimension": "postcode", "segment": "SECRET-1"}, "dimension", "plan"),
        ("compare_segments", {}, "metric", "minutes"),
        ("compare_segments", {"metric": "minutes", "dimension": "plan", "first": "Gold"}, "second", "Basic"),
        (
            "compare_segments",
            {"metric": "minutes", "dimension": "plan", "first": "Gold", "second": "Gold"},
            "second",
            "Basic",
        ),
        ("cohort", {"cohort": "2020-01"}, "cohort", ""),
        ("correlate", {"metric": "minutes", "other": "minutes"}, "other", "cancelled"),
        ("correlate", {"metric": "minutes", "limit": 51}, "limit", ""),
        ("correlate", {"metric": "minutes", "limit": "2.5"}, "limit", ""),
        ("recommend", {"effect": 0}, "effect", ""),
        ("explain_customer", {"customer": "M9999"}, "customer", ""),
        ("similar_customers", {"customer": "M9999"}, "customer", ""),
        ("trend", {"metric": "minutes", "as_of": "2025-13-01"}, "as_of", ""),
        ("trend", {"metric": "minutes", "as_of": "20251021"}, "as_of", ""),
    ],
)
def test_a_bad_argument_is_named_with_what_is_allowed(
    gym: Insight, tool: str, given: dict[Any, Any], argument: str, allowed: str
) -> None:
    with pytest.raises(BadArgumentError) as caught:
        gym.call(tool, given)
    assert caught.value.argument == argument
    assert not allowed or allowed in caught.value.allowed
    assert not {"postcode", "SECRET-1"} & set(caught.value.allowed)


def test_what_is_allowed_does_not_name_small_groups(gym: Insight) -> None:
    for tool, given in (
        ("describe", {"dimension": "club", "segment": "Nowhere"}),
        (
            "compare_segments",
            {"metric": "minutes", "dimension": "club", "first": "North", "second": "Nowhere"},
        ),
        ("cohort", {"cohort_key": "joined_month", "cohort": "1999-01"}),
    ):
        with pytest.raises(BadArgumentError) as caught:
            gym.call(tool, given)
        assert {"North", "2025-09"} & set(caught.value.allowed)
        assert not {"Tiny", HOSTILE, "2024-08"} & set(caught.value.allowed)


def test_a_harmless_name_with_signs_of_sql_is_a_segment_like_others(gym: Insight) -> None:
    arguments = {"dimension": "club", "segment": HOSTILE, "metric": "minutes"}
    with pytest.raises(SuppressedError):  # it covers a smaller one
        gym.call("describe", arguments)
    with pytest.raises(SuppressedError):
        gym.call("trend", arguments)
    with pytest.raises(NotDeclaredError):
        gym.call("top_influencers")


def test_agents_send_numbers_and_days_as_texts_and_leave_out_with_nothing(gym: Insight) -> None:
    for limit in ("3", 3, 3.0):
        assert len(gym.call("correlate", {"metric": "minutes", "limit": limit, "other": ""}).rows) == 3
    for day in (str(NEWEST), NEWEST, datetime(2025, 10, 21, 7)):
        assert gym.call("describe", {"as_of": day, "metric": None}).facts[0].as_of == date(2025, 10, 21)
