"""What a target's label is, in SQL and in Python alike, and which fields can be targets."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import duckdb
import pytest
import yaml

from engage_spark.contract import Contract, Field, Role, find_contradictions, leaking_fields, load_contract
from engage_spark.contract.analytics import analytics_spec_of
from engage_spark.contract.labels import label_of, label_sql, positive_text, target_problems
from engage_spark.contract.stored_tables import predictions_table
from engage_spark.insight.vocabulary import Vocabulary
from engage_spark.ml.feature_spec import LeakPolicy, Task, build_feature_spec, target_named, targets_of
from tests.support.paths import DATA

LOGICAL = {
    "string": "string",
    "boolean": "boolean",
    "int": "integer",
    "bigint": "integer",
    "double": "number",
}
STATIONS = "stations"
FEATURE, TARGET = ([{"property": "role", "value": role}] for role in ("feature", "target"))
POSITIVE, SEVERAL = ({"property": "positive", "value": value} for value in (True, [1]))


def target(spark_type: str, **declared: Any) -> Field:
    logical = LOGICAL.get(spark_type, "number" if spark_type.startswith("decimal") else spark_type)
    return Field(
        name="left `it`",
        logical_type=logical,
        spark_type=spark_type,
        description="A target.",
        role=Role.TARGET,
        **declared,
    )


@pytest.mark.parametrize(
    ("declared", "labels"),
    [
        (
            target("string", positive="Yes", allowed=("Yes", "No")),
            {"Yes": 1, "No": 0, "Maybe": None, None: None},
        ),
        (
            target("string", positive="ja, bitte", allowed=("no", "ja, bitte")),
            {"ja, bitte": 1, "no": 0, "Ja, bitte": None},
        ),
        (target("string", positive="Yes"), {"Yes": 1, "No": 0, "": 0, None: None}),
        (target("boolean"), {True: 1, False: 0, None: None}),
        (target("boolean", positive=False), {True: 0, False: 1, None: None}),
        (target("int", positive=2, allowed=(1, 2)), {1: 0, 2: 1, 3: None, None: None}),
        (target("double", positive=1), {1.0: 1, 0.0: 0, None: None}),
        (target("int", allowed=(0, 1)), {0: 0, 1: 1, None: None}),
        (target("bigint"), {0: 0, 17: 17, None: None}),
        (target("decimal(9,2)"), {12.5: 12.5, None: None}),
    ],
)
def test_a_label_is_the_same_in_sql_and_in_python(declared: Field, labels: dict[Any, Any]) -> None:
    kind = "varchar" if declared.spark_type == "string" else declared.spark_type
    sql = label_sql(declared, '"v"').replace(" AS STRING", " AS varchar")
    for value, label in labels.items():
        query = f"SELECT {sql} FROM (SELECT CAST(? AS {kind}) AS v)"
        assert duckdb.connect().execute(query, [value]).fetchall() == [(label,)]
        assert label_of(declared, value) == label
    assert target_problems(declared) == []


@pytest.mark.parametrize(
    ("declared", "problem"),
    [
        (target("string"), "which of its values is the positive one"),
        (target("string", allowed=("Yes", "No")), "('Yes' or 'No') is the positive one"),
        (target("string", allowed=("a", "b", "c")), "has the classes a, b, c: models know two classes"),
        (target("string", allowed=("a", "b", "c"), positive="a"), "such as is_a: physicalType boolean"),
        (target("string", allowed=("Yes",), positive="Yes"), "one valid value"),
        (target("string", allowed=("Yes", "No"), positive="yes"), "'yes' is not among the valid values"),
        (target("string", allowed=("Yes", "No"), positive=True), "quote it in YAML"),
        (target("int", allowed=(1, 2)), "is the positive one"),
        (target("int", allowed=(1, 2), positive="2"), "not of type integer"),
        (target("int", allowed=(0, 1, 2)), "or declare no validValues where it is an amount"),
        (target("boolean", positive="true"), "not of type boolean"),
        (target("date"), "not date"),
        (target("binary"), "not binary"),
        (target("array<int>"), "not array<int>"),
    ],
)
def test_what_cannot_be_a_target_is_said_with_what_would_do(declared: Field, problem: str) -> None:
    (said,) = target_problems(declared)
    assert problem in said


def changed(change: Any) -> tuple[Contract, list[str]]:
    """The contract of the bikes, its doc changed, and what contradicts itself in it."""
    from engage_spark.contract import parse_contract

    doc = yaml.load((DATA / "bikes.odcs.yaml").read_text(encoding="utf-8"), yaml.CSafeLoader)
    change({t["name"]: t for t in doc["schema"]})
    contract, problems = parse_contract(
        yaml.dump(doc, Dumper=yaml.CSafeDumper, sort_keys=False), origin="bikes"
    )
    return contract, [*problems, *find_contradictions(contract)]


def derived_target(tables: dict[str, Any], **changes: Any) -> None:
    features = next(t for t in tables.values() if t["name"] == "station_features")
    features["properties"].append(
        {
            "name": "in_harbour",
            "description": "Whether it lies in the harbour.",
            "logicalType": "boolean",
            "physicalType": "boolean",
            "transformLogic": "district = 'Harbour'",
            "transformSourceObjects": ["district"],
            "transformDescription": "Null where the district is.",
            "customProperties": [{"property": "role", "value": "target"}],
        }
        | changes
    )


def test_a_target_by_formula_is_one_everywhere_and_what_it_is_made_from_leaks() -> None:
    contract, problems = changed(derived_target)
    assert problems == []
    assert [t.name for t in targets_of(contract)] == ["runs_empty", "in_harbour"]
    made = target_named(contract, "in_harbour")
    assert (made.task, made.positive) == (Task.BINARY, "true")
    assert "district" in leaking_fields(contract, "in_harbour")
    assert "district" in leaking_fields(contract, "in_harbour", declared=False)
    for policy in LeakPolicy:
        spec = build_feature_spec(contract, made, policy=policy)
        assert "district" not in spec.names, policy
        assert dict(spec.excluded)["district"] == "in_harbour is computed from it"
    assert "in_harbour" in predictions_table(contract)["target"].allowed
    assert "in_harbour" in analytics_spec_of(contract).targets
    assert Vocabulary(contract).target_fields["in_harbour"].formula is not None


def test_a_target_of_text_is_a_share_of_analytics_like_one_of_0_and_1() -> None:
    def change(tables: dict[str, Any]) -> None:
        field = next(p for p in tables[STATIONS]["properties"] if p["name"] == "runs_empty")
        field |= {"logicalType": "string", "physicalType": "string"}
        field["quality"] = [
            {
                "type": "library",
                "metric": "invalidValues",
                "arguments": {"validValues": ["Y", "N"]},
                "mustBe": 0,
            }
        ]
        kept = [p for p in field["customProperties"] if p["property"] != "referenceShares"]
        field["customProperties"] = [*kept, {"property": "positive", "value": "Y"}]

    contract, problems = changed(change)
    assert problems == []
    spec = analytics_spec_of(contract)
    metric = spec.metric("runs_empty")
    assert metric.is_share and metric.is_target and metric.digits == 0
    assert metric.source == "CASE WHEN `runs_empty` = 'Y' THEN 1 WHEN `runs_empty` = 'N' THEN 0 END"
    assert Vocabulary(contract).field_of("runs_empty") == contract.entity["runs_empty"]
    assert positive_text(contract.entity["runs_empty"]) == "Y"


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda t: derived_target(t, customProperties=[*FEATURE, POSITIVE]), "positive is for targets"),
        (lambda t: derived_target(t, customProperties=[*TARGET, SEVERAL]), "positive must be one value"),
        (lambda t: derived_target(t, name="runs_empty"), "declared in two tables"),
    ],
)
def test_what_lint_says_of_targets_in_the_wrong_place(change: Any, problem: str) -> None:
    assert any(problem in said for said in changed(change)[1]), changed(change)[1]


def test_a_baseline_that_the_target_is_computed_from_is_refused_by_lint_as_by_train() -> None:
    def change(baseline: str, tables: dict[str, Any]) -> None:
        properties = [*TARGET, {"property": "baseline", "value": baseline}]
        formula = {"transformLogic": "docks_total > 10", "transformSourceObjects": ["docks_total"]}
        derived_target(tables, name="is_big", customProperties=properties, **formula)

    assert changed(partial(change, "rides_started"))[1] == []
    (problem,) = changed(partial(change, "docks_total"))[1]
    assert problem.endswith("is_big: baseline names 'docks_total', and is_big is computed from it")


def test_a_log_has_no_target() -> None:
    def change(tables: dict[str, Any]) -> None:
        minutes = next(p for p in tables["rides"]["properties"] if p["name"] == "minutes")
        minutes["customProperties"] = [{"property": "role", "value": "target"}]

    assert any("a target is a field of the entity" in said for said in changed(change)[1])


def test_the_packaged_targets_stay_what_they_are(tmp_path: Path) -> None:
    contract = load_contract()
    assert [label_sql(f) for f in contract.targets] == [f"`{f.name}`" for f in contract.targets]
    assert replace(contract.targets[0], positive=1).is_two_classes
