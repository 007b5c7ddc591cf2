"""Call the tools by name on an open lake."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from engage_spark.insight.evidence import Answer
from engage_spark.insight.registry import Tool, tools_of
from engage_spark.reader import OpenLake


@dataclass(frozen=True)
class Insight:
    """The tools of a lake. Answers are of the lake as it was when it was first asked, until `refresh`."""

    lake: OpenLake

    @cached_property
    def tools(self) -> tuple[Tool, ...]:
        """The tools, with the names of the lake's contract as choices."""
        return tools_of(self.lake.contract)

    def refresh(self) -> None:
        """See what was published since."""
        self.lake.refresh()

    def call(self, name: str, arguments: Mapping[str, Any] | None = None) -> Answer:
        """Answer a question.

        Errors: UnknownToolError, BadArgumentError; NotPublishedError where a table or day is not there,
        StaleLakeError where it is out of date, SuppressedError where too few customers are behind the answer;
        what `open_lake` raises where the lake cannot be read.
        """
        raise NotImplementedError
