"""Define the text form of a result for the terminal: lines, tables and notes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from engage_spark.cli.render.notes import note_text
from engage_spark.pipelines.results import StageResult

Rows = tuple[tuple[str, ...], tuple[tuple[str, ...], ...]]
"""A small table for people: headers, then rows of text as it is to be shown."""


@dataclass(frozen=True, kw_only=True)
class Summary:
    """The closing summary of one stage.

    `lines` are (label, value) pairs; `table` is shown below them; `locations` says where each table is;
    `failed` is the table of what broke a gate; `notes` are warnings that a reader must not miss.
    """

    stage: str
    seconds: float
    lines: tuple[tuple[str, str], ...] = ()
    table: Rows | None = None
    locations: Mapping[str, str] = field(default_factory=dict)
    failed: Rows | None = None
    notes: tuple[str, ...] = ()


Renderers = dict[type[StageResult], Callable[[Any], Summary | list[Summary]]]


def summary(result: StageResult, **parts: Any) -> Summary:
    """Return a summary with what every result has; `parts` are the fields that are the result's own.

    `more_notes` are texts that follow those of the result.
    """
    notes = tuple(note_text(n) for n in result.notes) + tuple(parts.pop("more_notes", ()))
    parts = {"locations": result.locations} | parts
    return Summary(stage=result.stage, seconds=result.seconds, notes=notes, **parts)


def table(headers: tuple[str, ...], rows: Any) -> Rows | None:
    """Return a table, or None where it has no rows."""
    rows = tuple(rows)
    return (headers, rows) if rows else None
