"""Sample shortest paths in Spark tasks and count how often they hit each vertex.

Each task takes a range of samples, adds up in its own memory, and hands back one row per vertex that it hit.
The counts are integers, so their sums are the same whatever runs where and in which order. A sample depends
on its number alone, never on how many tasks or cores there are.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from engage_spark.graph.adaptive_sampling import HitHistogram
from engage_spark.graph.distributed.task_batches import count_tasks, number_batches, to_arrow_batches

if TYPE_CHECKING:
    from engage_spark.graph.distributed.layout import GraphLayout
    from engage_spark.graph.distributed.workspace import GraphFiles

INTERIOR, UNREACHABLE = -1, -2
"""Rows of `path_hits` that are not vertices: inner vertices in all, and samples whose pair has no path."""
_SECONDS_PER_PATH = 2e-4  # on a graph large enough for it to matter


def path_hits(
    spark: SparkSession, files: GraphFiles, *, seed: int, start: int, count: int, tasks: int
) -> DataFrame:
    """Count the hits (v, hits) of path samples start..start+count-1.

    Grain: one row per vertex that was hit; v < 0 are totals.
    Cost: one job when it is read.
    """
    tasks = max(1, min(tasks, count))

    def sample(batches: Iterator[Any]) -> Iterator[Any]:
        from engage_spark.graph.kernels.path_sampling import sample_paths

        hits, interior, unreachable = None, 0, 0
        for batch in batches:
            for number in batch.column(0).to_pylist():
                first, last = number * count // tasks, (number + 1) * count // tasks
                paths = sample_paths(files.csr(), seed=seed, start=start + first, count=last - first)
                hits = paths.hits if hits is None else hits + paths.hits
                interior, unreachable = interior + paths.interior, unreachable + paths.unreachable
        if hits is None:
            return
        v = np.flatnonzero(hits)
        yield from to_arrow_batches(
            np.concatenate([v, [INTERIOR, UNREACHABLE]]),
            {"hits": np.concatenate([hits[v], [interior, unreachable]])},
        )

    rows = number_batches(spark, tasks, tasks).mapInArrow(sample, "v int, hits bigint")
    return rows.groupBy("v").agg(F.sum("hits").alias("hits"))


class SparkSampler:
    """Sampler whose paths are drawn by tasks.

    Counts stay in the cluster. Only their histograms come to the driver, whose size follows from the number
    of samples.
    """

    def __init__(self, layout: GraphLayout, *, seed: int) -> None:
        self.layout, self.seed = layout, seed
        self.calibrated = self.drawn = 0
        self._calibration: list[DataFrame] = []
        self._hits: list[DataFrame] = []

    def calibrate(self, samples: int) -> tuple[Any, Any]:
        """Take samples 0..samples-1; return the distinct counts of hits and how many vertices have each."""
        self._calibration.append(
            self._count_hits(self.calibrated, samples - self.calibrated, f"calibration_{samples}")
        )
        self.calibrated = samples
        rows = _vertices(_sum_hits(self._calibration)).groupBy("hits").count().orderBy("hits").collect()
        hits, vertices = (np.array([row[i] for row in rows], dtype=np.int64) for i in range(2))
        never_hit = self.layout.summary.active - int(vertices.sum())
        if never_hit:
            hits, vertices = np.append(0, hits), np.append(never_hit, vertices)
        return hits, vertices

    def draw(self, samples: int) -> HitHistogram:
        """Take `samples` samples in all after those of the calibration, earlier calls included."""
        self._hits.append(
            self._count_hits(self.calibrated + self.drawn, samples - self.drawn, f"hits_{samples}")
        )
        self.drawn = samples
        rows = self.counts().groupBy("calibration", "hits").count().orderBy("calibration", "hits").collect()
        calibration, hits, vertices = (np.array([row[i] for row in rows], dtype=np.int64) for i in range(3))
        never_hit = self.layout.summary.active - int(vertices.sum())
        if never_hit:
            calibration, hits, vertices = (
                np.append(0, calibration),
                np.append(0, hits),
                np.append(never_hit, vertices),
            )
        return HitHistogram(calibration, hits, vertices)

    def counts(self) -> DataFrame:
        """Return (v, calibration, hits) of every vertex with a hit in either."""
        none = F.lit(0).cast("bigint")
        calibration = _vertices(_union(self._calibration)).select(
            "v", F.col("hits").alias("calibration"), none.alias("hits")
        )
        hits = _vertices(_union(self._hits)).select("v", none.alias("calibration"), "hits")
        return (
            calibration.unionAll(hits)
            .groupBy("v")
            .agg(F.sum("calibration").alias("calibration"), F.sum("hits").alias("hits"))
        )

    def totals(self) -> tuple[int, int]:
        """Return the inner vertices and the unreachable pairs among the drawn samples."""
        rows = _sum_hits(self._hits).where(F.col("v") < 0).collect() if self._hits else []
        totals = {row["v"]: int(row["hits"]) for row in rows}
        return totals.get(INTERIOR, 0), totals.get(UNREACHABLE, 0)

    def _count_hits(self, start: int, count: int, name: str) -> DataFrame:
        tasks = count_tasks(self.layout.workers.cores, count, seconds=count * _SECONDS_PER_PATH)
        rows = path_hits(
            self.layout.spark, self.layout.files, seed=self.seed, start=start, count=count, tasks=tasks
        )
        return self.layout.materialize(rows, name)


def _union(parts: list[DataFrame]) -> DataFrame:
    rows = parts[0]
    for part in parts[1:]:
        rows = rows.unionAll(part)
    return rows


def _sum_hits(parts: list[DataFrame]) -> DataFrame:
    return _union(parts).groupBy("v").agg(F.sum("hits").alias("hits"))


def _vertices(rows: DataFrame) -> DataFrame:
    return rows.where(F.col("v") >= 0)
