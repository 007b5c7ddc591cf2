"""Decide what a draft says of one column: its type, how it is read, what is allowed, what few rows hold."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, replace
from fractions import Fraction

from engage_spark.quality.profiling.closed_lists import FEW_NUMBERS, ClosedList, closed_list_of
from engage_spark.quality.profiling.facts import ColumnFacts, TableProfile
from engage_spark.quality.profiling.personal import NEVER_INPUT, is_personal, words
from engage_spark.quality.profiling.readings import (
    AmbiguousDates,
    SuggestedReading,
    reading_of,
    reading_of_classes,
)
from engage_spark.quality.profiling.suggest_pattern import SuggestedPattern, suggest_pattern

WHOLE = ("tinyint", "smallint", "int", "bigint")


@dataclass(frozen=True, kw_only=True)
class ColumnDraft:
    """What is drafted of a column, called `name` in the contract. `missing` are the rows without a value, as
    it is read; `quarantined` those that the draft is known to quarantine for this column alone.
    """

    facts: ColumnFacts
    name: str
    is_key: bool
    is_personal: bool
    listed: ClosedList | None
    reading: SuggestedReading | None
    pattern: SuggestedPattern | None
    ambiguous: AmbiguousDates | None

    @property
    def type(self) -> str:
        return self.facts.type if self.reading is None else self.reading.type

    @property
    def missing(self) -> int:
        return self.facts.state.nulls + (self.reading.missing if self.reading else 0)

    @property
    def blank(self) -> int:
        """Rows whose text is blank, and stays text."""
        return 0 if self.reading else self.facts.counts.get("blank", 0)

    @property
    def quarantined(self) -> int:
        return (self.listed.n_misspelt if self.listed else 0) + (self.reading.unread if self.reading else 0)

    @property
    def role(self) -> str:
        """The role that its values and its name suggest."""
        if self.is_key:
            return "identifier"
        if self.is_personal or words(self.facts.name) & NEVER_INPUT or not self.facts.state.filled:
            return "audit"
        kind = self.type
        counted = kind in (*WHOLE, "float", "double", "boolean") or kind.startswith("decimal")
        return "feature" if counted or (kind == "string" and self.listed is not None) else "audit"


def draft_column(c: ColumnFacts, name: str, profile: TableProfile) -> ColumnDraft:
    """Decide what is drafted of a column of a profile."""
    is_key, personal = c.name in profile.key, is_personal(c)
    read = None if is_key or personal else reading_of(c, name)
    reading = read if isinstance(read, SuggestedReading) else None
    listed = None if is_key or personal or read else closed_list_of(c)
    is_text = c.is_text and not reading and listed is None
    return ColumnDraft(
        facts=c,
        name=name,
        is_key=is_key,
        is_personal=personal,
        listed=listed,
        reading=reading,
        pattern=suggest_pattern(c) if is_text else None,
        ambiguous=read if isinstance(read, AmbiguousDates) else None,
    )


def as_target(draft: ColumnDraft) -> ColumnDraft:
    """Draft a column as one that is predicted: of a text, blanks and words for what is missing are no classes
    but null, and few whole numbers are classes.
    """
    c = draft.facts
    if draft.is_key or draft.is_personal or not c.is_text or not c.values:
        return draft
    if draft.listed and draft.type == "string":
        plain = Counter[str]()
        for value, n in draft.listed.allowed.items():
            plain[value.strip()] += n
        classes = {v: n for v, n in plain.most_common() if v and v.upper() not in c.markers}
        if not classes or list(classes) == list(draft.listed.allowed):
            return draft
        n_missing = sum(plain.values()) - sum(classes.values())
        reading = reading_of_classes(c, draft.name, missing=n_missing)
        return replace(draft, reading=reading, listed=replace(draft.listed, allowed=classes))
    if draft.listed or draft.type not in WHOLE:
        return draft
    numbers = Counter[int]()
    for value, n in c.values.items():
        if re.fullmatch(r"\s*[+-]?[0-9]+\s*", value):
            numbers[int(value)] += n
    if not 0 < len(numbers) <= FEW_NUMBERS:
        return draft
    return replace(draft, listed=ClosedList(allowed=dict(numbers.most_common()), misspelt={}))


def oddities(draft: ColumnDraft) -> list[str]:
    """Say what few rows hold that the draft does not allow, or does not make a rule of."""
    c, texts = draft.facts, []
    if draft.reading and draft.reading.form == "classes":
        texts.append(f"blanks and words for what is missing are null, in {rows(draft.reading.missing)}.")
    elif draft.reading:
        unread, missing = draft.reading.unread, draft.reading.missing
        form = "numbers" if draft.reading.form in ("number", "amount") else draft.reading.form
        texts.append(
            f"text, read as {draft.reading.type} ({form})"
            + (f"; {rows(missing)} without a value" if missing else "")
            + (f"; {rows(unread)} cannot be read: quarantined" if unread else "")
            + "."
        )
    if draft.ambiguous:
        texts.append(f"TODO: dates, by {' or '.join(draft.ambiguous.formats)}? Give it a reading.")
    for rare, common in (draft.listed.misspelt if draft.listed else {}).items():
        texts.append(
            f"{rare!r} in {rows((c.values or {})[rare])} looks like a misspelling of {common!r}, and is not "
            "allowed; add it to validValues if it is a value."
        )
    if draft.pattern is not None and draft.pattern.broken_rows:
        odd = f" ({draft.pattern.odd})" if draft.pattern.odd and not draft.is_personal else ""
        texts.append(f"{rows(draft.pattern.broken_rows)} do not match the pattern{odd}: a warning.")
    return texts


def rows(n: int) -> str:
    """Word a number of rows."""
    return f"{n:,} row{'s' * (n != 1)}"


def percent(n: int, of: int) -> Fraction:
    """Return a share in percent; 0 of nothing."""
    return Fraction(100 * n, of) if of else Fraction(0)
