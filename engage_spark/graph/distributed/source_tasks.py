"""Sum Brandes' dependencies over all sources or a sample of them in Spark tasks.

Sums are taken in fixed point, so they have the same bits however the sources are split.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from engage_spark.graph.distributed.build_task import Core, load_core
from engage_spark.graph.distributed.resources import predict_core_seconds
from engage_spark.graph.distributed.task_batches import count_tasks, number_batches, to_arrow_batches
from engage_spark.graph.kernels.brandes import (
    Precision,
    batch_order,
    dependencies,
    exponent_of_squares,
    exponent_of_sums,
)
from engage_spark.numerics import fixed_point, random_draws
from engage_spark.numerics.dtypes import I64
from engage_spark.numerics.jit import kernel

if TYPE_CHECKING:
    from engage_spark.graph.distributed.layout import GraphLayout


_SOURCES = 0x5BD1E995  # keeps the sources' random numbers apart from those of paths of the same seed


def sample_sources(n: int, count: int, seed: int) -> I64:
    """Draw `count` different vertices out of n, ascending: each set of that size is equally likely.

    The sample is a function of the arguments alone.
    Cost: time and memory of the order of `count`.
    """
    if count >= n:
        return np.arange(n, dtype=np.int64)
    if 2 * count > n:
        left_out = sample_sources(n, n - count, seed)
        return np.setdiff1d(np.arange(n, dtype=np.int64), left_out, assume_unique=True)
    sources: set[int] = set()
    first = 0
    while len(sources) < count:
        drawn = _draw_vertices(np.uint64(seed & 0xFFFFFFFFFFFFFFFF), n, first, 2 * count)
        first += len(drawn)
        for v in drawn.tolist():
            if len(sources) == count:
                break
            sources.add(v)
    return np.array(sorted(sources), dtype=np.int64)


@kernel
def _draw_vertices(seed: np.uint64, n: int, first: int, count: int) -> I64:
    out = np.empty(count, dtype=np.int64)
    state = random_draws.stream(seed, np.uint64(_SOURCES))
    for i in range(count):
        out[i] = random_draws.below(random_draws.draw(state, np.uint64(first + i + 1)), np.uint64(n))
    return out


class DependencyAccumulator:
    """The sums of one task.

    `sampled`: sources are vertices of the given graph, each counting once; else vertices of the core, each
    counting as often as the vertices that it stands for.
    """

    def __init__(self, core: Core, *, n: int, sampled: bool, precision: Precision) -> None:
        self.core, self.sampled, self.precision = core, sampled, precision
        self.exponents = [exponent_of_sums(n), *([exponent_of_squares(n)] if sampled else [])]
        self.sums = [np.zeros(core.csr.n, dtype=np.int64) for _ in range(2 * len(self.exponents))]

    def add(self, sources: I64) -> None:
        """Add the dependencies of one batch of sources.

        The sum of a batch is rounded to fixed point once, so a batch is the same wherever it is added.
        """
        source_weight = None
        if self.sampled:
            # A source that was removed with its tree sees the core from where the tree hung; one whose
            # component is a tree sees none of it.
            sources = sources if self.core.core_of is None else self.core.core_of[sources]
            sources = sources[sources >= 0]
            source_weight = np.ones(len(sources))
        sums = dependencies(
            self.core.csr,
            sources,
            precision=self.precision,
            vertex_weight=self.core.vertex_weight,
            source_weight=source_weight,
            squares=self.sampled,
        )
        for i, values in enumerate([sums.total, *([sums.squares] if self.sampled else [])]):
            limbs = fixed_point.to_limbs(values, self.exponents[i])
            self.sums[2 * i], self.sums[2 * i + 1] = fixed_point.carry(
                self.sums[2 * i] + limbs[0], self.sums[2 * i + 1] + limbs[1]
            )

    def order_sources(self, sources: I64) -> I64:
        """Order the sources so that similar ones share a batch (see `batch_order`).

        Those that see none of the core come last.
        """
        seen_from = sources if not self.sampled or self.core.core_of is None else self.core.core_of[sources]
        if self.core.csr.weights is not None:
            return sources
        inside = np.flatnonzero(seen_from >= 0)
        order = inside[batch_order(self.core.csr, seen_from[inside])]
        return np.concatenate([sources[order], sources[seen_from < 0]])

    def rows(self) -> tuple[I64, list[I64]]:
        """Return the vertices of the given graph with a sum above zero, and their limbs."""
        nonzero = np.flatnonzero((self.sums[0] | self.sums[1]) != 0)
        limbs = [s[nonzero] for s in self.sums]
        return nonzero if self.core.original is None else np.asarray(self.core.original[nonzero]), limbs


def dependency_sums(
    layout: GraphLayout, *, sources: int | None, seed: int, batch: int, precision: Precision
) -> DataFrame:
    """Sum (v, hi, lo[, squares_hi, squares_lo]) over all sources of the core (None) or a sample of the graph.

    Squares are summed for a sample only.
    Grain: one row per vertex with a sum above zero.
    Cost: one job when it is read, of at most 8 tasks per core; each task hands back up to n rows, which one
    shuffle adds up.
    """
    n, sampled, files = layout.n, sources is not None, layout.files
    count = layout.summary.core if sources is None else min(sources, n)
    names = ["hi", "lo", *(["squares_hi", "squares_lo"] if sampled else [])]

    def add_up(batches: Iterator[Any]) -> Iterator[Any]:
        core = load_core(files.path())
        vertices = sample_sources(n, count, seed) if sampled else np.arange(count, dtype=np.int64)
        accumulator = DependencyAccumulator(core, n=n, sampled=sampled, precision=precision)
        vertices = accumulator.order_sources(vertices)
        for rows in batches:
            for number in rows.column(0).to_pylist():
                accumulator.add(vertices[number * batch : (number + 1) * batch])
        v, limbs = accumulator.rows()
        yield from to_arrow_batches(v, dict(zip(names, limbs, strict=True)))

    batches = -(-count // batch)
    seconds = predict_core_seconds(layout.summary, count, weighted=layout.weighted)
    tasks = count_tasks(layout.workers.cores, batches, seconds=seconds)
    schema = ", ".join(["v int", *(f"{name} bigint" for name in names)])
    rows = number_batches(layout.spark, batches, tasks).mapInArrow(add_up, schema)
    return rows.groupBy("v").agg(*(F.sum(name).alias(name) for name in names))
