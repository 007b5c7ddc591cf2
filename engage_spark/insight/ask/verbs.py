"""Explain the verbs of a question by their objects, and take those that say which customers are meant.

"How many posts do users write" asks for posts. "Customers who write", "writing customers" and "customers who
stand out" are some of them, and nothing is known of those.
"""

from __future__ import annotations

from engage_spark import english
from engage_spark.function_words import (
    DOING_VERBS,
    FREQUENCY,
    LIGHT_VERBS,
    MOVING_VERBS,
    word_set,
)
from engage_spark.insight.ask.reading import Reading

_NO_OBJECT_BEHIND = frozenset(
    (
        "by",
        "per",
        "across",
        "each",
        "every",
        "among",
        "between",
        "versus",
        "vs",
        "than",
        "with",
        "without",
        "and",
    )
)
_CLAUSES = frozenset(("who", "that", "which", "when", "where", "if", "while", "because", "whose"))
_COMPARING = frozenset(("more", "most", "less", "least", "than"))
_STATES = frozenset(("churn", "retention", "engagement"))
"""What customers do by themselves: no object of another verb."""
_OF_CUSTOMERS = frozenset(("those", "ones", "anyone", "everyone", "somebody", "someone", "everybody"))
_BEFORE_OBJECTS = word_set(
    """
    a an the this that these those our their his her its any some all every many much more most less least few
    fewer high higher highest low lower lowest good better best lot lots plenty of in on for at to over us me
    number amount average total money so too very really
    """
)
"""Words between a verb and its object."""
_BETWEEN = word_set("also still always already just only really ever never have has had can could")
"""Words between "who" and its verb."""


def explain_verbs(reading: Reading) -> None:
    """Take the verbs of doing as explained that have an object which is known: a metric, or a segment.

    Verbs by which some customers are meant are taken as restricting.
    """
    for i, word in enumerate(reading.words):
        if word in DOING_VERBS and not reading.used[i]:
            reading.used[i] = _has_object_behind(reading, i) or _has_object_before(reading, i)
            if not reading.used[i] and _is_attribute(reading, i):
                reading.restricting.add(i)
        elif word in FREQUENCY:
            compares = reading.is_yes_or_no or bool(_COMPARING & set(reading.words))
            reading.used[i] = reading.used[i] or compares
        elif word in ("who", "that", "which") and _is_of_customers(reading, i - 1):
            _take_clause(reading, i + 1)


def _take_clause(reading: Reading, start: int) -> None:
    """Take the verb of a clause on customers as restricting, where it has no object."""
    words = reading.words
    place = next((i for i in range(start, len(words)) if words[i] not in _BETWEEN), len(words))
    verbs = LIGHT_VERBS | DOING_VERBS | MOVING_VERBS
    if place < len(words) and words[place] in verbs and not _has_object_behind(reading, place):
        reading.restricting.add(place)


def _has_object_behind(reading: Reading, place: int) -> bool:
    words = reading.words
    if _is_attribute(reading, place):
        return False
    for i in range(place + 1, len(words)):
        if words[i] in _NO_OBJECT_BEHIND | _CLAUSES or english.meaning(words[i]) in _STATES:
            return False
        if words[i].endswith("ed") and words[i - 1] not in _BEFORE_OBJECTS:
            return False  # another participle, such as aged
        if reading.used[i] or _is_of_metric(reading, i):
            return True
        if words[i] not in _BEFORE_OBJECTS:
            return False
    return False


def _has_object_before(reading: Reading, place: int) -> bool:
    """Return whether the object was moved to the front, as in "how many posts do users write"."""
    words = reading.words
    is_participle = place > 0 and words[place].endswith("ing") and _is_entity(reading, place - 1)
    if _is_attribute(reading, place) or is_participle:
        return False
    for i in range(place - 1, -1, -1):
        if words[i] in _CLAUSES:
            return i > 0 and _is_of_metric(reading, i - 1) and not _is_of_target(reading, i - 1)
        if _is_of_metric(reading, i):
            return not _is_of_target(reading, i)
        if words[i] not in english.FILLER and not _is_entity(reading, i) and not reading.used[i]:
            return False
    return False


def _is_attribute(reading: Reading, place: int) -> bool:
    """Return whether a verb says which customers are meant, as in "paying customers"."""
    return reading.words[place].endswith(("ing", "ed")) and reading.is_before_customers(place)


def _is_of_customers(reading: Reading, place: int) -> bool:
    return place >= 0 and (reading.words[place] in _OF_CUSTOMERS or _is_entity(reading, place))


def _is_entity(reading: Reading, place: int) -> bool:
    word = reading.words[place]
    return bool({word, english.meaning(word)} & reading.terms.entity_words)


def _is_of_metric(reading: Reading, place: int) -> bool:
    word = reading.words[place]
    means = {word, english.meaning(word), *english.EXPANSIONS.get(word, ())}
    return bool(means & reading.terms.name_words) or word in reading.terms.vocabulary.metrics


def _is_of_target(reading: Reading, place: int) -> bool:
    word = reading.words[place]
    means = {word, english.meaning(word)}
    return any(means & (m.core | {m.name}) for m in reading.terms.metrics if m.is_target)
