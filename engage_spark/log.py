"""Log progress: a line on a terminal, a plain line in a file, or one JSON object per event.

Pipelines call `stage("checking 3 tables")` around long work and `event(…)` for facts; the entry point decides
where they go (`configure`). Everything is written to standard error, so that standard output holds results
only. Nothing here is global state of Spark. Without `configure`, as in a library, nothing is logged.
"""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import structlog
from rich.console import Console
from rich.markup import escape

from engage_spark.masking import mask_texts, one_line, shown

LOGGER = "engage_spark"
_console: list[Console] = []
_subject: ContextVar[str] = ContextVar("subject", default="")


def configure(*, json_lines: bool, level: str, console: Console | None = None) -> None:
    """Send progress to standard error, as JSON lines or as text for people. An entry point calls it once."""
    logging.getLogger(LOGGER).setLevel(level.upper())
    _console[:] = [] if json_lines else [console or Console(stderr=True, highlight=False)]
    processors: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        lambda _, __, entry: mask_texts(entry),
    ]
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
    """A logger that prints through the console, which puts a line above a running spinner."""

    def info(self, line: str) -> None:
        _console[0].print(one_line(line), soft_wrap=True, markup=False, emoji=False)

    debug = warning = error = info


def event(text: str, *, level: str = "info", **facts: Any) -> None:
    """Log one event with its facts (run_id, table, rows, …). Logs nothing before `configure` was called."""
    if structlog.is_configured():
        getattr(structlog.get_logger(LOGGER), level)(text, **facts)


@contextmanager
def subject(name: str) -> Iterator[None]:
    """Name what the stages of a block are about: each is logged as `name: stage`."""
    token = _subject.set(f"{name}: ")
    try:
        yield
    finally:
        _subject.reset(token)


@contextmanager
def stage(name: str, **facts: Any) -> Iterator[None]:
    """Show a spinner while a block runs, and log its seconds when it ends or fails.

    Every JSON line of a stage with a run_id carries it, also those of the stages inside it.
    """
    started, name = time.monotonic(), f"{_subject.get()}{name}"
    console = _console[0] if _console else None
    bound = {"run_id": facts["run_id"]} if "run_id" in facts and console is None else {}
    try:
        if console is not None and console.is_terminal:
            with console.status(escape(shown(f"{name} …"))):
                yield
        else:
            if structlog.is_configured():
                event(f"{name}: started", level="debug", **facts)
            with structlog.contextvars.bound_contextvars(**bound):
                yield
    except BaseException:
        event(f"{name}: failed", level="error", seconds=round(time.monotonic() - started, 1), **facts)
        raise
    event(name, seconds=round(time.monotonic() - started, 1), **facts)


def _for_people(_: Any, method: str, entry: dict[str, Any]) -> str:
    """Format an event as `checking customers  3.2 s  rows=10,000`; warnings and errors carry their level."""
    level = entry.pop("level", method)
    seconds = entry.pop("seconds", None)
    text = str(entry.pop("event"))
    facts = "  ".join(
        f"{k}={v:,}" if isinstance(v, int) and not isinstance(v, bool) else f"{k}={v}"
        for k, v in entry.items()
    )
    # The command prints the error itself at its end.
    mark = "" if level in ("info", "debug") or text.endswith(": failed") else f"{level}: "
    return "  ".join(
        part for part in (f"{mark}{text}", f"{seconds:.1f} s" if seconds is not None else "", facts) if part
    )
