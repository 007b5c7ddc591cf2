"""Read the `quality` lists of an ODCS contract: allowed values, severities, rules and gates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from open_data_contract_standard.model import DataQuality

from engage_spark.contract.expressions import read_expression
from engage_spark.contract.model import Dimension, Field, Gate, Rule, Severity
from engage_spark.contract.properties import PropertyReader
from engage_spark.contract.snapshot_gates import (
    ENGINE,
    OF_TABLES,
    bounds,
    dimension,
    field_gate,
    severity,
    table_gates,
    table_measure_of,
)
from engage_spark.contract.sql_nodes import KnownColumns

_SUPPORTED = (
    "supported are invalidValues with validValues (mustBe: 0), nullValues with mustBeLessThan in percent, "
    "and, with type: custom and "
    f"engine: {ENGINE}, mean, share(value) and quantile(q)"
)


@dataclass(frozen=True, kw_only=True)
class FieldQuality:
    """What the quality list of a field says."""

    allowed: tuple[str | int, ...] = ()
    max_missing_pct: float | None = None
    severities: tuple[tuple[str, Severity], ...] = ()
    gates: tuple[Gate, ...] = ()


def field_quality(quality: Sequence[DataQuality], field: str, at: str, problems: list[str]) -> FieldQuality:
    """Read the quality list of a field; `invalidValues` must come before shares of its values."""
    allowed: tuple[str | int, ...] = ()
    allowed_texts: frozenset[str] = frozenset()
    missing: float | None = None
    severities: list[tuple[str, Severity]] = []
    gates: list[Gate] = []
    for q in quality:
        if q.type == "text":
            continue
        stated = bounds(q)
        level = severity(q, at, problems)
        if q.metric in ("invalidValues", "nullValues"):
            dimension(q, Dimension.VALIDITY, at, problems)
        if q.metric == "invalidValues" and stated in ({}, {"mustBe": 0}):
            values = (q.arguments or {}).get("validValues")
            if not isinstance(values, list) or not values or set(q.arguments or ()) != {"validValues"}:
                problems.append(f"{at}: invalidValues needs arguments.validValues, a list, and nothing else")
            else:
                allowed, allowed_texts = tuple(values), frozenset(map(str, values))
            severities += [("allowed", level)] if level else []
        elif q.metric == "nullValues" and set(stated) == {"mustBeLessThan"} and q.unit == "percent":
            missing = float(stated["mustBeLessThan"])
            severities += [("not_null", level)] if level else []
        elif (
            q.type == "custom"
            and q.engine == ENGINE
            and (gate := field_gate(q, str(q.implementation), field, allowed_texts, at, problems))
        ):
            gates.append(gate)
        else:
            what = q.metric or q.implementation or q.type or "?"
            problems.append(f"{at}: the quality check {what} is not supported as written; {_SUPPORTED}")
    return FieldQuality(
        allowed=allowed, max_missing_pct=missing, severities=tuple(severities), gates=tuple(gates)
    )


def table_quality(
    quality: Sequence[DataQuality],
    types: Mapping[str, str],
    fields: Sequence[Field],
    at: str,
    problems: list[str],
) -> tuple[tuple[Rule, ...], tuple[Gate, ...]]:
    """Read the quality list of a table: rules on each row over columns of these types, gates on the whole."""
    rules: list[Rule] = []
    gates: list[Gate] = []
    columns, measures = KnownColumns.of(types), set[str]()
    for q in quality:
        here = f"{at}, quality {q.name!r}"
        if q.type == "text":
            continue
        PropertyReader(here, q.customProperties, (), problems)
        if measure := table_measure_of(q):
            if measure in measures:
                problems.append(f"{at}: the gate {measure} is declared twice")
                continue
            measures.add(measure)
            gates += table_gates(q, fields, here, problems)
        elif q.type != "custom" or q.engine != ENGINE or not isinstance(q.implementation, str) or not q.name:
            problems.append(
                f"{here}: a table's quality is metric: rowCount, or type: custom, engine: {ENGINE}, with a "
                "name and an implementation"
            )
        else:
            if stated := bounds(q):
                problems.append(
                    f"{here}: {', '.join(stated)} belongs to a gate ({', '.join(OF_TABLES)}); "
                    f"{q.implementation!r} is none"
                )
            rules.append(_rule(q, columns, at, problems))
    return tuple(rules), tuple(gates)


def _rule(q: DataQuality, columns: KnownColumns, at: str, problems: list[str]) -> Rule:
    here = f"{at}, quality {q.name!r}"
    read = read_expression(str(q.implementation), columns)
    wrong = [*read.problems, *([] if read.columns else ["names no column of the table"])]
    if read.kind not in ("boolean", "null", "any", ""):
        wrong.append(f"gives {read.kind}, where a rule is true or false of each row")
    problems += [f"{at}, rule {q.name!r}: {problem}" for problem in wrong]
    return Rule(
        name=q.name or "",
        expression=str(q.implementation),
        description=q.description or "",
        severity=severity(q, here, problems) or Severity.CRITICAL,
        dimension=dimension(q, Dimension.CONSISTENCY, here, problems),
        columns=read.columns,
    )
