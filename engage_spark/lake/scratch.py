"""Temporary tables: what must be materialised between two jobs, deleted when the block ends.

Nothing is kept in executors' caches, since Spark Connect and serverless refuse that; Parquet in a directory
works everywhere, and its file sizes tell Spark which side of a join is small.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from pyspark.sql import DataFrame, SparkSession

from engage_spark.errors import ConfigurationError
from engage_spark.lake.delta import Lake
from engage_spark.lake.spark_errors import translate_spark_errors
from engage_spark.spark.session import delete_directory

Materialize = Callable[[DataFrame, str], DataFrame]


@contextmanager
def scratch(spark: SparkSession, lake: Lake) -> Iterator[Materialize]:
    """Yield `materialise(rows, name) -> rows`, which writes its argument once and reads it back. All of it is
    gone after the block.
    """
    root = lake.settings.scratch_root
    if root is None:
        raise ConfigurationError(
            "no place for temporary data is configured", hint="set lake.scratch to a path"
        )
    here = f"{root.rstrip('/')}/{uuid.uuid4().hex}"
    written: list[str] = []

    def materialise(rows: DataFrame, name: str) -> DataFrame:
        path = f"{here}/{name}"
        written.append(path)
        with translate_spark_errors(f"temporary data in {path} cannot be written"):
            rows.write.parquet(path)
        return spark.read.schema(rows.schema).parquet(path)

    try:
        yield materialise
    finally:
        if written:
            delete_directory(spark, here)
