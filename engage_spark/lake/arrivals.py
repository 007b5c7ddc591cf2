"""Record when each delivery landed, the first time that a run sees it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from pyspark.sql import SparkSession

from engage_spark.errors import ConfigurationError
from engage_spark.lake.delta import Lake
from engage_spark.lake.spark_errors import translate_spark_errors
from engage_spark.lake.text_marker import read_text, recorded_moment, write_text
from engage_spark.side_effects import announce
from engage_spark.spark.files import read_small_file, write_small_file
from engage_spark.spark.session import is_connect

LANDINGS = "_landings"


def record_arrivals(
    spark: SparkSession, lake: Lake, fingerprints: Sequence[str], *, now: datetime
) -> dict[str, datetime]:
    """Return the landing time of each delivery, by its fingerprint, and record `now` for new ones.

    Call it before anything is validated, so that a run that was killed and its rerun measure latency from the
    same moment. Each landing is a small file below the lake's root, or below the folder for temporary data.
    Units: UTC, to the microsecond.
    Cost: no job and at most one small file read and written for each; on Spark Connect for a path that this
    process does not share with the server, a job each.
    Errors: ConfigurationError when there is no path for them, or it cannot be written.
    """
    root = lake.settings.root or lake.settings.scratch_root
    if root is None:
        raise ConfigurationError("no path for landings is configured", hint="set lake.scratch to a path")
    landings = {}
    for fingerprint in fingerprints:
        path = f"{root.rstrip('/')}/{LANDINGS}/{fingerprint}"
        with translate_spark_errors(f"{path} cannot be read"):
            text = read_small_file(spark, path)
        if text is None and is_connect(spark):
            text = read_text(spark, path)
        if (landed := recorded_moment(text or "")) is None:
            landed, text = now, now.isoformat()
            announce("landing")
            with translate_spark_errors(f"{path} cannot be written"):
                if not write_small_file(spark, path, text):
                    write_text(spark, path, text)
        landings[fingerprint] = landed
    return landings
