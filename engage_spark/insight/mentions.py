"""Hold the numbers that a text states, each with its unit and how it is qualified. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

from engage_spark.insight.number_words import SCALES


class MentionKind(StrEnum):
    """What a text uses a number as."""

    NUMBER = "number"
    FRACTION = "fraction"
    MULTIPLE = "multiple"
    ORDINAL = "ordinal"
    DATE = "date"
    VAGUE = "vague"
    MARGIN = "margin"
    UNREADABLE = "unreadable"


class Hedge(StrEnum):
    """How a text qualifies a number."""

    EXACT = "exact"
    ABOUT = "about"
    ABOVE = "above"
    AT_LEAST = "at least"
    BELOW = "below"
    AT_MOST = "at most"


class UnitKind(StrEnum):
    """What a text measures a number in; NOUN: a word that follows it."""

    NONE = "none"
    PERCENT = "percent"
    POINTS = "points"
    TIMES = "times"
    MONEY = "money"
    NOUN = "noun"


@dataclass(frozen=True, kw_only=True)
class Mention:
    """A number in a text, at [start, end) of the prepared text.

    `place` is the worth of its last written digit. `unit` is the sign or word of the unit. `year`, `month`
    and `day` are those of a date; None what it leaves out. `is_range_start`: the next mention is its end.
    `ceiling` is what a vague number stays below. `parts` are the two numbers of such as 2 of 5.
    """

    kind: MentionKind
    text: str
    start: int
    end: int
    value: Decimal = Decimal(0)
    place: Decimal = Decimal(1)
    hedge: Hedge = Hedge.EXACT
    unit_kind: UnitKind = UnitKind.NONE
    unit: str = ""
    year: int | None = None
    month: int | None = None
    day: int | None = None
    is_range_start: bool = False
    ceiling: Decimal | None = None
    parts: tuple[Mention, ...] = ()


PART = Decimal("0.01")
"""The worth of the last digit of a fraction."""
_AFTER = re.compile(r"[\s-]{0,3}(?P<word>%|‰|[$€£]|[A-Za-z]+)(?:\s+(?P<next>[A-Za-z]+))?")
_HEDGES = (
    (Hedge.AT_LEAST, r"at least|no less than|no fewer than|not less than|≥|>="),
    (Hedge.AT_MOST, r"at most|no more than|not more than|up to|≤|<="),
    (Hedge.ABOVE, r"more than|greater than|higher than|larger than|over|above|just over|exceeds|exceeding|>"),
    (Hedge.BELOW, r"less than|fewer than|lower than|smaller than|under|below|just under|nearly|almost|<"),
    (Hedge.ABOUT, r"about|around|approximately|approx\.?|roughly|circa|ca\.?|some|close to|~|≈|or so"),
)
_HEDGE = tuple((hedge, re.compile(rf"(?:^|(?<=\W))(?:{p})\s*(?:an?\s+)?$", re.I)) for hedge, p in _HEDGES)


def fraction_mention(text: str, start: int, end: int, value: Decimal) -> Mention:
    """Return a part of one, such as a third, at [start, end) of a text."""
    return Mention(
        kind=MentionKind.FRACTION,
        text=text[start:end],
        start=start,
        end=end,
        value=value,
        place=PART,
        hedge=hedge_before(text, start),
    )


def number_mention(
    text: str,
    start: int,
    end: int,
    value: Decimal,
    place: Decimal,
    *,
    unit_kind: UnitKind = UnitKind.NONE,
    unit: str = "",
) -> Mention:
    """Return a number with the scale and the unit that stand behind it: 1.2 million customers."""
    after = _AFTER.match(text, end)
    if after and after["word"].lower() in SCALES:
        scale = SCALES[after["word"].lower()]
        value, place, end = value * scale, place * scale, after.end("word")
        after = _AFTER.match(text, end)
    if after and unit_kind in (UnitKind.NONE, UnitKind.PERCENT):
        word, following = after["word"].lower(), (after["next"] or "").lower()
        joined = f"{word} {following}".strip()
        if word in ("%", "percent", "pct") or joined == "per cent":
            unit_kind = UnitKind.PERCENT
            end = after.end("word") if joined != "per cent" else after.end("next")
            more = re.match(r"[\s-]+points?\b", text[end:])
            unit_kind, end = (UnitKind.POINTS, end + more.end()) if more else (unit_kind, end)
        elif word in ("point", "points", "pp") or joined.startswith("percentage point"):
            unit_kind, end = UnitKind.POINTS, after.end("word" if word != "percentage" else "next")
        elif word in ("times", "fold", "x"):
            unit_kind, end = UnitKind.TIMES, after.end("word")
        elif word in "$€£":
            unit_kind, unit, end = UnitKind.MONEY, word, after.end("word")
        elif unit_kind is UnitKind.NONE:
            unit_kind, unit = UnitKind.NOUN, word
    return Mention(
        kind=MentionKind.NUMBER,
        text=text[start:end],
        start=start,
        end=end,
        value=value,
        place=place,
        hedge=hedge_before(text, start),
        unit_kind=unit_kind,
        unit=unit,
    )


def unreadable(text: str, start: int, end: int) -> Mention:
    """Return what cannot be read as a number, to the end of its word."""
    reach = re.match(r"\w*", text[end:])
    end += reach.end() if reach else 0
    return Mention(kind=MentionKind.UNREADABLE, text=text[start:end], start=start, end=end)


def hedge_before(text: str, start: int) -> Hedge:
    """Return how a number is qualified by what stands before it."""
    before = text[max(0, start - 24) : start]
    for hedge, pattern in _HEDGE:
        if pattern.search(before):
            return hedge
    return Hedge.EXACT
