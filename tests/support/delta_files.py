"""Read a Delta table of this machine without Spark: its log is replayed by hand, its files by pyarrow.

It is an oracle for what Spark wrote and reads, and quick enough to compare hundreds of lakes.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pyarrow.parquet as pq

VOLATILE = frozenset({
    "started_at", "finished_at", "seconds", "outputs", "landed_at", "mlflow_run_id", "mlflow_run",
    "model_version", "version", "salt", "key_hash", "erased_at",
})  # fmt: skip
"""Columns with a clock, versions of tables, or ids that are given out elsewhere."""


def tables(lake: Path) -> list[str]:
    return sorted(p.parent.name for p in lake.glob("*/_delta_log"))


def actions(table: Path) -> Iterable[dict[str, Any]]:
    """Every action of the log, oldest first; those of a checkpoint stand for the commits before it."""
    log = table / "_delta_log"
    last, since = log / "_last_checkpoint", -1
    if last.exists():
        since = int(json.loads(last.read_text())["version"])
        for row in pq.read_table(log / f"{since:020d}.checkpoint.parquet").to_pylist():
            for kind, value in row.items():
                if value is not None:
                    yield {kind: _plain(value)}
    for commit in sorted(log.glob("*.json")):
        if commit.stem.isdigit() and int(commit.stem) > since:
            for line in commit.read_text(encoding="utf-8").split("\n"):
                if line:
                    yield json.loads(line)


def _plain(value: Any) -> Any:
    """pyarrow gives maps as lists of pairs."""
    if isinstance(value, dict):
        return {k: dict(v) if k == "partitionValues" and v is not None else v for k, v in value.items()}
    return value


def live_files(table: Path) -> dict[str, Mapping[str, str | None]]:
    """The data files of the newest version, with their partition values."""
    files: dict[str, Mapping[str, str | None]] = {}
    for action in actions(table):
        if "add" in action:
            files[action["add"]["path"]] = action["add"]["partitionValues"]
        elif "remove" in action:
            files.pop(action["remove"]["path"], None)
    return files


def protocol(table: Path) -> dict[str, Any]:
    """The newest protocol: which readers and writers the table needs."""
    return [a["protocol"] for a in actions(table) if "protocol" in a][-1]


def rows(table: Path) -> list[dict[str, Any]]:
    """Every row of the newest version; partition values are text."""
    return [
        row | dict(values)
        for path, values in sorted(live_files(table).items())
        for row in pq.ParquetFile(table / unquote(path)).read().to_pylist()
    ]


def lines(table: Path, *, without: Iterable[str] = VOLATILE) -> list[str]:
    """The rows as text, sorted."""
    left_out = frozenset(without)
    return sorted(repr(sorted((k, v) for k, v in row.items() if k not in left_out)) for row in rows(table))


def digests(lake: Path, *, without: Iterable[str] = VOLATILE) -> dict[str, str]:
    """A hash of the rows of each table, whatever their order and files."""
    return {name: _digest(lines(lake / name, without=without)) for name in tables(lake)}


def _digest(text: list[str]) -> str:
    return f"{hashlib.sha256(chr(10).join(text).encode()).hexdigest()[:16]}/{len(text)}"
