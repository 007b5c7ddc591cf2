"""Write for people: "1 rule", "3 rules", 0.8123, 3,750; Markdown that holds no HTML."""

from __future__ import annotations

import math
import re


def counted(n: int, noun: str, plural: str = "") -> str:
    """Return a number with its noun: in the plural where it is not 1, by an "s" or as `plural` says."""
    return f"{n:,} {noun if n == 1 else plural or f'{noun}s'}"


def number(x: float, digits: int = 4) -> str:
    """Format a number with so many digits, and thousands apart: 0.8123, 12.34, 1,234."""
    if math.isnan(x) or math.isinf(x):
        return "–" if math.isnan(x) else "∞" if x > 0 else "-∞"
    text = f"{x:.{digits}g}"
    if abs(float(text)) >= 1000:
        return f"{x:,.0f}"
    return "0" if float(text) == 0 else text if "e" not in text else f"{x:.1e}"


_TAG = re.compile(r"<(?=[A-Za-z/!?])")
_CELLS = re.compile(r"(?<!\\)\|")


def without_html(markdown: str) -> str:
    """Return Markdown in which every tag of HTML is text, as names and values of others may hold some.

    In code a tag is text already, and stays as it is where no backtick of its block stands alone.
    """
    blocks = re.split(r"(\n[ \t]*\n)", markdown)
    return "".join(_block_without_html(block) if "<" in block else block for block in blocks)


def _block_without_html(block: str) -> str:
    pieces = [
        cell for line in block.splitlines() for cell in (_CELLS.split(line) if line[:1] == "|" else [line])
    ]
    if "``" in block or "\\`" in block or any(piece.count("`") % 2 for piece in pieces):
        return _TAG.sub("&lt;", block)
    parts = block.split("`")
    return "`".join(part if i % 2 else _TAG.sub("&lt;", part) for i, part in enumerate(parts))
