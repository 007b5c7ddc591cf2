"""Tell apart failures of Spark that a retry may cure from those that come back with the same rows.

What the cluster itself lacks is put into words here: the session meets it as well as the stages. The rest is
only classified; `lake/spark_errors` words the error that a reader sees, with a hint.

Classic Spark hands over a failed job as a bare Py4JJavaError, Connect as a PySparkException; neither has a
class per cause, so the text of Spark's own error is all there is to go by.
"""

from __future__ import annotations

import re

from py4j.protocol import Py4JError, Py4JNetworkError  # type: ignore[import-untyped]
from pyspark.errors import PySparkException

from engage_spark.errors import ConfigurationError, EngageError
from engage_spark.reachability import stays_unreachable

SPARK_ERRORS = (PySparkException, Py4JError)
"""What a failed action raises: the first on Connect and in analysis, the second on classic Spark."""

_LOST = re.compile(
    r"ExecutorLost|Executor heartbeat timed out|executor \S+ (?:is )?lost|FetchFailed|MetadataFetchFailed"
    r"|Remote RPC client disassociated|SparkContext (?:was|has been) (?:shut ?down|cancelled)"
    r"|stopped SparkContext|Answer from Java side is empty|All masters are unresponsive"
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


INTRODUCTION = re.compile(r"^(?:Caused by|Suppressed)?: (?:[\w.$]+(?:Exception|Error): )?")
_PATH = re.compile(r"\b(?:file|s3[an]?|abfss?|wasbs?|gs|dbfs|hdfs):/[^\s,'\"()\[\]]+", re.IGNORECASE)
_MEMORY = re.compile(r"OutOfMemoryError|Java heap space|GC overhead limit|exit code 137|OOMKilled")


def is_lost(error: BaseException) -> bool:
    """Return whether a cluster that lost an executor, a block or its connection explains the failure."""
    if isinstance(error, ConnectionError | TimeoutError | Py4JNetworkError):
        return True
    return isinstance(error, SPARK_ERRORS) and _LOST.search(_without_paths(str(error))) is not None


def is_transient(error: BaseException) -> bool:
    """Return whether waiting can mend a failure: a lost cluster or connection, a store that is busy.

    What is not known to pass is not transient: a scheduler would repeat it for ever.
    """
    text = str(error)
    if _MEMORY.search(text) or stays_unreachable(text):
        return False
    return is_lost(error) or (
        isinstance(error, SPARK_ERRORS) and _STORAGE.search(_without_paths(text)) is not None
    )


def _without_paths(text: str) -> str:
    """Return a text without the addresses of files: a file may be called SlowDown."""
    return _PATH.sub("", text)


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether a process of Spark had too little memory, which the same work has again."""
    return _MEMORY.search(str(error)) is not None


_SHIP = (
    "give the executors this environment: a packed one by spark.archives with PYSPARK_PYTHON inside it, "
    "or the same packages on every machine"
)
_FAULTS: tuple[tuple[str, str, str], ...] = (
    (
        r"[Pp]ython in worker has different version:? *\(?(\d+)[, .]+(\d+)\)? "
        r"than that in driver:? *(\d+)\.(\d+)",
        "the executors run Python {0}.{1}, the driver {2}.{3}",
        _SHIP,
    ),
    (r"ModuleNotFoundError: No module named '([\w.]+)'", "the executors' Python has no module {0}", _SHIP),
    (
        r'Cannot run program "([^"]+)"',
        "the executors cannot start {0}",
        "set PYSPARK_PYTHON (or spark.pyspark.python) to a Python that every machine has",
    ),
    (
        r"(?:BindException|bind\(\.\.\) failed[^:\n]{0,60}): (Address already in use[^\n]{0,200})",
        "a port is occupied: {0}",
        "take the option that names the port out of spark.conf, or end what listens there",
    ),
    (
        r"BindException: (Can(?:no|')t assign requested address[^\n]{0,200})",
        "an address is none of this machine's: {0}",
        "set spark.driver.bindAddress to an address of this machine, and see what its own name stands for",
    ),
    (
        r"((?:ClassNotFoundException|DATA_SOURCE_NOT_FOUND|Failed to find)[^\n]{0,80}\b[Dd]elta\b)",
        "this Spark has no Delta: {0}",
        "start it with Delta's package; `engage-spark doctor` names the one that belongs to it",
    ),
    (
        r"((?:NoSuchMethodError|NoClassDefFoundError|AbstractMethodError|InvalidClassException)[^\n]{0,200})",
        "Spark and the jars beside it are of different versions: {0}",
        "`engage-spark doctor` names the Delta that belongs to this Spark; "
        "a cluster must run the version of the installed pyspark",
    ),
)
"""Signs of a cluster that does not fit the driver, what they say, and what to do. None passes by itself."""


def first_line(error: BaseException) -> str:
    """Return the line that says what happened, without the introductions of Python and Java."""
    lines = [line.strip() for line in str(error).splitlines()]
    telling = [
        line for line in lines if line and not line.startswith(("An error occurred while calling", "at "))
    ]
    return INTRODUCTION.sub("", telling[0]) if telling else type(error).__name__


def environment_fault(error: BaseException, what: str) -> EngageError | None:
    """Return the error of a cluster whose Python, packages, jars or ports do not fit; None for other causes.

    `what` says what could not be done.
    """
    text = str(error)
    for pattern, words, hint in _FAULTS:
        if match := re.search(pattern, text):
            return ConfigurationError(f"{what}: {words.format(*match.groups())}", hint=hint)
    return None
