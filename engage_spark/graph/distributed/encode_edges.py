"""Turn the ids of edges into small numbers in one scan: every task numbers what it sees by itself.

A task writes the numbers of its edges to raw files, and hands on only the different ids that it saw. Ids are
ranked and compared from those alone (`rank_ids`), and then each piece's numbers become ranks
(`number_pieces`). Edges themselves are neither shuffled nor joined.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql import types as T

from engage_spark.graph.distributed.edge_pieces import EdgePieces, write_arrays
from engage_spark.graph.distributed.task_batches import ROWS_PER_BATCH
from engage_spark.graph.distributed.validate_edges import count_lengths
from engage_spark.graph.distributed.workspace import Workspace
from engage_spark.spark.compat import to_arrow
from engage_spark.spark.schema import column_named

_EDGES_AT_ONCE = 1 << 20
_BYTES_AT_ONCE = 1 << 28
_IDS_PER_PIECE = 1 << 22
"""A task that sees more ids begins a new piece, so that its memory is bounded."""
_FIELDS = ("u", "v", "length")
_COUNTS = pa.map_(pa.string(), pa.float64())


class EncodedEdges(NamedTuple):
    """Edges whose ends are numbers of their own in each piece."""

    rows: DataFrame
    """(piece, code, id): the ids of each piece; and `u`, `v`, `length` as bytes where workers share no
    directory; stored.
    """
    counts: list[dict[str, float]]
    """For each piece: rows, nulls, and counts of its lengths."""


def encode_edges(edges: DataFrame, space: Workspace, directory: Path, *, weight: str | None) -> EncodedEdges:
    """Give the ids of `edges` (src, dst) numbers piece by piece, and write the numbers below `directory`.

    Edges with a null id are counted and left out.
    Cost: one scan of the edges. A task holds 1,048,576 edges (or 256 MB of them) and 4,194,304 ids at most,
    or as many more as its next edges have. The different ids of each task are stored.
    """
    target = str(directory) if space.shared else None
    columns = [F.col("src"), F.col("dst")]
    if weight is not None:
        columns.append(column_named(weight).cast("double").alias("length"))
    schema = T.StructType(
        [
            T.StructField("piece", T.StringType()),
            T.StructField("code", T.IntegerType()),
            T.StructField("id", edges.schema["src"].dataType),
            T.StructField("counts", T.MapType(T.StringType(), T.DoubleType())),
            *(T.StructField(name, T.BinaryType()) for name in _FIELDS),
        ]
    )

    def encode(batches: Iterator[Any]) -> Iterator[Any]:
        encoder = None
        waiting: list[Any] = []
        n_rows = n_bytes = 0
        for batch in batches:
            if encoder is None:
                encoder = _Encoder(None if target is None else Path(target), batch.schema.field("src").type)
            waiting.append(batch)
            n_rows, n_bytes = n_rows + batch.num_rows, n_bytes + batch.nbytes
            if n_rows >= _EDGES_AT_ONCE or n_bytes >= _BYTES_AT_ONCE:
                yield from encoder.add(waiting)
                waiting, n_rows, n_bytes = [], 0, 0
        if encoder is not None:
            if waiting:
                yield from encoder.add(waiting)
            yield from encoder.close()

    stored = space.materialize(edges.select(*columns).mapInArrow(encode, schema), "encoded")
    counts = [row["counts"] for row in stored.where(F.col("counts").isNotNull()).select("counts").collect()]
    return EncodedEdges(stored, counts)


def number_pieces(
    encoded: EncodedEdges, codes: DataFrame, space: Workspace, directory: Path, *, length_unit: float | None
) -> EdgePieces:
    """Replace the numbers of every piece by ranks, from `codes` (piece, code, rank); lengths become whole
    multiples of `length_unit`.

    Cost: one job with a shuffle of `codes`; a task holds those of one piece. Where workers share no directory
    all of it is done here, once the pieces came to the driver.
    """
    target = str(directory)

    def number(batches: Iterator[Any]) -> Iterator[Any]:
        for piece, code, rank in _by_piece(batches):
            yield pa.RecordBatch.from_pylist([_number_piece(Path(target), piece, code, rank, length_unit)])

    if space.shared:
        rows = codes.repartition("piece").sortWithinPartitions("piece")
        schema = "name string, rows bigint, loops bigint"
        described = [row.asDict() for row in rows.mapInArrow(number, schema).collect()]
    else:
        _fetch_pieces(encoded.rows, directory)
        batches = number(iter(to_arrow(codes.orderBy("piece")).to_batches()))
        described = [row for batch in batches for row in batch.to_pylist()]
    n_rows, loops = (sum(int(row[column]) for row in described) for column in ("rows", "loops"))
    return EdgePieces(sorted(str(row["name"]) for row in described), n_rows, loops, 0)


def _by_piece(batches: Iterator[Any]) -> Iterator[tuple[str, Any, Any]]:
    """Yield the codes and ranks of each piece, from rows in the order of pieces."""
    current, waiting = "", list[Any]()
    for batch in batches:
        for piece in batch.column("piece").unique().to_pylist():
            if piece != current and waiting:
                yield _joined(current, waiting)
                waiting = []
            current = piece
            waiting.append(batch.filter(pc.equal(batch.column("piece"), piece)))
    if waiting:
        yield _joined(current, waiting)


def _joined(piece: str, batches: list[Any]) -> tuple[str, Any, Any]:
    table = pa.Table.from_batches(batches)
    return piece, table["code"].to_numpy(), table["rank"].to_numpy()


class _Encoder:
    """The piece that a task writes; without a directory its numbers are yielded as bytes."""

    def __init__(self, directory: Path | None, id_type: Any) -> None:
        self.directory, self.id_type = directory, id_type
        self._begin()

    def _begin(self) -> None:
        self.piece = uuid.uuid4().hex
        self.ids: Any = None
        self.counts: dict[str, float] = {"rows": 0, "src": 0, "dst": 0}

    def add(self, batches: list[Any]) -> Iterator[Any]:
        """Encode the edges of some batches, and write them."""
        edges = pa.Table.from_batches(batches)
        self.counts["rows"] += edges.num_rows
        for name in ("src", "dst"):
            self.counts[name] += edges[name].null_count
        if "length" in edges.column_names:
            count_lengths(edges["length"], self.counts)
        edges = edges.drop_null()
        # One array: over chunks, a dictionary would be carried from each to the next.
        parts = [pa.array([], self.id_type), *edges["src"].chunks, *edges["dst"].chunks]
        codes = self._codes(pa.concat_arrays(parts))
        arrays = dict(zip(("u", "v"), np.split(codes, 2), strict=True))
        if "length" in edges.column_names:
            arrays["length"] = edges["length"].to_numpy()
        if self.directory is None:
            yield self._row(**{name: pa.array([array.tobytes()]) for name, array in arrays.items()})
        else:
            write_arrays(self.directory, self.piece, arrays)
        if len(self.ids) > _IDS_PER_PIECE:
            yield from self.close()
            self._begin()

    def close(self) -> Iterator[Any]:
        """Yield the ids of the piece, and its counts; nothing of an empty one."""
        if not self.counts["rows"]:
            return
        for start in range(0, 0 if self.ids is None else len(self.ids), ROWS_PER_BATCH):
            ids = self.ids[start : start + ROWS_PER_BATCH]
            yield self._row(code=pa.array(np.arange(start, start + len(ids), dtype=np.int32)), id=ids)
        yield self._row(counts=pa.array([list(self.counts.items())], _COUNTS))

    def _codes(self, ends: Any) -> Any:
        """Give ids numbers in the order in which this piece saw them first."""
        encoded = ends.dictionary_encode()
        seen = encoded.dictionary
        if self.ids is None:
            self.ids = pa.array([], ends.type)
        known = pc.index_in(seen, value_set=self.ids)
        new = known.is_null()
        codes = known.fill_null(-1).to_numpy().copy()
        codes[new.to_numpy(zero_copy_only=False)] = np.arange(
            len(self.ids), len(self.ids) + new.true_count, dtype=np.int32
        )
        self.ids = pa.concat_arrays([self.ids, seen.filter(new)])
        return codes[encoded.indices.to_numpy()]

    def _row(self, **columns: Any) -> Any:
        """Build rows of this piece; the other columns are null."""
        n = len(next(iter(columns.values())))
        kinds = {"code": pa.int32(), "id": None, "counts": _COUNTS, **dict.fromkeys(_FIELDS, pa.binary())}
        arrays = {"piece": pa.array([self.piece] * n, pa.string())}
        for name, kind in kinds.items():
            absent = pa.nulls(n, self.id_type if kind is None else kind)
            arrays[name] = columns.get(name, absent)
        return pa.RecordBatch.from_arrays(list(arrays.values()), names=list(arrays))


def _number_piece(
    directory: Path, piece: str, code: Any, rank: Any, length_unit: float | None
) -> dict[str, Any]:
    """Write the piece anew, under another name: a second try begins with what the first one began with."""
    name = uuid.uuid4().hex
    rank_of = np.empty(len(code), dtype=np.int32)
    rank_of[code] = rank
    u, v = (np.memmap(directory / f"{piece}.{end}", dtype=np.int32, mode="r") for end in ("u", "v"))
    loops = 0
    for start in range(0, len(u), _EDGES_AT_ONCE):
        part = slice(start, start + _EDGES_AT_ONCE)
        arrays = {"u": rank_of[u[part]], "v": rank_of[v[part]]}
        loops += int(np.count_nonzero(arrays["u"] == arrays["v"]))
        if length_unit is not None:
            lengths = np.memmap(directory / f"{piece}.length", dtype=np.float64, mode="r")[part] / length_unit
            whole = np.floor(lengths)
            arrays["length"] = (whole + (lengths - whole >= 0.5)).astype(np.int64)
        write_arrays(directory, name, arrays)
    return {"name": name, "rows": len(u), "loops": loops}


def _fetch_pieces(rows: DataFrame, directory: Path) -> None:
    """Write the pieces of a graph that is to travel as an artifact: with their ranks the only data that grows
    with the graph and passes through the driver.
    """
    table = to_arrow(rows.where(F.col("u").isNotNull()).select("piece", *_FIELDS))
    for batch in table.to_batches(max_chunksize=1):
        for row in batch.to_pylist():
            arrays = {name: np.frombuffer(row[name], np.uint8) for name in _FIELDS if row[name] is not None}
            write_arrays(directory, row["piece"], arrays)
