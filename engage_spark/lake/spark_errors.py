"""Spark's failures in words: which of ours one is, what it says first, and how it may be mended.

Classic Spark hands a failed job over as a bare Py4JJavaError, Connect as a PySparkException; SPARK_ERRORS is
both.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import unquote

from engage_spark.errors import ConfigurationError, ContractError, EngageError, InputError, TransientError
from engage_spark.spark.failures import SPARK_ERRORS

BROKEN = re.compile(
    r"CANNOT_READ_FILE_FOOTER|FAILED_READ_FILE|is not a Parquet file|CANNOT_MERGE_SCHEMAS|PARQUET_COLUMN_DATA_TYPE_MISMATCH|MALFORMED_CSV"
    r"|FAILED_MERGING_SCHEMA|Could not read footer|CANNOT_MERGE_INCOMPATIBLE|CSV_HEADER|CSV header|MALFORMED_RECORD|PARQUET_TYPE_ILLEGAL"
)
NAMED = re.compile(
    r"(?:file|s3a?|abfss?|gs|dbfs|hdfs):/(?:[^\n'\"\]\)]*?\.(?:parquet|pq|csv)(?:\.gz)?\b|[^\s,'\"\]\)]+)",
    re.IGNORECASE,
)
CAUSE = re.compile(r"^\s*Caused by: (?:[\w.$]+: )?(.+)$", re.MULTILINE)
INTRODUCTION = re.compile(r"^(?:Caused by|Suppressed)?: (?:[\w.$]+(?:Exception|Error): )?")
COLUMNS = re.compile(
    r"DELTA_SCHEMA_MISMATCH|DELTA_FAILED_TO_MERGE_FIELDS|DELTA_METADATA_MISMATCH|_LEGACY_ERROR_TEMP_DELTA_0007"
)
DENIED = re.compile(
    r"Permission denied|AccessDenied|Access Denied|Mkdirs failed|Read-only file system|\b403\b|NoSuchBucket|Not a directory"
    r"|FileAlreadyExistsException|ParentNotDirectory|DELTA_CANNOT_CREATE_LOG_PATH|No space left"
    r"|UnknownStoreException|NoAuthWithAWS|NoAwsCredentials|Unable to load credentials",
    re.IGNORECASE,
)
CONFLICT = re.compile(
    r"DELTA_CONCURRENT|Concurrent(?:Append|Delete\w+|Transaction|Write|Modification)Exception"
)
EXPRESSION = re.compile(
    r"\[(DIVIDE_BY_ZERO|ARITHMETIC_OVERFLOW|CAST_INVALID_INPUT|CAST_OVERFLOW|NUMERIC_VALUE_OUT_OF_RANGE"
    r"|PARSE_SYNTAX_ERROR|UNRESOLVED_ROUTINE|UNRESOLVED_COLUMN|DATATYPE_MISMATCH|WRONG_NUM_ARGS)"
)


def first_line(error: BaseException) -> str:
    """The line that says what happened, without Python's and Java's way of introducing it."""
    lines = [line.strip() for line in str(error).splitlines()]
    told = [
        line for line in lines if line and not line.startswith(("An error occurred while calling", "at "))
    ]
    return INTRODUCTION.sub("", told[0]) if told else type(error).__name__


def input_error(error: BaseException) -> EngageError | None:
    """The InputError behind a Spark failure whose cause is an unreadable file, or None."""
    text = str(error)
    if not BROKEN.search(text):
        return None
    told = next(line.strip() for line in text.splitlines() if BROKEN.search(line))
    cause = CAUSE.findall(text)[-1:]  # the innermost comes last; Connect does not send it
    named = sorted({unquote(m.rstrip(".:;")) for m in NAMED.findall(text) if not m.endswith(".jar")})
    return InputError(
        f"a file cannot be read: {INTRODUCTION.sub('', told)[:300]}",
        details=[*(c[:300] for c in cause if c not in told), *named[:10]],
        hint="deliver the named file again; nothing was written, and no row was skipped",
    )


@contextmanager
def translate_spark_errors(what: str) -> Iterator[None]:
    """Turn a failure of Spark inside the block into the error of ours that says what to do about it."""
    try:
        yield
    except SPARK_ERRORS as e:
        raise to_engage_error(e, what) from e


def to_engage_error(error: BaseException, what: str) -> EngageError:
    """A storage, schema, input or formula failure in words; `what` says what could not be done."""
    text, first = str(error), first_line(error)
    if (of_input := input_error(error)) is not None:
        return of_input
    if found := EXPRESSION.search(text):
        return ContractError(
            f"{what}: an expression of the contract is no valid SQL, or fails on some row ({found[1]})",
            details=(first[:300],),
            hint="correct the rule or formula; to hold for any value it may need nullif, try_divide or try_cast",
        )
    if CONFLICT.search(text):
        return TransientError(
            f"{what}: another run wrote it at the same time",
            details=(first[:300],),
            hint="let one run write at a time, then rerun",
        )
    if COLUMNS.search(text):
        return ConfigurationError(
            f"{what}: it holds other columns than the contract declares now",
            details=(first[:300],),
            hint="write to a new lake (lake.root), or migrate the table before the contract changes",
        )
    if DENIED.search(text):
        reason = INTRODUCTION.sub("", next(line.strip() for line in text.splitlines() if DENIED.search(line)))
        return ConfigurationError(
            f"{what}: {reason[:300]}",
            hint="check that the place is there, and the rights on it; `engage-spark doctor` tries it",
        )
    return TransientError(
        f"{what}: {first[:500]}",
        hint="look at the cause above; when it has passed, run the stage again: it starts over",
    )
