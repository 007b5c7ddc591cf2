"""Follow cohorts: the share that is active and the value that they have, by snapshot and age."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date

from engage_spark.analytics.intervals import mean_or_share
from engage_spark.analytics.plan import CountedMetric
from engage_spark.analytics.state_rows import Row
from engage_spark.analytics.states import NULL_SEGMENT, OTHER_SEGMENT, DayStates
from engage_spark.contract.analytics_spec import ACTIVE, RETENTION, CohortSpec


def cohort_rows(
    day: date, states: DayStates, cohorts: Sequence[CohortSpec], values: Sequence[CountedMetric]
) -> Iterator[Row]:
    """Return the rows of `cohorts` of a day: retention, where the contract says who is active, and the mean
    of each value metric.

    A customer who left the snapshots is in no cohort any more.
    """
    for d in cohorts:
        for cohort in states.segments(d.name):
            for metric in (CountedMetric(name=ACTIVE, unit="ratio"), *values):
                state = states.get(d.name, cohort, metric.name)
                if state is None:
                    continue
                estimate = mean_or_share(state)
                yield {
                    "cohort_key": d.name,
                    "cohort": cohort,
                    "metric": RETENTION if metric.name == ACTIVE else metric.name,
                    "age_months": _age(day, cohort) if d.is_month else None,
                    "unit": metric.unit,
                    "n": state.n,
                    **estimate._asdict(),
                }


def _age(day: date, cohort: str) -> int | None:
    if cohort in (NULL_SEGMENT, OTHER_SEGMENT):
        return None
    year, month = map(int, cohort.split("-"))
    return (day.year - year) * 12 + day.month - month
