"""Say which statistic a question asks for, and what stands in its place: no mean passes for a median."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from enum import StrEnum
from typing import Any

from engage_spark.contract.analytics_spec import CUSTOMERS
from engage_spark.insight.ask.narrator import capital, sentence, words
from engage_spark.insight.ask.reading import Reading
from engage_spark.insight.ask.resolving import Route
from engage_spark.insight.evidence import Answer, Evidence
from engage_spark.insight.vocabulary import Vocabulary


class Statistic(StrEnum):
    """What a question asks for of the values of a metric, other than their mean."""

    MEDIAN = "median"
    PERCENTILES = "percentiles"
    EXTREMES = "smallest and largest value"
    DEVIATION = "standard deviation"
    VARIANCE = "variance"
    SKEWNESS = "skewness"


_WORDS = (
    (Statistic.MEDIAN, re.compile(r"\bmedians?\b")),
    (Statistic.PERCENTILES, re.compile(r"\b(?:percentiles?|quantiles?|deciles?)\b")),
    (Statistic.VARIANCE, re.compile(r"\bvariances?\b")),
    (Statistic.DEVIATION, re.compile(r"\b(?:standard )?deviations?\b")),
    (Statistic.SKEWNESS, re.compile(r"\b(?:skew\w*|kurtosis)\b")),
    (
        Statistic.EXTREMES,
        re.compile(
            r"\b(?:minimum|maximum|min|max|range|highest|lowest|largest|smallest|biggest|greatest|longest|"
            r"shortest)\b"
        ),
    ),
)
_ORDER = re.compile(r"\b(\d{1,2}(?:\.\d+)?) (?:(?:th|st|nd|rd) )?percentile\b")
_OF_VALUES = ("describe", "distribution")
"""Tools that show the spread of a metric."""
_OF_MEANS = ("compare_segments", "trend", "what_changed", "cohort")
"""Tools that show means of a metric alone."""
_LABELS: Mapping[Statistic, str] = {
    Statistic.MEDIAN: "p50 quantile",
    Statistic.DEVIATION: "standard deviation",
}


def asked_statistic(reading: Reading) -> Statistic | None:
    """Return the statistic that a question asks for; None for the mean. A metric's name asks for none."""
    for statistic, pattern in _WORDS:
        if any(not reading.protected.issuperset(reading.places(m)) for m in reading.matches(pattern)):
            return statistic
    return None


def goes_on(statistic: Statistic | None, call: Route) -> Statistic | None:
    """Return the statistic that a question which goes on from a call asks for, too: of segments the highest
    one is no largest value.
    """
    is_of_segments = statistic is Statistic.EXTREMES and call.tool not in _OF_VALUES
    return None if is_of_segments else statistic


def asks_for_the_mean(reading: Reading) -> bool:
    """Return whether a question asks for means by name."""
    return bool({"mean", "means", "average", "averages"} & set(reading.words))


def with_statistic(call: Route, statistic: Statistic | None, vocabulary: Vocabulary) -> Route:
    """Return a call with the tool that shows medians and percentiles by segment, where means are compared."""
    arguments = call.arguments
    is_by_segment = call.tool == "compare_segments" and "dimension" in arguments
    if statistic not in (Statistic.MEDIAN, Statistic.PERCENTILES) or not is_by_segment:
        return call
    if not _has_quantiles(vocabulary, arguments):
        return call
    whole = {k: v for k, v in arguments.items() if k not in ("first", "second")}
    return replace(call, tool="distribution", arguments=whole)


def _has_quantiles(vocabulary: Vocabulary, arguments: Mapping[str, Any]) -> bool:
    name = str(arguments.get("metric"))
    is_known = name in vocabulary.metrics
    return is_known and not _is_share(vocabulary, name) and not vocabulary.is_classified(name)


def lead_of(
    statistic: Statistic | None, question: Reading, answer: Answer, vocabulary: Vocabulary
) -> Iterator[str]:
    """Yield what is said first where a statistic was asked for: its figure, or what stands in its place."""
    metric = str(answer.arguments.get("metric"))
    if statistic is None or metric in ("None", CUSTOMERS) or answer.tool not in (*_OF_VALUES, *_OF_MEANS):
        return
    name = words(metric)
    if answer.tool in _OF_MEANS:
        if statistic is not Statistic.EXTREMES:  # the maximum of the segments is the highest one
            why, what = _why(vocabulary, metric), "rates" if _is_share(vocabulary, metric) else "means"
            which = f"The {statistic.value} of {name} {_is(statistic)}"
            yield f"{which} not shown here{why}: what follows are {what}."
        return
    own = next((f for f in answer.facts if f.label == f"{metric}: {_LABELS.get(statistic)}"), None)
    if own is not None:
        yield _named(own, statistic)
    elif statistic is Statistic.EXTREMES:
        yield (
            f"The {statistic.value} of {name} are not shown: they would be single customers' values. What "
            "follows says how the others spread."
        )
    elif statistic is Statistic.SKEWNESS:
        yield f"The skewness of {name} is not shown; what follows says how the values spread."
    elif statistic is Statistic.VARIANCE:
        yield f"The variance of {name} is not shown; the standard deviation is its root, where there is one."
    elif statistic is Statistic.PERCENTILES and _is_shown(question, answer):
        return
    elif answer.tool == "distribution" and "p50" in {c.name for c in answer.columns}:
        if statistic is Statistic.MEDIAN:
            yield f"p50 is the median of {name}."
        else:
            yield f"That percentile of {name} is not shown; these are."
    else:
        why, what = _why(vocabulary, metric), "rate" if _is_share(vocabulary, metric) else "mean"
        yield f"The {statistic.value} of {name} {_is(statistic)} not shown{why}: what follows is the {what}."


def _is(statistic: Statistic) -> str:
    return "are" if statistic in (Statistic.PERCENTILES, Statistic.EXTREMES) else "is"


def _why(vocabulary: Vocabulary, metric: str) -> str:
    """Say why a metric has no quantiles, as a part of a sentence; nothing where it has them elsewhere."""
    if _is_share(vocabulary, metric):
        return ", since its values are only yes and no"
    if vocabulary.is_classified(metric):
        return ", since the contract classifies the field"
    return ""


def _is_share(vocabulary: Vocabulary, metric: str) -> bool:
    spec = vocabulary.metrics.get(metric)
    return spec is not None and spec.is_share


def _named(fact: Evidence, statistic: Statistic) -> str:
    """Say a figure by the name that was asked for."""
    metric = fact.label.partition(": ")[0]
    return capital(sentence(replace(fact, label=f"{metric}: {statistic.value}")))


def _is_shown(question: Reading, answer: Answer) -> bool:
    """Return whether an answer has the percentiles that are asked for: the one of a number, or some."""
    names = {f.label.rpartition(": ")[2].partition(" ")[0] for f in answer.facts}
    names |= {c.name for c in answer.columns}
    asked = [f"p{float(m[1]):02g}" for m in question.matches(_ORDER)]
    return all(name in names for name in asked) and any(re.fullmatch(r"p\d\d", n) for n in names)
