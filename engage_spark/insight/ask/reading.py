"""Hold what a question names: segments, dimensions, windows, numbers, and the words that are left.

Every word must be accounted for: what is neither English without content nor a word of the contract stands in
`unknown`, and the router declines.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date
from functools import cached_property

from engage_spark import english
from engage_spark.insight.ask.intents import PHRASES, Intent
from engage_spark.insight.ask.terms import Terms


@dataclass
class Reading:
    """What a question names. `words` are its tokens, corrected; `used` says which of them are explained.

    `written` has tokens as they were typed. `protected` are the places of whole names of metrics, whose words
    are no turns of phrase.
    `restricting` are words that say which customers are meant, and that nothing is known of. `is_rate`: the
    window is said as a rate, such as per week; `is_past`: as one before the day, such as last week.
    """

    terms: Terms
    text: str = ""
    words: list[str] = field(default_factory=list)
    used: list[bool] = field(default_factory=list)
    corrections: dict[str, str] = field(default_factory=dict)
    written: dict[str, str] = field(default_factory=dict)
    customer: str | None = None
    as_of: date | None = None
    month: str | None = None
    limit: int | None = None
    window: int | None = None
    grain: str | None = None
    segments: list[tuple[str, str]] = field(default_factory=list)
    dimensions: list[str] = field(default_factory=list)
    attribute: str | None = None
    has_two_days: bool = False
    is_rate: bool = False
    is_past: bool = False
    protected: set[int] = field(default_factory=set)
    restricting: set[int] = field(default_factory=set)

    @property
    def joined(self) -> str:
        """The corrected question in plain words."""
        return " ".join(self.words)

    def matches(self, pattern: re.Pattern[str]) -> Iterator[re.Match[str]]:
        """Yield where a pattern stands in the words."""
        yield from pattern.finditer(self.joined)

    def places(self, match: re.Match[str], group: int | str = 0) -> range:
        """Return the places of the words that a match covers."""
        start, end = match.span(group)
        first = self.joined[:start].count(" ") + (1 if self.joined[start : start + 1] == " " else 0)
        return range(first, first + len(self.joined[start:end].split()))

    def use(self, places: range) -> None:
        """Take words as explained."""
        for i in places:
            self.used[i] = True

    def intents(self) -> list[Intent]:
        """Return what the question wants by its turns of phrase, the deciding one first."""
        return [
            intent
            for intent, pattern in PHRASES
            if any(
                (intent is not Intent.COMPARE or not all(self.used[i] for i in self.places(m)))
                and not self.protected.issuperset(self.places(m))
                for m in self.matches(pattern)
            )
        ]

    def use_intent(self, intent: Intent) -> None:
        """Take the turns of phrase of an intent as explained."""
        pattern = dict(PHRASES)[intent]
        for match in self.matches(pattern):
            if not self.protected.issuperset(self.places(match)):
                self.use(self.places(match))

    @property
    def content(self) -> list[tuple[int, str]]:
        """The words that are left to explain, each by its meaning, with its place."""
        return [
            (i, w if i in self.restricting or self.says_which_customers(i) else english.meaning(w))
            for i, w in enumerate(self.words)
            if i in self.restricting
            or (not self.used[i] and (self._has_content(w) or self.says_which_customers(i)))
        ]

    def as_written(self, word: str) -> str:
        """Return a word of the question as it was typed."""
        typed = next((old for old, better in self.corrections.items() if better == word), word)
        return self.written.get(typed, typed)

    @property
    def is_restricted(self) -> bool:
        """Whether a word says which customers are meant, and nothing is known of it."""
        return bool(self.restricting) or any(map(self.says_which_customers, range(len(self.words))))

    def says_which_customers(self, place: int) -> bool:
        """Return whether a word such as best stands before what customers are called."""
        return self.words[place] in english.QUALITIES and self.is_before_customers(place)

    def is_before_customers(self, place: int) -> bool:
        """Return whether what customers are called stands behind a word, or behind a segment after it."""
        for i in range(place + 1, len(self.words)):
            if {self.words[i], english.meaning(self.words[i])} & self.terms.entity_words:
                return True
            if self.words[i] not in self.terms.segment_words:
                return False
        return False

    def _has_content(self, word: str) -> bool:
        if not word[0].isalpha():
            return False
        means = english.meaning(word)
        if {means, word} & (self.terms.entity_words | self.terms.business_words):
            return False
        if (word in self.terms.name_words and word.endswith("ly")) or word in self.terms.vague_values:
            return True
        return word not in english.FILLER and word not in english.WINDOW_WORDS

    @property
    def numbers(self) -> list[float]:
        """The numbers that are left to explain."""
        return [
            float(w.replace(",", "")) for i, w in enumerate(self.words) if w[0].isdigit() and not self.used[i]
        ]

    @property
    def leaves_out(self) -> bool:
        """Whether a word such as without leaves some customers out."""
        return any(w in english.LEAVING_OUT and not u for w, u in zip(self.words, self.used, strict=True))

    @property
    def is_negated(self) -> bool:
        """Whether a word of the question turns it around."""
        after = (*self.words[1:], "")
        values = self.terms.value_words
        return any(
            w in english.NEGATIONS and b not in values and not is_used
            for w, b, is_used in zip(self.words, after, self.used, strict=True)
        )

    @cached_property
    def is_yes_or_no(self) -> bool:
        """Whether the question asks whether something is so."""
        return bool(self.words) and self.words[0] in (
            "is",
            "are",
            "do",
            "does",
            "did",
            "has",
            "have",
            "was",
            "were",
        )
