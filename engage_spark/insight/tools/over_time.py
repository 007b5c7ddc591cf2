"""Answer how things went over time: trends, cohorts, and what changed since the period before."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

from engage_spark.analytics.intervals import Estimate, difference_estimate, share_estimate, student
from engage_spark.analytics.rollups import Grain
from engage_spark.analytics.states import ALL, CUSTOMERS
from engage_spark.contract import SNAPSHOT_DATE
from engage_spark.contract.analytics_spec import ACTIVE, RETENTION
from engage_spark.errors import NotPublishedError
from engage_spark.insight.evidence import EVERYONE, Answer, Column, ColumnRole, Evidence, Origin, Value
from engage_spark.insight.failures import BadArgumentError, NotDeclaredError, quote
from engage_spark.insight.lake_reader import LakeReader, Row
from engage_spark.insight.registry import MOST_ROWS
from engage_spark.insight.small_groups import hidden_segments
from engage_spark.insight.tools.common import (
    DAY_COLUMNS,
    FEW_MISSING_NOTE,
    GROUP_COLUMNS,
    HIDDEN_NOTE,
    INTERVAL_COLUMNS,
    N_COLUMN,
    SHARE,
    check_segment,
    estimate_fact,
    fact,
    filter_of,
    given,
    is_clear,
    lacks_for_few,
    measure_of,
    notes_on,
    require_counted,
    require_shown,
    suppressed,
    unit_of,
)
from engage_spark.numerics.suppression import coarse, coarse_ends, is_small

_DIMENSION_OF_METRIC = {RETENTION: ACTIVE}
"""The metric that is counted for a row of cohorts."""


def trend(reader: LakeReader, arguments: Mapping[str, Any]) -> Answer:
    """Show a metric period by period, up to a day; each period as of its last snapshot."""
    words, metric, grain = reader.words, arguments["metric"], Grain(arguments["grain"])
    dimension, segment = given(arguments, "dimension"), given(arguments, "segment")
    day = reader.day("rollups", given(arguments, "as_of"))
    states = reader.states(day)
    check_segment(dimension, segment, states, words)
    if dimension is not None and segment is None:
        raise BadArgumentError("segment", f"is needed beside {dimension}")
    require_shown(states, dimension, segment, metric)
    at = (dimension or ALL, segment or ALL)
    where = {"grain": grain.value, "dimension": at[0], "segment": at[1], "metric": metric}
    columns = [SNAPSHOT_DATE, "period_start", "period_days", "customers", "customer_days", "mean"]
    columns += ["standard_deviation", "run_id"]
    periods = _periods(grain, [d for d in reader.days("rollups") if d <= day])
    is_cut, periods = len(periods) > MOST_ROWS, periods[-MOST_ROWS:]
    small = _hidden_days(reader, at[0], at[1], metric, [d for days in periods for d in days])
    ends = [days[-1] for days in periods if not small & set(days)]
    lines = reader.rows("rollups", ends, columns, where) if ends else []
    shown = sorted(lines, key=lambda r: r[SNAPSHOT_DATE])
    rows = [_period(reader, row, metric, grain) for row in shown]
    origin = reader.origin("rollups", day)
    notes = [*notes_on(words, metric), *([HIDDEN_NOTE] if len(ends) < len(periods) else [])]
    notes += _on_outdated(reader, "rollups", day)
    if len(rows) < len(ends):
        missing = sorted({*ends} - {r[SNAPSHOT_DATE] for r in shown})
        notes.append(f"Not counted, or of nobody: {', '.join(map(str, missing))}.")
    if len(rows) < 2:
        notes.append(f"There is {'one point' if rows else 'no point'}: no trend can be told.")
    if grain is not Grain.DAY:
        notes.append("Means are over customer-days; customers of a period are estimated within about 3%.")
    return Answer(
        tool="trend",
        arguments=arguments,
        facts=tuple(_first_to_last(reader, metric, at, shown, grain)),
        columns=(
            Column(name="period_start", role=ColumnRole.LABEL),
            *DAY_COLUMNS,
            Column(name=measure_of(words, metric), unit=unit_of(words, metric)),
            *INTERVAL_COLUMNS,
            Column(name="n", unit="customer-days" if metric != CUSTOMERS else CUSTOMERS),
            Column(name="snapshots", unit="days"),
        ),
        rows=tuple(rows),
        origin=origin,
        filter=filter_of(dimension, segment),
        notes=tuple(notes),
        truncated=is_cut,
    )


def _period(reader: LakeReader, row: Row, metric: str, grain: Grain) -> tuple[Value, ...]:
    is_count = metric == CUSTOMERS
    value, n = (row["customers"], row["customers"]) if is_count else (row["mean"], row["customer_days"])
    ends: tuple[float | None, float | None] = (None, None)
    deviation = row["standard_deviation"]
    if grain is Grain.DAY and not is_count and value is not None and deviation is not None:
        half = student(n - 1) * deviation / math.sqrt(n)
        is_share = unit_of(reader.words, metric) == SHARE
        ends = share_estimate(round(value * n), n)[1:] if is_share else (value - half, value + half)
    days = (row["period_start"].isoformat(), row[SNAPSHOT_DATE].isoformat(), row["run_id"])
    return (*days, value, *ends, n, row["period_days"])


def _on_outdated(reader: LakeReader, table: str, until: date) -> list[str]:
    days = ", ".join(map(str, reader.outdated_days(table, until)))
    return [f"Left out, since what they were made from has changed: {days}."] if days else []


def _periods(grain: Grain, days: Sequence[date]) -> list[list[date]]:
    """Return the snapshots of each period, oldest first."""
    periods: dict[date, list[date]] = {}
    for day in days:
        periods.setdefault(grain.start(day), []).append(day)
    return list(periods.values())


def _hidden_days(
    reader: LakeReader, dimension: str, segment: str, metric: str, days: Sequence[date]
) -> set[date]:
    """Return the days on which a segment is not shown: a period that holds one would give it away."""
    metrics = list(dict.fromkeys((CUSTOMERS, metric)))
    hidden = set()
    for day, of in reader.sizes(dimension, metrics, days).items():
        if dimension == ALL:
            is_hidden = any(is_small(of[m].get(ALL)) for m in metrics)
        else:
            is_hidden = segment in hidden_segments(of[CUSTOMERS], of[metric])
        hidden |= {day} if is_hidden else set()
    return hidden


def _first_to_last(
    reader: LakeReader, metric: str, at: tuple[str, str], shown: Sequence[Row], grain: Grain
) -> list[Evidence]:
    """Return the difference between the last period and the first, with an interval for days."""
    if len(shown) < 2:
        return []
    first, last = shown[0], shown[-1]
    days = (first[SNAPSHOT_DATE], last[SNAPSHOT_DATE])
    origin, whom = reader.origin("rollups", days[1]), filter_of(*(at if at[0] != ALL else (None, None)))
    label = f"{metric}: change from {first['period_start']} to {last['period_start']}"
    if metric == CUSTOMERS:
        change = last["customers"] - first["customers"]
        return [fact(origin, label, change, unit=CUSTOMERS, n=last["customers"], filter=whom)]
    if last["mean"] is None or first["mean"] is None:
        return []
    estimate = Estimate(last["mean"] - first["mean"])
    if grain is Grain.DAY:
        before, after = (reader.states(d).states.get(*at, metric) for d in days)
        estimate = estimate._replace(
            lower=difference_estimate(before, after).lower, upper=difference_estimate(before, after).upper
        )
    unit = unit_of(reader.words, metric)
    return [estimate_fact(origin, label, estimate, unit=unit, n=last["customer_days"], filter=whom)]


def cohort(reader: LakeReader, arguments: Mapping[str, Any]) -> Answer:
    """Show the cohorts as of a day, or one cohort over all days up to it."""
    words = reader.words
    key = given(arguments, "cohort_key") or next(iter(words.cohort_keys), None)
    metric = given(arguments, "metric") or next(iter(words.cohort_metrics), None)
    if key is None or metric is None:
        lacking = "nothing that customers are put into cohorts by" if key is None else "no value of cohorts"
        raise NotDeclaredError(f"this contract declares {lacking}")
    arguments = {**arguments, "cohort_key": key, "metric": metric}
    day, one = reader.day("cohorts", given(arguments, "as_of")), given(arguments, "cohort")
    counted = _DIMENSION_OF_METRIC.get(metric, metric)
    columns = [SNAPSHOT_DATE, "cohort", "age_months", "n", "value", "lower", "upper", "run_id"]
    where = {"cohort_key": key, "metric": metric}
    origin = reader.origin("cohorts", day)
    every_day = [d for d in reader.days("cohorts") if d <= day] if one else [day]
    days = every_day[-MOST_ROWS:]
    lines = reader.rows("cohorts", days, columns, where)
    sizes = reader.sizes(key, list(dict.fromkeys((CUSTOMERS, counted))), days)
    small = {d: hidden_segments(of[CUSTOMERS], of[counted]) for d, of in sizes.items()}
    if one is not None and one not in {r["cohort"] for r in lines}:
        of_day = {r["cohort"] for r in lines if r[SNAPSHOT_DATE] == day} - small.get(day, frozenset())
        raise BadArgumentError("cohort", f"{quote(one)} is no cohort of {key}", allowed=sorted(of_day))
    wanted = [r for r in lines if one in (None, r["cohort"])]
    shown = [
        r
        for r in wanted
        if r["cohort"] not in small.get(r[SNAPSHOT_DATE], {r["cohort"]}) and not is_small(r["n"])
    ]
    if one is not None and not shown:
        raise suppressed(f"{key} {one}")
    shown.sort(key=lambda r: (r[SNAPSHOT_DATE], r["cohort"]))
    notes = [] if len(shown) == len(wanted) else [HIDDEN_NOTE]
    notes.append("Customers who left the snapshots are in no cohort any more.")
    notes += _on_outdated(reader, "cohorts", day) if one is not None else []
    return Answer(
        tool="cohort",
        arguments=arguments,
        columns=(
            *DAY_COLUMNS,
            Column(name="dimension", role=ColumnRole.LABEL),
            Column(name="cohort", role=ColumnRole.GROUP),
            Column(name=metric, unit=unit_of(words, metric)),
            *INTERVAL_COLUMNS,
            N_COLUMN,
            Column(name="age_months", unit="months"),
        ),
        rows=tuple(_cohort_row(key, r) for r in shown[-MOST_ROWS:]),
        origin=origin,
        notes=tuple(notes),
        truncated=max(len(shown), len(every_day)) > MOST_ROWS,
    )


def _cohort_row(key: str, r: Row) -> tuple[Value, ...]:
    at = (r[SNAPSHOT_DATE].isoformat(), r["run_id"], key, r["cohort"])
    return (*at, r["value"], r["lower"], r["upper"], r["n"], r["age_months"])


def what_changed(reader: LakeReader, arguments: Mapping[str, Any]) -> Answer:
    """Show what changed since the period before, the surest change first."""
    words, grain = reader.words, arguments["grain"]
    metric, dimension = given(arguments, "metric"), given(arguments, "dimension")
    day = reader.day("changes", given(arguments, "as_of"))
    if dimension is not None:
        require_counted(reader.states(day), dimension)
        metric = metric or CUSTOMERS
    where: dict[str, object] = {"grain": grain, "dimension": dimension or ALL}
    where |= {} if metric is None else {"metric": (metric, CUSTOMERS)}
    everything = reader.of_day("changes", day, where)
    origin = reader.origin("changes" if reader.is_written("changes", day) else "rollups", day)
    if not everything:
        note = (
            f"{day} was compared with no snapshot of the {grain} before: there was none, or it was not "
            "analyzed by the same contract."
        )
        return Answer(tool="what_changed", arguments=arguments, notes=(note,))
    previous: date = everything[0]["previous_date"]
    known = {metric} if metric is not None else {*words.metrics, CUSTOMERS}
    compared = [r for r in everything if r["segment"] == ALL and r["metric"] in known]
    wholes = [r for r in compared if not is_small(r["n_before"]) and not is_small(r["n_after"])]
    if metric is not None and not compared:
        raise NotPublishedError(
            f"{metric} has no values on {previous} or on {day}, so no change can be told",
            hint="ask as of another day",
        )
    if metric is not None and not wholes:
        raise suppressed(EVERYONE)
    parts, n_hidden = list[Row](), 0
    if dimension is not None and metric is not None:
        parts, n_hidden = _changed_segments(reader, (previous, day), everything, dimension, metric)
    facts = [_whole_change(reader, origin, r) for r in wholes if metric or r["metric"] == CUSTOMERS]
    ordered = sorted((r for r in wholes if metric or r["metric"] != CUSTOMERS), key=_surety, reverse=True)
    few = set() if metric else _metrics_of_few_missing(reader, (previous, day), ordered)
    rows = [
        _change_row(reader, r, whole=_fewer(reader, (previous, day)) if r["metric"] in few else None)
        for r in (parts if dimension else ordered)
    ]
    notes = [f"Compared with the snapshot of {previous}.", *notes_on(words, *([metric] if metric else []))]
    if dimension is not None and metric != CUSTOMERS:
        notes.append("mix and rate of all segments sum to the change of the whole.")
    notes += [HIDDEN_NOTE] if n_hidden else []
    notes += [FEW_MISSING_NOTE] if few else []
    return Answer(
        tool="what_changed",
        arguments=arguments,
        facts=tuple(facts),
        columns=_change_columns(),
        rows=tuple(rows),
        origin=origin,
        notes=tuple(notes),
    )


def _changed_segments(
    reader: LakeReader, days: tuple[date, date], lines: Sequence[Row], dimension: str, metric: str
) -> tuple[list[Row], int]:
    """Return the segments that are shown on both days, and how many are not.

    Shown is what an answer about each day alone shows, with the same customers. The comparison puts segments
    that only one of the days has to its other values: these, less what the day shows, may be few.
    Errors: NotPublishedError where the earlier day has no such dimension.
    """
    hidden = set[str]()
    for day, column in zip(days, ("n_before", "n_after"), strict=True):
        states = reader.states(day)
        require_counted(states, dimension, str(day))
        hidden |= states.of(dimension, metric)
        for m in (CUSTOMERS, metric):
            sizes = states.sizes(dimension, m)
            of_metric = {r["segment"]: r[column] for r in lines if r["metric"] == m}
            hidden |= {segment for segment, n in of_metric.items() if n != sizes.get(segment, 0)}
    rows = [r for r in lines if r["metric"] == metric and r["segment"] != ALL]
    shown = [r for r in rows if r["segment"] not in hidden]
    return sorted(shown, key=lambda r: (-abs(r["change"] or 0.0), r["segment"])), len(rows) - len(shown)


def _surety(row: Row) -> float:
    """Return a change in units of the half width of its interval."""
    if row["change_lower"] is None or not row["change"]:
        return 0.0
    half = (row["change_upper"] - row["change_lower"]) / 2
    return float("inf") if half == 0 else float(abs(row["change"]) / half)


def _whole_change(reader: LakeReader, origin: Origin, r: Row) -> Evidence:
    label = f"{r['metric']}: change since {r['previous_date']}"
    estimate = Estimate(r["change"], r["change_lower"], r["change_upper"])
    return estimate_fact(origin, label, estimate, unit=unit_of(reader.words, r["metric"]), n=r["n_after"])


def _change_columns() -> tuple[Column, ...]:
    values = (Column(name=n) for n in ("before", "after", "change", "change_lower", "change_upper"))
    return (
        Column(name="metric", role=ColumnRole.LABEL),
        *GROUP_COLUMNS,
        *values,
        Column(name="mix"),
        Column(name="rate"),
        Column(name="unit", role=ColumnRole.UNIT),
        Column(name="before_n", unit=CUSTOMERS),
        Column(name="n", unit=CUSTOMERS),
        Column(name="verdict", role=ColumnRole.TEXT),
    )


def _metrics_of_few_missing(
    reader: LakeReader, days: tuple[date, date], lines: Sequence[Row]
) -> frozenset[str]:
    """Return the metrics that few have no value of on one of two days: their n is not beside the number of
    customers.
    """
    wholes = [reader.states(day).states.whole for day in days]
    return frozenset(r["metric"] for r in lines if any(lacks_for_few(of(r["metric"])) for of in wholes))


def _fewer(reader: LakeReader, days: tuple[date, date]) -> int:
    """Return the number of all customers on that of two days that has fewer."""
    return min(reader.states(day).states.customers(ALL, ALL) for day in days)


def _change_row(reader: LakeReader, r: Row, *, whole: int | None = None) -> tuple[Value, ...]:
    """Return the row of a change. `whole` is the number of customers where n would tell how few of them lack
    a value: the row is without n then, and its figures without the digits that tell it.
    """
    is_count, is_whole = r["metric"] == CUSTOMERS, r["segment"] == ALL
    before, after = (r["n_before"], r["n_after"]) if is_count else (r["mean_before"], r["mean_after"])
    lower, upper = r["change_lower"], r["change_upper"]
    verdict = None
    if is_whole and not is_count:
        verdict = "changed" if is_clear(lower, upper) else "no change can be told"
    figures = [before, after, r["change"], None if is_whole else r["mix"], None if is_whole else r["rate"]]
    if whole is not None:
        lower, upper = coarse_ends(lower, upper, whole)
        figures = [coarse(figure, whole) for figure in figures]
    before, after, change, mix, rate = figures
    return (
        r["metric"],
        None if is_whole else r["dimension"],
        None if is_whole else r["segment"],
        before,
        after,
        change,
        lower,
        upper,
        mix,
        rate,
        unit_of(reader.words, r["metric"]),
        r["n_before"] if whole is None else None,
        r["n_after"] if whole is None else None,
        verdict,
    )
