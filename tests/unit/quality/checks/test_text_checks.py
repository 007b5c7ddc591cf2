"""The regular expression for normal form C, against Python's own tables, translated into Python's syntax."""

from __future__ import annotations

import re
import unicodedata
from functools import cache

import pytest

from engage_spark.contract import Field, Role, anchored_pattern, load_contract
from engage_spark.quality.checks.text_checks import _not_normal_form_c, text_checks


@cache
def pattern() -> re.Pattern[str]:
    return re.compile(
        re.sub(r"\\x\{([0-9A-F]+)\}", lambda m: f"\\U{int(m[1], 16):08X}", _not_normal_form_c())
    )


def found(text: str) -> bool:
    return pattern().search(text) is not None


def characters() -> list[str]:
    return [chr(c) for c in range(0x110000) if not 0xD800 <= c < 0xE000]


def test_a_single_character_is_found_exactly_where_normal_form_c_writes_another() -> None:
    wrong = [c for c in characters() if found(c) != (not unicodedata.is_normalized("NFC", c))]
    assert wrong == []


def test_whatever_normal_form_d_takes_apart_is_found() -> None:
    apart = [
        d
        for c in characters()
        if (d := unicodedata.normalize("NFD", c)) != c and not unicodedata.is_normalized("NFC", d)
    ]
    assert len(apart) > 12_000
    assert [a for a in apart if not found(a)] == []


def test_a_letter_and_a_mark_are_found_only_where_they_compose() -> None:
    letters = [c for c in characters() if unicodedata.category(c)[0] == "L" and ord(c) < 0x2000]
    pairs = [(f, f + chr(m)) for f in letters for m in range(0x300, 0x370)]
    assert [p for _, p in pairs if found(p) and unicodedata.is_normalized("NFC", p)] == []
    plain = [p for f, p in pairs if not unicodedata.decomposition(f)]
    assert [p for p in plain if found(p) != (not unicodedata.is_normalized("NFC", p))] == []


def string(**more: object) -> Field:
    return Field(
        name="f", logical_type="string", spark_type="string", description="", role=Role.FEATURE, **more
    )  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("field", "kinds"),
    [
        (string(), ["valid_utf8", "no_control", "not_blank"]),
        (string(pattern=r"\A(?:.+)\z"), ["valid_utf8", "no_control"]),
        (string(pattern=r"\A(?:[A-Z]{2}-\d+)\z"), ["valid_utf8", "no_control"]),
        (string(pattern=r"\A(?:[A-Z]{2}-[0-9]+)\z"), []),
        (string(allowed=("a", "b")), []),
        (
            string(key_position=1, required=True),
            ["short", "valid_utf8", "printable", "trimmed", "normal_form", "not_blank"],
        ),
        (
            string(key_position=1, required=True, pattern="[^ ]+"),
            ["short", "valid_utf8", "printable", "trimmed", "normal_form"],
        ),
        (load_contract().entity["customer_id"], ["short"]),
        (Field(name="n", logical_type="integer", spark_type="int", description="", role=Role.FEATURE), []),
    ],
)
def test_what_is_asked_of_a_field_depends_on_what_it_is(field: Field, kinds: list[str]) -> None:
    assert list(text_checks(field, lambda kind, _, __: kind)) == kinds


LAX = [
    "[^x]+",
    ".*",
    r"\w+",
    r"\p{L}+",
    "[a-zé]+",
    "é",
    "[ -~]+",
    "a b",
    r"\x00",
    "[a-z&&[^b]]+",
    "(?i)k",
    "a(?iu)k",
    r"\u00e9",
    "a\nb",
    r"\s",
]


@pytest.mark.parametrize("pattern", [*(anchored_pattern(p) for p in LAX), "[a-z]+"])
def test_a_pattern_that_lets_more_than_visible_ascii_through_spares_no_check(pattern: str) -> None:
    assert "valid_utf8" in list(text_checks(string(pattern=pattern), lambda kind, _, __: kind))
