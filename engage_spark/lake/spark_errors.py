"""Translate Spark's failures into the package's errors: what went wrong, and how to fix it.

This module words the errors of reading and writing; `spark/failures` knows Spark's exceptions and which of
them a retry may cure.

Classic Spark hands a failed job over as a bare Py4JJavaError, Connect as a PySparkException; SPARK_ERRORS is
both.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import unquote

from engage_spark.errors import (
    ConfigurationError,
    ContractError,
    EngageError,
    InputError,
    PermanentError,
    TransientError,
)
from engage_spark.masking import cut
from engage_spark.spark.failures import (
    INTRODUCTION,
    SPARK_ERRORS,
    environment_fault,
    first_line,
    is_out_of_memory,
    is_transient,
)

BROKEN = re.compile(
    r"CANNOT_READ_FILE_FOOTER|FAILED_READ_FILE|is not a Parquet file|CANNOT_MERGE_SCHEMAS"
    r"|PARQUET_COLUMN_DATA_TYPE_MISMATCH|MALFORMED_CSV|FAILED_MERGING_SCHEMA|Could not read footer"
    r"|CANNOT_MERGE_INCOMPATIBLE|CSV_HEADER|CSV header|MALFORMED_RECORD|PARQUET_TYPE_ILLEGAL"
)
NAMED = re.compile(
    r"(?:file|s3a?|abfss?|gs|dbfs|hdfs):/(?:[^\n'\"\]\)]*?\.(?:parquet|pq|csv)(?:\.gz)?\b|[^\s,'\"\]\)]+)",
    re.IGNORECASE,
)
RECORD = re.compile(r"(Malformed CSV record|detected in record parsing): .*")
"""Where Spark shows a record, with values that may be personal."""
CAUSE = re.compile(r"^\s*Caused by: (?:[\w.$]+: )?(.+)$", re.MULTILINE)
COLUMNS = re.compile(
    r"DELTA_SCHEMA_MISMATCH|DELTA_FAILED_TO_MERGE_FIELDS|DELTA_METADATA_MISMATCH|_LEGACY_ERROR_TEMP_DELTA_0007"
)
DENIED = re.compile(
    r"Permission denied|AccessDenied|Access Denied|Mkdirs failed|Read-only file system|\b403\b|NoSuchBucket"
    r"|Not a directory|FileAlreadyExistsException|ParentNotDirectory|DELTA_CANNOT_CREATE_LOG_PATH"
    r"|No space left|UnknownHostException|UnknownStoreException"
    r"|NoAuthWithAWS|NoAwsCredentials|Unable to load credentials",
    re.IGNORECASE,
)
CONFLICT = re.compile(
    r"DELTA_CONCURRENT|Concurrent(?:Append|Delete\w+|Transaction|Write|Modification)Exception"
    r"|DELTA_(?:METADATA|PROTOCOL)_CHANGED|(?:Metadata|Protocol)ChangedException"
    r"|DELTA_MAX_COMMIT_RETRIES_EXCEEDED"
)
CHANGED = re.compile(r"DELTA_SCHEMA_CHANGE_SINCE_ANALYSIS")
SERVER_GONE = re.compile(r"StatusCode\.UNAVAILABLE")
ABSENT = (
    "DELTA_TABLE_ONLY_OPERATION",
    "DELTA_MISSING_DELTA_TABLE",
    "DELTA_TABLE_NOT_FOUND",
    "DELTA_PATH_DOES_NOT_EXIST",
    "TABLE_OR_VIEW_NOT_FOUND",
    "PATH_NOT_FOUND",
)
CONSTRAINT = re.compile(r"CHECK constraint (\w+) \(")
EXPRESSION = re.compile(
    r"\[(DIVIDE_BY_ZERO|ARITHMETIC_OVERFLOW|CAST_INVALID_INPUT|CAST_OVERFLOW|NUMERIC_VALUE_OUT_OF_RANGE"
    r"|PARSE_SYNTAX_ERROR|UNRESOLVED_ROUTINE|UNRESOLVED_COLUMN|DATATYPE_MISMATCH|WRONG_NUM_ARGS"
    r"|INVALID_PARAMETER_VALUE[.\w]*|USER_RAISED_EXCEPTION|INVALID_ARRAY_INDEX|INVALID_EXTRACT\w*"
    r"|DATETIME_OVERFLOW|INTERVAL_ARITHMETIC_OVERFLOW|CANNOT_PARSE_TIMESTAMP|INVALID_DATETIME_PATTERN[.\w]*"
    r"|FAILED_TO_PARSE_TOO_COMPLEX|INVALID_FORMAT[.\w]*)"
)


def is_missing_table(error: BaseException) -> bool:
    """Return whether a failure of Spark says that there is no such table."""
    text = str(error)
    return any(name in text for name in ABSENT)


def is_missing_schema(error: BaseException) -> bool:
    """Return whether a failure of Spark says that there is no such schema of a catalog."""
    return "SCHEMA_NOT_FOUND" in str(error)


def holds_other_columns(error: BaseException) -> bool:
    """Return whether a failure of Spark says that a table has other columns, types or partitions."""
    return COLUMNS.search(str(error)) is not None


def input_error(error: BaseException) -> EngageError | None:
    """Return the InputError of a Spark failure that an unreadable file caused; None for other causes."""
    text = str(error)
    if not BROKEN.search(text):
        return None
    reason = next(RECORD.sub(r"\1", line).strip() for line in text.splitlines() if BROKEN.search(line))
    cause = [
        RECORD.sub(r"\1", c) for c in CAUSE.findall(text)[-1:]
    ]  # the innermost comes last; Connect does not send it
    named = sorted({unquote(m.rstrip(".:;")) for m in NAMED.findall(text) if not m.endswith(".jar")})
    return InputError(
        f"a file cannot be read: {cut(INTRODUCTION.sub('', reason), 300)}",
        details=[*(cut(c, 300) for c in cause if c not in reason), *named[:10]],
        hint="deliver the named file again; no row was skipped",
    )


@contextmanager
def translate_spark_errors(what: str) -> Iterator[None]:
    """Turn a failure of Spark inside the block into an EngageError; `what` says what could not be done."""
    try:
        yield
    except SPARK_ERRORS as e:
        raise to_engage_error(e, what) from e


def to_engage_error(error: BaseException, what: str, *, input_hint: str = "") -> EngageError:
    """Translate a failure of storage, schema, input or formula; `what` says what could not be done.

    With `input_hint`, what has no cause that is known is laid to the data that were read: InputError with it.
    """
    if fault := environment_fault(error, what):
        return fault
    if is_transient(error):
        gone = SERVER_GONE.search(str(error))
        reason = "the Spark Connect server does not answer any more" if gone else first_line(error)
        return TransientError(
            f"{what}: {cut(reason, 500)}",
            hint="when storage and cluster answer again, run the stage again: it starts over",
        )
    if known := input_error(error) or _changed_meanwhile(error, what) or _known_cause(error, what):
        return known
    if input_hint and not is_out_of_memory(error):
        return InputError(f"{what}: {cut(first_line(error), 500)}", hint=input_hint)
    return _unknown_cause(error, what)


def _changed_meanwhile(error: BaseException, what: str) -> TransientError | None:
    """Return the error of a table that changed under a run, None for other causes."""
    text, details = str(error), (cut(first_line(error), 300),)
    if CONFLICT.search(text):
        return TransientError(
            f"{what}: another run wrote it at the same time",
            details=details,
            hint="let one run write at a time, then rerun",
        )
    if CHANGED.search(text):
        return TransientError(
            f"{what}: the table changed while it was read, or its store showed it otherwise for a moment",
            details=details,
            hint="run it again: it starts over",
        )
    return None


def _known_cause(error: BaseException, what: str) -> EngageError | None:
    """Return the error of a cause in contract, storage or table, None for another."""
    text, first = str(error), first_line(error)
    if match := EXPRESSION.search(text):
        return ContractError(
            f"{what}: an expression of the contract is not valid SQL, or fails on some row ({match[1]})",
            details=(cut(first, 300),),
            hint="correct the rule or formula; to take any value it may need nullif, try_divide or try_cast",
        )
    if match := CONSTRAINT.search(text):
        return PermanentError(
            f"{what}: a row breaks {match[1]}, a constraint of the table, which is as it was",
            details=(cut(first, 300),),
            hint="`engage-spark tables migrate` lists constraints that this version has otherwise, and with "
            "--apply sets them; one that it does not list is a fault of this package, or of its owner's own",
        )
    if COLUMNS.search(text):
        return ConfigurationError(
            f"{what}: it holds other columns than the contract declares now",
            details=(cut(first, 300),),
            hint="`engage-spark tables migrate` lists what the table needs; with --apply it does it",
        )
    if DENIED.search(text):
        reason = INTRODUCTION.sub("", next(line.strip() for line in text.splitlines() if DENIED.search(line)))
        return ConfigurationError(
            f"{what}: {cut(reason, 300)}",
            hint="check that the location exists, and the rights on it; `engage-spark doctor` tries it",
        )
    return None


def _unknown_cause(error: BaseException, what: str) -> EngageError:
    if is_out_of_memory(error):
        return PermanentError(
            f"{what}: Spark had too little memory: {cut(first_line(error), 300)}",
            hint="give it more (spark.driver_memory), or deliver the data in more and smaller files",
        )
    return PermanentError(
        f"{what}: {cut(first_line(error), 500)}",
        hint="look at the cause above; a retry gives the same as long as it is there. "
        "--set log.spark=FILE keeps all that Spark says",
    )
