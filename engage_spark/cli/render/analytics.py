"""Render the result of analytics: what changed most on the newest day, and how claims fared."""

from __future__ import annotations

from engage_spark.cli.render.summary import Renderers, Rows, Summary, summary, table
from engage_spark.pipelines.results import AnalyzedDay, AnalyzeResult, MetricChange
from engage_spark.wording import counted, number

VERDICTS = ("holds", "weaker", "absent", "contradicted", "cannot_be_told")
_MOST_DAYS = 3


def render_analyze(result: AnalyzeResult) -> Summary:
    """Show the newest days in a line each, and of the newest what changed most."""
    shown = result.days[-_MOST_DAYS:]
    lines = [("days analyzed", f"{len(result.days):,}")] if len(result.days) > len(shown) else []
    for day in shown:
        lines.append((str(day.snapshot_date), _counted(day)))
    if result.days:
        newest = result.days[-1]
        if newest.verdicts:
            lines.append(("claims", _verdicts(newest)))
        if newest.previous:
            of = counted(newest.metrics, "metric")
            compared = f"since {newest.previous}, of {of} those that stand out most"
            lines.append(("changes", compared if newest.changes else f"none since {newest.previous}"))
    return summary(result, lines=tuple(lines), table=_changes(result))


def _counted(day: AnalyzedDay) -> str:
    merged = "".join(f", {grain} of {counted(n, 'day')}" for grain, n in day.merged.items() if grain != "day")
    return f"{counted(day.customers, 'row')}, {counted(day.segments, 'segment')}{merged}"


def _verdicts(day: AnalyzedDay) -> str:
    counts = (f"{day.verdicts[v]} {v.replace('_', ' ')}" for v in VERDICTS if day.verdicts.get(v))
    return f"{sum(day.verdicts.values())} judged: " + ", ".join(counts)


def _changes(result: AnalyzeResult) -> Rows | None:
    if not result.days:
        return None
    rows = ((c.metric, _step(c), _change(c)) for c in result.days[-1].changes)
    return table(("metric", "mean before → after", "change, 95%"), rows)


def _step(c: MetricChange) -> str:
    return f"{number(c.before, 3)} → {number(c.after, 3)}" + (f" {c.unit}" if c.unit else "")


def _change(c: MetricChange) -> str:
    ends = "" if c.lower is None or c.upper is None else f" [{number(c.lower, 2)}, {number(c.upper, 2)}]"
    sign = "+" if c.change > 0 else ""
    return f"{sign}{number(c.change, 2)}{ends}"


RENDERERS: Renderers = {AnalyzeResult: render_analyze}
