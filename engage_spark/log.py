"""Progress: what a stage is doing, as a line on a terminal, a plain line in a file, or one JSON object. A
leaf.

Pipelines call `stage("judging 3 tables")` around long work and `say(…)` for facts; where it goes is the entry
point's business (`configure`). Everything is written to standard error, so that standard output holds results
only. Nothing here is global state of Spark, and a library user who configures nothing gets silence.
"""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import structlog
from rich.console import Console

LOGGER = "engage_spark"
_console: list[Console] = []


def configure(*, json_lines: bool, level: str, console: Console | None = None) -> None:
    """Send progress to standard error: JSON lines, or text for people. Called once by an entry point."""
    logging.getLogger(LOGGER).setLevel(level.upper())
    _console[:] = [] if json_lines else [console or Console(stderr=True, highlight=False)]
    processors: list[Any] = [structlog.contextvars.merge_contextvars, structlog.processors.add_log_level]
    if json_lines:
        processors += [
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.JSONRenderer(default=str),
        ]
    else:
        processors += [_for_people]
    structlog.configure(
        processors=processors,
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, level.upper())),
        logger_factory=structlog.PrintLoggerFactory(file=sys.stderr) if json_lines else lambda *_: _Lines(),
        cache_logger_on_first_use=False,
    )


class _Lines:
    """Writes through the console, which puts a line above a running spinner instead of through it."""

    def info(self, line: str) -> None:
        _console[0].print(line, soft_wrap=True, markup=False, emoji=False)

    debug = warning = error = info


def say(event: str, *, level: str = "info", **facts: Any) -> None:
    """One event with its facts (run_id, table, rows, …). Silent until `configure` was called."""
    if structlog.is_configured():
        getattr(structlog.get_logger(LOGGER), level)(event, **facts)


@contextmanager
def stage(name: str, **facts: Any) -> Iterator[None]:
    """Long work: a spinner on a terminal while it lasts, and one line with its seconds when it is done or has
    failed.
    """
    started = time.monotonic()
    console = _console[0] if _console else None
    try:
        if console is not None and console.is_terminal:
            with console.status(f"{name} …"):
                yield
        else:
            if structlog.is_configured():
                say(f"{name}: started", level="debug", **facts)
            yield
    except BaseException:
        say(f"{name}: failed", level="error", seconds=round(time.monotonic() - started, 1), **facts)
        raise
    say(name, seconds=round(time.monotonic() - started, 1), **facts)


def _for_people(_: Any, method: str, event: dict[str, Any]) -> str:
    """`judging customers   3.2 s   rows=10,000`; warnings and errors carry their level."""
    level = event.pop("level", method)
    seconds = event.pop("seconds", None)
    text = str(event.pop("event"))
    facts = "  ".join(
        f"{k}={v:,}" if isinstance(v, int) and not isinstance(v, bool) else f"{k}={v}"
        for k, v in event.items()
    )
    # the error itself is told at the end
    mark = "" if level in ("info", "debug") or text.endswith(": failed") else f"{level}: "
    return "  ".join(
        part for part in (f"{mark}{text}", f"{seconds:.1f} s" if seconds is not None else "", facts) if part
    )
