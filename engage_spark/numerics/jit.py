"""Compile numerical kernels with numba: one thread, without the GIL, cached on disk.

Never `parallel=True`: Spark's Python workers are forked, and OpenMP or TBB threads do not survive a fork. The
tasks are the parallelism. No fastmath either: additions stay in the order in which they are written, so a
result has the same bits whatever the processor's vectors.
"""

from __future__ import annotations

import functools
import hashlib
import os
import tempfile
from collections.abc import Callable, Iterator
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any, TypeVar, cast

import numba

F = TypeVar("F", bound=Callable[..., Any])

_COMPILED = b"numerics.jit import kernel"


def kernel(function: F) -> F:
    """Compile `function` when it is first called, and cache the compiled code in `cache_directory`.

    Where there is none, the code stays in this process only: a worker whose disks are read-only compiles
    again, and does not fail.
    """
    directory = cache_directory()
    if directory is not None:
        config: Any = numba.config
        before, config.CACHE_DIR = config.CACHE_DIR, str(directory)
        try:
            return cast(F, numba.njit(nogil=True, cache=True)(function))
        except RuntimeError:  # no file that numba could watch, as in a zip archive
            pass
        finally:
            config.CACHE_DIR = before
    return cast(F, numba.njit(nogil=True)(function))


@functools.cache
def cache_directory() -> Path | None:
    """Return the directory of compiled kernels: in NUMBA_CACHE_DIR if that is set, else beside the modules,
    else in the user's cache, else in a private temporary directory; None if none of these can be written
    to.

    Its name holds a hash of the kernels' modules and of those beside them. numba compares a function's own
    file with what it compiled, but compiled code contains what was called from other files: after an upgrade
    it would go on computing with the old code.
    """
    sources = hashlib.sha256()
    for source in _kernel_sources(resources.files(__package__.partition(".")[0])):
        sources.update(source)
    name = f"kernels-{sources.hexdigest()[:16]}"
    configured, home = os.environ.get("NUMBA_CACHE_DIR"), os.environ.get("HOME")
    places = (
        [Path(configured)]
        if configured
        else [
            Path(__file__).parent / "__pycache__",
            *([Path(home) / ".cache" / "engage-spark"] if home else []),
        ]
    )
    usable = next((place / name for place in places if _writable(place / name)), None)
    private = None if usable else private_cache()
    return usable if private is None else private / name


def _kernel_sources(folder: Traversable) -> Iterator[bytes]:
    """Read the modules of every folder that has a kernel, each with its name, in a fixed order."""
    entries = sorted(folder.iterdir(), key=lambda entry: entry.name)
    modules = [entry.name.encode() + entry.read_bytes() for entry in entries if entry.name.endswith(".py")]
    if any(_COMPILED in module for module in modules):
        yield from modules
    for entry in entries:
        if entry.is_dir() and entry.name != "__pycache__":
            yield from _kernel_sources(entry)


def _writable(directory: Path) -> bool:
    try:
        directory.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=directory):
            return True
    except OSError:
        return False


def private_cache() -> Path | None:
    """Return a directory under the system's temporary one that belongs to this user alone, or None.

    Cached code is run when it is loaded, so a directory that somebody else owns or may write to is refused.
    """
    directory = Path(tempfile.gettempdir()) / f"engage-spark-numba-{os.getuid()}"
    try:
        directory.mkdir(mode=0o700, exist_ok=True)
        status = directory.lstat()
    except OSError:
        return None
    is_private = status.st_uid == os.getuid() and not status.st_mode & 0o022
    return directory if is_private and not directory.is_symlink() and _writable(directory) else None
