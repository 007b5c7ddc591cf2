"""The kernels as Spark tasks: each takes a range of batches, adds up in its own memory, and hands back one
row per vertex it found.

What comes back are integers (hits, or fixed-point limbs of dependencies), so their sums are the same whatever
runs where and in which order. A batch's content depends on its number alone, never on how many tasks or cores
there are.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from engage_spark.graph.adaptive_sampling import Pairs

if TYPE_CHECKING:
    from engage_spark.graph.distributed.layout import GraphLayout
    from engage_spark.graph.distributed.workspace import GraphFiles

INTERIOR, UNREACHABLE = -1, -2
"""Rows of `path_hits` that are no vertices: inner vertices in all, and samples whose pair has no path."""
_SLICE = 1 << 16  # rows in an Arrow batch
_SECONDS_PER_PATH = 2e-4  # on a graph large enough for it to matter


def tasks_for(cores: int, batches: int, *, seconds: float) -> int:
    """One task a core, and up to 8 where each still gets a second's work: starting one takes about 0.1 s, so
    a small one is not worth it, but with several a core the last to finish does not keep the others
    waiting long.
    """
    return max(1, min(batches, cores), min(8 * cores, batches, int(seconds)))


def batches_in(spark: SparkSession, batches: int, tasks: int) -> DataFrame:
    """One row per batch, in `tasks` partitions of neighbouring batches."""
    return spark.range(0, batches, 1, tasks)


def emit(v: Any, columns: dict[str, Any]) -> Iterator[Any]:
    """Arrow batches of (v, columns…), none so large that it would be held twice at length."""
    for at in range(0, len(v), _SLICE):
        arrays = [
            pa.array(v[at : at + _SLICE].astype(np.int32)),
            *(pa.array(c[at : at + _SLICE]) for c in columns.values()),
        ]
        yield pa.RecordBatch.from_arrays(arrays, names=["v", *columns])


def path_hits(
    spark: SparkSession, place: GraphFiles, *, seed: int, start: int, count: int, tasks: int
) -> DataFrame:
    """(v, hits) of path samples start..start+count-1, one row per vertex that was hit; v < 0 are totals. One
    job when it is read.
    """
    tasks = max(1, min(tasks, count))

    def sample(batches: Iterator[Any]) -> Iterator[Any]:
        from engage_spark.graph.kernels.path_sampling import sample_paths

        hits, interior, unreachable = None, 0, 0
        for batch in batches:
            for number in batch.column(0).to_pylist():
                first, last = number * count // tasks, (number + 1) * count // tasks
                found = sample_paths(place.csr(), seed=seed, start=start + first, count=last - first)
                hits = found.hits if hits is None else hits + found.hits
                interior, unreachable = interior + found.interior, unreachable + found.unreachable
        if hits is None:
            return
        v = np.flatnonzero(hits)
        yield from emit(
            np.concatenate([v, [INTERIOR, UNREACHABLE]]),
            {"hits": np.concatenate([hits[v], [interior, unreachable]])},
        )

    rows = batches_in(spark, tasks, tasks).mapInArrow(sample, "v int, hits bigint")
    return rows.groupBy("v").agg(F.sum("hits").alias("hits"))


class SparkSampler:
    """Paths sampled by tasks. Counts stay in the cluster; only their histograms come here, whose size follows
    from the samples'.
    """

    def __init__(self, layout: GraphLayout, *, seed: int) -> None:
        self.layout, self.seed = layout, seed
        self.calibrated = self.drawn = 0
        self._calibration: list[DataFrame] = []
        self._hits: list[DataFrame] = []

    def calibrate(self, samples: int) -> tuple[Any, Any]:
        self._calibration.append(
            self._more(self.calibrated, samples - self.calibrated, f"calibration_{samples}")
        )
        self.calibrated = samples
        rows = _vertices(_summed(self._calibration)).groupBy("hits").count().orderBy("hits").collect()
        counts, vertices = (np.array([r[i] for r in rows], dtype=np.int64) for i in range(2))
        rest = self.layout.built.active - int(vertices.sum())
        if rest:
            counts, vertices = np.append(0, counts), np.append(rest, vertices)
        return counts, vertices

    def draw(self, samples: int) -> Pairs:
        self._hits.append(self._more(self.calibrated + self.drawn, samples - self.drawn, f"hits_{samples}"))
        self.drawn = samples
        rows = self.counts().groupBy("calibration", "hits").count().orderBy("calibration", "hits").collect()
        calibration, hits, vertices = (np.array([r[i] for r in rows], dtype=np.int64) for i in range(3))
        rest = self.layout.built.active - int(vertices.sum())
        if rest:
            calibration, hits, vertices = (
                np.append(0, calibration),
                np.append(0, hits),
                np.append(rest, vertices),
            )
        return Pairs(calibration, hits, vertices)

    def counts(self) -> DataFrame:
        """(v, calibration, hits) of every vertex with a hit in either."""
        none = F.lit(0).cast("bigint")
        first = _vertices(_union(self._calibration)).select(
            "v", F.col("hits").alias("calibration"), none.alias("hits")
        )
        second = _vertices(_union(self._hits)).select("v", none.alias("calibration"), "hits")
        return (
            first.unionAll(second)
            .groupBy("v")
            .agg(F.sum("calibration").alias("calibration"), F.sum("hits").alias("hits"))
        )

    def totals(self) -> tuple[int, int]:
        """Inner vertices and unreachable pairs among the drawn samples."""
        rows = _summed(self._hits).where(F.col("v") < 0).collect() if self._hits else []
        found = {r["v"]: int(r["hits"]) for r in rows}
        return found.get(INTERIOR, 0), found.get(UNREACHABLE, 0)

    def _more(self, start: int, count: int, name: str) -> DataFrame:
        tasks = tasks_for(self.layout.workers.cores, count, seconds=count * _SECONDS_PER_PATH)
        rows = path_hits(
            self.layout.spark, self.layout.place, seed=self.seed, start=start, count=count, tasks=tasks
        )
        return self.layout.keep(rows, name)


def _union(parts: list[DataFrame]) -> DataFrame:
    whole = parts[0]
    for part in parts[1:]:
        whole = whole.unionAll(part)
    return whole


def _summed(parts: list[DataFrame]) -> DataFrame:
    return _union(parts).groupBy("v").agg(F.sum("hits").alias("hits"))


def _vertices(rows: DataFrame) -> DataFrame:
    return rows.where(F.col("v") >= 0)
