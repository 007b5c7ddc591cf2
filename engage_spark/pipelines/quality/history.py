"""Reading what was recorded about quality: results and states, small tables of one row per rule or column and
day.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any, NamedTuple

from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from engage_spark.contract import SNAPSHOT_DATE, Contract, Table, TableKind
from engage_spark.errors import NotPublishedError
from engage_spark.lake import RunLog, translate_spark_errors
from engage_spark.pipelines.context import RunContext
from engage_spark.pipelines.stages import QUALITY_RESULTS, QUALITY_STATES, ingest_stage
from engage_spark.quality import ColumnStats, stats_from_row
from engage_spark.spark.compat import kll_quantile

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


def chosen(contract: Contract, table: str | None) -> Table:
    """The input table that was asked for, or the entity's. Raises ContractError when it is none."""
    return contract.entity if table is None else contract.table(table)


def judged_tables(contract: Contract) -> tuple[Table, ...]:
    """The tables that ingest judges."""
    return tuple(t for t in contract.tables if t.kind in (TableKind.ENTITY, TableKind.LOG))


def results(context: RunContext, day: date | None, table: str | None) -> tuple[date, list[dict[str, Any]]]:
    """The lines of quality_results of a day (default: the newest), of one table or of all. Two scans of a
    small table at most.

    Raises ConfigurationError when nothing was judged on that day.
    """
    with translate_spark_errors(f"{context.lake.location(QUALITY_RESULTS)} cannot be read"):
        lines = context.lake.read(context.spark, QUALITY_RESULTS)
        lines = lines if table is None else lines.where(F.col("table_name") == table)
        day = day or lines.agg(F.max(SNAPSHOT_DATE)).collect()[0][0]
        found = [r.asDict() for r in lines.where(F.col(SNAPSHOT_DATE) == F.lit(day)).collect()] if day else []
    if day is None or not found:
        raise NotPublishedError(
            f"nothing was judged{f' of {table}' if table else ''}{f' on {day}' if day else ''}",
            hint="run `engage-spark ingest`; `engage-spark runs` shows what was",
        )
    return day, found


def states(context: RunContext, table: Table, *, first: date, last: date) -> Days:
    """The states of a table by day, from `first` to `last`. One scan of a small table; a row per column and
    day reaches the driver.
    """
    with translate_spark_errors(f"{context.lake.location(QUALITY_STATES)} cannot be read"):
        rows = context.lake.read(context.spark, QUALITY_STATES).where(F.col("table_name") == table.name)
        within = rows.where(F.col(SNAPSHOT_DATE).between(F.lit(first), F.lit(last))).select(
            SNAPSHOT_DATE, *_COLUMNS
        )
        found: dict[date, dict[str, ColumnStats]] = {}
        for row in within.collect():
            state = stats_from_row(row.asDict())
            found.setdefault(row[SNAPSHOT_DATE], {})[state.column] = state
    order = {name: i for i, name in enumerate(table.names)}
    return {
        d: dict(sorted(found[d].items(), key=lambda x: order.get(x[0], len(order)))) for d in sorted(found)
    }


class Displayed(NamedTuple):
    """Estimates for display, from sketches: how many different values, and the one in the middle."""

    distinct: Mapping[str, int]
    median: Mapping[str, float]


def displayed(context: RunContext, table: Table, days: Sequence[date]) -> Displayed:
    """What the sketches of these days say together, for the columns that have one. Two scans of a small
    table; rows are not read again.
    """
    rows = context.lake.read(context.spark, QUALITY_STATES).where(
        (F.col("table_name") == table.name) & F.col(SNAPSHOT_DATE).isin(list(days))
    )
    distinct = F.hll_sketch_estimate(F.hll_union_agg("distinct_sketch"))
    median = kll_quantile("quantile_sketch", 0.5)
    found: list[dict[str, Any]] = []
    for sketch, estimate in (("distinct_sketch", distinct), ("quantile_sketch", median)):
        held = rows.where(F.col(sketch).isNotNull()).groupBy("column_name").agg(estimate.alias("estimate"))
        found.append({r["column_name"]: r["estimate"] for r in held.collect() if r["estimate"] is not None})
    return Displayed(distinct=found[0], median=found[1])


def published(spark: SparkSession, context: RunContext, table: Table) -> list[date]:
    """The days of a table that readers may see, in order."""
    return sorted(
        d for d, run in RunLog(context.lake).latest(spark, ingest_stage(table)).items() if run.published
    )
