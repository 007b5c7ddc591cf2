"""Read words as other forms of what a contract names: verbs as its nouns, peoples as its values."""

from __future__ import annotations

import re

from engage_spark.insight.ask.terms import Terms
from engage_spark.insight.ask.value_words import VALUES_OF

_OF_VERBS = ("ion", "ions", "ment", "ments", "ation", "ations")
_NOUNS_OF_VERBS = (
    (
        "visit",
        re.compile(
            r"\bhow (?:often|frequently) (?=(?:do|does|did) (?:[a-z]+ ){1,3}?"
            r"(?:come|show up|turn up|drop by|attend|visit)\b)"
        ),
        "how many visits ",
    ),
    (
        "visit",
        re.compile(
            r"\b(?:comes?|coming|came|turns? up|shows? up|drops? by|attends?) (?:here |in )?"
            r"(?=(?:more|most|less|least|a lot|often|frequently|regularly)\b)"
        ),
        "visits ",
    ),
)
"""Verbs that are another word for a noun, where a contract has it."""


def noun_of(word: str, terms: Terms) -> str | None:
    """Return the word of the contract that a verb is of: posts of posting or posted, connections of
    connect.
    """
    stem = re.sub(r"(?:ing|ed|es|s)$", "", word)
    if len(stem) < 3:
        return None
    stems = (stem, f"{stem}e", stem[:-1] if stem[-1] == stem[-2] else stem)
    nouns = [f"{noun}s" for noun in stems] if stem != word else []
    nouns += [f"{noun}{end}" for noun in stems for end in _OF_VERBS if len(noun) > 4]
    return next((noun for noun in nouns if noun in terms.words), None)


def value_of(word: str, terms: Terms) -> str | None:
    """Return the category of the contract that a word such as city or German is another one for."""
    if word not in VALUES_OF or word in terms.own_words:
        return None
    return next((value for value in VALUES_OF[word] if value in terms.single_values), None)


def with_verbs_as_nouns(text: str, terms: Terms) -> str:
    """Return a text with verbs of frequency as the noun that the contract has for them: visits of coming
    often.
    """
    for noun, pattern, replacement in _NOUNS_OF_VERBS:
        if noun in terms.name_words:
            text = pattern.sub(replacement, text)
    return text
