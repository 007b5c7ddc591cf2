"""Plan work on few rows as small as it is: by options of the session, for the length of a block.

Spark's defaults are for tables that fill a cluster. On some thousand rows nearly all time goes into planning,
and adaptive execution plans each query once more after every shuffle, and makes a job of each.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Lock
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from engage_spark import log
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
"""They change how rows are planned, not which rows come out. Counts, what this package's kernels add up, and
fits, whose partitions have a number of their own, are the same to the bit. A sum of doubles that Spark itself
adds up over a shuffle may differ in its last bits from that of more partitions.
"""


@dataclass
class _Held:
    """How many blocks hold the options of a session, and what these were before the first of them."""

    blocks: int = 0
    before: dict[str, str | None] = field(default_factory=dict)


_HELD: WeakKeyDictionary[SparkSession, _Held] = WeakKeyDictionary()
_LOCK = Lock()


@contextmanager
def planned_for(spark: SparkSession, rows: int) -> Iterator[None]:
    """Set the options for the length of a block where so many rows are few, and give them back after it.

    They are options of the session: whatever else runs in it meanwhile has them, too. Of several such blocks
    at once the first sets them, and the last gives back what they were before. An option that a session does
    not let anybody set, as on serverless compute, stays as it is. One that cannot be given back is logged as
    a warning and raises nothing: what the block did, or its own error, stands.
    Cost: two looks at each option; no job.
    """
    if rows > MOST_ROWS:
        yield
        return
    try:
        _hold(spark)
        yield
    finally:
        _release(spark)


def _hold(spark: SparkSession) -> None:
    with _LOCK:
        held = _HELD.setdefault(spark, _Held())
        held.blocks += 1
        for key, value in OPTIONS.items() if held.blocks == 1 else ():
            try:
                was = session_option(spark, key)
                held.before[key] = was
                spark.conf.set(key, value)
            except SPARK_ERRORS:
                held.before.pop(key, None)


def _release(spark: SparkSession) -> None:
    with _LOCK:
        held = _HELD[spark]
        held.blocks -= 1
        if held.blocks:
            return
        del _HELD[spark]
        for key, was in held.before.items():
            try:
                if was is None:
                    spark.conf.unset(key)
                else:
                    spark.conf.set(key, was)
            except Exception as e:  # noqa: BLE001 (a session that is gone fails in many ways; none may hide the block's own error)
                log.event(
                    f"{key} of the Spark session could not be given back; it was {was}",
                    level="warning",
                    error=type(e).__name__,
                )
