"""Roll the states of days up to weeks and months.

A week or month is the merge of its days: means are over customer-days, nothing is added up over days, and
percentiles come from merged summaries, never from percentiles.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import date, timedelta
from enum import StrEnum

from engage_spark.analytics.plan import CountedMetric
from engage_spark.analytics.state_rows import Row
from engage_spark.analytics.states import CUSTOMERS, DayStates, MetricState, merge_days
from engage_spark.contract.statements import OverTime
from engage_spark.numerics import sketches

_ORDERS = {"p05": 0.05, "p25": 0.25, "p50": 0.5, "p75": 0.75, "p95": 0.95}


class Grain(StrEnum):
    """How long a period is. Weeks are ISO weeks, from Monday to Sunday."""

    DAY = "day"
    WEEK = "week"
    MONTH = "month"

    def start(self, day: date) -> date:
        """Return the first day of the period that a day is in."""
        if self is Grain.WEEK:
            return day - timedelta(days=day.weekday())
        return day.replace(day=1) if self is Grain.MONTH else day


def days_of_period(grain: Grain, day: date, published: Sequence[date]) -> list[date]:
    """Return the days of the period up to a day that are among `published`, in order."""
    return sorted(d for d in published if grain.start(day) <= d <= day)


def last_day_before(grain: Grain, day: date, published: Sequence[date]) -> date | None:
    """Return the last of the published days of the period before that of a day; None where it has none.

    Before a day comes the last published day, however long ago.
    """
    start = grain.start(day)
    if grain is Grain.DAY:
        return max((d for d in published if d < start), default=None)
    before = grain.start(start - timedelta(days=1))
    return max((d for d in published if before <= d < start), default=None)


def rollup_rows(
    day: date, states: Mapping[date, DayStates], metrics: Sequence[CountedMetric]
) -> Iterator[Row]:
    """Return the rows of `rollups` as of a day: of the day, its week and its month.

    `states` are those of the published days of its week and month up to it, of itself at least; others are
    not looked at. Customers of a day are exact; of a longer period they are counted once each, from the
    summary of who they are, with a standard error of 1.6%; never fewer than on one of its days, nor more than
    on all of them together.
    """
    by_name = {m.name: m for m in metrics}
    for grain in Grain:
        days = days_of_period(grain, day, tuple(states))
        merged = states[day] if days == [day] else merge_days(states[d] for d in days)
        for (dimension, segment, metric), state in merged.states.items():
            who = merged.get(dimension, segment, CUSTOMERS)
            assert who is not None
            customers = who.n
            if len(days) > 1 and who.customers is not None:
                of_days = (states[d].customers(dimension, segment) for d in days)
                customers = min(max(sketches.estimate_distinct(who.customers), *of_days), who.n)
            last = states[day].get(dimension, segment, metric) or MetricState(0)
            declared = by_name.get(metric) or CountedMetric(name=metric, unit=CUSTOMERS)
            yield {
                "grain": grain.value,
                "dimension": dimension,
                "segment": segment,
                "metric": metric,
                "period_start": grain.start(day),
                "period_days": len(days),
                "segment_days": sum(states[d].customers(dimension, segment) > 0 for d in days),
                "over_time": declared.over_time.value,
                "rolling_days": declared.rolling_days if declared.over_time is OverTime.ROLLING else None,
                "unit": declared.unit,
                "customers": customers,
                "customer_days": state.n,
                "nulls": state.nulls,
                **_moments(metric, state),
                **_quantiles(state),
                "last_n": last.n,
                "last_mean": None if metric == CUSTOMERS else last.mean,
            }


def _quantiles(state: MetricState) -> dict[str, float | None]:
    if state.quantiles is None:
        return dict.fromkeys(_ORDERS)
    values = sketches.estimate_quantiles(state.quantiles, tuple(_ORDERS.values()))
    return dict(zip(_ORDERS, values, strict=True))


def _moments(metric: str, state: MetricState) -> dict[str, float | None]:
    """Return mean, deviation and ends; customers themselves have none."""
    if metric == CUSTOMERS:
        return dict.fromkeys(("mean", "standard_deviation", "minimum", "maximum"))
    return {
        "mean": state.mean,
        "standard_deviation": state.standard_deviation,
        "minimum": state.minimum,
        "maximum": state.maximum,
    }
