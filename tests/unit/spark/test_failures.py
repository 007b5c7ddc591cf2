"""Which failures of Spark are worth a retry."""

from __future__ import annotations

import pytest
from py4j.protocol import Py4JError, Py4JNetworkError
from pyspark.errors import PySparkException

from engage_spark.spark.failures import is_transient


@pytest.mark.parametrize(
    "error",
    [
        ConnectionResetError("peer"),
        Py4JNetworkError("Answer from Java side is empty"),
        Py4JError("Job aborted: ExecutorLostFailure (executor 3 exited caused by one of the running tasks)"),
        Py4JError("Job 7 cancelled because SparkContext was shut down"),
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
    ],
    ids=["rows", "expression", "not Spark's"],
)
def test_what_the_rows_cause_comes_back_on_every_retry(error: Exception) -> None:
    assert not is_transient(error)
