"""Say what a feature means, so that a model is never given other values under the name that it learnt.

The meaning of a field is its type, its unit and, where it is computed, its formula with the meaning of every
input. Of what is measured on the graph it is the measure and which events make the graph; how precisely it
was measured is not part of it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from engage_spark.contract import Contract, Field, GraphRole, Role, Table, TableKind, graph_spec_of
from engage_spark.contract.labels import positive_text
from engage_spark.ml.feature_spec import feature_tables

Meaning = Mapping[str, Any]
"""`digest` of all of it, the field's own `type`, `unit`, `formula` and so on, and digests of its `inputs`."""
_ABSENT = "the contract does not declare it any more"


def field_meanings(
    contract: Contract, names: Iterable[str], *, graph_values: str
) -> dict[str, dict[str, Any]]:
    """Return the meaning of features and targets by name, as JSON can hold it.

    `graph_values` says which of two fields of one name models take: "measured", the one on the graph.

    Nulls: a name that the contract does not declare is left out.
    """
    tables = feature_tables(contract)
    if graph_values == "measured":
        tables = tuple(sorted(tables, key=lambda t: t.kind is not TableKind.GRAPH))
    meanings = {}
    for name in names:
        table = next((t for t in tables if name in t.names), None)
        if table is not None:
            meanings[name] = _meaning(contract, table, table[name])
    return meanings


def changed_meanings(
    stored: Mapping[str, Meaning], contract: Contract, *, graph_values: str
) -> tuple[str, ...]:
    """Say of every stored field that means something else under `contract` what has changed, in words."""
    now = field_meanings(contract, stored, graph_values=graph_values)
    return tuple(
        f"{name}: {_change(meaning, now.get(name))}"
        for name, meaning in stored.items()
        if name not in now or now[name]["digest"] != meaning["digest"]
    )


def digest_of(meaning: Meaning) -> str:
    """Return the SHA-256 of a meaning, or of several by name."""
    return hashlib.sha256(json.dumps(meaning, sort_keys=True).encode()).hexdigest()


def _meaning(contract: Contract, table: Table, field: Field) -> dict[str, Any]:
    """Return the meaning of a field; its inputs come before it, in its table or in the one that it is made
    from.
    """
    own: dict[str, Any] = {"type": field.spark_type, "unit": field.unit}
    if field.role is Role.TARGET:
        own["known after"] = f"{field.label_days} days"
        if field.positive is not None:
            own["positive"] = positive_text(field)
    if field.formula is not None:
        own["formula"] = _folded(field.formula)
        own["on failure"] = field.on_failure.value
    if field.measure is not None:
        own["measure"] = field.measure
        own["graph"] = _graph(contract)
    sources = (table, *(t for t in contract.tables if t.name == table.source))
    inputs = {}
    for name in field.inputs:
        source = next((t for t in sources if name in t.names), None)
        if source is not None and name != field.name:
            inputs[name] = str(_meaning(contract, source, source[name])["digest"])
    meaning = own | ({"inputs": inputs} if inputs else {})
    return meaning | {"digest": digest_of(meaning)}


def _folded(formula: str) -> str:
    """Return a formula without its line breaks, where no text within it could hold one."""
    return formula.strip() if "'" in formula else " ".join(formula.split())


def _graph(contract: Contract) -> str:
    """Name the events that the graph is made of, and which of their kinds count in which direction."""
    if not contract.of_graph_role(GraphRole.VERTICES):
        return "none"
    spec = graph_spec_of(contract)
    logs = [t for t in (spec.connections, spec.interactions) if t is not None]
    parts = []
    for log in logs:
        ends = "-".join(spec.ends(log))
        kinds = "; ".join(
            f"{f.name} {', '.join(f'{value}: {way}' for value, way in f.edges)}"
            for f in log.fields
            if f.edges
        )
        parts.append(f"{log.name} by {ends}" + (f" ({kinds})" if kinds else ""))
    return " and ".join(parts)


def _change(before: Meaning, now: Meaning | None) -> str:
    if now is None:
        return _ABSENT
    own = sorted((before.keys() | now.keys()) - {"digest", "inputs"})
    changes = [
        f"{key} was {_shown(before.get(key))}, is {_shown(now.get(key))}"
        for key in own
        if before.get(key) != now.get(key)
    ]
    inputs, inputs_now = before.get("inputs", {}), now.get("inputs", {})
    if changed := sorted(n for n in inputs.keys() | inputs_now.keys() if inputs.get(n) != inputs_now.get(n)):
        changes.append(f"its inputs changed: {', '.join(changed)}")
    return "; ".join(changes)


def _shown(value: object) -> str:
    return "nothing" if value is None else str(value)


__all__: Sequence[str] = ("Meaning", "changed_meanings", "digest_of", "field_meanings")
