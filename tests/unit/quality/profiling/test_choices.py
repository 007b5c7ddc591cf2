"""What people say of a drafted table becomes a contract that goes all the way; no Spark."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator

from engage_spark.cli.new_contract import ask_choices
from engage_spark.contract import Contract, Field, Role, find_contradictions, parse_contract
from engage_spark.contract.json_schema import contract_json_schema
from engage_spark.quality import ColumnStats
from engage_spark.quality.profiling.choices import Choices, apply_choices
from engage_spark.quality.profiling.draft_contract import (
    column_drafts,
    draft_comments,
    draft_document,
    draft_text,
)
from engage_spark.quality.profiling.facts import ColumnFacts, TableProfile
from tests.unit.quality.profiling.test_value_scan import facts

N = 2_000
VALIDATOR = Draft202012Validator(contract_json_schema())
MONEY = {"value": 125.0, "cost": 5.0, "success": 0.2, "currency": "EUR", "source": "the plan"}


def number(
    name: str, kind: str, values: Sequence[float], *, quartiles: tuple[float, ...] = ()
) -> ColumnFacts:
    few = sorted(set(values))
    state = ColumnStats(
        column=name,
        binning="b",
        labels=("any",),
        rows=N,
        bins={"any": N},
        total=Fraction(sum(map(Fraction, values))),
        minimum=min(values),
        maximum=max(values),
    )
    counted = {str(int(v)): list(values).count(v) for v in few} if kind == "int" and len(few) <= 50 else None
    return ColumnFacts(name=name, type=kind, state=state, values=counted, quartiles=quartiles)


PROFILE = TableProfile(
    rows=N,
    columns=(
        facts([f"C-{i:06}" for i in range(N)], name="customer"),
        facts(["Yes" if i % 4 == 0 else "No" for i in range(N)], name="Churned (Y/N)"),
        facts([["Free", "Basic", "Gold"][i % 3] for i in range(N)], name="plan"),
        facts([["red", "blue"][i % 2] for i in range(N)], name="team"),
        number("visits", "int", [i % 7 for i in range(N)]),
        number("level", "int", [1 + i % 3 for i in range(N)]),
        number("bought", "int", [i % 2 for i in range(N)]),
        number("income", "double", [100.0 + i for i in range(N)], quartiles=(600.0, 1_100.0, 1_600.0)),
    ),
    key=("customer",),
    tried=(),
    left_out=(),
)


def contract_of(choices: Choices) -> Contract:
    document = draft_document(PROFILE, table="members", origin="members.csv")
    assert apply_choices(document, column_drafts(PROFILE), choices) == []
    text = draft_text(document, draft_comments(PROFILE))
    contract, problems = parse_contract(text, origin="draft")
    assert [*problems, *find_contradictions(contract)] == []
    assert VALIDATOR.is_valid(yaml.safe_load(text))
    return contract


def problems_of(choices: Choices) -> list[str]:
    document = draft_document(PROFILE, table="members", origin="members.csv")
    return apply_choices(document, column_drafts(PROFILE), choices)


def field(contract: Contract, name: str) -> Field:
    return next(f for t in contract.tables for f in t.fields if f.name == name)


def test_a_target_of_yes_and_no_stands_for_yes_and_has_a_window() -> None:
    choices = Choices(targets=("Churned (Y/N)",), label_days=30)
    target = field(contract_of(choices), "churned_y_n")
    assert (target.role, target.physical_name, target.positive) == (Role.TARGET, "Churned (Y/N)", "Yes")
    assert (target.label_days, target.is_two_classes) == (30, True)


def test_one_of_several_classes_becomes_a_derived_target() -> None:
    contract = contract_of(Choices(targets=("plan", "level"), positive={"plan": "Gold", "level": "3"}))
    gold, third = field(contract, "plan_is_gold"), field(contract, "level_is_3")
    assert (gold.role, gold.formula) == (Role.TARGET, "CAST(`plan` = 'Gold' AS INT)")
    assert third.formula == "CAST(`level` = 3 AS INT)"
    assert field(contract, "plan").leaks_into == ("plan_is_gold",)
    assert field(contract, "plan").role is Role.AUDIT


def test_counts_amounts_and_flags_are_targets_as_they_are() -> None:
    contract = contract_of(Choices(targets=("visits", "income", "bought")))
    visits = field(contract, "visits")
    assert (visits.role, visits.allowed, visits.minimum, visits.maximum) == (Role.TARGET, (), 0, 6)
    assert field(contract, "bought").is_two_classes
    assert field(contract, "income").role is Role.TARGET


def test_a_protected_number_gets_bands_and_no_model_sees_it() -> None:
    income = field(contract_of(Choices(protected=("INCOME",))), "income")
    assert (income.protected, income.role, income.bands) == (True, Role.AUDIT, (600, 1_200, 1_600))


@pytest.mark.parametrize(
    ("choices", "problem"),
    [
        (Choices(targets=("nothing",)), "there is no column 'nothing'"),
        (Choices(targets=("customer",)), "it is the key"),
        (Choices(targets=("plan",)), "it holds 3 classes"),
        (Choices(targets=("team",)), "say which of 'blue', 'red' is predicted"),
        (Choices(targets=("team",), positive={"team": "green"}), "'green' is none of its values"),
        (Choices(targets=("income",), positive={"income": "1"}), "it has no classes"),
        (Choices(money={"bought": MONEY}), "is no target"),
    ],
)
def test_choices_that_cannot_be_are_told(choices: Choices, problem: str) -> None:
    (said,) = problems_of(choices)
    assert problem in said


def test_all_that_stands_against_the_choices_is_told_at_once() -> None:
    assert len(problems_of(Choices(targets=("plan", "nothing", "customer")))) == 3


def test_a_terminal_is_asked_for_what_was_not_given() -> None:
    answers = iter(["nothing", "team, visits", "red", "plan", "x", "30", "125,5,0.2", "EUR", "the plan"])
    asked: list[str] = []

    def prompt(question: str, **_: Any) -> str:
        asked.append(question)
        return next(answers)

    choices = ask_choices(column_drafts(PROFILE), Choices(), prompt=prompt)
    assert choices == Choices(
        targets=("team", "visits"),
        protected=("plan",),
        positive={"team": "red"},
        money={"team": MONEY},
        label_days=30,
    )
    assert len(asked) == 9
    given = replace(choices, protected=("plan",))
    assert ask_choices(column_drafts(PROFILE), given, prompt=prompt) == given
