"""Suggest a regular expression for a text column: a form or a few shapes that all, or all but few, have."""

from __future__ import annotations

import re
from dataclasses import dataclass

from engage_spark.quality.profiling.facts import ColumnFacts, TextShape, is_few
from engage_spark.quality.profiling.value_scan import CLASSES, FORMS

_SHAPES = 3
"""The most shapes of one pattern."""


@dataclass(frozen=True, kw_only=True)
class SuggestedPattern:
    """A pattern, in how many rows it does not hold, and the shapes of those (None where they are many)."""

    text: str
    broken_rows: int = 0
    odd: str | None = None


def suggest_pattern(c: ColumnFacts) -> SuggestedPattern | None:
    """Return a pattern that holds in all rows with a text, blanks included, or in all but one percent; None
    where the values have no form in common.
    """
    form = c.form or next((f for f in FORMS if c.has_form(f)), None)
    if form is None:
        return _of_shapes(c)
    return SuggestedPattern(text=_or_blank(FORMS[form], c), broken_rows=(c.off or {}).get(form, 0))


def _of_shapes(c: ColumnFacts) -> SuggestedPattern | None:
    if not c.shapes:
        return None
    rare = [s for s in c.shapes if is_few(s.rows, c.visible)]
    if not is_few(sum(s.rows for s in rare), c.visible):
        rare = []
    common = [s for s in c.shapes if s not in rare]
    if len(common) > _SHAPES or not all(re.search(r"[^Aa]", s.signs) for s in common):
        return None
    return SuggestedPattern(
        text=_or_blank("|".join(map(_of_shape, common)), c),
        broken_rows=sum(s.rows for s in rare),
        odd=", ".join(map(_of_shape, rare)) or None,
    )


def _or_blank(pattern: str, c: ColumnFacts) -> str:
    return rf"(?:{pattern})|\s*" if c.counts.get("blank") else pattern


def _of_shape(shape: TextShape) -> str:
    parts = []
    for sign, (low, high, least, most) in zip(shape.signs, shape.tokens, strict=True):
        if low == high and (sign not in CLASSES or sign != "9"):
            parts.append(re.sub(r"([][\\^$.|?*+(){}/])", r"\\\1", low))
        else:
            parts.append(
                CLASSES[sign]
                + (f"{{{least}}}" if least == most else f"{{{least},{most}}}") * (most > 1 or least != most)
            )
    return "".join(parts)
