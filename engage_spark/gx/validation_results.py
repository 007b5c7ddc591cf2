"""Write outcomes as a GX validation result: the JSON that `ExpectationSuiteValidationResult` writes and its
Data Docs render.

No Spark, no GX.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from fractions import Fraction
from typing import Any

from engage_spark.gx.suite_io import Expectation, Suite


@dataclass(frozen=True, kw_only=True)
class ValidationEntry:
    """One expectation's result: whether it holds and what was found, or the reason why it could not be
    run.
    """

    expectation: Expectation
    success: bool
    result: Mapping[str, Any]
    exception: str | None = None
    meta: Mapping[str, Any] | None = None

    def as_json(self) -> dict[str, Any]:
        """Return the entry as GX writes it."""
        return {
            "success": self.success,
            "expectation_config": self.expectation.as_json(),
            "result": plain(self.result),
            "meta": dict(self.meta or {}),
            "exception_info": {
                "raised_exception": self.exception is not None,
                "exception_traceback": None,
                "exception_message": self.exception,
            },
        }


def validation_result(
    suite: Suite, entries: Sequence[ValidationEntry], *, meta: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the result of a suite.

    As in GX it holds when every expectation does, whatever its severity.
    """
    good = sum(e.success for e in entries)
    return {
        "success": good == len(entries),
        "results": [e.as_json() for e in entries],
        "suite_name": suite.name,
        "suite_parameters": dict(suite.parameters),
        "statistics": {
            "evaluated_expectations": len(entries),
            "successful_expectations": good,
            "unsuccessful_expectations": len(entries) - good,
            "success_percent": 100 * good / len(entries) if entries else None,
        },
        "meta": dict(meta),
        "id": None,
    }


def plain(value: Any) -> Any:
    """Return the value as JSON can hold it: exact numbers as the double next to them, times as ISO 8601, NaN
    and infinities as text.
    """
    if isinstance(value, Mapping):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, str) or not isinstance(value, Iterable):
        return _scalar(value)
    return [plain(v) for v in value]


def _scalar(value: Any) -> Any:
    if isinstance(value, Fraction | Decimal):
        value = float(value)
    elif hasattr(value, "item"):  # a figure of numpy, from GX
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value.isoformat() if isinstance(value, date | datetime) else value
