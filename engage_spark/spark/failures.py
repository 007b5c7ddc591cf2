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
    r"ExecutorLost|Executor heartbeat timed out|executor \S+ (?:is )?lost|FetchFailed|MetadataFetchFailed"
    r"|Remote RPC client disassociated|SparkContext (?:was|has been) (?:shut ?down|cancelled)"
    r"|stopped SparkContext|Answer from Java side is empty"
    r"|StatusCode\.(?:UNAVAILABLE|DEADLINE_EXCEEDED)"
    r"|Connection (?:refused|reset|closed|timed out)|Broken pipe|RETRIES_EXCEEDED|SESSION_CLOSED"
    r"|INVALID_HANDLE\.(?:SESSION|OPERATION)",
    re.IGNORECASE,
)
"""A cluster that lost an executor, a block or its connection."""
_STORAGE = re.compile(
    r"SlowDown|ServiceUnavailable|Service Unavailable|AWSServiceThrottled|AWSStatus500"
    r"|Code: InternalError|InternalError \(Service"
    r"|Reduce your request rate|RequestTimeout|TooManyRequests|Too Many Requests|ServerBusy|OperationTimedOut"
    r"|[Ss]tatus [Cc]ode:? ?(?:429|50[0234])|HTTP (?:error )?(?:429|50[0234])"
    r"|SocketTimeoutException|ConnectTimeoutException|ConnectException|NoHttpResponseException|SocketException"
    r"|Read timed out|Connect timed out|Premature end of Content-Length|ConnectionClosedException"
    r"|Data read has a different length"
    r"|Unable to execute HTTP request|Timeout waiting for connection"
    r"|The target server failed to respond|Remote end closed"
)
"""A store that is busy, unreachable or cut an answer."""


_MEMORY = re.compile(r"OutOfMemoryError|Java heap space|GC overhead limit|exit code 137|OOMKilled")


def is_lost(error: BaseException) -> bool:
    """Return whether a cluster that lost an executor, a block or its connection explains the failure."""
    if isinstance(error, ConnectionError | TimeoutError | Py4JNetworkError):
        return True
    return isinstance(error, SPARK_ERRORS) and _LOST.search(str(error)) is not None


def is_transient(error: BaseException) -> bool:
    """Return whether waiting can mend a failure: a lost cluster or connection, a store that is busy.

    What is not known to pass is not transient: a scheduler would repeat it for ever.
    """
    text = str(error)
    if _MEMORY.search(text) or "UnknownHostException" in text:  # a name that is wrong stays wrong
        return False
    return is_lost(error) or (isinstance(error, SPARK_ERRORS) and _STORAGE.search(text) is not None)


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether a process of Spark had too little memory, which the same work has again."""
    return _MEMORY.search(str(error)) is not None
