"""The JSON schema of contracts takes every contract there is, and refuses what is misspelt."""

from __future__ import annotations

import json
import re
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator

from engage_spark.cli import main
from engage_spark.contract import PACKAGED
from engage_spark.contract.declarations import DECLARATIONS, Part
from engage_spark.contract.json_schema import contract_json_schema
from engage_spark.contract.loading import SYSTEM
from tests.support.paths import DATA, ROOT
from tests.unit.contract.test_lint_agrees import GOOD, linted, mutants

VALIDATOR = Draft202012Validator(contract_json_schema())
CONTRACTS = (
    PACKAGED,
    SYSTEM,
    *sorted(DATA.glob("*.odcs.yaml")),
    *sorted((ROOT / "examples").glob("*.odcs.yaml")),
)


def document(path: Path) -> Any:
    return yaml.load(path.read_text(encoding="utf-8"), yaml.CSafeLoader)


def test_it_is_a_json_schema() -> None:
    validator = Draft202012Validator(Draft202012Validator.META_SCHEMA)
    assert [e.message for e in validator.iter_errors(contract_json_schema())] == []


@pytest.mark.parametrize("path", CONTRACTS, ids=lambda p: p.name)
def test_every_contract_fits(path: Path) -> None:
    assert [e.message for e in VALIDATOR.iter_errors(document(path))] == []


def test_the_contract_that_is_mutated_uses_every_property() -> None:
    text = GOOD.read_text(encoding="utf-8")
    unused = {d.name for d in DECLARATIONS if d.custom and not re.search(rf"property: {d.name}\b", text)}
    assert unused == set()


def test_the_stages_of_a_property_are_stages() -> None:
    stages = [
        "check",
        "ingest",
        "features",
        "graph",
        "train",
        "score",
        "monitor",
        "analyze",
        "report",
        "insight",
        "synth",
    ]
    assert {(d.name, stage) for d in DECLARATIONS for stage in d.stages if stage not in stages} == set()


def test_what_the_schema_refuses_lint_refuses_too(monkeypatch: pytest.MonkeyPatch) -> None:
    refused = 0
    for name, mutant in islice(mutants(document(GOOD)), 0, None, 61):
        if name.endswith(("= None", "= True", ".value removed")):  # not given for lint, and true is 1
            continue
        is_known = VALIDATOR.is_valid(mutant)
        refused += not is_known
        assert is_known or linted(mutant, monkeypatch) is None, name
        is_within_value = ".value." in name  # entries of indicators and claims, whose keys lint knows
        assert is_within_value or not (is_known and name.endswith("misspelt")), name
    assert refused > 100


@pytest.mark.parametrize(
    ("part", "name", "value"),
    [
        (Part.FIELD, "protectd", True),
        (Part.FIELD, "protected", "yes"),
        (Part.FIELD, "role", "label"),
        (Part.FIELD, "bands", [30, "50"]),
        (Part.FIELD, "labelWindowDays", -1),
        (Part.FIELD, "analytics", ["metrics"]),
        (Part.TABLE, "kind", "entities"),
        (Part.TABLE, "labelWindowDays", 30),
    ],
)
def test_a_property_that_is_misspelt_or_of_another_kind_is_refused(
    part: Part, name: str, value: object
) -> None:
    doc = document(GOOD)
    table = doc["schema"][0]
    place = table if part is Part.TABLE else table["properties"][6]
    given = [p for p in place["customProperties"] if p["property"] != name]
    place["customProperties"] = [*given, {"property": name, "value": value}]
    assert not VALIDATOR.is_valid(doc)


def test_the_command_writes_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["contract", "schema", "--out", str(tmp_path / "s.json")])
    assert json.loads((tmp_path / "s.json").read_text(encoding="utf-8")) == contract_json_schema()
    main(["contract", "schema"])
    assert json.loads(capsys.readouterr().out) == contract_json_schema()
