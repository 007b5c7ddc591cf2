"""Read every number that a text states: digits, words, fractions, multiples, ordinals, dates. Pure.

What holds a digit and cannot be read is a mention, too, of kind UNREADABLE: nothing that looks like a number
passes unseen.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, replace
from decimal import Decimal
from enum import StrEnum

from engage_spark.insight.number_words import (
    DECADES,
    FRACTIONS,
    MONTHS,
    MULTIPLES,
    ORDINALS,
    SCALE_WORDS,
    SCALES,
    VAGUE,
    WORD_NUMBER,
    number_of_roman,
    number_of_words,
)


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


LONGEST = 40
"""Characters of a number that can be one."""
_MONTH = "|".join(sorted(MONTHS, key=len, reverse=True))
_DATES = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        r"(?<![\w.,-])(?P<y>\d{4})-(?P<m>\d{2})-(?P<d>\d{2})(?![\w-])",
        r"(?<![\w.,-])(?P<y>\d{4})-(?P<m>\d{2})(?![\w-])",
        r"(?<![\w.,/])(?P<a>\d{1,2})/(?P<b>\d{1,2})/(?P<y>\d{4})(?![\w/])",
        rf"(?<![\w.,])(?P<d>\d{{1,2}})(?:st|nd|rd|th)?\s+(?:of\s+)?(?P<month>{_MONTH})\b\.?,?(?:\s+(?P<y>\d{{4}}))?(?!\w)",
        rf"\b(?P<month>{_MONTH})\b\.?\s+(?P<d>\d{{1,2}})(?:st|nd|rd|th)?(?!\w)(?:,?\s+(?P<y>\d{{4}})(?!\w))?",
        rf"\b(?P<month>{_MONTH})\b\.?,?\s+(?:of\s+)?(?P<y>\d{{4}})(?!\w)",
        r"\b(?:in|of|since|until|by|during|year)\s+(?P<y>(?:19|20)\d{2})(?![\w,.'%-]*[\d%])(?!\s*(?:%|\w+s\b))",
    )
)
_DIGITS = re.compile(
    r"(?P<sign>[-−+±]\s?)?(?P<money>[$€£¥]\s?)?(?P<body>\d[\d,.'_]*|\.\d+)(?P<exp>[eE][-+]?\d+)?(?P<tail>[A-Za-z%‰°×]+)?"
)
_BODY = re.compile(
    r"(?:0|[1-9]\d*|[1-9]\d{0,2}(?:,\d{3})+|[1-9]\d{0,2}(?:'\d{3})+|[1-9]\d{0,2}(?:_\d{3})+)(?:\.\d+)?|\.\d+"
)
_TAILS = frozenset({"k", "m", "mn", "mio", "b", "bn", "x", "×", "%", "st", "nd", "rd", "th", "pp", "fold"})
_AFTER = re.compile(r"[\s-]{0,3}(?P<word>%|‰|[$€£]|[A-Za-z]+)(?:\s+(?P<next>[A-Za-z]+))?")
_HEDGES = (
    (Hedge.AT_LEAST, r"at least|no less than|no fewer than|not less than|≥|>="),
    (Hedge.AT_MOST, r"at most|no more than|not more than|up to|≤|<="),
    (Hedge.ABOVE, r"more than|greater than|higher than|larger than|over|above|just over|exceeds|exceeding|>"),
    (Hedge.BELOW, r"less than|fewer than|lower than|smaller than|under|below|just under|nearly|almost|<"),
    (Hedge.ABOUT, r"about|around|approximately|approx\.?|roughly|circa|ca\.?|some|close to|~|≈|or so"),
)
_HEDGE = tuple((hedge, re.compile(rf"(?:^|(?<=\W))(?:{p})\s*(?:an?\s+)?$", re.I)) for hedge, p in _HEDGES)
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
"""Roman numerals: capitals wherever they stand, and others before a percent sign or what is counted."""
_NO_ROMAN = frozenset(("CI", "CV", "CD", "DC", "MD", "MI", "MC", "MIX", "XL", "XXL"))
"""Capitals that are abbreviations."""
_WORDS = re.compile(
    rf"\b(?:(?P<score>(?:(?:an?|{WORD_NUMBER})[\s-]+|two|three|four)score(?=\s+(?:of\s+)?{_PEOPLE}\b))"
    rf"|(?P<couple>an?\s+(?:couple|pair)\s+of(?=\s+{_PEOPLE}\b))"
    rf"|(?P<decade>{'|'.join(DECADES)})"
    rf"|(?P<rank>{_RANKS})"
    rf"|(?P<fraction>(?:(?:an?|{WORD_NUMBER}|\d+)[\s-]+)?(?:{'|'.join(FRACTIONS)})s?)"
    rf"|(?P<multiple>{'|'.join(MULTIPLES)})"
    rf"|(?P<fold>(?:{_WORD})[\s-]?fold)"
    rf"|(?P<vague>{_VAGUE})"
    rf"|(?P<number>(?:(?:an?\s+)?{_WORD}(?:[\s-]+(?:and\s+)?(?:{_WORD}|point))*))"
    rf"|(?P<ordinal>{'|'.join(sorted(ORDINALS, key=len, reverse=True))}))\b",
    re.IGNORECASE,
)
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
_PART = Decimal("0.01")
"""The worth of the last digit of a fraction."""
_WHOLES = frozenset(map(Decimal, (*range(2, 11), 12, 20, 100, 1_000)))
"""Numbers that parts are said of, as in two of five: of others, both are numbers of the evidence."""
_OUT_OF = re.compile(r"\s+(?:in|out of|of|of every|in every)\s+$", re.IGNORECASE)
_TO = re.compile(r"\s*(?:[-–—]|to|and|through|until)\s*[$€£]?$", re.IGNORECASE)


def prepared(text: str) -> str:
    """Return a text with one way to write digits, spaces and dashes; other signs of numbers stand apart."""
    text = re.sub(r"(?<=\d)[\u00a0\u2007\u2009\u202f](?=\d{3}(?!\d))", ",", text)
    parts = []
    for before, char, after in zip(f" {text}", text, f"{text[1:]} ", strict=False):
        number = unicodedata.numeric(char, None)
        if char.isdecimal():
            parts.append(str(unicodedata.digit(char)))
        elif _is_part(char) and not (_is_part(before) or after.isnumeric()):
            parts.append(" " + unicodedata.normalize("NFKC", char).replace("\u2044", "/") + " ")
        elif number is not None:
            parts.append(f" №{number:g} ")
        else:
            parts.append(unicodedata.normalize("NFKC", char) if char not in "…" else char)
    plain = "".join(parts)
    return re.sub(r"[\u200b-\u200f\u2060\ufeff]", "", plain).replace("\u2044", "/")


def _is_part(char: str) -> bool:
    """Return whether a sign is a fraction such as ½."""
    return re.fullmatch(r"\d+\u2044\d+", unicodedata.normalize("NFKC", char)) is not None


def may_hold_numbers(text: str) -> bool:
    """Return whether a text has a digit or a word of a number."""
    return any(c.isdigit() for c in text) or any(p.search(text) for p in (_WORDS, _ROMAN))


def mentions_of(text: str) -> tuple[Mention, ...]:
    """Return every number of a text as `prepared` returns it, in order. A masked part is of NUL signs."""
    taken = list[Mention]()
    covered = bytearray(len(text))
    for mention in (*_dates(text), *_words_before_digits(text), *_romans(text)):
        if not any(covered[mention.start : mention.end]):
            covered[mention.start : mention.end] = b"\1" * (mention.end - mention.start)
            taken.append(mention)
    for match in _DIGITS.finditer(text):
        at = match.start("body")
        if not covered[at]:
            taken.append(_of_digits(text, match))
    taken.sort(key=lambda m: m.start)
    return tuple(_joined(text, taken))


def _dates(text: str) -> Iterator[Mention]:
    for pattern in _DATES:
        for match in pattern.finditer(text):
            parts = match.groupdict()
            year = None if parts.get("y") is None else int(parts["y"])
            if parts.get("month") is not None:
                month: int | None = MONTHS[parts["month"].lower()]
            else:
                month = None if parts.get("m") is None else int(parts["m"])
            day = None if parts.get("d") is None else int(parts["d"])
            if "a" in parts:  # 10/21/2025 or 21/10/2025: the part above 12 is the day, else American
                first, second = int(parts["a"]), int(parts["b"])
                month, day = (second, first) if first > 12 else (first, second)
            start = match.start("y") if month is None else match.start()
            yield Mention(
                kind=MentionKind.DATE,
                text=text[start : match.end()],
                start=start,
                end=match.end(),
                year=year,
                month=month,
                day=day,
            )


def _words_before_digits(text: str) -> Iterator[Mention]:
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
        mention = _number(text, start, end, value, Decimal(1))
    elif match["decade"]:
        mention = _unreadable(text, start, end)
    elif match["fraction"]:
        mention = _of_fraction(text, start, end, words)
    elif match["multiple"]:
        mention = Mention(
            kind=MentionKind.MULTIPLE,
            text=match[0],
            start=start,
            end=end,
            value=MULTIPLES[words],
            hedge=_hedge_before(text, start),
            unit_kind=UnitKind.TIMES,
        )
    elif match["fold"]:
        value = number_of_words(words.removesuffix("fold").strip("- "))
        mention = _number(text, start, end, value, Decimal(1), unit_kind=UnitKind.TIMES)
    elif match["vague"]:
        mention = _vague(text, start, end, words)
    elif match["rank"] or match["ordinal"]:
        value = Decimal(ORDINALS[words])
        mention = Mention(kind=MentionKind.ORDINAL, text=match[0], start=start, end=end, value=value)
    elif not re.search(r"[\d.]\s*$", text[:start]) and (words != "one" or _one_is_a_number(text, end)):
        # Not the scale of digits before it, as in 1.2 million.
        value = number_of_words(words)
        place = Decimal(1) if "point" not in words else Decimal(10) ** int(value.as_tuple().exponent)
        mention = _number(text, start, end, value, place)
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


def _romans(text: str) -> Iterator[Mention]:
    for match in _ROMAN.finditer(text):
        value = number_of_roman(match[0])
        is_counted = re.match(rf"\s*(?:%|per\s?cent|{_PEOPLE}\b)", text[match.end() :])
        behind_digits = re.search(r"\d\s*$", text[: match.start()])  # 5 mm, 3 M customers
        if value is not None and not behind_digits and (is_counted or match[0] not in _NO_ROMAN):
            yield _number(text, match.start(), match.end(), Decimal(value), Decimal(1))


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
        return None if words else _fraction(text, start, end, value)
    kind = UnitKind.MONEY if money else UnitKind.NONE
    mention = _number(text, start, unit.end() if unit else end, value, _PART, unit_kind=kind, unit=money)
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
        return None if singular == "quarter" else _unreadable(text, start, end)
    return _fraction(text, start, end, _count(parts[:-1]) / FRACTIONS[singular])


def _fraction(text: str, start: int, end: int, value: Decimal) -> Mention:
    return Mention(
        kind=MentionKind.FRACTION,
        text=text[start:end],
        start=start,
        end=end,
        value=value,
        place=_PART,
        hedge=_hedge_before(text, start),
    )


def _one_is_a_number(text: str, end: int) -> bool:
    """Return whether "one" counts: before a percent sign, a fraction or "in five", not in "one of them"."""
    return bool(
        re.match(r"\s+(?:percent|per cent|percentage|point|in|out of)\b(?!\s+(?:of|the|an?)\b)", text[end:])
        or re.match(r"\s+(?:customers?|times?|hundred|thousand|million)\b", text[end:])
    )


def _of_digits(text: str, match: re.Match[str]) -> Mention:
    start, end = match.start(), match.end()
    before = text[match.start("body") - 1] if match.start("body") else ""
    sign = (match["sign"] or "").strip()
    if sign and match.start() and re.match(r"[\w%)\x00]", text[match.start() - 1]):
        sign, start = "", match.start("money") if match["money"] else match.start("body")  # a dash, no sign
    body = match["body"].rstrip(".,'_")
    tail = (match["tail"] or "").lower()
    if len(body) < len(match["body"]):  # the end of a sentence or of an item of a list
        end, tail = match.start("body") + len(body), ""
    is_glued = bool(re.match(r"[\w№#@]", before)) and not match["money"]
    is_endless = len(body) > LONGEST or len(match["exp"] or "") > 4
    if is_endless or is_glued or not _BODY.fullmatch(body) or (tail and tail not in _TAILS):
        glued = re.split(r"\s", text[max(0, start - LONGEST) : start])[-1] if is_glued else ""
        return _unreadable(text, start - len(glued), match.end())
    number = Decimal(re.sub(r"[,'_]", "", body) + (match["exp"] or ""))
    place = Decimal(10) ** int(number.as_tuple().exponent)
    if sign in ("-", "−"):
        number = -number
    if tail in ("st", "nd", "rd", "th"):
        return Mention(
            kind=MentionKind.ORDINAL, text=text[start:end], start=start, end=end, value=abs(number)
        )
    if tail in SCALES:
        number, place = number * SCALES[tail], place * SCALES[tail]
    unit_kind, unit = UnitKind.NONE, ""
    if tail in ("x", "×", "fold"):
        unit_kind = UnitKind.TIMES
    elif tail == "%":
        unit_kind = UnitKind.PERCENT
    elif tail == "pp":
        unit_kind = UnitKind.POINTS
    if match["money"]:
        unit_kind, unit = UnitKind.MONEY, match["money"].strip()
    mention = _number(text, start, end, number, place, unit_kind=unit_kind, unit=unit)
    return replace(mention, kind=MentionKind.MARGIN) if sign == "±" else mention


def _number(
    text: str,
    start: int,
    end: int,
    value: Decimal,
    place: Decimal,
    *,
    unit_kind: UnitKind = UnitKind.NONE,
    unit: str = "",
) -> Mention:
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
        hedge=_hedge_before(text, start),
        unit_kind=unit_kind,
        unit=unit,
    )


def _unreadable(text: str, start: int, end: int) -> Mention:
    reach = re.match(r"\w*", text[end:])
    end += reach.end() if reach else 0
    return Mention(kind=MentionKind.UNREADABLE, text=text[start:end], start=start, end=end)


def _hedge_before(text: str, start: int) -> Hedge:
    before = text[max(0, start - 24) : start]
    for hedge, pattern in _HEDGE:
        if pattern.search(before):
            return hedge
    return Hedge.EXACT


def _joined(text: str, mentions: list[Mention]) -> Iterator[Mention]:
    """Yield mentions with "one in five" as a fraction, and with the starts of ranges marked."""
    i = 0
    while i < len(mentions):
        this = mentions[i]
        after = mentions[i + 1] if i + 1 < len(mentions) else None
        between = text[this.end : after.start] if after else ""
        numbers = after is not None and {this.kind, after.kind} == {MentionKind.NUMBER}
        is_part = after is not None and numbers and after.value in _WHOLES and 0 < this.value < after.value
        if after is not None and is_part and _OUT_OF.fullmatch(between):
            part = _fraction(text, this.start, after.end, this.value / after.value)
            yield replace(part, place=min(_PART, 1 / after.value), parts=(this, after))
            i += 2
            continue
        if numbers and _TO.fullmatch(between):
            is_and = re.fullmatch(r"\s*and\s*", between, re.IGNORECASE)
            starts = not is_and or re.search(r"\bbetween\s*$", text[: this.start], re.IGNORECASE)
            yield _with_unit_of(this, after, is_range_start=bool(starts))
        else:
            yield this
        i += 1


def _with_unit_of(this: Mention, after: Mention | None, *, is_range_start: bool) -> Mention:
    """Return the start of a range with the unit of its end, where it has none of its own: 10 to 20%."""
    if after is None or not is_range_start:
        return this
    lends = this.unit_kind is UnitKind.NONE or (
        this.unit_kind is UnitKind.NOUN and this.unit in ("to", "and")
    )
    return replace(
        this,
        is_range_start=True,
        unit_kind=after.unit_kind if lends else this.unit_kind,
        unit=after.unit if lends else this.unit,
    )
