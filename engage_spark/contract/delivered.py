"""Check what a contract says of delivered columns: their names, and how a field is read from their text."""

from __future__ import annotations

import re

from engage_spark.contract.expressions import read_expression
from engage_spark.contract.model import DAY_COLUMNS, Field, Table, TableKind
from engage_spark.contract.sql_nodes import LONGEST_TYPE

_DELIVERED = (TableKind.ENTITY, TableKind.LOG, TableKind.PLAIN)
_NO_FOLDER = re.compile(r"[/\\*?{}\[\]\x00-\x1f]")


def delivered_problems(table: Table) -> list[str]:
    """Say what is wrong with the physical names and the readings of a table."""
    readings = [f"field {table.name}.{f.name}: {x}" for f in table.fields for x in _reading(table, f)]
    return _names(table) + readings


def _names(table: Table) -> list[str]:
    """Check the names of what is delivered: two columns of one name, or of none, cannot be told apart."""
    at = f"table {table.name!r}"
    named = [(f"field {table.name}.{f.name}", f.physical_name) for f in table.fields]
    problems = [
        f"{where}: physicalName must be a text that is not empty, found {name!r}"
        for where, name in [(at, table.physical_name), *named]
        if name is not None and not name
    ]
    if table.kind not in _DELIVERED:
        problems += [
            f"{where}: physicalName is of what is delivered, and a table of kind {table.kind} is not"
            for where, name in [(at, table.physical_name), *named]
            if name
        ]
        return problems
    folder = table.delivered_name
    if table.physical_name and (_NO_FOLDER.search(folder) or not folder.strip(".")):
        problems.append(f"{at}: physicalName {table.physical_name[:100]!r} is not the name of one folder")
    owners: dict[str, list[str]] = {}
    for f in table.fields:
        owners.setdefault(f.delivered_name.lower(), []).append(f.name)
    problems += [
        f"{at}: the fields {', '.join(names)} are of one delivered column, {column!r} (names differ at "
        "most in case): give each its own physicalName"
        for column, names in owners.items()
        if len(set(names)) > 1
    ]
    reserved = DAY_COLUMNS.get(table.kind)
    problems += [
        f"{at}: physicalName {f.physical_name!r} is reserved; the package adds a column of that name"
        for f in table.fields
        if f.physical_name and f.physical_name.lower() == reserved
    ]
    return problems


def _reading(table: Table, f: Field) -> list[str]:
    """Check the expression that makes a field's value of the delivered text."""
    if f.reading is None:
        return []
    if table.kind not in _DELIVERED:
        return [f"reading is of what is delivered, and a table of kind {table.kind} is not"]
    if re.split(r"[(<]", f.spark_type)[0] in ("binary", "array", "map", "struct"):
        return [f"reading makes no {f.spark_type[:100]}; deliver it in that type"]
    others = {g.name for g in table.fields if g.name != f.name}
    used = read_expression(f.reading, {f.name: "string"})
    problems = [
        f"reading refers to {n!r}: it has the delivered text of {f.name} alone, under that name; "
        "derive what needs several columns"
        for n in used.unknown
        if n in others or n == f.delivered_name
    ]
    problems += [f"reading: {x}" for x in used.problems if not problems]
    if not used.problems and f.name not in used.columns:
        problems.append(f"reading does not use {f.name}, the delivered text")
    if len(f.spark_type) <= LONGEST_TYPE and not used.fits(f.spark_type):
        problems.append(f"reading gives {used.kind}, which is not cast to {f.spark_type[:200]}")
    return problems
