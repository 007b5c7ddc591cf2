"""Word what a rule or gate measured, and what it was held against."""

from __future__ import annotations

from engage_spark.pipelines.results import RuleOutcome


def measured_text(outcome: RuleOutcome) -> str:
    """Return what a gate measured: `99.1234%`, `75 minutes`, `nothing to measure`."""
    from engage_spark.quality.report.formatting import format_measured

    return format_measured(outcome)


def bound_text(outcome: RuleOutcome) -> str:
    """Return the bounds of a rule or gate: `99.8%`, `10 to 60 minutes`."""
    from engage_spark.quality.report.formatting import format_bound

    return format_bound(outcome)
