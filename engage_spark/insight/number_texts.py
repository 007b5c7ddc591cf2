"""Read every number that a text states: digits, words, fractions, multiples, ordinals, dates. Pure.

What holds a digit and cannot be read is a mention, too, of kind UNREADABLE: nothing that looks like a number
passes unseen.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal

from engage_spark.insight.mentions import (
    PART,
    Mention,
    MentionKind,
    UnitKind,
    fraction_mention,
    number_mention,
    unreadable,
)
from engage_spark.insight.number_words import MONTHS, SCALES
from engage_spark.insight.word_mentions import LONGEST, roman_mentions, worded_mentions

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
_WHOLES = frozenset(map(Decimal, (*range(2, 11), 12, 20, 100, 1_000)))
"""Numbers that parts are said of, as in two of five: of others, both are numbers of the evidence."""
_MOST_PARTS = 1_000
"""One in so many is a part, too."""
_TIMES = frozenset(
    f"{unit}{end}" for unit in ("day", "week", "month", "year", "hour", "minute") for end in ("", "s")
)
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


def mentions_of(text: str) -> tuple[Mention, ...]:
    """Return every number of a text as `prepared` returns it, in order. A masked part is of NUL signs."""
    taken = list[Mention]()
    covered = bytearray(len(text))
    for mention in (*_dates(text), *worded_mentions(text), *roman_mentions(text)):
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
        return unreadable(text, start - len(glued), match.end())
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
    mention = number_mention(text, start, end, number, place, unit_kind=unit_kind, unit=unit)
    return replace(mention, kind=MentionKind.MARGIN) if sign == "±" else mention


def _joined(text: str, mentions: list[Mention]) -> Iterator[Mention]:
    """Yield mentions with "one in five" as a fraction, and with the starts of ranges marked."""
    i = 0
    while i < len(mentions):
        this = mentions[i]
        after = mentions[i + 1] if i + 1 < len(mentions) else None
        between = text[this.end : after.start] if after else ""
        numbers = after is not None and {this.kind, after.kind} == {MentionKind.NUMBER}
        if after is not None and numbers and _is_part_of(this, after) and _OUT_OF.fullmatch(between):
            part = fraction_mention(text, this.start, after.end, this.value / after.value)
            place = 1 / after.value ** (2 if this.value == 1 else 1)
            yield replace(part, place=min(PART, place), parts=(this, after))
            i += 2
            continue
        if numbers and _TO.fullmatch(between):
            is_and = re.fullmatch(r"\s*and\s*", between, re.IGNORECASE)
            starts = not is_and or re.search(r"\bbetween\s*$", text[: this.start], re.IGNORECASE)
            yield _with_unit_of(this, after, is_range_start=bool(starts))
        else:
            yield this
        i += 1


def _is_part_of(this: Mention, whole: Mention) -> bool:
    """Return whether two numbers can be a part of a whole: two of five, one in twenty-five."""
    if whole.value in _WHOLES:
        return 0 < this.value < whole.value
    is_whole = whole.value == int(whole.value) and 1 < whole.value <= _MOST_PARTS
    return this.value == 1 and is_whole and whole.unit not in _TIMES


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
