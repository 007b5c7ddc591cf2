"""Say what analytics makes of a single field or claim, what is wrong with that, and how it is named."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from itertools import count

from engage_spark.contract.analytics_spec import DimensionKind, DimensionSpec, MetricSpec
from engage_spark.contract.model import Field
from engage_spark.contract.statements import AnalyticsUse, Claim, ClaimKind, OverTime

NUMERIC = ("integer", "number", "boolean")
"""Logical types that metrics can have."""


def free_name(name: str, taken: Collection[str]) -> str:
    """Return a name that is not taken, in any case: itself, or followed by the first number that is free."""
    lower = {t.lower() for t in taken}
    if name.lower() not in lower:
        return name
    return next(n for i in count(2) if (n := f"{name}_{i}").lower() not in lower)


def dimension_of(
    name: str, f: Field, sql: str, tables: tuple[str, ...], about: Mapping[str, object]
) -> DimensionSpec:
    """Return how a field parts customers: by its bands, or by its values."""
    is_band = bool(f.bands) and not f.allowed
    return DimensionSpec(
        name=name,
        kind=DimensionKind.BAND if is_band else DimensionKind.CATEGORY,
        source=sql if is_band else f"CAST({sql} AS STRING)",
        tables=tables,
        values=() if is_band else tuple(map(str, f.allowed)),
        bounds=f.bands if is_band else (),
        unit=f.unit,
        description=str(about["description"]),
        is_personal=f.is_personal,
    )


def use_problems(f: Field, uses: frozenset[AnalyticsUse]) -> list[str]:
    """Say what is wrong with what analytics shall do with a field."""
    problems = []
    numeric = f.logical_type in ("integer", "number")
    if f.is_key and uses:
        problems.append("analytics has no use for a key")
    if AnalyticsUse.METRIC in uses and f.logical_type not in NUMERIC and f.positive is None:
        problems.append(f"a metric is a number or a boolean, not {f.logical_type}")
    if AnalyticsUse.QUARTILES in uses and not numeric:
        problems.append(f"quartiles are of numbers, not of {f.logical_type}")
    if AnalyticsUse.VALUE in uses and AnalyticsUse.METRIC not in uses:
        problems.append("a value that cohorts show must be a metric")
    is_category = f.logical_type in ("string", "boolean") or bool(f.allowed)
    is_category = is_category and f.spark_type != "binary"
    if AnalyticsUse.DIMENSION in uses and not (is_category or (numeric and f.bands)):
        problems.append("a dimension is a text, a boolean, one of valid values, or a number with bands")
    if AnalyticsUse.COHORT in uses:
        is_months = f.logical_type == "integer" and f.unit == "months"
        if not (is_category or is_months or f.logical_type in ("date", "timestamp")):
            problems.append("a cohort is by a category, a date, or a whole number whose unit is months")
    elif f.cohort_name is not None:
        problems.append("cohortName is for cohorts")
    if (f.over_time is OverTime.ROLLING) != (f.rolling_days is not None):
        problems.append("rollingDays and overTime: rolling belong together")
    if f.over_time is not None and AnalyticsUse.METRIC not in uses:
        problems.append("overTime is for metrics")
    return problems


def unit_of(c: Claim, metric: MetricSpec | None) -> str | None:
    """Return the unit of what a claim measures."""
    fixed = {ClaimKind.RATIO: "ratio", ClaimKind.SHARE: "share", ClaimKind.CUSTOMERS: "customers"}
    if c.kind in fixed:
        return fixed[c.kind]
    if metric is None or c.kind is ClaimKind.SHAPE:
        return None
    return "share" if metric.is_share else metric.unit
