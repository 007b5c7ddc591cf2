"""The page about bad input says what the tests see, all of it and nothing else."""

from __future__ import annotations

from tests.support.bad_input.document import DOCUMENT, coverage, document, groups


def test_the_committed_page_is_the_generated_one() -> None:
    assert DOCUMENT.read_text(encoding="utf-8") == document(), "run `make docs`"


def test_every_declared_group_is_seen_by_a_test_and_every_test_sees_a_declared_one() -> None:
    assert set(groups()) == set(coverage())


def test_every_case_stands_in_the_page_once_with_its_outcome() -> None:
    rows = [
        line for line in document().splitlines() if line.startswith("| ") and not line.startswith("| case ")
    ]
    cases = [c for g in groups().values() for c in g.cases]
    assert len(rows) == len(cases)
    for row, case in zip(rows, cases, strict=True):
        assert f" | {case.outcome} | " in row
        assert row.replace("\\|", "").count("|") == 5
