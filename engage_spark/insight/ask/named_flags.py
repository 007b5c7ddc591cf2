"""Take the flags that a question names: customers with or without something, active and inactive ones."""

from __future__ import annotations

from collections.abc import Iterator

from engage_spark import english
from engage_spark.insight.ask.reading import Reading
from engage_spark.insight.ask.terms import DimensionTerm

_ARTICLES = frozenset(("a", "an", "the", "any", "their"))
_WITH = frozenset(("with", "having"))
_HAVE = frozenset(("have", "has", "own", "owns", "hold", "holds", "possess", "possesses"))
_WITHOUT = frozenset(("without", "no", "not", "non", "lacking"))
_JOINS = frozenset(("and", "or", "vs", "versus", "than", "to", "from", "against"))
_PREFIXES = ("in", "non", "un")
_LONGEST = 3
_ON, _OFF = "1", "0"


def take_flags(reading: Reading) -> None:
    """Take the segments of flags: with and without something, such as inactive, and those without it."""
    for term in reading.terms.dimensions:
        if set(reading.terms.values_of(term.name)) != {_ON, _OFF}:
            continue
        named = list(_flags_of(reading, term))
        if named:
            named += _pronouns(reading, {segment for _, segment in named})
            named += _adjectives_beside(reading, term, {segment for _, segment in named})
        for places, segment in named:
            reading.use(places)
            reading.segments.append((term.name, segment))


def _flags_of(reading: Reading, term: DimensionTerm) -> Iterator[tuple[range, str]]:
    words = reading.words
    at = 0
    for start in range(len(words)):
        for end in range(min(start + _LONGEST, len(words)), start, -1):
            if start < at:
                break
            if _is_prefixed(words[start], term):
                yield range(start, start + 1), _OFF
                at = start + 1
            elif _names_flag(words[start:end], term, reading.terms.entity_words):
                yield from _by_what_stands_before(reading, range(start, end))
                at = end


def _is_prefixed(word: str, term: DimensionTerm) -> bool:
    """Return whether a word is the one of a flag turned around, such as inactive."""
    return any(
        word == f"{prefix}{own}" for prefix in _PREFIXES for own in term.core if len(own) > len(prefix)
    )


def _names_flag(words: list[str], term: DimensionTerm, entity_words: frozenset[str]) -> bool:
    if words == [term.name]:
        return True
    means = {english.meaning(w) for w in words}
    if not all(w.isalpha() for w in words) or len(means) != len(words) or means & entity_words:
        return False
    return means == term.core or (
        len(means) > 1 and bool(means & term.core) and means <= term.core | term.soft
    )


def _by_what_stands_before(reading: Reading, places: range) -> Iterator[tuple[range, str]]:
    words = reading.words
    start = places.start
    while start > 0 and words[start - 1] in _ARTICLES:
        start -= 1
    before = words[max(0, start - 3) : start]
    whole = range(start - 1, places.stop)
    is_of_people = places.stop < len(words) and (
        words[places.stop] in ("one", "ones")
        or english.meaning(words[places.stop]) in reading.terms.entity_words
    )
    if len(before) == 3 and {before[0], before[2]} <= _WITH | _WITHOUT and before[1] in _JOINS:
        yield range(start - 3, places.stop), _ON
        yield whole, _OFF
    elif before and before[-1] in _WITHOUT:
        yield whole, _OFF
    elif before and (before[-1] in _WITH | _HAVE and _is_whose(reading, start - 1)):
        yield whole, _ON
    elif is_of_people and len(places) == 1 and before[-1:] not in (["by"], ["per"], ["across"]):
        yield places, _ON


def _is_whose(reading: Reading, place: int) -> bool:
    """Return whether having is said of customers: "clients who own", "those with", and not "linked with"."""
    before = reading.words[place - 1] if place > 0 else "those"
    return (
        before in ("who", "that", "those", "ones", "and", "for", "in")
        or english.meaning(before) in reading.terms.entity_words
    )


def _pronouns(reading: Reading, segments: set[str]) -> list[tuple[range, str]]:
    """Return the other side where it is said as "those without one"."""
    other = {_ON: _OFF, _OFF: _ON}
    says = "without" if segments == {_ON} else "with"
    for i, word in enumerate(reading.words):
        behind = reading.words[i + 1 : i + 2]
        if len(segments) == 1 and word == says and behind in ([], ["one"], ["it"]):
            return [(range(i, i + 1 + len(behind)), other[next(iter(segments))])]
    return []


def _adjectives_beside(reading: Reading, term: DimensionTerm, segments: set[str]) -> list[tuple[range, str]]:
    """Return the side that stands alone beside the other one, as in "active versus inactive customers"."""
    if segments != {_OFF}:
        return []
    return [
        (range(i, i + 1), _ON)
        for i, word in enumerate(reading.words)
        if {english.meaning(word)} == term.core
        and (_JOINS & set(reading.words[max(0, i - 1) : i] + reading.words[i + 1 : i + 2]))
    ]
