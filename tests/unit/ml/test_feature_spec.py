"""A target is of two classes, 0 and 1, or a number; other classes are refused in words."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from engage_spark.contract import Contract, load_contract
from engage_spark.errors import ConfigurationError
from engage_spark.ml.feature_spec import LeakPolicy, Task, build_target_specs, target_named

CONTRACT = load_contract()
CHURN = "churn_30_day"


def declared(**values: Any) -> Contract:
    """The contract with churn declared otherwise."""
    tables = tuple(
        replace(t, fields=tuple(replace(f, **values) if f.name == CHURN else f for f in t.fields))
        for t in CONTRACT.tables
    )
    return replace(CONTRACT, tables=tables)


@pytest.mark.parametrize(
    ("allowed", "words"),
    [
        ((0, 1, 2), "has the classes 0, 1, 2"),
        ((1, 2), "which of its values"),
        ((-1, 1), "which of its values"),
        ((1,), "one valid value"),
        ((0,), "one valid value"),
    ],
)
def test_classes_other_than_two_of_which_one_is_positive_are_refused(
    allowed: tuple[int, ...], words: str
) -> None:
    with pytest.raises(ConfigurationError, match=words):
        target_named(declared(allowed=allowed), CHURN)


@pytest.mark.parametrize(
    ("values", "task"),
    [
        ({"allowed": (1, 0)}, Task.BINARY),
        ({"allowed": (1, 2), "positive": 2}, Task.BINARY),
        ({"allowed": (), "spark_type": "bigint", "minimum": 0, "maximum": None}, Task.REGRESSION),
        ({"allowed": (), "spark_type": "decimal(9,2)", "logical_type": "number"}, Task.REGRESSION),
        ({"allowed": (), "spark_type": "boolean", "logical_type": "boolean"}, Task.BINARY),
        ({"allowed": (), "spark_type": "int", "minimum": 0, "maximum": 1}, Task.BINARY),
        ({"allowed": (), "spark_type": "double", "minimum": 0, "maximum": 1}, Task.REGRESSION),
        ({"allowed": (), "spark_type": "int", "minimum": 0, "maximum": 90}, Task.REGRESSION),
    ],
)
def test_a_target_is_trained_as_what_it_is(values: dict[str, Any], task: Task) -> None:
    assert target_named(declared(**values), CHURN).task is task


def test_a_declared_leak_is_named_whatever_the_policy_lets_in() -> None:
    target = target_named(CONTRACT, "lifetime_value_usd")
    for policy in LeakPolicy:
        specs = build_target_specs(CONTRACT, target, policy=policy, protected=True, graph=True)
        leaking = specs.leaking(specs.main.features)
        assert ("transaction_revenue_30_day" in leaking) is (policy is LeakPolicy.PERMISSIVE)
        assert ("transaction_momentum" in leaking) is (policy is LeakPolicy.PERMISSIVE), "by its formula"
        assert "age" not in leaking
