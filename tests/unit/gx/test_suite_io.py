"""Suites without Spark and without GX: what is read, what is refused, what a contract becomes."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from engage_spark.cli import main
from engage_spark.contract import ExtraColumns, Gate, Rule, Severity, load_contract
from engage_spark.errors import InputError
from engage_spark.gx.evaluate import HANDLERS
from engage_spark.gx.expectation_args import ExpectationArgs, RefusedError
from engage_spark.gx.export import OWN, suite_of
from engage_spark.gx.known_differences import DIFFERENCES
from engage_spark.gx.suite_io import Suite, parse_suite
from engage_spark.quality.checks.row_checks import row_checks
from tests.support.paths import DATA, ROOT

BIKES = load_contract(DATA / "bikes.odcs.yaml")
STATIONS, RIDES = BIKES.entity, BIKES.table("rides")
CUSTOMERS = load_contract().entity


def said(suite: Suite) -> dict[str, tuple[str, dict[str, Any]]]:
    return {e.meta[OWN]["rule"]: (e.type, dict(e.kwargs)) for e in suite.expectations}


def test_a_suite_is_read_and_written_without_loss() -> None:
    written = {
        "name": "s", "id": None, "suite_parameters": {"least": 3},
        "meta": {"great_expectations_version": "1.24.1"}, "notes": ["a"],
        "expectations": [{"type": "expect_x", "kwargs": {"column": "a"}, "meta": {"m": 1},
        "severity": "info", "id": "1-2", "notes": "n"}],
    }  # fmt: skip
    assert parse_suite(json.dumps(written), origin="s.json").as_json() == written


def test_all_that_is_wrong_with_a_suite_is_told_at_once() -> None:
    broken = {
        "expectations": [
            {"type": "expect_x"}, "nothing", {"type": "", "kwargs": {}, "severity": "fatal", "surprise": 1},
            {"type": "a", "kwargs": {}, "id": "7"}, {"type": "b", "kwargs": {}, "id": "7"},
        ],
        "extra": 1, "meta": [],
    }  # fmt: skip
    with pytest.raises(InputError) as raised:
        parse_suite(json.dumps(broken), origin="s.json")
    assert sorted(raised.value.details) == sorted(
        [
            "unknown key 'extra'",
            "name: must be a text",
            "expectations[0]: kwargs must be an object, found nothing",
            "expectations[1]: must be an object, found a text",
            "expectations[2]: unknown key 'surprise'",
            "expectations[2]: type must be a text",
            "expectations[2]: severity must be one of critical, warning, info, found 'fatal'",
            "id '7' is given to 2 expectations",
        ]
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "is not JSON"),
        ("[" * 100_000, "is not JSON"),
        ('{"name": "x", "expectations": [], "meta": ' + "1" * 5_000 + "}", "is not JSON"),
        ("[]", "holds no suite but a list"),
        ('{"expectation_suite_name": "old"}', "suite of Great Expectations 0.x"),
    ],
)
def test_what_is_no_suite_is_refused(text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        parse_suite(text, origin="s.json")


def test_an_unknown_kwarg_is_refused_and_not_ignored() -> None:
    arguments = ExpectationArgs({"column": "a", "batch_id": "x", "windows": [1]}, {})
    arguments.text("column")
    with pytest.raises(RefusedError, match="does not know the kwarg windows"):
        arguments.finish()


def test_parameters_are_filled_in_wherever_they_stand_and_a_missing_one_is_refused() -> None:
    kwargs = {"min_value": {"$PARAMETER": "low"}, "value_set": ["a", {"$PARAMETER": "low"}]}
    arguments = ExpectationArgs(kwargs, {"low": 3})
    assert (arguments.take("min_value"), arguments.take("value_set")) == (3, ["a", 3])
    with pytest.raises(RefusedError, match="suite parameter 'low' has no value"):
        ExpectationArgs(kwargs, {"high": 3})


def test_the_same_contract_gives_the_same_suite_and_another_table_other_ids() -> None:
    assert suite_of(STATIONS) == suite_of(STATIONS)
    ids = [e.id for t in (STATIONS, RIDES) for e in suite_of(t).expectations]
    assert len(ids) == len(set(ids))


@pytest.mark.parametrize("table", [CUSTOMERS, STATIONS, RIDES, *load_contract().logs], ids=lambda t: t.name)
def test_every_rule_and_gate_is_an_expectation_or_stands_among_what_cannot_be_said(table: Any) -> None:
    suite = suite_of(table)
    unsaid = [u["rule"] for u in suite.meta[OWN]["not_expressible"]]
    schema = ["columns", *(f"{f.name}.type" for f in table.fields)]
    assert sorted([*said(suite), *unsaid]) == sorted(
        [*schema, *(c.name for c in row_checks(table)), *(g.name for g in table.gates)]
    )
    notes = list(suite.notes or ())
    named = [rule for note in notes[1:] for rule in note.rpartition(": ")[2].rstrip(".").split(", ")]
    assert sorted(named) == sorted(unsaid)
    assert len(notes) - 1 == len({u["why"] for u in suite.meta[OWN]["not_expressible"]}), "each reason once"


def test_rules_of_a_field_become_expectations_of_the_same_severity() -> None:
    suite = suite_of(CUSTOMERS)
    found = said(suite)
    assert found["age.range"] == (
        "expect_column_values_to_be_between",
        {"column": "age", "min_value": 18, "max_value": 75},
    )
    assert found["customer_id.unique"] == ("expect_column_values_to_be_unique", {"column": "customer_id"})
    assert found["customer_id.not_null"] == ("expect_column_values_to_not_be_null", {"column": "customer_id"})
    assert found["age.not_null"] == (
        "expect_column_proportion_of_non_null_values_to_be_between",
        {"column": "age", "min_value": 0.998, "strict_min": True},
    )
    severities = {e.meta[OWN]["rule"]: e.severity for e in suite.expectations}
    assert (severities["customer_id.not_null"], severities["age.not_null"]) == (
        Severity.CRITICAL,
        Severity.WARNING,
    )


def test_a_comparison_of_two_columns_is_about_the_pair_and_any_other_rule_a_query() -> None:
    def rule(name: str, expression: str) -> Rule:
        return Rule(name=name, expression=expression, description=f"{name} in words")

    rules = (
        rule("least", "docks_total >= bikes_parked"),
        rule("less", "rides_started < `rides_ended`"),
        rule("same", "rides_started = rides_ended"),
        rule("braces", "station_code rlike '^x{2}$' OR docks_total > 1"),
    )
    found = said(suite_of(replace(STATIONS, rules=rules)))
    both = {"ignore_row_if": "either_value_is_missing"}
    greater = "expect_column_pair_values_a_to_be_greater_than_b"
    assert found["least"] == (
        greater,
        {"column_A": "docks_total", "column_B": "bikes_parked", "or_equal": True, **both},
    )
    assert found["less"] == (
        greater,
        {"column_A": "rides_ended", "column_B": "rides_started", "or_equal": False, **both},
    )
    assert found["same"] == (
        "expect_column_pair_values_to_be_equal",
        {"column_A": "rides_started", "column_B": "rides_ended", **both},
    )
    query = "SELECT * FROM {batch} WHERE NOT (station_code rlike '^x{{2}}$' OR docks_total > 1)"
    assert found["braces"] == ("unexpected_rows_expectation", {"unexpected_rows_query": query})


def test_a_key_of_several_columns_leaves_rows_with_a_null_out() -> None:
    fields = tuple(replace(f, key_position=2) if f.name == "docks_total" else f for f in STATIONS.fields)
    kind, kwargs = said(suite_of(replace(STATIONS, fields=fields)))["station_code+docks_total.unique"]
    assert (kind, kwargs) == (
        "expect_compound_columns_to_be_unique",
        {"column_list": ["station_code", "docks_total"], "ignore_row_if": "any_value_is_missing"},
    )


def test_gates_become_expectations_where_gx_has_them() -> None:
    gates = (
        Gate(name="rows", measure="row_count", minimum=10, above=True),
        Gate(name="docks", measure="mean", column="docks_total", maximum=30),
        Gate(name="share", measure="quarantine_share", maximum=1),
    )
    suite = suite_of(replace(STATIONS, gates=gates))
    assert said(suite)["rows"] == (
        "expect_table_row_count_to_be_between",
        {"min_value": 10, "strict_min": True},
    )
    assert said(suite)["docks"] == (
        "expect_column_mean_to_be_between",
        {"column": "docks_total", "max_value": 30},
    )
    assert "share" in [u["rule"] for u in suite.meta[OWN]["not_expressible"]]


def test_undeclared_columns_fail_the_suite_only_where_the_contract_refuses_them() -> None:
    assert said(suite_of(replace(STATIONS, extra=ExtraColumns.WARN)))["columns"][1]["exact_match"] is False
    assert said(suite_of(replace(STATIONS, extra=ExtraColumns.REFUSE)))["columns"][1]["exact_match"] is True


def test_the_command_writes_a_suite_that_reads_back(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "deep" / "suite.json"
    main(["quality", "suite", "--table", "connections", "--out", str(out)])
    main(["quality", "suite"])
    assert parse_suite(out.read_text(), origin="out").name == "connections"
    assert parse_suite(capsys.readouterr().out, origin="stdout") == replace(
        suite_of(CUSTOMERS, version=load_contract().version)
    )


def test_the_docs_name_every_type_that_is_run_and_every_difference() -> None:
    text = (ROOT / "docs" / "great_expectations.md").read_text(encoding="utf-8")
    assert [kind for kind in HANDLERS if f"`{kind.removeprefix('expect_')}`" not in text] == []
    rows = [
        tuple(cell.replace("|", "\\|") for cell in (d.name, d.theirs, d.ours, d.why)) for d in DIFFERENCES
    ]
    assert [row for row in rows if "| " + " | ".join(row) + " |" not in text] == []
