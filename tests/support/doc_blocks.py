"""Find the code blocks of README, CONTRIBUTING and docs/, and the reasons of those that are not run.

A block is run by a test, or an HTML comment right below it says why not: `<!-- not run: reason -->`. A block
in `text` right below a Python block is the output that the Python block prints.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.support.paths import ROOT

PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
WHOLE = (ROOT / "docs" / "your_first_contract.md",)
"""Pages whose blocks are steps of one way: `tests/e2e/test_first_contract.py` runs each from start to end."""
FENCE = re.compile(
    r"^(?P<indent> *)```(?P<language>\w*)\n(?P<body>.*?)^(?P=indent)```$", re.MULTILINE | re.DOTALL
)
REASON = re.compile(r"\s*<!-- not run: (?P<reason>[^>]+?) -->")


@dataclass(frozen=True)
class Block:
    """One fenced block of a page."""

    page: Path
    line: int
    language: str
    text: str
    reason: str | None
    """Why it is not run; None where it is."""
    output: str | None
    """What a Python block prints, where the page shows it."""

    @property
    def name(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def blocks(page: Path) -> Iterator[Block]:
    """Yield the blocks of a page in order."""
    text = page.read_text(encoding="utf-8")
    found = list(FENCE.finditer(text))
    for i, match in enumerate(found):
        after = text[match.end() :]
        reason = REASON.match(after)
        following = found[i + 1] if i + 1 < len(found) else None
        adjacent = following is not None and not text[match.end() : following.start()].strip()
        shown = following and adjacent and following["language"] == "text"
        yield Block(
            page=page,
            line=text[: match.start()].count("\n") + 1,
            language=match["language"],
            text=re.sub(rf"^{match['indent']}", "", match["body"], flags=re.MULTILINE),
            reason=reason["reason"] if reason else None,
            output=following["body"] if shown and following else None,
        )


def all_blocks() -> list[Block]:
    """Return the blocks of all pages."""
    return [block for page in PAGES for block in blocks(page)]
