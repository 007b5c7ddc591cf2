"""Compare segments: each against everybody else, or two with each other."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from engage_spark.analytics.intervals import Estimate, difference_estimate, ratio_estimate
from engage_spark.analytics.states import CUSTOMERS, DayStates
from engage_spark.insight.evidence import Answer, Column, Evidence, Origin, Value
from engage_spark.insight.failures import BadArgumentError
from engage_spark.insight.lake_reader import LakeReader
from engage_spark.insight.registry import MOST_ROWS
from engage_spark.insight.small_groups import HiddenSegments
from engage_spark.insight.tools.common import (
    ASSOCIATION,
    GROUP_COLUMNS,
    HIDDEN_NOTE,
    INTERVAL_COLUMNS,
    N_COLUMN,
    SHARE,
    check_segment,
    estimate_fact,
    estimate_of,
    fact,
    filter_of,
    given,
    measure_of,
    notes_on,
    require_shown,
    rest_of,
    unit_of,
)

_COMPARED = (
    "difference_from_others is to all other customers with a value, with its own 95% interval; where that "
    "holds 0, no difference can be told. Intervals are not corrected for the number of segments compared."
)


class _Segment(NamedTuple):
    dimension: str
    segment: str
    n: int
    mean: Estimate
    difference: Estimate


def compare_segments(reader: LakeReader, arguments: Mapping[str, Any]) -> Answer:
    """Compare a metric between segments, highest first: those of a dimension, or the ends of those of all."""
    words, metric = reader.words, arguments["metric"]
    dimension, first, second = (given(arguments, a) for a in ("dimension", "first", "second"))
    origin, hidden, states = reader.day_states(given(arguments, "as_of"))
    require_shown(hidden, None, None, metric)
    for argument, segment in (("first", first), ("second", second)):
        check_segment(dimension, segment, hidden, words, argument=argument)
    if first is not None or second is not None:
        return _two(reader, arguments, origin, hidden)
    dimensions = [dimension] if dimension is not None else list(words.dimensions)
    shown, n_hidden = list[_Segment](), 0
    for name in dimensions:
        small = hidden.of(name, metric)
        n_hidden += len(small)
        shown += [_segment(reader, states, metric, name, s) for s in states.segments(name) if s not in small]
    ordered = sorted(shown, key=_rank)
    half = MOST_ROWS // 2
    is_cut = dimension is None and len(ordered) > MOST_ROWS
    rows = [_row(s) for s in ([*ordered[:half], *ordered[-half:]] if is_cut else ordered)]
    whole = states.whole(metric)
    notes = [*notes_on(words, metric), *([HIDDEN_NOTE] if n_hidden else [])]
    notes += [_COMPARED, ASSOCIATION] if metric != CUSTOMERS else []
    n = 0 if whole is None else whole.n
    label = f"{metric}: {measure_of(words, metric)}"
    of_all = estimate_of(words, metric, whole) if metric != CUSTOMERS else Estimate(float(n))
    return Answer(
        tool="compare_segments",
        arguments=arguments,
        facts=(estimate_fact(origin, label, of_all, unit=unit_of(words, metric), n=n),),
        columns=_columns(reader, metric),
        rows=tuple(rows),
        origin=origin,
        notes=tuple(notes),
        truncated=is_cut,
    )


def _segment(reader: LakeReader, states: DayStates, metric: str, dimension: str, segment: str) -> _Segment:
    state, whole = states.get(dimension, segment, metric), states.whole(metric)
    n = 0 if state is None else state.n
    if metric == CUSTOMERS:
        share = n / whole.n if whole is not None and whole.n else None
        return _Segment(dimension, segment, n, Estimate(float(n)), Estimate(share))
    difference = difference_estimate(rest_of(whole, state), state)
    return _Segment(dimension, segment, n, estimate_of(reader.words, metric, state), difference)


def _rank(s: _Segment) -> tuple[bool, float, str, str]:
    """Order by the mean, highest first; what has no value comes last."""
    return (s.mean.value is None, -(s.mean.value or 0.0), s.dimension, s.segment)


def _row(s: _Segment) -> tuple[Value, ...]:
    return (s.dimension, s.segment, *s.mean, *s.difference, s.n)


def _columns(reader: LakeReader, metric: str) -> tuple[Column, ...]:
    unit = unit_of(reader.words, metric)
    second, of = ("share", SHARE) if metric == CUSTOMERS else ("difference_from_others", unit)
    return (
        *GROUP_COLUMNS,
        Column(name=measure_of(reader.words, metric), unit=unit),
        *INTERVAL_COLUMNS,
        Column(name=second, unit=of),
        *(Column(name=f"{second}_{end}", unit=of) for end in ("lower", "upper")),
        N_COLUMN,
    )


def _two(reader: LakeReader, arguments: Mapping[str, Any], origin: Origin, hidden: HiddenSegments) -> Answer:
    """Compare two segments of one dimension."""
    words, states, metric = reader.words, hidden.states, arguments["metric"]
    dimension, first, second = (given(arguments, a) for a in ("dimension", "first", "second"))
    missing = next((name for name, s in (("first", first), ("second", second)) if s is None), None)
    if missing is not None or first == second:
        allowed = [s for s in states.segments(str(dimension)) if s not in hidden.of(str(dimension), metric)]
        raise BadArgumentError(missing or "second", "two different segments are compared", allowed=allowed)
    for segment in (first, second):
        require_shown(hidden, dimension, segment, metric)
    over, under = (states.get(dimension, s, metric) for s in (first, second))
    rows = [_row(_segment(reader, states, metric, dimension, s)) for s in (first, second)]
    facts = _contrast(origin, arguments, (0 if over is None else over.n, 0 if under is None else under.n))
    if metric != CUSTOMERS:
        unit, whom = unit_of(words, metric), f"{filter_of(dimension, first)} or {second}"
        n = sum(s.n for s in (over, under) if s is not None)
        difference, ratio = difference_estimate(under, over), ratio_estimate(over, under)
        label = f"{metric}: {first} against {second}"
        facts = [
            estimate_fact(origin, f"{label}: difference", difference, unit=unit, n=n, filter=whom),
            estimate_fact(origin, f"{label}: ratio", ratio, unit="ratio", n=n, filter=whom),
        ]
    return Answer(
        tool="compare_segments",
        arguments=arguments,
        facts=tuple(facts),
        columns=_columns(reader, metric),
        rows=tuple(rows),
        origin=origin,
        notes=(*notes_on(words, metric), *((_COMPARED, ASSOCIATION) if metric != CUSTOMERS else ())),
    )


def _contrast(origin: Origin, arguments: Mapping[str, Any], sizes: tuple[int, int]) -> list[Evidence]:
    """Return the difference of two numbers of customers."""
    first, second = (arguments[a] for a in ("first", "second"))
    whom = f"{filter_of(arguments['dimension'], first)} or {second}"
    label = f"{CUSTOMERS}: {first} against {second}: difference"
    return [fact(origin, label, sizes[0] - sizes[1], unit=CUSTOMERS, n=sum(sizes), filter=whom)]
