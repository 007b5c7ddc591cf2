"""How the numerical kernels are compiled: numba, one thread, without the GIL, cached on disk.

Never `parallel=True`: Spark's Python workers are forked, and OpenMP or TBB threads do not survive a fork. The tasks are the parallelism.
No fastmath either: additions stay in the order in which they are written, so a result has the same bits whatever the processor's vectors.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, cast

import numba

F = TypeVar("F", bound=Callable[..., Any])


def kernel(function: F) -> F:
    """Compile `function` when it is first called. The compiled code is kept beside the module, else in the user's cache, else in a private
    temporary directory, else only in this process: a worker whose disks are read-only compiles anew, and does not fail.
    """
    try:
        return cast(F, numba.njit(nogil=True, cache=True)(function))
    except RuntimeError:  # numba found no writable place
        pass
    directory = private_cache()
    if directory is None:
        return cast(F, numba.njit(nogil=True)(function))
    config: Any = numba.config
    before, config.CACHE_DIR = config.CACHE_DIR, str(directory)
    try:
        return cast(F, numba.njit(nogil=True, cache=True)(function))
    except RuntimeError:
        return cast(F, numba.njit(nogil=True)(function))
    finally:
        config.CACHE_DIR = before


def private_cache() -> Path | None:
    """A directory under the system's temporary one that belongs to this user alone, or None. Cached code is run when it is loaded, so a
    directory that somebody else owns or may write to is not taken.
    """
    directory = Path(tempfile.gettempdir()) / f"engage-spark-numba-{os.getuid()}"
    try:
        directory.mkdir(mode=0o700, exist_ok=True)
        status = directory.lstat()
        with tempfile.TemporaryFile(dir=directory):
            pass
    except OSError:
        return None
    mine = status.st_uid == os.getuid() and not status.st_mode & 0o022
    return directory if mine and directory.is_dir() and not directory.is_symlink() else None
