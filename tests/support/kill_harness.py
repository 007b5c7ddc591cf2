"""Kill a stage before each of its effects once, run it again, and compare the lake with an undisturbed one.

An effect is what outlives the process: a commit, a lock, a call of MLflow, a picture. Stages announce each
(`engage_spark.side_effects`). Inside one session a kill is an exception that nothing catches; a process of
its own is killed for good (`tests/support/killed_command.py`), which costs the start of a JVM each time.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from engage_spark.side_effects import listening
from tests.support.delta_files import digests

Stage = Callable[[Path], object]
"""Runs a stage, or several, on the lake of a home folder."""


class Killed(BaseException):
    """Stands for SIGKILL: no `except Exception` and no handler of ours catches it."""


def effects_of(action: Callable[[], object]) -> list[str]:
    """Run something undisturbed, and return the effects that it announced, in order."""
    effects: list[str] = []
    with listening(effects.append):
        action()
    return effects


def killed_before(number: int, action: Callable[[], object]) -> str | None:
    """Run something and kill it before its `number`-th effect; return that, None where it has not so many.

    Who is dead does nothing more: what the code does on its way out has no effect either.
    """
    effects: list[str] = []

    def count(effect: str) -> None:
        effects.append(effect)
        if len(effects) >= number:
            raise Killed(effect)

    with listening(count):
        try:
            action()
        except Killed:
            return effects[number - 1]
    return None


def killed_at(effect: str, action: Callable[[], object]) -> bool:
    """Run something and kill it at the first effect of this name; return whether there was one."""

    is_dead = False

    def kill(announced: str) -> None:
        nonlocal is_dead
        is_dead |= announced == effect
        if is_dead:
            raise Killed(effect)

    with listening(kill):
        try:
            action()
        except Killed:
            return True
    return False


class Difference(NamedTuple):
    """A kill after which a table was another one than without it."""

    effect: str
    number: int
    tables: tuple[str, ...]


@dataclass
class KillReport:
    """What came of the kills of one scenario."""

    effects: list[str] = field(default_factory=list)
    differences: list[Difference] = field(default_factory=list)
    kills: int = 0


def kill_everywhere(
    base: Path,
    workspace: Path,
    *,
    killed: Stage,
    then: Stage,
    view: Callable[[Path], dict[str, str]] = lambda home: digests(home / "lake"),
    chosen: Callable[[list[str]], Sequence[int]] = lambda effects: range(len(effects)),
) -> KillReport:
    """Kill `killed` before each of its effects, each time on a fresh copy of `base`; then run `then`, which
    mends it. What `view` shows must be what `then` alone makes.

    `chosen` gives the places of the effects that are enough, counted from 0.
    """
    report = KillReport()
    undisturbed = _copy(base, workspace / "undisturbed")
    report.effects = effects_of(lambda: then(undisturbed))
    expected = view(undisturbed)
    if then is not killed:
        counted = _copy(base, workspace / "counted")
        report.effects = effects_of(lambda: killed(counted))
        shutil.rmtree(counted)
    for number in (place + 1 for place in chosen(report.effects)):
        report.kills += 1
        home = _copy(base, workspace / f"killed-{number}")
        effect = killed_before(number, lambda home=home: killed(home))  # type: ignore[misc]
        assert effect is not None, f"there is no effect {number} among {report.effects}"
        then(home)
        seen = view(home)
        if seen != expected:
            names = tuple(sorted(n for n in seen.keys() | expected.keys() if seen.get(n) != expected.get(n)))
            report.differences.append(Difference(effect, number, names))
        else:
            shutil.rmtree(home)
    print(f"{report.kills} kills, {len(report.differences)} differences; effects: {report.effects}")
    return report


def _copy(base: Path, home: Path) -> Path:
    shutil.copytree(base, home)
    return home
