"""Render tools as JSON Schema, and their texts within the limits of whoever lists them. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from engage_spark.insight.registry import Argument, ArgumentKind, Tool

JSON_TYPES = {
    ArgumentKind.ENUM: "string",
    ArgumentKind.TEXT: "string",
    ArgumentKind.DATE: "string",
    ArgumentKind.INTEGER: "integer",
    ArgumentKind.NUMBER: "number",
}
_DAY = "2025-10-21"
READING = (
    "Every figure has its unit, customers (n), 95% interval, filter, table, version, run and day. "
    "Quote figures as they are, and call what goes together an association, never a cause."
)
"""What whoever speaks for the tools has to know."""


def tool_text(tool: Tool, *, limit: int | None = None) -> str:
    """Return the description of a tool with what it answers, of at most `limit` characters."""
    return cut_words(f"{tool.description} {tool.answer}", limit)


def argument_text(argument: Argument, *, limit: int | None = None) -> str:
    """Return the description of an argument with its choices, bounds and default, within `limit`.

    Of choices that are too many for it the first are named: a value that is none of them is answered with
    them all.
    """
    parts = [argument.description]
    if argument.kind is ArgumentKind.DATE and _DAY not in argument.description:
        parts.append(f"Written as {_DAY}.")
    if argument.minimum is not None or argument.maximum is not None:
        low, high = (f"{x:g}" if x is not None else "" for x in (argument.minimum, argument.maximum))
        parts.append(
            f"From {low} to {high}." if low and high else f"At least {low}." if low else f"At most {high}."
        )
    if argument.default is not None:
        parts.append(f"Default: {argument.default}.")
    text = cut_words(" ".join(parts), limit)
    return f"{text} {_choices(argument.choices, limit, len(text) + 1)}".rstrip() if argument.choices else text


def _choices(choices: Sequence[str], limit: int | None, taken: int) -> str:
    whole = f"One of: {', '.join(choices)}."
    if limit is None or taken + len(whole) <= limit:
        return whole
    for count in range(len(choices) - 1, 0, -1):
        text = f"One of {len(choices)}, such as: {', '.join(choices[:count])}."
        if taken + len(text) <= limit:
            return text
    return ""


def cut_words(text: str, limit: int | None) -> str:
    """Return a text of at most `limit` characters, cut between words."""
    if limit is None or len(text) <= limit:
        return text
    return text[: limit - 1].rsplit(" ", 1)[0].rstrip(" ,;:") + "…"


def input_schema(tool: Tool, *, with_choices: bool = True) -> dict[str, Any]:
    """Return the JSON Schema of a tool's arguments: flat, and nothing else is taken.

    Without choices it keeps to type, description and required, which every reader of schemas knows; the
    choices are in the descriptions then.
    """
    schema: dict[str, Any] = {
        "type": "object",
        "properties": {a.name: _property(a) if with_choices else _plain_property(a) for a in tool.arguments},
        "required": [a.name for a in tool.arguments if a.required],
    }
    if with_choices:
        schema["additionalProperties"] = False
    return schema


def _plain_property(argument: Argument) -> dict[str, Any]:
    return {"type": JSON_TYPES[argument.kind], "description": argument_text(argument)}


def _property(argument: Argument) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": JSON_TYPES[argument.kind], "description": argument.description}
    if argument.choices:
        schema["enum"] = list(argument.choices)
    if argument.kind is ArgumentKind.DATE:
        schema["format"] = "date"
    if argument.minimum is not None:
        schema["minimum"] = argument.minimum
    if argument.maximum is not None:
        schema["maximum"] = argument.maximum
    if argument.default is not None:
        schema["default"] = argument.default
    return schema


def output_schema() -> dict[str, Any]:
    """Return the JSON Schema of an answer or an error, in the words that every reader of schemas knows."""
    text, whole, flag = {"type": "string"}, {"type": "integer"}, {"type": "boolean"}
    objects = {"type": "array", "items": {"type": "object"}}
    return {
        "type": "object",
        "description": READING,
        "properties": {
            "tool": text | {"description": "The tool that answered."},
            "arguments": {"type": "object", "description": "What it worked with, defaults filled in."},
            "facts": objects | {"description": "Figures, each with where it was read."},
            "columns": objects | {"description": "The columns of the rows, with role and unit."},
            "rows": {
                "type": "array",
                "items": {"type": "array"},
                "description": "A table of figures; `origin` says where they were read.",
            },
            "filter": text | {"description": "Of whom the rows are."},
            "notes": {"type": "array", "items": text, "description": "How to read the figures."},
            "truncated": flag | {"description": "Whether there is more than is here."},
            "first": whole | {"description": "Which figure or row of the whole answer this begins with."},
            "items": whole | {"description": "How many figures and rows the whole answer has."},
            "next": text | {"description": "The cursor for next_page; none where nothing follows."},
            "error": {"type": "object", "description": "Instead of all else: code, message and hint."},
        },
    }
