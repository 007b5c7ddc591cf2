"""Convert declared types to Spark's, and an input DataFrame to the declared columns, without a Spark job."""

from __future__ import annotations

import difflib
import re
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql import types as T

from engage_spark.contract import ExtraColumns, Field, Table
from engage_spark.contract.expressions import read_statement
from engage_spark.errors import ContractError, InputError
from engage_spark.spark.compat import make_valid_utf8
from engage_spark.spark.sql_text import quoted_name

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
_DIGITS = {"tinyint": 3, "smallint": 5, "int": 10, "bigint": 19}
_READABLE = ("integer", "number", "boolean", "date", "timestamp")
"""Logical types of which a field's reading makes values of a text."""
_INT_LOW, _INT_HIGH = -(2**31), 2**31 - 1
LOST = "\ufffd"
"""Unicode's sign for a character that could not be read."""
_TYPO = 0.8
"""Similarity from which an undeclared column is suggested as a renamed missing one."""


class ConformedInput(NamedTuple):
    """An input as its table declares it, and the columns that are left out because they are not declared.

    `in_folders` names the columns of which folder names say the value as well: the temporary column
    `folder_flag_name` holds a row's own value where it is another one.
    """

    rows: DataFrame
    extra: tuple[str, ...]
    in_folders: tuple[str, ...] = ()


@dataclass(frozen=True)
class UnreadableType:
    """A type of a file that Spark has no type for, such as a UUID or a duration."""

    text: str

    def simpleString(self) -> str:  # noqa: N802 (as Spark's types have it)
        """Return its name."""
        return self.text


ColumnType = T.DataType | UnreadableType


def folder_flag_name(column: str) -> str:
    """Return the name of the temporary column with what a row says against the name of its folder."""
    return f"__folder_{column}"


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
    """Return the metadata of a column: comment (shown by DESCRIBE and catalogs), role, unit, protection,
    classification.
    """
    return {
        "comment": field.description,
        "role": field.role.value,
        "protected": field.protected,
        **({"unit": field.unit} if field.unit else {}),
        **({"classification": field.classification} if field.classification else {}),
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
    if isinstance(declared, T.DecimalType):
        narrower += [n for n in _DIGITS if _fits_decimal(_SCALARS[n](), declared)]
    return (type(declared).__name__, *(_SCALARS[name].__name__ for name in narrower), T.NullType.__name__)


def is_widening(narrow: T.DataType, wide: T.DataType) -> bool:
    """Return whether a type holds every value of another, so that a stored column may become it.

    Structs may gain fields.
    """
    if narrow.simpleString() == wide.simpleString():
        return True
    if isinstance(narrow, T.DecimalType) and isinstance(wide, T.DecimalType):
        more_digits = wide.precision - wide.scale >= narrow.precision - narrow.scale
        return more_digits and wide.scale >= narrow.scale
    if isinstance(narrow, T.ArrayType) and isinstance(wide, T.ArrayType):
        return is_widening(narrow.elementType, wide.elementType)
    if isinstance(narrow, T.StructType) and isinstance(wide, T.StructType):
        types = {f.name: f.dataType for f in wide}
        return all(f.name in types and is_widening(f.dataType, types[f.name]) for f in narrow)
    return wide.simpleString() in _WIDER.get(narrow.simpleString(), ())


def conform(rows: DataFrame, table: Table) -> ConformedInput:
    """Select the declared columns of `rows`, in declared order and type, and name the undeclared ones.

    No column is named when the policy is `ignore`. `rows` must not carry the day column (snapshot_date,
    event_date).

    Accepted besides the declared type, because no value can change:
    - tinyint → smallint, int, bigint, float, double; smallint → int, bigint, float, double; int → bigint,
      double; float → double;
    - decimal(p,s), and whole numbers → a decimal that holds as many digits on both sides of the point;
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
    fields = [(f.name, f.dataType) for f in rows.schema.fields]
    problems, extra = column_problems(fields, table), undeclared_columns([rows.columns], table)
    refuse_columns(table, problems, extra)
    types = dict(fields)
    columns = [conformed_column(f, types[f.delivered_name]) for f in table.fields]
    texts = frozenset(f.name for f in table.readings if is_read(f, types[f.delivered_name]))
    read = with_readings(rows.select(*columns), table, texts=texts)
    return ConformedInput(read, () if table.extra is ExtraColumns.IGNORE else extra)


def undeclared_columns(files: Iterable[Sequence[str]], table: Table) -> tuple[str, ...]:
    """Return the columns of any file that are not declared, in the order of their first appearance."""
    return tuple(dict.fromkeys(c for columns in files for c in columns if c not in table.delivered_fields))


def refuse_columns(table: Table, problems: Sequence[str], extra: Sequence[str]) -> None:
    """Raise an InputError with all problems, undeclared columns among them where the contract refuses them.

    Nothing happens where there are none.
    """
    if table.extra is ExtraColumns.REFUSE:
        problems = [
            *problems,
            *(
                f"{name}: not declared, and the contract refuses undeclared columns; "
                "take it out or declare it"
                for name in extra
            ),
        ]
    if problems:
        raise InputError(
            f"the columns of {table.name} are not as the contract declares them",
            details=problems,
            hint="correct the input, or declare what it holds in a contract of your own (--contract PATH)",
        )


def column_problems(
    columns: Sequence[tuple[str, ColumnType]], table: Table, *, elsewhere: Collection[str] = ()
) -> list[str]:
    """Return what is wrong with the columns of an input, by their names and types alone (see `conform`).

    A column that is missing is no problem where it is `elsewhere`: in another file, or in a folder's name.
    """
    types = dict(columns)
    names = [name for name, _ in columns]
    repeated = Counter(name.lower() for name in names)
    undeclared = [c for c in dict.fromkeys(names) if c not in table.delivered_fields]
    problems: list[str] = []
    for f in table.fields:
        alike = [c for c in names if c.lower() == f.delivered_name.lower()]
        if repeated[f.delivered_name.lower()] > 1:
            problems.append(
                f"{f.name}: found {', '.join(map(repr, alike))}, which Spark cannot tell apart; keep one"
            )
        elif f.delivered_name not in types:
            if alike or f.delivered_name not in elsewhere:
                problems.append(_missing(f, undeclared))
        elif not is_read(f, types[f.delivered_name]) and _conversion(f, types[f.delivered_name]) is None:
            problems.append(_wrong_type(f, types[f.delivered_name]))
    return problems


def conformed_column(f: Field, input_type: ColumnType) -> Column:
    """Convert a column of a type that `column_problems` lets pass to the declared type, with its metadata.

    A text that is yet to be read (`with_readings`) stays one.
    """
    declared, column = spark_type(f.spark_type), column_named(f.delivered_name)
    if is_read(f, input_type):
        return make_valid_utf8(column).alias(f.name, metadata=column_metadata(f))
    conversion = _conversion(f, input_type)
    if conversion == "same":
        column = make_valid_utf8(column) if f.spark_type == "string" else column
    elif conversion == "nulls":
        column = F.lit(None).cast(declared)
    elif conversion == "bounded":
        column = (
            F.when(column > _INT_HIGH, F.lit(_INT_HIGH))
            .when(column < _INT_LOW, F.lit(_INT_LOW))
            .otherwise(column.cast(declared))
        )
    else:
        column = column.cast(declared)
    return column.alias(f.name, metadata=column_metadata(f))


def is_read(f: Field, input_type: ColumnType) -> bool:
    """Return whether a delivered column is text that the field's reading makes its values of."""
    return f.reading is not None and isinstance(input_type, T.StringType)


def with_readings(rows: DataFrame, table: Table, *, texts: Collection[str]) -> DataFrame:
    """Make the values of fields with a reading of their delivered texts, in the declared types.

    `texts` names those of them that are text in `rows`; others have their values already. A temporary column
    for each field with a reading (`unread_flag_name`) holds the text that could not be read: where something
    in the expression, or the cast of its result, fails. What the reading itself makes null is null.
    Grain: unchanged. Cost: a projection; none where no field has a reading.
    Errors: ContractError for a reading that `lint` refuses.
    """
    if not table.readings:
        return rows
    columns: dict[str, Column] = {}
    flags: list[Column] = []
    for f in table.readings:
        flag = F.lit(None).cast("string")
        if f.name in texts:
            read = read_statement(f.reading or "", {f.name: "string"}, f"{table.name}.{f.name}, reading")
            value = f"try_cast({read.sql} AS {f.spark_type})"
            failed = f"(({read.sql}) IS NOT NULL AND {value} IS NULL)"
            failed = failed if read.fault is None else f"({read.fault} OR {failed})"
            columns[f.name] = F.expr(value).alias(f.name, metadata=column_metadata(f))
            flag = F.expr(f"CASE WHEN {failed} THEN {quoted_name(f.name)} END")
        flags.append(flag.alias(unread_flag_name(f.name)))
    return rows.select(*(columns.get(name, column_named(name)) for name in rows.columns), *flags)


def unread_flag_name(field: str) -> str:
    """Return the name of the temporary column with the delivered text that a reading failed on."""
    return f"__unread_{field}"


def _conversion(f: Field, input_type: ColumnType) -> Literal["same", "nulls", "wider", "bounded"] | None:
    """Return how a column becomes its declared type; None when that could change values."""
    if isinstance(input_type, UnreadableType):
        return None
    declared = spark_type(f.spark_type)
    have, want = input_type.simpleString(), declared.simpleString()
    if have == want:
        return "same"
    if have == "void":
        return "nulls"
    if want in _WIDER.get(have, ()) or _fits_decimal(input_type, declared):
        return "wider"
    return "bounded" if have == "bigint" and want == "int" and _bounded(f) else None


def widest_type(types: Sequence[T.DataType]) -> T.DataType | None:
    """Return the one of several types that keeps every value of all of them; None where there is none.

    Of decimals it is one with the digits of all on both sides of the point, up to 38.
    """
    distinct = {t.simpleString(): t for t in types if not isinstance(t, T.NullType)}
    if not distinct:
        return T.NullType()
    decimals = [t for t in distinct.values() if isinstance(t, T.DecimalType)]
    if decimals:
        scale = max(t.scale for t in decimals)
        whole = max(t.precision - t.scale for t in decimals)
        whole = max(whole, *(_DIGITS.get(name, 0) for name in distinct))
        if whole + scale <= 38:
            distinct["decimal"] = T.DecimalType(whole + scale, scale)
    for name, candidate in distinct.items():
        others = (t for n, t in distinct.items() if n != name)
        if all(
            candidate.simpleString() in {t.simpleString(), *_WIDER.get(t.simpleString(), ())}
            or _fits_decimal(t, candidate)
            for t in others
        ):
            return candidate
    return None


def _fits_decimal(input_type: T.DataType, declared: T.DataType) -> bool:
    if not isinstance(declared, T.DecimalType):
        return False
    whole = declared.precision - declared.scale
    if isinstance(input_type, T.DecimalType):
        return input_type.scale <= declared.scale and input_type.precision - input_type.scale <= whole
    return _DIGITS.get(input_type.simpleString(), whole + 1) <= whole


def _bounded(f: Field) -> bool:
    if f.allowed:  # the limits of int are then refused by the list
        return not {_INT_LOW, _INT_HIGH}.intersection(f.allowed)
    return f.minimum is not None and f.maximum is not None and f.minimum > _INT_LOW and f.maximum < _INT_HIGH


def _missing(f: Field, undeclared: list[str]) -> str:
    wanted = f.name if f.physical_name is None else f"{f.name} (delivered as {f.physical_name!r})"
    hint = "rename it, or give its name as the field's physicalName"
    for name in undeclared:
        if name.strip().lower() == f.delivered_name.strip().lower():
            return f"{wanted}: missing, but there is {name!r}, which differs only in case or blanks; {hint}"
    known = {_letters(c): c for c in reversed(undeclared)}
    own = [n for n in dict.fromkeys((f.delivered_name, f.name)) if _letters(n)]
    close = [c for n in own for c in difflib.get_close_matches(_letters(n), known, n=1, cutoff=_TYPO)]
    if close:
        return f"{wanted}: missing, but there is {known[close[0]]!r}; if that is it, {hint}"
    return f"{wanted}: missing; add it as {'string' if f.reading else f.spark_type}"


def _letters(name: str) -> str:
    """Return the letters and digits of a name in lower case, by which names are compared."""
    return "".join(c for c in name.lower() if c.isalnum())


def _wrong_type(f: Field, input_type: ColumnType) -> str:
    have = input_type.simpleString()
    hint = f"write it as {f.spark_type}" + (", or as text for its reading" if f.reading else "")
    if have == "string" and f.reading is None and f.logical_type in _READABLE:
        hint += f", or give the field a reading, such as CAST({quoted_name(f.name)} AS {f.spark_type})"
    if isinstance(input_type, UnreadableType):
        if have.startswith("duration"):
            hint += ", and say in the contract which unit it counts"
        elif f.spark_type == "timestamp":
            hint += " in microseconds and with a time zone, UTC"
        return f"{f.name}: found {have}, which Spark cannot read, declared is {f.spark_type}; {hint}"
    if have == "bigint" and f.spark_type == "int":
        hint += ", or declare a minimum and a maximum, within which 64-bit integers are taken"
    elif have in ("double", "float") and f.spark_type in ("int", "bigint", "smallint", "tinyint"):
        hint += " (pandas turns whole numbers with gaps into floats: use its Int32)"
    elif have == "int" and f.logical_type not in ("integer", "number"):
        hint += " (a column of nulls alone is written as int by whoever does not say its type)"
    elif have == "timestamp_ntz" and f.spark_type == "timestamp":
        hint += " with a time zone, UTC: without one nobody knows which moment is meant"
    return f"{f.name}: found {have}, declared is {f.spark_type}; {hint}"
