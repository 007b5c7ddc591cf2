"""From edges in a DataFrame to arrays that every worker maps into memory.

Ids become dense numbers in two steps. Spark ranks the distinct ids by (a hash's bucket, id): the buckets are
windows of their own, their counts are added up on the driver (1,024 numbers), and the rank does not depend on
any partitioning. Then one task builds the graph from the numbered edges and renumbers it by (degree
descending, rank), so that the vertices that every search touches lie together. Parallel edges are merged
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
from pyspark.sql.window import Window

from engage_spark.errors import InputError
from engage_spark.graph.distributed.build_task import BUILT_SCHEMA, Built, assemble
from engage_spark.graph.distributed.resources import graph_need, refuse_what_will_not_fit
from engage_spark.graph.distributed.validate_edges import Edges, judged_edges
from engage_spark.graph.distributed.workspace import (
    GraphFiles,
    Materialise,
    Workers,
    Workspace,
    as_artifacts,
    refuse_as_artifact,
    workspace,
)
from engage_spark.graph.kernels.brandes import worker_bytes
from engage_spark.spark.compat import to_arrow

_BUCKETS = 1024


@dataclass(frozen=True)
class GraphLayout:
    """A graph laid out for the workers. `vertices` (id, v) has one row per vertex: the caller's id and the
    dense number, hubs first.
    """

    spark: SparkSession
    place: GraphFiles
    vertices: DataFrame
    built: Built
    given: Edges
    directed: bool
    workers: Workers
    keep: Materialise
    seconds: dict[str, float] = field(default_factory=dict)

    @property
    def n(self) -> int:
        return self.built.n

    @property
    def m(self) -> int:
        """Edges (directed: arcs) without loops, parallel ones counted once."""
        return self.built.m

    @property
    def multi_edges(self) -> int:
        """Edges beyond the first between the same two vertices (directed: in the same direction)."""
        return self.given.count - self.given.self_loops - self.m

    @property
    def weighted(self) -> bool:
        return self.given.quantum is not None


@contextmanager
def open_layout(
    edges: DataFrame,
    *,
    vertices: DataFrame | None = None,
    weight: str | None = None,
    directed: bool = False,
    quantum: float | None = None,
    directory: str | None = None,
    materialise: Materialise | None = None,
    memory: int | None = None,
    artifacts: bool = False,
) -> Iterator[GraphLayout]:
    """Lay out `edges` (src, dst) for the block; the files are gone after it, `vertices` stays.

    `vertices` (id) adds isolated ones, and then an edge to an id that is not among them is refused. For
    `weight` and `quantum` see `judged_edges`, for `directory`, `materialise` and `artifacts` see
    `place.workspace`. Cost: the edges are scanned three times (twice with `vertices`) and joined twice with
    the ids; the build is one task, 8 bytes per edge read and written. On the driver: a few numbers per
    partition; the numbered edges only where the graph travels as an artifact (at most 512 MB). Raises
    InputError for edges that make no graph, ConfigurationError when it will not fit `memory` bytes per host
    or finds no place.
    """
    started = time.monotonic()
    judged = judged_edges(edges, vertices=vertices, weight=weight, quantum=quantum)
    seconds = {"judge": time.monotonic() - started}
    with workspace(
        edges.sparkSession, directory=directory, materialise=materialise, artifacts=artifacts
    ) as space:
        seconds["workers"] = time.monotonic() - started - sum(seconds.values())
        ids, n = _ranked(judged, space)
        worker = max(
            worker_bytes(n, precision, weighted=weight is not None) for precision in ("float32", "float64")
        )
        need = graph_need(
            n=n,
            edges=judged.count,
            directed=directed,
            weighted=weight is not None,
            worker=worker,
            workers=space.workers.per_host,
        )
        refuse_what_will_not_fit(need, n=n, edges=judged.count, memory=memory, host=space.workers.memory)
        if not space.shared:
            refuse_as_artifact(need.csr)  # before anything of it comes to the driver
        seconds["ids"] = time.monotonic() - started - sum(seconds.values())
        place, built = _build(judged, ids, n, space, directed=directed)
        numbered = space.keep(_numbered(ids, place), "vertices")
        seconds["build"] = time.monotonic() - started - sum(seconds.values())
        yield GraphLayout(
            edges.sparkSession, place, numbered, built, judged, directed, space.workers, space.keep, seconds
        )


def _ranked(judged: Edges, space: Workspace) -> tuple[DataFrame, int]:
    """(id, rank) of every distinct id, and how many there are. Raises InputError for null ids among the
    vertices.
    """
    given = judged.vertices
    ids = judged.rows.select(F.explode(F.array("src", "dst")).alias("id")) if given is None else given
    bucketed = ids.distinct().withColumn("bucket", F.pmod(F.xxhash64("id"), F.lit(_BUCKETS)).cast("int"))
    within = F.row_number().over(Window.partitionBy("bucket").orderBy("id"))
    kept = space.keep(bucketed.withColumn("place", within), "ids")
    counts = (
        kept.groupBy("bucket")
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
    return kept.select(
        "id", (before[F.col("bucket")] + F.col("place") - 1).cast("int").alias("rank")
    ), offsets[-1]


def _build(
    judged: Edges, ids: DataFrame, n: int, space: Workspace, *, directed: bool
) -> tuple[GraphFiles, Built]:
    sources = ids.select(F.col("id").alias("src"), F.col("rank").alias("u"))
    targets = ids.select(F.col("id").alias("dst"), F.col("rank").alias("v"))
    lengths = ["length"] if judged.quantum is not None else []
    numbered = (
        judged.rows.join(sources, "src", "left").join(targets, "dst", "left").select("u", "v", *lengths)
    )
    pieces = space.path / "pieces"
    pieces.mkdir()
    try:
        if space.shared:
            counts = _write_pieces(numbered, str(pieces), weighted=bool(lengths))
        else:
            counts = _fetch(numbered, pieces, weighted=bool(lengths))
        _refuse_unknown(judged, ids, counts)
        names = sorted(name for name, *_ in counts)
        if space.shared:
            built = _assemble_in_a_task(space, names, n, weighted=bool(lengths), directed=directed)
            return GraphFiles(str(space.path / "graph")), built
        built = assemble(pieces, names, n, space.path / "graph", weighted=bool(lengths), directed=directed)
        return as_artifacts(space.spark, space.path / "graph"), built
    finally:
        shutil.rmtree(pieces, ignore_errors=True)


def _write_pieces(numbered: DataFrame, directory: str, *, weighted: bool) -> list[tuple[str, int, int]]:
    """Each task appends its edges to raw files of its own, so that nothing is held. A retried task writes new
    files; those are not named in any row and not read.
    """

    def write(batches: Iterator[Any]) -> Iterator[Any]:
        name = uuid.uuid4().hex
        rows, unknown = _append(batches, Path(directory), name, weighted=weighted)
        yield pa.RecordBatch.from_pylist([{"name": name, "rows": rows, "unknown": unknown}])

    return [
        tuple(row) for row in numbered.mapInArrow(write, "name string, rows bigint, unknown bigint").collect()
    ]


def _fetch(numbered: DataFrame, directory: Path, *, weighted: bool) -> list[tuple[str, int, int]]:
    """The one thing that grows with the graph and passes through the driver: numbered edges of a graph that
    is to travel as an artifact.
    """
    name = uuid.uuid4().hex
    rows, unknown = _append(to_arrow(numbered).to_batches(), directory, name, weighted=weighted)
    return [(name, rows, unknown)]


def _append(batches: Any, directory: Path, name: str, *, weighted: bool) -> tuple[int, int]:
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


def _refuse_unknown(judged: Edges, ids: DataFrame, counts: list[tuple[str, int, int]]) -> None:
    written, unknown = sum(c[1] for c in counts), sum(c[2] for c in counts)
    if unknown:
        ends = judged.rows.select(F.explode(F.array("src", "dst")).alias("id")).join(ids, "id", "left_anti")
        first = [str(row["id"]) for row in ends.distinct().orderBy("id").limit(5).collect()]
        raise InputError(
            f"{unknown} of {judged.count} edges lead to ids that are not among the vertices, the first {', '.join(first)}",
            hint="leave these edges out, or add their ids to vertices(id)",
        )
    if written != judged.count:
        raise InputError(
            f"the edges had {judged.count} rows when they were counted and {written} when they were read again",
            hint="write edges that are made anew each time (limit, sample, rand) to a table first",
        )


def _assemble_in_a_task(
    space: Workspace, names: list[str], n: int, *, weighted: bool, directed: bool
) -> Built:
    here = str(space.path)

    def build(batches: Iterator[Any]) -> Iterator[Any]:
        for _ in batches:
            pass
        built = assemble(
            Path(here) / "pieces", names, n, Path(here) / "graph", weighted=weighted, directed=directed
        )
        yield pa.RecordBatch.from_pylist([built._asdict()])

    row = space.spark.range(0, 1, 1, 1).mapInArrow(build, BUILT_SCHEMA).collect()[0]
    return Built(**row.asDict())


def _numbered(ids: DataFrame, place: GraphFiles) -> DataFrame:
    """(id, v): ranks looked up in the file that the build left."""
    from pyspark.sql import types as T

    def look_up(batches: Iterator[Any]) -> Iterator[Any]:
        position = np.load(place.path() / "position.npy", mmap_mode="r")
        for batch in batches:
            v = position[batch.column(1).to_numpy()]
            yield pa.RecordBatch.from_arrays([batch.column(0), pa.array(v, pa.int32())], names=["id", "v"])

    schema = T.StructType([ids.schema["id"], T.StructField("v", T.IntegerType())])
    return ids.mapInArrow(look_up, schema)
