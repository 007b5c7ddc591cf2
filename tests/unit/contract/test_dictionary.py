from __future__ import annotations

from engage_spark.contract import load_contract, render_dictionary
from tests.support.paths import ROOT


def test_the_committed_dictionary_is_the_generated_one() -> None:
    committed = (ROOT / "docs" / "data_dictionary.md").read_text(encoding="utf-8")
    assert committed == render_dictionary(load_contract()), "run `engage-spark contract docs`"


def test_every_field_rule_gate_and_formula_is_in_the_dictionary() -> None:
    text = render_dictionary(load_contract())
    for table in load_contract().tables:
        assert f"## {table.name}\n" in text
        for f in table.fields:
            assert f"| `{f.name}` |" in text
            assert f.description in text
            assert f.formula is None or f.formula in text
        assert all(r.expression in text for r in table.rules)


def test_bars_in_a_pattern_do_not_break_the_table() -> None:
    rows = [line for line in render_dictionary(load_contract()).splitlines() if line.startswith("| `")]
    assert {line.replace("\\|", "").count("|") for line in rows} == {8}
