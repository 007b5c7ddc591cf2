"""Record when each delivery landed, the first time that a run sees it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from engage_spark.contract import system_contract
from engage_spark.lake.delta import Lake
from engage_spark.spark.schema import spark_schema

LANDINGS = "landings"


def record_arrivals(
    spark: SparkSession, lake: Lake, deliveries: Mapping[str, str], *, now: datetime
) -> dict[str, datetime]:
    """Return the landing time of each delivery (table name by fingerprint), and record `now` for new ones.

    Call it before anything is validated, so that a run that was killed and its rerun measure latency from the
    same moment.
    Units: UTC, to the microsecond.
    Cost: one scan of a small table, and one commit when something is new.
    """
    table = system_contract().table(LANDINGS)
    version = lake.version(spark, LANDINGS)
    recorded: dict[str, datetime] = {}
    if version is not None:
        rows = lake.read(spark, LANDINGS, version=version).where(F.col("fingerprint").isin(list(deliveries)))
        # As a number, because `collect` returns timestamps in the time zone of the Python process.
        for fingerprint, micros in rows.select("fingerprint", F.unix_micros("landed_at")).collect():
            recorded[fingerprint] = datetime.fromtimestamp(micros // 10**6, UTC).replace(
                microsecond=micros % 10**6
            )
    new = {fingerprint: name for fingerprint, name in deliveries.items() if fingerprint not in recorded}
    if new:
        rows = spark.createDataFrame([(f, name, now) for f, name in new.items()], spark_schema(table))
        lake.append(rows, table, tag=LANDINGS)
    return recorded | dict.fromkeys(new, now)
