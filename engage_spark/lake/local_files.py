"""List the files of a folder of this machine, through symbolic links, without Spark."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from engage_spark.errors import InputError


def walk_local(folder: Path) -> list[tuple[str, int, int]]:
    """Return the path below `folder`, the size, and the time of change of each file, hidden ones too.

    A file given by itself has its name for a path.
    Units: bytes; microseconds since 1970 in UTC, to the millisecond, as Hadoop has them.
    Errors: InputError for a link that leads nowhere, into a loop, or to a file that is listed already: such
    rows would be missing, or be there several times.
    """
    if folder.is_file():
        state = folder.stat()
        return [(folder.name, state.st_size, _micros(state))]
    problems: list[str] = []
    files = list(_walk(folder, "", (), problems))
    by_identity: dict[tuple[int, int], str] = {}
    for name, state in files:
        if any(part.startswith(("_", ".")) for part in name.split("/")):
            continue  # no data
        if state.st_ino and (first := by_identity.setdefault((state.st_dev, state.st_ino), name)) != name:
            problems.append(f"{folder}/{name} is the same file as {first}, through a link")
    if problems:
        raise InputError(
            f"the links below {folder} cannot be followed",
            details=problems[:20],
            hint="put the files themselves there, or take the links out",
        )
    return [(name, state.st_size, _micros(state)) for name, state in files]


def _walk(
    folder: Path, below: str, above: tuple[tuple[int, int], ...], problems: list[str]
) -> Iterator[tuple[str, os.stat_result]]:
    own = folder.stat()
    if (own.st_dev, own.st_ino) in above:
        problems.append(f"{folder} is a link to a folder that it lies in, a loop")
        return
    with os.scandir(folder) as entries:
        ordered = sorted(entries, key=lambda e: e.name)
    for entry in ordered:
        try:
            state = entry.stat()
        except FileNotFoundError:
            problems.append(f"{entry.path} is a link to nothing")
            continue
        except OSError as e:
            problems.append(f"{entry.path} cannot be followed: {e.strerror}")
            continue
        name = f"{below}{entry.name}"
        if entry.is_dir():
            yield from _walk(Path(entry.path), f"{name}/", (*above, (own.st_dev, own.st_ino)), problems)
        else:
            yield name, state


def _micros(state: os.stat_result) -> int:
    return state.st_mtime_ns // 1_000_000 * 1000
