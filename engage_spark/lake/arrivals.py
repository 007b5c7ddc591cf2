"""When each delivery landed: recorded when it is first seen, and found again by every later run."""

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
    """The landing time of each delivery (table name by fingerprint), `now` for those that were never seen
    before, which are recorded.

    Written before anything is judged, so that a run that was killed and its rerun measure latency from the
    same moment. One look at a small table, and one commit when something is new. UTC, to the microsecond.
    """
    table = system_contract().table(LANDINGS)
    version = lake.version(spark, LANDINGS)
    known: dict[str, datetime] = {}
    if version is not None:
        rows = lake.read(spark, LANDINGS, version=version).where(F.col("fingerprint").isin(list(deliveries)))
        # As a number, because `collect` hands timestamps over in the zone of the Python process.
        for fingerprint, micros in rows.select("fingerprint", F.unix_micros("landed_at")).collect():
            known[fingerprint] = datetime.fromtimestamp(micros // 10**6, UTC).replace(
                microsecond=micros % 10**6
            )
    new = {fingerprint: name for fingerprint, name in deliveries.items() if fingerprint not in known}
    if new:
        rows = spark.createDataFrame([(f, name, now) for f, name in new.items()], spark_schema(table))
        lake.append(rows, table, tag=LANDINGS)
    return known | dict.fromkeys(new, now)
