"""Measure the rules of a contract: for how many customers they hold, and how targets differ with and without.

What differs goes together; nothing here says that one causes the other.
"""

from __future__ import annotations

from collections.abc import Iterator

from engage_spark.analytics.intervals import ratio_estimate, share_estimate
from engage_spark.analytics.state_rows import Row
from engage_spark.analytics.states import FALSE_SEGMENT, NULL_SEGMENT, TRUE_SEGMENT, DayStates
from engage_spark.contract.analytics_spec import AnalyticsSpec, IndicatorSpec


def indicator_rows(spec: AnalyticsSpec, states: DayStates) -> Iterator[Row]:
    """Yield the rows of `indicators` of a day, by the states of its customers.

    Grain: one row per indicator and target. Prevalence has Wilson's interval, lift that of a ratio of two
    means (`intervals.ratio_estimate`). A rule that was not counted, since a table that it uses was not there,
    is not measured.
    """
    for indicator in spec.indicators:
        for target in spec.targets:
            yield {
                "indicator": indicator.name,
                "target": target,
                "version": indicator.version,
                "description": indicator.description,
                "expression": indicator.expression,
                "aim": indicator.aim,
                "direction": indicator.direction.value,
                "unit": spec.metric(target).unit,
                **_measured(indicator, target, states),
            }


def _measured(indicator: IndicatorSpec, target: str, states: DayStates) -> Row:
    name = indicator.name
    if not states.segments(name):
        tables = ", ".join(indicator.tables)
        lacking = f"the rule was not counted: it needs rows of {tables} of this day"
        return {"measured": False, "reason": lacking, **dict.fromkeys(_NUMBERS)}
    n_with, n_without = (states.customers(name, s) for s in (TRUE_SEGMENT, FALSE_SEGMENT))
    prevalence = share_estimate(n_with, n_with + n_without)
    over, under = (states.get(name, s, target) for s in (TRUE_SEGMENT, FALSE_SEGMENT))
    lift = ratio_estimate(over, under)
    mean_with = None if over is None else over.mean
    mean_without = None if under is None else under.mean
    reason: str | None = None
    if mean_with is None or mean_without is None:
        side = "the rule" if mean_with is None else "the rule's contrary"
        reason = f"{side} holds for no customer with a value of {target}"
    elif mean_without <= 0:
        lift = lift._replace(value=None, lower=None, upper=None)
        reason = f"the mean of {target} without the rule is not above 0, so there is no ratio"
    return {
        "measured": True,
        "reason": reason,
        "customers": n_with + n_without,
        "n": n_with,
        "n_unknown": states.customers(name, NULL_SEGMENT),
        "prevalence": prevalence.value,
        "prevalence_lower": prevalence.lower,
        "prevalence_upper": prevalence.upper,
        "n_with": 0 if over is None else over.n,
        "n_without": 0 if under is None else under.n,
        "mean_with": mean_with,
        "mean_without": mean_without,
        "lift": lift.value,
        "lift_lower": lift.lower,
        "lift_upper": lift.upper,
    }


_NUMBERS = (
    "customers",
    "n",
    "n_unknown",
    "prevalence",
    "prevalence_lower",
    "prevalence_upper",
    "n_with",
    "n_without",
    "mean_with",
    "mean_without",
    "lift",
    "lift_lower",
    "lift_upper",
)
