"""Calls side by side: their order, how many run at a time, and what an error stops."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest

from engage_spark.spark import threads
from engage_spark.spark.threads import call_side_by_side

ROWS: Any = SimpleNamespace(sparkSession=None)


@pytest.fixture(autouse=True)
def _no_session(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "inherits_properties", lambda _: lambda call: call)


def test_results_come_in_the_order_of_the_calls_and_two_run_at_a_time() -> None:
    both = threading.Barrier(2, timeout=20)

    def call(number: int) -> int:
        both.wait()  # nobody passes alone
        time.sleep(0.02 * (number % 2))
        return number

    assert call_side_by_side([partial(call, n) for n in range(6)], rows=ROWS, parallelism=2) == [*range(6)]


def test_one_at_a_time_needs_no_thread() -> None:
    here = threading.get_ident()
    calls: list[Callable[[], int]] = [threading.get_ident] * 3
    assert call_side_by_side(calls, rows=ROWS, parallelism=1) == [here] * 3
    assert call_side_by_side([], rows=ROWS, parallelism=2) == []


def test_an_error_stops_what_has_not_started_and_is_raised_once_the_others_have_ended() -> None:
    ended: list[int] = []

    def fails() -> int:
        raise OSError("disk full")

    def lasts(number: int) -> int:
        time.sleep(0.2)
        ended.append(number)
        return number

    calls = [partial(lasts, 0), fails, *(partial(lasts, n) for n in range(2, 40))]
    with pytest.raises(OSError, match="disk full"):
        call_side_by_side(calls, rows=ROWS, parallelism=2)
    assert 0 in ended and len(ended) < 5


def test_of_two_errors_the_first_by_the_order_of_the_calls_is_raised_though_it_ends_later() -> None:
    second_failed = threading.Event()

    def first() -> None:
        assert second_failed.wait(20)
        time.sleep(0.05)
        raise OSError("the first")

    def second() -> None:
        second_failed.set()
        raise ValueError("the second")

    with pytest.raises(OSError, match="the first"):
        call_side_by_side([first, second], rows=ROWS, parallelism=2)


def test_ctrl_c_starts_nothing_more_and_waits_for_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(threads, "wait", interrupted)
    started: list[int] = []
    goes_on = threading.Event()

    def call(number: int) -> None:
        started.append(number)
        goes_on.wait(1)

    with pytest.raises(KeyboardInterrupt):
        call_side_by_side([partial(call, n) for n in range(8)], rows=ROWS, parallelism=2)
    assert len(started) <= 2
    goes_on.set()
    time.sleep(0.05)
    assert len(started) <= 2, "nothing begins later either"
