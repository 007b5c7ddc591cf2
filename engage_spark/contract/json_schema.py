"""Make the JSON schema of contract files (draft 2020-12), by which editors complete and check them.

It is that of the Open Data Contract Standard's library, which knows every key, with this package's
properties (`declarations`) and the words of its quality entries. What a schema cannot say, such as that a
formula uses declared fields, says `contract lint`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from open_data_contract_standard.model import OpenDataContractStandard

from engage_spark.contract.declarations import DECLARATIONS, Declaration, Part, ValueKind
from engage_spark.contract.model import Dimension, Severity
from engage_spark.contract.snapshot_gates import ODCS_DIMENSIONS

SCHEMA_FILE = "engage-spark.schema.json"
"""The file beside a contract to which drafts refer."""
_PARTS = {
    Part.TABLE: "SchemaObject",
    Part.FIELD: "SchemaProperty",
    Part.RELATIONSHIP: "Relationship",
}
_ANY: dict[str, Any] = {}
_TEXT = {"type": "string"}
_NUMBER = {"type": "number"}
_VALUES: dict[ValueKind, dict[str, Any]] = {
    ValueKind.TEXT: _TEXT,
    ValueKind.NUMBER: _NUMBER,
    ValueKind.SCALAR: {"type": ["string", "number", "boolean"]},
    ValueKind.DAYS: {"type": "integer", "minimum": 0},
    ValueKind.POSITION: {"type": "integer"},
    ValueKind.FLAG: {"type": "boolean"},
    ValueKind.NAMES: {"type": "array", "items": _TEXT},
    ValueKind.TEXTS: {"type": "array", "items": _TEXT},
    ValueKind.NUMBERS: {"type": "array", "items": _NUMBER},
    ValueKind.NUMBER_BY_NAME: {"type": "object", "additionalProperties": _NUMBER},
    ValueKind.ENTRIES: {"type": "array", "items": {"type": "object"}},
    ValueKind.MAPPING: {"type": "object"},
}


def contract_json_schema() -> dict[str, Any]:
    """Return the JSON schema of a contract file.

    A key or property that is misspelt, and a value of another type or outside a closed list, breaks it.
    """
    schema: dict[str, Any] = OpenDataContractStandard.model_json_schema(by_alias=True)
    parts = {"OpenDataContractStandard": schema, **schema["$defs"]}
    for part in parts.values():
        part.setdefault("additionalProperties", False)
    for part in Part:
        declared = [d for d in DECLARATIONS if d.part is part]
        if part is Part.OPTIONS:
            parts["SchemaProperty"]["properties"]["logicalTypeOptions"] = _object(declared)
            continue
        of_part = parts[_PARTS.get(part, "OpenDataContractStandard")]
        _describe_keys(of_part, [d for d in declared if not d.custom])
        if custom := [d for d in declared if d.custom]:
            of_part["properties"]["customProperties"] = _custom_properties(custom)
    schema["properties"]["kind"]["const"] = "DataContract"
    schema["properties"]["apiVersion"]["pattern"] = "^v3[.]"
    parts["SchemaObject"]["required"] = [*parts["SchemaObject"]["required"], "customProperties"]
    quality = parts["DataQuality"]["properties"]
    quality["severity"] = {"enum": [*Severity]}
    quality["dimension"] = {"enum": [*Dimension, *ODCS_DIMENSIONS]}
    quality["mustBe"] = _ANY
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Data contract of Engage Spark",
        **{key: value for key, value in schema.items() if key != "title"},
    }


def _describe_keys(of_part: dict[str, Any], declared: Sequence[Declaration]) -> None:
    """Put meanings and examples to the standard's own keys, and make some of them required."""
    for d in declared:
        key = of_part["properties"][d.name]
        key |= {"description": d.meaning, "examples": [d.example]}
        if d.values:
            key["enum"] = [*d.values]
    of_part["required"] = [d.name for d in declared if d.required]


def _object(declared: Sequence[Declaration]) -> dict[str, Any]:
    return {
        "type": "object",
        "additionalProperties": False,
        "properties": {d.name: _value(d) for d in declared},
    }


def _custom_properties(declared: Sequence[Declaration]) -> dict[str, Any]:
    """Return the schema of a list of properties: each is declared, with a value of its kind."""
    known = {"anyOf": [{"const": d.name, "description": d.meaning} for d in declared]}
    rules = [
        {
            "if": {"properties": {"property": {"const": d.name}}, "required": ["property"]},
            "then": {"properties": {"value": _value(d)}, "required": ["value"]},
        }
        for d in declared
    ]
    item = {
        "type": "object",
        "properties": {"property": known, "value": _ANY, "description": _TEXT, "id": _TEXT},
        "required": ["property"],
        "additionalProperties": False,
        "allOf": rules,
    }
    needed = [
        {"contains": {"properties": {"property": {"const": d.name}}, "required": ["property"]}}
        for d in declared
        if d.required
    ]
    return {"type": "array", "items": item, **({"allOf": needed} if needed else {})}


def _value(d: Declaration) -> dict[str, Any]:
    value = _VALUES.get(d.value, {})
    if d.value is ValueKind.ONE_OF:
        value = {"enum": [*d.values]}
    if d.value is ValueKind.SOME_OF:
        value = {"type": "array", "uniqueItems": True, "items": {"enum": [*d.values]}}
    if d.value is ValueKind.TEXT_BY_VALUE:
        value = {"type": "object", "additionalProperties": {"enum": [*d.values]} if d.values else _TEXT}
    return {**value, "description": d.meaning, "examples": [d.example]}
