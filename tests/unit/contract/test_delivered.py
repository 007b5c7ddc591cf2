"""Names as they are delivered, and readings: what `contract lint` says of them, and what pages show."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import yaml

from engage_spark.contract import Contract, find_contradictions, load_contract, parse_contract
from engage_spark.contract.delivered import delivered_problems
from engage_spark.contract.dictionary import render_dictionary
from engage_spark.contract.validation import LOGICAL
from engage_spark.gx.export import DELIVERED, OWN, suite_of
from engage_spark.quality.checks.apply import personal_rules
from engage_spark.quality.checks.row_checks import row_checks
from engage_spark.quality.foreign_frames import to_arrow_table
from engage_spark.spark.schema import column_problems, undeclared_columns
from tests.support.paths import DATA
from tests.support.phone_shop import subscribers

PATH = DATA / "phone_shop.odcs.yaml"
SHOP = load_contract(PATH)
Doc = dict[str, Any]
READ = {"property": "reading", "value": "is_severe"}
ARRAY = {"physicalType": "array<int>", "logicalType": "array"}


def field(doc: Doc, name: str, table: int = 0) -> Doc:
    return next(p for p in doc["schema"][table]["properties"] if p["name"] == name)


def reading(doc: Doc, name: str, text: Any) -> None:
    place = field(doc, name)
    others = [p for p in place["customProperties"] if p["property"] != "reading"]
    place["customProperties"] = [*others, {"property": "reading", "value": text}]


def said(change: Callable[[Doc], Any]) -> list[str]:
    doc = yaml.load(PATH.read_text(encoding="utf-8"), yaml.CSafeLoader)
    change(doc)
    contract, problems = parse_contract(
        yaml.dump(doc, Dumper=yaml.CSafeDumper, sort_keys=False), origin=PATH.name
    )
    return [*problems, *find_contradictions(contract)]


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda d: field(d, "plan").update(physicalName="customer id"), "one delivered column, 'customer"),
        (lambda d: field(d, "plan").update(physicalName="complaint"), "fields plan, complaint are of one"),
        (lambda d: field(d, "plan").update(physicalName=""), "physicalName must be a text that is not empty"),
        (lambda d: field(d, "plan").update(physicalName="snapshot_date"), "'snapshot_date' is reserved"),
        (lambda d: field(d, "is_severe", 2).update(physicalName="x"), "a table of kind derived is not"),
        (lambda d: d["schema"][2].update(physicalName="x"), "a table of kind derived is not"),
        (lambda d: d["schema"][0].update(physicalName="../x"), "is not the name of one folder"),
        (lambda d: d["schema"][1].update(name="claims"), "as the table's physicalName: claims"),
        (lambda d: reading(d, "tickets", "CAST(calls AS INT)"), "reading refers to 'calls'"),
        (lambda d: reading(d, "tickets", "CAST(`💬` AS INT)"), "under that name"),
        (lambda d: reading(d, "tickets", "CAST(nowhere AS INT)"), "'nowhere' is not a column"),
        (lambda d: reading(d, "tickets", "1 + 1"), "does not use tickets"),
        (lambda d: reading(d, "tickets", "tickets + 1"), "reading: "),
        (lambda d: reading(d, "tickets", "to_date(tickets, 'M/d/yyyy')"), "reading gives date, which is not"),
        (lambda d: reading(d, "tickets", "rand()"), "reading: "),
        (lambda d: reading(d, "tickets", 7), "reading must be text"),
        (lambda d: field(d, "is_severe", 2)["customProperties"].append(READ), "reading is of what is"),
        (lambda d: field(d, "tickets").update(ARRAY), "reading makes no array<int>"),
    ],
)  # fmt: skip
def test_lint_says_what_is_wrong_with_names_and_readings(change: Callable[[Doc], Any], problem: str) -> None:
    assert any(problem in line for line in said(change)), said(change)


def test_two_fields_may_swap_their_names() -> None:
    def swap(doc: Doc) -> None:
        field(doc, "plan")["physicalName"], field(doc, "complaint")["physicalName"] = "complaint", "plan"

    assert said(swap) == []


def test_a_column_that_is_missing_or_of_the_wrong_type_is_told_under_both_names() -> None:
    from pyspark.sql import types as T

    text, entity = T.StringType(), SHOP.entity
    columns = [(f.delivered_name, text) for f in entity.fields if f.name not in ("calls", "plan", "churn")]
    columns += [("Calls (last 30)", text), ("plan", text), ("CHURN?", text)]
    assert [p.split(";")[0] for p in column_problems(columns, entity)] == [
        "plan (delivered as 'Plan `Type`'): missing, but there is 'plan'",
        "calls (delivered as 'CALLS last 30'): missing, but there is 'Calls (last 30)'",
        "churn (delivered as 'Churn?'): missing, but there is 'CHURN?', which differs only in case or blanks",
    ]
    assert undeclared_columns([[c for c, _ in columns]], entity) == ("Calls (last 30)", "plan", "CHURN?")
    columns = [(f.delivered_name, T.DateType() if f.reading else text) for f in entity.fields]
    assert [p.partition(":")[0] for p in column_problems(columns, entity)] == [
        "total_charges",
        "calls",
        "tickets",
    ]


@pytest.mark.parametrize("kind", ["date", "timestamp", "int", "decimal(9,2)", "boolean"])
def test_a_text_where_another_type_is_declared_is_told_the_reading_that_lint_takes(kind: str) -> None:
    from pyspark.sql import types as T

    def problems(reading: str | None) -> tuple[list[str], list[str]]:
        made = {"plan": replace(SHOP.entity["plan"], spark_type=kind, reading=reading, allowed=())}
        made["plan"] = replace(made["plan"], logical_type=LOGICAL[kind.partition("(")[0]])
        entity = replace(SHOP.entity, fields=tuple(made.get(f.name, f) for f in SHOP.entity.fields))
        columns = [(f.delivered_name, T.StringType()) for f in entity.fields]
        told = [p for p in column_problems(columns, entity) if p.startswith("plan:")]
        return told, [p for p in delivered_problems(entity) if ".plan:" in p]

    ((told,), _) = problems(None)
    assert told.endswith(f"or give the field a reading, such as CAST(`plan` AS {kind})")
    assert problems(told.partition("such as ")[2]) == ([], [])


def test_what_a_reading_failed_on_is_shown_of_no_personal_field() -> None:
    def hidden(contract: Contract) -> frozenset[str]:
        return personal_rules(contract.entity, row_checks(contract.entity))

    assert "total_charges.readable" not in hidden(SHOP)
    fields = tuple(replace(f, classification="secret") for f in SHOP.entity.fields)
    personal = replace(SHOP, tables=(replace(SHOP.entity, fields=fields), *SHOP.tables[1:]))
    assert "total_charges.readable" in hidden(personal)
    protected = replace(SHOP.entity, fields=tuple(replace(f, protected=True) for f in SHOP.entity.fields))
    (check,) = (c for c in row_checks(protected) if c.name == "total_charges.readable")
    assert check.value() == "'***'"


def test_pages_and_suites_know_the_delivered_names() -> None:
    page = render_dictionary(SHOP)
    assert "delivered as `Total Charges (USD)`; read by `NULLIF(TRIM(REPLACE(total_charges" in page
    assert "Delivered as `claims`." in page
    assert "label 1 is Yes" in page
    suite = suite_of(SHOP.entity)
    assert suite.meta[OWN][DELIVERED]["tickets"] == "💬"
    assert "complaint" not in suite.meta[OWN][DELIVERED]


def test_a_contract_without_names_or_readings_pays_nothing() -> None:
    bikes = load_contract(DATA / "bikes.odcs.yaml").entity
    assert bikes.readings == ()
    assert bikes.as_stored() is bikes
    assert tuple(bikes.delivered_fields) == bikes.names
    stored = SHOP.entity.as_stored()
    assert stored.readings == ()
    assert tuple(stored.delivered_fields) == stored.names


def test_frames_of_other_libraries_hold_what_is_delivered() -> None:
    rows = subscribers(3)
    given = to_arrow_table(rows, SHOP.entity)
    assert given["💬"].to_pylist() == rows["💬"].tolist()
    assert given["not declared"].null_count == 3
    judged = rows.rename(columns={"💬": "tickets"}).assign(_dq_status="valid")
    assert to_arrow_table(judged, SHOP.entity)["tickets"].to_pylist() == rows["💬"].tolist()
