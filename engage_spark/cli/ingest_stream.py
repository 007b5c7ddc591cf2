"""Run `engage-spark ingest --stream`: show each round, and end it by a signal after the batch that runs."""

from __future__ import annotations

import re
import signal
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import FrameType

import typer

from engage_spark.cli import console
from engage_spark.cli.common import SparkJob, show
from engage_spark.errors import EngageError
from engage_spark.pipelines.results import StreamResult

UNITS = {"s": 1.0, "sec": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0}
SIGNALS = (signal.SIGINT, signal.SIGTERM)


def seconds_of(text: str) -> float:
    """Return the seconds of an interval as given on a command line, such as `30s`, `5min` or `1h`."""
    match = re.fullmatch(r"([0-9]{1,6})(s|sec|m|min|h)", text.replace(" ", ""))
    if match is None or int(match[1]) == 0:
        raise typer.BadParameter(f"{text!r} is no interval; write it as 30s, 5min or 1h")
    return int(match[1]) * UNITS[match[2]]


@dataclass
class StopRequest:
    """Whether a signal has asked to end. `exit_code` is then what shells expect: 130 or 143."""

    event: threading.Event = field(default_factory=threading.Event)
    exit_code: int = 0


@contextmanager
def stopped_by_signal() -> Iterator[StopRequest]:
    """Let the first Ctrl-C or SIGTERM inside the block only ask to stop; a second one acts as it did before.

    Outside of the main thread signals are left as they are.
    """
    request = StopRequest()
    if threading.current_thread() is not threading.main_thread():
        yield request
        return
    before = {number: signal.getsignal(number) for number in SIGNALS}

    def ask(number: int, _: FrameType | None) -> None:
        request.exit_code = 128 + number
        request.event.set()
        restore()
        console.stderr("stopping after the batch that runs; once more stops at once")

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    for number in SIGNALS:
        signal.signal(number, ask)
    try:
        yield request
    finally:
        restore()


def ingest_stream(
    ctx: typer.Context, job: SparkJob, *, tables: Sequence[str] | None, every: float | None
) -> None:
    """Take up new files of logs once, or `every` so many seconds until a signal ends it.

    With --json each round of `every` that has something to say is a JSON object on a line.
    """
    from engage_spark.pipelines.ingest.stream import run_ingest_stream

    def show_round(result: StreamResult) -> None:
        if ctx.obj.json:
            console.json_object(result, indent=None)
        else:
            console.show(result)

    with stopped_by_signal() as request:
        try:
            result = run_ingest_stream(
                job.spark,
                job.settings,
                contract=job.contract,
                tables=tables or None,
                every=every,
                stop=request.event,
                on_result=show_round,
            )
        except EngageError as e:
            if request.exit_code and isinstance(e.result, StreamResult):
                show(ctx, e.result)
                console.error(e)
                raise SystemExit(request.exit_code) from None
            raise
    if every is None:
        show(ctx, result)
    if request.exit_code:
        console.stderr("stopped. What was not finished is not published; run the command again.")
        raise SystemExit(request.exit_code)
