"""Measure how slow this processor is at the moment, for tests that bound the processor time of a call."""

from __future__ import annotations

import time

UNBURDENED = 0.06
"""Seconds of processor time that the work below takes on one of two cores with nothing beside it."""


def slowness() -> float:
    """How many times longer the same work takes now, at least 1: a shared core does less in a second."""
    return max(1.0, min(_work() for _ in range(3)) / UNBURDENED)


def _work() -> float:
    started = time.process_time()
    words: dict[str, int] = {}
    for i in range(120_000):
        word = f"{i:x}"
        words[word] = words.get(word[::-1], 0) + len(word)
    return time.process_time() - started
