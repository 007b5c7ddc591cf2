"""Where the checkout and the contracts of the tests lie, however deep a test's own folder is."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DATA = ROOT / "tests" / "data"
"""Contracts of other businesses."""
