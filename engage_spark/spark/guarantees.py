"""Hold a session to the options that results rest on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from engage_spark.errors import ConfigurationError

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

GUARANTEES = {
    "spark.sql.ansi.enabled": "true",
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.files.ignoreCorruptFiles": "false",
    "spark.sql.files.ignoreMissingFiles": "false",
}
"""ANSI: an overflow or a bad cast fails instead of turning into null. UTC: a day is the same day everywhere.
The last two: a broken or vanished file fails instead of silently losing its rows. A session that has no such
options to show or set, as on serverless compute, loses none either: every reader of files but Delta's says
the same as an option of its own (`STRICT_READS`). Delta's goes by the session, whose default is to fail."""

STRICT_READS = {"ignoreCorruptFiles": "false", "ignoreMissingFiles": "false"}
"""Options of a reader of files."""
_OF_READERS = tuple(f"spark.sql.files.{name}" for name in STRICT_READS)
_NOT_AVAILABLE = "CONFIG_NOT_AVAILABLE"


def set_guarantees(spark: SparkSession) -> dict[str, str | None]:
    """Set the options that are not as guaranteed, and return what they were.

    Cost: a look at each option; no job.
    Errors: ConfigurationError that lists all of them that cannot be set.
    """
    before: dict[str, str | None] = {}
    wrong: list[str] = []
    for key, value in GUARANTEES.items():
        was = session_option(spark, key)
        if was == value or (was is None and key in _OF_READERS and not is_available(spark, key)):
            continue
        try:
            spark.conf.set(key, value)
        except Exception as e:  # noqa: BLE001 (the classes differ between classic and Connect; all of them mean: refused)
            wrong.append(f"{key} is {was}, must be {value}, and cannot be set ({type(e).__name__})")
            continue
        if (now := session_option(spark, key)) != value:
            wrong.append(f"{key} is {now}, must be {value}, and does not change when set")
        else:
            before[key] = was
    if wrong:
        _restore(spark, before)
        raise ConfigurationError(
            "the Spark session cannot give what this package guarantees",
            hint="start the session with these options, or let engage-spark build its own",
            details=wrong,
        )
    return before


@contextmanager
def guarantees(spark: SparkSession) -> Iterator[None]:
    """Hold the options for the length of a block, in a session of somebody else, and give them back after it.

    What is computed inside the block does not depend on how that session was set up.
    Errors: as `set_guarantees`.
    """
    before = set_guarantees(spark)
    try:
        yield
    finally:
        _restore(spark, before)


def require_guarantees(spark: SparkSession, what: str) -> None:
    """Refuse a session whose options are not as guaranteed; nothing is set.

    Errors: ConfigurationError that lists them.
    """
    wrong = [
        f"{k} is {now}"
        for k, v in GUARANTEES.items()
        if (now := session_option(spark, k)) != v and (k not in _OF_READERS or is_available(spark, k))
    ]
    if wrong:
        raise ConfigurationError(
            f"{what} depends on options of the session, which are not as they have to be",
            details=wrong,
            hint="set them first: "
            + "; ".join(
                f'spark.conf.set("{k}", "{GUARANTEES[k]}")' for k in (w.split(" is ")[0] for w in wrong)
            ),
        )


def _restore(spark: SparkSession, before: dict[str, str | None]) -> None:
    for key, value in before.items():
        if value is None:
            spark.conf.unset(key)
        else:
            spark.conf.set(key, value)


def session_option(spark: SparkSession, key: str) -> str | None:
    """Return an option of a session; None where it is not set, or the session does not let anybody see it."""
    try:
        value = spark.conf.get(key, None)
    except Exception as e:
        if _NOT_AVAILABLE not in str(e):
            raise
        return None
    return value.lower() if value in ("True", "False", "TRUE", "FALSE") else value


def is_available(spark: SparkSession, key: str) -> bool:
    """Return whether a session lets an option be seen."""
    try:
        spark.conf.get(key, None)
    except Exception as e:
        if _NOT_AVAILABLE not in str(e):
            raise
        return False
    return True
