"""Resolve what a question names to metrics, segments and dimensions; every word must have its place."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from engage_spark import english
from engage_spark.contract.analytics_spec import ACTIVE, CUSTOMERS, RETENTION
from engage_spark.insight.ask.reading import Reading
from engage_spark.insight.ask.terms import MetricTerm, Terms, best_metrics

MOST_OFFERS = 8
_PARTS = frozenset(("proportion", "percentage", "percent", "fraction", "portion"))
_WITHIN = re.compile(r"\W*(?P<field>\w+)\W*<=\W*(?P<days>\d+)\W*")
"""SQL by which customers are active for a number of days."""


@dataclass(frozen=True)
class Route:
    """The call that answers a question. `remarks` say how words were read where it was not the only way."""

    tool: str
    arguments: Mapping[str, Any]
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True)
class Decline:
    """Why a question is not answered, and what can be asked instead.

    `template` is the question with a gap `{}` where one of the offers belongs.
    """

    reason: str
    offers: tuple[str, ...] = ()
    template: str | None = None


class Unclear(Exception):  # noqa: N818 (no failure: the way out of a reading that names no call)
    """A question names no call; `decline` says why."""

    def __init__(self, reason: str, offers: Sequence[str] = (), template: str | None = None) -> None:
        super().__init__(reason)
        self.decline = Decline(reason, tuple(offers[:MOST_OFFERS]), template)


@dataclass
class Resolver:
    """Resolves what a question names. `context` is the metric that is meant where none is named."""

    reading: Reading
    context: MetricTerm | None = None
    remarks: list[str] = field(default_factory=list)

    @property
    def terms(self) -> Terms:
        return self.reading.terms

    def _metric_name(self, *, optional: bool = False) -> str | None:
        """Return the metric that is named, retention and the number of customers among them."""
        reading = self.reading
        words = [w for _, w in reading.content]
        if not words:
            if self.context is not None:
                return self.context.name
            if optional:
                return None
            if any(
                w in self.terms.entity_words or english.meaning(w) in self.terms.entity_words
                for w in reading.words
            ):
                return CUSTOMERS
            raise Unclear("which metric is meant", self._some_metrics())
        if self.terms.has_retention and set(words) <= {RETENTION, ACTIVE} and not self._is_named({*words}):
            self._use_all()
            return ACTIVE
        return ACTIVE if self._asks_who_is_active() else self._metric().name

    def _asks_who_is_active(self) -> bool:
        """Return whether a share of customers is asked for by what the contract says makes them active."""
        reading = self.reading
        spec = self.terms.vocabulary.metrics.get(ACTIVE)
        declared = None if spec is None else _WITHIN.fullmatch(spec.source)
        if declared is None or not any(w in _PARTS for w in reading.words):
            return False
        candidates = self._candidates([w for _, w in reading.content])
        if [m.name for m in candidates] != [declared["field"]] or reading.window != int(declared["days"]):
            return False
        self._use_all()
        reading.window = None
        return True

    def _is_named(self, words: set[str]) -> bool:
        return any(words == m.core for m in self.terms.metrics)

    def _words_of_dimension(self, name: str) -> list[str]:
        return sorted(next(d for d in self.terms.dimensions if d.name == name).core)

    def _candidates(self, words: Sequence[str]) -> list[MetricTerm]:
        window = self.reading.window
        own = best_metrics(expanded(words), self.terms.metrics, window) if window is not None else []
        return own or best_metrics(expanded(words), self.terms.metrics, None)

    def _metric(self) -> MetricTerm:
        reading = self.reading
        words = [w for _, w in reading.content]
        if not words and self.context is not None:
            return self.context
        if not words:
            raise Unclear("which metric is meant", self._some_metrics())
        candidates = self._candidates(words)
        if not candidates:
            known = {w for m in self.terms.metrics for w in (*m.core, *m.soft, m.name)}
            typed = [reading.as_written(reading.words[i]) for i, _ in reading.content]
            strange = [t for t, w in zip(typed, words, strict=True) if not known.issuperset(expanded([w]))]
            reason = (
                f"nothing is known of {', '.join(dict.fromkeys(strange))}"
                if strange
                else f"no metric is {' '.join(typed)}"
            )
            raise Unclear(reason, self._some_metrics())
        if len(candidates) > 1:
            raise Unclear(
                f"{' '.join(words)} can be several metrics", [m.name for m in candidates], self._template()
            )
        metric = candidates[0]
        self._refuse_another_quantity(metric)
        has_window = reading.window is not None
        if reading.window is not None and (metric.window != reading.window or not self._counts_so(metric)):
            if (metric.window is not None and metric.is_rolling) or reading.grain is None:
                raise Unclear(f"there is no {metric.name} of {reading.window} days", self._windows_of(metric))
        elif reading.window is not None:
            reading.window = None
        same = self._windows_of(metric)
        if len(same) > 1 and words != [metric.name] and not has_window and not self._names_window(metric):
            self.remarks.append(
                f"{' '.join(words)} is read as {metric.name}; there is also {', '.join(same[1:])}"
            )
        self._use_all()
        return metric

    def _refuse_another_quantity(self, metric: MetricTerm) -> None:
        """Refuse a rate per something, and a share of a sum, that the metric is not."""
        reading = self.reading
        places = {i for i, _ in reading.content}
        own = metric.soft if metric.is_named_by_unit else frozenset()
        per = any(
            w == "per" and i + 1 in places and english.meaning(reading.words[i + 1]) not in own
            for i, w in enumerate(reading.words)
        )
        if per and "per" not in metric.name.split("_"):
            raise Unclear(f"{metric.name} is not per {reading.words[max(places)]}", self._some_metrics())
        spec = self.terms.vocabulary.metrics[metric.name]
        asks_share = any(w in _PARTS for w in reading.words)
        if asks_share and not spec.is_share and spec.unit not in ("percent", "share", "ratio"):
            raise Unclear(f"shares of {metric.name} are not shown; ask for the average", self._some_metrics())

    def _counts_so(self, metric: MetricTerm) -> bool:
        """Return whether a metric counts over days before, where the question says so."""
        return metric.is_rolling or not self.reading.is_past

    def _template(self) -> str:
        """Return the question with a gap where the words of the metric stand."""
        places = [i for i, _ in self.reading.content]
        words = [w for i, w in enumerate(self.reading.words) if i not in places[1:]]
        words[places[0]] = "{}"
        return " ".join(words)

    def _windows_of(self, metric: MetricTerm) -> list[str]:
        own = [
            m.name
            for m in self.terms.metrics
            if m.quantity == metric.quantity and m.is_delivered == metric.is_delivered
        ]
        return [metric.name, *(n for n in own if n != metric.name)]

    def _names_window(self, metric: MetricTerm) -> bool:
        return metric.window is not None and str(metric.window) in self.reading.words

    def _optional_target(self) -> dict[str, Any]:
        if not self.reading.content:
            return {"target": self.context.name} if self.context and self.context.is_target else {}
        metric = self._metric()
        if not metric.is_target:
            raise Unclear(f"{metric.name} is no target", list(self.terms.vocabulary.targets))
        return {"target": metric.name}

    def _some_metrics(self) -> list[str]:
        return list(self.terms.vocabulary.metric_names[:MOST_OFFERS])

    def _use(self, pattern: Any) -> None:
        for match in self.reading.matches(pattern):
            self.reading.use(self.reading.places(match))

    def _use_words(self, words: set[str] | frozenset[str]) -> None:
        for i, word in enumerate(self.reading.words):
            if i in self.reading.protected or self.reading.says_which_customers(i):
                continue
            self.reading.used[i] |= english.meaning(word) in words or word in words

    def _use_all(self) -> None:
        for i, _ in self.reading.content:
            self.reading.used[i] = True

    def _use_numbers(self, followed_by: tuple[str, ...] = ()) -> None:
        words = self.reading.words
        for i, word in enumerate(words):
            follows = words[i + 1] if i + 1 < len(words) else ""
            if word[0].isdigit() and (not followed_by or follows in followed_by):
                self.reading.used[i] = True

    def _done(
        self, tool: str, arguments: Mapping[str, Any], *, takes: tuple[str, ...] = (), is_whole: bool = False
    ) -> Route:
        """Return the call, once everything that the question names has its place in it."""
        reading = self.reading
        filled = dict(arguments)
        if not is_whole:
            self._place(filled, takes)
            if reading.content:
                words = ", ".join(
                    dict.fromkeys(reading.as_written(reading.words[i]) for i, _ in reading.content)
                )
                raise Unclear(f"nothing is known of {words}", examples(self.terms))
            if reading.numbers:
                raise Unclear(
                    "a number of the question has no place in what can be asked", examples(self.terms)
                )
            if reading.window is not None:
                days = f"a period of {reading.window} days has no place here"
                raise Unclear(f"{days}; ask for a trend, or what changed", examples(self.terms))
        if reading.as_of is not None:
            filled["as_of"] = reading.as_of.isoformat()
        if reading.month is not None:
            raise Unclear("a month is no snapshot; ask for a day, or for the trend by month", [])
        remarks = [f"{word} is read as {better}" for word, better in reading.corrections.items()]
        return Route(tool, filled, (*remarks, *self.remarks))

    def _place(self, filled: dict[str, Any], takes: tuple[str, ...]) -> None:
        reading = self.reading
        segments, dimensions = list(dict.fromkeys(reading.segments)), list(reading.dimensions)
        if len(segments) > 1 or len(dimensions) > 1:
            raise Unclear("a question can name one segment or one dimension", [])
        if segments and dimensions and segments[0][0] != dimensions[0]:
            raise Unclear("a question can name a segment or a dimension, not one within the other", [])
        if segments:
            if "segment" not in takes:
                raise Unclear(f"{filled.get('metric', 'this')} cannot be asked for of one segment here", [])
            filled["dimension"], filled["segment"] = segments[0]
        elif dimensions:
            if "dimension" not in takes:
                raise Unclear("this cannot be asked for by a dimension", [])
            filled["dimension"] = dimensions[0]
        if reading.attribute is not None and filled.get("attribute") != reading.attribute:
            raise Unclear(f"{reading.attribute} is protected: it is only compared for fairness", [])
        if reading.limit is not None:
            if "limit" not in takes:
                raise Unclear("a number of rows has no place in this question", [])
            filled["limit"] = reading.limit


def expanded(words: Sequence[str]) -> list[str]:
    """Return words with abbreviations such as LTV written out."""
    return [part for w in words for part in english.EXPANSIONS.get(w, (w,))]


def examples(terms: Terms) -> list[str]:
    """Return questions that can be asked, in the contract's own words."""
    words = terms.vocabulary
    plain = [name.replace("_", " ") for name in words.metric_names[:-1]]
    asked = [f"how many {words.contract.entity.name} are there"]
    if plain:
        asked += [f"what is the average {plain[0]}", f"what correlates with {plain[0]}"]
    if words.dimensions and plain:
        asked.append(f"compare {plain[0]} by {next(iter(words.dimensions)).replace('_', ' ')}")
    if words.main_target:
        asked.append(f"what drives {words.main_target.replace('_', ' ')}")
    return asked
