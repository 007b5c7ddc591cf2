"""Read numbers that a text states in words, Roman numerals, or parts such as 2 1/2. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal

from engage_spark.insight.mentions import (
    PART,
    Mention,
    MentionKind,
    UnitKind,
    fraction_mention,
    hedge_before,
    number_mention,
    unreadable,
)
from engage_spark.insight.number_words import (
    DECADES,
    FRACTIONS,
    MULTIPLES,
    ORDINALS,
    SCALE_WORDS,
    SCALES,
    VAGUE,
    WORD_NUMBER,
    number_of_roman,
    number_of_words,
)

LONGEST = 40
"""Characters of a number that can be one."""
_WORD = rf"(?:{WORD_NUMBER}|{'|'.join(SCALE_WORDS)})"
_PEOPLE = r"(?:customers?|people|persons?|users?|members?|clients?|subscribers?|accounts?)"
_OF_PEOPLE = ("scores", "tens", "handful")
"""Vague numbers only before what is counted: a score is a measure, too."""
_VAGUE = "|".join(
    word.replace(" ", r"\s+") + (rf"(?=\s+of\s+{_PEOPLE}\b)" if word in _OF_PEOPLE else "")
    for word in sorted(VAGUE, key=len, reverse=True)
)
_BEFORE_SCORES = re.compile(
    r"(?:^|[^\w\s]|\b(?:lost|los(?:e|es|ing)|ha(?:s|ve|d)|is|are|was|were|be|by|for|with|of|from|to|in|and|or|that|"
    r"there|about|some|over|than|nearly|almost|many|only|we|us|saw|see|gained?|keep|kept|costs?))\s*$",
    re.IGNORECASE,
)
"""What stands before scores of customers that are a number, and not the engagement scores of customers."""
_RANKS = "|".join(sorted((w for w, n in ORDINALS.items() if n > 12), key=len, reverse=True))
_ROMAN = re.compile(
    r"(?<![\w.-])(?:(?P<upper>[IVXLCDM]{2,15})(?![\w-])(?!\.\w)"
    rf"|(?P<any>[ivxlcdm]{{1,15}}|[IVXLCDM])(?=\s*(?:%|‰|per\s?cent\b|pct\b|percentage\b))"
    rf"|(?P<counted>[ivxlcdm]{{2,15}})(?=\s+{_PEOPLE}\b))"
)
"""What may be Roman numerals: capitals anywhere, others before a percent sign or what is counted."""
_PERCENT = re.compile(r"\s*(?:%|‰|per\s?cent\b|pct\b|percentage\b)")
_PEOPLE_BEHIND = re.compile(rf"\s+{_PEOPLE}\b")
_LONG_ROMAN = 4
"""Letters from which on a numeral of any letters is no abbreviation, as ML, CLV and MIX are."""
_SECOND = r"\s+seconds?\s+(?!(?:place|rank|position|row|line|in|of|and|or|to|is|are|was|were)\b)(?=[a-z])"
"""The unit between a number and a noun, as in a thirty second visit, which no thirty-second rank is."""
_WORDS = re.compile(
    rf"\b(?:(?P<score>(?:(?:an?|{WORD_NUMBER})[\s-]+|two|three|four)score(?=\s+(?:of\s+)?{_PEOPLE}\b))"
    rf"|(?P<couple>an?\s+(?:couple|pair)\s+of(?=\s+{_PEOPLE}\b))"
    rf"|(?P<decade>{'|'.join(DECADES)})"
    rf"|(?P<seconds>{_WORD}(?:[\s-]+(?:and\s+)?{_WORD})*(?={_SECOND}))"
    rf"|(?P<rank>{_RANKS})"
    rf"|(?P<fraction>(?:(?:an?|{WORD_NUMBER}|\d+)[\s-]+)?(?:{'|'.join(FRACTIONS)})s?)"
    rf"|(?P<multiple>{'|'.join(MULTIPLES)})"
    rf"|(?P<fold>(?:{_WORD})[\s-]?fold)"
    rf"|(?P<vague>{_VAGUE})"
    rf"|(?P<number>(?:(?:an?\s+)?{_WORD}(?:[\s-]+(?:and\s+)?(?:{_WORD}|point))*))"
    rf"|(?P<ordinal>{'|'.join(sorted(ORDINALS, key=len, reverse=True))}))\b",
    re.IGNORECASE,
)
_BEFORE_SECOND = re.compile(rf"(?:\d|\b{_WORD})\s+$", re.IGNORECASE)
_IS_SECOND = re.compile(_SECOND, re.IGNORECASE)
_MIXED = re.compile(
    rf"(?<![\w./,'])(?P<sign>(?<![%)\0])[-−+±]\s?)?(?P<money>[$€£¥]\s*)?"
    rf"(?:(?P<whole>\d{{1,3}}(?:,\d{{3}}){{1,9}}|\d{{1,{LONGEST}}}|{_WORD}(?:[\s-]+(?:and\s+)?{_WORD}){{0,9}})"
    rf"(?:\s+and\s+|(?:\s{{1,2}}|-)(?=\d{{1,3}}/)))?"
    rf"(?:(?P<n>\d{{1,3}})/(?P<d>[1-9]\d{{0,2}})(?![\w/])"
    rf"|(?P<words>half|(?:an?|{WORD_NUMBER}|\d+)[\s-]+(?:{'|'.join(FRACTIONS)})s?)\b)",
    re.IGNORECASE,
)
"""1/2, 42 1/2, two and a half, half: a part of one with or without whole ones, in digits or words."""
_UNIT_OF_PART = re.compile(
    rf"(?:\s+of)?(?:\s+(?:an?|one))?[\s-]{{0,3}}(?=%|‰|(?:{'|'.join(SCALES)}|percent|pct"
    r"|per\s+cent|percentage\s+points?|points?|pp|times|fold|x)\b)",
    re.IGNORECASE,
)


def may_hold_numbers(text: str) -> bool:
    """Return whether a text has a digit or a word of a number."""
    return any(c.isdigit() for c in text) or any(p.search(text) for p in (_WORDS, _ROMAN))


def worded_mentions(text: str) -> Iterator[Mention]:
    """Yield what is written in words, and fractions of digits such as 1/3 or 3 quarters."""
    for match in _MIXED.finditer(text):
        mention = _of_mixed(text, match)
        if mention is not None:
            yield mention
    for match in _WORDS.finditer(text):
        mention = _of_words(text, match)
        if mention is not None:
            yield mention


def _of_words(text: str, match: re.Match[str]) -> Mention | None:
    start, end, words = match.start(), match.end(), " ".join(match[0].lower().split())
    mention: Mention | None = None
    if match["score"] or match["couple"]:
        count = words.removesuffix("score").removesuffix(" of").strip("- ")
        value = Decimal(2) if match["couple"] else 20 * _count(count.split())
        mention = number_mention(text, start, end, value, Decimal(1))
    elif match["decade"]:
        mention = unreadable(text, start, end)
    elif match["fraction"]:
        mention = _of_fraction(text, start, end, words)
    elif match["multiple"]:
        mention = Mention(
            kind=MentionKind.MULTIPLE,
            text=match[0],
            start=start,
            end=end,
            value=MULTIPLES[words],
            hedge=hedge_before(text, start),
            unit_kind=UnitKind.TIMES,
        )
    elif match["fold"]:
        value = number_of_words(words.removesuffix("fold").strip("- "))
        mention = number_mention(text, start, end, value, Decimal(1), unit_kind=UnitKind.TIMES)
    elif match["vague"]:
        mention = _vague(text, start, end, words)
    elif match["seconds"] and words != "one":
        mention = number_mention(text, start, end, number_of_words(words), Decimal(1))
    elif words == "second" and _BEFORE_SECOND.search(text[:start]) and _IS_SECOND.match(f" {text[start:]}"):
        mention = None  # the unit of the number before it
    elif match["rank"] or match["ordinal"]:
        value = Decimal(ORDINALS[words])
        mention = Mention(kind=MentionKind.ORDINAL, text=match[0], start=start, end=end, value=value)
    elif not re.search(r"[\d.]\s*$", text[:start]) and (words != "one" or _one_is_a_number(text, end)):
        # Not the scale of digits before it, as in 1.2 million.
        value = number_of_words(words)
        place = Decimal(1) if "point" not in words else Decimal(10) ** int(value.as_tuple().exponent)
        mention = number_mention(text, start, end, value, place)
    return mention


def _vague(text: str, start: int, end: int, words: str) -> Mention | None:
    """Return a number such as hundreds, in the unit of what there are so many of."""
    if words == "scores" and not _BEFORE_SCORES.search(text[:start]):
        return None
    floor, ceiling = VAGUE[words]
    of = re.match(r"\s+(?:of\s+)?(?P<unit>[A-Za-z]+)", text[end:])
    return Mention(
        kind=MentionKind.VAGUE,
        text=text[start:end],
        start=start,
        end=end,
        value=floor,
        ceiling=ceiling,
        unit_kind=UnitKind.NOUN if of else UnitKind.NONE,
        unit=of["unit"].lower() if of else "",
    )


def roman_mentions(text: str) -> Iterator[Mention]:
    """Yield what is written in Roman numerals, where these are no abbreviation: before a percent sign, of
    four letters and more, or of I, V and X alone; IV (an instrumental variable) before what is counted.
    """
    for match in _ROMAN.finditer(text):
        value = number_of_roman(match[0])
        is_small = set(match[0].upper()) <= set("IVX")
        is_counted = match[0].upper() != "IV" or _PEOPLE_BEHIND.match(text, match.end())
        is_numeral = bool(_PERCENT.match(text, match.end())) or len(match[0]) >= _LONG_ROMAN
        behind_digits = re.search(r"\d\s*$", text[: match.start()])  # 5 mm, 3 M customers
        if value is not None and not behind_digits and (is_numeral or (is_small and is_counted)):
            yield number_mention(text, match.start(), match.end(), Decimal(value), Decimal(1))


def _of_mixed(text: str, match: re.Match[str]) -> Mention | None:
    """Return a fraction of digits, or one with whole ones, a unit or a sign; None for other words."""
    start, end, whole, words = match.start(), match.end(), match["whole"], match["words"]
    if words:
        *count, name = re.split(r"[\s-]+", words.lower())
        value = _count(count) / FRACTIONS[_singular(name)]
    else:
        value = Decimal(match["n"]) / Decimal(match["d"])
    if whole:
        value += Decimal(whole.replace(",", "")) if whole[0].isdigit() else number_of_words(whole)
    sign, money = (match["sign"] or "").strip(), (match["money"] or "").strip()
    value = -value if sign in ("-", "−") else value
    unit = _UNIT_OF_PART.match(text, end)
    if not (unit or whole or sign or money):
        return None if words else fraction_mention(text, start, end, value)
    kind = UnitKind.MONEY if money else UnitKind.NONE
    mention = number_mention(
        text, start, unit.end() if unit else end, value, PART, unit_kind=kind, unit=money
    )
    return replace(mention, kind=MentionKind.MARGIN) if sign == "±" else mention


def _singular(name: str) -> str:
    return "half" if name == "halves" else name if name in FRACTIONS else name.removesuffix("s")


def _count(words: list[str]) -> Decimal:
    """Return how many of a fraction there are: of a quarter one, of two thirds two."""
    if not words or words[-1] in ("a", "an"):
        return Decimal(1)
    return Decimal(words[-1]) if words[-1].isdigit() else number_of_words(" ".join(words))


def _of_fraction(text: str, start: int, end: int, words: str) -> Mention | None:
    parts = re.split(r"[\s-]+", words)
    name = parts[-1]
    singular = _singular(name)
    if len(parts) == 1 and singular != "half":
        if name in ORDINALS:
            return Mention(
                kind=MentionKind.ORDINAL, text=words, start=start, end=end, value=Decimal(ORDINALS[name])
            )
        return None if singular == "quarter" else unreadable(text, start, end)
    return fraction_mention(text, start, end, _count(parts[:-1]) / FRACTIONS[singular])


def _one_is_a_number(text: str, end: int) -> bool:
    """Return whether "one" counts: before a percent sign, a fraction or "in five", not in "one of them"."""
    return bool(
        re.match(r"\s+(?:percent|per cent|percentage|point|in|out of)\b(?!\s+(?:of|the|an?)\b)", text[end:])
        or re.match(r"\s+(?:customers?|times?|hundred|thousand|million)\b", text[end:])
    )
