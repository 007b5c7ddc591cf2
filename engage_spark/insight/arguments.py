"""Check what somebody gave as arguments against what a tool takes. Pure."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from datetime import date, datetime
from typing import Any

from engage_spark.insight.failures import BadArgumentError, quote
from engage_spark.insight.registry import Argument, ArgumentKind, Tool

LONGEST_TEXT = 200
"""Characters of a text: keys and segments are shorter."""
Arguments = Mapping[str, Any]


def check_arguments(tool: Tool, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments in their types, defaults filled in; None for what is left out.

    Numbers and days may come as texts, as agents send them; None and an empty text count as left out.
    Errors: BadArgumentError for the first that is unknown, missing, of another type or not allowed.
    """
    if not isinstance(given, Mapping):
        raise BadArgumentError("arguments", "must be a mapping of names to values")
    names = [a.name for a in tool.arguments]
    for name in given:
        if name not in names:
            raise BadArgumentError(name, f"{tool.name} has no such argument", allowed=names)
    checked: dict[str, Any] = {}
    for argument in tool.arguments:
        value = given.get(argument.name)
        is_absent = value is None or (isinstance(value, str) and not value.strip())
        if is_absent and argument.required:
            raise BadArgumentError(argument.name, "is required", allowed=argument.choices)
        checked[argument.name] = argument.default if is_absent else _READERS[argument.kind](argument, value)
    return checked


def _enum(argument: Argument, value: Any) -> str:
    if isinstance(value, str) and value in argument.choices:
        return value
    raise BadArgumentError(argument.name, f"{quote(value)} is not allowed", allowed=argument.choices)


def _text(argument: Argument, value: Any) -> str:
    is_whole = isinstance(value, int) and not isinstance(value, bool) and abs(value) < 10**LONGEST_TEXT
    if not isinstance(value, str) and not is_whole:
        raise BadArgumentError(argument.name, f"must be a text, found {type(value).__name__}")
    text = str(value)
    if len(text) > LONGEST_TEXT:
        raise BadArgumentError(argument.name, f"must have at most {LONGEST_TEXT} characters")
    if "\0" in text or any(0xD800 <= ord(c) < 0xE000 for c in text):
        raise BadArgumentError(argument.name, f"{quote(text)} holds characters that no text has")
    return text


def _integer(argument: Argument, value: Any) -> int:
    number = _number(argument, value)
    if not number.is_integer():
        raise BadArgumentError(argument.name, f"{quote(value)} is not a whole number")
    return int(number)


def _number(argument: Argument, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise BadArgumentError(argument.name, f"must be a number, found {type(value).__name__}")
    try:
        number = float(value) if not isinstance(value, str) or len(value) <= LONGEST_TEXT else math.nan
    except (ValueError, OverflowError):
        number = math.nan
    low, high = argument.minimum, argument.maximum
    if (
        not math.isfinite(number)
        or (low is not None and number < low)
        or (high is not None and number > high)
    ):
        span = f" from {low:g} to {high:g}" if low is not None and high is not None else ""
        shown = quote(value) if isinstance(value, str) else "this number"
        raise BadArgumentError(argument.name, f"must be a number{span}; {shown} is not")
    return number


def _date(argument: Argument, value: Any) -> date:
    if isinstance(value, datetime):
        return value.date()
    if isinstance(value, date):
        return value
    try:
        if isinstance(value, str) and len(value) == 10:
            return date.fromisoformat(value)
    except ValueError:
        pass
    raise BadArgumentError(argument.name, f"{quote(value)} is no day; write such as 2025-10-21")


_READERS: Mapping[ArgumentKind, Callable[[Argument, Any], Any]] = {
    ArgumentKind.ENUM: _enum,
    ArgumentKind.TEXT: _text,
    ArgumentKind.INTEGER: _integer,
    ArgumentKind.NUMBER: _number,
    ArgumentKind.DATE: _date,
}
