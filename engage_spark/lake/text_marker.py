"""Keep one line of text in a folder that Spark itself writes and reads, wherever Spark reaches."""

from __future__ import annotations

from datetime import datetime

from pyspark.errors import AnalysisException
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from engage_spark.lake.spark_errors import to_engage_error, translate_spark_errors
from engage_spark.spark.failures import SPARK_ERRORS
from engage_spark.spark.guarantees import STRICT_READS


def read_text(spark: SparkSession, folder: str) -> str | None:
    """Return the line that `write_text` left in a folder; None where there is none.

    Cost: one job.
    """
    try:
        return str(spark.read.options(**STRICT_READS).text(folder).collect()[0][0])
    except (AnalysisException, IndexError):
        return None
    except SPARK_ERRORS as e:
        raise to_engage_error(e, f"{folder} cannot be read") from e


def write_text(spark: SparkSession, folder: str, line: str) -> None:
    """Replace a folder by one that holds this line.

    Cost: one job.
    Errors: ConfigurationError when the folder cannot be written.
    """
    text = spark.range(1, numPartitions=1).select(F.lit(line).alias("value"))
    with translate_spark_errors(f"{folder} cannot be written"):
        text.write.mode("overwrite").text(folder)


def recorded_moment(text: str) -> datetime | None:
    """Return the moment that a small file holds; None where a run was killed while it wrote it."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment if moment.tzinfo else None  # without, its end is missing
