"""Write numbered edges to raw files, from which the arrays are built without a copy."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import DataFrame

from engage_spark.spark.compat import to_arrow


class EdgePieces(NamedTuple):
    """Edges as raw files `name.u`, `name.v` and, with lengths, `name.length`."""

    names: list[str]
    rows: int
    loops: int
    """Of the rows, edges from a vertex to itself."""
    unknown: int
    """Edges that were left out because an end has no rank."""


def write_pieces(numbered: DataFrame, directory: Path, *, shared: bool, weighted: bool) -> EdgePieces:
    """Write the edges (u, v[, length]) below `directory`: by the tasks where it is `shared`, else here.

    A task appends to files of its own, so that nothing is held in memory. A retried task writes new files;
    those of the first try are not named in any row and not read. Edges of a graph that is to travel as an
    artifact (not `shared`) are the only data that grows with the graph and passes through the driver.
    Cost: one job.
    """
    target = str(directory)

    def write(batches: Iterator[Any]) -> Iterator[Any]:
        yield _append(batches, Path(target), weighted=weighted)

    if shared:
        schema = "name string, rows bigint, loops bigint, unknown bigint"
        rows = [tuple(row) for row in numbered.mapInArrow(write, schema).collect()]
    else:
        batch = _append(to_arrow(numbered).to_batches(), directory, weighted=weighted)
        rows = [tuple(row.values()) for row in batch.to_pylist()]
    return EdgePieces(sorted(row[0] for row in rows), *(sum(row[i] for row in rows) for i in (1, 2, 3)))


def write_arrays(directory: Path, name: str, arrays: Mapping[str, Any]) -> None:
    """Append arrays to the raw files `name.key` of a piece."""
    for ending, array in arrays.items():
        with (directory / f"{name}.{ending}").open("ab") as file:
            file.write(np.ascontiguousarray(array).data)


def _append(batches: Any, directory: Path, *, weighted: bool) -> Any:
    """Append u, v (and lengths) to raw files. Returns the row that describes the piece."""
    name = uuid.uuid4().hex
    rows = loops = unknown = 0
    endings = {"u": np.int32, "v": np.int32} | ({"length": np.int64} if weighted else {})
    files = {ending: (directory / f"{name}.{ending}").open("wb") for ending in endings}
    try:
        for batch in batches:
            known = batch
            if any(batch.column(i).null_count for i in range(2)):
                known = batch.filter(pc.and_(batch.column(0).is_valid(), batch.column(1).is_valid()))
            unknown += batch.num_rows - known.num_rows
            rows += known.num_rows
            columns = [
                np.ascontiguousarray(known.column(i).to_numpy(zero_copy_only=False), dtype=kind)
                for i, kind in enumerate(endings.values())
            ]
            loops += int(np.count_nonzero(columns[0] == columns[1]))
            for ending, column in zip(endings, columns, strict=True):
                files[ending].write(column.data)
    finally:
        for file in files.values():
            file.close()
    row = {"name": name, "rows": rows, "loops": loops, "unknown": unknown}
    return pa.RecordBatch.from_pylist([row])
