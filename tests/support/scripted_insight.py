"""Stand in for an open lake: answers and failures as a test scripts them, with the tools of a contract."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date
from functools import cache
from typing import Any

from engage_spark.contract import Contract, load_contract
from engage_spark.insight.evidence import Answer, Column, ColumnRole, Evidence, Origin
from engage_spark.insight.registry import Tool, tools_of
from engage_spark.insight.replies import LakeSource

DAY = date(2025, 10, 21)
ORIGIN = Origin(table="rollups", version=7, run="a294", as_of=DAY)


own_contract = cache(load_contract)
_tools = cache(tools_of)


@dataclass
class ScriptedInsight:
    """Answers every call by `script`, and remembers the calls."""

    script: Callable[[str, Mapping[str, Any]], Answer]
    contract: Contract = field(default_factory=own_contract)
    calls: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    refreshed: int = 0

    @property
    def tools(self) -> tuple[Tool, ...]:
        return _tools(self.contract)

    def refresh(self) -> None:
        self.refreshed += 1

    def call(self, name: str, arguments: Mapping[str, Any] | None = None) -> Answer:
        self.calls.append((name, dict(arguments or {})))
        return self.script(name, arguments or {})


def source_of(insight: Any) -> LakeSource:
    """A source that has this lake open."""
    return LakeSource(lambda: insight)


def answer_of(
    name: str,
    arguments: Mapping[str, Any],
    *,
    facts: int = 1,
    rows: int = 0,
    text: str = "all",
    notes: int = 1,
) -> Answer:
    """An answer with so many figures and rows; `text` is the filter and the label of rows."""
    return Answer(
        tool=name,
        arguments={"as_of": DAY, **arguments},
        facts=tuple(
            Evidence(
                label=f"mean {i}",
                value=i / 7,
                unit="share",
                n=1000 + i,
                lower=i / 8,
                upper=i / 6,
                filter=text,
                table=ORIGIN.table,
                version=ORIGIN.version,
                run=ORIGIN.run,
                as_of=ORIGIN.as_of,
            )
            for i in range(facts)
        ),
        columns=(Column(name="segment", role=ColumnRole.GROUP), Column(name="mean"), Column(name="n")),
        rows=tuple((f"{text} {i}", i / 3, 100 + i) for i in range(rows)),
        origin=ORIGIN if rows else None,
        notes=("What goes together is an association.",) * notes,
    )
