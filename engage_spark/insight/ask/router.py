"""Choose the tool and the arguments that answer a question, or decline: nothing is guessed.

A question is answered only when every word of it is accounted for. What is not clear is asked back with the
names that it could mean.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from engage_spark import english
from engage_spark.contract.analytics_spec import CUSTOMERS, RETENTION
from engage_spark.insight.ask.claims import named_claim, verdict_of
from engage_spark.insight.ask.figures import FigureRouter
from engage_spark.insight.ask.intents import (
    CLAIM_NOUNS,
    CONTACT,
    EXPLAIN,
    PHRASES,
    RAISE,
    SIDE_WORDS,
    SIMILAR,
    Intent,
)
from engage_spark.insight.ask.reading import Reading
from engage_spark.insight.ask.refusals import reason_to_refuse
from engage_spark.insight.ask.resolving import Decline, Route, Unclear, examples, expanded
from engage_spark.insight.ask.terms import best_dimensions, best_metrics


def route(reading: Reading) -> Route | Decline:
    """Return the call that answers a question which stands by itself, or why there is none."""
    try:
        return Router(reading).route()
    except Unclear as e:
        return e.decline


class Router(FigureRouter):
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
        for intent in self._in_order(reading.intents()):
            if intent in _WAYS and self._fits(intent):
                return _WAYS[intent](self)
        return self._figures()

    def _in_order(self, intents: list[Intent]) -> list[Intent]:
        """Return the intents with a trend first where changes are asked for over several periods."""
        if Intent.TREND in intents and self._is_of_a_window():
            intents = [i for i in intents if i is not Intent.TREND]
        over_periods = re.search(
            r"\bover (?:time|(?:the )?(?:days|weeks|months)|the (?:last|past))\b", self.reading.joined
        )
        if Intent.TREND in intents and Intent.CHANGED in intents and over_periods:
            self.reading.use_intent(Intent.CHANGED)
            return [Intent.TREND]
        return intents

    def _is_of_a_window(self) -> bool:
        """Return whether "over the last 90 days" is the window of the metric that is named, and no trend."""
        reading = self.reading
        pattern = dict(PHRASES)[Intent.TREND]
        phrases = [m[0] for m in reading.matches(pattern)]
        if reading.window is None or any(not re.match(r"(?:over|in|during) the ", s) for s in phrases):
            return False
        words = expanded([w for _, w in reading.content])
        return bool(best_metrics(words, [m for m in self.terms.metrics if m.is_rolling], reading.window))

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
        reason = reason_to_refuse(reading)
        if reason is not None:
            raise Unclear(reason, examples(self.terms))
        is_of_model = Intent.FAIRNESS in intents or Intent.RECOMMEND in intents
        future = english.FUTURE - english.MILD_FUTURE if is_of_model else english.FUTURE
        if any(w in future for w in reading.words):
            raise Unclear(
                "no tool looks into the future of groups; models predict for one customer",
                examples(self.terms),
            )
        if all(w in _TOTALS for _, w in reading.content):
            self._use_all()
        if any(w in _TOTALS for w in reading.words) and reading.content:
            named = any(
                w in _TOTALS for m in self.terms.metrics for w in m.name.split("_") if w in reading.words
            )
            if not named:
                raise Unclear("totals are not shown; ask for the average", self._some_metrics())
        may_negate = {Intent.CLAIM, Intent.RECOMMEND, Intent.QUALITY} & set(intents)
        if reading.is_negated and (not may_negate or reading.leaves_out):
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
        self._use(CONTACT)
        self._use(EXPLAIN)
        self._use_words({"model", "models", "think", "thinks", "believe", "believes"})
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
        if reading.content and "missing" in reading.words:
            return self._done("describe", {"metric": self._metric().name}, takes=("segment",))
        return self._done("data_quality", arguments)

    def _fairness(self) -> Route:
        reading = self.reading
        reading.use_intent(Intent.FAIRNESS)
        self._use_words(SIDE_WORDS[Intent.FAIRNESS])
        attribute = self._protected()
        target = self._optional_target()
        return self._done("fairness", target | attribute)

    def _influencers(self) -> Route:
        reading = self.reading
        if not self.terms.measures:
            raise Unclear("the contract has no graph, so there are no influencers", examples(self.terms))
        reading.use_intent(Intent.INFLUENCERS)
        arguments: dict[str, Any] = {}
        words = self._measure_words()
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
        self._use_words(SIDE_WORDS[Intent.CLAIM] | self.terms.claim_sources)
        return self._done("check_claim", verdict)

    def _cohort(self) -> Route:
        reading = self.reading
        reading.use_intent(Intent.COHORT)
        reading.use_intent(Intent.TREND)
        keys = self.terms.cohort_keys
        arguments: dict[str, Any] = {}
        months = [c.name for c in self.terms.vocabulary.spec.cohorts if c.is_month]
        joining = ("signup", "signups", "signed", "joined", "registered", "joining")
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
        if reading.is_past:
            raise Unclear("a cohort is asked for by its month, such as 2025-03", [])
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
        if name is None and {"number", "many", "count"} & set(reading.words):
            name = CUSTOMERS
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

    def _correlate(self) -> Route:
        reading = self.reading
        reading.use_intent(Intent.CORRELATE)
        reading.use_intent(Intent.DRIVERS)
        self._use_words(SIDE_WORDS[Intent.CORRELATE])
        return self._pair()

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


_TOTALS = frozenset(("total", "sum", "altogether"))
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
