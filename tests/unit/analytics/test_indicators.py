"""Indicators: prevalence and lift from states."""

from __future__ import annotations

import numpy as np
import pytest

from engage_spark.analytics.indicators import indicator_rows
from engage_spark.contract import system_contract
from engage_spark.contract.analytics_spec import AnalyticsSpec, IndicatorSpec, MetricSpec
from engage_spark.contract.statements import Aim
from tests.unit.analytics.day_states import states_of

SPEC = AnalyticsSpec(
    entity="customers",
    columns=(),
    targets=("score", "fee"),
    metrics=tuple(MetricSpec(name=n, source=n, tables=("customers",), unit="USD") for n in ("score", "fee")),
    dimensions=(),
    indicators=tuple(
        IndicatorSpec(
            name=name,
            version=2,
            description="Busy.",
            expression="visits > 10",
            aim="score",
            direction=Aim.HIGH,
            tables=("graph_features",),
        )
        for name in ("busy", "central")
    ),
)


def test_prevalence_and_lift_of_every_target() -> None:
    busy = ["true"] * 100 + ["false"] * 300 + [None] * 10
    score = [2.0, 4.0] * 50 + [1.0, 2.0] * 150 + [9.0] * 10
    rows = list(indicator_rows(SPEC, states_of({"score": score, "fee": np.zeros(410)}, {"busy": busy})))
    assert [(r["indicator"], r["target"]) for r in rows] == [
        ("busy", "score"), ("busy", "fee"), ("central", "score"), ("central", "fee"),
    ]  # fmt: skip
    first, free, central, _ = rows
    assert (first["customers"], first["n"], first["n_unknown"]) == (400, 100, 10)
    assert (first["mean_with"], first["mean_without"], first["lift"]) == (3.0, 1.5, 2.0)
    assert first["lift_lower"] < 2.0 < first["lift_upper"]
    assert first["prevalence"] == 0.25
    # Wilson's interval of 100 in 400, by its published formula.
    assert (first["prevalence_lower"], first["prevalence_upper"]) == pytest.approx((0.2101, 0.2947), abs=5e-5)
    assert (free["lift"], free["measured"]) == (None, True)
    assert "not above 0" in free["reason"]
    assert (central["measured"], central["customers"], central["lift"]) == (False, None, None)
    assert "graph_features" in central["reason"]
    columns = set(system_contract().table("indicators").names) - {"snapshot_date", "run_id"}
    assert all(set(r) == columns for r in rows)


def test_a_rule_that_holds_for_nobody_has_no_lift_and_says_so() -> None:
    states = states_of({"score": np.ones(50), "fee": np.ones(50)}, {"busy": ["false"] * 50})
    row = next(iter(indicator_rows(SPEC, states)))
    assert (row["n"], row["prevalence"], row["mean_with"], row["lift"]) == (0, 0.0, None, None)
    assert "no customer" in row["reason"]
