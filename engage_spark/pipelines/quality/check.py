"""Any data against any Great Expectations suite, by our engine or by GX itself: the same suite, the same form
of result.
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from pyspark.sql import SparkSession

from engage_spark import log
from engage_spark.errors import ConfigurationError, GateError, InputError
from engage_spark.gx.evaluate import run_suite
from engage_spark.gx.gx_runner import run_by_gx
from engage_spark.gx.suite_io import Suite, parse_suite
from engage_spark.gx.validation_results import Entry, plain, validation_result
from engage_spark.lake import Format, read_any_format, translate_spark_errors
from engage_spark.pipelines.results import Report

_PREFIX = re.compile(
    r"^expect_(?:column_values_to_|column_pair_values_|column_|multicolumn_|table_)?(?:to_)?"
)
Engine = Literal["ours", "gx"]


@dataclass(frozen=True)
class SuiteVerdict:
    """The outcome for people, and as a GX validation result."""

    report: Report
    result: Mapping[str, Any]

    @property
    def success(self) -> bool:
        return bool(self.result["success"])


def run_check(
    spark: SparkSession,
    path: str,
    suite: Path,
    *,
    engine: Engine = "ours",
    data_format: Format = "auto",
    delimiter: str = ",",
    parameters: Mapping[str, Any] | None = None,
    masked: Sequence[str] = (),
    samples: bool = True,
) -> SuiteVerdict:
    """Judge the rows at `path` (Parquet, CSV or Delta) by every expectation of the suite; see `run_suite` and
    `run_by_gx` for the cost.

    Raises InputError when the suite or the data cannot be read, ConfigurationError when `gx` is chosen and
    not installed. With `gx`, samples of `masked` columns cannot be kept out one by one, so there are none at
    all when any is named.
    """
    started = time.monotonic()
    wanted = _suite(suite).with_parameters(parameters or {})
    rows = read_any_format(spark, path, format=data_format, delimiter=delimiter)
    hidden = _masked(masked, rows.columns)
    with (
        log.stage(f"judging {path} by {len(wanted.expectations)} expectations", engine=engine),
        translate_spark_errors(f"{path} cannot be judged"),
    ):
        if engine == "gx":
            entries = run_by_gx(rows, wanted, show=samples and not masked)
        else:
            entries = tuple(
                Entry(
                    expectation=j.expectation,
                    success=j.success,
                    result=j.outcome.result if j.outcome else {},
                    exception=j.exception,
                )
                for j in run_suite(rows, wanted, masked=hidden, show=samples)
            )
    entries = tuple(_without_values(e) if hidden.intersection(_about(e)) else e for e in entries)
    result = validation_result(wanted, entries, meta={"engage_spark": {"engine": engine, "data": path}})
    return SuiteVerdict(_report(path, wanted, entries, engine, time.monotonic() - started), result)


def _masked(names: Sequence[str], columns: Sequence[str]) -> frozenset[str]:
    """The columns to hide, as they are written in the data. Raises ConfigurationError for one that is not
    there: hiding nothing in silence would show what was to be hidden.
    """
    known = {c.casefold(): c for c in columns}
    if unknown := [n for n in names if n.casefold() not in known]:
        raise ConfigurationError(
            f"--mask names {', '.join(map(repr, unknown))}, and there is no such column",
            hint=f"columns are: {', '.join(columns)}",
        )
    return frozenset(known[n.casefold()] for n in names)


def _without_values(e: Entry) -> Entry:
    """An entry about a masked column, without what was observed of it."""
    shown = {
        k: "***" if k == "observed_value" and v is not None else v
        for k, v in e.result.items()
        if k != "details"
    }
    return replace(e, result=shown)


def gate_error(checked: SuiteVerdict, *, report: bool) -> GateError:
    """What a failed suite ends with."""
    failed = [e for e in checked.result["results"] if not e["success"]]
    return GateError(
        f"the suite {checked.result['suite_name']} failed: {len(failed)} of {len(checked.result['results'])} expectations do not hold",
        hint="look at what was found above, and mend the data or the suite",
        result=checked.report if report else None,
    )


def _suite(path: Path) -> Suite:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as e:
        raise InputError(
            f"the suite {path} cannot be read: {e}", hint="give the JSON file of a Great Expectations suite"
        ) from e
    return parse_suite(text, origin=path.name)


def _report(path: str, suite: Suite, entries: Sequence[Entry], engine: Engine, seconds: float) -> Report:
    failed = [e for e in entries if not e.success]
    shown = tuple((_about(e)[0], _kind(e), _found(e)) for e in failed)
    headers = ("about", "expected to", "found")
    return Report(
        stage="quality check",
        seconds=seconds,
        lines=(
            ("data", path),
            ("suite", suite.name),
            ("engine", engine),
            ("expectations", f"{len(entries)}, of which {len(failed)} do not hold"),
        ),
        failed=(headers, shown) if shown else None,
    )


def _kind(e: Entry) -> str:
    return _PREFIX.sub("", e.expectation.type).replace("_", " ")


def _about(e: Entry) -> list[str]:
    kwargs = e.expectation.kwargs
    several = kwargs.get("column_list") or [
        kwargs[k] for k in ("column", "column_A", "column_B") if k in kwargs
    ]
    return [str(name) for name in several] or ["the table"]


def _found(e: Entry) -> str:
    others = f"with {', '.join(_about(e)[1:])}: " if len(_about(e)) > 1 else ""
    return f"{e.expectation.severity.value}: {others}{e.exception or _told(plain(e.result))}"


def _told(result: Mapping[str, Any]) -> str:
    if "element_count" not in result:
        told = {
            k: v
            for k, v in result.items()
            if k != "details" and v is not None and not k.startswith("partial_")
        }
        return ", ".join(f"{k.replace('_', ' ')} {v}" for k, v in told.items()) or "not so"
    samples = ", ".join(map(str, (result.get("partial_unexpected_list") or [])[:5]))
    counts = f"{result['unexpected_count'] or 0:,} of {result['element_count']:,} unexpected"
    missing = f", {result['missing_count']:,} missing" if result.get("missing_count") else ""
    return counts + missing + (f" ({samples})" if samples else "")
