"""Lay out the edges of a DataFrame as arrays that every worker maps into memory.

Ids become dense numbers in two steps. Spark ranks the distinct ids (`rank_ids`), whatever the partitioning.
Then one task builds the graph from the numbered edges and renumbers it by (degree descending,
rank), so that the vertices that every search touches are neighbours in memory. Parallel edges are merged
before degrees are counted, so the numbering, and every sample drawn on it, depends on the simple graph alone.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql import types as T

from engage_spark.errors import InputError
from engage_spark.graph.distributed.build_task import SUMMARY_SCHEMA, GraphSummary, build_graph
from engage_spark.graph.distributed.edge_pieces import EdgePieces, write_pieces
from engage_spark.graph.distributed.encode_edges import encode_edges, number_pieces
from engage_spark.graph.distributed.rank_ids import RankedIds, rank_ids
from engage_spark.graph.distributed.resources import check_memory, estimate_memory
from engage_spark.graph.distributed.validate_edges import check_columns, check_counts
from engage_spark.graph.distributed.workspace import (
    GraphFiles,
    Materialize,
    Workers,
    Workspace,
    check_artifact_size,
    open_workspace,
    send_as_artifacts,
)
from engage_spark.graph.kernels.brandes import worker_bytes


class EdgeCounts(NamedTuple):
    """Counts of the edges that a graph was built from."""

    rows: int
    self_loops: int
    length_unit: float | None
    """The length that one unit stands for; None without lengths."""


@dataclass(frozen=True)
class GraphLayout:
    """A graph laid out for the workers."""

    spark: SparkSession
    files: GraphFiles
    vertices: DataFrame
    """(id, v), one row per vertex: the caller's id and the dense number, hubs first."""
    summary: GraphSummary
    edges: EdgeCounts
    directed: bool
    workers: Workers
    materialize: Materialize
    seconds: dict[str, float] = field(default_factory=dict)

    @property
    def n(self) -> int:
        """Vertices."""
        return self.summary.n

    @property
    def m(self) -> int:
        """Edges (directed: arcs) without loops, parallel ones counted once."""
        return self.summary.m

    @property
    def multi_edges(self) -> int:
        """Edges beyond the first between the same two vertices (directed: in the same direction)."""
        return self.edges.rows - self.edges.self_loops - self.m

    @property
    def weighted(self) -> bool:
        """True when edges have lengths."""
        return self.edges.length_unit is not None


@contextmanager
def open_layout(
    edges: DataFrame,
    *,
    vertices: DataFrame | None = None,
    weight: str | None = None,
    directed: bool = False,
    length_unit: float | None = None,
    directory: str | None = None,
    materialize: Materialize | None = None,
    memory: int | None = None,
    artifacts: bool = False,
) -> Iterator[GraphLayout]:
    """Lay out `edges` (src, dst) for the block; the files are deleted after it, `vertices` stays.

    `vertices` (id) adds isolated ones, and then an edge to an id that is not among them is refused. For
    `weight` and `length_unit` see `check_counts`, for `directory`, `materialize` and `artifacts` see
    `open_workspace`.

    Cost: one scan of the edges. The different ids that each task saw are stored, shuffled by a hash to be
    ranked, and once more to number the edges. The build is one task, in as many threads as a host has
    workers, 8 bytes per edge read and written. On the driver: a few numbers per partition; the numbered edges
    and the ranks only where the graph travels as an artifact (at most 512 MB).
    Errors: InputError for edges that make no graph; ConfigurationError when the graph will not fit `memory`
    bytes per host, or when the workers share no directory.
    """
    clock = PhaseClock()
    check_columns(edges, vertices=vertices, weight=weight)
    with (
        open_workspace(
            edges.sparkSession, directory=directory, materialize=materialize, artifacts=artifacts
        ) as space,
        _piece_directory(space) as pieces,
    ):
        clock.stop("workers")
        encoded = encode_edges(edges, space, pieces, weight=weight)
        unit = check_counts(encoded.counts, weight=weight, length_unit=length_unit)
        clock.stop("validation")
        codes = encoded.rows.where(F.col("code").isNotNull())
        names = None if vertices is None else vertices.select("id")
        ids = rank_ids(names, encoded=codes, materialize=space.materialize)
        count = int(sum(counts["rows"] for counts in encoded.counts))
        if ids.unknown is not None:
            _refuse_unknown_ids(edges, ids.unknown, count)
        _check_memory(space, count, n=ids.n, directed=directed, weighted=weight is not None, memory=memory)
        clock.stop("ids")
        written = number_pieces(encoded, ids.codes, space, pieces, length_unit=unit)
        built = _build_files(space, written, ids.n, weighted=weight is not None, directed=directed)
        shutil.rmtree(pieces, ignore_errors=True)
        counts_of = EdgeCounts(written.rows, written.loops, unit)
        yield _finish_layout(space, ids, built, counts_of, directed=directed, clock=clock)


@contextmanager
def open_ranked_layout(
    edges: DataFrame,
    ids: RankedIds,
    *,
    directed: bool = False,
    directory: str | None = None,
    materialize: Materialize | None = None,
    memory: int | None = None,
    artifacts: bool = False,
) -> Iterator[GraphLayout]:
    """Lay out `edges` (u, v: ranks of `ids`) for the block, as `open_layout` does; every id is a vertex.

    Cost: the edges are scanned once, twice where the graph travels as an artifact; see `open_layout` for the
    rest.
    Errors: InputError for null ranks; ConfigurationError as `open_layout`.
    """
    clock = PhaseClock()
    with open_workspace(
        edges.sparkSession, directory=directory, materialize=materialize, artifacts=artifacts
    ) as space:
        clock.stop("workers")
        check = partial(_check_memory, space, n=ids.n, directed=directed, weighted=False, memory=memory)
        if not space.shared:  # before anything of it comes to the driver
            check(edges.count())
        with _piece_directory(space) as pieces:
            written = write_pieces(edges.select("u", "v"), pieces, shared=space.shared, weighted=False)
            if written.unknown:
                raise InputError(
                    f"{written.unknown} edges have a null end", hint="give edges(u, v) with ranks of `ids`"
                )
            if space.shared:
                check(written.rows)
            built = _build_files(space, written, ids.n, weighted=False, directed=directed)
        counts = EdgeCounts(written.rows, written.loops, None)
        yield _finish_layout(space, ids, built, counts, directed=directed, clock=clock)


class PhaseClock:
    """Wall time per phase."""

    def __init__(self, seconds: dict[str, float] | None = None) -> None:
        self.seconds = {} if seconds is None else dict(seconds)
        self._since = time.monotonic()

    def stop(self, phase: str) -> None:
        """Note the time since the last stop under the name of a phase."""
        now = time.monotonic()
        self.seconds[phase], self._since = now - self._since, now


def _check_memory(
    space: Workspace, edges: int, *, n: int, directed: bool, weighted: bool, memory: int | None
) -> None:
    """Check that the graph fits a host and, where it has to travel, the driver."""
    worker = max(worker_bytes(n, precision, weighted=weighted) for precision in ("float32", "float64"))
    need = estimate_memory(
        n=n,
        edges=edges,
        directed=directed,
        weighted=weighted,
        worker=worker,
        workers=space.workers.per_host,
    )
    check_memory(need, n=n, edges=edges, memory=memory, host=space.workers.memory)
    if not space.shared:
        check_artifact_size(need.csr)


@contextmanager
def _piece_directory(space: Workspace) -> Iterator[Path]:
    pieces = space.path / "pieces"
    pieces.mkdir()
    try:
        yield pieces
    finally:
        shutil.rmtree(pieces, ignore_errors=True)


def _refuse_unknown_ids(edges: DataFrame, unknown: DataFrame, count: int) -> None:
    rows = edges.select("src", "dst")
    for end in ("src", "dst"):
        ids = unknown.select(F.col("id").alias(end), F.lit(True).alias(f"__{end}"))
        rows = rows.join(ids, end, "left")
    n_edges = rows.where("__src OR __dst").count()
    first = [str(row["id"]) for row in unknown.orderBy("id").limit(5).select("id").collect()]
    raise InputError(
        f"{n_edges} of {count} edges lead to ids that are not among the vertices, the first "
        f"{', '.join(first)}",
        hint="leave these edges out, or add their ids to vertices(id)",
    )


def _build_files(
    space: Workspace, written: EdgePieces, n: int, *, weighted: bool, directed: bool
) -> tuple[GraphFiles, GraphSummary]:
    """Build the arrays in one task, or here where they travel as artifacts."""
    build = partial(
        build_graph,
        space.path / "pieces",
        written.names,
        n,
        space.path / "graph",
        weighted=weighted,
        directed=directed,
        threads=space.workers.per_host,
    )
    if not space.shared:
        summary = build()
        return send_as_artifacts(space.spark, space.path / "graph"), summary

    def run(batches: Iterator[Any]) -> Iterator[Any]:
        for _ in batches:
            pass
        yield pa.RecordBatch.from_pylist([build()._asdict()])

    row = space.spark.range(0, 1, 1, 1).mapInArrow(run, SUMMARY_SCHEMA).collect()[0]
    return GraphFiles(str(space.path / "graph")), GraphSummary(**row.asDict())


def _finish_layout(
    space: Workspace,
    ids: RankedIds,
    built: tuple[GraphFiles, GraphSummary],
    edges: EdgeCounts,
    *,
    directed: bool,
    clock: PhaseClock,
) -> GraphLayout:
    files, summary = built
    numbered = space.materialize(_with_vertex_numbers(ids.rows, files), "vertices")
    clock.stop("build")
    return GraphLayout(
        space.spark,
        files,
        numbered,
        summary,
        edges,
        directed,
        space.workers,
        space.materialize,
        clock.seconds,
    )


def _with_vertex_numbers(ids: DataFrame, files: GraphFiles) -> DataFrame:
    """(id, v): ranks looked up in the file that the build wrote."""

    def look_up(batches: Iterator[Any]) -> Iterator[Any]:
        position = np.load(files.path() / "position.npy", mmap_mode="r")
        for batch in batches:
            v = position[batch.column(1).to_numpy()]
            yield pa.RecordBatch.from_arrays([batch.column(0), pa.array(v, pa.int32())], names=["id", "v"])

    schema = T.StructType([ids.schema["id"], T.StructField("v", T.IntegerType())])
    return ids.mapInArrow(look_up, schema)
