"""Sums of dependencies over all sources or a sample, by Spark's tasks, in fixed point: the same bits however
they are split.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from engage_spark.graph.distributed.build_task import Core
from engage_spark.graph.distributed.resources import core_seconds
from engage_spark.graph.kernels.brandes import batch_order, dependencies
from engage_spark.numerics import fixed_point, random_draws
from engage_spark.numerics.dtypes import I64
from engage_spark.numerics.jit import kernel

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from engage_spark.graph.distributed.layout import GraphLayout

Precision = Literal["float64", "float32"]

_SOURCES = 0x5BD1E995  # keeps the sources' random numbers apart from those of paths of the same seed


def chosen_sources(n: int, count: int, seed: int) -> I64:
    """`count` different vertices out of n, ascending: each set of that size is equally likely. A function of
    its arguments alone.

    Cost: time and memory of the order of `count`.
    """
    if count >= n:
        return np.arange(n, dtype=np.int64)
    if 2 * count > n:
        left_out = chosen_sources(n, n - count, seed)
        return np.setdiff1d(np.arange(n, dtype=np.int64), left_out, assume_unique=True)
    chosen: set[int] = set()
    first = 0
    while len(chosen) < count:
        drawn = _draws(np.uint64(seed & 0xFFFFFFFFFFFFFFFF), n, first, 2 * count)
        first += len(drawn)
        for v in drawn.tolist():
            if len(chosen) == count:
                break
            chosen.add(v)
    return np.array(sorted(chosen), dtype=np.int64)


@kernel
def _draws(seed: np.uint64, n: int, first: int, count: int) -> I64:
    out = np.empty(count, dtype=np.int64)
    state = random_draws.stream(seed, np.uint64(_SOURCES))
    for i in range(count):
        out[i] = random_draws.below(random_draws.draw(state, np.uint64(first + i + 1)), np.uint64(n))
    return out


class Sums:
    """A task's own sums. `sampled`: sources are vertices of the whole graph, each counting once; else the
    core's, as often as they stand for.
    """

    def __init__(self, core: Core, *, n: int, sampled: bool, precision: Precision) -> None:
        self.core, self.sampled, self.precision = core, sampled, precision
        self.exponents = [exponent_of_sums(n), *([exponent_of_squares(n)] if sampled else [])]
        self.sums = [np.zeros(core.csr.n, dtype=np.int64) for _ in range(2 * len(self.exponents))]

    def add(self, sources: I64) -> None:
        """Add one batch. Its sum is rounded to fixed point once, so batches are the same wherever they are
        added.
        """
        times = None
        if self.sampled:
            # A source that was folded away sees the core from where it hung; one whose component is a tree
            # sees none of it.
            sources = sources if self.core.core_of is None else self.core.core_of[sources]
            sources = sources[sources >= 0]
            times = np.ones(len(sources))
        found = dependencies(
            self.core.csr,
            sources,
            precision=self.precision,
            vertex_weight=self.core.vertex_weight,
            source_weight=times,
            squares=self.sampled,
        )
        for i, values in enumerate([found.total, *([found.squares] if self.sampled else [])]):
            limbs = fixed_point.to_limbs(values, self.exponents[i])
            self.sums[2 * i], self.sums[2 * i + 1] = fixed_point.carry(
                self.sums[2 * i] + limbs[0], self.sums[2 * i + 1] + limbs[1]
            )

    def in_order(self, sources: I64) -> I64:
        """The sources in an order that puts alike ones into one batch (`batch_order`), and last those that
        see none of the core.
        """
        seen = sources if not self.sampled or self.core.core_of is None else self.core.core_of[sources]
        if self.core.csr.weights is not None:
            return sources
        inside = np.flatnonzero(seen >= 0)
        order = inside[batch_order(self.core.csr, seen[inside])]
        return np.concatenate([sources[order], sources[seen < 0]])

    def rows(self) -> tuple[I64, list[I64]]:
        """The whole graph's vertices with a sum above zero, and their limbs."""
        some = np.flatnonzero((self.sums[0] | self.sums[1]) != 0)
        return some if self.core.original is None else np.asarray(self.core.original[some]), [
            s[some] for s in self.sums
        ]


def exponent_of_sums(n: int) -> int:
    """Sums of dependencies are at most n^2."""
    return fixed_point.exponent(float(n) ** 2)


def exponent_of_squares(n: int) -> int:
    """Sums of their squares are at most n^3."""
    return fixed_point.exponent(float(n) ** 3)


def dependency_sums(
    layout: GraphLayout, *, sources: int | None, seed: int, batch: int, precision: Precision
) -> DataFrame:
    """(v, hi, lo[, squares_hi, squares_lo]): sums over all sources of the core (None), or over a sample of
    the graph's, with squares.

    One row per vertex with a sum above zero. One job when it is read, of at most 8 tasks a core; each task
    hands back up to n rows, which one shuffle adds up.
    """
    from pyspark.sql import functions as F

    from engage_spark.graph.distributed.path_tasks import batches_in, emit, tasks_for

    n, sampled, place = layout.n, sources is not None, layout.place
    count = layout.built.core if sources is None else min(sources, n)
    names = ["hi", "lo", *(["squares_hi", "squares_lo"] if sampled else [])]

    def add_up(batches: Iterator[Any]) -> Iterator[Any]:
        from engage_spark.graph.distributed.build_task import load_core

        core = load_core(place.path())
        chosen = chosen_sources(n, count, seed) if sampled else np.arange(count, dtype=np.int64)
        sums = Sums(core, n=n, sampled=sampled, precision=precision)
        chosen = sums.in_order(chosen)
        for rows in batches:
            for number in rows.column(0).to_pylist():
                sums.add(chosen[number * batch : (number + 1) * batch])
        v, limbs = sums.rows()
        yield from emit(v, dict(zip(names, limbs, strict=True)))

    batches = -(-count // batch)
    seconds = core_seconds(layout.built, count, weighted=layout.weighted)
    schema = ", ".join(["v int", *(f"{name} bigint" for name in names)])
    rows = batches_in(
        layout.spark, batches, tasks_for(layout.workers.cores, batches, seconds=seconds)
    ).mapInArrow(add_up, schema)
    return rows.groupBy("v").agg(*(F.sum(name).alias(name) for name in names))
