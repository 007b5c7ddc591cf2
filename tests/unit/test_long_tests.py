"""Which pieces of the long tests are left out, by the page of their results."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.long_tests import PAGE, PIECES, outcome, passed
from tests.support.paths import ROOT

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


def draws(node: ast.FunctionDef) -> bool:
    """Whether a test draws examples in a function of its own, where hypothesis does not mark it."""
    inner = [n for n in ast.walk(node) if isinstance(n, ast.FunctionDef) and n is not node]
    return any("examples(" in ast.unparse(d) for n in inner for d in n.decorator_list)


def unmarked() -> Iterator[str]:
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.FunctionDef) and draws(node):
                marks = {ast.unparse(d) for d in node.decorator_list}
                if "pytest.mark.hypothesis" not in marks:
                    yield f"{path.name}: {node.name}"


def test_the_piece_of_properties_reaches_every_test_that_draws() -> None:
    assert PIECES["properties"][1:3] == ["-m", "hypothesis"]
    assert list(unmarked()) == []


@pytest.mark.parametrize(
    ("code", "tests", "skipped", "line"),
    [
        (0, 5, 2, "passed, 3 of 5 tests ran"),
        (0, 5, 5, "failed, none of 5 tests ran"),
        (1, 5, 0, "failed, exit code 1"),
    ],
)
def test_a_piece_whose_tests_are_all_skipped_has_not_passed(
    tmp_path: Path, code: int, tests: int, skipped: int, line: str
) -> None:
    report = tmp_path / "report.xml"
    report.write_text(f'<testsuites><testsuite tests="{tests}" skipped="{skipped}"/></testsuites>')
    assert outcome(code, report) == line
