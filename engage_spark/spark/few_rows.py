"""Plan work on few rows as small as it is: by options of the session, for the length of a block.

Spark's defaults are for tables that fill a cluster. On some thousand rows nearly all time goes into planning,
and adaptive execution plans each query once more after every shuffle, and makes a job of each.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from engage_spark.spark.failures import SPARK_ERRORS
from engage_spark.spark.guarantees import session_option

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

MOST_ROWS = 50_000
"""Rows up to which work is planned so: in one partition they take less than a second to read."""
OPTIONS = {
    "spark.sql.adaptive.enabled": "false",
    "spark.sql.shuffle.partitions": "1",
}
"""None of them changes a result: what this package computes has the same bits on any partitioning."""


@contextmanager
def planned_for(spark: SparkSession, rows: int) -> Iterator[None]:
    """Set the options for the length of a block where so many rows are few, and give them back after it.

    An option that a session does not let anybody set, as on serverless compute, stays as it is.
    Cost: two looks at each option; no job.
    """
    before: dict[str, str | None] = {}
    try:
        for key, value in OPTIONS.items() if rows <= MOST_ROWS else ():
            try:
                was = session_option(spark, key)
                spark.conf.set(key, value)
            except SPARK_ERRORS:
                continue
            before[key] = was
        yield
    finally:
        for key, was in before.items():
            if was is None:
                spark.conf.unset(key)
            else:
                spark.conf.set(key, was)
