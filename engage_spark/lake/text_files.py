"""Small files for people, such as pictures, on a disk or volume that this process can reach."""

from __future__ import annotations

from pathlib import Path

from engage_spark.errors import ConfigurationError


def write_text(path: str, text: str) -> None:
    """Write a file whole or not at all, making its folder. Raises ConfigurationError when that cannot be
    done.
    """
    target = Path(path)
    unfinished = target.with_name(f".{target.name}.part")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        unfinished.write_text(text, encoding="utf-8")
        unfinished.replace(target)
    except OSError as e:
        raise ConfigurationError(
            f"{path} cannot be written: {e.strerror or e}", hint="give a folder that can be written"
        ) from e
