"""Write numbers, tables and lists in Markdown."""

from __future__ import annotations

import math
from collections.abc import Sequence


def number(x: float) -> str:
    """Format a number with four digits, and thousands apart: 0.8123, 12.34, 1,234."""
    if math.isnan(x) or math.isinf(x):
        return "–" if math.isnan(x) else "∞" if x > 0 else "-∞"
    text = f"{x:.4g}"
    if abs(float(text)) >= 1000:
        return f"{x:,.0f}"
    return "0" if float(text) == 0 else text if "e" not in text else f"{x:.1e}"


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table; nothing without rows."""
    if not rows:
        return ""
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(
        "| " + " | ".join(" ".join(cell.replace("|", "\\|").split()) for cell in line) + " |"
        for line in lines
    )


def bullets(items: Sequence[str]) -> str:
    """Return a Markdown list."""
    return "\n".join(f"- {' '.join(item.split())}" for item in items)
