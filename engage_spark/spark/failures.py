"""Tell apart failures of Spark that a retry may cure from those that come back with the same rows.

This module only classifies; `lake/spark_errors` words the error that a reader sees, with a hint.

Classic Spark hands over a failed job as a bare Py4JJavaError, Connect as a PySparkException; neither has a
class per cause, so the text of Spark's own error is all there is to go by.
"""

from __future__ import annotations

import re

from py4j.protocol import Py4JError, Py4JNetworkError  # type: ignore[import-untyped]
from pyspark.errors import PySparkException

SPARK_ERRORS = (PySparkException, Py4JError)
"""What a failed action raises: the first on Connect and in analysis, the second on classic Spark."""

_LOST = re.compile(
    r"ExecutorLost|Executor heartbeat timed out|executor \S+ (?:is )?lost|FetchFailed"
    r"|Remote RPC client disassociated|SparkContext (?:was|has been) (?:shut ?down|cancelled)"
    r"|stopped SparkContext|Answer from Java side is empty|StatusCode\.UNAVAILABLE"
    r"|Connection (?:refused|reset|closed)|Broken pipe|RETRIES_EXCEEDED|SESSION_CLOSED",
    re.IGNORECASE,
)


def is_transient(error: BaseException) -> bool:
    """Return whether a cluster that lost an executor, a block or its connection explains the failure."""
    if isinstance(error, ConnectionError | TimeoutError | Py4JNetworkError):
        return True
    return isinstance(error, SPARK_ERRORS) and _LOST.search(str(error)) is not None
