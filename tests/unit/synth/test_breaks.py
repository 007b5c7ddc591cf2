"""The rules of the packaged contract in DuckDB: sound rows keep them, and each planted row breaks its own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import duckdb
import pandas as pd
import pytest
import yaml

from engage_spark.synth.scenario import load_scenario
from tests.support.deliveries import ENGAGEMENT, customers
from tests.support.doc_blocks import blocks
from tests.support.paths import ROOT

BREAKS = load_scenario().breaks
RULES = {rule.name: rule.expression for rule in ENGAGEMENT.entity.rules}


def broken_rules(rows: pd.DataFrame, rules: Mapping[str, str] = RULES) -> list[str]:
    """Return the rules of the entity that some row breaks; null counts as good."""
    checks = ", ".join(f"coalesce(bool_and({sql}), true) AS {name}" for name, sql in rules.items())
    with duckdb.connect() as connection:
        connection.register("customers", rows.infer_objects())
        (holds,) = connection.sql(f"SELECT {checks} FROM customers").fetchall()
    return [name for name, good in zip(rules, holds, strict=True) if not good]


def planted(changed: Mapping[str, Any]) -> pd.DataFrame:
    """Return a sound row with these changes."""
    return customers(1, start=7).assign(**{name: [value] for name, value in changed.items()})


def test_every_rule_has_a_planted_row_and_every_planted_row_a_rule() -> None:
    tables = (ENGAGEMENT.entity, *ENGAGEMENT.logs[:2])  # those that get planted rows
    names = [rule.name for table in tables for rule in table.rules]
    assert sorted(BREAKS) == sorted(names), "section `breaks` of engage_spark/synth/scenario.yaml"


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_customers_of_the_tests_keep_every_rule(seed: int) -> None:
    assert broken_rules(customers(606, seed=seed)) == [], "customers() in tests/support/deliveries.py"


@pytest.mark.parametrize("rule", RULES)
def test_a_planted_row_breaks_its_rule_and_no_other(rule: str) -> None:
    assert broken_rules(planted(BREAKS[rule])) == [rule]
    for name, value in BREAKS[rule].items():
        field = ENGAGEMENT.entity[name]
        assert (field.minimum or 0) <= value <= (field.maximum or value), f"{name} breaks its range too"


def test_the_example_of_the_how_to_could_be_added_as_it_stands() -> None:
    entry, line = (
        yaml.safe_load(b.text) for b in blocks(ROOT / "docs/how_to/add_check.md") if b.language == "yaml"
    )
    ((name, changed),) = line.items()
    rules = RULES | {e["name"]: e["implementation"] for e in entry}
    assert set(rules) - set(RULES) == {name}
    for seed in (1, 2):
        assert broken_rules(customers(606, seed=seed), rules) == []
    assert broken_rules(planted(changed), rules) == [name]
