"""A profile of several days in one, from the recorded states: no data is read again."""

from __future__ import annotations

import time
from datetime import date, timedelta

from pyspark.sql import SparkSession

from engage_spark.contract import Contract, Field
from engage_spark.errors import ConfigurationError, NotPublishedError
from engage_spark.pipelines.context import RunContext
from engage_spark.pipelines.quality.history import Displayed, chosen, displayed, published, states
from engage_spark.pipelines.results import Report
from engage_spark.pipelines.stages import QUALITY_STATES
from engage_spark.quality import ColumnStats, merge_stats
from engage_spark.quality.report.formatting import commonest, extent, percentage, shown_value
from engage_spark.settings import Settings

WEEK = timedelta(days=6)


def run_states(
    spark: SparkSession,
    settings: Settings,
    *,
    contract: Contract,
    first: date | None = None,
    last: date | None = None,
    table: str | None = None,
) -> Report:
    """What the published days from `first` to `last` hold together (default: the newest and the six before).
    Four scans of small tables.

    Medians are estimates of sketches, and so are counts of different values where the bins do not tell every
    value apart. Raises ConfigurationError when none of the days is published, or the contract's bins have
    changed in between.
    """
    started = time.monotonic()
    context = RunContext(spark, settings, contract)
    of = chosen(contract, table)
    days = published(spark, context, of)
    last = last or (days[-1] if days else None)
    first = first or (last - WEEK if last else None)
    if first is None or last is None or not (within := [d for d in days if first <= d <= last]):
        raise NotPublishedError(
            f"no day of {of.name} is published" + (f" from {first} to {last}" if first else ""),
            hint="`engage-spark runs` shows what was",
        )
    found = states(context, of, first=first, last=last)
    try:
        total = merge_stats(found[d] for d in within if d in found)
    except ValueError as e:
        raise ConfigurationError(
            f"the days do not add up: {e}", hint="choose days that were judged by one contract"
        ) from e
    fields = {f.name: f for f in of.fields}
    estimates = displayed(context, of, within)
    rows = tuple(_row(s, fields[c], estimates) for c, s in total.items() if c in fields)
    unread = [str(d) for d in found if d not in within]
    return Report(
        stage="quality states",
        seconds=time.monotonic() - started,
        lines=(
            ("table", of.name),
            ("days", f"{len(within)}, from {within[0]} to {within[-1]}"),
            ("rows", f"{next(iter(total.values())).rows if total else 0:,}"),
        ),
        table=(("column", "missing", "mean", "from, to, commonest; median, different values"), rows)
        if rows
        else None,
        locations={QUALITY_STATES: context.lake.location(QUALITY_STATES)},
        notes=(f"left out, since not published: {', '.join(unread)}",) if unread else (),
    )


def _row(s: ColumnStats, f: Field, estimates: Displayed) -> tuple[str, ...]:
    mean = (
        "***" if f.is_personal else shown_value(s.mean, f) if f.logical_type in ("integer", "number") else "–"
    )
    told = [commonest(s, f) or extent(s, f)]
    if f.name in estimates.median and not f.is_personal:
        told.append(f"median {estimates.median[f.name]:,.6g}")
    if f.name in estimates.distinct:
        told.append(f"{estimates.distinct[f.name]:,} different")
    return f.name, percentage(s.nulls, s.rows), mean, "; ".join(t for t in told if t)
