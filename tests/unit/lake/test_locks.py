"""Locks of tables, on this machine's disk: who gets one, who waits, who takes over, who learns of it."""

from __future__ import annotations

import json
import multiprocessing
import os
import subprocess
import sys
import threading
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any, cast

import pytest

from engage_spark.errors import TransientError
from engage_spark.lake import Lake, locks
from engage_spark.lake.locks import LOCKS, table_lock
from engage_spark.settings import LakeSettings

TABLE = "customers_judged"


class Files:
    """What a classic session gives for local paths: Hadoop's file system of this machine."""

    client = type("Client", (), {"host": "localhost"})()


@pytest.fixture(autouse=True)
def disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """The session stands for one of Connect whose server is on this machine, so no JVM is needed."""
    monkeypatch.setattr("engage_spark.spark.files.is_connect", lambda _: True)
    monkeypatch.setattr(locks, "BEAT", 0.05)
    monkeypatch.setattr(locks, "POLL", 0.01)


SPARK = cast(Any, Files())


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(LakeSettings(root=str(tmp_path)))


def held(lake: Lake) -> list[str]:
    return sorted(p.name for p in Path(str(lake.settings.root), LOCKS).iterdir())


def leave(lake: Lake, generation: int, **changes: object) -> None:
    """Leave a lock as a process of this machine would that was killed now."""
    folder = Path(str(lake.settings.root), LOCKS)
    folder.mkdir(exist_ok=True)
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    owner = {"id": "x", **locks._machine(), "pid": child.pid, "started": "1", "beat": 3} | changes
    (folder / f"{TABLE}.{generation}").write_text(json.dumps(owner))


def test_a_lock_is_there_while_it_is_held_and_gone_after(lake: Lake) -> None:
    with table_lock(SPARK, lake, TABLE) as lock, table_lock(SPARK, lake, "runs"):
        assert held(lake) == [f"{TABLE}.1", "runs.1"]
        lock.require()
    assert held(lake) == []


def test_a_second_writer_of_a_table_is_refused_while_the_first_lives(lake: Lake) -> None:
    with table_lock(SPARK, lake, TABLE), pytest.raises(TransientError, match=f"is writing {TABLE}") as e:
        with table_lock(SPARK, lake, TABLE):
            pytest.fail("two hold the lock")
    assert str(os.getpid()) in e.value.message
    with table_lock(SPARK, lake, TABLE):
        pass


def test_who_waits_gets_the_lock_when_it_is_free(lake: Lake) -> None:
    order = []

    def first() -> None:
        with table_lock(SPARK, lake, TABLE):
            order.append("first")
            time.sleep(0.4)
            order.append("first ends")

    thread = threading.Thread(target=first)
    thread.start()
    while not order:
        time.sleep(0.01)
    with table_lock(SPARK, lake, TABLE, wait=30):
        order.append("second")
    thread.join()
    assert order == ["first", "first ends", "second"]


def test_the_lock_of_a_process_that_has_ended_is_taken_over_at_once(lake: Lake) -> None:
    leave(lake, 4)
    started = time.monotonic()
    with table_lock(SPARK, lake, TABLE) as lock:
        assert time.monotonic() - started < 5
        assert lock.generation == 5
        assert held(lake) == [f"{TABLE}.5"]
    assert held(lake) == []


@pytest.mark.parametrize("text", ["", "{}", "nonsense", json.dumps({"host": "elsewhere", "pid": 1})])
def test_a_silent_lock_is_taken_over_after_a_while(
    lake: Lake, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    """Of another machine, or half-written by a process that was killed."""
    monkeypatch.setattr(locks, "SILENCE", 0.3)
    folder = Path(str(lake.settings.root), LOCKS)
    folder.mkdir()
    (folder / f"{TABLE}.1").write_text(text)
    started = time.monotonic()
    with table_lock(SPARK, lake, TABLE):
        assert time.monotonic() - started >= 0.3
        assert held(lake) == [f"{TABLE}.2"]


def test_who_was_overtaken_learns_it_before_it_publishes(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locks, "SILENCE", 0.2)
    monkeypatch.setattr(locks, "_beat", lambda *_: time.sleep(0))  # a process that hangs
    monkeypatch.setattr(locks, "_has_ended", lambda _: False)
    with ExitStack() as stack:
        slow = stack.enter_context(table_lock(SPARK, lake, TABLE))
        slow.require()
        time.sleep(0.15)
        other = stack.enter_context(table_lock(SPARK, lake, TABLE))
        other.require()
        with pytest.raises(TransientError, match="took over"):
            slow.require()


def test_who_was_overtaken_leaves_the_lock_of_others_alone(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where the other has ended since, and a third one holds the first generation anew."""
    monkeypatch.setattr(locks, "SILENCE", 0.1)
    monkeypatch.setattr(locks, "BEAT", 60)
    with table_lock(SPARK, lake, TABLE) as slow:
        Path(slow.path).unlink()
        with table_lock(SPARK, lake, TABLE) as third:
            assert third.path == slow.path
            time.sleep(0.1)
            assert not slow.renew()
            assert third.is_held
            with pytest.raises(TransientError, match="took over"):
                slow.require()
            slow.release()
            assert third.is_held
            third.require()


def test_a_lock_that_cannot_be_released_stops_nothing(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object) -> None:
        raise OSError("503")

    with table_lock(SPARK, lake, TABLE):
        monkeypatch.setattr(locks, "delete_file", fails)
    assert held(lake) == [f"{TABLE}.1"]


def test_a_process_of_another_container_is_not_taken_for_dead(lake: Lake) -> None:
    machine = locks._machine()
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    owner = {"pid": child.pid, "started": "1", **machine}
    assert locks._has_ended(json.dumps(owner))
    for other in ("host", "boot", "space"):
        assert not locks._has_ended(json.dumps(owner | {other: "another"}))


def _hold(root: str, results: Any) -> None:
    locks.BEAT, locks.POLL = 0.05, 0.01
    from engage_spark.spark import files

    files.is_connect = lambda _: True  # type: ignore[assignment]
    counter = Path(root) / "counter"
    for _ in range(10):
        with table_lock(SPARK, Lake(LakeSettings(root=root)), TABLE, wait=250):
            n = int(counter.read_text())
            counter.write_text(str(n + 1))
    results.put(True)


def test_several_processes_never_hold_a_lock_together(lake: Lake) -> None:
    """Each adds 1 to a number in a file 10 times; without the lock some would be lost."""
    root = str(lake.settings.root)
    Path(root, "counter").write_text("0")
    context = multiprocessing.get_context("fork")
    results = context.Queue()
    processes = [context.Process(target=_hold, args=(root, results)) for _ in range(3)]
    for p in processes:
        p.start()
    for p in processes:
        p.join(200)
    assert [results.get(timeout=60) for _ in processes] == [True] * 3
    assert Path(root, "counter").read_text() == "30"
