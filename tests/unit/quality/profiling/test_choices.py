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
from engage_spark.contract.labels import label_of
from engage_spark.quality import ColumnStats
from engage_spark.quality.profiling.choices import Choices, apply_choices, drafts_as_chosen
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


def contract_of(choices: Choices, profile: TableProfile = PROFILE) -> Contract:
    drafts = drafts_as_chosen(column_drafts(profile), choices)
    document = draft_document(profile, table="members", origin="members.csv", drafts=drafts)
    assert apply_choices(document, drafts, choices) == []
    text = draft_text(document, draft_comments(profile, drafts))
    contract, problems = parse_contract(text, origin="draft")
    assert [*problems, *find_contradictions(contract)] == []
    assert VALIDATOR.is_valid(yaml.safe_load(text))
    return contract


def problems_of(choices: Choices, profile: TableProfile = PROFILE) -> list[str]:
    drafts = drafts_as_chosen(column_drafts(profile), choices)
    document = draft_document(profile, table="members", origin="members.csv", drafts=drafts)
    return apply_choices(document, drafts, choices)


def flag(name: str) -> ColumnFacts:
    return replace(number(name, "boolean", [0, 1]), values={"true": N // 2, "false": N // 2})


ODD = replace(
    PROFILE,
    columns=(
        PROFILE.columns[0],
        facts([["Yes", "No", "N/A", "", " No "][i % 5] for i in range(N)], name="Left"),
        facts([["Free", "Basic", "Gold", " "][i % 4] for i in range(N)], name="plan"),
        facts([["Yes", "unknown"][i % 2] for i in range(N)], name="only"),
        facts([["0", "1", "1"][i % 3] for i in range(N)], name="zero_text"),
        facts([["3", "4", "5", "-"][i % 4] for i in range(N)], name="grade_text"),
        number("bought", "int", [i % 2 for i in range(N)]),
        number("answer", "int", [1 + i % 2 for i in range(N)]),
        number("sign", "int", [2 * (i % 2) - 1 for i in range(N)]),
        number("visits", "int", [i % 7 for i in range(N)]),
        number("spend", "decimal(10,2)", [float(i) for i in range(N)]),
        flag("gone"),
        facts([["a", "b"][i % 2] for i in range(N)], name="plan_is_gold"),
    ),
)


def field(contract: Contract, name: str) -> Field:
    return next(f for t in contract.tables for f in t.fields if f.name == name)


def test_a_target_of_yes_and_no_stands_for_yes_and_has_a_window() -> None:
    choices = Choices(targets=("Churned (Y/N)",), label_days=30)
    target = field(contract_of(choices), "churned_y_n")
    assert (target.role, target.physical_name, target.positive) == (Role.TARGET, "Churned (Y/N)", "Yes")
    assert (target.label_days, target.is_two_classes) == (30, True)


@pytest.mark.parametrize("choices", [
    Choices(targets=("Churned (Y/N)",), label_days=30),
    Choices(targets=("plan",), positive={"plan": "Gold"}, label_days=30),
])  # fmt: skip
def test_labels_with_a_window_may_be_missing_of_a_whole_day(choices: Choices) -> None:
    """The newest day, which is to be predicted, would else be quarantined or rejected."""
    contract = contract_of(choices)
    name = "churned_y_n" if choices.targets[0].startswith("Churned") else "plan"
    label = contract.entity[name]
    assert not label.required
    assert not label.reference_shares
    (gate,) = (g for g in contract.entity.gates if g.name == "completeness_overall")
    assert gate.minimum == 86  # of 8 columns one may be empty, and 1% of the cells
    assert contract.entity["team"].required


def test_a_bound_on_missing_labels_goes_with_their_window() -> None:
    def bound(label_days: int) -> float | None:
        return (
            contract_of(Choices(targets=("Left",), label_days=label_days), ODD).entity["Left"].max_missing_pct
        )

    assert bound(0) == 80
    assert bound(30) is None


def test_one_of_several_classes_becomes_a_derived_target() -> None:
    contract = contract_of(Choices(targets=("plan", "level"), positive={"plan": "Gold", "level": "3"}))
    gold, third = field(contract, "plan_is_gold"), field(contract, "level_is_3")
    assert (gold.role, gold.formula) == (Role.TARGET, "CAST(`plan` = 'Gold' AS INT)")
    assert third.formula == "CAST(`level` = 3 AS INT)"
    assert field(contract, "plan").leaks_into == ("plan_is_gold",)
    assert field(contract, "plan").role is Role.AUDIT


@pytest.mark.parametrize(
    ("name", "positive", "value", "labels"),
    [
        ("bought", "0", 0, {0: 1, 1: 0}),
        ("bought", "1", None, {0: 0, 1: 1}),
        ("answer", "2", 2, {1: 0, 2: 1}),
        ("sign", "-1", -1, {1: 0, -1: 1}),
        ("zero_text", "0", 0, {0: 1, 1: 0}),
        ("zero_text", "1", None, {0: 0, 1: 1}),
        ("gone", "False", False, {True: 0, False: 1}),
        ("gone", "true", None, {True: 1, False: 0}),
        ("Left", "No", "No", {"Yes": 0, "No": 1, "": None, "N/A": None}),
        ("Left", None, "Yes", {"Yes": 1, "No": 0, None: None}),
    ],
)
def test_a_target_of_two_values_stands_for_the_one_that_is_given(
    name: str, positive: str | None, value: Any, labels: dict[Any, int | None]
) -> None:
    choices = Choices(targets=(name,), positive={name: positive} if positive else {}, money={name: MONEY})
    target = field(contract_of(choices, ODD), name)
    assert (target.role, target.is_two_classes, repr(target.positive)) == (Role.TARGET, True, repr(value))
    assert {v: label_of(target, v) for v in labels} == labels
    assert target.money is not None


def test_blanks_and_words_for_what_is_missing_are_no_class() -> None:
    target = field(contract_of(Choices(targets=("Left",)), ODD), "Left")
    assert (target.allowed, target.required) == (("No", "Yes"), False)
    assert (
        target.reading
        == "CASE WHEN UPPER(TRIM(`Left`)) IN ('N/A') THEN NULL ELSE NULLIF(TRIM(`Left`), '') END"
    )
    plan = field(contract_of(Choices(targets=("plan",), positive={"plan": "Gold"}), ODD), "plan")
    assert (set(plan.allowed), plan.reading) == ({"Free", "Basic", "Gold"}, "NULLIF(TRIM(`plan`), '')")


def test_a_derived_target_takes_no_columns_name() -> None:
    contract = contract_of(Choices(targets=("plan",), positive={"plan": "Gold"}), ODD)
    assert field(contract, "plan_is_gold_2").role is Role.TARGET
    grade = contract_of(Choices(targets=("grade_text",), positive={"grade_text": "4"}), ODD)
    assert field(grade, "grade_text_is_4").formula == "CAST(`grade_text` = 4 AS INT)"


def test_decimals_and_few_whole_numbers_as_text_are_targets_as_they_are() -> None:
    contract = contract_of(Choices(targets=("spend", "grade_text")), ODD)
    grade = field(contract, "grade_text")
    assert (grade.allowed, grade.minimum, grade.maximum) == ((), 0, 5)
    assert field(contract, "spend").role is Role.TARGET


@pytest.mark.parametrize(
    ("choices", "problem"),
    [
        (Choices(targets=("answer",)), "say which of '1', '2' is predicted"),
        (Choices(targets=("sign",)), "say which of '-1', '1' is predicted"),
        (Choices(targets=("only",)), "it holds one class ('Yes')"),
        (Choices(targets=("only",), positive={"only": "Yes"}), "it holds one class ('Yes')"),
        (Choices(targets=("Left",), positive={"Left": "N/A"}), "'N/A' is none of its values 'No', 'Yes'"),
        (Choices(targets=("visits",), money={"visits": MONEY}), "money is for targets of two classes"),
        (Choices(targets=("spend",), money={"spend": MONEY}), "money is for targets of two classes"),
        (Choices(targets=("gone",), positive={"gone": "maybe"}), "'maybe' is none of its values"),
    ],
)
def test_what_two_values_stand_for_is_never_guessed(choices: Choices, problem: str) -> None:
    (stated,) = problems_of(choices, ODD)
    assert problem in stated


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


def test_a_protected_number_that_is_text_gets_bands_between_its_extremes() -> None:
    texts = facts([f"{i % 80}" for i in range(N)], name="age")
    profile = replace(PROFILE, columns=(*PROFILE.columns, texts))
    age = field(contract_of(Choices(protected=("age",)), profile), "age")
    assert (age.protected, age.bands) == (True, (20, 40, 60))


def test_a_draft_counts_no_todo_of_its_own() -> None:
    assert "TODO" not in draft_comments(PROFILE)[0]


def test_a_terminal_is_asked_for_what_was_not_given() -> None:
    first = ["nothing", "team, visits, bought", "red", "plan", "x", "30"]
    answers = iter([*first, "125;5", "125,5,0.2", "", "EUR", "the plan", ""])
    asked: list[str] = []

    def prompt(question: str, **_: Any) -> str:
        asked.append(question)
        return next(answers)

    choices = ask_choices(column_drafts(PROFILE), Choices(), prompt=prompt)
    assert choices == Choices(
        targets=("team", "visits", "bought"),
        protected=("plan",),
        positive={"team": "red"},
        money={"team": MONEY},
        label_days=30,
    )
    assert len(asked) == 12
    assert [q for q in asked if q.startswith("money of bought")]
    assert not [q for q in asked if q.startswith("money of visits")]
    given = replace(choices, protected=("plan",))
    answers = iter([""])
    assert ask_choices(column_drafts(PROFILE), given, prompt=prompt) == given


def test_no_question_shows_what_a_terminal_would_obey() -> None:
    (column,) = (c for c in PROFILE.columns if c.name == "team")
    values = {f"\x1b]0;{v}\x07": n for v, n in (column.values or {}).items()}
    hostile = replace(PROFILE, columns=tuple(
        replace(c, values=values) if c is column else c for c in PROFILE.columns))  # fmt: skip
    asked: list[str] = []

    def prompt(question: str, *, default: str, **_: Any) -> str:
        asked.append(question)
        return default

    ask_choices(column_drafts(hostile), Choices(targets=("team",)), prompt=prompt)
    assert [q for q in asked if "u001b]0;red" in q]
    assert not set("".join(asked)) & set("\x1b\x07")


def test_a_terminal_asks_which_of_two_numbers_is_predicted() -> None:
    answers = iter(["answer, gone", "2", "", "0", "", ""])
    choices = ask_choices(column_drafts(ODD), Choices(), prompt=lambda *_, **__: next(answers))
    assert choices.positive == {"answer": "2"}
    assert contract_of(choices, ODD)
