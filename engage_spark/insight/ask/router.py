"""Choose the tool and the arguments that answer a question, or decline: nothing is guessed.

A question is answered only when every word of it is accounted for. What is not clear is asked back with the
names that it could mean.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from engage_spark.contract.analytics_spec import ACTIVE, CUSTOMERS, RETENTION
from engage_spark.insight.ask import english
from engage_spark.insight.ask.claims import named_claim, verdict_of
from engage_spark.insight.ask.intents import CLAIM_NOUNS, EXPLAIN, RAISE, SIDE_WORDS, SIMILAR, Intent
from engage_spark.insight.ask.reading import Reading
from engage_spark.insight.ask.resolving import Decline, Resolver, Route, Unclear, examples, expanded
from engage_spark.insight.ask.terms import MetricTerm, best_dimensions, best_metrics


def route(reading: Reading) -> Route | Decline:
    """Return the call that answers a question which stands by itself, or why there is none."""
    try:
        return Router(reading).route()
    except Unclear as e:
        return e.decline


class Router(Resolver):
    """Reads one question by its turns of phrase."""

    def route(self) -> Route:
        """Return the call that answers the question.

        Errors: Unclear where there is none.
        """
        reading = self.reading
        if not reading.words:
            raise Unclear("the question is empty", examples(self.terms))
        if reading.has_two_days:
            raise Unclear("a question can be about one day", [])
        if reading.customer is not None:
            return self._of_customer()
        claim = self._claim_first()
        if claim is not None:
            return claim
        self._refuse_what_no_tool_does()
        for intent in reading.intents():
            if intent in _WAYS and self._fits(intent):
                return _WAYS[intent](self)
        return self._figures()

    def _fits(self, intent: Intent) -> bool:
        """Return whether a turn of phrase decides here: one word can be of several."""
        words = set(self.reading.words)
        if intent is Intent.DISTRIBUTION:
            return True
        if intent is Intent.COHORT:
            return bool(self.terms.cohort_keys) or "cohort" in words or "cohorts" in words
        if intent is Intent.CLAIM:
            return bool(words & CLAIM_NOUNS)
        return True

    def _claim_first(self) -> Route | None:
        """Return the check of a claim that the question states: of its words, and of its numbers."""
        reading = self.reading
        is_asked = Intent.CLAIM in reading.intents()
        if not (is_asked or reading.is_yes_or_no):
            return None
        claim = named_claim(reading, self.terms, is_asked=is_asked)
        if claim is None:
            return None
        return self._done("check_claim", {"claim": claim}, is_whole=True)

    def _refuse_what_no_tool_does(self) -> None:
        reading = self.reading
        intents = reading.intents()
        is_of_model = Intent.FAIRNESS in intents or Intent.RECOMMEND in intents
        future = english.FUTURE - english.MILD_FUTURE if is_of_model else english.FUTURE
        if any(w in future for w in reading.words):
            raise Unclear(
                "no tool looks into the future of groups; models predict for one customer",
                examples(self.terms),
            )
        if reading.is_negated and Intent.CLAIM not in intents and Intent.RECOMMEND not in intents:
            raise Unclear(
                "a question that leaves customers out cannot be asked; ask for a segment",
                examples(self.terms),
            )

    # The ways, one for each intent.

    def _of_customer(self) -> Route:
        reading = self.reading
        arguments: dict[str, Any] = {"customer": reading.customer}
        if any(SIMILAR.search(w) for w in reading.words):
            self._use(SIMILAR)
            return self._done("similar_customers", arguments, takes=("limit",))
        self._use(EXPLAIN)
        for intent in (Intent.DRIVERS, Intent.CLAIM):
            reading.use_intent(intent)
        target = self._optional_target()
        return self._done("explain_customer", arguments | target)

    def _quality(self) -> Route:
        reading = self.reading
        arguments: dict[str, Any] = {}
        named = [t for t in self.terms.tables if any(english.meaning(w) in t.core for w in reading.words)]
        logs = [t for t in named if t.name != self.terms.vocabulary.contract.entity.name]
        if len(logs) == 1:
            arguments["table"] = logs[0].name
            self._use_words(logs[0].core)
        elif named and f"{named[0].name} table" in reading.joined:
            arguments["table"] = named[0].name
        for severity in ("critical", "warning", "info"):
            if any(w.removesuffix("s") == severity for w in reading.words):
                arguments["severity"] = severity
                self._use_words({severity})
        reading.use_intent(Intent.QUALITY)
        self._use_words(SIDE_WORDS[Intent.QUALITY])
        return self._done("data_quality", arguments)

    def _fairness(self) -> Route:
        reading = self.reading
        reading.use_intent(Intent.FAIRNESS)
        self._use_words(SIDE_WORDS[Intent.FAIRNESS])
        attribute = self._protected()
        target = self._optional_target()
        return self._done("fairness", target | attribute)

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
            values = {str(v).lower() for v in entity[term.name].allowed}
            for i, word in enumerate(reading.words):
                if not reading.used[i] and (english.meaning(word) in term.core or word in values):
                    reading.used[i] = True
                    own.append(term.name)
        if len(set(own)) > 1:
            raise Unclear(
                "fairness is shown for one protected field at a time", [t.name for t in self.terms.protected]
            )
        reading.dimensions = [d for d in reading.dimensions if d not in names]
        reading.segments = [s for s in reading.segments if s[0] not in names]
        return {"attribute": own[0]} if own else {}

    def _influencers(self) -> Route:
        reading = self.reading
        if not self.terms.measures:
            raise Unclear("the contract has no graph, so there are no influencers", examples(self.terms))
        reading.use_intent(Intent.INFLUENCERS)
        arguments: dict[str, Any] = {}
        words = [
            w
            for _, w in reading.content
            if w not in ("network", "graph", "social", "rank", "ranked", "measure")
        ]
        if "connected" in reading.joined and not words:
            words = ["degree"]
        if words:
            fitting = best_dimensions(words, self.terms.measures)
            if len(fitting) != 1:
                raise Unclear(
                    f"which measure of the graph is meant by {' '.join(words)}",
                    [m.name for m in fitting or self.terms.measures],
                )
            arguments["measure"] = fitting[0].name
        self._use_all()
        return self._done("top_influencers", arguments, takes=("limit",))

    def _recommend(self) -> Route:
        reading = self.reading
        reading.use_intent(Intent.RECOMMEND)
        self._use(RAISE)
        self._use_words(SIDE_WORDS[Intent.RECOMMEND])
        effect = self._effect()
        if any(english.meaning(w) == RETENTION for _, w in reading.content) or "keep" in reading.words:
            main = self.terms.vocabulary.main_target
            self._use_words({RETENTION})
            target = {"target": main} if main is not None and not reading.content else self._optional_target()
        else:
            target = self._optional_target()
        return self._done("recommend", target | effect, takes=("limit",))

    def _effect(self) -> dict[str, Any]:
        reading = self.reading
        for i, word in enumerate(reading.words[:-1]):
            if word[0].isdigit() and not reading.used[i] and reading.words[i + 1] in ("%", "percent"):
                reading.use(range(i, i + 2))
                return {"effect": float(word) / 100}
        return {}

    def _claims(self) -> Route:
        reading = self.reading
        verdict = verdict_of(reading)
        reading.use_intent(Intent.CLAIM)
        self._use_words(SIDE_WORDS[Intent.CLAIM])
        return self._done("check_claim", verdict)

    def _cohort(self) -> Route:
        reading = self.reading
        reading.use_intent(Intent.COHORT)
        keys = self.terms.cohort_keys
        arguments: dict[str, Any] = {}
        months = [c.name for c in self.terms.vocabulary.spec.cohorts if c.is_month]
        joining = ("signup", "signed", "joined", "registered", "joining")
        asks_month = reading.month is not None or reading.grain == "month"
        asks_month = asks_month or any(w in joining for w in reading.words)
        named = [d for d in reading.dimensions if d in {k.name for k in keys}]
        named += [d for d, _ in reading.segments if d in {k.name for k in keys}]
        if len(set(named)) == 1:
            arguments["cohort_key"] = named[0]
        elif asks_month:
            if len(months) != 1:
                raise Unclear("no month of joining is known", [k.name for k in keys])
            arguments["cohort_key"] = months[0]
        if reading.month is not None:
            arguments["cohort"] = reading.month
        if reading.segments:
            arguments["cohort"] = reading.segments[0][1]
        reading.dimensions, reading.segments = [d for d in reading.dimensions if d not in named], []
        reading.window, reading.month = None, None
        if any(w == RETENTION for _, w in reading.content):
            self._use_words({RETENTION, "curve", "active"})
            arguments["metric"] = RETENTION
        elif reading.content:
            metric = self._metric()
            if metric.name not in self.terms.vocabulary.cohort_metrics:
                raise Unclear(
                    f"cohorts do not show {metric.name}", list(self.terms.vocabulary.cohort_metrics)
                )
            arguments["metric"] = metric.name
        return self._done("cohort", arguments)

    def _changed(self) -> Route:
        reading = self.reading
        reading.use_intent(Intent.CHANGED)
        grain = self._grain_of_change()
        reading.window = None
        self._use_words(SIDE_WORDS[Intent.CHANGED])
        why = "why" in reading.words and not reading.dimensions
        arguments: dict[str, Any] = dict(grain)
        if reading.segments:
            raise Unclear("changes are shown of all customers, or of all segments of a dimension", [])
        name = self._metric_name(optional=True)
        if name is not None:
            arguments["metric"] = name
        if why and name is None:
            raise Unclear("which metric's change is meant", self._some_metrics())
        return self._done("what_changed", arguments, takes=("dimension",))

    def _grain_of_change(self) -> dict[str, Any]:
        text = self.reading.joined
        for grain in ("week", "month", "day"):
            if f"{grain} over {grain}" in text or self.reading.grain == grain or f"last {grain}" in text:
                return {"grain": grain}
            if f"previous {grain}" in text or f"the {grain} before" in text:
                return {"grain": grain}
        return {"grain": "day"} if "yesterday" in text else {}

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

    def _correlate(self) -> Route:
        reading = self.reading
        reading.use_intent(Intent.CORRELATE)
        reading.use_intent(Intent.DRIVERS)
        self._use_words(SIDE_WORDS[Intent.CORRELATE])
        return self._pair()

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
            if len(second) != 1:
                raise Unclear(f"{' '.join(extra)} is no metric that correlates", self._some_metrics())
            reading.dimensions = []
            return self._done("correlate", {"metric": first.name, "other": second[0].name}, takes=("limit",))
        if not content and self.context is not None:
            return self._done("correlate", {"metric": self.context.name}, takes=("limit",))
        whole = self._candidates([w for _, w in content])
        if len(whole) == 1 and not self._splits(content) and not self._has_two_sides(content):
            self._use_all()
            return self._done("correlate", {"metric": whole[0].name}, takes=("limit",))
        pairs = self._splits(content)
        if len(pairs) == 1:
            first, second_metric = pairs[0]
            self._use_all()
            reading.window = None
            return self._done(
                "correlate", {"metric": first.name, "other": second_metric.name}, takes=("limit",)
            )
        self._metric()  # says what is not clear
        raise Unclear("which two metrics are meant", self._some_metrics())

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
            if not gap or all(w in ("of", "the", "in") for w in gap):
                continue
            parts = [[w for _, w in content[:i]], [w for _, w in content[i:]]]
            metrics = [best_metrics(expanded(part), self.terms.metrics, None) for part in parts]
            if all(len(m) == 1 for m in metrics) and metrics[0][0] is not metrics[1][0]:
                pairs.append((metrics[0][0], metrics[1][0]))
        return pairs

    def _drivers(self) -> Route:
        reading = self.reading
        reading.use_intent(Intent.DRIVERS)
        self._use_words(SIDE_WORDS[Intent.DRIVERS])
        if reading.segments or reading.dimensions:
            if len(reading.content) >= 1 and reading.dimensions and not reading.segments:
                return self._pair()
            raise Unclear("drivers are shown of all customers, not of a segment", [])
        if not reading.content and self.context is None:
            return self._done("churn_drivers", {}, takes=("limit",))
        if self._splits(reading.content):
            return self._pair()
        metric = self._metric()
        if metric.is_target:
            return self._done("churn_drivers", {"target": metric.name}, takes=("limit",))
        return self._done("correlate", {"metric": metric.name}, takes=("limit",))

    def _distribution(self) -> Route:
        reading = self.reading
        reading.use_intent(Intent.DISTRIBUTION)
        self._use_numbers(followed_by=("th", "percentile", "percentiles", "st", "nd", "rd"))
        self._use_words({"th", "st", "nd", "rd", "distribution"})
        name = self._metric_name(optional=True)
        arguments = {} if name is None else {"metric": name}
        if name is None and not reading.dimensions and not reading.segments:
            raise Unclear("the distribution of what", self._some_metrics())
        return self._done("distribution", arguments, takes=("dimension", "segment"))

    def _overview(self) -> Route:
        self.reading.use_intent(Intent.OVERVIEW)
        name = self._metric_name(optional=True)
        return self._done("describe", {} if name is None else {"metric": name}, takes=("segment",))

    def _figures(self) -> Route:
        """Return what a question without a turn of phrase asks for: a figure, or segments side by side."""
        reading = self.reading
        intents = reading.intents()
        if reading.attribute is not None or self._names_protected():
            return self._fairness_of_target()
        counts = any(
            w in ("many", "number", "count", "proportion", "percentage", "percent", "share")
            for w in reading.words
        )
        same = {d for d, _ in reading.segments}
        if len(reading.segments) == 2 and len(same) == 1 and reading.content:
            name = self._metric_name()
            first, second = (s for _, s in reading.segments)
            arguments = {"metric": name, "dimension": same.pop(), "first": first, "second": second}
            reading.segments, reading.dimensions = [], []
            return self._done("compare_segments", arguments)
        if not reading.content:
            return self._of_customers(counts=counts)
        if reading.is_yes_or_no and not reading.dimensions and self._splits(reading.content):
            return self._pair()
        if Intent.SEGMENTS in intents and not reading.segments:
            self._refuse_lists_of_customers()
            name = self._metric_name(optional=True) or CUSTOMERS
            return self._done("compare_segments", {"metric": name}, takes=("dimension",))
        return self._of_metric(has_two_sides=Intent.COMPARE in intents)

    def _of_metric(self, *, has_two_sides: bool) -> Route:
        """Return a metric by its dimension, by that of a segment that is named, or of one segment or all."""
        reading, name = self.reading, self._metric_name()
        if reading.dimensions:
            keys = self.terms.vocabulary.cohort_keys
            if name == ACTIVE and reading.dimensions[0] in keys and not reading.segments:
                key = reading.dimensions.pop()
                return self._done("cohort", {"cohort_key": key, "metric": RETENTION})
            if {d for d, _ in reading.segments} == set(reading.dimensions):
                reading.segments = []
            return self._done("compare_segments", {"metric": name}, takes=("dimension",))
        if has_two_sides and len(reading.segments) == 1:
            dimension = reading.segments.pop()[0]
            return self._done("compare_segments", {"metric": name, "dimension": dimension})
        return self._done("describe", {"metric": name}, takes=("segment",))

    def _refuse_lists_of_customers(self) -> None:
        text = f" {self.reading.joined} "
        lists = any(
            f" {which} {what} " in text
            for which in ("which", "what")
            for what in ("customers", "users", "clients", "people", "customer")
        )
        if (lists and "of customers" not in text) or self.reading.limit is not None:
            raise Unclear(
                "single customers are not listed by a metric; segments are compared, one customer explained",
                examples(self.terms),
            )

    def _of_customers(self, *, counts: bool) -> Route:
        """Return how many customers there are: in all, in a segment, or in those of a dimension."""
        reading = self.reading
        shares = any(w in ("proportion", "percentage", "percent", "share", "fraction") for w in reading.words)
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
        if counts:
            return self._done("describe", {"metric": CUSTOMERS}, takes=("segment",))
        raise Unclear("the question names nothing that can be asked for", examples(self.terms))

    def _names_protected(self) -> bool:
        entity = self.terms.vocabulary.contract.entity
        own = [t for t in self.terms.protected if t.name not in self.terms.vocabulary.dimensions]
        words = {english.meaning(w) for _, w in self.reading.content} | {w for _, w in self.reading.content}
        return any(words & (t.core | {str(v).lower() for v in entity[t.name].allowed}) for t in own)

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


_GRAIN_WORDS = {
    "day": ("day", "days", "daily"),
    "week": ("week", "weeks", "weekly"),
    "month": ("month", "months", "monthly"),
}
_WAYS: Mapping[Intent, Callable[[Router], Route]] = {
    Intent.QUALITY: Router._quality,
    Intent.FAIRNESS: Router._fairness,
    Intent.INFLUENCERS: Router._influencers,
    Intent.RECOMMEND: Router._recommend,
    Intent.CLAIM: Router._claims,
    Intent.COHORT: Router._cohort,
    Intent.CHANGED: Router._changed,
    Intent.TREND: Router._trend,
    Intent.CORRELATE: Router._correlate,
    Intent.DRIVERS: Router._drivers,
    Intent.DISTRIBUTION: Router._distribution,
    Intent.OVERVIEW: Router._overview,
}
