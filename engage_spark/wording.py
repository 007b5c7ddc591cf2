"""Write numbers for people: "1 rule", "3 rules", 0.8123, 3,750."""

from __future__ import annotations

import math


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
