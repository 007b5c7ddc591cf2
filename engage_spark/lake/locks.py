"""Let one process at a time write a table of a lake.

A lock is a small file `_locks/<table>.<generation>` below the lake's root: whoever creates the next
generation holds it. The file is made by an exclusive creation (on disk) or a conditional put (on S3), so of
several writers one gets it. Spark 3.5 and 4.0 have no such put: there a lock on S3 keeps out who comes later,
not who comes in the same moment. Its holder writes it anew every few seconds, and leaves it alone once it is
another's. Who waits and sees no such sign for
SILENCE seconds, or knows that the holder's process on this machine has ended, creates the next generation;
the former holder learns that at `require`, which a stage calls before each commit, so what it wrote is
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
from collections.abc import Iterator, Mapping
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
    """The hold on one table. `generation` is None where this process sees no files and cannot make a lock.

    `signs` holds the times of the last sign of life, by the clock that only runs forward and by the calendar.
    """

    spark: SparkSession
    table: str
    folder: str
    owner: Mapping[str, Any]
    generation: int | None
    signs: list[tuple[float, float]]

    @property
    def path(self) -> str:
        """The file that says who holds the table."""
        return f"{self.folder}/{self.table}.{self.generation}"

    @property
    def is_held(self) -> bool:
        """Whether the newest generation is this one, and its file this holder's."""
        newest = max(_generations(self.spark, self.folder, self.table), default=0)
        return newest == self.generation and _is_of(read_small_file(self.spark, self.path), self.owner)

    @property
    def is_fresh(self) -> bool:
        """Whether the last sign of life is recent: nobody takes over a lock that shows such signs."""
        clock, calendar = self.signs[-1]
        return max(time.monotonic() - clock, time.time() - calendar) <= SILENCE / 2

    def require(self) -> None:
        """Refuse to go on where another process has taken the lock over.

        Cost: none while signs of life are recent, since nobody takes over a lock that shows them; else a
        listing and a small file.
        Errors: TransientError.
        """
        if self.generation is None:
            return
        if not self.is_fresh and not self.is_held:
            raise TransientError(
                f"another process took over {self.table}, because this one had shown no sign of life for "
                f"{SILENCE:g} s",
                hint="nothing of this attempt is read; run the stage again when the other one has ended",
            )

    def renew(self) -> bool:
        """Show a sign of life; return whether the lock is still this holder's. Cost: one small file."""
        if not self.is_fresh and not self.is_held:
            return False
        signs = dict(self.owner) | {"beat": len(self.signs)}
        write_small_file(self.spark, self.path, json.dumps(signs))
        self.signs.append((time.monotonic(), time.time()))
        return True

    def release(self) -> None:
        """Free the table, if it is still this holder's. One that cannot be freed is free after a while."""
        try:
            if self.is_fresh or _is_of(read_small_file(self.spark, self.path), self.owner):
                delete_file(self.spark, self.path)
        except Exception as e:  # noqa: BLE001 (the work is done and published; silence frees the lock)
            log.event(f"the lock {self.path} could not be released: {e}", level="warning")


@contextmanager
def table_lock(spark: SparkSession, lake: Lake, table: str, *, wait: float = 0.0) -> Iterator[Lock]:
    """Hold the lock of a table while the block runs.

    `wait` says for how many seconds a living holder is waited for. A dead one is always waited out.
    Cost: on S3 four small requests (six on Spark 3.5 and 4.0), and one every few seconds.
    Errors: TransientError where another process holds it and lives.
    """
    root = lake.settings.root or lake.settings.scratch_root
    folder, name = f"{str(root).rstrip('/')}/{LOCKS}", _file_name(lake, table)
    owner = _owner()
    announce(f"lock {table}")
    generation = _acquire(spark, folder, name, owner, wait=wait)
    signs = [(time.monotonic(), time.time())]
    lock = Lock(spark, name, folder, owner, generation, signs)
    if generation is None:
        log.event(f"{table} is written without a lock, since {folder} is out of reach", level="warning")
        yield lock
        return
    stop = threading.Event()
    beating = threading.Thread(target=_beat, args=(lock, stop), daemon=True, name=f"lock {table}")
    beating.start()
    try:
        yield lock
    finally:
        stop.set()
        beating.join()
        lock.release()


def _file_name(lake: Lake, table: str) -> str:
    """Return the name of a table's locks: several catalogs may share a folder."""
    where = (lake.settings.catalog, lake.settings.schema_name) if lake.settings.catalog else ()
    return ".".join(str(part) for part in (*where, table))


def _acquire(
    spark: SparkSession, folder: str, table: str, owner: dict[str, Any], *, wait: float
) -> int | None:
    """Create the next generation as soon as it is free; None where no lock can be made.

    The first one is tried without a look, since a table is seldom locked.
    """
    started = silent_since = time.monotonic()
    sign: tuple[int, str | None] | None = None
    known: set[int] | None = None
    while True:
        known = set() if known is None else _generations(spark, folder, table)
        generation = max(known, default=0)
        text = read_small_file(spark, f"{folder}/{table}.{generation}") if generation else None
        if generation:
            if text is None:  # released between the two looks
                continue
            if (generation, text) != sign:
                alive = sign is not None and sign[0] == generation
                sign, silent_since = (generation, text), time.monotonic()
                if alive and time.monotonic() - started >= wait:
                    raise _held(table, text)
            if time.monotonic() - silent_since < SILENCE and not _has_ended(text):
                time.sleep(POLL)
                continue
            log.event(f"taking over {table}: its writer has ended", level="warning")
        path = f"{folder}/{table}.{generation + 1}"
        created = create_file(spark, path, json.dumps(owner | {"beat": 0}))
        if created is None:
            return None
        # A store may have lost its answer after it made the file, and say of the second try that it is there.
        if not created and not _is_of(read_small_file(spark, path), owner):
            continue
        # Of two that made different generations at once, the one that looks last sees the other's.
        unchanged = not generation or read_small_file(spark, f"{folder}/{table}.{generation}") in (text, None)
        if unchanged and _generations(spark, folder, table) <= known | {generation + 1}:
            for old in known:
                delete_file(spark, f"{folder}/{table}.{old}")
            return generation + 1
        delete_file(spark, path)


def _generations(spark: SparkSession, folder: str, table: str) -> set[int]:
    """Return the generations that are there; the newest holds the lock."""
    names = names_in(spark, folder) or []
    numbers = [n.removeprefix(f"{table}.") for n in names if n.startswith(f"{table}.")]
    return {int(n) for n in numbers if n.isdigit()}


def _beat(lock: Lock, stop: threading.Event) -> None:
    """Renew a lock every few seconds. After a sign that cannot be written the next is tried."""
    while not stop.wait(BEAT):
        try:
            if not lock.renew():
                return
        except Exception as e:  # noqa: BLE001 (`require` decides before anything is published)
            log.event(f"the lock {lock.path} could not be renewed: {e}", level="warning")


def _owner() -> dict[str, Any]:
    pid = os.getpid()
    return {"id": uuid.uuid4().hex, **_machine(), "pid": pid, "started": _started(pid)}


def _machine() -> dict[str, str]:
    """Return what a process number is valid in: the machine since its start, and the container."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="utf-8").strip()
        space = str(Path("/proc/self/ns/pid").readlink())
    except OSError:
        boot, space = "", ""
    return {"host": socket.gethostname(), "boot": boot, "space": space}


def _is_of(text: str | None, owner: Mapping[str, Any]) -> bool:
    """Return whether a lock's file is of an owner."""
    try:
        return text is not None and bool(json.loads(text)["id"] == owner["id"])
    except (ValueError, KeyError, TypeError):
        return False


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
        pid, started = int(owner["pid"]), owner["started"]
        if {name: owner[name] for name in _machine()} != _machine():
            return False
    except (ValueError, KeyError, TypeError):
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
