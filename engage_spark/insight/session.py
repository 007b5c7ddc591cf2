"""Call the tools by name on an open lake."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from engage_spark.analytics.states import NULL_SEGMENT, OTHER_SEGMENT
from engage_spark.contract import Contract
from engage_spark.contract.analytics_spec import DimensionKind
from engage_spark.errors import ConfigurationError, NotPublishedError
from engage_spark.insight.arguments import check_arguments
from engage_spark.insight.evidence import Answer
from engage_spark.insight.failures import StaleLakeError, UnknownToolError, quote
from engage_spark.insight.lake_reader import LakeReader
from engage_spark.insight.registry import Tool, tools_of
from engage_spark.insight.tools.checking import check_claim, data_quality
from engage_spark.insight.tools.comparing import compare_segments
from engage_spark.insight.tools.customers import explain_customer, similar_customers, top_influencers
from engage_spark.insight.tools.describing import describe, distribution
from engage_spark.insight.tools.fairness import fairness
from engage_spark.insight.tools.over_time import cohort, trend, what_changed
from engage_spark.insight.tools.recommending import recommend
from engage_spark.insight.tools.relating import churn_drivers, correlate
from engage_spark.insight.vocabulary import Vocabulary
from engage_spark.pipelines.stages import MODEL_MONITORING
from engage_spark.publication import RUNS
from engage_spark.reader import OpenLake, open_lake
from engage_spark.settings import Settings

_FUNCTIONS: Mapping[str, Callable[[LakeReader, Mapping[str, Any]], Answer]] = {
    f.__name__: f
    for f in (
        describe,
        distribution,
        compare_segments,
        trend,
        cohort,
        what_changed,
        data_quality,
        check_claim,
        correlate,
        churn_drivers,
        explain_customer,
        similar_customers,
        top_influencers,
        recommend,
        fairness,
    )
}

_OF_OLDER_DAYS = (RUNS, MODEL_MONITORING)


@dataclass(frozen=True)
class Insight:
    """The tools of a lake. Answers are of the lake as it was when it was first asked, until `refresh`.

    `show_keys`: customers are listed with their keys, also where the contract classifies those as personal.
    `without` are tools that are not offered.
    """

    lake: OpenLake
    show_keys: bool = False
    without: tuple[str, ...] = ()

    @cached_property
    def vocabulary(self) -> Vocabulary:
        """The names that questions may use."""
        return Vocabulary(self.lake.contract)

    @cached_property
    def tools(self) -> tuple[Tool, ...]:
        """The tools, with the names of the lake's contract as choices."""
        return offered_tools(self.lake.contract, self.without)

    @cached_property
    def _tools_by_name(self) -> dict[str, Tool]:
        return {tool.name: tool for tool in self.tools}

    @cached_property
    def _reader(self) -> LakeReader:
        return LakeReader(self.lake, self.vocabulary, self.show_keys)

    def refresh(self) -> None:
        """See what was published since."""
        self.lake.refresh()
        self.__dict__.pop("_reader", None)

    def call(self, name: str, arguments: Mapping[str, Any] | None = None) -> Answer:
        """Answer a question.

        Cost: a few small scans of tables of analytics, whose states of a day are remembered; one scan of the
        day's customers for `similar_customers`, of its predictions for `explain_customer`, of the graph's
        table for `top_influencers`.
        Errors: UnknownToolError, BadArgumentError; NotDeclaredError where the contract has nothing of the
        kind, NotPublishedError where a table or day is not there, StaleLakeError where it is out of date,
        SuppressedError where too few customers are behind the answer; what `open_lake` raises where the lake
        cannot be read.
        """
        if not isinstance(name, str) or name not in self._tools_by_name:
            raise UnknownToolError(name, self._tools_by_name)
        checked = check_arguments(self._tools_by_name[name], {} if arguments is None else arguments)
        return self._with_freshness(_FUNCTIONS[name](self._reader, checked), checked)

    def seen_segments(self) -> dict[str, tuple[str, ...]]:
        """Return the categories of the newest analyzed day by dimension, without those that are not shown: by
        these can be asked what the contract does not list. None where nothing is published.

        Cost: the states of the day, which are remembered.
        """
        try:
            _, hidden, states = self._reader.day_states(None)
        except (NotPublishedError, StaleLakeError):
            return {}
        return {
            name: tuple(
                s
                for s in states.segments(name)
                if s not in hidden.of(name) and s not in (NULL_SEGMENT, OTHER_SEGMENT)
            )
            for name, spec in self.vocabulary.dimensions.items()
            if spec.kind is DimensionKind.CATEGORY
        }

    def _with_freshness(self, answer: Answer, arguments: Mapping[str, Any]) -> Answer:
        """Note customers who are published, and whom the answer does not know yet, where the newest snapshot
        was asked for. Labels are known later than customers, so the monitoring of models is of older days.
        """
        if arguments.get("as_of") is not None:
            return answer
        entity = self.lake.contract.entity.name
        newest = max(self._reader.days(entity), default=None)
        older = {
            (e.as_of, e.table)
            for e in (*answer.facts, answer.origin)
            if e is not None and newest is not None and e.as_of < newest and e.table not in _OF_OLDER_DAYS
        }
        if not older:
            return answer
        graph = self.vocabulary.graph_table
        works = {"predictions": "scored", graph.name if graph else "": "measured"}
        lacking = " or ".join(sorted({works.get(table, "analyzed") for _, table in older}))
        days = ", ".join(sorted({str(day) for day, _ in older}))
        note = f"{entity} of {newest} are published and not {lacking} yet: figures are of {days}."
        return replace(answer, notes=(*answer.notes, note))


def offered_tools(contract: Contract, without: Collection[str] = ()) -> tuple[Tool, ...]:
    """Return the tools of a contract but for those that are not offered.

    Errors: ConfigurationError where one that is left out is none.
    """
    tools = tools_of(contract)
    names = [t.name for t in tools]
    if unknown := sorted(set(without) - set(names)):
        raise ConfigurationError(
            f"insight.without names no tool: {', '.join(map(quote, unknown))}",
            hint=f"tools are: {', '.join(names)}",
        )
    return tuple(t for t in tools if t.name not in without)


def open_insight(settings: Settings) -> Insight:
    """Open the tools of the lake that settings name, with what they let the tools show.

    Errors: as `open_lake`.
    """
    show = settings.insight
    return Insight(open_lake(settings), show_keys=show.name_customers, without=show.without)
