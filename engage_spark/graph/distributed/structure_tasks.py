"""The kernels of structure, community and circles as Spark tasks over a graph that is laid out, and their
results as columns.

What needs the whole graph at once (components, cores, PageRank, communities) is a task each: a few passes
over the arcs. What each vertex needs its own circle for (triangles, ego-betweenness) is the expensive part;
it is cut into several tasks a core, task i of k taking the vertices i, i + k, i + 2k, …, so that the hubs,
which have the low numbers, are shared out. No value depends on how many tasks there are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from engage_spark.graph.distributed.layout import GraphLayout

if TYPE_CHECKING:
    from engage_spark.graph.kernels.csr import Csr

TASKS_A_CORE = 8
_SLICE = 1 << 16
_SCHEMA = "v int, measure string, first double, second double"


class Found(NamedTuple):
    """What a unit of work gives: one or two numbers for each of some vertices, as arrays. `vertices` None:
    all of them.
    """

    measure: str
    vertices: Any
    first: Any
    second: Any = None


Unit = Callable[["Csr"], Found]


def to_structure(layout: GraphLayout, *, seed: int) -> DataFrame:
    """Every vertex of an undirected graph with its place in it. Grain: one row per vertex, `id` of the
    caller's type. Never null.

    core_number, component, component_size, community, community_size, triangles (bigint), pagerank,
    ego_betweenness (share of the pairs of neighbours), clustering (double). Labels are numbered from 0 by
    descending size. `seed` decides the order in which communities are looked for. Cost: one job when it is
    read: 4 tasks of some passes over the arcs, 8 a core for the circles (see `local`), a shuffle of 5 narrow
    rows per vertex, a join with the ids. Working memory of a task: 80 bytes per vertex at most, see each
    kernel.
    """
    circles = max(1, min(layout.n, TASKS_A_CORE * layout.workers.cores))
    units: list[Unit] = [partial(_community, seed=seed), _pagerank, _core, _component]
    units += [partial(_circles, start=i, step=circles) for i in range(circles)]
    whole = {
        "core_number": ("core", "first"), "degree": ("core", "second"), "component": ("component", "first"),
        "component_size": ("component", "second"), "community": ("community", "first"), "community_size": ("community", "second"),
        "triangles": ("circle", "first"),
    }  # fmt: skip
    real = {"pagerank": ("pagerank", "first"), "ego_betweenness": ("circle", "second")}
    pairs = F.col("degree") * (F.col("degree") - 1) / F.lit(2.0)
    clustering = F.when(F.col("degree") > 1, F.col("triangles") / pairs).otherwise(F.lit(0.0))
    values = _wide(_run(layout, units), whole, real).withColumn("clustering", clustering).drop("degree")
    return layout.vertices.join(values, on="v", how="inner").drop("v")


def to_follows(layout: GraphLayout) -> DataFrame:
    """Every vertex of a directed graph with its arcs. Grain: one row per vertex.

    follows_out, follows_in (bigint), follows_pagerank (double), never null; follows_reciprocity (double),
    null for a vertex without arcs. Cost: one job when it is read: 3 tasks, a shuffle of 3 narrow rows per
    vertex, a join with the ids.
    """
    whole = {"follows_out": ("arcs", "first"), "follows_in": ("arcs", "second")}
    real = {"follows_pagerank": ("pagerank", "first"), "follows_reciprocity": ("reciprocity", "first")}
    values = _wide(_run(layout, [_pagerank, _reciprocity, _arcs]), whole, real)
    return layout.vertices.join(values, on="v", how="inner").drop("v")


def _community(csr: Csr, *, seed: int) -> Found:
    from engage_spark.graph.kernels.community import communities
    from engage_spark.graph.kernels.structure import group_sizes

    labels = communities(csr, seed=seed)
    return Found("community", None, labels, group_sizes(labels))


def _component(csr: Csr) -> Found:
    from engage_spark.graph.kernels.structure import components, group_sizes

    labels = components(csr)
    return Found("component", None, labels, group_sizes(labels))


def _core(csr: Csr) -> Found:
    from engage_spark.graph.kernels.structure import core_numbers

    return Found("core", None, core_numbers(csr), csr.degrees)


def _pagerank(csr: Csr) -> Found:
    from engage_spark.graph.kernels.structure import pagerank

    return Found("pagerank", None, pagerank(csr))


def _reciprocity(csr: Csr) -> Found:
    from engage_spark.graph.kernels.structure import returned_share

    return Found("reciprocity", None, returned_share(csr))


def _arcs(csr: Csr) -> Found:
    import numpy as np

    return Found("arcs", None, csr.degrees, np.diff(csr.into[0]))


def _circles(csr: Csr, *, start: int, step: int) -> Found:
    import numpy as np

    from engage_spark.graph.kernels.ego_network import circles, normalised

    vertices = np.arange(start, csr.n, step, dtype=np.int64)
    triangles, ego = circles(csr, vertices)
    return Found("circle", vertices, triangles, normalised(ego, csr.degrees[vertices]))


def _run(layout: GraphLayout, units: list[Unit]) -> DataFrame:
    """(v, measure, first, second): each unit of work is a task, the first ones start first."""
    place = layout.place

    def run(batches: Iterator[Any]) -> Iterator[Any]:
        for batch in batches:
            for number in batch.column(0).to_pylist():
                yield from _rows(units[number](place.csr()))

    return layout.spark.range(0, len(units), 1, len(units)).mapInArrow(run, _SCHEMA)


def _rows(found: Found) -> Iterator[Any]:
    import numpy as np
    import pyarrow as pa

    for at in range(0, len(found.first), _SLICE):
        end = min(at + _SLICE, len(found.first))
        v = np.arange(at, end) if found.vertices is None else found.vertices[at:end]
        columns = [
            pa.array(v.astype(np.int32)),
            pa.array([found.measure] * (end - at), pa.string()),
            *(
                pa.nulls(end - at, pa.float64())
                if x is None
                else pa.array(x[at:end], from_pandas=True).cast(pa.float64())
                for x in found[2:]
            ),
        ]
        yield pa.RecordBatch.from_arrays(columns, names=["v", "measure", "first", "second"])


def _numbers(values: Any, start: int, end: int) -> Any:
    """Doubles; NaN and what is not given become null."""
    import pyarrow as pa

    return (
        pa.nulls(end - start, pa.float64())
        if values is None
        else pa.array(values[start:end], from_pandas=True).cast(pa.float64())
    )


def _wide(long: DataFrame, whole: dict[str, tuple[str, str]], real: dict[str, tuple[str, str]]) -> DataFrame:
    """One row per v; whole numbers as bigint. Each vertex has each measure once, so `max` only picks it."""

    def pick(measure: str, column: str) -> Column:
        return F.max(F.when(F.col("measure") == measure, F.col(column)))

    return long.groupBy("v").agg(
        *(pick(*where).cast("bigint").alias(name) for name, where in whole.items()),
        *(pick(*where).alias(name) for name, where in real.items()),
    )
