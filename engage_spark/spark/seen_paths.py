"""Say which paths this process sees as Spark sees them, so that small files there need no job to be read."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


def local_path(path: str) -> str | None:
    """Return the path as this process reads it; None where only Hadoop can."""
    if path.startswith("file:"):
        # Not by urlparse: as for Hadoop, `#`, `?` and `%20` are letters of a name.
        return re.sub(r"^file:(?://(?:localhost)?(?=/))?/+", "/", path)
    return None if "://" in path or path.startswith(("s3a:", "s3:", "dbfs:")) else path


def shared_with_server(spark: SparkSession, path: str) -> str | None:
    """Return the path as this process reads it, where Spark's server would read the same: on Spark Connect
    a volume, or any local path where the server runs on this machine.
    """
    here = local_path(path)
    is_connect = type(spark).__module__.startswith("pyspark.sql.connect")
    if here is None or not is_connect or here.startswith("/Volumes/"):
        return here
    host = str(getattr(cast(Any, spark).client, "host", ""))
    return here if host in ("localhost", "127.0.0.1", "::1") else None
