"""Which pieces of the long tests are left out, by the page of their results."""

from __future__ import annotations

from tests.support.long_tests import PAGE, PIECES, passed

PAGE_TEXT = """
| piece | what it runs |
|---|---|
| `connect` | every Spark test |

| date | commit | piece | result | minutes |
|---|---|---|---|--:|
| 2026-11-26 | abc1234 | connect | passed | 31 |
| 2026-11-26 | abc1234 | marked | failed, exit code 1 | 4 |
| 2026-11-27 | def5678 | properties | passed | 88 |
"""


def test_what_passed_at_this_commit_is_left_out() -> None:
    assert passed(PAGE_TEXT, "abc1234") == {"connect"}
    assert passed(PAGE_TEXT, "def5678") == {"properties"}
    assert passed(PAGE_TEXT, "0000000") == set()


def test_the_page_explains_every_piece() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert [name for name in PIECES if f"| `{name}` |" not in text] == []
