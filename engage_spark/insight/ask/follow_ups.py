"""Complete a question by the one before it: "and in rural areas?", "by account type?", "and over time?"."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

from engage_spark.contract.analytics_spec import CUSTOMERS
from engage_spark.english import meaning
from engage_spark.insight.ask.intents import RAISE, SIMILAR, Intent
from engage_spark.insight.ask.reading import Reading
from engage_spark.insight.ask.resolving import Decline, Route, Unclear
from engage_spark.insight.ask.router import Router
from engage_spark.insight.ask.terms import MetricTerm

_MARKS = re.compile(
    r"^(?:(?:ok|okay|so|now|well|then) )?(?:and|what about|how about|what of|also|same|"
    r"the same|only|just|but|instead|"
    r"or|versus|vs|for|in|by|with|is that|are those|why)\b"
    r"|^(?:now|then)\b"
    r"|^(?:can you |could you |please )*(?:show|give|tell|do|plot|compare|repeat)(?: me| us)? "
    r"(?:that|this|it|the same)(?: again| too)? (?:for|with|by|in|per)\b"
)
_INSTEAD = re.compile(r"\b(?:instead|in place) of (?P<old>.+)$|\binstead\b")
_PRONOUNS = re.compile(r"\b(?:it|that|this|those|these|them|there|they)\b")
_STANDS_FOR = re.compile(
    r"\b(?:it|that|this|those|these)(?= (?:chang|mov|split|part|develop|go|gone|since|over|distribut|vary|"
    r"differ|look|down|up|by)\w*|$)"
)
"""Pronouns that stand for a figure, and not before a noun or a clause."""
_THEM = frozenset(("they", "them", "their", "theirs", "both"))
_SHORT = 7
"""Words of a question that may lack what the one before it named."""


def leans_on_the_last(reading: Reading) -> bool:
    """Return whether a question says by its first words that it goes on from the one before."""
    return bool(_MARKS.match(reading.joined))


def may_lean_on_the_last(reading: Reading) -> bool:
    """Return whether a question that cannot be answered by itself may be meant to go on."""
    return len(reading.words) <= _SHORT or bool(_PRONOUNS.search(reading.joined))


def stands_for_the_last(reading: Reading) -> bool:
    """Return whether a word of a question stands for what the one before it was about."""
    return bool(_STANDS_FOR.search(reading.joined))


def asks_which_of_them(reading: Reading) -> bool:
    """Return whether a question asks which of the segments of the one before it, and not which segments."""
    return bool(re.match(r"(?:who|which (?:one|ones|of (?:them|these|those|the two)))\b", reading.joined))


def is_of_them(reading: Reading) -> bool:
    """Return whether a question is of the segments of the one before: "do they", "what is their"."""
    means = {*reading.words, *map(meaning, reading.words)}
    return bool(_THEM & means) and not reading.terms.entity_words & means


def follow(reading: Reading, last: Route) -> Route | Decline:
    """Return the call of a question that goes on from `last`, or why there is none."""
    try:
        return _Follower(reading, context=_metric_of(reading, last), last=last).follow()
    except Unclear as e:
        return e.decline


def _metric_of(reading: Reading, last: Route) -> MetricTerm | None:
    name = last.arguments.get("metric") or last.arguments.get("target")
    return next((m for m in reading.terms.metrics if m.name == name), None)


class _Follower(Router):
    """Routes with what the last question named at hand."""

    def __init__(self, reading: Reading, *, context: MetricTerm | None, last: Route) -> None:
        super().__init__(reading, context=context)
        self.last = last

    def follow(self) -> Route:
        replaced = self._replaced()
        return self._merged(replaced) if replaced else self._going_on()

    def _going_on(self) -> Route:
        reading = self.reading
        if reading.customer is not None:
            if "customer" in self.last.arguments and not reading.content:
                return self._merged({"customer": reading.customer})
            return self.route()
        if "customer" in self.last.arguments and SIMILAR.search(reading.joined):
            self._use(SIMILAR)
            self._use_words({"else"})
            return self._done(
                "similar_customers", {"customer": self.last.arguments["customer"]}, takes=("limit",)
            )
        if self.last.tool == "recommend":
            self._use(RAISE)
            if effect := self._effect():
                return self._merged(effect)
        if self.last.tool == "data_quality":
            asked = self._quality()
            return replace(asked, arguments={**self.last.arguments, **asked.arguments})
        wanted = [i for i in reading.intents() if i not in (Intent.SEGMENTS, Intent.COMPARE, Intent.OVERVIEW)]
        return self._with_group(self.route()) if wanted else self._with_slots()

    def _replaced(self) -> dict[str, Any]:
        """Return the argument that "this instead of that" puts in place of another one; none without that."""
        reading = self.reading
        match = next(reading.matches(_INSTEAD), None)
        if match is None:
            return {}
        if match["old"] is None:
            self._use(_INSTEAD)
            return {}
        places = reading.places(match, "old")
        old = self._candidates([w for i, w in reading.content if i in places])
        names = [k for k, v in self.last.arguments.items() if len(old) == 1 and v == old[0].name]
        if len(names) != 1:
            raise Unclear("what is to be replaced was not in the question before", [])
        reading.use(reading.places(match))
        return {names[0]: self._metric_name()}

    def _with_group(self, call: Route) -> Route:
        """Return a call with the segment and the day of the last one, where it takes them and has none.

        A correlation "with age" is one of the last metric.
        """
        is_pair = call.tool == "correlate" and "other" not in call.arguments and self.last.tool != "correlate"
        if is_pair and self.context is not None and {"with", "to"} & set(self.reading.words):
            other = call.arguments["metric"]
            if other != self.context.name:
                return replace(
                    call, arguments={**call.arguments, "metric": self.context.name, "other": other}
                )
        last, filled = self.last.arguments, dict(call.arguments)
        if "as_of" in last:
            filled.setdefault("as_of", last["as_of"])
        if "segment" not in last or "dimension" in filled:
            return replace(call, arguments=filled)
        if call.tool in ("describe", "trend", "distribution"):
            filled |= {"dimension": last["dimension"], "segment": last["segment"]}
            return replace(call, arguments=filled)
        if call.tool == "what_changed":
            remark = "changes are shown of all segments"
            filled["dimension"] = last["dimension"]
            return replace(call, arguments=filled, remarks=(*call.remarks, remark))
        return self._of_everybody(replace(call, arguments=filled))

    def _of_everybody(self, call: Route) -> Route:
        """Return a call that says so where it leaves out the segment of the last one."""
        segment = self.last.arguments.get("segment")
        if segment is None or call.arguments.get("segment") == segment:
            return call
        remark = "this is of all customers: the segment of the question before is left out"
        return replace(call, remarks=(*call.remarks, remark))

    def _with_slots(self) -> Route:
        reading, last = self.reading, self.last
        named: dict[str, Any] = {}
        if reading.content:
            named = self._named_metric()
        if len(reading.segments) == 2 and "metric" in {*last.arguments, *named}:
            return self._two_segments(named)
        if reading.segments:
            return self._segment(named)
        if reading.dimensions:
            return self._of_everybody(self._dimension(named))
        if reading.grain is not None and last.tool in ("trend", "what_changed"):
            named["grain"], reading.window = reading.grain, None
        if reading.limit is not None:
            if "limit" not in _TAKES_LIMIT.get(last.tool, ()):
                raise Unclear("a number of rows has no place in this question", [])
            named["limit"], reading.limit = reading.limit, None
        if reading.month is not None and last.tool == "cohort":
            named["cohort"], reading.month = reading.month, None
        if not named and reading.as_of is None:
            raise Unclear("it is not clear what goes on from the question before", [])
        return self._merged(named)

    def _named_metric(self) -> dict[str, Any]:
        last = self.last
        if last.tool in ("churn_drivers", "recommend", "fairness", "explain_customer"):
            if last.tool == "fairness" and (attribute := self._protected()):
                return attribute
            return self._optional_target()
        if last.tool == "top_influencers" and len(measures := self._measures()) == 1:
            self._use_all()
            return {"measure": measures[0].name}
        name = self._metric_name()
        if last.tool == "correlate":
            return {self._side_of_pair(): name}
        if last.tool in ("describe", "distribution", "compare_segments", "trend", "what_changed", "cohort"):
            return {"metric": name}
        raise Unclear("it is not clear what goes on from the question before", [])

    def _side_of_pair(self) -> str:
        """Return the side of a correlation that a metric takes: that of the target stays, if one is."""
        last, targets = self.last.arguments, self.terms.vocabulary.targets
        if "with" in self.reading.words and "other" in last:
            return "other"
        is_of_target = last.get("other") in targets and last.get("metric") not in targets
        return "metric" if is_of_target or "other" not in last else "other"

    def _two_segments(self, named: dict[str, Any]) -> Route:
        (dimension, first), (other, second) = self.reading.segments
        if dimension != other:
            raise Unclear("a question can name one segment", [])
        self.reading.segments, self.reading.dimensions = [], []
        metric = named.get("metric") or self.last.arguments["metric"]
        return self._done(
            "compare_segments", {"metric": metric, "dimension": dimension, "first": first, "second": second}
        )

    def _segment(self, named: dict[str, Any]) -> Route:
        reading, last = self.reading, self.last
        if len(set(reading.segments)) > 1:
            raise Unclear("a question can name one segment", [])
        dimension, segment = reading.segments[0]
        reading.segments, reading.dimensions = [], [d for d in reading.dimensions if d != dimension]
        as_of = {"as_of": last.arguments["as_of"]} if "as_of" in last.arguments else {}
        group = {"dimension": dimension, "segment": segment}
        before = last.arguments.get("segment")
        compares = Intent.COMPARE in reading.intents() or "compared" in reading.words
        if compares and last.arguments.get("dimension") == dimension and before and before != segment:
            metric = named.get("metric") or last.arguments["metric"]
            pair = {"metric": metric, "dimension": dimension, "first": before, "second": segment}
            return self._done("compare_segments", pair | as_of)
        if last.tool in ("describe", "trend", "distribution"):
            return self._merged(named | group)
        if last.tool == "compare_segments":
            metric = named.get("metric") or last.arguments["metric"]
            return self._done("describe", {"metric": metric, **group, **as_of})
        if last.tool == "cohort" and last.arguments.get("cohort_key") == dimension:
            return self._merged(named | {"cohort": segment})
        raise Unclear(f"{last.tool.replace('_', ' ')} is not shown of one segment", [])

    def _dimension(self, named: dict[str, Any]) -> Route:
        reading, last = self.reading, self.last
        if len(reading.dimensions) > 1:
            raise Unclear("a question can name one dimension", [])
        dimension = reading.dimensions.pop()
        if last.tool == "fairness" and dimension in {t.name for t in self.terms.protected}:
            return self._merged({"attribute": dimension})
        as_of = {"as_of": last.arguments["as_of"]} if "as_of" in last.arguments else {}
        metric = named.get("metric") or last.arguments.get("metric")
        if last.tool in ("describe", "compare_segments", "churn_drivers") and (metric or self.context):
            metric = metric or (self.context.name if self.context else None)
            if metric == CUSTOMERS and last.tool == "describe":
                return self._done("distribution", {"dimension": dimension, **as_of})
            return self._done("compare_segments", {"metric": metric, "dimension": dimension, **as_of})
        if last.tool in ("distribution", "what_changed"):
            whole = {k: v for k, v in last.arguments.items() if k != "segment"}
            return self._done(last.tool, whole | named | {"dimension": dimension})
        if last.tool == "cohort" and dimension in {k.name for k in self.terms.cohort_keys}:
            rest = {k: v for k, v in last.arguments.items() if k != "cohort"}
            return self._done("cohort", rest | named | {"cohort_key": dimension})
        raise Unclear(f"{last.tool.replace('_', ' ')} is not shown by a dimension", [])

    def _merged(self, named: dict[str, Any]) -> Route:
        return self._done(self.last.tool, {**self.last.arguments, **named})


_TAKES_LIMIT = dict.fromkeys(
    ("correlate", "churn_drivers", "similar_customers", "top_influencers", "recommend"), ("limit",)
)
