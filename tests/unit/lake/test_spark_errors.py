"""Spark's failures, as texts, and what they are called here."""

from __future__ import annotations

import pytest
from pyspark.errors import PySparkException

from engage_spark.errors import (
    ConfigurationError,
    ContractError,
    EngageError,
    InputError,
    PermanentError,
    TransientError,
)
from engage_spark.lake.spark_errors import first_line, input_error, to_engage_error

CLASSIC = """An error occurred while calling o42.save.
: org.apache.spark.SparkException: [TASK_WRITE_FAILED] Task failed while writing rows to file:/lake/t.
\tat org.apache.spark.Some$Class.run(Some.scala:7)
Caused by: java.io.IOException: wrapped
\tat org.apache.spark.Other.run(Other.scala:8)
Caused by: {cause}
\t... 9 more
"""


@pytest.mark.parametrize(
    ("cause", "kind", "said"),
    [
        (
            "org.apache.spark.SparkException: [FAILED_READ_FILE.NO_HINT] Encountered error while reading "
            "file file:///raw/a%20b.parquet.",
            InputError,
            "file:///raw/a b.parquet",
        ),
        (
            "RuntimeException: s3a://raw/x/part-1.parquet is not a Parquet file. Expected magic number",
            InputError,
            "part-1.parquet",
        ),
        (
            "org.apache.spark.SparkArithmeticException: [DIVIDE_BY_ZERO] Division by zero. Use `try_divide`",
            ContractError,
            "DIVIDE_BY_ZERO",
        ),
        (
            "org.apache.spark.sql.AnalysisException: [UNRESOLVED_ROUTINE] Cannot resolve routine `nope`",
            ContractError,
            "UNRESOLVED_ROUTINE",
        ),
        ("java.io.FileNotFoundException: /lake/t (Permission denied)", ConfigurationError, "denied"),
        ("S3Exception: Access Denied (Status Code: 403)", ConfigurationError, "Access Denied"),
        (
            "org.apache.spark.sql.AnalysisException: [DELTA_FAILED_TO_MERGE_FIELDS] Failed to merge fields "
            "'a' and 'a'",
            ConfigurationError,
            "other columns than the contract declares",
        ),
        (
            "io.delta.exceptions.ConcurrentAppendException: [DELTA_CONCURRENT_APPEND] "
            "FileAlreadyExistsException",
            TransientError,
            "at the same time",
        ),
        (
            "DeltaAnalysisException: [DELTA_SCHEMA_CHANGE_SINCE_ANALYSIS] The schema of your Delta table has "
            "changed in an incompatible way since your DataFrame was created",
            TransientError,
            "changed while it was read",
        ),
        ("MetadataChangedException: [DELTA_METADATA_CHANGED] The metadata", TransientError, "the same time"),
        ("java.net.SocketTimeoutException: Read timed out", TransientError, "TASK_WRITE_FAILED"),
        # What waiting mends, also where a file or a right is spoken of beside it.
        (
            "SparkException: [FAILED_READ_FILE.NO_HINT] while reading s3a://raw/a.parquet. "
            "SdkClientException: Unable to execute HTTP request: Connection reset",
            TransientError,
            "answer again",
        ),
        ("S3Exception: Slow Down (Service: S3, Status Code: 503, Request ID: 403)", TransientError, "again"),
        ("AWSStatus500Exception: InternalError (Service: S3)", TransientError, "again"),
        ("ConnectionClosedException: Premature end of Content-Length body", TransientError, "again"),
        ("SdkClientException: Data read has a different length than the expected", TransientError, "again"),
        ("java.net.UnknownHostException: bucket.s3.nowhere.com", ConfigurationError, "s3.nowhere.com"),
        # What comes back on every retry: nothing that is not known to pass is worth one.
        ("java.lang.OutOfMemoryError: Java heap space", PermanentError, "too little memory"),
        ("ExecutorLostFailure caused by java.lang.OutOfMemoryError", PermanentError, "too little memory"),
        (
            "SparkRuntimeException: [INVALID_PARAMETER_VALUE.PATTERN] The value of parameter regexp",
            ContractError,
            "INVALID_PARAMETER_VALUE.PATTERN",
        ),
        ("SparkRuntimeException: [USER_RAISED_EXCEPTION] f.x: its formula", ContractError, "USER_RAISED"),
        ("DeltaAnalysisException: [DELTA_INVALID_CHARACTERS_IN_COLUMN_NAMES] a b", PermanentError, "TASK"),
        (
            "DeltaUnsupportedOperationException: [DELTA_UNSUPPORTED_FEATURES_FOR_WRITE]",
            PermanentError,
            "TASK",
        ),
        ("java.lang.StackOverflowError", PermanentError, "TASK"),
        (
            "DeltaInvariantViolationException: CHECK constraint rides_not_null (rides IS NOT NULL) violated",
            PermanentError,
            "a row breaks rides_not_null, a constraint of the table, which is as it was",
        ),
        ("java.lang.NoSuchMethodError: org.x.Y.z()", ConfigurationError, "of different versions"),
        ("java.io.EOFException: Unexpected end of input stream", PermanentError, "TASK"),
    ],
)
def test_a_failure_is_called_by_its_cause(cause: str, kind: type[EngageError], said: str) -> None:
    error = to_engage_error(PySparkException(CLASSIC.format(cause=cause)), "/lake/t cannot be written")
    assert type(error) is kind
    assert said in str(error)
    assert error.hint
    assert "An error occurred while calling" not in str(error)
    assert "Some.scala" not in str(error)


@pytest.mark.parametrize(
    ("cause", "kind", "hint"),
    [
        ("java.net.SocketException: Connection reset", TransientError, "answer again"),
        ("S3Exception: Slow Down (Service: S3, Status Code: 503)", TransientError, "answer again"),
        ("S3Exception: Access Denied (Status Code: 403)", ConfigurationError, "rights"),
        ("java.lang.OutOfMemoryError: Java heap space", PermanentError, "more"),
        ("java.io.EOFException: Unexpected end of input stream", InputError, "deliver them again"),
    ],
)
def test_only_what_nothing_else_explains_is_laid_to_the_data(
    cause: str, kind: type[EngageError], hint: str
) -> None:
    error = to_engage_error(
        PySparkException(CLASSIC.format(cause=cause)),
        "the files cannot be read",
        input_hint="deliver them again",
    )
    assert type(error) is kind
    assert hint in (error.hint or "")


def test_jar_paths_are_no_inputs() -> None:
    error = input_error(
        RuntimeError("[FAILED_READ_FILE] reading file file:/raw/a.parquet in file:/home/jars/spark.jar")
    )
    assert error is not None
    assert error.details == ("file:/raw/a.parquet",)


def test_no_record_is_shown() -> None:
    error = input_error(
        RuntimeError(
            "[FAILED_READ_FILE.NO_HINT] Encountered error while reading file file:/raw/a.csv.\n"
            "Caused by: org.apache.spark.SparkException: [MALFORMED_RECORD_IN_PARSING.WITHOUT_SUGGESTION] "
            "Malformed records are detected in record parsing: [7,Jane Doe,null].\n"
            "Caused by: org.apache.spark.SparkRuntimeException: [MALFORMED_CSV_RECORD] Malformed CSV record: "
            "7;Jane Doe;x SQLSTATE: KD000"
        )
    )
    assert error is not None
    assert "Malformed CSV record" in str(error)
    assert "file:/raw/a.csv" in error.details
    assert "Jane" not in str(error)


def test_what_has_no_cause_in_a_file_is_no_input_error() -> None:
    assert input_error(RuntimeError("Job aborted due to stage failure")) is None


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (CLASSIC, "[TASK_WRITE_FAILED] Task failed while writing rows to file:/lake/t."),
        ("", "RuntimeError"),
        ("\n one \n two", "one"),
    ],
)
def test_the_first_line_is_the_one_that_tells_something(text: str, line: str) -> None:
    assert first_line(RuntimeError(text)) == line
