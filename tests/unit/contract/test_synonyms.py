"""Words that a contract teaches for its fields and values: what `contract lint` says of them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from engage_spark.contract import Contract, find_contradictions, load_contract
from engage_spark.contract.dictionary import render_dictionary
from engage_spark.contract.synonyms import MOST_SYNONYMS, synonym_problems
from tests.support.paths import DATA

SHOP = load_contract(DATA / "shop.odcs.yaml")
Values = tuple[tuple[str, str], ...]


def with_words(field: str, *words: str, values: Values = (), table: int = 0) -> Contract:
    """The shop with words for a field of a table."""
    changed = SHOP.tables[table]
    fields = tuple(
        replace(f, synonyms=words, value_synonyms=values) if f.name == field else f for f in changed.fields
    )
    tables = [replace(changed, fields=fields) if i == table else t for i, t in enumerate(SHOP.tables)]
    return replace(SHOP, tables=tuple(tables))


def test_the_words_of_a_contract_are_read_and_shown() -> None:
    tier = SHOP.entity["tier"]
    assert tier.synonyms == ("membership", "loyalty level")
    assert tier.value_synonyms == (("golden", "gold"), ("ordinary", "basic"))
    assert find_contradictions(SHOP) == []
    assert "also called: membership, loyalty level; golden is gold" in render_dictionary(SHOP)


@pytest.mark.parametrize(
    ("contract", "problem"),
    [
        (with_words("visits", ""), "the synonym '' must be one to five words"),
        (with_words("visits", "42"), "the synonym '42' must be one to five words"),
        (with_words("visits", "a|b"), "the synonym 'a|b' must be one to five words"),
        (with_words("visits", "(.*)+"), "must be one to five words"),
        (with_words("visits", "one two three four five six"), "must be one to five words"),
        (with_words("visits", "x" * 61), "must be one to five words"),
        (with_words("visits", "Membership"), "'Membership' is a synonym of members.tier as well"),
        (with_words("visits", "spend"), "'spend' is the name of members.spend as well"),
        (with_words("visits", "GOLDEN"), "is a synonym of the value 'gold' of members.tier as well"),
        (with_words("tier", values=(("pearl", "platinum"),)), "'platinum', which is no valid value"),
        (with_words("visits", "gold"), "'gold' is the value 'gold' of members.tier as well"),
        (with_words("visits", "GÖLD"), "is the value 'gold' of members.tier as well"),
        (with_words("tier", values=(("basic", "gold"),)), "is the value 'basic' of members.tier as well"),
        (with_words("visits", "memberships"), "'memberships' is a synonym of members.tier as well"),
        (with_words("visits", "loyalty-levels"), "is a synonym of members.tier as well"),
        (with_words("visits", "scores"), "'scores' is the name of members.score as well"),
        (with_words("visits", "Tier of"), "'Tier of' is the name of cohorts by members.tier as well"),
        (
            with_words("spend", "visits quartile"),
            "'visits quartile' is the quartiles of members.visits as well",
        ),
        (with_words("visits", "members"), "the synonym 'members' is what customers are called"),
        (with_words("tier", values=(("user", "gold"),)), "the synonym 'user' is what customers are called"),
        (with_words("visits", "by"), "the synonym 'by' is what questions are made of"),
        (with_words("visits", "what"), "the synonym 'what' is what questions are made of"),
        (with_words("visits", "average"), "the synonym 'average' is what questions are made of"),
        (with_words("visits", "How many"), "the synonym 'How many' is what questions are made of"),
        (with_words("visits", "trends"), "the synonym 'trends' is what questions are made of"),
        (with_words("visits", "churn"), "the synonym 'churn' means who leaves or stays"),
        (with_words("visits", *(f"word a{i}" for i in range(101))), f"{MOST_SYNONYMS} at most are read"),
    ],
)
def test_words_that_are_none_or_mean_two_things_are_violations(contract: Contract, problem: str) -> None:
    problems = synonym_problems(contract)
    assert any(problem in p for p in problems), problems
    assert all(p.startswith("field members.") for p in problems)


@pytest.mark.parametrize("words", [("R&D trips", "R and B"), ("attendance", "attendances"), ("food drink",)])
def test_words_that_mean_one_thing_are_none(words: tuple[str, ...]) -> None:
    assert synonym_problems(with_words("visits", *words)) == []
    assert synonym_problems(with_words("left", "churn", "attrition")) == []


def test_a_table_that_no_question_is_about_has_no_words() -> None:
    table = next(i for i, t in enumerate(SHOP.tables) if t.kind.value in ("log", "edges"))
    name = SHOP.tables[table].fields[0].name
    (problem,) = synonym_problems(with_words(name, "another word", table=table))
    assert "synonyms are for fields of customers" in problem
