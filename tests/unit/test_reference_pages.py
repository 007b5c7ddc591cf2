"""The generated pages of docs/ equal what the code declares."""

from __future__ import annotations

from pathlib import Path

import pytest

from engage_spark.contract import load_contract, render_dictionary
from tests.support.paths import ROOT
from tests.support.reference_pages import DOCS, pages

GENERATED = pages() | {DOCS / "data_dictionary.md": render_dictionary(load_contract())}


@pytest.mark.parametrize("path", GENERATED, ids=lambda p: str(p.relative_to(ROOT)))
def test_the_committed_page_equals_the_generated_one(path: Path) -> None:
    assert path.read_text(encoding="utf-8") == GENERATED[path], "run `make docs`"


def test_the_pages_of_reference_are_all_generated() -> None:
    assert set((DOCS / "reference").rglob("*.md")) <= set(GENERATED)


def test_every_command_stands_on_the_page_of_the_command_line() -> None:
    text = (DOCS / "reference" / "cli.md").read_text(encoding="utf-8")
    for command in ("ingest", "features", "graph", "train", "score", "quality check", "contract lint"):
        assert f"\n## engage-spark {command}\n" in text
