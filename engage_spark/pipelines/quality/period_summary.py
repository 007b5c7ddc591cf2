"""Profile several days as one, from the recorded states, without reading the data again."""

from __future__ import annotations

import time
from datetime import date, timedelta

from pyspark.sql import SparkSession

from engage_spark.contract import Contract, Field
from engage_spark.errors import ConfigurationError, NotPublishedError
from engage_spark.pipelines.context import RunContext
from engage_spark.pipelines.quality.history import (
    SketchEstimates,
    input_table,
    published_days,
    read_estimates,
    read_states,
)
from engage_spark.pipelines.results import ColumnSummary, Note, StatesResult
from engage_spark.publication import RUNS
from engage_spark.quality import ColumnStats, merge_stats
from engage_spark.quality.report.formatting import ranked_values, value_of
from engage_spark.settings import Settings

SIX_DAYS = timedelta(days=6)


def run_states(
    spark: SparkSession,
    settings: Settings,
    *,
    contract: Contract,
    first: date | None = None,
    last: date | None = None,
    table: str | None = None,
) -> StatesResult:
    """Summarise the published days from `first` to `last` together (default: the newest and the six before
    it).

    Medians are estimates from sketches, and so are counts of distinct values where the bins do not tell every
    value apart. Values of personal columns are left out.
    Cost: three scans of small tables.
    Errors: NotPublishedError when none of the days is published; ConfigurationError when the contract's bins
    changed in between.
    """
    started = time.monotonic()
    context = RunContext(spark, settings, contract)
    source = input_table(contract, table)
    days = published_days(context, source)
    last = last or (days[-1] if days else None)
    first = first or (last - SIX_DAYS if last else None)
    if first is None or last is None or not (within := [d for d in days if first <= d <= last]):
        raise NotPublishedError(
            f"no day of {source.name} is published" + (f" from {first} to {last}" if first else ""),
            hint="`engage-spark runs` shows which days are",
        )
    states = read_states(context, source, first=first, last=last)
    try:
        merged = merge_stats(states[d] for d in within if d in states)
    except ValueError as e:
        raise ConfigurationError(
            f"the days do not add up: {e}", hint="choose days that were checked by one contract"
        ) from e
    fields = {f.name: f for f in source.fields}
    estimates = read_estimates(context, source, within)
    unpublished = tuple(d for d in states if d not in within)
    notes = [Note("DaysNotPublished", {"days": unpublished})] if unpublished else []
    if estimates.unreadable:
        notes.append(Note("SketchesOfAnotherVersion", {"columns": estimates.unreadable}))
    return StatesResult(
        stage="quality states",
        seconds=time.monotonic() - started,
        locations={RUNS: context.lake.location(RUNS)},
        notes=tuple(notes),
        table=source.name,
        days=tuple(within),
        rows=next(iter(merged.values())).rows if merged else 0,
        columns=tuple(_column_summary(s, fields[c], estimates) for c, s in merged.items() if c in fields),
    )


def _column_summary(s: ColumnStats, f: Field, estimates: SketchEstimates) -> ColumnSummary:
    has_mean = f.logical_type in ("integer", "number") and not f.is_personal
    return ColumnSummary(
        column=f.name,
        type=f.spark_type,
        personal=f.is_personal,
        rows=s.rows,
        missing=s.nulls,
        mean=value_of(s.mean, f.spark_type) if has_mean else None,
        minimum=None if f.is_personal else value_of(s.minimum, f.spark_type),
        maximum=None if f.is_personal else value_of(s.maximum, f.spark_type),
        commonest=ranked_values(s, f),
        median=None if f.is_personal else estimates.median.get(f.name),
        distinct=estimates.distinct.get(f.name),
    )
