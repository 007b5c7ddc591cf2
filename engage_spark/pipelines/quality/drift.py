"""How far a day lies from another, column by column, from the recorded states: no data is read again."""

from __future__ import annotations

import time
from datetime import date

from pyspark.sql import SparkSession

from engage_spark.contract import Contract, Table
from engage_spark.errors import ConfigurationError, NotPublishedError
from engage_spark.pipelines.context import RunContext
from engage_spark.pipelines.quality.history import chosen, published, states
from engage_spark.pipelines.results import Report
from engage_spark.pipelines.stages import QUALITY_STATES
from engage_spark.quality.drift import MUCH, SOME, Change, Drift, compared
from engage_spark.settings import Settings


def run_drift(
    spark: SparkSession,
    settings: Settings,
    *,
    contract: Contract,
    snapshot_date: date | None = None,
    table: str | None = None,
    against: date | str | None = None,
) -> Report:
    """Compare a day (default: the newest published) with `against`: a day, or `previous`, the published day
    before it; left out, the setting quality.reference, or else previous. One scan of a small table.

    Raises ConfigurationError when there is no such day.
    """
    started = time.monotonic()
    context = RunContext(spark, settings, contract)
    of = chosen(contract, table)
    days = published(spark, context, of)
    day = snapshot_date or (days[-1] if days else None)
    if day is None:
        raise NotPublishedError(
            f"no day of {of.name} is published",
            hint="run `engage-spark ingest`; `engage-spark runs` shows what was",
        )
    other = _other(
        against if against is not None else settings.quality.reference or "previous", day, days, of
    )
    found = states(context, of, first=min(day, other), last=max(day, other))
    if missing := [d for d in (day, other) if d not in found]:
        raise ConfigurationError(
            f"{of.name} has no states of {' and '.join(map(str, missing))}",
            hint="`engage-spark runs` shows the days that were judged",
        )
    drifts = [_masked(d, of) for d in compared(found[other], found[day])]
    changed = [d for d in drifts if d.change is not Change.NONE]
    counts = {c: sum(d.change is c for d in drifts) for c in Change}
    return Report(
        stage="quality drift",
        seconds=time.monotonic() - started,
        lines=(
            ("table", of.name),
            ("day", str(day)),
            ("against", str(other)),
            ("columns", ", ".join(f"{n} {c.value}" for c, n in counts.items() if n)),
            ("thresholds", f"PSI {SOME} some, {MUCH} much"),
        ),
        table=(("column", "change", "PSI", "KS", "missing", "what moved"), tuple(map(_row, changed)))
        if changed
        else None,
        locations={QUALITY_STATES: context.lake.location(QUALITY_STATES)},
    )


def _other(against: date | str, day: date, days: list[date], table: Table) -> date:
    if isinstance(against, date):
        return against
    if against != "previous":
        raise ConfigurationError(f"against is {against!r}", hint="give a day such as 2025-10-21, or previous")
    earlier = [d for d in days if d < day]
    if not earlier:
        raise NotPublishedError(
            f"no day of {table.name} before {day} is published",
            hint="give --against DAY, or wait for another day",
        )
    return earlier[-1]


def _masked(d: Drift, table: Table) -> Drift:
    """A personal column tells how much has changed, and not which values."""
    if d.column in table.names and table[d.column].classification in ("confidential", "restricted"):
        return Drift(column=d.column, change=d.change, psi=d.psi, ks=d.ks, noise=d.noise, missing=d.missing)
    return d


def _row(d: Drift) -> tuple[str, ...]:
    def figure(x: float | None) -> str:
        return "–" if x is None else f"{x:.3f}"

    parts = [f"{b} {100 * p:.1f}% → {100 * q:.1f}%" for b, p, q in d.moved[:2]]
    parts += [f"new: {', '.join(d.appeared[:3])}"] if d.appeared else []
    parts += [f"gone: {', '.join(d.vanished[:3])}"] if d.vanished else []
    missing = "–" if d.missing is None else f"{100 * (d.missing[1] - d.missing[0]):+.2f}%"
    return d.column, d.change.value, figure(d.psi), figure(d.ks), missing, "; ".join(parts)
