"""Read the Parquet files of a dataset in batches of bounded size: whole row groups are never in memory."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.dataset as pads
    import pyarrow.parquet as pq

BATCH_ROWS = 32_768
_BUFFERED = 1 << 20
"""Bytes that are read ahead of each column."""


def read_batches(
    dataset: pads.Dataset, columns: Sequence[str], *, where: Mapping[str, object] | None = None
) -> Iterator[pa.RecordBatch]:
    """Yield the rows of all files, file by file, with these columns; those of `where` must have its values.

    A column that a file, or the whole table, lacks is null. The columns of `where` are read first, and the
    others only in row groups that hold such a row.
    Cost: one pass over the columns; memory for a batch, and a buffer for each column.
    """
    schema = dataset.schema
    for fragment in dataset.get_fragments():
        with _open(fragment) as file:
            present = set(file.schema_arrow.names)
            for group in range(file.num_row_groups):
                hits = None if where is None else _hits(file, group, where, present)
                if hits is not None and not any(len(rows) for rows in hits):
                    continue
                wanted = [c for c in columns if c in present]
                for i, batch in enumerate(_batches(file, group, wanted)):
                    rows = batch if hits is None else batch.take(hits[i])
                    if rows.num_rows:
                        yield _filled(rows, columns, schema)


def _open(fragment: Any) -> pq.ParquetFile:
    import pyarrow.parquet as pq

    return pq.ParquetFile(fragment.open(), pre_buffer=False, buffer_size=_BUFFERED)


def _batches(file: pq.ParquetFile, group: int, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
    yield from file.iter_batches(
        batch_size=BATCH_ROWS, row_groups=[group], columns=list(columns), use_threads=False
    )


def _hits(file: pq.ParquetFile, group: int, where: Mapping[str, object], present: set[str]) -> list[pa.Array]:
    """Return the positions of the rows that have the values, batch by batch."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if not present.issuperset(where):
        return []
    hits = []
    for batch in _batches(file, group, list(where)):
        mask = None
        for name, value in where.items():
            column = batch.column(name)
            try:
                wanted = pa.scalar(value).cast(column.type)
            except (pa.ArrowInvalid, OverflowError):  # such as a number that is too large
                return []
            equal = pc.equal(column, wanted)
            mask = equal if mask is None else pc.and_(mask, equal)
        hits.append(pc.indices_nonzero(pc.fill_null(mask, False)))
    return hits


def _filled(batch: pa.RecordBatch, columns: Sequence[str], schema: pa.Schema) -> pa.RecordBatch:
    import pyarrow as pa

    present, declared = set(batch.schema.names), set(schema.names)
    types = {c: schema.field(c).type if c in declared else pa.null() for c in columns}
    arrays = [batch.column(c) if c in present else pa.nulls(batch.num_rows, types[c]) for c in columns]
    return pa.RecordBatch.from_arrays(arrays, names=list(columns))
