"""A session that refuses what serverless compute refuses."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
from pyspark.errors import PySparkException

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

ALLOWED = {
    "spark.sql.ansi.enabled",
    "spark.sql.files.maxPartitionBytes",
    "spark.sql.legacy.timeParserPolicy",
    "spark.sql.session.timeZone",
    "spark.sql.shuffle.partitions",
}
"""The options of a session that serverless compute has, as its documentation lists them."""


class NotAvailable(PySparkException):
    """An option that is not there, or a call that is not supported."""


class RefusingConf:
    """The options of a session, of which it shows this package but few, and takes no others from it."""

    def __init__(self, conf: Any) -> None:
        self.conf = conf
        self.refused: set[str] = set()

    def _allow(self, key: str) -> None:
        caller = sys._getframe(2).f_globals.get("__name__", "")  # pyspark asks for options of its own
        if key not in ALLOWED and caller.startswith("engage_spark"):
            self.refused.add(key)
            raise NotAvailable(
                f"[CONFIG_NOT_AVAILABLE] Configuration {key} is not available. SQLSTATE: 42K0I"
            )

    def get(self, key: str, *default: Any) -> Any:
        self._allow(key)
        return self.conf.get(key, *default)

    def set(self, key: str, value: Any) -> None:
        self._allow(key)
        self.conf.set(key, value)

    def unset(self, key: str) -> None:
        self._allow(key)
        self.conf.unset(key)


@contextmanager
def serverless(spark: SparkSession) -> Iterator[RefusingConf]:
    """Let a session refuse options, and its DataFrames caching, for the length of the block."""
    conf = RefusingConf(spark.conf)
    frame = type(spark.range(1))

    def refuse(*_: Any, **__: Any) -> Any:
        raise NotAvailable(
            "[NOT_SUPPORTED_WITH_SERVERLESS] PERSIST TABLE is not supported on serverless compute"
        )

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(spark), "conf", property(lambda _: conf))
        for name in ("cache", "persist", "checkpoint", "localCheckpoint"):
            patch.setattr(frame, name, refuse)
        yield conf
