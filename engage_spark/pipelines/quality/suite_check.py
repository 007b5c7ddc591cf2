"""Check any data against any Great Expectations suite, with our engine or GX; results have the same form."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from pyspark.sql import DataFrame, SparkSession

from engage_spark import log
from engage_spark.errors import ConfigurationError, GateError, InputError
from engage_spark.gx.evaluate import run_suite
from engage_spark.gx.export import DELIVERED, OWN
from engage_spark.gx.gx_runner import run_by_gx
from engage_spark.gx.suite_io import Suite, parse_suite
from engage_spark.gx.validation_results import ValidationEntry, plain, validation_result
from engage_spark.lake import Format, read_any_format, translate_spark_errors
from engage_spark.pipelines.results import FailedExpectation, Note, SuiteCheckResult
from engage_spark.spark.schema import column_named
from engage_spark.wording import counted

Engine = Literal["native", "gx"]
"""Who evaluates a suite: this package, or Great Expectations itself."""


def run_check(
    spark: SparkSession,
    path: str,
    suite: Path,
    *,
    engine: Engine = "native",
    data_format: Format = "auto",
    delimiter: str = ",",
    parameters: Mapping[str, Any] | None = None,
    masked: Sequence[str] = (),
    samples: bool = True,
) -> SuiteCheckResult:
    """Check the rows at `path` (Parquet, CSV or Delta) by every expectation of a suite.

    With `gx`, samples of `masked` columns cannot be kept out one by one, so there are no samples at all when
    a column is masked.
    Cost: see `gx.evaluate.run_suite` and `gx.gx_runner.run_by_gx`.
    Errors: InputError when the suite or the data cannot be read; ConfigurationError when `gx` is asked for
    and is not installed, or a masked column does not exist.
    """
    started = time.monotonic()
    expected = read_suite(suite).with_parameters(parameters or {})
    rows, unreadable = read_any_format(spark, path, format=data_format, delimiter=delimiter)
    rows = _as_named(rows, expected)
    hidden = _masked_columns(masked, rows.columns)
    with (
        log.stage(f"checking {path} by {counted(len(expected.expectations), 'expectation')}", engine=engine),
        translate_spark_errors(f"{path} cannot be checked"),
    ):
        if engine == "gx":
            entries = run_by_gx(rows, expected, show=samples and not masked)
        else:
            entries = tuple(
                ValidationEntry(
                    expectation=e.expectation,
                    success=e.success,
                    result=e.outcome.result if e.outcome else {},
                    exception=e.exception,
                )
                for e in run_suite(rows, expected, masked=hidden, show=samples)
            )
    entries = tuple(_without_values(e) if hidden.intersection(_columns(e)) else e for e in entries)
    return SuiteCheckResult(
        stage="quality check",
        seconds=time.monotonic() - started,
        notes=tuple(Note("ColumnLeftOut", {"column": n, "reason": why}) for n, why in unreadable),
        data=path,
        suite=expected.name,
        engine=engine,
        expectations=len(entries),
        failed=tuple(_failed_expectation(e) for e in entries if not e.success),
        validation=validation_result(
            expected, entries, meta={"engage_spark": {"engine": engine, "data": path}}
        ),
    )


def suite_gate_error(result: SuiteCheckResult, *, with_result: bool) -> GateError:
    """Return the error that a failed suite ends with; `with_result` attaches the result, to be shown."""
    return GateError(
        f"the suite {result.suite} failed: "
        f"{len(result.failed)} of {counted(result.expectations, 'expectation')} not held",
        hint="look at the failed expectations above, and correct the data or the suite",
        result=result if with_result else None,
    )


def _masked_columns(names: Sequence[str], columns: Sequence[str]) -> frozenset[str]:
    """Return the columns to hide as the data spell them.

    Errors: ConfigurationError for one that does not exist, because hiding nothing in silence would show what
    was to be hidden.
    """
    by_folded = {c.casefold(): c for c in columns}
    if unknown := [n for n in names if n.casefold() not in by_folded]:
        raise ConfigurationError(
            f"--mask names {', '.join(map(repr, unknown))}, and there is no such column",
            hint=f"columns are: {', '.join(columns)}",
        )
    return frozenset(by_folded[n.casefold()] for n in names)


def _as_named(rows: DataFrame, suite: Suite) -> DataFrame:
    """Give delivered columns the names that a suite of a contract has for them (`physicalName`)."""
    own = suite.meta.get(OWN)
    delivered = own.get(DELIVERED) if isinstance(own, Mapping) else None
    if not isinstance(delivered, Mapping):
        return rows
    names = {str(given): str(name) for name, given in delivered.items() if given in rows.columns}
    return rows.select(*(column_named(c).alias(names.get(c, c)) for c in rows.columns)) if names else rows


def _without_values(e: ValidationEntry) -> ValidationEntry:
    """Return an entry about a masked column without the values that were observed."""
    masked = {
        k: "***" if k == "observed_value" and v is not None else v
        for k, v in e.result.items()
        if k != "details"
    }
    return replace(e, result=masked)


def read_suite(path: Path) -> Suite:
    """Read a suite from its file.

    Errors: InputError for a file that is not there, or is no suite.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as e:
        raise InputError(
            f"the suite {path} cannot be read: {e}", hint="give the JSON file of a Great Expectations suite"
        ) from e
    return parse_suite(text, origin=path.name)


def _failed_expectation(e: ValidationEntry) -> FailedExpectation:
    return FailedExpectation(
        type=e.expectation.type,
        columns=_columns(e),
        severity=e.expectation.severity.value,
        result=plain(e.result),
        exception=e.exception,
    )


def _columns(e: ValidationEntry) -> tuple[str, ...]:
    """Return the columns that an expectation is about, none for the table as a whole."""
    kwargs = e.expectation.kwargs
    names = kwargs.get("column_list") or [
        kwargs[k] for k in ("column", "column_A", "column_B") if k in kwargs
    ]
    return tuple(str(name) for name in names)
