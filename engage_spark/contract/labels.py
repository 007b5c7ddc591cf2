"""Say what a target's label is: 0 or 1 of two classes, else the number; and which fields can be targets.

Data stay as they are delivered. Whoever needs a label (training sets, splits, analytics, monitoring, tools)
takes it from here, so that 1 means the same everywhere: the target's `positive` value, where it names one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from engage_spark.contract.model import Field
from engage_spark.contract.sql_nodes import quoted, text_literal

TARGET_KINDS = ("string", "integer", "number", "boolean")
"""Logical types that a target can have."""
LARGEST = 1e18
"""Numbers beyond are no classes."""
MOST_CLASSES = 20
"""Classes that a message names."""


def label_sql(f: Field, column: str | None = None) -> str:
    """Return the SQL of a target's label, over a column as SQL (by default the field's own).

    Null stays null. Of a target with a positive value, 1 is that value, and 0 the other one of its valid
    values, or any other value where none are declared.
    """
    column = quoted(f.name) if column is None else column
    if f.logical_type == "boolean":
        is_negated = f.positive is False
        return f"CAST({f'NOT {column}' if is_negated else column} AS INT)"
    if f.positive is None:
        return f"CAST({column} AS DOUBLE)" if f.spark_type.startswith("decimal") else column
    others = [v for v in f.allowed if not _is_same(v, f.positive)]
    is_other = f"{column} = {_literal(f, others[0])}" if others else f"{column} IS NOT NULL"
    return f"CASE WHEN {column} = {_literal(f, f.positive)} THEN 1 WHEN {is_other} THEN 0 END"


def label_of(f: Field, value: Any) -> Any:
    """Return the label of a value, as `label_sql` has it."""
    if value is None or (f.logical_type != "boolean" and f.positive is None):
        return value
    if f.logical_type == "boolean":
        return int(value is (f.positive is not False))
    others = [v for v in f.allowed if not _is_same(v, f.positive)]
    if value == f.positive:
        return 1
    return 0 if not others or value == others[0] else None


def positive_text(f: Field) -> str:
    """Return the value that label 1 stands for, as text: '1' where the target is 0 and 1."""
    if f.logical_type == "boolean":
        return "false" if f.positive is False else "true"
    return "1" if f.positive is None else str(f.positive)


def needs_classes_counted(f: Field) -> bool:
    """Return whether only the data can say that a target has no more than two classes."""
    return f.positive is not None and not f.allowed and f.logical_type != "boolean"


def target_problems(f: Field) -> list[str]:
    """Say why a field cannot be a target; nothing where it can."""
    if f.logical_type not in TARGET_KINDS or f.spark_type == "binary":
        return [f"a target is a number, true or false, or one of two values, not {f.spark_type}"]
    if len(f.allowed) > 2:
        return [classes_problem(f, f.allowed)]
    if len(f.allowed) == 1:
        return [f"a target with one valid value, {f.allowed[0]!r}, tells nobody apart"]
    if f.positive is not None:
        return _positive_problems(f)
    if f.logical_type == "string" or (f.allowed and not f.is_two_classes):
        values = f" ({' or '.join(map(repr, f.allowed))})" if f.allowed else ""
        return [f"a target of two classes says which of its values{values} is the positive one: `positive`"]
    return []


def classes_problem(f: Field, values: Sequence[object]) -> str:
    """Say what to do about a target of more than two classes."""
    first = str(values[0])
    slug = "".join(c if c.isalnum() else "_" for c in first.lower()).strip("_") or "first"
    shown = ", ".join(map(str, values[:MOST_CLASSES])) + (", …" if len(values) > MOST_CLASSES else "")
    number = "" if f.logical_type == "string" else "; or declare no validValues where it is an amount"
    return (
        f"a target has the classes {shown}: models know two classes, and numbers. Give it the role audit, "
        "and declare a target for each class that matters in a table of kind derived, such as "
        f"is_{slug}: physicalType boolean, transformLogic {quoted(f.name)} = {_written(f, values[0])}, "
        f"transformSourceObjects [{f.name}]{number}"
    )


def absent_positive_problem(f: Field, values: Sequence[object]) -> str:
    """Say that no row has the positive value of a target."""
    shown = ", ".join(map(repr, values)) or "no value"
    return f"its positive value {f.positive!r} is in no row; there is {shown}"


def _positive_problems(f: Field) -> list[str]:
    kinds: dict[str, tuple[type, ...]] = {
        "string": (str,),
        "integer": (int,),
        "number": (int, float),
        "boolean": (bool,),
    }
    is_bool = isinstance(f.positive, bool)
    if not isinstance(f.positive, kinds[f.logical_type]) or is_bool != (f.logical_type == "boolean"):
        quote = " (quote it in YAML if it is text)" if f.logical_type == "string" else ""
        return [f"positive {f.positive!r} is not of type {f.logical_type}{quote}"]
    if not isinstance(f.positive, str) and not abs(f.positive or 0) < LARGEST:
        return [f"positive {f.positive!r} is beyond {LARGEST:.0e}"]
    if f.allowed and not any(_is_same(v, f.positive) for v in f.allowed):
        return [f"positive {f.positive!r} is not among the valid values {', '.join(map(repr, f.allowed))}"]
    return []


def _is_same(a: object, b: object) -> bool:
    return a == b and isinstance(a, bool) == isinstance(b, bool)


def _written(f: Field, value: object) -> str:
    """Write a value as a contract's formula has it."""
    return "'" + str(value).replace("'", "''") + "'" if f.logical_type == "string" else str(value)


def _literal(f: Field, value: object) -> str:
    """Write a value so that it is compared exactly."""
    if f.logical_type in ("string", "integer"):
        return text_literal(str(value)) if f.logical_type == "string" else str(value)
    kind = "DECIMAL(38, 18)" if f.spark_type.startswith("decimal") else f.spark_type
    return f"CAST('{value}' AS {kind})"
