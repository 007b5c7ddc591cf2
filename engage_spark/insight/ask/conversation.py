"""Answer questions in plain English, one after the other, by the tools and from their evidence alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Protocol

from engage_spark.errors import NotPublishedError, PermanentError
from engage_spark.insight.ask.follow_ups import (
    asks_which_of_them,
    follow,
    is_of_them,
    leans_on_the_last,
    may_lean_on_the_last,
    stands_for_the_last,
)
from engage_spark.insight.ask.narrator import capital, narrate
from engage_spark.insight.ask.questions import read_question
from engage_spark.insight.ask.reading import Reading
from engage_spark.insight.ask.resolving import MOST_OFFERS, Decline, Route, examples
from engage_spark.insight.ask.router import route
from engage_spark.insight.ask.statistics import (
    Statistic,
    asked_statistic,
    asks_for_the_mean,
    goes_on,
    lead_of,
    with_statistic,
)
from engage_spark.insight.ask.terms import Terms, best_metrics, content_of
from engage_spark.insight.check_text import check_text
from engage_spark.insight.evidence import Answer
from engage_spark.insight.registry import Tool
from engage_spark.insight.vocabulary import Vocabulary


class Tools(Protocol):
    """What answers calls: `Insight`, or what stands in for it."""

    @property
    def vocabulary(self) -> Vocabulary:
        """The names that questions may use."""

    @property
    def tools(self) -> tuple[Tool, ...]:
        """The tools that are offered."""

    def call(self, name: str, arguments: Mapping[str, Any] | None = None) -> Answer:
        """Answer a call."""

    def seen_segments(self) -> Mapping[str, tuple[str, ...]]:
        """Return the categories that the data have and tools show, by dimension."""


@dataclass(frozen=True, kw_only=True)
class SpokenReply:
    """What became of a question: `answer` with its `text`, or a decline with `offers`.

    `remarks` say how words were read. `tool` and `arguments` are the call that was made.
    """

    question: str
    text: str
    tool: str | None = None
    arguments: Mapping[str, Any] = field(default_factory=dict)
    answer: Answer | None = None
    offers: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()

    @property
    def is_answered(self) -> bool:
        """Whether a tool answered."""
        return self.answer is not None

    def to_dict(self) -> dict[str, Any]:
        """Return the reply as plain JSON."""
        return {
            "question": self.question,
            "answered": self.is_answered,
            "text": self.text,
            "tool": self.tool,
            "arguments": dict(self.arguments),
            "offers": list(self.offers),
            "remarks": list(self.remarks),
            "answer": None if self.answer is None else self.answer.to_dict(),
        }


@dataclass
class Conversation:
    """Questions to one lake. A question may go on from the last one that was answered.

    Errors: those of the tools; nothing is guessed where a question is not clear.
    """

    tools: Tools
    last: Route | None = None
    pending: Decline | None = None
    statistic: Statistic | None = None

    @cached_property
    def terms(self) -> Terms:
        """The words that the contract lets questions use, and the categories that the data have."""
        return Terms(self.tools.vocabulary, self.tools.seen_segments())

    def ask(self, question: str) -> SpokenReply:
        """Answer a question, or say what can be asked instead."""
        call = self.route(question)
        if isinstance(call, Decline):
            offers = "".join(f"\n- {offer}" for offer in call.offers)
            hint = f"\nWhat can be asked:{offers}" if offers else ""
            text = f"This is not answered: {call.reason}.{hint}"
            return SpokenReply(question=question, text=text, offers=call.offers)
        try:
            answer = self.tools.call(call.tool, call.arguments)
        except NotPublishedError as e:
            if call.tool != "fairness":
                raise
            return self._without_fairness(question, call, e)
        reading = read_question(question, self.terms)
        lead = tuple(lead_of(self.statistic, reading, answer, self.tools.vocabulary))
        text = narrate(answer, lead=lead)
        if problems := check_text(text, [answer]):
            raise PermanentError(
                "the answer could not be put into words: a number of the text is not in the evidence",
                details=[str(p) for p in problems],
                hint="ask with --json, and report this question",
            )
        return SpokenReply(
            question=question,
            text=text,
            tool=call.tool,
            arguments=call.arguments,
            answer=answer,
            remarks=call.remarks,
        )

    def route(self, question: str) -> Route | Decline:
        """Return the call that answers a question in this conversation, and remember it."""
        before = self.last
        result = self._offered(self._route(question))
        if isinstance(result, Route):
            reading = read_question(question, self.terms)
            asked = asked_statistic(reading)
            if asked is None and before is not None and leans_on_the_last(reading):
                asked = None if asks_for_the_mean(reading) else self.statistic
            self.statistic = goes_on(asked, result)
            result = with_statistic(result, asked, self.terms.vocabulary)
            self.last, self.pending = result, None
        else:
            self.pending = result if result.template is not None else None
        return result

    def _without_fairness(self, question: str, call: Route, error: NotPublishedError) -> SpokenReply:
        """Say why groups of a protected field are not compared, and by what the target can be."""
        target = call.arguments.get("target") or self.terms.vocabulary.main_target
        name = str(target).replace("_", " ")
        words = self.terms.vocabulary
        entity = words.contract.entity.name
        delivered = [d for d, spec in words.dimensions.items() if spec.tables == (entity,)]
        offers = tuple(f"compare {name} by {d.replace('_', ' ')}" for d in delivered)
        offers = offers[:MOST_OFFERS] if "compare_segments" in self._offered_tools else ()
        listed = "".join(f"\n- {offer}" for offer in offers)
        hint = f"\n{capital(error.hint)}." if error.hint else ""
        asked = f"\nWhat can be asked:{listed}" if offers else ""
        text = f"This is not answered: {error.message}.{hint}{asked}"
        return SpokenReply(question=question, text=text, offers=offers)

    @cached_property
    def _offered_tools(self) -> frozenset[str]:
        return frozenset(tool.name for tool in self.tools.tools)

    @cached_property
    def _not_offered(self) -> frozenset[str]:
        """The examples of questions that only tools answer which are not offered."""
        calls = {text: route(read_question(text, self.terms)) for text in examples(self.terms)}
        return frozenset(
            text
            for text, call in calls.items()
            if isinstance(call, Route) and call.tool not in self._offered_tools
        )

    def _offered(self, result: Route | Decline) -> Route | Decline:
        """Return a call of a tool that is offered, or a decline which offers nothing that is not."""
        if isinstance(result, Route):
            if result.tool in self._offered_tools:
                return result
            reason = f"{result.tool.replace('_', ' ')} is not offered here"
            result = Decline(reason, tuple(examples(self.terms)))
        return replace(result, offers=tuple(o for o in result.offers if o not in self._not_offered))

    def _route(self, question: str) -> Route | Decline:
        completed = self._completed(question)
        if completed is not None:
            return completed
        reading = read_question(question, self.terms)
        if self.last is not None and leans_on_the_last(reading):
            result = follow(reading, self.last)
            if isinstance(result, Route):
                return result
            alone = route(read_question(question, self.terms))
            return alone if isinstance(alone, Route) and reading.words[:1] != ["and"] else result
        result = route(reading)
        if isinstance(result, Route) and self.last is not None and self._means_the_last(result, reading):
            following = follow(read_question(question, self.terms), self.last)
            return following if isinstance(following, Route) else result
        if isinstance(result, Decline) and self.last is not None and result.template is None:
            again = read_question(question, self.terms)
            if may_lean_on_the_last(again):
                following = follow(again, self.last)
                return following if isinstance(following, Route) else result
        return result

    def _means_the_last(self, call: Route, reading: Reading) -> bool:
        """Return whether a call leaves open what it is of, and the last one says it: a target, or any metric
        where "that" or "it" stands for it.
        """
        last = self.last.arguments if self.last is not None else {}
        last_tool = self.last.tool if self.last is not None else None
        about = last.get("target") or last.get("metric")
        if call.tool in ("recommend", "churn_drivers", "fairness"):
            return "target" not in call.arguments and about in self.terms.vocabulary.targets
        if last_tool == "compare_segments" and asks_which_of_them(reading):
            return call.tool in ("describe", "compare_segments") and "dimension" not in call.arguments
        if is_of_them(reading) and "dimension" in last and call.tool in ("describe", "compare_segments"):
            return "dimension" not in call.arguments
        is_open = call.tool in ("describe", "distribution", "what_changed") and "metric" not in call.arguments
        return is_open and about is not None and stands_for_the_last(reading)

    def _completed(self, question: str) -> Route | Decline | None:
        """Return the call of the question before with the gap filled, where this one names what it meant."""
        if self.pending is None or self.pending.template is None:
            return None
        offered = [m for m in self.terms.metrics if m.name in self.pending.offers]
        named = [m for m in offered if m.name == question.strip().lower()]
        named = named or best_metrics(content_of(question), offered, None)
        if len(named) != 1:
            return None
        return route(read_question(self.pending.template.format(named[0].name.replace("_", " ")), self.terms))
