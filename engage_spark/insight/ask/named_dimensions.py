"""Take the dimensions that a question names by a preposition, by "which", or by a word such as groups."""

from __future__ import annotations

import re

from engage_spark import english
from engage_spark.insight.ask.reading import Reading
from engage_spark.insight.ask.terms import DimensionTerm, best_dimensions

_BY = re.compile(
    r"\b(?:(?:rank|sort|order|compare|contrast)(?= (?:the |our |all )?[a-z]+s (?:by|in|on|regarding|for)\b)|"
    r"by|across|per|each|every|within|among|over|between|for|which|what|different|in|the|of|all|and) "
)
_STRONG = frozenset(("by", "across", "per", "each", "every", "rank", "sort", "order", "compare", "contrast"))


def take_dimensions(reading: Reading) -> None:
    """Take the dimensions that a preposition, "which" or a word such as groups points to."""
    terms = reading.terms
    at = 0
    for match in reading.matches(_BY):
        start = reading.places(match).stop
        if start < at:
            continue
        before = match[0].strip()
        for end in range(min(start + 4, len(reading.words)), start, -1):
            term = _dimension_at(reading, range(start, end), before, terms.dimensions)
            other = None if term else _dimension_at(reading, range(start, end), before, terms.protected)
            if term is not None and term.name not in reading.dimensions:
                reading.dimensions.append(term.name)
            if other is not None:
                reading.attribute = other.name
            if term is not None or other is not None:
                reading.use(range(start - 1, end))
                at = end
                break


def take_groups(reading: Reading) -> None:
    """Take the dimension that stands before a word such as type or group."""
    dimensions = reading.terms.dimensions
    for end in [i + 1 for i, w in enumerate(reading.words) if w in english.GROUP_WORDS or "_" in w]:
        is_name = "_" in reading.words[end - 1]
        for start in range(end - 1 if is_name else max(0, end - 3), end if is_name else end - 1):
            term = _dimension_at(reading, range(start, end), "", dimensions)
            if term is not None:
                reading.use(range(start, end))
                reading.dimensions += [] if term.name in reading.dimensions else [term.name]
                break


def use_words_of_dimensions(reading: Reading) -> None:
    """Take the other words of a dimension of several words as explained: "what daypart are users active"."""
    terms = {d.name: d for d in reading.terms.dimensions}
    for core in (terms[name].core for name in reading.dimensions if len(terms[name].core) > 2):
        for i, word in enumerate(reading.words):
            reading.used[i] |= english.meaning(word) in core


def _dimension_at(
    reading: Reading, places: range, before: str, dimensions: tuple[DimensionTerm, ...]
) -> DimensionTerm | None:
    """Return the dimension that the words at some places are, where nothing else is among them."""
    words = [reading.words[i] for i in places]
    if any(reading.used[i] for i in places) or not words[-1].replace("_", "")[0].isalpha():
        return None
    by_name = [d for d in dimensions if words == [d.name] and "_" in d.name]
    if by_name and (before or by_name[0].name not in reading.terms.vocabulary.metrics):
        return by_name[0]
    has_group = any(w in english.GROUP_WORDS for w in words)
    own = [
        english.meaning(w)
        for w in words
        if w not in english.GROUP_WORDS and w not in ("the", "of", "customer", "our")
    ]
    own = own or [m for w in words if w in english.GROUP_WORDS and (m := english.meaning(w)) not in w]
    if (
        not own
        or all(w in english.WINDOW_WORDS for w in own)
        or any(w in english.FILLER and w not in ("level", "score") for w in own)
    ):
        return None
    own = [w for w in own if w not in ("level", "score") and w not in reading.terms.entity_words]
    is_quartile = any(w.startswith("quartile") for w in words)
    fitting = [d for d in best_dimensions(own, dimensions) if d.name.endswith("_quartile") == is_quartile]
    if len(fitting) != 1:
        return None
    is_named = frozenset(own) == fitting[0].core - english.STATISTICS
    if before in _STRONG or has_group:
        return fitting[0]
    is_of_several = before in ("among", "between", "over") and is_named and words[-1].endswith("s")
    is_named = is_named or not reading.terms.name_words & frozenset(own)
    is_asked = before in ("which", "what", "different") and is_named
    return fitting[0] if is_asked or is_of_several else None
