"""Wait for tables that a stage writes, and leave out those that stay busy."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from pyspark.sql import SparkSession

from engage_spark.errors import TransientError
from engage_spark.lake import Lake
from engage_spark.lake.locks import table_lock

PATIENCE = 60.0
"""Seconds to wait for a table that a stage writes."""


@contextmanager
def locked(spark: SparkSession, lake: Lake, name: str, busy: list[str]) -> Iterator[bool]:
    """Hold the lock of a table while the block runs; where a stage writes it, yield False and name it."""
    with ExitStack() as held:
        try:
            held.enter_context(table_lock(spark, lake, name, wait=PATIENCE))
        except TransientError:
            busy.append(name)
            yield False
        else:
            yield True
