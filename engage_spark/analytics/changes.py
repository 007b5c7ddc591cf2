"""Compare two snapshots: what changed, and how far mix and rate explain it.

Of the mean of all, a segment's part in the change is (w₁ − w₀)(m − M) for its share w, and (m₁ − m₀)w for its
mean m, with the unmarked ones the averages of both days and M the mean of all: over all segments the two
add up to the change. A segment of one day only has no change of rate.
Source: E. M. Kitagawa, "Components of a Difference Between Two Rates", JASA 50, 1955.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from datetime import date

from engage_spark.analytics.intervals import difference_estimate
from engage_spark.analytics.plan import CountedDimension
from engage_spark.analytics.state_rows import Row
from engage_spark.analytics.states import (
    ALL,
    CUSTOMERS,
    NULL_SEGMENT,
    OTHER_SEGMENT,
    DayStates,
    Key,
    MetricState,
    merge_states,
)

_NOBODY = MetricState(0)


def change_rows(
    grain: str,
    previous: date,
    before: DayStates,
    after: DayStates,
    dimensions: Sequence[CountedDimension],
) -> Iterator[Row]:
    """Return the rows of `changes` of one grain: of each metric and dimension the whole, and each segment.

    Rules and cohorts are left out, and metrics without values on a day. The interval takes the customers of
    the two snapshots for independent, so it is rather too wide where they are the same. It is of the whole
    alone. Customers themselves have no mean: their change is that of their number.

    Of an open dimension the segments that only one of the days has are put to its other values, where a day
    has these: a value that has no segment of its own there may be among them.
    """
    for dimension in (d for d in dimensions if d.kind.is_summarised):
        days = _comparable(dimension.name, before, after) if dimension.is_open else (before, after)
        yield from _of_customers(dimension.name, *days, grain=grain, previous=previous)
        for metric in after.metrics:
            first, second = before.whole(metric), after.whole(metric)
            if first is not None and second is not None and first.n and second.n:
                parts = _parts(dimension.name, metric, *days, (first, second))
                for row in parts:
                    yield {"grain": grain, "previous_date": previous, **row}


def _comparable(dimension: str, before: DayStates, after: DayStates) -> tuple[DayStates, DayStates]:
    """Return both days with the same segments of a dimension, where one has values without their own."""
    days = (before, after)
    common = {*before.segments(dimension)} & {*after.segments(dimension)} - {OTHER_SEGMENT}
    if not any(OTHER_SEGMENT in day.segments(dimension) for day in days):
        return days
    return _with_others(dimension, before, common), _with_others(dimension, after, common)


def _with_others(dimension: str, states: DayStates, common: Collection[str]) -> DayStates:
    """Put the segments of a dimension that are not common ones to the other values."""
    unchanged, others = dict[Key, MetricState](), defaultdict[str, list[MetricState]](list)
    for (name, segment, metric), state in states.states.items():
        if name != dimension or segment in (*common, NULL_SEGMENT):
            unchanged[name, segment, metric] = state
        else:
            others[metric].append(state)
    merged = {(dimension, OTHER_SEGMENT, metric): merge_states(parts) for metric, parts in others.items()}
    return DayStates(unchanged | merged)


def _of_customers(
    dimension: str, before: DayStates, after: DayStates, *, grain: str, previous: date
) -> Iterator[Row]:
    counts = [(ALL, before.customers(), after.customers())]
    if dimension != ALL:
        segments = _segments(dimension, before, after)
        counts += [(s, before.customers(dimension, s), after.customers(dimension, s)) for s in segments]
    for segment, first, second in counts:
        yield {
            "grain": grain,
            "previous_date": previous,
            "metric": CUSTOMERS,
            "dimension": dimension,
            "segment": segment,
            "n_before": first,
            "n_after": second,
            **dict.fromkeys(("mean_before", "mean_after", "change_lower", "change_upper", "mix", "rate")),
            "change": float(second - first),
        }


def _segments(dimension: str, before: DayStates, after: DayStates) -> list[str]:
    return list(dict.fromkeys((*after.segments(dimension), *before.segments(dimension))))


def _parts(
    dimension: str, metric: str, before: DayStates, after: DayStates, wholes: tuple[MetricState, MetricState]
) -> Iterator[Row]:
    means = [w.mean or 0.0 for w in wholes]
    middle, rows = sum(means) / 2, []
    for segment in [] if dimension == ALL else _segments(dimension, before, after):
        first, second = (d.get(dimension, segment, metric) or _NOBODY for d in (before, after))
        mix, rate = _mix_and_rate(first, second, wholes, middle)
        rows.append(_row(dimension, segment, metric, (first, second)) | _effects(mix, rate))
    mixes = math.fsum(r["mix"] for r in rows)
    rates = math.fsum(r["rate"] for r in rows) if rows else means[1] - means[0]
    estimate = difference_estimate(*wholes)
    yield (
        _row(dimension, ALL, metric, wholes)
        | _effects(mixes, rates)
        | {
            "change": means[1] - means[0],
            "change_lower": estimate.lower,
            "change_upper": estimate.upper,
        }
    )
    yield from rows


def _mix_and_rate(
    first: MetricState, second: MetricState, wholes: tuple[MetricState, MetricState], middle: float
) -> tuple[float, float]:
    shares = [s.n / w.n for s, w in zip((first, second), wholes, strict=True)]
    before = second.mean if first.mean is None else first.mean
    after = first.mean if second.mean is None else second.mean
    if before is None or after is None:
        return 0.0, 0.0
    mix = (shares[1] - shares[0]) * ((before + after) / 2 - middle)
    return mix, (after - before) * (shares[0] + shares[1]) / 2


def _row(dimension: str, segment: str, metric: str, states: tuple[MetricState, MetricState]) -> Row:
    first, second = states
    return {
        "metric": metric,
        "dimension": dimension,
        "segment": segment,
        "n_before": first.n,
        "n_after": second.n,
        "mean_before": first.mean,
        "mean_after": second.mean,
        "change_lower": None,
        "change_upper": None,
    }


def _effects(mix: float, rate: float) -> Row:
    return {"change": mix + rate, "mix": mix, "rate": rate}
