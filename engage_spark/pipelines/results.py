"""What a stage tells when it is done. No Spark here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

Grid = tuple[tuple[str, ...], tuple[tuple[str, ...], ...]]
"""A small table for people: headers, then rows of text as it is to be shown."""


@dataclass(frozen=True, kw_only=True)
class Report:
    """The closing summary of one stage.

    `lines` are (label, value) pairs such as ("rows in", "10,000"); `table` is shown below them; `locations`
    says where each table lies (path or catalog name); `failed` is the table of what broke a gate; `notes` are
    warnings that a reader must not miss; `seconds` is wall-clock time.
    """

    stage: str
    seconds: float
    lines: tuple[tuple[str, str], ...] = ()
    table: Grid | None = None
    locations: Mapping[str, str] = field(default_factory=dict)
    failed: Grid | None = None
    notes: tuple[str, ...] = ()
