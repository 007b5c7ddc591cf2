"""Lay out the edges of a DataFrame as arrays that every worker maps into memory.

Ids become dense numbers in two steps. Spark ranks the distinct ids by (a hash's bucket, id): each bucket is a
window, the buckets' counts are added up on the driver (1,024 numbers), and the rank does not depend on any
partitioning. Then one task builds the graph from the numbered edges and renumbers it by (degree descending,
rank), so that the vertices that every search touches are neighbours in memory. Parallel edges are merged
before degrees are counted, so the numbering, and every sample drawn on it, depends on the simple graph alone.
"""

from __future__ import annotations

import shutil
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql import types as T
from pyspark.sql.window import Window

from engage_spark.errors import InputError
from engage_spark.graph.distributed.build_task import SUMMARY_SCHEMA, GraphSummary, build_graph
from engage_spark.graph.distributed.resources import check_memory, estimate_memory
from engage_spark.graph.distributed.validate_edges import GraphEdges, validate_edges
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
from engage_spark.spark.compat import to_arrow

_BUCKETS = 1024


@dataclass(frozen=True)
class GraphLayout:
    """A graph laid out for the workers."""

    spark: SparkSession
    files: GraphFiles
    vertices: DataFrame
    """(id, v), one row per vertex: the caller's id and the dense number, hubs first."""
    summary: GraphSummary
    edges: GraphEdges
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
        return self.edges.count - self.edges.self_loops - self.m

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
    `weight` and `length_unit` see `validate_edges`, for `directory`, `materialize` and `artifacts` see
    `open_workspace`.

    Cost: the edges are scanned three times (twice with `vertices`) and joined twice with the ids; the build
    is one task, 8 bytes per edge read and written. On the driver: a few numbers per partition; the numbered
    edges only where the graph travels as an artifact (at most 512 MB).
    Errors: InputError for edges that make no graph; ConfigurationError when the graph will not fit `memory`
    bytes per host, or when the workers share no directory.
    """
    started = time.monotonic()
    validated = validate_edges(edges, vertices=vertices, weight=weight, length_unit=length_unit)
    seconds = {"validation": time.monotonic() - started}
    with open_workspace(
        edges.sparkSession, directory=directory, materialize=materialize, artifacts=artifacts
    ) as space:
        seconds["workers"] = time.monotonic() - started - sum(seconds.values())
        ids, n = _rank_ids(validated, space)
        worker = max(
            worker_bytes(n, precision, weighted=weight is not None) for precision in ("float32", "float64")
        )
        need = estimate_memory(
            n=n,
            edges=validated.count,
            directed=directed,
            weighted=weight is not None,
            worker=worker,
            workers=space.workers.per_host,
        )
        check_memory(need, n=n, edges=validated.count, memory=memory, host=space.workers.memory)
        if not space.shared:
            check_artifact_size(need.csr)  # before anything of it comes to the driver
        seconds["ids"] = time.monotonic() - started - sum(seconds.values())
        files, summary = _build_files(validated, ids, n, space, directed=directed)
        numbered = space.materialize(_with_vertex_numbers(ids, files), "vertices")
        seconds["build"] = time.monotonic() - started - sum(seconds.values())
        yield GraphLayout(
            edges.sparkSession,
            files,
            numbered,
            summary,
            validated,
            directed,
            space.workers,
            space.materialize,
            seconds,
        )


def _rank_ids(edges: GraphEdges, space: Workspace) -> tuple[DataFrame, int]:
    """(id, rank) of every distinct id, and how many there are. Raises InputError for null ids among the
    vertices.
    """
    ids = edges.vertices
    if ids is None:
        ids = edges.rows.select(F.explode(F.array("src", "dst")).alias("id"))
    bucketed = ids.distinct().withColumn("bucket", F.pmod(F.xxhash64("id"), F.lit(_BUCKETS)).cast("int"))
    within = F.row_number().over(Window.partitionBy("bucket").orderBy("id"))
    ranked = space.materialize(bucketed.withColumn("rank_in_bucket", within), "ids")
    counts = (
        ranked.groupBy("bucket")
        .agg(F.count(F.lit(1)).alias("rows"), F.count_if(F.col("id").isNull()).alias("nulls"))
        .collect()
    )
    if any(row["nulls"] for row in counts):
        raise InputError("vertices has null ids", hint="give vertices(id) without nulls")
    sizes = {row["bucket"]: int(row["rows"]) for row in counts}
    offsets = [0]
    for bucket in range(_BUCKETS):
        offsets.append(offsets[-1] + sizes.get(bucket, 0))
    # A string that the optimiser turns into one constant array; a thousand literals would be a thousand
    # expressions.
    before = F.split(F.lit(",".join(map(str, offsets[:-1]))), ",").cast("array<bigint>")
    rank = (before[F.col("bucket")] + F.col("rank_in_bucket") - 1).cast("int")
    return ranked.select("id", rank.alias("rank")), offsets[-1]


def _build_files(
    edges: GraphEdges, ids: DataFrame, n: int, space: Workspace, *, directed: bool
) -> tuple[GraphFiles, GraphSummary]:
    sources = ids.select(F.col("id").alias("src"), F.col("rank").alias("u"))
    targets = ids.select(F.col("id").alias("dst"), F.col("rank").alias("v"))
    lengths = ["length"] if edges.length_unit is not None else []
    numbered = edges.rows.join(sources, "src", "left").join(targets, "dst", "left").select("u", "v", *lengths)
    pieces = space.path / "pieces"
    pieces.mkdir()
    try:
        if space.shared:
            counts = _write_pieces(numbered, str(pieces), weighted=bool(lengths))
        else:
            counts = _fetch_pieces(numbered, pieces, weighted=bool(lengths))
        _check_pieces(edges, ids, counts)
        names = sorted(name for name, *_ in counts)
        if space.shared:
            summary = _build_in_a_task(space, names, n, weighted=bool(lengths), directed=directed)
            return GraphFiles(str(space.path / "graph")), summary
        summary = build_graph(
            pieces,
            names,
            n,
            space.path / "graph",
            weighted=bool(lengths),
            directed=directed,
            threads=space.workers.per_host,
        )
        return send_as_artifacts(space.spark, space.path / "graph"), summary
    finally:
        shutil.rmtree(pieces, ignore_errors=True)


def _write_pieces(numbered: DataFrame, directory: str, *, weighted: bool) -> list[tuple[str, int, int]]:
    """Each task appends its edges to raw files of its own, so that nothing is held in memory. A retried task
    writes new files; those of the first try are not named in any row and not read.
    """

    def write(batches: Iterator[Any]) -> Iterator[Any]:
        name = uuid.uuid4().hex
        rows, unknown = _append_pieces(batches, Path(directory), name, weighted=weighted)
        yield pa.RecordBatch.from_pylist([{"name": name, "rows": rows, "unknown": unknown}])

    return [
        tuple(row) for row in numbered.mapInArrow(write, "name string, rows bigint, unknown bigint").collect()
    ]


def _fetch_pieces(numbered: DataFrame, directory: Path, *, weighted: bool) -> list[tuple[str, int, int]]:
    """Numbered edges of a graph that is to travel as an artifact: the only data that grows with the graph and
    passes through the driver.
    """
    name = uuid.uuid4().hex
    rows, unknown = _append_pieces(to_arrow(numbered).to_batches(), directory, name, weighted=weighted)
    return [(name, rows, unknown)]


def _append_pieces(batches: Any, directory: Path, name: str, *, weighted: bool) -> tuple[int, int]:
    """Append u, v (and lengths) to raw files. How many rows were written, and how many had an id that no
    vertex has.
    """
    rows = unknown = 0
    endings = {"u": np.int32, "v": np.int32} | ({"length": np.int64} if weighted else {})
    files = {ending: (directory / f"{name}.{ending}").open("wb") for ending in endings}
    try:
        for batch in batches:
            nulls = sum(batch.column(i).null_count for i in range(2))
            if nulls:
                unknown += sum(
                    1
                    for pair in zip(batch.column(0).is_null(), batch.column(1).is_null(), strict=True)
                    if any(p.as_py() for p in pair)
                )
                continue
            rows += batch.num_rows
            for i, (ending, kind) in enumerate(endings.items()):
                files[ending].write(
                    batch.column(i).to_numpy(zero_copy_only=False).astype(kind, copy=False).tobytes()
                )
    finally:
        for file in files.values():
            file.close()
    return rows, unknown


def _check_pieces(edges: GraphEdges, ids: DataFrame, counts: list[tuple[str, int, int]]) -> None:
    written, unknown = sum(c[1] for c in counts), sum(c[2] for c in counts)
    if unknown:
        ends = edges.rows.select(F.explode(F.array("src", "dst")).alias("id")).join(ids, "id", "left_anti")
        first = [str(row["id"]) for row in ends.distinct().orderBy("id").limit(5).collect()]
        raise InputError(
            f"{unknown} of {edges.count} edges lead to ids that are not among the vertices, the first "
            f"{', '.join(first)}",
            hint="leave these edges out, or add their ids to vertices(id)",
        )
    if written != edges.count:
        raise InputError(
            f"the edges had {edges.count} rows when they were counted and {written} when they were "
            "read again",
            hint="write edges that are made anew each time (limit, sample, rand) to a table first",
        )


def _build_in_a_task(
    space: Workspace, names: list[str], n: int, *, weighted: bool, directed: bool
) -> GraphSummary:
    directory, threads = str(space.path), space.workers.per_host

    def build(batches: Iterator[Any]) -> Iterator[Any]:
        for _ in batches:
            pass
        root = Path(directory)
        summary = build_graph(
            root / "pieces",
            names,
            n,
            root / "graph",
            weighted=weighted,
            directed=directed,
            threads=threads,
        )
        yield pa.RecordBatch.from_pylist([summary._asdict()])

    row = space.spark.range(0, 1, 1, 1).mapInArrow(build, SUMMARY_SCHEMA).collect()[0]
    return GraphSummary(**row.asDict())


def _with_vertex_numbers(ids: DataFrame, files: GraphFiles) -> DataFrame:
    """(id, v): ranks looked up in the file that the build wrote."""

    def look_up(batches: Iterator[Any]) -> Iterator[Any]:
        position = np.load(files.path() / "position.npy", mmap_mode="r")
        for batch in batches:
            v = position[batch.column(1).to_numpy()]
            yield pa.RecordBatch.from_arrays([batch.column(0), pa.array(v, pa.int32())], names=["id", "v"])

    schema = T.StructType([ids.schema["id"], T.StructField("v", T.IntegerType())])
    return ids.mapInArrow(look_up, schema)
