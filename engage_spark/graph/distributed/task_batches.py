"""Cut work into Spark tasks and stream their results back as Arrow batches."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession

TASKS_PER_CORE = 8
"""With several tasks a core, the last one to finish does not keep the others waiting long."""
ROWS_PER_BATCH = 1 << 16


def count_tasks(cores: int, batches: int, *, seconds: float) -> int:
    """Return one task per core, and up to `TASKS_PER_CORE` where each still gets a second of work.

    Cost: starting a task takes about 0.1 s, so a smaller one is not worth it.
    """
    return max(1, min(batches, cores), min(TASKS_PER_CORE * cores, batches, int(seconds)))


def number_batches(spark: SparkSession, batches: int, tasks: int) -> DataFrame:
    """Return one row per batch, in `tasks` partitions of neighbouring batches."""
    return spark.range(0, batches, 1, tasks)


def to_arrow_batches(v: Any, columns: dict[str, Any]) -> Iterator[Any]:
    """Yield Arrow batches of (v, columns…), none so large that a second copy of it would matter."""
    for start in range(0, len(v), ROWS_PER_BATCH):
        end = start + ROWS_PER_BATCH
        arrays = [
            pa.array(v[start:end].astype(np.int32)),
            *(pa.array(values[start:end]) for values in columns.values()),
        ]
        yield pa.RecordBatch.from_arrays(arrays, names=["v", *columns])
