"""Read the value of a declared column from the name of a folder, `column=value`, as the text says it."""

from __future__ import annotations

import math
import re
from datetime import datetime

from engage_spark.contract import Field
from engage_spark.lake.delivery_names import parse_day

_WHOLE = {"tinyint": 2**7, "smallint": 2**15, "int": 2**31, "bigint": 2**63}
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
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
        return _NUMBER.fullmatch(text) is not None and math.isfinite(float(text))
    match = _DECIMAL.fullmatch(kind)
    if match is None or not re.fullmatch(r"[+-]?\d{1,38}(\.\d{1,38})?", text, re.ASCII):
        return False
    precision, scale = int(match[1]), int(match[2])
    point = text.lstrip("+-").partition(".")
    return len(point[0].lstrip("0")) <= precision - scale and len(point[2].rstrip("0")) <= scale


def _is_other_value(kind: str, text: str) -> bool:
    if kind == "boolean":
        return text in ("true", "false")
    try:
        if kind == "date":
            return parse_day(text) is not None
        return kind == "timestamp" and datetime.fromisoformat(text).tzinfo is not None
    except ValueError:
        return False
