"""Turn the states of a day into the rows of `analytics_states` and `segments`, and back."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from engage_spark.analytics.plan import Segment, SegmentedDimension
from engage_spark.analytics.states import (
    ALL,
    CUSTOMERS,
    NULL_SEGMENT,
    OTHER_SEGMENT,
    DayStates,
    Key,
    MetricState,
    from_exact,
)
from engage_spark.contract.analytics_spec import DimensionKind

Row = dict[str, Any]
"""A row of a table of analytics by column, without the day and the run."""


def state_rows(states: DayStates, dimensions: Sequence[SegmentedDimension]) -> Iterator[Row]:
    """Return the rows of `analytics_states`: one per segment with customers, and metric."""
    order = {
        (d.dimension.name, s.name): (d.dimension.kind.value, i)
        for d in dimensions
        for i, s in enumerate(d.all_segments)
    }
    for (dimension, segment, metric), state in states.states.items():
        kind, place = order[dimension, segment]
        is_count = metric == CUSTOMERS
        yield {
            "dimension": dimension,
            "segment": segment,
            "metric": metric,
            "dimension_kind": kind,
            "segment_order": place,
            "n": state.n,
            "nulls": state.nulls,
            "total": state.total if state.n and not is_count else None,
            "minimum": state.minimum,
            "maximum": state.maximum,
            "exact": None if is_count else state.exact,
            "quantiles": state.quantiles,
            "customers": state.customers,
        }


def to_day_states(rows: Iterable[Mapping[str, Any]]) -> DayStates:
    """Return the states of a day from its rows of `analytics_states`, in any order.

    Errors: ValueError for sums or summaries of another version.
    """
    ordered = sorted(
        rows, key=lambda r: (r["dimension"] != ALL, r["dimension"], r["segment_order"], r["metric"])
    )
    states: dict[Key, MetricState] = {}
    for r in ordered:
        total, squares = (0, 0) if r["exact"] is None else from_exact(r["exact"])
        states[r["dimension"], r["segment"], r["metric"]] = MetricState(
            n=r["n"],
            nulls=r["nulls"],
            sum_units=total,
            square_units=squares,
            minimum=r["minimum"],
            maximum=r["maximum"],
            quantiles=r["quantiles"],
            customers=r["customers"],
        )
    return DayStates(states)


def segment_rows(states: DayStates, dimensions: Sequence[SegmentedDimension]) -> Iterator[Row]:
    """Return the rows of `segments`: the declared ones also where nobody is in them."""
    everyone = states.customers()
    for d in dimensions:
        name = d.dimension.name
        for place, segment in enumerate(d.all_segments):
            customers = states.customers(name, segment.name)
            if not customers and segment.name in (NULL_SEGMENT, OTHER_SEGMENT):
                continue
            lower, upper = _ends(states, d, segment)
            yield {
                "dimension": name,
                "segment": segment.name,
                "dimension_kind": d.dimension.kind.value,
                "segment_order": place,
                "lower": lower,
                "upper": upper,
                "customers": customers,
                "share": customers / everyone if everyone else 0.0,
                "description": segment.description or _words(d, segment),
            }


def _ends(states: DayStates, d: SegmentedDimension, segment: Segment) -> tuple[float | None, float | None]:
    """Return the ends of a range; the outer quartiles end with the extremes of their field."""
    lower, upper = segment.lower, segment.upper
    if d.dimension.kind is DimensionKind.QUARTILE and segment in d.segments and d.dimension.field:
        whole = states.whole(d.dimension.field)
        if whole is not None:
            lower = whole.minimum if lower is None else lower
            upper = whole.maximum if upper is None else upper
    return lower, upper


def _words(d: SegmentedDimension, segment: Segment) -> str:
    subject = d.dimension.field or d.dimension.name
    if not d.dimension.kind.is_numeric:
        return f"{subject} is {segment.text}"
    if segment.lower is None:
        return f"{subject} below {segment.upper:g}"
    above = f"{subject} from {segment.lower:g} on"
    return above if segment.upper is None else f"{subject} from {segment.lower:g} to below {segment.upper:g}"
