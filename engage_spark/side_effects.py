"""Announce each effect that outlives the process, before it happens: a commit, a lock, a picture.

Nothing listens by default. The tests that kill a stage between any two effects install a listener.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

Listener = Callable[[str], None]
_listeners: list[Listener] = []


def announce(effect: str) -> None:
    """Tell the listeners that `effect` is about to happen, such as `commit customers_judged`."""
    for listener in _listeners:
        listener(effect)


@contextmanager
def listening(listener: Listener) -> Iterator[None]:
    """Call `listener` before every effect inside the block; what it raises stops the stage there."""
    _listeners.append(listener)
    try:
        yield
    finally:
        _listeners.remove(listener)
