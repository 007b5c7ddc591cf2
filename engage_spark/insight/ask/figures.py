"""Choose the call for what a question names without a turn of phrase, and for pairs, periods and protected
fields.
"""

from __future__ import annotations

from typing import Any

from engage_spark import english
from engage_spark.contract.analytics_spec import ACTIVE, CUSTOMERS, RETENTION
from engage_spark.function_words import word_set
from engage_spark.insight.ask.intents import Intent
from engage_spark.insight.ask.resolving import Resolver, Route, Unclear, examples
from engage_spark.insight.ask.terms import DimensionTerm, MetricTerm, best_dimensions, best_metrics

_MORE = word_set("more less higher lower better worse fewer greater larger bigger smaller")
_COMPARED = (["more"], ["less"])
_GRAIN_WORDS = {
    "day": ("day", "days", "daily"),
    "week": ("week", "weeks", "weekly"),
    "month": ("month", "months", "monthly"),
}


class FigureRouter(Resolver):
    """Reads what a question names: metrics, segments, dimensions, pairs of metrics."""

    def _protected(self) -> dict[str, Any]:
        reading = self.reading
        names = {t.name for t in self.terms.protected}
        own = [
            d
            for d in (*([reading.attribute] if reading.attribute else []), *reading.dimensions)
            if d in names
        ]
        own += [d for d, _ in reading.segments if d in names]
        entity = self.terms.vocabulary.contract.entity
        for term in self.terms.protected:
            values = {w for v in entity[term.name].allowed for w in english.words_of_value(str(v))}
            for i, word in enumerate(reading.words):
                if not reading.used[i] and (
                    word == term.name or english.meaning(word) in term.core or word in values
                ):
                    reading.used[i] = True
                    own.append(term.name)
        if len(set(own)) > 1:
            raise Unclear(
                "fairness is shown for one protected field at a time", [t.name for t in self.terms.protected]
            )
        reading.dimensions = [d for d in reading.dimensions if d not in names]
        reading.segments = [s for s in reading.segments if s[0] not in names]
        return {"attribute": own[0]} if own else {}

    def _trend(self) -> Route:
        reading = self.reading
        reading.use_intent(Intent.TREND)
        grain = next(
            (g for g in ("day", "week", "month") if any(w in _GRAIN_WORDS[g] for w in reading.words)),
            reading.grain,
        )
        reading.window = None
        if reading.dimensions:
            raise Unclear(
                "a trend is of all customers or of one segment",
                [f"… in {s.segment}" for s in self.terms.segments][:4],
            )
        metric = self._metric_name()
        arguments: dict[str, Any] = {"metric": metric} | ({"grain": grain} if grain else {})
        self._use_numbers()
        return self._done("trend", arguments, takes=("segment",))

    def _pair(self) -> Route:
        """Return the correlation of one metric, or of two that the question names one after the other."""
        reading = self.reading
        extra = [w for d in reading.dimensions for w in self._words_of_dimension(d)]
        if reading.segments:
            raise Unclear("correlations are of all customers, not of a segment", [])
        content = reading.content
        if extra and not content:
            raise Unclear("which two metrics are meant", self._some_metrics())
        if extra:
            first = self._metric()
            second = best_metrics(extra, self.terms.metrics, None)
            dimension = reading.dimensions.pop()
            if len(second) != 1:
                return self._done("compare_segments", {"metric": first.name, "dimension": dimension})
            return self._done("correlate", {"metric": first.name, "other": second[0].name}, takes=("limit",))
        if not content and self.context is not None:
            return self._done("correlate", {"metric": self.context.name}, takes=("limit",))
        whole = self._candidates([w for _, w in content])
        if len(whole) == 1 and not self._splits(content) and not self._has_two_sides(content):
            metric = self._metric()
            if reading.window == metric.window:
                reading.window = None
            return self._done("correlate", {"metric": metric.name}, takes=("limit",))
        pairs = self._splits(content)
        if len(pairs) == 1:
            first, second_metric = pairs[0]
            self._use_all()
            reading.window = None
            return self._done(
                "correlate", {"metric": first.name, "other": second_metric.name}, takes=("limit",)
            )
        if (parted := self._by_dimension(content)) is not None:
            return parted
        self._metric()  # says what is not clear
        raise Unclear("which two metrics are meant", self._some_metrics())

    def _by_dimension(self, content: list[tuple[int, str]]) -> Route | None:
        """Return the comparison of a metric by a dimension that the words name one after the other."""
        routes = set[tuple[str, str]]()
        for i in range(1, len(content)):
            parts = [[w for _, w in content[:i]], [w for _, w in content[i:]]]
            for metric_words, dimension_words in (parts, parts[::-1]):
                metrics = self._candidates(metric_words)
                dimensions = [
                    d
                    for d in best_dimensions(dimension_words, self.terms.dimensions)
                    if d.core == frozenset(dimension_words)
                ]
                if len(metrics) == 1 and len(dimensions) == 1:
                    routes.add((metrics[0].name, dimensions[0].name))
        if len(routes) != 1:
            return None
        self._use_all()
        metric, dimension = routes.pop()
        return self._done("compare_segments", {"metric": metric, "dimension": dimension})

    def _has_two_sides(self, content: list[tuple[int, str]]) -> bool:
        """Return whether a word that joins two things stands between the words."""
        words = self.reading.words
        between = {w for i in range(1, len(content)) for w in words[content[i - 1][0] + 1 : content[i][0]]}
        return bool(between & {"and", "to", "with", "on", "versus", "vs", "upon"})

    def _splits(self, content: list[tuple[int, str]]) -> list[tuple[MetricTerm, MetricTerm]]:
        """Return the ways to part the words into two metrics, at a word between that is none of theirs."""
        pairs = []
        for i in range(1, len(content)):
            gap = self.reading.words[content[i - 1][0] + 1 : content[i][0]]
            is_verb = not gap and self._is_verb_of_target(content[i:])
            if not is_verb and (not gap or all(w in ("of", "the", "in") for w in gap)):
                continue
            parts = [[w for _, w in content[:i]], [w for _, w in content[i:]]]
            metrics = [self._candidates(part) for part in parts]
            if all(len(m) == 1 for m in metrics) and metrics[0][0] is not metrics[1][0]:
                pairs.append((metrics[0][0], metrics[1][0]))
        return pairs

    def _is_verb_of_target(self, content: list[tuple[int, str]]) -> bool:
        """Return whether words say that a target is the case, as in "do users with more gigs churn less"."""
        words = self.reading.words
        metrics = self._candidates([w for _, w in content])
        is_target = len(metrics) == 1 and metrics[0].is_target
        return self.reading.is_yes_or_no and is_target and words[content[-1][0] + 1 :][:1] in _COMPARED

    def _figures(self) -> Route:
        """Return what a question without a turn of phrase asks for: a figure, or segments side by side."""
        reading = self.reading
        is_metric = len(self._candidates([w for _, w in reading.content])) == 1
        if reading.attribute is not None or (self._names_protected() and not is_metric):
            return self._fairness_of_target()
        counts = any(
            w
            in (
                "many",
                "number",
                "count",
                "proportion",
                "portion",
                "percentage",
                "percent",
                "share",
                "fraction",
            )
            for w in reading.words
        )
        if not reading.content:
            return self._of_customers(counts=counts)
        if len(reading.segments) == 2 and len({d for d, _ in reading.segments}) == 1:
            return self._two_sides()
        if reading.is_yes_or_no and not reading.dimensions and self._splits(reading.content):
            return self._pair()
        return self._of_one_metric(reading.intents())

    def _of_one_metric(self, intents: list[Intent]) -> Route:
        """Return which segments have most of a metric, its trend, or its figure."""
        reading = self.reading
        if Intent.SEGMENTS in intents and not reading.segments:
            return self._of_segments()
        candidates = self._candidates([w for _, w in reading.content])
        if not candidates and (influencers := self._by_measure()):
            return influencers
        is_rate = reading.is_rate and reading.grain is not None and not reading.dimensions
        if is_rate and len(candidates) == 1 and not candidates[0].is_rolling:
            return self._trend()
        is_more = reading.is_yes_or_no and any(w in _MORE for w in reading.words)
        return self._of_metric(has_two_sides=is_more or Intent.COMPARE in intents)

    def _measure_words(self) -> list[str]:
        """Return the words that are left, without those that say only that it is about the graph."""
        about = ("network", "graph", "social", "rank", "ranked", "measure")
        return [w for _, w in self.reading.content if w not in about]

    def _measures(self) -> list[DimensionTerm]:
        """Return the measures of the graph that the words name."""
        whole = best_dimensions([w for _, w in self.reading.content], self.terms.measures)
        return whole or best_dimensions(self._measure_words(), self.terms.measures)

    def _by_measure(self) -> Route | None:
        """Return the customers with most of a measure of the graph that is no metric; None without one."""
        measures = self._measures()
        if len(measures) != 1 or not {"customers", "users", "people", "who"} & set(self.reading.words):
            return None
        self._use_all()
        return self._done("top_influencers", {"measure": measures[0].name}, takes=("limit",))

    def _two_sides(self) -> Route:
        """Return the comparison of two segments of one dimension."""
        reading, name = self.reading, self._metric_name()
        (dimension, first), (_, second) = reading.segments
        reading.segments, reading.dimensions = [], []
        if self._asks_for_the_middle():
            return self._done("distribution", {"metric": name, "dimension": dimension})
        arguments = {"metric": name, "dimension": dimension, "first": first, "second": second}
        return self._done("compare_segments", arguments)

    def _of_segments(self) -> Route:
        """Return which segments, or which customers by a measure of the graph."""
        reading = self.reading
        measures = self._measures()
        if len(measures) == 1 and (reading.words[0] == "who" or "which customers" in reading.joined):
            self._use_all()
            return self._done("top_influencers", {"measure": measures[0].name}, takes=("limit",))
        if reading.limit is not None and {"segments", "groups"} & set(reading.words):
            self.remarks.append("all segments are shown, the highest first")
            reading.limit = None
        self._refuse_lists_of_customers()
        name = self._metric_name(optional=True) or CUSTOMERS
        return self._done("compare_segments", {"metric": name}, takes=("dimension",))

    def _of_metric(self, *, has_two_sides: bool) -> Route:
        """Return a metric by its dimension, by that of a segment that is named, or of one segment or all."""
        reading, name = self.reading, self._metric_name()
        if reading.dimensions:
            keys = self.terms.vocabulary.cohort_keys
            asks_retention = any(english.meaning(w) == RETENTION for w in reading.words)
            if name == ACTIVE and asks_retention and reading.dimensions[0] in keys and not reading.segments:
                key = reading.dimensions.pop()
                return self._done("cohort", {"cohort_key": key, "metric": RETENTION})
            if {d for d, _ in reading.segments} == set(reading.dimensions):
                reading.segments = []
            if self._asks_for_the_middle():
                return self._done("distribution", {"metric": name}, takes=("dimension",))
            return self._done("compare_segments", {"metric": name}, takes=("dimension",))
        if has_two_sides and len(reading.segments) == 1:
            dimension = reading.segments.pop()[0]
            return self._done("compare_segments", {"metric": name, "dimension": dimension})
        return self._done("describe", {"metric": name}, takes=("segment",))

    def _asks_for_the_middle(self) -> bool:
        """Return whether a median is asked for: segments are compared by means, distributions have both."""
        return "median" in self.reading.words

    def _refuse_lists_of_customers(self) -> None:
        text = f" {self.reading.joined} "
        lists = any(
            f" {which} {what} " in text
            for which in ("which", "what")
            for what in ("customers", "users", "clients", "people", *self.terms.entity_words - {"customer"})
        )
        if (
            lists and "of customers" not in text and not self.reading.dimensions
        ) or self.reading.limit is not None:
            raise Unclear(
                "single customers are not listed by a metric; segments are compared, one customer explained",
                examples(self.terms),
            )

    def _of_customers(self, *, counts: bool) -> Route:
        """Return how many customers there are: in all, in a segment, or in those of a dimension."""
        reading = self.reading
        shares = any(
            w in ("proportion", "portion", "percentage", "percent", "share", "fraction")
            for w in reading.words
        )
        same = {d for d, _ in reading.segments}
        if len(same) > 1 or len(reading.segments) > 1:
            raise Unclear("customers are counted in one segment at a time", [])
        if reading.dimensions or (shares and reading.segments):
            dimension = reading.dimensions[0] if reading.dimensions else reading.segments[0][0]
            if reading.segments and same != {dimension}:
                raise Unclear("customers are counted by one dimension at a time", [])
            if len(reading.dimensions) > 1:
                raise Unclear("customers are counted by one dimension at a time", [])
            reading.dimensions, reading.segments = [], []
            return self._done("distribution", {"dimension": dimension})
        if counts and reading.is_rate and reading.grain is not None and not reading.segments:
            return self._trend()
        if counts:
            return self._done("describe", {"metric": CUSTOMERS}, takes=("segment",))
        raise Unclear("the question names nothing that can be asked for", examples(self.terms))

    def _names_protected(self) -> bool:
        entity = self.terms.vocabulary.contract.entity
        own = [t for t in self.terms.protected if t.name not in self.terms.vocabulary.dimensions]
        words = {english.meaning(w) for _, w in self.reading.content} | {w for _, w in self.reading.content}
        values = {t.name: " ".join(map(str, entity[t.name].allowed)).lower() for t in own}
        return any(words & ({t.name} | t.core | set(english.words_of_value(values[t.name]))) for t in own)

    def _fairness_of_target(self) -> Route:
        attribute = (
            self._protected() if self.reading.attribute is None else {"attribute": self.reading.attribute}
        )
        self.reading.use_intent(Intent.COMPARE)
        if not self.reading.content:
            raise Unclear(
                "protected fields are only for fairness", ["is the model fair by " + attribute["attribute"]]
            )
        metric = self._metric()
        if not metric.is_target:
            raise Unclear(
                f"groups of {attribute['attribute']} are compared for targets alone",
                list(self.terms.vocabulary.targets),
            )
        return self._done("fairness", {"target": metric.name} | attribute)
