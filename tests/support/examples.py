"""How many examples hypothesis draws: fewer in `make test`, many in `make test-long`.

`--hypothesis-profile` chooses; a test says its number for a full run: `@settings(max_examples=examples(60))`.
"""

from __future__ import annotations

from fractions import Fraction

from hypothesis import settings

SHARES = {"default": Fraction(1), "quick": Fraction(1, 3), "full": Fraction(1), "long": Fraction(50)}


def examples(count: int) -> int:
    """That many under the profile `full` and hypothesis' own (`ci` where CI is set); at least 3."""
    return max(3, int(count * SHARES.get(settings.get_current_profile_name(), Fraction(1))))


def register_profiles() -> None:
    """Let pytest know the profiles; a test without a number of its own gets 100 in a full run."""
    for name in ("quick", "full", "long"):
        settings.register_profile(name, max_examples=max(3, int(100 * SHARES[name])), deadline=None)
