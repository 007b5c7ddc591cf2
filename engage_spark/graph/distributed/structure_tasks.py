"""Measure structure, communities and ego networks of a laid-out graph in Spark tasks.

What needs the entire graph at once (components, cores, PageRank, communities) is one task each: a few passes
over the arcs. What each vertex needs its own ego network for (triangles, ego-betweenness) is the expensive
part. It is cut into several tasks per core: task i of k takes the vertices i, i + k, i + 2k, …, so that the
hubs, which have the low numbers, are shared out. No value depends on how many tasks there are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pyarrow as pa
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from engage_spark.graph.distributed.layout import GraphLayout
from engage_spark.graph.distributed.task_batches import ROWS_PER_BATCH, TASKS_PER_CORE, number_batches

if TYPE_CHECKING:
    from engage_spark.graph.kernels.csr import Csr

_SCHEMA = "v int, measure string, first double, second double"


class VertexValues(NamedTuple):
    """Result of a unit of work: one or two numbers for each of some vertices, as arrays."""

    measure: str
    vertices: Any
    """None: all of them."""
    first: Any
    second: Any = None


Unit = Callable[["Csr"], VertexValues]


def to_structure(layout: GraphLayout, *, seed: int) -> DataFrame:
    """Measure the position of every vertex in an undirected graph.

    Returns core_number, component, component_size, community, community_size, triangles (bigint), pagerank,
    ego_betweenness (share of the pairs of neighbours), clustering (double). Labels are numbered from 0 by
    descending size. `seed` decides the order in which communities are looked for.

    Grain: one row per vertex, `id` of the caller's type.
    Nulls: none.
    Cost: one job when it is read: 4 tasks of some passes over the arcs, 8 per core for the ego networks (see
    `kernels.ego_network`), a shuffle of 5 narrow rows per vertex, a join with the ids. Working memory of a
    task: 80 bytes per vertex at most, see each kernel.
    """
    parts = max(1, min(layout.n, TASKS_PER_CORE * layout.workers.cores))
    units: list[Unit] = [partial(_community, seed=seed), _pagerank, _core, _component]
    units += [partial(_ego_networks, start=i, step=parts) for i in range(parts)]
    integers = {
        "core_number": ("core", "first"),
        "degree": ("core", "second"),
        "component": ("component", "first"),
        "component_size": ("component", "second"),
        "community": ("community", "first"),
        "community_size": ("community", "second"),
        "triangles": ("ego_network", "first"),
    }
    doubles = {"pagerank": ("pagerank", "first"), "ego_betweenness": ("ego_network", "second")}
    pairs = F.col("degree") * (F.col("degree") - 1) / F.lit(2.0)
    clustering = F.when(F.col("degree") > 1, F.col("triangles") / pairs).otherwise(F.lit(0.0))
    values = _to_wide(_run_tasks(layout, units), integers, doubles)
    values = values.withColumn("clustering", clustering).drop("degree")
    return layout.vertices.join(values, on="v", how="inner").drop("v")


def to_follows(layout: GraphLayout) -> DataFrame:
    """Measure the arcs of every vertex of a directed graph.

    Returns follows_out, follows_in (bigint), follows_pagerank and follows_reciprocity (double).

    Grain: one row per vertex.
    Nulls: follows_reciprocity is null for a vertex without arcs; nothing else is.
    Cost: one job when it is read: 3 tasks, a shuffle of 3 narrow rows per vertex, a join with the ids.
    """
    integers = {"follows_out": ("arcs", "first"), "follows_in": ("arcs", "second")}
    doubles = {"follows_pagerank": ("pagerank", "first"), "follows_reciprocity": ("reciprocity", "first")}
    values = _to_wide(_run_tasks(layout, [_pagerank, _reciprocity, _arcs]), integers, doubles)
    return layout.vertices.join(values, on="v", how="inner").drop("v")


def _community(csr: Csr, *, seed: int) -> VertexValues:
    from engage_spark.graph.kernels.community import communities
    from engage_spark.graph.kernels.structure import group_sizes

    labels = communities(csr, seed=seed)
    return VertexValues("community", None, labels, group_sizes(labels))


def _component(csr: Csr) -> VertexValues:
    from engage_spark.graph.kernels.structure import components, group_sizes

    labels = components(csr)
    return VertexValues("component", None, labels, group_sizes(labels))


def _core(csr: Csr) -> VertexValues:
    from engage_spark.graph.kernels.structure import core_numbers

    return VertexValues("core", None, core_numbers(csr), csr.degrees)


def _pagerank(csr: Csr) -> VertexValues:
    from engage_spark.graph.kernels.structure import pagerank

    return VertexValues("pagerank", None, pagerank(csr))


def _reciprocity(csr: Csr) -> VertexValues:
    from engage_spark.graph.kernels.structure import reciprocity

    return VertexValues("reciprocity", None, reciprocity(csr))


def _arcs(csr: Csr) -> VertexValues:
    return VertexValues("arcs", None, csr.degrees, np.diff(csr.into[0]))


def _ego_networks(csr: Csr, *, start: int, step: int) -> VertexValues:
    from engage_spark.graph.kernels.ego_network import measure_ego_networks, normalised

    vertices = np.arange(start, csr.n, step, dtype=np.int64)
    triangles, ego_betweenness = measure_ego_networks(csr, vertices)
    shares = normalised(ego_betweenness, csr.degrees[vertices])
    return VertexValues("ego_network", vertices, triangles, shares)


def _run_tasks(layout: GraphLayout, units: list[Unit]) -> DataFrame:
    """(v, measure, first, second): each unit of work is a task, the first ones start first."""
    files = layout.files

    def run(batches: Iterator[Any]) -> Iterator[Any]:
        for batch in batches:
            for number in batch.column(0).to_pylist():
                yield from _to_batches(units[number](files.csr()))

    return number_batches(layout.spark, len(units), len(units)).mapInArrow(run, _SCHEMA)


def _to_batches(values: VertexValues) -> Iterator[Any]:
    for start in range(0, len(values.first), ROWS_PER_BATCH):
        end = min(start + ROWS_PER_BATCH, len(values.first))
        v = np.arange(start, end) if values.vertices is None else values.vertices[start:end]
        columns = [
            pa.array(v.astype(np.int32)),
            pa.array([values.measure] * (end - start), pa.string()),
            _doubles(values.first, start, end),
            _doubles(values.second, start, end),
        ]
        yield pa.RecordBatch.from_arrays(columns, names=["v", "measure", "first", "second"])


def _doubles(values: Any, start: int, end: int) -> Any:
    """Return a slice as doubles; NaN, and values that were not measured, become null."""
    if values is None:
        return pa.nulls(end - start, pa.float64())
    return pa.array(values[start:end], from_pandas=True).cast(pa.float64())


def _to_wide(
    long: DataFrame, integers: dict[str, tuple[str, str]], doubles: dict[str, tuple[str, str]]
) -> DataFrame:
    """One row per v; integers as bigint. Each vertex has each measure once, so `max` only picks it."""

    def pick(measure: str, column: str) -> Column:
        return F.max(F.when(F.col("measure") == measure, F.col(column)))

    return long.groupBy("v").agg(
        *(pick(*source).cast("bigint").alias(name) for name, source in integers.items()),
        *(pick(*source).alias(name) for name, source in doubles.items()),
    )
