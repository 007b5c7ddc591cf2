"""Find the contradictions in a contract. Each function returns the violations in words; none raises."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping

from engage_spark.contract.analytics import analytics_problems
from engage_spark.contract.delivered import delivered_problems
from engage_spark.contract.expressions import read_expression
from engage_spark.contract.graph_spec import find_graph_contradictions
from engage_spark.contract.labels import target_problems
from engage_spark.contract.lineage import formula_inputs
from engage_spark.contract.model import (
    DAY_COLUMNS,
    RESERVED_TABLES,
    Contract,
    Field,
    OnFailure,
    Role,
    Severity,
    Table,
    TableKind,
    is_reserved_column,
)
from engage_spark.contract.monitoring import monitoring_problems
from engage_spark.contract.patterns import bare_pattern, pattern_problem
from engage_spark.contract.sql_nodes import LONGEST_TYPE, KnownColumns
from engage_spark.contract.stored_tables import name_clashes
from engage_spark.contract.synonyms import synonym_problems

LOGICAL = {
    **dict.fromkeys(("tinyint", "smallint", "int", "bigint"), "integer"),
    **dict.fromkeys(("float", "double", "decimal"), "number"),
    "string": "string",
    "binary": "string",
    "boolean": "boolean",
    "date": "date",
    "timestamp": "timestamp",
    "array": "array",
    "map": "object",
    "struct": "object",
}
_INTEGER_BITS = {"tinyint": 7, "smallint": 15, "int": 31, "bigint": 63}
_SCALAR = re.compile(
    r"tinyint|smallint|int|bigint|float|double|string|binary|boolean|date|timestamp"
    r"|decimal\((?P<digits>[0-9]{1,2}), ?(?P<scale>[0-9]{1,2})\)"
)
_NESTED = re.compile(r"(array|map|struct)<")
_MEMBER = re.compile(r"\s*[^<>(),:;`'\"\\$\s][^<>(),:;`'\"\\$]*:")
"""The name of a struct's member: nothing that could end the type where it becomes part of Spark SQL."""
_MEMBERS = re.compile(r"[<,]\s*([^<>,:]+):")
_BLANKS = re.compile(r"\s*")
_DEEPEST_TYPE, _MOST_DIGITS = 20, 38
_TABLE_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
UNSTORABLE = re.compile(r"[ ,;{}()\n\t=]")  # Delta and Parquet refuse these in a column name


def find_contradictions(contract: Contract, *, of_package: bool = False) -> list[str]:
    """List everything in which the contract contradicts itself, in the order of the file.

    `of_package` is the contract of the package's own tables, which have the names that no other may have.
    """
    problems = _tables(contract) + ([] if of_package else [*_reserved(contract), *name_clashes(contract)])
    targets = {f.name for t in contract.tables for f in t.fields if f.role is Role.TARGET}
    modelled = [t for t in contract.tables if t.kind in (TableKind.ENTITY, TableKind.DERIVED)]
    by_table = [n for t in modelled for n in {f.name: f for f in t.fields if f.role is Role.TARGET}]
    problems += [f"target {n!r} is declared in two tables" for n in _repeated(by_table)]
    by_name = {t.name: t for t in reversed(contract.tables)}
    entities = {t.name for t in contract.tables if t.kind is TableKind.ENTITY}
    of_entity = {f.name: f for t in contract.tables if t.kind is TableKind.ENTITY for f in t.fields}
    for table in contract.tables:
        problems += _names(table) + delivered_problems(table) + _key(table)
        for f in table.fields:
            at = f"field {table.name}.{f.name}"
            of_field = (
                *_type(f),
                *_bounds(f),
                *_values(f),
                *_shares(f),
                *_leaks(f, targets),
                *_target(table, f, entities),
                *_baseline(contract, f, of_entity),
                *monitoring_problems(f, is_target=f.role is Role.TARGET),
                *_money(f),
            )
            problems += [f"{at}: {x}" for x in of_field]
        problems += (
            _rules(table) + _references(table, by_name) + _event_time(table) + _formulas(table, by_name)
        )
    problems += find_graph_contradictions(contract) + analytics_problems(contract)
    return problems + synonym_problems(contract)


def _repeated(names: Iterable[str]) -> list[str]:
    """List names that occur before, regardless of case: Spark does not distinguish them."""
    seen: set[str] = set()
    repeated = []
    for name in names:
        if name.lower() in seen:
            repeated.append(name)
        seen.add(name.lower())
    return repeated


def _tables(contract: Contract) -> list[str]:
    problems = [
        f"table {n!r} is declared twice (names differ at most in case)"
        for n in _repeated(t.name for t in contract.tables)
    ]
    problems += [
        f"table name {t.name!r} must be letters, digits and underscores"
        for t in contract.tables
        if not _TABLE_NAME.fullmatch(t.name)
    ]
    entities = [t.name for t in contract.tables if t.kind is TableKind.ENTITY]
    if len(entities) != 1 and any(t.kind not in (TableKind.SYSTEM, TableKind.PLAIN) for t in contract.tables):
        problems.append(f"exactly one table must be of kind entity, found {', '.join(entities) or 'none'}")
    return problems


def _reserved(contract: Contract) -> list[str]:
    return [
        f"table name {t.name!r} is reserved; the package writes a table of that name: name it otherwise, and "
        f"give the delivered folder as the table's physicalName: {t.delivered_name}"
        for t in contract.tables
        if t.kind is not TableKind.PLAIN
        and (t.name.lower() in RESERVED_TABLES or t.name.lower().endswith("_judged"))
    ]


def _names(table: Table) -> list[str]:
    at = f"table {table.name!r}"
    problems = [
        f"{at}: field {n!r} is declared twice (names differ at most in case)" for n in _repeated(table.names)
    ]
    problems += [
        f"field {table.name}.{f.name}: {member!r} of physicalType holds a character that Delta refuses"
        for f in table.fields
        for member in unstorable_members(f.spark_type)
        if table.kind is not TableKind.PLAIN
    ]
    reserved = {DAY_COLUMNS[table.kind]} if table.kind in DAY_COLUMNS else set()
    for name in table.names:
        if not name or (UNSTORABLE.search(name) and table.kind is not TableKind.PLAIN):
            problems.append(f"{at}: field name {name!r} is empty or holds a character that Delta refuses")
        if "${" in name:
            problems.append(f"{at}: field name {name!r} holds ${{, which Spark replaces by a setting")
        if name.lower() in reserved or is_reserved_column(name):
            problems.append(f"{at}: field name {name!r} is reserved; the package adds it")
    return problems


def unstorable_members(spark_type: str) -> list[str]:
    """List the members of structs in a type whose names Delta refuses."""
    return [name for name in _MEMBERS.findall(spark_type) if UNSTORABLE.search(name.strip())]


def _key(table: Table) -> list[str]:
    at = f"table {table.name!r}"
    keyed = [f for f in table.fields if f.is_key]
    if not keyed:
        return (
            []
            if table.kind in (TableKind.LOG, TableKind.PLAIN)
            else [f"{at} has no key (primaryKey: true on at least one field)"]
        )
    problems = []
    if sorted(f.key_position or 0 for f in keyed) != list(range(1, len(keyed) + 1)):
        problems.append(f"{at}: primaryKeyPosition must count 1 to {len(keyed)}, each once")
    problems += [f"{at}: key field {f.name!r} must be required" for f in keyed if not f.required]
    if table.kind is TableKind.ENTITY:
        problems += [
            f"{at}: key field {f.name!r} must not be null: the severity of its nullValues is "
            f"{f.severity_of('not_null')}, and has to be critical"
            for f in keyed
            if f.severity_of("not_null") is not Severity.CRITICAL
        ]
    problems += [
        f"{at}: key field {f.name!r} is a floating point number, which is not a key"
        for f in keyed
        if f.is_floating
    ]
    return problems


def _is_type(text: str) -> bool:
    """Return whether a text is a type from its first to its last character."""
    return len(text) <= LONGEST_TYPE and _end_of_type(text, 0, 0) == len(text)


def _end_of_type(text: str, at: int, depth: int) -> int:
    """Return where the type that begins at a place ends; -1 where none begins there.

    Cost: linear, since each character is passed once.
    """
    if scalar := _SCALAR.match(text, at):
        is_decimal = scalar["digits"] is not None
        fits = not is_decimal or int(scalar["scale"]) <= int(scalar["digits"]) <= _MOST_DIGITS
        return scalar.end() if fits else -1
    opened = _NESTED.match(text, at)
    if opened is None or depth > _DEEPEST_TYPE or text.startswith("map<map<", at):  # no map is a key
        return -1
    at, parts, members = opened.end(), 0, set[str]()
    while True:
        if opened[1] == "struct":
            member = _MEMBER.match(text, at)
            if member is None or member[0].strip(" :").lower() in members:
                return -1
            members.add(member[0].strip(" :").lower())
            at = member.end()
        end = _end_of_type(text, _BLANKS.match(text, at).end(), depth + 1)  # type: ignore[union-attr]
        if end < 0:
            return -1
        at, parts = _BLANKS.match(text, end).end(), parts + 1  # type: ignore[union-attr]
        sign = text[at : at + 1]
        at += 1
        if sign == ">":
            return at if parts == {"array": 1, "map": 2}.get(opened[1], parts) else -1
        if sign != ",":
            return -1


def _type(f: Field) -> list[str]:
    if not _is_type(f.spark_type):
        return [f"physicalType {f.spark_type[:200]!r} is not supported; supported are {', '.join(LOGICAL)}"]
    base = re.split(r"[(<]", f.spark_type)[0]
    if f.logical_type != LOGICAL[base]:
        return [
            f"logicalType {f.logical_type!r} does not fit physicalType {f.spark_type!r}, which is "
            f"{LOGICAL[base]!r}"
        ]
    return []


def _bounds(f: Field) -> list[str]:
    numeric = f.logical_type in ("integer", "number")
    problems = []
    stated = {"minimum": f.minimum, "maximum": f.maximum, "referenceMean": f.reference_mean}
    for name, value in stated.items():
        if value is None:
            continue
        if not numeric:
            problems.append(f"{name} is for numbers, not for {f.logical_type}")
        elif not math.isfinite(value):
            problems.append(f"{name} is {value}")
        elif name != "referenceMean" and f.logical_type == "integer":
            if value != int(value):
                problems.append(f"{name} {value} is not a whole number")
            elif (
                f.spark_type in _INTEGER_BITS
                and not -(2 ** _INTEGER_BITS[f.spark_type]) <= value < 2 ** _INTEGER_BITS[f.spark_type]
            ):
                problems.append(f"{name} {value} does not fit {f.spark_type}")
    if f.minimum is not None and f.maximum is not None and f.minimum > f.maximum:
        problems.append(f"minimum {f.minimum} is above maximum {f.maximum}")
    elif f.reference_mean is not None and not _within(f, f.reference_mean):
        problems.append(f"referenceMean {f.reference_mean} is outside {f.minimum} to {f.maximum}")
    if f.pattern is not None:
        problems += _pattern(f)
    if f.max_missing_pct is not None and not 0 < f.max_missing_pct <= 100:
        problems.append(
            f"nullValues mustBeLessThan {f.max_missing_pct} must be above 0 and at most 100 percent"
        )
    return problems


def _within(f: Field, value: float) -> bool:
    return (f.minimum is None or value >= f.minimum) and (f.maximum is None or value <= f.maximum)


def _pattern(f: Field) -> list[str]:
    if f.logical_type != "string":
        return [f"pattern is for strings, not for {f.logical_type}"]
    problem = pattern_problem(bare_pattern(f.pattern or ""))
    return [f"pattern {problem}"] if problem else []


def _values(f: Field) -> list[str]:
    if not f.allowed:
        return []
    problems = []
    kind = {"string": str, "integer": int}.get(f.logical_type)
    if kind is None:
        problems.append(f"validValues are for strings and integers, not for {f.logical_type}")
    else:
        quotes = "write it in quotes" if kind is str else "write it without quotes and point"
        fit = [isinstance(v, kind) and not isinstance(v, bool) for v in f.allowed]
        problems += [
            f"valid value {v!r} is not of type {f.logical_type} ({quotes} in YAML)"
            for v, fits in zip(f.allowed, fit, strict=True)
            if not fits
        ]
        problems += [
            f"valid value {v!r} is outside the range"
            for v, fits in zip(f.allowed, fit, strict=True)
            if fits and isinstance(v, int) and not _within(f, v)
        ]
    if len(set(map(repr, f.allowed))) != len(f.allowed):
        problems.append("validValues names a value twice")
    return problems


def _shares(f: Field) -> list[str]:
    if not f.reference_shares:
        return []
    allowed = set(map(repr, f.allowed))
    problems = [
        f"referenceShares names {v!r}, which is not among the valid values"
        for v, _ in f.reference_shares
        if repr(v) not in allowed
    ]
    problems += [
        f"referenceShares gives {v!r} the share {s}" for v, s in f.reference_shares if not 0 <= s <= 1
    ]
    total = math.fsum(s for _, s in f.reference_shares)
    if not abs(total - 1) <= 1e-9:
        problems.append(f"referenceShares sum to {total:g}, not to 1")
    return problems


def _leaks(f: Field, targets: set[str]) -> list[str]:
    problems = [f"leaksInto names {t!r}, which is not a target" for t in f.leaks_into if t not in targets]
    if f.name in f.leaks_into:
        problems.append("leaksInto names the field itself")
    if f.label_days < 0 or (f.label_days and f.role is not Role.TARGET):
        problems.append("labelWindowDays is a number of days, 0 or more, of a target")
    if f.bands and (list(f.bands) != sorted(set(f.bands)) or f.logical_type not in ("integer", "number")):
        problems.append("bands are for numbers, and given in rising order")
    return problems


def _target(table: Table, f: Field, entities: Collection[str]) -> list[str]:
    """Check what models predict: a field of the entity, or one that is derived from it."""
    if f.role is not Role.TARGET:
        return ["positive is for targets"] if f.positive is not None else []
    problems = [] if f.is_key else target_problems(f)
    if f.is_key:
        problems.append("a key is not a target")
    is_of_entity = table.kind is TableKind.ENTITY or (
        table.kind is TableKind.DERIVED and table.source in entities and f.formula is not None
    )
    if not is_of_entity and table.kind is not TableKind.PLAIN:
        problems.append("a target is a field of the entity, or has a formula in a table derived from it")
    return problems


def _baseline(contract: Contract, f: Field, of_entity: Mapping[str, Field]) -> list[str]:
    """Check the baseline: it is fitted before anything is derived, so it is a number of the entity itself."""
    if f.baseline is None:
        return []
    if f.role is not Role.TARGET:
        return ["baseline is for targets"]
    named = of_entity.get(f.baseline)
    if named is None or named.role is not Role.FEATURE:
        return [f"baseline names {f.baseline!r}, which is not a feature of the entity"]
    if named.logical_type not in ("integer", "number", "boolean"):
        return [f"baseline names {f.baseline!r}, which is of type {named.spark_type}; a number is needed"]
    if named.name in formula_inputs(contract, f.name):
        return [f"baseline names {f.baseline!r}, and {f.name} is computed from it"]
    return [f"baseline names {f.baseline!r}, which leaks into {f.name}"] if f.name in named.leaks_into else []


def _money(f: Field) -> list[str]:
    if f.money is None or (f.role is Role.TARGET and f.is_two_classes):
        return []
    return ["money is for targets of two classes: it decides from which probability of 1 on a contact pays"]


def _rules(table: Table) -> list[str]:
    at = f"table {table.name!r}"
    problems = [
        f"{at}: quality {n!r} is declared twice"
        for n in _repeated([r.name for r in table.rules] + [g.name for g in table.gates])
    ]
    problems += _gates(table)
    return problems


def _gates(table: Table) -> list[str]:
    at = f"table {table.name!r}"
    problems = []
    for g in table.gates:
        if g.measure == "row_count_change" and table.kind is not TableKind.ENTITY:
            problems.append(f"{at}: row_count_change compares an entity's snapshots")
        if g.measure == "latency" and table.kind is not TableKind.LOG:
            problems.append(f"{at}: latency is of a log, which has an event time; use freshness")
        if g.measure == "freshness" and table.kind is not TableKind.ENTITY:
            problems.append(f"{at}: freshness is of an entity's snapshots; use latency")
        if g.measure in ("mean", "quantile") and table[g.column or ""].logical_type not in (
            "integer",
            "number",
        ):
            problems.append(f"field {table.name}.{g.column}: {g.measure} is for numbers")
    return problems


def _references(table: Table, by_name: Mapping[str, Table]) -> list[str]:
    problems = []
    for r in table.references:
        at = f"field {table.name}.{r.column}: relationship"
        target = by_name.get(r.table)
        if target is None or r.to_column not in target.names:
            problems.append(f"{at} to {r.table}.{r.to_column}, which is not declared")
        elif target.key != (r.to_column,):
            problems.append(f"{at} to {r.table}.{r.to_column}, which is not the key of {r.table}")
        elif r.column in table.names and target[r.to_column].spark_type != table[r.column].spark_type:
            problems.append(f"{at} to {r.table}.{r.to_column}, which is of another type")
    return problems


def _event_time(table: Table) -> list[str]:
    at = f"table {table.name!r}"
    if table.kind is not TableKind.LOG:
        return [f"{at}: eventTime is for tables of kind log"] if table.event_time else []
    if (
        table.event_time not in table.names
        or table[table.event_time or ""].spark_type != "timestamp"
        or not table[table.event_time or ""].required
    ):
        return [f"{at}: eventTime must name a required timestamp field, found {table.event_time!r}"]
    return []


def _formulas(table: Table, by_name: Mapping[str, Table]) -> list[str]:
    if table.kind is not TableKind.DERIVED:
        problems = (
            [f"table {table.name!r}: source is for tables of kind derived"]
            if table.source and table.kind is not TableKind.GRAPH
            else []
        )
        return problems + [
            f"field {table.name}.{f.name}: a formula is for tables of kind derived"
            for f in table.fields
            if f.formula or f.inputs or f.on_failure is OnFailure.STOP
        ]
    source = by_name.get(table.source or "")
    if source is None or source.kind not in DAY_COLUMNS:
        return [
            f"table {table.name!r}: source must name a table of kind entity or log, found {table.source!r}"
        ]
    day = DAY_COLUMNS[source.kind]
    types = {**{f.name: f.spark_type for f in source.fields}, day: "date"}
    audit = {f.name for f in source.fields if f.role is Role.AUDIT}
    computed = [f for f in table.fields if f.formula]
    columns = KnownColumns.of(types | {f.name: f.spark_type for f in computed})
    later = Counter(f.name for f in computed)
    problems = []
    for f in table.fields:
        at = f"field {table.name}.{f.name}"
        if not f.formula:
            if types.get(f.name) != f.spark_type:
                problems.append(
                    f"{at}: without a formula it must be a column of {source.name}, or {day}, of the same "
                    "type"
                )
            continue
        if f.name in types:
            problems.append(f"{at}: its name is taken by a column of {source.name}")
        if f.is_key:
            problems.append(f"{at}: a key is carried over, not computed")
        problems += [f"{at}: {problem}" for problem in _formula(f, columns, later)]
        if f.role is Role.FEATURE and (hidden := [n for n in f.inputs if n in audit]):
            problems.append(
                f"{at}: a feature made from {', '.join(hidden)}, which must never enter a model; give it "
                "the role audit"
            )
        audit |= {f.name} if f.role is Role.AUDIT else set()
        later[f.name] -= 1
    return problems


def _formula(f: Field, columns: KnownColumns, later: Mapping[str, int]) -> list[str]:
    """List what is wrong with a formula over columns, of which the `later` are computed after it or by it."""
    used = read_expression(f.formula or "", columns)
    inputs, named = set(f.inputs), set(used.columns)
    problems = [
        f"refers to {'itself' if n == f.name else f'{n!r}, which is declared after it'}"
        for n in dict.fromkeys((*used.columns, *f.inputs))
        if later.get(n)
    ]
    problems += [
        f"transformSourceObjects names {n!r}, which is not a column it can use"
        for n in f.inputs
        if n not in columns.types
    ]
    problems += [
        f"the formula uses {n!r}, which transformSourceObjects leaves out"
        for n in used.columns
        if n not in inputs
    ]
    problems += [
        f"transformSourceObjects names {n!r}, which the formula does not use"
        for n in f.inputs
        if n in columns.types and not later.get(n) and n not in named
    ]
    if len(f.spark_type) <= LONGEST_TYPE and not used.fits(f.spark_type):
        problems.append(f"the formula gives {used.kind}, which is not cast to {f.spark_type[:200]}")
    if not f.null_policy:
        problems.append("transformDescription must say when the result is null")
    return problems + used.problems
