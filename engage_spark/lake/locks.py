"""Let one process at a time write a table of a lake.

A lock is a small file `_locks/<table>.<generation>` below the lake's root: whoever creates the next
generation holds it. The file is made by an exclusive creation (on disk) or a conditional put (on S3), so of
several writers one gets it. Its holder writes it anew every few seconds. Who waits and sees no such sign for
SILENCE seconds, or knows that the holder's process on this machine has ended, creates the next generation;
the former holder learns that at `require`, which a stage calls before its row in `runs`, so what it wrote is
never read.

Delta itself needs this on S3 only, where two drivers could both make the same version. The order of attempts
needs it everywhere.
"""

from __future__ import annotations

import json
import os
import socket
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pyspark.sql import SparkSession

from engage_spark import log
from engage_spark.errors import TransientError
from engage_spark.lake.delta import Lake
from engage_spark.side_effects import announce
from engage_spark.spark.files import create_file, delete_file, names_in, read_small_file, write_small_file

LOCKS = "_locks"
SILENCE = 60.0
"""Seconds without a sign of life after which a lock may be taken over."""
BEAT = 5.0
"""Seconds between two signs of life."""
POLL = 0.2
COMMIT_WAIT = 300.0
"""Seconds to wait for a table that many stages write, each for the time of a commit."""


@dataclass(frozen=True)
class Lock:
    """The hold on one table. `generation` is None where this process sees no files and cannot make a lock."""

    spark: SparkSession
    table: str
    folder: str
    generation: int | None

    def require(self) -> None:
        """Refuse to go on where another process has taken the lock over.

        Cost: one listing.
        Errors: TransientError.
        """
        if self.generation is not None and self.generation != _newest(self.spark, self.folder, self.table):
            raise TransientError(
                f"another process took over {self.table}, because this one had shown no sign of life for "
                f"{SILENCE:g} s",
                hint="nothing of this attempt is read; run the stage again when the other one has ended",
            )


@contextmanager
def table_lock(spark: SparkSession, lake: Lake, table: str, *, wait: float = 0.0) -> Iterator[Lock]:
    """Hold the lock of a table while the block runs.

    `wait` says for how many seconds a living holder is waited for. A dead one is always waited out.
    Cost: on S3 about six small requests, and one every few seconds.
    Errors: TransientError where another process holds it and lives.
    """
    root = lake.settings.root or lake.settings.scratch_root
    folder = f"{str(root).rstrip('/')}/{LOCKS}"
    owner = _owner()
    announce(f"lock {table}")
    generation = _acquire(spark, folder, table, owner, wait=wait)
    if generation is None:
        yield Lock(spark, table, folder, None)
        return
    path = f"{folder}/{table}.{generation}"
    stop = threading.Event()
    beating = threading.Thread(
        target=_beat, args=(spark, path, owner, stop), daemon=True, name=f"lock {table}"
    )
    beating.start()
    try:
        yield Lock(spark, table, folder, generation)
    finally:
        stop.set()
        beating.join()
        delete_file(spark, path)


def _acquire(
    spark: SparkSession, folder: str, table: str, owner: dict[str, Any], *, wait: float
) -> int | None:
    """Create the next generation as soon as it is free; None where no lock can be made."""
    started = silent_since = time.monotonic()
    sign: tuple[int, str | None] | None = None
    while True:
        generation = _newest(spark, folder, table)
        text = read_small_file(spark, f"{folder}/{table}.{generation}") if generation else None
        if generation and text is not None:
            if (generation, text) != sign:
                alive = sign is not None and sign[0] == generation
                sign, silent_since = (generation, text), time.monotonic()
                if alive and time.monotonic() - started >= wait:
                    raise _held(table, text)
            if time.monotonic() - silent_since < SILENCE and not _has_ended(text):
                time.sleep(POLL)
                continue
            log.event(f"taking over {table}: its writer has ended", level="warning")
        created = create_file(spark, f"{folder}/{table}.{generation + 1}", json.dumps(owner | {"beat": 0}))
        if created is None:
            return None
        if created and (not generation or _newest(spark, folder, table) == generation + 1):
            for old in range(1, generation + 1):
                delete_file(spark, f"{folder}/{table}.{old}")
            return generation + 1


def _newest(spark: SparkSession, folder: str, table: str) -> int:
    """Return the newest generation, 0 where nobody holds the lock."""
    names = names_in(spark, folder) or []
    numbers = [n.removeprefix(f"{table}.") for n in names if n.startswith(f"{table}.")]
    return max((int(n) for n in numbers if n.isdigit()), default=0)


def _beat(spark: SparkSession, path: str, owner: dict[str, Any], stop: threading.Event) -> None:
    """Write the lock anew every few seconds. After a sign that cannot be written the next is tried."""
    count = 0
    while not stop.wait(BEAT):
        count += 1
        try:
            write_small_file(spark, path, json.dumps(owner | {"beat": count}))
        except Exception as e:  # noqa: BLE001 (`require` decides before anything is published)
            log.event(f"the lock {path} could not be renewed: {e}", level="warning")


def _owner() -> dict[str, Any]:
    pid = os.getpid()
    return {"id": uuid.uuid4().hex, "host": socket.gethostname(), "pid": pid, "started": _started(pid)}


def _started(pid: int) -> str | None:
    """Return when a process of this machine began, in clock ticks; None where that is unknown."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return None


def _has_ended(text: str) -> bool:
    """Return whether a lock's holder was a process of this machine that has ended."""
    try:
        owner = json.loads(text)
        pid, host, started = int(owner["pid"]), owner["host"], owner["started"]
    except (ValueError, KeyError, TypeError):
        return False
    if host != socket.gethostname():
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except OSError:
        return False
    return started is not None and _started(pid) != started


def _held(table: str, text: str) -> TransientError:
    try:
        owner = json.loads(text)
        who = f"process {owner['pid']} on {owner['host']}"
    except (ValueError, KeyError, TypeError):
        who = "another process"
    return TransientError(
        f"{who} is writing {table}", hint="let it end, then run the stage again: one writer at a time"
    )
