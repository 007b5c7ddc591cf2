"""A pytest plugin: a test that hangs says where, and fails, instead of blocking the suite.

A test with its fixtures has the seconds of `timeout` in pyproject.toml, or of its own marker `timeout`. When
they have nearly passed, every JVM below this process prints its threads (into the test's captured output).
When they have passed, pytest-timeout prints the stacks of all Python threads and fails the test by a signal,
which reaches what waits for a socket, a lock or a process. After it the suite stops: what hung may hold the
session. Code that keeps the interpreter to itself sees no signal; there, a fifth of the limit later, the
process prints its stacks and exits. A test that runs for a minute is named, so a log shows what runs.
"""

from __future__ import annotations

import faulthandler
import os
import signal
import threading
import time
from collections.abc import Generator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

GRACE = 0.2
"""How much longer than its limit a test may run, as a share of it, before the process exits."""
NOTE = 60
"""Seconds after which a running test is named, again and again."""


def seconds_of(item: pytest.Item) -> float:
    """The limit of a test, 0 for none: by its marker, the command line, or pyproject.toml."""
    if marker := item.get_closest_marker("timeout"):
        return float(marker.args[0])
    given = item.config.getoption("timeout", None)
    return float((item.config.getini("timeout") if given is None else given) or 0)


def java_descendants(pid: int) -> list[int]:
    """The JVMs below a process; none where there is no /proc."""
    parents: dict[int, int] = {}
    java = set()
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            head, _, tail = path.read_text(encoding="utf-8", errors="replace").rpartition(")")
            child = int(path.parent.name)
            parents[child] = int(tail.split()[1])
            if head.endswith("(java"):
                java.add(child)

    def below(child: int) -> bool:
        while child in parents and child != pid:
            child = parents[child]
        return child == pid

    return sorted(p for p in java if below(p))


class Watchdog:
    """Watches the running test from a thread of its own."""

    def __init__(self) -> None:
        self.stderr = os.dup(2)  # before pytest captures it
        self._test: tuple[str, float, float] | None = None
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="watchdog", daemon=True)
        self._thread.start()

    def _watch(self) -> None:
        seen, notes, asked = None, 0, False
        while not self._ended.wait(0.2):
            test = self._test
            if test is not seen:
                seen, notes, asked = test, 0, False
            if test is None:
                continue
            name, started, limit = test
            elapsed = time.monotonic() - started
            if elapsed >= NOTE * (notes + 1):
                notes += 1
                os.write(self.stderr, f"\n… {name} has been running for {elapsed:.0f} s\n".encode())
            if limit and not asked and elapsed >= limit - min(5, limit / 2):
                asked = True
                for pid in java_descendants(os.getpid()):
                    with suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGQUIT)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, Any, Any]:
        limit = seconds_of(item)
        self._test = (item.nodeid, time.monotonic(), limit)
        if limit:
            faulthandler.dump_traceback_later(limit * (1 + GRACE), file=self.stderr, exit=True)
        try:
            return (yield)
        finally:
            faulthandler.cancel_dump_traceback_later()
            self._test = None

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self, item: pytest.Item, call: Any) -> Generator[None, Any, Any]:
        if call.excinfo is not None and str(call.excinfo.value).startswith("Timeout (>"):
            item.session.shouldstop = f"{item.nodeid} hung, and may hold what later tests need"
        return (yield)

    def pytest_unconfigure(self) -> None:
        self._ended.set()
        self._thread.join(5)
        os.close(self.stderr)


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(Watchdog(), "watchdog of tests")
