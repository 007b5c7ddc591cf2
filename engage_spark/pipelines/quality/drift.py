"""Compare a day with another, column by column, from the recorded states, without reading the data again."""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import date

from pyspark.sql import SparkSession

from engage_spark.contract import Contract, Table
from engage_spark.errors import ConfigurationError, NotPublishedError
from engage_spark.pipelines.context import RunContext
from engage_spark.pipelines.quality.history import input_table, read_states
from engage_spark.pipelines.results import ColumnDrift, DriftResult, Note
from engage_spark.pipelines.stages import ingest_stage
from engage_spark.publication import RUNS, Run
from engage_spark.quality.drift import MUCH, SOME, Change, Drift, compare_days
from engage_spark.settings import Settings


def run_drift(
    spark: SparkSession,
    settings: Settings,
    *,
    contract: Contract,
    snapshot_date: date | None = None,
    table: str | None = None,
    against: date | str | None = None,
) -> DriftResult:
    """Compare a day (default: the newest published) with `against`.

    `against` is a day, or `previous`, the published day before it; left out, the setting quality.reference,
    or else previous. Valid rows are compared; a note says how many are not. Values of personal columns are
    left out.
    Cost: one scan of a small table.
    Errors: NotPublishedError when the table has no such published day, ConfigurationError when one of the
    days has no states.
    """
    started = time.monotonic()
    context = RunContext(spark, settings, contract)
    source = input_table(contract, table)
    runs = context.log.publication(context.spark).published_days(ingest_stage(source))
    days = list(runs)
    day = snapshot_date or (days[-1] if days else None)
    if day is None:
        raise NotPublishedError.of(source.name)
    reference = _reference_day(
        against if against is not None else settings.quality.reference or "previous", day, days, source
    )
    states = read_states(context, source, first=min(day, reference), last=max(day, reference))
    if missing := [d for d in (day, reference) if d not in states]:
        raise ConfigurationError(
            f"{source.name} has no states of {' and '.join(map(str, missing))}",
            hint="`engage-spark runs` shows the days that were checked",
        )
    drifts = compare_days(states[reference], states[day])
    return DriftResult(
        stage="quality drift",
        seconds=time.monotonic() - started,
        notes=_quarantined(runs, day, reference),
        locations={RUNS: context.lake.location(RUNS)},
        table=source.name,
        day=day,
        against=reference,
        changes={change.value: sum(d.change is change for d in drifts) for change in Change},
        some_psi=SOME,
        much_psi=MUCH,
        columns=tuple(_column_drift(d, source) for d in drifts if d.change is not Change.NONE),
    )


def _quarantined(runs: Mapping[date, Run], day: date, against: date) -> tuple[Note, ...]:
    """Say that rows were quarantined, whose values no state counts: a new value may be among them alone."""
    n_rows, n_rows_against = (runs[d].rows_quarantined if d in runs else 0 for d in (day, against))
    if not n_rows and not n_rows_against:
        return ()
    about = {"n_rows": n_rows, "day": day, "n_rows_against": n_rows_against, "against": against}
    return (Note("QuarantinedNotCompared", about),)


def _reference_day(against: date | str, day: date, days: list[date], table: Table) -> date:
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


def _column_drift(d: Drift, table: Table) -> ColumnDrift:
    """Return the drift of a column; that of a personal column says how much has changed, not which values."""
    is_hidden = d.column not in table.names or table[d.column].is_personal
    return ColumnDrift(
        column=d.column,
        change=d.change.value,
        psi=d.psi,
        ks=d.ks,
        missing_change=None if d.missing is None else d.missing[1] - d.missing[0],
        moved=() if is_hidden else d.moved,
        appeared=() if is_hidden else d.appeared,
        vanished=() if is_hidden else d.vanished,
    )
