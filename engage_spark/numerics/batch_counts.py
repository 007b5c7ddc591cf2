"""Count the columns of a partition's Arrow batches, and hand the counts over as one small batch of rows.

Sent along by value, so that executors need numpy and pyarrow only.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Protocol

import pyarrow as pa

CountedRow = tuple[Any, ...]

_SPARK = {"int32": "int", "int64": "bigint", "double": "double", "string": "string", "binary": "binary"}


class ColumnCounter(Protocol):
    """The counts of one column over a partition."""

    def add(self, column: pa.Array) -> None:
        """Count a batch."""

    def rows(self) -> Iterator[CountedRow]:
        """Return what was counted, as rows of the job's schema."""


def count_columns(
    batches: Iterable[pa.RecordBatch], counters: Sequence[ColumnCounter]
) -> Iterator[CountedRow]:
    """Feed every batch to the counters, each with the column at its own position, and return their rows.

    Names are not looked at: Connect cannot pass on every name. Columns beyond the counters are not counted.
    """
    for batch in batches:
        for position, counter in enumerate(counters):
            counter.add(batch.column(position))
    for counter in counters:
        yield from counter.rows()


def to_batch(rows: Iterable[CountedRow], schema: pa.Schema) -> pa.RecordBatch:
    """Return rows as one batch; without any, an empty one."""
    columns = list(zip(*rows, strict=True)) or [()] * len(schema)
    arrays = [pa.array(c, t) for c, t in zip(columns, schema.types, strict=True)]
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def to_ddl(schema: pa.Schema) -> str:
    """Return an Arrow schema as Spark's DDL. KeyError for a type that no counter has used yet."""
    return ", ".join(f"{f.name} {_SPARK.get(str(f.type)) or _decimal(f.type)}" for f in schema)


def _decimal(t: pa.DataType) -> str:
    if not pa.types.is_decimal(t):
        raise KeyError(f"no Spark type is declared for {t}")
    return f"decimal({t.precision},{t.scale})"
