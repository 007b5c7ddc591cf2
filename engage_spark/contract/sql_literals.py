"""Write the literals of an expression for Spark, with the types that Spark gives them."""

from __future__ import annotations

import re
from decimal import Decimal

from engage_spark.contract.sql_nodes import SqlNode, is_moment, text_literal
from engage_spark.contract.sql_tokens import NoExpressionError

_UNITS = {
    "year": "months",
    "month": "months",
    **dict.fromkeys(("week", "day", "hour", "minute", "second"), "interval"),
}
_RANGES = {"Y": 7, "S": 15, "L": 63, "": 63}
_LARGEST_FLOAT = {"F": 3.4028235e38, "D": 1.7976931348623157e308, "": 1.7976931348623157e308}


def text_of(value: str) -> SqlNode:
    """Return the node of a text."""
    growth = max(1, len(value) / 100)
    return SqlNode(sql=text_literal(value), kind="text", value=value, constant=True, growth=growth)


def number_of(text: str, sign: str = "") -> SqlNode:
    """Return the node of a number, as Spark types it; refuse one that is beyond its type."""
    suffix = re.search(r"(BD|bd|[DdFfLlSsYy])?$", text)[0].upper()  # type: ignore[index]
    digits = text[: len(text) - len(suffix)]
    if len(digits) > 60:
        raise NoExpressionError("a number has more than 60 digits")
    exponent = "e" in digits.lower()
    if digits.isdigit() and suffix in _RANGES:
        value, half = int(sign + digits), 2 ** _RANGES[suffix]
        if -half <= value < half:
            wide = suffix == "L" or not -(2**31) <= value < 2**31
            return SqlNode(
                sql=f"{sign}{text}",
                kind="whole",
                value=value,
                constant=True,
                wide=wide,
                never_zero=value != 0,
            )
        if suffix:
            raise NoExpressionError(f"{text} is beyond what {suffix} stands for")
    if suffix in ("L", "S", "Y"):
        raise NoExpressionError(f"{text} is no whole number, for which {suffix} stands")
    if suffix in ("D", "F") or (exponent and not suffix):
        if abs(float(digits)) > _LARGEST_FLOAT[suffix]:
            raise NoExpressionError(f"{text} is beyond the largest {'float' if suffix == 'F' else 'double'}")
        return SqlNode(sql=f"{sign}{text}", kind="double", constant=True)
    _, written, power = Decimal(digits).as_tuple()
    if max(len(written) + max(int(power), 0), -int(power)) > 38:
        raise NoExpressionError(f"{text[:60]} has more than the 38 digits of a decimal")
    return SqlNode(sql=f"{sign}{text}", kind="decimal", constant=True)


def moment_of(word: str, value: str) -> SqlNode:
    """Return the node of `DATE'…'` or `TIMESTAMP'…'`, which stands for no other moment on another day."""
    if not (is_moment(value, word) or is_moment(value, "date")):
        example = "2025-10-21" if word == "date" else "2025-10-21 06:00:00"
        raise NoExpressionError(f"{word.upper()}'{value[:40]}' is not fixed; write it as '{example}'")
    return SqlNode(sql=f"{word.upper()}'{value}'", kind=word, value=value, constant=True)


def interval_of(digits: str, unit: str, sign: str) -> SqlNode:
    """Return the node of an interval of one unit."""
    unit = unit.removesuffix("s")
    if not re.fullmatch(r"-?\d{1,6}", digits, re.ASCII) or unit not in _UNITS:
        raise NoExpressionError(
            f"an interval is written as INTERVAL 3 DAYS, with one of {', '.join(sorted(_UNITS))}"
        )
    amount = -int(digits) if sign else int(digits)
    return SqlNode(sql=f"INTERVAL '{amount}' {unit.upper()}", kind=_UNITS[unit], constant=True)
