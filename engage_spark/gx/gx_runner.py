"""Run a suite by Great Expectations itself.

The only code here that imports it, and only when it is called.
"""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from importlib import import_module
from io import StringIO
from typing import Any

from pyspark.sql import DataFrame

from engage_spark.errors import ConfigurationError
from engage_spark.gx.expectation_args import RefusedError, fill_suite_parameters
from engage_spark.gx.suite_io import Expectation, Suite
from engage_spark.gx.validation_results import ValidationEntry
from engage_spark.masking import cut

SAMPLES = 20


def require_gx() -> Any:
    """Import the package great_expectations, without its telemetry.

    Errors: ConfigurationError, with what to install, where it is missing.
    """
    os.environ["GX_ANALYTICS_ENABLED"] = "false"
    try:
        return import_module("great_expectations")
    except ImportError as e:
        raise ConfigurationError(
            f"Great Expectations cannot be imported: {e}",
            hint="pip install 'engage-spark[gx]' (or great-expectations==1.24.1, without its "
            "spark extra, which forbids this Spark)",
        ) from e


def run_by_gx(rows: DataFrame, suite: Suite, *, show: bool = True) -> tuple[ValidationEntry, ...]:
    """Evaluate `rows` by GX on their own session: nothing is cached, no option of Spark is set, and the
    session is not stopped.

    One entry per expectation, in the suite's order; one that GX does not know or refuses has failed and says
    why. With `show`, up to 20 unexpected values each.
    Cost: GX's own, one fused job and about one more for every expectation about rows.
    """
    require_gx()
    with quiet():
        configurations, refused = _configurations(suite)
        results = _validate(rows, list(configurations.values()), show=show) if configurations else {}
    return tuple(
        _refused(e, refused[e.id]) if e.id in refused else _entry(e, results.get(e.id))
        for e in suite.expectations
    )


def _configurations(suite: Suite) -> tuple[dict[str, Any], dict[str, str]]:
    """Build GX's form of each expectation, by id, and say why it refuses the others."""
    configuration = import_module(
        "great_expectations.expectations.expectation_configuration"
    ).ExpectationConfiguration
    taken: dict[str, Any] = {}
    refused: dict[str, str] = {}
    for e in suite.expectations:
        try:
            kwargs = fill_suite_parameters(dict(e.kwargs), suite.parameters)
            taken[e.id] = (
                configuration(type=e.type, kwargs=kwargs, id=e.id, severity=e.severity.value)
                .to_domain_obj()
                .configuration
            )
        except RefusedError as why:
            refused[e.id] = str(why)
        except Exception as why:  # noqa: BLE001 (whatever GX raises while it reads one expectation is that expectation's failure)
            refused[e.id] = _short(str(why)) or type(why).__name__
    return taken, refused


def _validate(rows: DataFrame, configurations: list[Any], *, show: bool) -> dict[str, Any]:
    engine = import_module("great_expectations.execution_engine").SparkDFExecutionEngine(
        spark=rows.sparkSession, persist=False
    )
    engine.load_batch_data("rows", rows)
    validator = import_module("great_expectations.validator.validator").Validator(execution_engine=engine)
    validator.metrics_calculator.show_progress_bars = False
    validator._determine_progress_bars = lambda: False  # the graph of the whole suite asks this instead
    limits = {"result_format": "BASIC", "partial_unexpected_count": SAMPLES if show else 0}
    results = validator.graph_validate(
        configurations=configurations, runtime_configuration={"result_format": limits}
    )
    return {result.expectation_config.id: result for result in results}


def _entry(e: Expectation, gx_result: Any) -> ValidationEntry:
    if gx_result is None:
        return _refused(e, "Great Expectations gave no result")
    content = gx_result.to_json_dict()
    return ValidationEntry(
        expectation=e,
        success=bool(content["success"]),
        result=content["result"] or {},
        exception=_exception(content["exception_info"]),
    )


def _refused(e: Expectation, why: str) -> ValidationEntry:
    return ValidationEntry(expectation=e, success=False, result={}, exception=why)


def _exception(info: Mapping[str, Any] | None) -> str | None:
    """GX tells one exception, or one per metric that failed."""
    if not info:
        return None
    if "raised_exception" in info:
        return _short(str(info.get("exception_message") or "unknown")) if info["raised_exception"] else None
    messages = [
        str(part.get("exception_message"))
        for part in info.values()
        if isinstance(part, Mapping) and part.get("raised_exception")
    ]
    return _short("; ".join(dict.fromkeys(messages))) or None


def _short(text: str) -> str:
    """In one line, without the stack of a Java failure."""
    return cut(" ".join(text.split()), 500)


@contextmanager
def quiet() -> Iterator[None]:
    """Silence GX, which logs what an expectation raises, warns of what its older suites hold, and prints
    advice; none of it belongs into our output.
    """
    logger = logging.getLogger("great_expectations")
    before = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        with warnings.catch_warnings(), redirect_stdout(StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(before)
