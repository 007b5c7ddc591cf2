from __future__ import annotations

from engage_spark.contract import (
    field_rows,
    load_contract,
    render_dictionary,
    undeclared_fields,
    written_tables,
)
from engage_spark.pipelines.stored_tables import stored_tables_of
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


def test_every_column_of_every_written_table_is_explained() -> None:
    contract = load_contract()
    text = render_dictionary(contract)
    stored = {t.name: t.table for t in stored_tables_of(contract)}
    written = {t.name: t for t in written_tables(contract)}
    assert set(stored) <= set(written), "a table of the lake that the dictionary leaves out"
    for table in written.values():
        section = text.partition(f"### {table.name}, stored\n")[2].partition("\n### ")[0]
        own = {f.name for f in undeclared_fields(contract, table)}
        for f in table.fields:
            assert len(f.description.split()) > 1, f"{table.name}.{f.name}"
            assert f.description in (section if f.name in own else text)
            assert f.name not in own or f"- `{f.name}` (" in section


def test_the_fields_of_a_written_table_are_shown_as_those_of_a_declared_one() -> None:
    shown = {row["field"]: row for row in field_rows(load_contract(), "predictions")}
    assert "log-odds" in shown["unit"]["description"]
    assert shown["side"]["bounds"] == "fit, calibration, test, conformal, new"
    assert [row["field"] for row in field_rows(load_contract(), "customer_features")][-1] != "_run_id"
