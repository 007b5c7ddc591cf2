"""Write temporary tables between two jobs, and delete them when the block ends.

They are Parquet files, not executors' caches: Spark Connect and serverless refuse those, and file sizes tell
Spark which table of a join is small.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from pyspark.sql import DataFrame, SparkSession

from engage_spark import log
from engage_spark.errors import ConfigurationError
from engage_spark.lake.delta import Lake
from engage_spark.lake.spark_errors import translate_spark_errors
from engage_spark.spark.failures import SPARK_ERRORS, first_line
from engage_spark.spark.files import delete_directory
from engage_spark.spark.guarantees import STRICT_READS

NAME = re.compile(r"[0-9a-f]{32}")
"""Names of the folders of temporary tables, so that nothing else beside them is taken for one."""
Materialize = Callable[[DataFrame, str], DataFrame]


@contextmanager
def scratch(spark: SparkSession, lake: Lake) -> Iterator[Materialize]:
    """Yield `materialize(rows, name) -> rows`, which writes its argument once and reads it back.

    All of it is deleted after the block. Where the store fails at that, a warning says so, and
    `engage-spark tables vacuum` deletes it: what the block published stays published.
    Errors: ConfigurationError where no path for temporary data is configured.
    """
    root = lake.settings.scratch_root
    if root is None:
        raise ConfigurationError(
            "no path for temporary data is configured", hint="set lake.scratch to a path"
        )
    folder = f"{root.rstrip('/')}/{uuid.uuid4().hex}"
    written: list[str] = []

    def materialize(rows: DataFrame, name: str) -> DataFrame:
        path = f"{folder}/{name}"
        written.append(path)
        with translate_spark_errors(f"temporary data in {path} cannot be written"):
            rows.write.parquet(path)
        return spark.read.options(**STRICT_READS).schema(rows.schema).parquet(path)

    try:
        yield materialize
    finally:
        if written:
            _delete(spark, folder)


def _delete(spark: SparkSession, folder: str) -> None:
    try:
        delete_directory(spark, folder)
    except (*SPARK_ERRORS, ConfigurationError) as e:
        log.event(f"temporary data in {folder} could not be deleted: {first_line(e)}", level="warning")
