"""Take closed lists of values from a column, less those that look like misspellings of others. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from engage_spark.quality.profiling.facts import ColumnFacts

FEW_TEXTS, FEW_NUMBERS, TIMES = 50, 5, 10
_RARE, _TIMES_RARER = 2, 500


@dataclass(frozen=True, kw_only=True)
class ClosedList:
    """The values that are allowed, commonest first, with their rows; and those that are left out as
    misspellings, with what they are taken for.
    """

    allowed: Mapping[Any, int]
    misspelt: Mapping[str, str]
    n_misspelt: int = 0


def closed_list_of(c: ColumnFacts) -> ClosedList | None:
    """Return the values of a column where they look like a closed list; None where they do not."""
    if not c.values or c.type == "boolean" or not c.state.filled:
        return None
    if c.counts.get("lost") or c.counts.get("control"):
        return None
    misspelt = misspellings(c.values) if c.is_text else {}
    values = {v: n for v, n in c.values.items() if v not in misspelt}
    if len(values) > (FEW_TEXTS if c.is_text else FEW_NUMBERS) or sum(values.values()) < TIMES * len(values):
        return None
    ranked = sorted(values.items(), key=lambda x: (-x[1], x[0]))
    return ClosedList(
        allowed={v if c.is_text else int(v): n for v, n in ranked},
        misspelt=misspelt,
        n_misspelt=sum(c.values[v] for v in misspelt),
    )


def misspellings(values: Mapping[str, int]) -> dict[str, str]:
    """Return the values of one or two rows that are a slip away from one that is 500 times as common.

    A slip is another case, other blanks or signs, or one letter of a word of at least four that is missing,
    too much, another, or changed places with its neighbour. Digits that differ are no slip.
    """
    common = sorted(values.items(), key=lambda x: (-x[1], x[0]))
    slips = {}
    for value, n in values.items():
        if n > _RARE or not value.strip():
            continue
        meant = next((v for v, m in common if m >= _TIMES_RARER * n and _is_slip(value, v)), None)
        if meant is not None:
            slips[value] = meant
    return slips


def _is_slip(rare: str, common: str) -> bool:
    if rare == common or re.sub(r"[^0-9]", "", rare) != re.sub(r"[^0-9]", "", common):
        return False
    plain, meant = (re.sub(r"[\W_]+", "", text.casefold()) for text in (rare, common))
    if plain == meant:
        return bool(plain)
    words, meant_words = (re.findall(r"[^\W_]+", text.casefold()) for text in (rare, common))
    if len(words) != len(meant_words):
        return False
    other = [(a, b) for a, b in zip(words, meant_words, strict=True) if a != b]
    return len(other) == 1 and all(len(w) >= 4 for w in other[0]) and _one_letter_apart(*other[0])


def _one_letter_apart(a: str, b: str) -> bool:
    """Return whether one letter inserted, left out, replaced or swapped with its neighbour makes a of b."""
    if len(a) > len(b):
        a, b = b, a
    if len(b) - len(a) > 1:
        return False
    at = next((i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), len(a))
    if len(a) < len(b):
        return a[at:] == b[at + 1 :]
    swapped = a[at : at + 2] == b[at : at + 2][::-1] and a[at + 2 :] == b[at + 2 :]
    return a[at + 1 :] == b[at + 1 :] or swapped
