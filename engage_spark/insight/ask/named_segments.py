"""Take the segments that a question names: categories, ranges of numbers, quartiles, and flags."""

from __future__ import annotations

import re
from collections.abc import Iterator

from engage_spark import english
from engage_spark.insight.ask.intents import TRIGGER_WORDS
from engage_spark.insight.ask.reading import Reading
from engage_spark.insight.ask.terms import DimensionTerm, SegmentTerm

_RANGES = (
    re.compile(
        r"\b(?:between |from |aged |ages )?(?P<low>\d+) (?:to|and|until|through) (?:under |< "
        r")?(?P<high>\d+)\b"
    ),
    re.compile(
        r"\b(?:under|below|younger than|less than|fewer than|not yet|up to) (?:the age of |age "
        r")?(?P<high>\d+)\b"
    ),
    re.compile(r"\bfirst (?P<high>\d+) (?=months?|years?|weeks?|days?)"),
    re.compile(r"\b(?P<low>\d+) (?:\+|(?:years |months )?(?:and|or) (?:older|more|over|above|up|longer))"),
    re.compile(
        r"\b(?:over|above|older than|more than|at least|from) (?:the age of |age )?(?P<low>\d+)\b(?! to)"
    ),
)
_AGE_UNITS = re.compile(r"\b(?:years?|months?|olds?)\b")
_MONTHS = 12
"""Months of a year: a range of years may be of a dimension in months."""
_QUARTILE = re.compile(
    r"\b(?P<which>most|least|top|highest|upper|fourth|4|bottom|lowest|lower|first|1|second|2|third|3) (?:\w+ "
    r"){0,2}?quartile\b"
    r"|\bq(?P<q>[1-4])\b"
)


def take_segments(reading: Reading) -> None:
    """Take the segments that are named: categories by their words, ranges by their numbers, quartiles."""
    placed = list[tuple[int, tuple[str, str]]]()
    by_length = sorted((s for s in reading.terms.segments if s.words), key=lambda s: -len(s.words))
    for term in by_length:
        if _is_of_another(reading, term):
            continue
        for places in _places_of(reading, term):
            reading.use(places)
            placed.append((places.start, (term.dimension, term.segment)))
    reading.segments += [segment for _, segment in sorted(placed)]
    _take_ranges(reading)
    quartiles = [d for d in reading.terms.dimensions if d.name.endswith("_quartile")]
    for match in reading.matches(_QUARTILE):
        fitting = [d for d in quartiles if _names(reading, d)] or (quartiles if len(quartiles) == 1 else [])
        if len(fitting) == 1 and not _is_quartile_of_another(reading, match, fitting[0]):
            which = f"Q{match['q']}" if match["q"] else english.QUARTILES[match["which"]]
            reading.segments.append((fitting[0].name, which))
            places = reading.places(match)
            reading.use(places)
            if reading.words[places.stop : places.stop + 1] in (["of"], ["by"]):
                after = range(places.stop + 1, min(places.stop + 4, len(reading.words)))
                for i in after:
                    if english.meaning(reading.words[i]) not in fitting[0].core:
                        break
                    reading.used[i] = True
    _take_whole_dimensions(reading)
    for dimension in {d for d, _ in reading.segments} | set(reading.dimensions):
        core = next(d for d in reading.terms.dimensions if d.name == dimension).core
        for i, word in enumerate(reading.words):
            close = any(reading.used[j] for j in range(max(0, i - 2), min(i + 3, len(reading.words))))
            reading.used[i] |= (english.meaning(word) in core or word == dimension) and close


def _is_quartile_of_another(reading: Reading, match: re.Match[str], dimension: DimensionTerm) -> bool:
    """Return whether a quartile is one of a metric that is not the dimension's: the 3rd quartile of spend."""
    stop = reading.places(match).stop
    behind = {english.meaning(w) for w in reading.words[stop + 1 : stop + 3]}
    is_of = reading.words[stop : stop + 1] == ["of"]
    named = behind & {*reading.terms.name_words, *reading.terms.vocabulary.metrics}
    own = {*dimension.core, dimension.name.removesuffix("_quartile")}
    return is_of and bool(named) and not behind & own


def _take_whole_dimensions(reading: Reading) -> None:
    """Take a dimension in place of three segments or more that are all it has, as in a list of them."""
    for dimension in {d for d, _ in reading.segments}:
        named = {s for d, s in reading.segments if d == dimension}
        if len(named) > 2 and named == set(reading.terms.values_of(dimension)):
            reading.segments = [s for s in reading.segments if s[0] != dimension]
            reading.dimensions.append(dimension)


def _is_of_another(reading: Reading, term: SegmentTerm) -> bool:
    """Return whether the words of a category are those of another dimension's, which the question names."""
    same = {s.dimension for s in reading.terms.segments if s.words == term.words} - {term.dimension}
    by_name = {d.name: d for d in reading.terms.dimensions}
    names_own = _names(reading, by_name[term.dimension])
    return not names_own and any(_names(reading, by_name[name]) for name in same)


def _places_of(reading: Reading, term: SegmentTerm) -> Iterator[range]:
    """Yield where the words of a category stand; bare numbers do not name one, and such as "high" only beside
    the name of the dimension.
    """
    words, n = reading.words, len(term.words)
    is_declared = term.segment in reading.terms.vocabulary.segments(term.dimension)
    common = english.FILLER | (frozenset() if is_declared else _meant_otherwise(reading))
    is_vague = all(w in common for w in term.words)
    core = next(d for d in reading.terms.dimensions if d.name == term.dimension).core
    if all(w[0].isdigit() for w in term.words):
        return
    for i in range(len(words) - n + 1):
        if any(reading.used[i : i + n]):
            continue
        around = {english.meaning(w) for w in words[max(0, i - 2) : i + n + 2]}
        if is_vague and not around & core:
            continue
        if all(
            english.folded(b) in map(english.folded, (a, english.singular(a), english.meaning(a)))
            for a, b in zip(words[i : i + n], term.words, strict=True)
        ):
            yield range(i, i + n)


def _meant_otherwise(reading: Reading) -> frozenset[str]:
    """Return the words that mean something else than a category that only the data have."""
    terms = reading.terms
    return terms.name_words | terms.entity_words | frozenset(english.MEANINGS) | TRIGGER_WORDS


def _take_ranges(reading: Reading) -> None:
    ranged = [s for s in reading.terms.segments if not s.words]
    by_name = {d.name: d for d in reading.terms.dimensions}
    for pattern in _RANGES:
        for match in reading.matches(pattern):
            places = reading.places(match)
            if any(reading.used[i] for i in places):
                continue
            parts = match.groupdict()
            low = None if parts.get("low") is None else float(parts["low"])
            high = None if parts.get("high") is None else float(parts["high"])
            is_in_years = any(w.startswith("year") for w in reading.words[places.start : places.stop + 1])
            fitting = [
                s
                for s in ranged
                if _is_range(s, low, high, _MONTHS if is_in_years and _is_in_months(reading, s) else 1)
                and (
                    _names(reading, by_name[s.dimension]) or _is_of_people(reading, s.dimension, places.start)
                )
            ]
            if len(fitting) == 1:
                reading.segments.append((fitting[0].dimension, fitting[0].segment))
                reading.use(places)
                after = range(places.stop, min(places.stop + 2, len(reading.words)))
                reading.use(
                    range(
                        places.stop,
                        places.stop + sum(bool(_AGE_UNITS.fullmatch(reading.words[i])) for i in after),
                    )
                )


def _is_in_months(reading: Reading, term: SegmentTerm) -> bool:
    return reading.terms.vocabulary.dimensions[term.dimension].unit == "months"


def _is_range(term: SegmentTerm, low: float | None, high: float | None, factor: int) -> bool:
    """Return whether a segment is a range of numbers, of which each stands for `factor` of its own."""
    if (term.lower or 0) != (low or 0) * factor:
        return False
    if high is None:
        return term.upper is None
    return term.upper == high * factor or (low is not None and term.upper == high + 1)


def _is_of_people(reading: Reading, dimension: str, start: int) -> bool:
    """Return whether a range stands behind what customers are called, so that it is of their years."""
    unit = reading.terms.vocabulary.dimensions[dimension].unit
    before = [w for w in reading.words[:start] if w not in ("is", "are", "was", "were", "who", "that")]
    return unit == "years" and bool({english.meaning(w) for w in before[-1:]} & reading.terms.entity_words)


def _names(reading: Reading, dimension: DimensionTerm) -> bool:
    """Return whether a word of the question is of a dimension or of its unit."""
    words = {part for w in reading.words for part in (english.meaning(w), *w.split("_"))}
    units = {"age": {"year"}}.get(dimension.name, set())
    return bool(words & (dimension.core | units | (dimension.soft & {"month", "year"})))
