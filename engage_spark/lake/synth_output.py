"""Write synthetic raw data: Parquet folders, and a marker that says how they were made."""

from __future__ import annotations

import json
from collections.abc import Mapping

from pyspark.errors import AnalysisException
from pyspark.sql import DataFrame, SparkSession

from engage_spark.lake.spark_errors import to_engage_error, translate_spark_errors
from engage_spark.lake.text_marker import read_text, write_text
from engage_spark.spark.failures import SPARK_ERRORS
from engage_spark.spark.guarantees import STRICT_READS

MARKER = "synth-plan"


def write_parquet(rows: DataFrame, path: str, *, partition_by: tuple[str, ...] = ()) -> None:
    """Replace a folder of Parquet files by these rows.

    Errors: ConfigurationError when the folder cannot be written.
    """
    with translate_spark_errors(f"{path} cannot be written"):
        rows.write.mode("overwrite").partitionBy(*partition_by).parquet(path)


def read_marker(spark: SparkSession, root: str) -> dict[str, object] | None:
    """Return what `write_marker` left in a folder of raw data, or None."""
    text = read_text(spark, f"{root}/{MARKER}")
    return None if text is None else dict(json.loads(text))


def write_marker(spark: SparkSession, root: str, facts: Mapping[str, object]) -> None:
    """Record in a folder of raw data how it was made."""
    write_text(spark, f"{root}/{MARKER}", json.dumps(facts, sort_keys=True))


def path_exists(spark: SparkSession, path: str) -> bool:
    """Return whether there is a file at or below the path."""
    try:
        return (
            not spark.read.options(**STRICT_READS, recursiveFileLookup="true")
            .format("binaryFile")
            .load(path)
            .select("path")
            .isEmpty()
        )
    except AnalysisException:
        return False
    except SPARK_ERRORS as e:
        raise to_engage_error(e, f"{path} cannot be read") from e
