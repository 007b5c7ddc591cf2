"""Read the value of a declared column from the name of a folder, `column=value`, as the text says it."""

from __future__ import annotations

import math
import re
import struct
from datetime import datetime
from decimal import Context, Decimal

from engage_spark.contract import Field
from engage_spark.lake.delivery_names import parse_day

_WHOLE = {"tinyint": 2**7, "smallint": 2**15, "int": 2**31, "bigint": 2**63}
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_MOMENT = re.compile(r"\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}:\d{2}(\.\d{1,6})?(Z|[+-]\d{2}:\d{2})", re.ASCII)
_DECIMAL = re.compile(r"decimal\((\d+),\s*(\d+)\)")


def folder_value_problem(field: Field, text: str) -> str | None:
    """Return why the text of a folder's name is no value of a field; None where it is one, without loss."""
    kind = field.spark_type
    if kind == "string" or _is_number(kind, text) or _is_other_value(kind, text):
        return None
    return f"{field.name}: the folder says {text!r}, declared is {kind}; write the column into the files"


def _is_number(kind: str, text: str) -> bool:
    if kind in _WHOLE:
        whole = re.fullmatch(r"[+-]?\d{1,19}", text, re.ASCII) is not None
        return whole and -_WHOLE[kind] <= int(text) < _WHOLE[kind]
    if kind in ("double", "float"):
        return _NUMBER.fullmatch(text) is not None and _is_exact(kind, text)
    match = _DECIMAL.fullmatch(kind)
    if match is None or not re.fullmatch(r"[+-]?\d{1,38}(\.\d{1,38})?", text, re.ASCII):
        return False
    precision, scale = int(match[1]), int(match[2])
    point = text.lstrip("+-").partition(".")
    return len(point[0].lstrip("0")) <= precision - scale and len(point[2].rstrip("0")) <= scale


def _is_exact(kind: str, text: str) -> bool:
    """Return whether the type tells the number from every other one of as many digits."""
    most, code = (6, "f") if kind == "float" else (15, "d")
    try:
        exact = Decimal(text)
        number = struct.unpack(code, struct.pack(code, float(text)))[0]
    except ArithmeticError:  # an exponent past every type
        return False
    digits = len(exact.normalize(Context(prec=1000)).as_tuple().digits)
    return (
        math.isfinite(number) and (number != 0 or exact == 0) and (digits <= most or Decimal(number) == exact)
    )


def _is_other_value(kind: str, text: str) -> bool:
    if kind == "boolean":
        return text in ("true", "false")
    try:
        if kind == "date":
            return parse_day(text) is not None
        is_moment = kind == "timestamp" and _MOMENT.fullmatch(text) is not None
        return is_moment and datetime.fromisoformat(text).tzinfo is not None
    except ValueError:
        return False
