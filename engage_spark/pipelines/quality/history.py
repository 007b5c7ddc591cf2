"""Read what was recorded about quality: results and states, small tables of one row per rule or column and
day.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import date
from typing import Any, NamedTuple

from pyspark.sql import functions as F

from engage_spark.contract import SNAPSHOT_DATE, Contract, Table
from engage_spark.errors import NotPublishedError
from engage_spark.lake import translate_spark_errors
from engage_spark.lake.run_log import QUALITY_RESULTS, QUALITY_STATES
from engage_spark.numerics.sketches import estimate_distinct, estimate_quantile
from engage_spark.pipelines.context import RunContext
from engage_spark.pipelines.stages import ingest_stage
from engage_spark.quality import ColumnStats, Sketch, merge_sketches, stats_from_row

Days = Mapping[date, Mapping[str, ColumnStats]]
_COLUMNS = (
    "column_name",
    "binning",
    "scale",
    "row_count",
    "exact_sum",
    "exact_minimum",
    "exact_maximum",
    "bins",
)


def input_table(contract: Contract, table: str | None) -> Table:
    """Return the input table of a name, or the entity's.

    Errors: ContractError when there is no such table.
    """
    return contract.entity if table is None else contract.table(table)


def read_results(
    context: RunContext, day: date | None, table: str | None
) -> tuple[date, list[dict[str, Any]]]:
    """Read the rows of quality_results of a day (default: the newest), of one table or of all.

    Cost: at most two scans of a small table.
    Errors: NotPublishedError when nothing was checked on that day.
    """
    with translate_spark_errors(f"{QUALITY_RESULTS} cannot be read"):
        rows = context.log.read_evidence(context.spark, QUALITY_RESULTS)
        rows = rows if table is None else rows.where(F.col("table_name") == table)
        day = day or rows.agg(F.max(SNAPSHOT_DATE)).collect()[0][0]
        results = (
            [r.asDict() for r in rows.where(F.col(SNAPSHOT_DATE) == F.lit(day)).collect()] if day else []
        )
    if day is None or not results:
        raise NotPublishedError(
            f"nothing was checked{f' of {table}' if table else ''}{f' on {day}' if day else ''}",
            hint="run `engage-spark ingest`; `engage-spark runs` shows what was checked",
        )
    return day, results


def read_states(
    context: RunContext, table: Table, *, first: date, last: date, runs: Collection[str] | None = None
) -> Days:
    """Read the states of a table by day, from `first` to `last`: what the published run counted, of a day
    that was never published the latest attempt; or of these `runs` alone.

    Cost: one scan of a small table; a row per column and day reaches the driver.
    """
    if runs is None:
        runs = _runs_to_read(context, table, first=first, last=last)
    with translate_spark_errors(f"{QUALITY_STATES} cannot be read"):
        rows = context.log.read_evidence(context.spark, QUALITY_STATES, runs=sorted(runs)).where(
            F.col("table_name") == table.name
        )
        within = rows.where(F.col(SNAPSHOT_DATE).between(F.lit(first), F.lit(last))).select(
            SNAPSHOT_DATE, *_COLUMNS
        )
        by_day: dict[date, dict[str, ColumnStats]] = {}
        for row in within.collect():
            state = stats_from_row(row.asDict())
            by_day.setdefault(row[SNAPSHOT_DATE], {})[state.column] = state
    order = {name: i for i, name in enumerate(table.names)}
    return {
        d: dict(sorted(by_day[d].items(), key=lambda x: order.get(x[0], len(order)))) for d in sorted(by_day)
    }


def _runs_to_read(context: RunContext, table: Table, *, first: date, last: date) -> set[str]:
    """Return the runs whose states stand for the days of a table: every published one, of which the last that
    counted something is read, and of a day that was never published the latest attempt.
    """
    publication, stage = context.log.publication(context.spark), ingest_stage(table)
    published = publication.published_days(stage)
    latest = (r for (_, day), r in publication.latest.items() if day not in published)
    runs = [*(r for r in publication.runs if r.published), *latest]
    return {r.run_id for r in runs if r.stage == stage and first <= r.snapshot_date <= last}


class SketchEstimates(NamedTuple):
    """Estimates from sketches, by column: the number of distinct values, and the median.

    `unreadable` columns have sketches of another version of this package, and no estimate.
    """

    distinct: Mapping[str, int]
    median: Mapping[str, float]
    unreadable: tuple[str, ...] = ()


def read_estimates(context: RunContext, table: Table, days: Sequence[date]) -> SketchEstimates:
    """Estimate from the sketches of these days together, for the columns that have one; see `read_states`.

    Cost: one scan of a small table; some kilobytes a column and day reach the driver.
    """
    runs = _runs_to_read(context, table, first=min(days), last=max(days))
    rows = context.log.read_evidence(context.spark, QUALITY_STATES, runs=sorted(runs)).where(
        (F.col("table_name") == table.name) & F.col(SNAPSHOT_DATE).isin(list(days))
    )
    by_column: dict[str, list[Sketch]] = {}
    for row in rows.select("column_name", "distinct_sketch", "quantile_sketch").collect():
        by_column.setdefault(row["column_name"], []).append(Sketch(*map(_bytes, row[1:])))
    distinct: dict[str, int] = {}
    median: dict[str, float] = {}
    unreadable: list[str] = []
    for column, parts in by_column.items():
        try:
            merged = merge_sketches(parts)
        except ValueError:
            unreadable.append(column)
            continue
        if merged.distinct is not None:
            distinct[column] = estimate_distinct(merged.distinct)
        if merged.quantiles is not None and (value := estimate_quantile(merged.quantiles, 0.5)) is not None:
            median[column] = value
    return SketchEstimates(distinct, median, tuple(sorted(unreadable)))


def _bytes(value: bytes | None) -> bytes | None:
    return None if value is None else bytes(value)


def published_days(context: RunContext, table: Table) -> list[date]:
    """Return the days of a table that readers may see, in order."""
    return list(context.log.publication(context.spark).published_days(ingest_stage(table)))
