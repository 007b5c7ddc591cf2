"""Check a text about answers: every number in it must be in the evidence of the answers.

It reads nothing but the text and the answers, so it serves for sentences of a language model as well as for
the package's own.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from enum import StrEnum
from functools import cached_property
from itertools import pairwise

from engage_spark.insight.evidence import Answer, ColumnRole, Evidence
from engage_spark.insight.failures import BadArgumentError
from engage_spark.insight.mentions import Hedge, Mention, MentionKind, UnitKind
from engage_spark.insight.number_texts import mentions_of, prepared
from engage_spark.insight.word_mentions import may_hold_numbers

SINGLE_CUSTOMERS = "single customers"
"""The filter of answers whose rows are customers."""
SHARE = "share"
"""The unit of fractions of customers, which texts may write as percent."""
_CURRENCIES = {"$": "usd", "€": "eur", "£": "gbp", "¥": "jpy"}
_PERCENT = ("percent", "percentage points")
_MULTIPLES = ("ratio", "times", "lift", "x")
_PROBABILITIES = ("probability", "p", "p value", "p_value")
_FALL = (
    r"f[ae]ll(?:s|en|ing)?|drop(?:s|ped)?|decrease[sd]?|decline[sd]?|down|shrank|shrunk|lost|lower|less|fewer"
)
_RISE = r"r[io]se[sn]?|risen|grew|grown|grows|increase[sd]?|gain(?:s|ed)?|up|climb(?:s|ed)?|higher|more"
_NEGATIVE = re.compile(rf"\b(?:{_FALL}|minus|negative|below|under|loss|worse|reduce[sd]?)\b", re.IGNORECASE)
_FELL_BY = re.compile(rf"\b(?:{_FALL})\s+(?:\w+\s+)?by\s+(?:an?\s+|about\s+)?$", re.IGNORECASE)
_ROSE_BY = re.compile(rf"\b(?:{_RISE})\s+(?:\w+\s+)?by\s+(?:an?\s+|about\s+)?$", re.IGNORECASE)
_MINUS = re.compile(r"\b(?:minus|negative)\s+$", re.IGNORECASE)
_LEVEL = re.compile(
    r"\b95\s?%(?:[\s-]+(?:confidence|credible))?(?:[\s-]+(?:intervals?|CI|level))\b", re.IGNORECASE
)
_DAY_OR_MONTH = re.compile(r"[0-9]{4}-[0-9]{2}(?:-[0-9]{2})?")
_NUMBER = re.compile(r"-?\d{1,40}(?:\.\d{1,40})?")
_OF_DOUBLES = Decimal("1e-11")
"""How far a figure may be from its number, as a share of it: 0.45 - 0.4 is not quite 0.05."""
_CUSTOMERS = ("customers", "customer", "people", "users", "user", "members", "n")


class Complaint(StrEnum):
    """Why a number is rejected."""

    NO_EVIDENCE = "no figure of the evidence rounds to it"
    ANOTHER_UNIT = "the evidence has it in another unit only"
    ANOTHER_SIGN = "the evidence has it with the other sign only"
    TOO_ROUGH = "it keeps fewer than two digits of the figure"
    NOT_AN_INTERVAL = "its ends are not those of one interval"
    NO_DATE = "no day of the evidence is this one"
    NO_RANK = "no table of the answers has so many rows"
    UNREADABLE = "it cannot be read as a number"


@dataclass(frozen=True)
class TextProblem:
    """A number that a text states without evidence: as it stands there, with what surrounds it."""

    text: str
    complaint: Complaint
    context: str

    def __str__(self) -> str:
        return f"{self.text!r}: {self.complaint} (in {self.context!r})"


@dataclass(frozen=True, kw_only=True)
class _Figure:
    """A number of the evidence. `interval` counts the interval whose end it is; `is_count`: it counts
    customers or rows; `is_whole`: it counts something, and is no mean.
    """

    value: Decimal
    unit: str = ""
    interval: int | None = None
    is_count: bool = False
    is_whole: bool = False


def check_text(text: str, answers: Sequence[Answer]) -> tuple[TextProblem, ...]:
    """Return the numbers of a text that the answers' evidence does not hold; none means that all are there.

    A number is accepted when a figure rounds to it: at the digits that are written, of which at least two are
    significant unless the number is exact. "About" allows trailing zeros; "more than", "nearly" and their
    like ask for the right side, by at most a tenth and one unit of the last digit. A share may be written as
    percent, a percent as percent only; money, multiples and words of units need figures of that unit.
    "Twice" and "a third" are the numbers 2.0 and 0.33. Both ends of a range must be those of one interval, or
    both figures. A figure below 0 needs its sign, or a word that says so. A date must be a day of the
    evidence; a rank, a row of a table; and names, filters and notes of the answers that are quoted word for
    word may hold any number. The numbers of a list that counts its lines are no statement. Words such as
    hundreds, scores and dozens need a figure of that order, Roman numerals one of their number. "5 of 13"
    needs both numbers; such as "two of five" and "one in forty" need both as counts, or a figure that rounds
    to the part.
    Errors: BadArgumentError for a text that is none, or answers that are none.
    """
    if not isinstance(text, str):
        raise BadArgumentError("text", f"must be a text, found {type(text).__name__}")
    if not isinstance(answers, Sequence) or not all(isinstance(a, Answer) for a in answers):
        raise BadArgumentError("answers", "must be a list of answers of the tools")
    evidence = [e for answer in answers for e in answer.evidence()]
    masked = _masked(prepared(text), _phrases(answers, evidence))
    mentions = mentions_of(masked)
    judge = _Judge(masked, tuple(_figures(answers, evidence)), _days(answers, evidence), _most_rows(answers))
    return tuple(judge.problems(mentions))


@dataclass(frozen=True)
class _Judge:
    text: str
    figures: tuple[_Figure, ...]
    days: frozenset[date]
    most_rows: int

    def problems(self, mentions: Sequence[Mention]) -> Iterator[TextProblem]:
        for i, mention in enumerate(mentions):
            complaint = self._complaint(mention)
            if complaint is None and mention.is_range_start:
                end = mentions[i + 1]
                if self._complaint(end) is None and not self._is_one_range(mention, end):
                    complaint = Complaint.NOT_AN_INTERVAL
            if complaint is not None:
                around = self.text[max(0, mention.start - 30) : mention.end + 20]
                yield TextProblem(mention.text, complaint, " ".join(around.replace("\0", "·").split()))

    def _complaint(self, mention: Mention) -> Complaint | None:
        if mention.kind in (MentionKind.NUMBER, MentionKind.FRACTION, MentionKind.MULTIPLE):
            is_there = next(self._matching(mention), None) is not None or self._is_year(mention)
            are_there = bool(mention.parts) and all(map(self._is_counted, mention.parts))
            return None if is_there or are_there else self._reason(mention)
        complaint, is_there = Complaint.UNREADABLE, False
        if mention.kind is MentionKind.DATE:
            complaint, is_there = Complaint.NO_DATE, any(map(self._is_day(mention), self.days))
        elif mention.kind is MentionKind.ORDINAL:
            complaint, is_there = Complaint.NO_RANK, mention.value <= max(1, self.most_rows)
        elif mention.kind is MentionKind.VAGUE:
            complaint = Complaint.NO_EVIDENCE
            is_there = any(map(self._is_of_so_many(mention), self.figures))
        elif mention.kind is MentionKind.MARGIN:
            complaint = Complaint.NO_EVIDENCE
            is_there = any(map(self._is_half_width(mention), self._intervals))
        return None if is_there else complaint

    def _is_counted(self, part: Mention) -> bool:
        """Return whether a part of a whole, or the whole, is a count of the evidence: no mean, no end."""
        return any(figure.is_whole for figure in self._matching(part))

    def _is_year(self, mention: Mention) -> bool:
        """Return whether a bare number is the year of a day of the evidence."""
        return mention.text.isdigit() and any(mention.value == day.year for day in self.days)

    def _is_of_so_many(self, mention: Mention) -> Callable[[_Figure], bool]:
        ceiling = mention.ceiling or mention.value

        def fits(figure: _Figure) -> bool:
            return bool(_scales(mention, figure, self._units)) and mention.value <= figure.value < ceiling

        return fits

    def _is_half_width(self, mention: Mention) -> Callable[[tuple[_Figure, _Figure]], bool]:
        def is_half(ends: tuple[_Figure, _Figure]) -> bool:
            half = abs(ends[1].value - ends[0].value) / 2
            scales = _scales(mention, ends[0], self._units)
            is_fine = _digits(mention.value, mention.place) >= 2
            return is_fine and any(_is_near(half * scale, mention.value, mention.place) for scale in scales)

        return is_half

    @cached_property
    def _intervals(self) -> tuple[tuple[_Figure, _Figure], ...]:
        ends = [f for f in self.figures if f.interval is not None]
        return tuple((a, b) for a, b in pairwise(ends) if a.interval == b.interval)

    def _matching(self, mention: Mention) -> Iterator[_Figure]:
        for figure in self.figures:
            if mention.parts and figure.interval is not None:
                continue  # a part of a whole is a figure, and no end of what it may be
            for scale in _scales(mention, figure, self._units):
                if self._sign_fits(mention, figure) and _rounds(mention, figure, scale):
                    yield figure

    def _reason(self, mention: Mention) -> Complaint:
        """Return why nothing matches: the unit, the sign, the digits, or the number itself."""
        for figure in self.figures:
            for scale in _scales(mention, figure, self._units):
                if _rounds(mention, figure, scale):
                    return Complaint.ANOTHER_SIGN
                if _is_near(abs(figure.value) * scale, abs(mention.value), mention.place):
                    return Complaint.TOO_ROUGH
        if mention.hedge is not Hedge.EXACT:
            return Complaint.NO_EVIDENCE
        in_percent = ((f, Decimal(s)) for f in self.figures if f.unit == SHARE for s in (1, 100))
        as_they_are = ((f, Decimal(1)) for f in self.figures if f.unit != SHARE)
        has_another_unit = any(_rounds(mention, f, scale) for f, scale in (*in_percent, *as_they_are))
        return Complaint.ANOTHER_UNIT if has_another_unit else Complaint.NO_EVIDENCE

    @cached_property
    def _units(self) -> frozenset[str]:
        return frozenset(u for f in self.figures for u in _words_of_unit(f.unit))

    def _sign_fits(self, mention: Mention, figure: _Figure) -> bool:
        before = self.text[max(0, mention.start - 40) : mention.start]
        if mention.value < 0 or _MINUS.search(before):
            return figure.value < 0
        if _FELL_BY.search(before) and not figure.is_count and figure.value > 0:
            return False
        if figure.value >= 0:
            return True
        return not _ROSE_BY.search(before) and bool(_NEGATIVE.search(self._sentence(mention)))

    def _sentence(self, mention: Mention) -> str:
        start = max(self.text.rfind(mark, 0, mention.start) for mark in (". ", "; ", "\n", ": ")) + 1
        ends = [i for mark in (". ", "; ", "\n") if (i := self.text.find(mark, mention.end)) >= 0]
        return self.text[max(0, start) : min(ends, default=len(self.text))]

    def _is_one_range(self, first: Mention, second: Mention) -> bool:
        """Return whether two numbers are the ends of one interval, or both figures of their own, in order."""
        starts, ends = list(self._matching(first)), list(self._matching(second))
        if any(a.interval is None for a in starts) and any(b.interval is None for b in ends):
            return True
        lower = {a.interval for a in starts if a.interval is not None}
        return first.value <= second.value and bool(lower & {b.interval for b in ends})

    @staticmethod
    def _is_day(mention: Mention) -> _IsDay:
        return _IsDay(mention)


@dataclass(frozen=True)
class _IsDay:
    mention: Mention

    def __call__(self, day: date) -> bool:
        pairs = ((self.mention.year, day.year), (self.mention.month, day.month), (self.mention.day, day.day))
        return all(part is None or part == of_day for part, of_day in pairs)


def _rounds(mention: Mention, figure: _Figure, scale: Decimal) -> bool:
    """Return whether a figure on a scale rounds to a number as it is written, whatever the signs."""
    value, written = abs(figure.value) * scale, abs(mention.value)
    if mention.kind is MentionKind.MULTIPLE:
        return _is_near(value, written, Decimal("0.1")) and _on_the_side(mention.hedge, value, written)
    if mention.hedge in (Hedge.EXACT, Hedge.ABOUT):
        place = mention.place
        if mention.kind is MentionKind.FRACTION and mention.hedge is Hedge.ABOUT:
            return abs(value - written) <= written / 20
        if mention.hedge is Hedge.ABOUT and written:
            place = _last_digit(written, place)
        return _is_near(value, written, place) and (
            abs(value - written) <= written * _OF_DOUBLES
            or _digits(written, place) >= 2
            or mention.kind is MentionKind.FRACTION
        )
    if mention.hedge is Hedge.BELOW and figure.unit in _PROBABILITIES:
        return value < written
    reach = min(written / 10, _last_digit(written, mention.place, at_least_two=False))
    return abs(value - written) <= reach and _on_the_side(mention.hedge, value, written)


def _on_the_side(hedge: Hedge, value: Decimal, written: Decimal) -> bool:
    sides = {
        Hedge.ABOVE: value > written,
        Hedge.AT_LEAST: value >= written,
        Hedge.BELOW: value < written,
        Hedge.AT_MOST: value <= written,
    }
    return sides.get(hedge, True)


def _is_near(value: Decimal, written: Decimal, place: Decimal) -> bool:
    return abs(value - written) <= place / 2 * Decimal("1.000000001")


def _last_digit(written: Decimal, place: Decimal, *, at_least_two: bool = True) -> Decimal:
    """Return the worth of the last digit that is not a trailing zero, or of the second digit where that is
    less.
    """
    last = Decimal(10) ** int(written.normalize().as_tuple().exponent)
    return max(place, min(last, Decimal(10) ** (written.adjusted() - 1)) if at_least_two else last)


def _digits(written: Decimal, place: Decimal) -> int:
    return len(str(int(written / place))) if written else 1


def _scales(mention: Mention, figure: _Figure, units: frozenset[str]) -> tuple[Decimal, ...]:
    """Return by what a figure's value is multiplied to be the number of a text; none for another unit."""
    own, kind = figure.unit, mention.unit_kind
    fits, scale = True, Decimal(1)
    if kind is UnitKind.PERCENT:
        fits, scale = own in (SHARE, "percent"), Decimal(100 if own == SHARE else 1)
    elif kind is UnitKind.POINTS:
        fits, scale = own in (SHARE, *_PERCENT), Decimal(100 if own == SHARE else 1)
        fits = fits or (mention.unit == "points" and "points" in _words_of_unit(own))
    elif kind is UnitKind.TIMES:
        fits = own in _MULTIPLES or (own == "" and not figure.is_count)
    elif kind is UnitKind.MONEY:
        fits = own.lower() == _CURRENCIES[mention.unit]
    elif mention.kind is MentionKind.FRACTION:
        fits = not figure.is_count and own in (SHARE, "percent", "ratio", "score", "")
        scale = Decimal("0.01") if own == "percent" else scale
    elif kind is UnitKind.NOUN and mention.unit in _CUSTOMERS:
        fits = own in _CUSTOMERS
    elif kind is UnitKind.NOUN and mention.unit in units:
        fits = mention.unit in _words_of_unit(own)
    return (scale,) if fits else ()


def _words_of_unit(unit: str) -> tuple[str, ...]:
    """Return the words that name a unit after a number: its own, and its singular."""
    first = unit.lower().split(" ")[0]
    if not first or first in (SHARE, "score", "ratio", "percent") or first in _CUSTOMERS:
        return ()
    return (first, first.removesuffix("s"))


def _figures(answers: Sequence[Answer], evidence: Iterable[Evidence]) -> Iterator[_Figure]:
    """Yield the numbers of the evidence: values, ends of intervals, customers; arguments, counts of rows."""
    for i, e in enumerate(evidence):
        unit = (e.unit or "").strip()
        if isinstance(e.value, int | float) and math.isfinite(e.value):
            is_count, is_whole = unit.lower() in _CUSTOMERS, isinstance(e.value, int)
            yield _Figure(value=_decimal(e.value), unit=unit, is_count=is_count, is_whole=is_whole)
        for bound in (e.lower, e.upper):
            if bound is not None and math.isfinite(bound):
                yield _Figure(value=_decimal(bound), unit=unit, interval=i)
        if e.n is not None:
            yield _Figure(value=Decimal(e.n), unit="customers", is_count=True, is_whole=True)
    for answer in answers:
        if answer.rows:
            unit = "customers" if answer.filter == SINGLE_CUSTOMERS else "rows"
            yield _Figure(value=Decimal(len(answer.rows)), unit=unit, is_count=True, is_whole=True)
        texts = [i for i, c in enumerate(answer.columns) if c.role is ColumnRole.TEXT]
        for cell in (str(row[i]) for row in answer.rows for i in texts):
            if _NUMBER.fullmatch(cell):
                yield _Figure(value=Decimal(cell))
        for value in answer.arguments.values():
            if isinstance(value, int | float) and not isinstance(value, bool):
                yield _Figure(value=_decimal(value))


def _decimal(value: float) -> Decimal:
    return Decimal(repr(float(value))) if isinstance(value, float) else Decimal(value)


def _days(answers: Sequence[Answer], evidence: Iterable[Evidence]) -> frozenset[date]:
    texts = [str(v) for a in answers for v in (*a.arguments.values(), *_cells(a))]
    texts += [str(e.value) for e in evidence if isinstance(e.value, str)]
    days = {e.as_of for e in evidence}
    for text in texts:
        if _DAY_OR_MONTH.fullmatch(text):
            with suppress(ValueError):  # a name such as 1234-56
                days.add(date.fromisoformat(text if len(text) == 10 else f"{text}-01"))
    return frozenset(days)


def _cells(answer: Answer) -> Iterator[str]:
    for row in answer.rows:
        yield from (cell for cell in row if isinstance(cell, str))


def _most_rows(answers: Sequence[Answer]) -> int:
    return max((max(len(a.rows), len(a.facts)) for a in answers), default=0)


def _phrases(answers: Sequence[Answer], evidence: Iterable[Evidence]) -> frozenset[str]:
    """Return the texts of the answers that hold numbers which are no figures, such as last 7 days."""
    texts, sentences = set[str](), set[str]()
    for answer in answers:
        sentences |= {" ".join(prepared(note).split()) for note in answer.notes}
        texts |= {*_cells(answer), *(c.name for c in answer.columns)}
        texts |= {c.unit for c in answer.columns if c.unit}
        texts |= {str(v) for v in answer.arguments.values() if isinstance(v, str)}
    for e in evidence:
        texts |= {e.label, e.filter, e.unit or "", *([e.value] if isinstance(e.value, str) else [])}
        texts |= {e.table, e.run, f"version {e.version}"}
    parts = {part for text in texts for part in _parts(text)}
    return frozenset(filter(may_hold_numbers, parts | sentences))


def _parts(text: str) -> Iterator[str]:
    """Yield a text, as a name and as words, the sides of a statement such as age is 25 to 35, and what a name
    counts, such as the 30-day of churn_30_day.
    """
    plain = " ".join(prepared(text).split())
    pieces = {plain, *re.split(r"(?:: | is |=| and )", plain)}
    for piece in pieces:
        yield from (piece, piece.replace("_", " "))
    for count, unit in re.findall(r"(?:^|_)(\d+)_([a-z]+?)s?(?=_|$)", text):
        yield from (f"{count} {unit}", f"{count} {unit}s", f"{count}-{unit}")


def _without_enumerators(text: str) -> str:
    """Return a text without the numbers of a list that counts its lines from 1."""
    lines, expected = text.split("\n"), 1
    for i, line in enumerate(lines):
        match = re.match(r"\s*(?:[#*>-]+\s*)?(?P<n>\d{1,2})[.)]\s", line)
        if match is not None and int(match["n"]) in (1, expected):
            expected = int(match["n"]) + 1
            lines[i] = line[: match.start("n")] + "\0" * len(match["n"]) + line[match.end("n") :]
    return "\n".join(lines)


def _masked(text: str, phrases: Iterable[str]) -> str:
    """Return a text with quoted phrases, and the level of intervals, put out of sight."""
    masked = _without_enumerators(text)
    for phrase in sorted(phrases, key=lambda p: (-len(p), p)):
        if not phrase or re.fullmatch(r"[-+$€£]?[\d.,]+%?", phrase):
            continue  # a bare number is a number, wherever it stands
        first, *_ = phrase.casefold().split()
        if first.rstrip(".") not in masked.casefold():
            continue
        words = r"\s+".join(map(re.escape, phrase.rstrip(".").split()))
        pattern = re.compile(rf"(?<![\w.,-])(?<!\d ){words}(?![\w])(?![.,]\d)", re.IGNORECASE)
        masked = pattern.sub(lambda m: "\0" * len(m[0]), masked)
    return _LEVEL.sub(lambda m: "\0" * len(m[0]), masked)
