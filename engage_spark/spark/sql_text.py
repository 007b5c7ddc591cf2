"""Write values and names as text of Spark SQL, so that a large expression can be parsed in one call."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

_PLAIN = re.compile(r"[^\\'${\x00-\x1f\x7f]*")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def quoted_name(name: str) -> str:
    """Return a column name as an identifier, also when it holds dots or backticks."""
    return f"`{name.replace('`', '``')}`"


def comment_literal(text: str) -> str:
    """Return a text as the literal that a COMMENT clause takes, which is no expression.

    What a parser may read otherwise is written by its number.
    """
    units = text.encode("utf-16-be", "surrogatepass")
    codes = [int.from_bytes(units[i : i + 2], "big") for i in range(0, len(units), 2)]
    plain = (chr(c) if 31 < c < 127 and _PLAIN.fullmatch(chr(c)) else f"\\u{c:04x}" for c in codes)
    return f"'{''.join(plain)}'"


def sql_literal(value: str | bool | float | datetime | None) -> str:
    """Return a value as a literal: the same value, and the same type that `functions.lit` gives it.

    Text that holds quotes, backslashes or control characters is written as its bytes in UTF-8, which no
    setting of the parser reads otherwise (`spark.sql.parser.escapedStringLiterals`).
    Nulls: None is NULL, of no type.
    """
    if value is None:
        return "NULL"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        is_plain = _PLAIN.fullmatch(value) is not None
        return f"'{value}'" if is_plain else f"CAST(X'{value.encode().hex()}' AS STRING)"
    if isinstance(value, datetime):
        return f"timestamp_micros({(value - _EPOCH) // timedelta(microseconds=1)})"
    if isinstance(value, int):
        return str(value)
    return f"{value!r}D" if abs(value) < float("inf") else f"CAST('{value}' AS DOUBLE)"
