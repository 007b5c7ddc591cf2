"""Small tables, files of their rows, and ways to spoil a file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from engage_spark.contract import Field, Role, Table, TableKind


def field(name: str, kind: str, logical: str, **more: Any) -> Field:
    return Field(
        name=name, logical_type=logical, spark_type=kind, description=name, role=Role.FEATURE, **more
    )


THINGS = Table(
    name="things",
    kind=TableKind.ENTITY,
    description="Things.",
    fields=(
        field("id", "string", "string", required=True, key_position=1),
        field("n", "int", "integer", minimum=0, maximum=100),
        field("x", "double", "number"),
    ),
)
MOMENTS = Table(
    name="moments",
    kind=TableKind.ENTITY,
    description="Moments.",
    fields=(
        field("id", "string", "string", required=True, key_position=1),
        field("d", "date", "date"),
        field("t", "timestamp", "timestamp"),
    ),
)


def parquet(path: Path, ids: str = "ab", **columns: Any) -> Path:
    """One Parquet file with a row per letter; `columns` adds to or replaces the declared ones, None takes one
    out.
    """
    held = {"id": list(ids), "n": pa.array([1] * len(ids), pa.int32()), "x": [0.5] * len(ids)} | columns
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table({k: v for k, v in held.items() if v is not None}), path)
    return path


def iceberg(path: Path) -> None:
    """A file as Iceberg writes it: the schema of the table is in its footer."""
    rows = pq.read_table(parquet(path))
    pq.write_table(rows.replace_schema_metadata({"iceberg.schema": '{"type":"struct"}'}), path)


def text(path: Path, content: str | bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def cut(path: Path, keep: float) -> None:
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * keep)])


def garbled(path: Path) -> None:
    """Page bytes that cannot be decoded under a footer that can: the fault shows only when rows are read."""
    whole = bytearray(path.read_bytes())
    footer = len(whole) - 8 - int.from_bytes(whole[-8:-4], "little")
    whole[4:footer] = b"\xff" * (footer - 4)
    path.write_bytes(bytes(whole))


def magic(path: Path) -> None:
    """A Parquet file whose last four bytes are not PAR1."""
    path.write_bytes(path.read_bytes()[:-4] + b"PAR2")


def linked(folder: Path, link: str, target: str) -> None:
    parquet(folder / "a.parquet")
    (folder / link).symlink_to(target)
