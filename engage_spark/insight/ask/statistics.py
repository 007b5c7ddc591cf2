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
_PERCENTILE = re.compile(r"p\d\d")
_OF_VALUES = ("describe", "distribution")
"""Tools that show the spread of a metric."""
_OF_MEANS = ("compare_segments", "trend", "what_changed", "cohort")
"""Tools that show means of a metric alone."""
_LABELS: Mapping[Statistic, str] = {
    Statistic.MEDIAN: "p50 quantile",
    Statistic.DEVIATION: "standard deviation",
}


def asked_statistic(reading: Reading) -> Statistic | None:
    """Return the statistic that a question asks for; None for the mean. Words of a metric's name ask for
    none, nor those that say which segment is meant, such as the highest quartile.
    """
    for statistic, pattern in _WORDS:
        places = [reading.places(match) for match in reading.matches(pattern)]
        if any(not (reading.protected.issuperset(p) or _is_of_segment(reading, p)) for p in places):
            return statistic
    return None


def _is_of_segment(reading: Reading, places: range) -> bool:
    """Return whether words are of a segment or a dimension: they are used up for it, or are the range that
    stands beside its words, as in age range 25 to 34.
    """
    if all(reading.used[i] for i in places):
        return True
    before, after = places.start - 1, places.stop
    is_behind = before >= 0 and reading.used[before]
    is_before = after < len(reading.words) and reading.used[after] and reading.words[after][0].isdigit()
    return [reading.words[i] for i in places] == ["range"] and (is_behind or is_before)


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
    is_share = _is_share(vocabulary, metric)
    if own is not None and own.value is not None:
        yield _named(own, statistic)
    elif statistic in (Statistic.EXTREMES, Statistic.SKEWNESS, Statistic.VARIANCE):
        yield _in_place_of(statistic, name, is_share=is_share)
    elif answer.tool == "distribution" and not is_share:
        yield from _of_percentiles(statistic, question, answer, name)
    elif statistic is not Statistic.PERCENTILES or not _is_shown(question, answer):
        why, what = _why(vocabulary, metric), "rate" if is_share else "mean"
        yield f"The {statistic.value} of {name} {_is(statistic)} not shown{why}: what follows is the {what}."


def _in_place_of(statistic: Statistic, name: str, *, is_share: bool) -> str:
    """Say what stands in the place of a statistic that no answer has."""
    if statistic is Statistic.SKEWNESS:
        return f"The skewness of {name} is not shown; what follows says how the values spread."
    if statistic is Statistic.VARIANCE:
        return f"The variance of {name} is not shown; the standard deviation is its root, where there is one."
    if is_share:
        return f"{capital(name)} is yes or no of each customer, without a smallest or largest value."
    return (
        f"The {statistic.value} of {name} are not shown: they would be single customers' values. What "
        "follows says how the others spread."
    )


def _of_percentiles(statistic: Statistic, question: Reading, answer: Answer, name: str) -> Iterator[str]:
    """Yield what is said of the percentiles of an answer: one that a row hides is not shown there."""
    shown = [{c.name for c in answer.columns if answer.cell(row, c.name) is not None} for row in answer.rows]
    is_any = any(_PERCENTILE.fullmatch(n) for names in shown for n in names)
    asked = {"p50"} if statistic is Statistic.MEDIAN else _orders(question)
    which = f"The {statistic.value} of {name}" if len(asked) != 1 else f"That percentile of {name}"
    which = f"The median of {name}" if statistic is Statistic.MEDIAN else which
    are = _is(statistic) if len(asked) != 1 else "is"
    if statistic not in (Statistic.MEDIAN, Statistic.PERCENTILES) or not is_any:
        yield f"{which} {are} not shown."
    elif not any(asked <= names for names in shown):
        yield f"{which} {are} not shown; these are."
    elif not all(asked <= names for names in shown):
        yield f"{which} {are} not shown of every group."
    elif statistic is Statistic.MEDIAN:
        yield f"p50 is the median of {name}."


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


def _orders(question: Reading) -> set[str]:
    """Return the names of the percentiles that a question asks for by their numbers."""
    return {f"p{float(m[1]):02g}" for m in question.matches(_ORDER)}


def _is_shown(question: Reading, answer: Answer) -> bool:
    """Return whether an answer has the percentiles that are asked for: the one of a number, or some."""
    facts = [f for f in answer.facts if f.value is not None]
    names = {f.label.rpartition(": ")[2].partition(" ")[0] for f in facts}
    return _orders(question) <= names and any(map(_PERCENTILE.fullmatch, names))
