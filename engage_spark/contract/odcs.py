"""Read Open Data Contract Standard (v3) YAML into the dataclasses of `model`; refuse what is not understood.

Source: https://bitol-io.github.io/open-data-contract-standard/v3.1.0/. Where ODCS has its own means, they are
used; the rest is in customProperties, whose names are listed below. A pattern is matched against the whole
value: ODCS means ECMA-262, Spark runs Java, where `$` also matches before a last newline, so `Field.pattern`
is the declared one inside `\\A(?:…)\\z`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from functools import cache
from importlib.resources.abc import Traversable
from typing import Any

import yaml
from open_data_contract_standard.model import OpenDataContractStandard, SchemaObject, SchemaProperty
from pydantic import BaseModel, ValidationError

from engage_spark.contract.model import (
    Contract,
    ExtraColumns,
    Field,
    Gate,
    GraphRole,
    Reference,
    Severity,
    Table,
    TableKind,
    columns_of,
)
from engage_spark.contract.patterns import anchored_pattern
from engage_spark.contract.properties import (
    RELATIONSHIP_PROPERTIES,
    TABLE_PROPERTIES,
    PropertyReader,
    field_properties,
    table_properties,
)
from engage_spark.contract.rules import field_quality, table_quality
from engage_spark.errors import ContractError
from engage_spark.strict_yaml import load_yaml

_EXPRESSIONS = ("expression", "group", "rest")
LARGEST_EXPRESSIONS = 50_000
"""Characters of all rules and formulas of a contract together: those of the package have 3,600."""


def digest_of(text: str) -> str:
    """Return the SHA-256 of the text with line ends as \\n, so that it is the same on every system."""
    return hashlib.sha256(text.replace("\r\n", "\n").replace("\r", "\n").encode()).hexdigest()


def read_contract_text(path: Traversable) -> str:
    """Read the text of a contract file.

    Errors: ContractError when it is missing or not UTF-8.
    """
    try:
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise ContractError(
            f"there is no contract file {path}", hint="give the path of an ODCS v3 YAML file to --contract"
        ) from None
    except (OSError, UnicodeDecodeError) as e:
        raise ContractError(
            f"the contract file {path} cannot be read: {e}", hint="give a readable UTF-8 file"
        ) from e


def parse_contract(text: str, *, origin: str) -> tuple[Contract, list[str]]:
    """Build a contract from YAML text, and list every violation met on the way.

    Errors: ContractError when the text is not ODCS v3 at all.
    """
    raw = _yaml(text, origin)
    try:
        odcs = OpenDataContractStandard.model_validate(raw)
    except ValidationError as e:
        errors = e.errors(include_url=False, include_context=False, include_input=False)
        details = [f"{'.'.join(map(str, x['loc']))}: {x['msg']}" for x in errors]
        raise ContractError(
            f"{origin} is not an ODCS contract", details=details, hint="run `datacontract lint` on it"
        ) from None
    problems: list[str] = []
    _check_size(odcs, origin)
    if odcs.kind != "DataContract" or not str(odcs.apiVersion).startswith("v3."):
        problems.append(
            f"kind and apiVersion must be DataContract and v3.x, found {odcs.kind!r} and {odcs.apiVersion!r}"
        )
    problems += [f"unknown key {p}" for p in _dropped(raw, odcs)]
    PropertyReader("contract", odcs.customProperties, (), problems)
    for part in ("id", "version", "name"):
        if not getattr(odcs, part):
            problems.append(f"the contract has no {part}")
    if not odcs.schema_:
        problems.append("the contract declares no tables (schema)")
    tables = tuple(_table(t, problems) for t in odcs.schema_ or ())
    about = odcs.description
    texts = (about.purpose, about.usage, about.limitations) if about else ()
    return Contract(
        id=odcs.id or "",
        version=odcs.version or "",
        name=odcs.name or "",
        description=" ".join(text for text in texts if text),
        tables=tables,
        digest=digest_of(text),
    ), problems


def _check_size(odcs: OpenDataContractStandard, origin: str) -> None:
    """Refuse more expressions than are read within a second."""
    tables = odcs.schema_ or ()
    rules = (q.implementation for t in tables for q in t.quality or ())
    formulas = (p.transformLogic for t in tables for p in t.properties or ())
    stated = (x for t in tables for p in t.customProperties or () for x in _texts_in(p.value))
    texts = (*rules, *formulas, *stated)
    if (size := sum(len(x) for x in texts if isinstance(x, str))) > LARGEST_EXPRESSIONS:
        raise ContractError(
            f"the rules and formulas of {origin} have {size:,} characters together, more than "
            f"{LARGEST_EXPRESSIONS:,}",
            hint="shorten them, or declare the tables in several contracts",
        )


def _texts_in(value: Any) -> Iterator[str]:
    """Yield the expressions in a table's property: `active`, and those of indicators and claims."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        yield from (e[name] for e in value if isinstance(e, dict) for name in _EXPRESSIONS if name in e)


def _yaml(text: str, origin: str) -> dict[str, Any]:
    try:
        raw = load_yaml(text)
    except yaml.YAMLError as e:
        raise ContractError(f"{origin} is not valid YAML: {e}", hint="correct the line that is named") from e
    if not isinstance(raw, dict):
        raise ContractError(
            f"{origin} is not an ODCS contract: a mapping is expected, found {type(raw).__name__}",
            hint="see docs/data_dictionary.md",
        )
    return raw


def _dropped(raw: Any, model: Any, at: str = "") -> list[str]:
    """List the keys that the ODCS library left out: it ignores unknown ones below the top level."""
    if isinstance(raw, dict) and isinstance(model, BaseModel):
        attributes = _attributes(type(model))
        unknown = [f"{at}{key}" for key in raw if key not in attributes]
        return unknown + [
            x
            for key, value in raw.items()
            if key in attributes and isinstance(value, dict | list)
            for x in _dropped(value, getattr(model, attributes[key]), f"{at}{key}.")
        ]
    if isinstance(raw, list) and isinstance(model, list):
        labels = [r.get("name", i) if isinstance(r, dict) else i for i, r in enumerate(raw)]
        return [
            x for label, r, m in zip(labels, raw, model, strict=True) for x in _dropped(r, m, f"{at}{label}.")
        ]
    return []


@cache
def _attributes(kind: type[BaseModel]) -> dict[str, str]:
    """Return the attributes of a class of the ODCS library by their names in YAML."""
    return {info.alias or name: name for name, info in kind.model_fields.items()}


def _table(t: SchemaObject, problems: list[str]) -> Table:
    at = f"table {t.name!r}"
    props = PropertyReader(at, t.customProperties, TABLE_PROPERTIES, problems)
    kind = props.one_of("kind", TableKind) or TableKind.SYSTEM
    fields: list[Field] = []
    references: list[Reference] = []
    gates: list[Gate] = []
    if not t.properties:
        problems.append(f"{at} declares no fields")
    for p in t.properties or ():
        field, of_field = _field(p, t.name or "", problems)
        fields.append(field)
        gates += of_field
        references += _references(p, t.name or "", problems)
    if t.relationships:
        problems.append(f"{at}: declare relationships at the field, table-level ones are not supported")
    types = columns_of(kind, fields)
    rules, of_table = table_quality(t.quality or (), types, fields, at, problems)
    if not t.description:
        problems.append(f"{at} has no description")
    return Table(
        name=t.name or "",
        kind=kind,
        description=t.description or "",
        fields=tuple(fields),
        physical_name=t.physicalName,
        rules=rules,
        gates=(*of_table, *gates),
        references=tuple(references),
        source=props.text("source"),
        event_time=props.text("eventTime"),
        graph_role=props.one_of("graphRole", GraphRole, optional=True),
        extra=props.one_of("extraColumns", ExtraColumns, optional=True) or ExtraColumns.WARN,
        grain=t.dataGranularityDescription or "",
        **table_properties(props),
    )


def _field(p: SchemaProperty, table: str, problems: list[str]) -> tuple[Field, tuple[Gate, ...]]:
    at = f"field {table}.{p.name}"
    options = dict(p.logicalTypeOptions or {})
    low, high, pattern = (
        options.pop("minimum", None),
        options.pop("maximum", None),
        options.pop("pattern", None),
    )
    problems += [
        f"{at}: logicalTypeOptions.{o} is not supported (minimum, maximum, pattern are)" for o in options
    ]
    for bound, value in (("minimum", low), ("maximum", high)):
        if value is not None and (isinstance(value, bool) or not isinstance(value, int | float)):
            problems.append(f"{at}: {bound} must be a number, found {value!r}")
            low, high = (None, high) if bound == "minimum" else (low, None)
    if pattern is not None and not isinstance(pattern, str):
        problems.append(f"{at}: pattern must be text, found {pattern!r}")
        pattern = None
    if p.unique and not p.primaryKey:
        problems.append(f"{at}: unique is not checked outside the primary key; take it out")
    if p.properties or p.items or p.map or p.enum:
        problems.append(
            f"{at}: nested properties, items, map and enum are not supported; give the Spark type as "
            "physicalType"
        )
    if not p.description:
        problems.append(f"{at} has no description")
    quality = field_quality(p.quality or (), p.name or "", at, problems)
    more = field_properties(at, p.customProperties, quality.allowed, problems)
    field = Field(
        name=p.name or "",
        logical_type=p.logicalType or "",
        spark_type=_spark_type(p.physicalType or ""),
        description=p.description or "",
        physical_name=p.physicalName,
        required=bool(p.required),
        key_position=_key_position(p, at, problems),
        minimum=low,
        maximum=high,
        pattern=anchored_pattern(pattern) if pattern is not None else None,
        allowed=quality.allowed,
        max_missing_pct=quality.max_missing_pct,
        classification=p.classification,
        severities=(*quality.severities, *more.pop("severities")),
        formula=" ".join(p.transformLogic.split("\n")).strip() if p.transformLogic else None,
        inputs=tuple(p.transformSourceObjects or ()),
        null_policy=p.transformDescription,
        examples=tuple(str(x) for x in p.examples or ()),
        **more,
    )
    return field, quality.gates


def _spark_type(text: str) -> str:
    """Return a type in lower case, except a struct, whose names Spark compares as they are."""
    return text if "struct<" in text else text.lower()


def _key_position(p: SchemaProperty, at: str, problems: list[str]) -> int | None:
    position = p.primaryKeyPosition if p.primaryKeyPosition not in (None, -1) else None
    if position is not None and not p.primaryKey:
        problems.append(f"{at}: primaryKeyPosition without primaryKey: true")
    return (position or 1) if p.primaryKey else None


def _references(p: SchemaProperty, table: str, problems: list[str]) -> list[Reference]:
    references = []
    for r in p.relationships or ():
        at = f"field {table}.{p.name}: relationship"
        severity = (
            PropertyReader(at, r.customProperties, RELATIONSHIP_PROPERTIES, problems).one_of(
                "severity", Severity, optional=True
            )
            or Severity.CRITICAL
        )
        to = r.to if isinstance(r.to, str) else ""
        to_table, _, to_column = to.partition(".")
        if r.type not in (None, "foreignKey") or not to_table or not to_column or r.from_:
            problems.append(f"{at} must be a foreignKey with to: table.column, found {r.to!r}")
            continue
        references.append(
            Reference(column=p.name or "", table=to_table, to_column=to_column, severity=severity)
        )
    return references
