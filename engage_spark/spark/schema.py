"""Convert declared types to Spark's, and an input DataFrame to the declared columns, without a Spark job."""

from __future__ import annotations

import difflib
import re
from collections import Counter
from typing import Any, NamedTuple

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql import types as T

from engage_spark.contract import ExtraColumns, Field, Table
from engage_spark.errors import ContractError, InputError
from engage_spark.spark.compat import make_valid_utf8

_SCALARS: dict[str, type[T.DataType]] = {
    "tinyint": T.ByteType,
    "smallint": T.ShortType,
    "int": T.IntegerType,
    "bigint": T.LongType,
    "float": T.FloatType,
    "double": T.DoubleType,
    "string": T.StringType,
    "binary": T.BinaryType,
    "boolean": T.BooleanType,
    "date": T.DateType,
    "timestamp": T.TimestampType,
}
_WIDER = {
    "tinyint": {"smallint", "int", "bigint", "float", "double"},
    "smallint": {"int", "bigint", "float", "double"},
    "int": {"bigint", "double"},
    "float": {"double"},
}
_INT_LOW, _INT_HIGH = -(2**31), 2**31 - 1
LOST = "\ufffd"
"""Unicode's sign for a character that could not be read."""
_TYPO = 0.8
"""Similarity from which an undeclared column is suggested as a renamed missing one."""


class ConformedInput(NamedTuple):
    """An input as its table declares it, and the columns that are left out because they are not declared."""

    rows: DataFrame
    extra: tuple[str, ...]


def column_named(name: str) -> Column:
    """Return the column of exactly this name, also when it holds dots or backticks."""
    return F.col(f"`{name.replace('`', '``')}`")


def spark_type(text: str) -> T.DataType:
    """Return the Spark type of a declared physicalType: scalars, decimal, array, map and struct.

    Needs no session, unlike DataType.fromDDL.
    Errors: ContractError for a type that a contract cannot declare.
    """
    text = text.strip()
    if text in _SCALARS:
        return _SCALARS[text]()
    if m := re.fullmatch(r"decimal\((\d+),\s*(\d+)\)", text):
        return T.DecimalType(int(m[1]), int(m[2]))
    if m := re.fullmatch(r"(array|map|struct)<(.*)>", text, re.DOTALL):
        parts = _split(m[2])
        if m[1] == "array" and len(parts) == 1:
            return T.ArrayType(spark_type(parts[0]))
        if m[1] == "map" and len(parts) == 2:
            return T.MapType(spark_type(parts[0]), spark_type(parts[1]))
        if m[1] == "struct" and all(":" in p for p in parts):
            return T.StructType(
                [T.StructField(n.strip(), spark_type(t)) for n, t in (p.split(":", 1) for p in parts)]
            )
    raise ContractError(
        f"{text!r} is not a Spark type that a contract can declare",
        hint=f"use one of {', '.join(_SCALARS)}, decimal(p,s), array<…>",
    )


def _split(text: str) -> list[str]:
    """Split at the commas that stand outside all brackets."""
    parts, depth = [""], 0
    for c in text:
        depth += (c in "<(") - (c in ">)")
        if c == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += c
    return parts


def column_metadata(field: Field) -> dict[str, Any]:
    """Return the metadata of a column: comment (shown by DESCRIBE and catalogs), role, unit, protection."""
    return {
        "comment": field.description,
        "role": field.role.value,
        "protected": field.protected,
        **({"unit": field.unit} if field.unit else {}),
    }


def spark_schema(table: Table) -> T.StructType:
    """Return the declared columns in declared order, with metadata.

    Nulls: all columns are nullable, since Parquet readers drop NOT NULL; rules check for nulls.
    """
    return T.StructType(
        [
            T.StructField(f.name, spark_type(f.spark_type), nullable=True, metadata=column_metadata(f))
            for f in table.fields
        ]
    )


def accepted_types(field: Field) -> tuple[str, ...]:
    """Return the names of the Spark types that an input may have for a field (see `conform`).

    The declared one comes first: IntegerType, ByteType, …
    """
    declared = spark_type(field.spark_type)
    narrower = [name for name, wider in _WIDER.items() if field.spark_type in wider]
    if field.spark_type == "int" and _bounded(field):
        narrower.append("bigint")
    return (type(declared).__name__, *(_SCALARS[name].__name__ for name in narrower), T.NullType.__name__)


def conform(rows: DataFrame, table: Table) -> ConformedInput:
    """Select the declared columns of `rows`, in declared order and type, and name the undeclared ones.

    No column is named when the policy is `ignore`. `rows` must not carry the day column (snapshot_date,
    event_date).

    Accepted besides the declared type, because no value can change:
    - tinyint → smallint, int, bigint, float, double; smallint → int, bigint, float, double; int → bigint,
      double; float → double;
    - void (a column of nulls only) → anything;
    - bigint → int where the contract bounds the field on both sides inside int. This is what pandas writes. A
      value beyond int becomes int's own limit, which is out of those bounds, so the row is quarantined and
      never wraps or fails the job.
    Bytes of a text that are not UTF-8 become U+FFFD, else readers of the checked table would fail on them; a
    check finds the sign. Everything else is refused, among it string for a number or date, double or decimal
    for int, double for float, timestamp without zone or date for timestamp.

    Grain: unchanged.
    Nulls: unchanged.
    Cost: none, only the schema is read.
    Errors: InputError with every column that is missing, renamed, ambiguous, of the wrong type, or (policy
    `refuse`) not declared.
    """
    types = {f.name: f.dataType for f in rows.schema.fields}
    repeated = Counter(name.lower() for name in rows.columns)
    undeclared = [c for c in dict.fromkeys(rows.columns) if c not in table.names]
    problems: list[str] = []
    columns: list[Column] = []
    for f in table.fields:
        if repeated[f.name.lower()] > 1:
            same = ", ".join(repr(c) for c in rows.columns if c.lower() == f.name.lower())
            problems.append(f"{f.name}: found {same}, which Spark cannot tell apart; keep one")
        elif f.name not in types:
            problems.append(_missing(f, undeclared))
        elif (column := _conformed(f, types[f.name])) is None:
            problems.append(_wrong_type(f, types[f.name]))
        else:
            columns.append(column.alias(f.name, metadata=column_metadata(f)))
    extra = tuple(undeclared)
    if table.extra is ExtraColumns.REFUSE:
        problems += [
            f"{name}: not declared, and the contract refuses undeclared columns; take it out or declare it"
            for name in extra
        ]
    if problems:
        raise InputError(
            f"the columns of {table.name} are not as the contract declares them",
            details=problems,
            hint="correct the input, or declare what it holds in a contract of your own (--contract PATH)",
        )
    return ConformedInput(rows.select(*columns), () if table.extra is ExtraColumns.IGNORE else extra)


def _conformed(f: Field, input_type: T.DataType) -> Column | None:
    """Convert a column to its declared type; None when that could change values."""
    declared, column = spark_type(f.spark_type), column_named(f.name)
    have, want = input_type.simpleString(), declared.simpleString()
    if have == want:
        return make_valid_utf8(column) if have == "string" else column
    if have == "void" or want in _WIDER.get(have, ()):
        return column.cast(declared)
    if have == "bigint" and want == "int" and _bounded(f):
        return (
            F.when(column > _INT_HIGH, F.lit(_INT_HIGH))
            .when(column < _INT_LOW, F.lit(_INT_LOW))
            .otherwise(column.cast(declared))
        )
    return None


def _bounded(f: Field) -> bool:
    if f.allowed:  # the limits of int are then refused by the list
        return not {_INT_LOW, _INT_HIGH}.intersection(f.allowed)
    return f.minimum is not None and f.maximum is not None and f.minimum > _INT_LOW and f.maximum < _INT_HIGH


def _missing(f: Field, undeclared: list[str]) -> str:
    for name in undeclared:
        if name.strip().lower() == f.name.lower():
            return (
                f"{f.name}: missing, but there is {name!r}, which differs only in case or blanks; rename it"
            )
    close = difflib.get_close_matches(f.name.lower(), [c.lower() for c in undeclared], n=1, cutoff=_TYPO)
    if close:
        name = next(c for c in undeclared if c.lower() == close[0])
        return f"{f.name}: missing, but there is {name!r}; if that is it, rename it"
    return f"{f.name}: missing; add it as {f.spark_type}"


def _wrong_type(f: Field, input_type: T.DataType) -> str:
    have = input_type.simpleString()
    hint = f"write it as {f.spark_type}"
    if have == "bigint" and f.spark_type == "int":
        hint += ", or declare a minimum and a maximum, within which 64-bit integers are taken"
    elif have in ("double", "float") and f.spark_type in ("int", "bigint", "smallint", "tinyint"):
        hint += " (pandas turns whole numbers with gaps into floats: use its Int32)"
    elif have == "int" and f.logical_type not in ("integer", "number"):
        hint += " (a column of nulls alone is written as int by whoever does not say its type)"
    elif have == "timestamp_ntz" and f.spark_type == "timestamp":
        hint += " with a time zone, UTC: without one nobody knows which moment is meant"
    return f"{f.name}: found {have}, declared is {f.spark_type}; {hint}"
