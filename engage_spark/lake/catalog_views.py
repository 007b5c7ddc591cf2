"""Make views in a catalog, and never in the place of what somebody else made there.

Everything here is SQL that runs on classic Spark and on Spark Connect alike.
"""

from __future__ import annotations

import hashlib

from pyspark.sql import SparkSession

from engage_spark.errors import ConfigurationError
from engage_spark.lake.delta import Lake
from engage_spark.lake.spark_errors import (
    is_missing_schema,
    is_missing_table,
    to_engage_error,
    translate_spark_errors,
)
from engage_spark.side_effects import announce
from engage_spark.spark.failures import SPARK_ERRORS
from engage_spark.spark.sql_text import quoted_name

OURS = "engage_spark.digest"
"""Property of a view that this package made: what it was made by."""


def view_location(lake: Lake, name: str) -> str:
    """Return the catalog name of a view."""
    return f"{lake.settings.catalog}.{lake.settings.views}.{name}"


def known_digest(spark: SparkSession, lake: Lake, name: str) -> str | None:
    """Return the digest that a view was made with; None where there is nothing of this name.

    Cost: one look into the catalog, no job.
    Errors: ConfigurationError where the name is taken by what this package did not make.
    """
    try:
        shown = spark.sql(f"SHOW TBLPROPERTIES {_sql_name(lake, name)}").collect()
    except SPARK_ERRORS as e:
        if is_missing_table(e) or is_missing_schema(e):
            return None
        raise to_engage_error(e, f"{view_location(lake, name)} cannot be looked at") from e
    digest = {row[0]: row[1] for row in shown}.get(OURS)
    if digest is None:
        raise ConfigurationError(
            f"{view_location(lake, name)} is not a view that this package made, and is left as it is",
            hint="give lake.views another schema, or move what has the name there",
        )
    return str(digest)


def replace_view(spark: SparkSession, lake: Lake, name: str, query: str, *, digest: str) -> None:
    """Make a view, or put another query into it, in one step: nobody finds it gone. Makes the schema first
    where it is missing.

    Errors: ConfigurationError or PermanentError where the catalog refuses it.
    """
    announce(f"view {name}")
    statement = (
        f"CREATE OR REPLACE VIEW {_sql_name(lake, name)} TBLPROPERTIES ('{OURS}' = '{digest}') AS {query}"
    )
    with translate_spark_errors(f"the view {view_location(lake, name)} cannot be made"):
        try:
            spark.sql(statement).collect()
        except SPARK_ERRORS as e:
            if not is_missing_schema(e):
                raise
            spark.sql(f"CREATE SCHEMA IF NOT EXISTS {_schema(lake)}").collect()
            spark.sql(statement).collect()


def digest_of(*parts: str) -> str:
    """Return what identifies the texts that a view was made by: 32 hex digits."""
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:32]


def _schema(lake: Lake) -> str:
    return f"{quoted_name(lake.settings.catalog or '')}.{quoted_name(lake.settings.views or '')}"


def _sql_name(lake: Lake, name: str) -> str:
    return f"{_schema(lake)}.{quoted_name(name)}"
