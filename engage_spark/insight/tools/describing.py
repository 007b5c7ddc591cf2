"""Describe metrics: their means, spread and distribution."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from engage_spark.analytics.states import ALL, CUSTOMERS, DayStates, MetricState
from engage_spark.contract.analytics_spec import DimensionKind
from engage_spark.insight.evidence import Answer, Column, Evidence, Origin, Value
from engage_spark.insight.failures import BadArgumentError, SuppressedError
from engage_spark.insight.lake_reader import LakeReader, Row
from engage_spark.insight.tools.common import (
    FEW_MISSING_NOTE,
    GROUP_COLUMNS,
    HIDDEN_NOTE,
    N_COLUMN,
    SHARE,
    check_segment,
    estimate_fact,
    estimate_of,
    fact,
    filter_of,
    given,
    lacks_for_few,
    measure_of,
    notes_on,
    require_shown,
    unit_of,
)
from engage_spark.numerics import sketches
from engage_spark.numerics.suppression import SMALLEST_GROUP, coarse
from engage_spark.pipelines.stages import ANALYTICS_STATES

ORDERS = (0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95)
_QUANTILE_NOTE = (
    "Quantiles are within 0.8% of the value. Those that fewer than 20 customers lie beyond, the smallest and "
    "the largest value are not shown: they would be single customers' values."
)


def describe(reader: LakeReader, arguments: Mapping[str, Any]) -> Answer:
    """Describe a metric of all customers or of a segment; without a metric, the lake in figures."""
    words = reader.words
    metric, dimension, segment = (given(arguments, a) for a in ("metric", "dimension", "segment"))
    origin, hidden, states = reader.day_states(given(arguments, "as_of"))
    check_segment(dimension, segment, hidden, words)
    _require_segment_of(dimension, segment)
    at = (dimension or ALL, segment or ALL)
    require_shown(hidden, dimension, segment, CUSTOMERS)
    facts, notes = list[Evidence](), list[str]()
    if metric is None or not lacks_for_few(states.get(*at, metric)):
        facts.append(_customers(origin, states, at, dimension, segment))
    asked = [metric] if metric else [*words.targets, *(["active"] if words.spec.has_retention else [])]
    for name in asked:
        is_hidden = at[1] in hidden.of(at[0], name)
        if name == CUSTOMERS or (metric is None and (is_hidden or states.whole(name) is None)):
            notes += [HIDDEN_NOTE] if is_hidden and HIDDEN_NOTE not in notes else []
            continue
        require_shown(hidden, dimension, segment, name)
        state = states.get(*at, name)
        facts += _of_metric(
            reader, origin, name, state, at, filter_of(dimension, segment), brief=metric is None
        )
        notes += notes_on(words, name)
        notes += [FEW_MISSING_NOTE] if lacks_for_few(state) and FEW_MISSING_NOTE not in notes else []
    if any("quantile" in f.label for f in facts):
        notes.append(_QUANTILE_NOTE)
    return Answer(tool="describe", arguments=arguments, facts=tuple(facts), notes=tuple(notes))


def _require_segment_of(dimension: str | None, segment: str | None) -> None:
    if dimension is not None and segment is None:
        raise BadArgumentError("segment", f"is needed beside {dimension}; compare_segments takes all of them")


def _customers(
    origin: Origin, states: DayStates, at: tuple[str, str], dimension: str | None, segment: str | None
) -> Evidence:
    n = states.customers(*at)
    whom = filter_of(dimension, segment)
    return fact(origin, "customers", n, unit=CUSTOMERS, n=n, filter=whom)


def _of_metric(
    reader: LakeReader,
    origin: Origin,
    metric: str,
    state: MetricState | None,
    at: tuple[str, str],
    whom: str,
    *,
    brief: bool,
) -> list[Evidence]:
    """Return the figures of a metric, or its mean alone beside the number of customers (`brief`)."""
    words, n = reader.words, 0 if state is None else state.n
    unit, parts = unit_of(words, metric), {"n": n, "filter": whom}
    label = f"{metric}: {measure_of(words, metric)}"
    estimate = estimate_of(words, metric, state)
    if brief and state is not None and lacks_for_few(state):
        return [fact(origin, label, coarse(estimate.value, n + state.nulls), unit=unit, filter=whom)]
    facts = [estimate_fact(origin, label, estimate, unit=unit, **parts)]
    if brief or state is None or not n:
        return facts
    if not lacks_for_few(state):
        of_all = {**parts, "n": n + state.nulls}
        facts.append(fact(origin, f"{metric}: missing values", state.nulls, unit=CUSTOMERS, **of_all))
    if unit == SHARE:
        return facts
    deviation = state.standard_deviation
    facts.append(fact(origin, f"{metric}: standard deviation", deviation, unit=unit, **parts))
    quantiles = quantiles_of(reader, origin, metric, at[0]).get(at[1], {})
    facts += [
        fact(origin, f"{metric}: {quantile_name(q)} quantile", value, unit=unit, **parts)
        for q, value in quantiles.items()
    ]
    return facts


def quantile_name(order: float) -> str:
    """Return the name of a quantile: p50 is the median."""
    return f"p{round(100 * order):02d}"


def quantiles_of(
    reader: LakeReader, origin: Origin, metric: str, dimension: str
) -> dict[str, dict[float, float | None]]:
    """Return the quantiles of a metric that tell of no single customer, by segment; none where the contract
    classifies the field, or no summary is there.
    """
    if reader.words.is_classified(metric):
        return {}
    where = {"dimension": dimension, "metric": metric}
    rows = reader.rows(ANALYTICS_STATES, origin.as_of, ["segment", "n", "quantiles"], where)
    return {row["segment"]: _quantiles(row) for row in rows}


def _quantiles(row: Row) -> dict[float, float | None]:
    if row["quantiles"] is None:
        return {}
    orders = [q for q in ORDERS if row["n"] * min(q, 1 - q) >= SMALLEST_GROUP - 1e-9]
    return {q: sketches.estimate_quantile(row["quantiles"], q) for q in orders}


def distribution(reader: LakeReader, arguments: Mapping[str, Any]) -> Answer:
    """Show percentiles of a metric, or how customers are distributed over the segments of a dimension."""
    metric, dimension, segment = (given(arguments, a) for a in ("metric", "dimension", "segment"))
    if metric in (None, CUSTOMERS):
        if dimension is None:
            raise BadArgumentError("metric", "is needed, or a dimension", allowed=reader.words.metric_names)
        return _over_segments(reader, arguments, dimension, segment)
    words = reader.words
    origin, hidden, states = reader.day_states(given(arguments, "as_of"))
    check_segment(dimension, segment, hidden, words)
    require_shown(hidden, dimension, segment, metric)
    if words.is_classified(metric):
        raise SuppressedError(
            f"{metric} is classified: its percentiles would be customers' values",
            hint="ask for its mean, which describe tells",
        )
    if dimension is not None and segment is None:
        shown = [s for s in states.segments(dimension) if s not in hidden.of(dimension, metric)]
        ats = [(dimension, s) for s in shown]
    else:
        ats = [(dimension or ALL, segment or ALL)]
    is_share = unit_of(words, metric) == SHARE
    quantiles = {} if is_share else quantiles_of(reader, origin, metric, ats[0][0] if ats else ALL)
    rows = [_percentiles(at, states.get(*at, metric), quantiles, is_share) for at in ats]
    unit, names = unit_of(words, metric), ["0", "1"] if is_share else [quantile_name(q) for q in ORDERS]
    return Answer(
        tool="distribution",
        arguments=arguments,
        columns=(*GROUP_COLUMNS, *(Column(name=n, unit=unit) for n in names), N_COLUMN),
        rows=tuple(rows),
        origin=origin,
        notes=(
            *notes_on(words, metric),
            *(() if is_share else (_QUANTILE_NOTE,)),
            *((HIDDEN_NOTE,) if hidden.of(ats[0][0] if ats else ALL, metric) else ()),
        ),
    )


def _percentiles(
    at: tuple[str, str],
    state: MetricState | None,
    quantiles: Mapping[str, Mapping[float, float | None]],
    is_share: bool,
) -> tuple[Value, ...]:
    n = 0 if state is None else state.n
    names: tuple[Value, ...] = (None, None) if at == (ALL, ALL) else at
    if is_share:
        share = None if state is None else state.mean
        return (*names, None if share is None else 1 - share, share, n)
    return (*names, *(quantiles.get(at[1], {}).get(q) for q in ORDERS), n)


def _over_segments(
    reader: LakeReader, arguments: Mapping[str, Any], dimension: str, segment: str | None
) -> Answer:
    words = reader.words
    _, hidden, _ = reader.day_states(given(arguments, "as_of"))
    check_segment(dimension, segment, hidden, words)
    require_shown(hidden, dimension, segment, CUSTOMERS)
    day = reader.day("segments", given(arguments, "as_of"))
    origin = reader.origin("segments", day)
    small = hidden.of(dimension)
    lines = sorted(reader.of_day("segments", day, {"dimension": dimension}), key=lambda r: r["segment_order"])
    shown = [r for r in lines if r["segment"] not in small and segment in (None, r["segment"])]
    spec = words.dimensions[dimension]
    ends = spec.kind.is_numeric and not words.is_classified(dimension)
    rows = [
        (
            dimension,
            r["segment"],
            *(_inner_ends(r, spec.kind) if ends else (None, None)),
            r["share"],
            r["customers"],
        )
        for r in shown
    ]
    return Answer(
        tool="distribution",
        arguments=arguments,
        columns=(
            *GROUP_COLUMNS,
            Column(name="from", unit=spec.unit),
            Column(name="below", unit=spec.unit),
            Column(name="share", unit=SHARE),
            N_COLUMN,
        ),
        rows=tuple(rows),
        origin=origin,
        notes=() if len(shown) == len(lines) or segment is not None else (HIDDEN_NOTE,),
    )


def _inner_ends(row: Row, kind: DimensionKind) -> tuple[float | None, float | None]:
    """Return the ends of a range; the outer ones of quartiles are single customers' values."""
    lower, upper = row["lower"], row["upper"]
    if kind is DimensionKind.QUARTILE:
        lower = None if row["segment"] == "Q1" else lower
        upper = None if row["segment"] == "Q4" else upper
    return lower, upper
