"""Render the result of monitoring: how predictions fared, target by target and day by day."""

from __future__ import annotations

from engage_spark.cli.render.summary import Renderers, Rows, Summary, summary, table
from engage_spark.ml.measurement import BoundVerdict, MonitoredMeasure, measurement_text
from engage_spark.pipelines.results import MonitoredDay, MonitorResult
from engage_spark.wording import counted, number


def render_monitor(result: MonitorResult) -> Summary:
    """Show each day's bounded measures in a table, and apart from them those past their bound."""
    lines = tuple((d.target, f"{d.snapshot_date}: {_standing(d)}") for d in result.days)
    return summary(result, lines=lines, table=_bounded(result), failed=_past(result))


def _standing(day: MonitoredDay) -> str:
    counts = [
        f"{n} {verdict.value}"
        for verdict in (BoundVerdict.PAST, BoundVerdict.UNDECIDED, BoundVerdict.WITHIN)
        if (n := sum(m.verdict is verdict for m in day.measurements))
    ]
    return ", ".join(counts) or f"{counted(len(day.measurements), 'measure')}, none bounded"


def _bounded(result: MonitorResult) -> Rows | None:
    whole = (
        (d.target, str(d.snapshot_date), m.measure, _value(m), "" if m.bound is None else f"{m.bound:g}")
        for d in result.days
        for m in d.measurements
        if m.attribute is None and m.group is None
    )
    return table(("target", "snapshot", "measure", "value", "bound"), whole)


def _past(result: MonitorResult) -> Rows | None:
    rows = (
        (d.target, str(d.snapshot_date), measurement_text(m))
        for d in result.days
        for m in d.measurements
        if m.verdict is BoundVerdict.PAST
    )
    return table(("target", "snapshot", "past its bound"), rows)


def _value(m: MonitoredMeasure) -> str:
    if m.value is None:
        return "undefined"
    if m.low is None or m.high is None:
        return number(m.value, 3)
    return f"{number(m.value, 3)} [{number(m.low, 3)}, {number(m.high, 3)}]"


RENDERERS: Renderers = {MonitorResult: render_monitor}
