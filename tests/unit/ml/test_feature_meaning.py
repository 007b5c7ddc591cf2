"""A feature's meaning changes with its definition and that of everything that it is computed from."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from engage_spark.contract import Contract, Field, load_contract
from engage_spark.ml.feature_meaning import changed_meanings, digest_of, field_meanings

CONTRACT = load_contract()
FEATURES = ("content_virality_raw", "churn_risk_score", "network_centrality", "age", "subscription_tier")


def changed(name: str, *, contract: Contract = CONTRACT, **values: Any) -> Contract:
    """The contract with one field declared otherwise, in every table that has it."""

    def field(f: Field) -> Field:
        return replace(f, **values) if f.name == name else f

    return replace(
        contract,
        tables=tuple(replace(t, fields=tuple(map(field, t.fields))) for t in contract.tables),
    )


def names_changed(
    contract: Contract, names: tuple[str, ...], *, before: str = "measured", now: str = "measured"
) -> dict[str, str]:
    stored = field_meanings(CONTRACT, names, graph_values=before)
    lines = changed_meanings(stored, contract, graph_values=now)
    return dict(line.split(": ", 1) for line in lines)


def features() -> tuple[str, ...]:
    return tuple(f.name for t in CONTRACT.tables for f in t.fields if f.role == "feature")


def test_nothing_has_changed_under_the_same_contract() -> None:
    assert names_changed(CONTRACT, features()) == {}
    assert len(digest_of(field_meanings(CONTRACT, features(), graph_values="given"))) == 64


def test_a_formula_times_a_thousand_is_another_feature() -> None:
    times = changed(
        "content_virality_raw", formula="1000 * likes_received_last_30_days / nullif(followers_count, 0)"
    )
    assert list(names_changed(times, features())) == ["content_virality_raw"]
    assert "formula was (shares_last_30_days * 10" in names_changed(times, features())["content_virality_raw"]


def test_a_line_break_in_a_formula_is_no_change() -> None:
    (formula,) = (f.formula for t in CONTRACT.tables for f in t.fields if f.name == "content_virality_raw")
    assert formula is not None
    broken = changed("content_virality_raw", formula=formula.replace(" * ", "\n  * "))
    assert names_changed(broken, features()) == {}


@pytest.mark.parametrize("of", ["unit", "spark_type"])
def test_what_a_formula_reads_is_part_of_its_meaning(of: str) -> None:
    other = changed("followers_count", **{of: "thousands" if of == "unit" else "double"})
    lines = names_changed(other, features())
    assert "its inputs changed: followers_count" in lines["content_virality_raw"]
    readers = {f.name for t in CONTRACT.derived for f in t.fields if "followers_count" in f.inputs}
    assert readers <= lines.keys() and "age" not in lines


def test_what_is_computed_from_what_is_computed_changes_with_it() -> None:
    formulas = {f.name: f for t in CONTRACT.derived for f in t.fields if f.formula}
    inner, outer = next((g, f.name) for f in formulas.values() for g in f.inputs if g in formulas)
    raw = next(name for name in formulas[inner].inputs if name not in formulas)
    lines = names_changed(changed(raw, unit="another"), (outer,))
    assert "its inputs changed: " in lines[outer]
    assert f"its inputs changed: {inner}" in names_changed(changed(inner, formula="1"), (outer,))[outer]


def test_a_measure_means_the_graph_that_it_is_measured_on() -> None:
    kind = next(f.name for t in CONTRACT.tables for f in t.fields if f.edges)
    for contract in (changed("network_centrality", measure="degree"), changed(kind, edges=())):
        assert "network_centrality" in names_changed(contract, features())


def test_given_and_measured_values_of_one_name_are_two_things() -> None:
    assert "network_centrality" in names_changed(CONTRACT, features(), before="given", now="measured")


def test_a_target_means_its_definition_too() -> None:
    target = "lifetime_value_usd"
    assert "unit was USD, is EUR" in names_changed(changed(target, unit="EUR"), (target,))[target]
    assert target in names_changed(changed(target, label_days=60), (target,))


def test_a_field_that_is_gone_is_named() -> None:
    without = replace(
        CONTRACT,
        tables=tuple(
            replace(t, fields=tuple(f for f in t.fields if f.name != "age")) for t in CONTRACT.tables
        ),
    )
    assert "not declare" in names_changed(without, ("age", "churn_30_day"))["age"]


def test_a_description_is_no_meaning() -> None:
    assert names_changed(changed("age", description="in other words"), features()) == {}
