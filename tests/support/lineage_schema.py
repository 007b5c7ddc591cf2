"""What OpenLineage 2-0-2 asks of a run event, as a JSON schema written from its specification.

`tests/e2e/test_openlineage_client.py` holds events against OpenLineage's own classes.
"""

from __future__ import annotations

from typing import Any

import jsonschema

URI = {"type": "string", "pattern": r"^[a-z][a-z0-9+.-]*:\S+$"}
FACET = {
    "type": "object",
    "required": ["_producer", "_schemaURL"],
    "properties": {"_producer": URI, "_schemaURL": URI},
}
FACETS = {"type": "object", "additionalProperties": FACET}
NAME = {"type": "string", "minLength": 1}
UUID = {"type": "string", "pattern": "^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$"}


def _facet(required: list[str], **properties: Any) -> dict[str, Any]:
    return {"allOf": [FACET, {"type": "object", "required": required, "properties": properties}]}


def _named(**more: Any) -> dict[str, Any]:
    return {
        "type": "object",
        "required": ["namespace", "name"],
        "properties": {"namespace": NAME, "name": NAME, **more},
    }


def _dataset(of_use: str, statistics: str) -> dict[str, Any]:
    counted = _facet([], rowCount={"type": "integer", "minimum": 0})
    field = {"type": "object", "required": ["name"], "properties": {"name": NAME, "type": NAME}}
    facets = {
        "schema": _facet(["fields"], fields={"type": "array", "items": field}),
        "version": _facet(["datasetVersion"], datasetVersion=NAME),
    }
    return _named(
        facets=FACETS | {"properties": facets}, **{of_use: FACETS | {"properties": {statistics: counted}}}
    )


RUN_FACETS = {
    "parent": _facet(
        ["run", "job"],
        run={"type": "object", "required": ["runId"], "properties": {"runId": UUID}},
        job=_named(),
    ),
    "nominalTime": _facet(["nominalStartTime"], nominalStartTime={"type": "string", "pattern": "T"}),
    "errorMessage": _facet(["message", "programmingLanguage"], message=NAME, programmingLanguage=NAME),
}
EVENT: dict[str, Any] = {
    "type": "object",
    "required": ["eventTime", "producer", "schemaURL", "run", "job"],
    "properties": {
        "eventType": {"enum": ["START", "RUNNING", "COMPLETE", "ABORT", "FAIL", "OTHER"]},
        "eventTime": {"type": "string", "pattern": r"^\d{4}-\d\d-\d\dT[0-9:.]+(Z|[+-]\d\d:\d\d)$"},
        "producer": URI,
        "schemaURL": URI,
        "run": {
            "type": "object",
            "required": ["runId"],
            "properties": {"runId": UUID, "facets": FACETS | {"properties": RUN_FACETS}},
        },
        "job": _named(
            facets=FACETS
            | {"properties": {"jobType": _facet(["processingType", "integration"], processingType=NAME)}}
        ),
        "inputs": {"type": "array", "items": _dataset("inputFacets", "inputStatistics")},
        "outputs": {"type": "array", "items": _dataset("outputFacets", "outputStatistics")},
    },
}


def require_event(event: Any) -> None:
    """Refuse what is no run event."""
    jsonschema.validate(event, EVENT)
