"""The Python blocks of README, CONTRIBUTING and docs/ run, and print what the pages show."""

from __future__ import annotations

import contextlib
import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from _pytest.mark import ParameterSet

from tests.support.doc_blocks import PAGES, WHOLE, blocks
from tests.support.paths import ROOT

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


def python_of(page: Path) -> list[Any]:
    return [b for b in blocks(page) if b.language == "python" and b.reason is None]


def case(page: Path) -> ParameterSet:
    return pytest.param(
        page,
        id=str(page.relative_to(ROOT)),
        marks=[pytest.mark.connect] if page.name == "README.md" else [],
    )


@pytest.mark.parametrize("page", [case(p) for p in PAGES if p not in WHOLE and python_of(p)])
def test_python_blocks_of_a_page_run_in_order(
    page: Path, spark: SparkSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("COLUMNS", "80")
    names: dict[str, Any] = {"spark": spark}
    for block in python_of(page):
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(compile(block.text, block.name, "exec"), names)
        if block.output is not None:
            lines = [line.rstrip() for line in printed.getvalue().rstrip().splitlines()]
            assert lines == block.output.rstrip().splitlines(), block.name
