"""Check text, whatever it says: UTF-8, without control characters, and a key such that nobody takes it for
another.

Who is asked what: a field with allowed values nothing, for they are compared byte by byte, so another case, a
homoglyph or a stray blank is not allowed anyway; neither a reference whose breach quarantines, for it must be
equal to a key. A key must be short, printable, trimmed and in normal form C; that two keys differ in more
than the case of letters is looked at with the duplicates (`keys`). All other text must be free of control
characters, and not blank: a blank where a null was meant would slip past completeness. Where a pattern lets
visible ASCII through and nothing else, it has said all that but the length.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterator
from functools import cache
from typing import TypeVar

from engage_spark.contract import Field
from engage_spark.spark.schema import LOST
from engage_spark.spark.sql_text import quoted_name, sql_literal

# Java's \s knows ASCII only; \p{Z} are all blanks, \p{Cf} what is invisible: zero-width, direction, soft
# hyphen, byte order mark.
BLANK = r"^[\s\p{Z}\p{Cf}]*\z"
OUTER_BLANK = r"^[\s\p{Z}]|[\s\p{Z}]\z"
INVISIBLE = r"[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]"
CONTROL = r"[\p{Cc}&&[^\t\n\r]]"
# The whole value, made of anchors, groups, alternatives, repeats, and letters, digits, signs, alone or in
# classes that are not negated.
_ONLY_PLAIN = re.compile(
    r"\\A\(\?:(?:[$^)|?*+]|\((?!\?)|\(\?:|[\w@#:/-]|\[[\w-]+\]|\{\d+(?:,\d*)?\})*\)\\z", re.ASCII
)

C = TypeVar("C")

LONGEST_KEY = 256
"""Characters. Anything longer is text, not a key; keys come to the driver where they are duplicated."""


def text_checks(f: Field, check: Callable[[str, str, str], C]) -> Iterator[C]:
    """Return the checks of a string field; none of any other.

    `check` makes one of the field's, from kind, description and violation (SQL).

    Null policy: all hold for a null.
    """
    if f.spark_type != "string" or f.allowed:
        return

    column = quoted_name(f.name)
    if f.is_key:
        yield check(
            "short", f"has at most {LONGEST_KEY} characters", f"char_length({column}) > {LONGEST_KEY}"
        )
    if f.pattern is not None and _ONLY_PLAIN.fullmatch(f.pattern):
        return  # whatever matches is made of visible ASCII alone
    yield check(
        "valid_utf8", "is UTF-8, and no character was lost before", f"contains({column}, {sql_literal(LOST)})"
    )
    if f.is_key:
        yield check("printable", "holds no control or invisible characters", _matches(column, INVISIBLE))
        yield check("trimmed", "neither begins nor ends with a blank", _matches(column, OUTER_BLANK))
        yield check("normal_form", "is in Unicode's normal form C", _off_normal_form(column))
    else:
        yield check(
            "no_control",
            "holds no control characters besides tabs and line ends",
            _matches(column, CONTROL),
        )
    if f.pattern is None:
        yield check("not_blank", "is not blank", _matches(column, BLANK))


def _matches(column: str, pattern: str) -> str:
    return f"{column} RLIKE {sql_literal(pattern)}"


def _off_normal_form(column: str) -> str:
    # Most keys are ASCII, in which all forms are one; the long expression is for the others.
    return f"(octet_length({column}) > char_length({column}) AND {_matches(column, _not_normal_form_c())})"


@cache
def _not_normal_form_c() -> str:
    """Build a regular expression that finds what normal form C would write otherwise: characters it
    replaces, and pairs it composes.

    Spark has no normalisation. Found is all that a program writes in normal form D; not found are marks out
    of their canonical order, and a mark that composes across another one. What is in normal form C is never
    found.
    Source: Unicode Standard Annex 15, section 1.2, and the tables of this Python.
    """
    replaced: list[int] = []
    composed: dict[str, list[int]] = {}
    for code in range(0x110000):
        parts = unicodedata.decomposition(chr(code)).split()
        if not parts or parts[0].startswith("<"):
            continue
        if unicodedata.normalize("NFC", chr(code)) != chr(code):
            replaced.append(code)
        else:
            first, mark = (chr(int(p, 16)) for p in parts)
            composed.setdefault(mark, []).append(ord(first))
    # Hangul is composed by rule, not by table: a leading and a vowel jamo, or a syllable without a final
    # consonant and one.
    syllables = _classes(list(range(0xAC00, 0xD7A4, 28)))
    jamo = [r"[\x{1100}-\x{1112}][\x{1161}-\x{1175}]", rf"[{syllables}][\x{{11A8}}-\x{{11C2}}]"]
    pairs = [f"[{_classes(firsts)}]{_escaped(ord(mark))}" for mark, firsts in sorted(composed.items())]
    return "|".join([f"[{_classes(replaced)}]", *pairs, *jamo])


def _classes(codes: list[int]) -> str:
    """Code points as the inside of a character class, neighbours as ranges."""
    spans: list[list[int]] = []
    for code in sorted(codes):
        if spans and code == spans[-1][1] + 1:
            spans[-1][1] = code
        else:
            spans.append([code, code])
    return "".join(_escaped(a) if a == b else f"{_escaped(a)}-{_escaped(b)}" for a, b in spans)


def _escaped(code: int) -> str:
    return rf"\x{{{code:X}}}"
