"""Write small text files for people, such as pictures and reports, whole or not at all.

It does not belong to `lake`, which imports Spark: commands that write a page or a suite, and the fetching of
Spark's jars, start without Spark.
"""

from __future__ import annotations

import os
from pathlib import Path

from engage_spark.errors import ConfigurationError


def write_text(path: str | Path, text: str) -> None:
    """Write a UTF-8 file, making its folder, on a disk or volume that this process can reach.

    The text is written beside the file and then takes its place, so nobody reads half a file.
    Errors: ConfigurationError when the file cannot be written.
    """
    target = Path(path)
    try:
        unfinished = target.with_name(f".{target.name}.{os.getpid()}.part")
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            unfinished.write_text(text, encoding="utf-8")
            unfinished.replace(target)
        finally:
            unfinished.unlink(missing_ok=True)
    except (OSError, ValueError) as e:  # the latter for what names no file, such as / or an empty text
        reason = e.strerror if isinstance(e, OSError) and e.strerror else e
        raise ConfigurationError(
            f"{path} cannot be written: {reason}", hint="give a file in a folder that can be written"
        ) from e
