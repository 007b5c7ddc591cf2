"""Which failures of Spark are worth a retry."""

from __future__ import annotations

import pytest
from py4j.protocol import Py4JError, Py4JNetworkError
from pyspark.errors import PySparkException

from engage_spark.errors import ConfigurationError
from engage_spark.lake.spark_errors import to_engage_error
from engage_spark.spark.failures import environment_fault, is_transient


@pytest.mark.parametrize(
    "error",
    [
        ConnectionResetError("peer"),
        Py4JNetworkError("Answer from Java side is empty"),
        Py4JError("Job aborted: ExecutorLostFailure (executor 3 exited caused by one of the running tasks)"),
        Py4JError("Job 7 cancelled because SparkContext was shut down"),
        Py4JError("Exiting due to error from cluster scheduler: All masters are unresponsive! Giving up."),
        PySparkException("[RETRIES_EXCEEDED] The maximum number of retries has been exceeded."),
    ],
    ids=lambda e: type(e).__name__,
)
def test_a_lost_executor_or_connection_is_worth_a_retry(error: Exception) -> None:
    assert is_transient(error)


@pytest.mark.parametrize(
    "error",
    [
        Py4JError("requirement failed: the label of Tweedie must not be negative"),
        PySparkException("[DIVIDE_BY_ZERO] Division by zero."),
        ValueError("executor 3 lost"),
        Py4JError("Unable to execute HTTP request: PKIX path building failed: no valid certification path"),
        PySparkException(
            "StatusCode.UNAVAILABLE last error: Ssl handshake failed: certificate verify failed"
        ),
        Py4JError(
            "[FAILED_READ_FILE.NO_HINT] Encountered error while reading file s3a://b/SlowDown/a.parquet."
        ),
        Py4JError("[MALFORMED_CSV_RECORD_IN_PARSING] in file file:/d/Broken%20pipe/ServiceUnavailable.csv"),
    ],
    ids=[
        "rows",
        "expression",
        "not Spark's",
        "a certificate",
        "a server's certificate",
        "a folder's name",
        "a file's name",
    ],
)
def test_what_the_rows_cause_comes_back_on_every_retry(error: Exception) -> None:
    assert not is_transient(error)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            "Job aborted due to stage failure: Task 0 in stage 1.0 failed 4 times: "
            "pyspark.errors.exceptions.base.PySparkRuntimeError: [PYTHON_VERSION_MISMATCH] Python in worker "
            "has different version: 3.12 than that in driver: 3.11, PySpark cannot run",
            "the executors run Python 3.12, the driver 3.11",
        ),
        (
            "[PYTHON_VERSION_MISMATCH] Python in worker has different version (3, 10) than that in driver "
            "3.11, PySpark cannot run with different minor versions.",
            "the executors run Python 3.10, the driver 3.11",
        ),
        (
            "PythonException: Traceback\n worker.py\nModuleNotFoundError: No module named 'engage_spark'",
            "the executors' Python has no module engage_spark",
        ),
        (
            "ModuleNotFoundError: No module named 'numpy.random'; ExecutorLostFailure",
            "the executors' Python has no module numpy.random",
        ),
        (
            'java.io.IOException: Cannot run program "/venv/bin/python": error=2, No such file or directory',
            "the executors cannot start /venv/bin/python",
        ),
        (
            "An error occurred while calling None.JavaSparkContext.\n: java.net.BindException: Address "
            "already in use: Service 'sparkDriver' failed after 16 retries (starting from 4040)!\n at sun",
            "a port is occupied: Address already in use: Service 'sparkDriver' failed after 16 retries "
            "(starting from 4040)!",
        ),
        (
            "io.netty.channel.unix.Errors$NativeIoException: bind(..) failed with error(-98): "
            "Address already in use: Service 'sparkDriver' failed after 0 retries (starting from 4040)!",
            "a port is occupied: Address already in use: Service 'sparkDriver' failed after 0 retries "
            "(starting from 4040)!",
        ),
        (
            "java.net.BindException: Problem binding to [h:1] java.net.BindException: Address already in use",
            "a port is occupied: Address already in use",
        ),
        (
            "java.net.BindException: Cannot assign requested address: Service 'sparkDriver' failed after 16 "
            "retries (on a random free port)!",
            "an address is none of this machine's: Cannot assign requested address",
        ),
        (
            "java.net.BindException: Can't assign requested address: bind",
            "an address is none of this machine's: Can't assign requested address",
        ),
        (
            "java.lang.NoSuchMethodError: 'void org.apache.spark.X.y()'",
            "of different versions: NoSuchMethodError",
        ),
        (
            "java.io.InvalidClassException: org.apache.spark.rdd.RDD; local class incompatible",
            "of different versions",
        ),
        (
            "[DATA_SOURCE_NOT_FOUND] Failed to find the data source: delta. Make sure",
            "this Spark has no Delta",
        ),
        (
            "java.lang.ClassNotFoundException: org.apache.spark.sql.delta.catalog.DeltaCatalog",
            "this Spark has no Delta",
        ),
    ],
)
@pytest.mark.parametrize("kind", [Py4JError, PySparkException])
def test_a_cluster_that_does_not_fit_is_named_with_what_to_do(
    kind: type[Exception], text: str, words: str
) -> None:
    fault = environment_fault(kind(text), "ingest did not end")
    assert isinstance(fault, ConfigurationError)
    assert fault.message.startswith(f"ingest did not end: {words}" if "versions" not in words else "ingest")
    assert words in fault.message
    assert fault.hint
    assert str(to_engage_error(kind(text), "ingest did not end")) == str(fault)


@pytest.mark.parametrize(
    "text",
    [
        "[DIVIDE_BY_ZERO] Division by zero.",
        "S3Exception: Access Denied (Status Code: 403)",
        "ClassNotFoundException: org.apache.hadoop.fs.s3a.S3AFileSystem",
        "no module named after a delta",
        "java.net.BindException: Permission denied",
    ],
)
def test_other_failures_are_not_the_clusters(text: str) -> None:
    assert environment_fault(Py4JError(text), "ingest did not end") is None


def test_a_busy_store_is_worth_a_retry_whatever_file_it_was_asked_for() -> None:
    assert is_transient(Py4JError("s3a://b/a.parquet: software.amazon.awssdk: SlowDown (Status Code: 503)"))
    assert is_transient(
        Py4JError("while reading file s3a://b/x: java.net.SocketTimeoutException: Read timed out")
    )
