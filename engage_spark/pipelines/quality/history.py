"""Read what was recorded about quality: results and states, small tables of one row per rule or column and
day.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any, NamedTuple

from pyspark.sql import functions as F

from engage_spark.contract import SNAPSHOT_DATE, Contract, Table
from engage_spark.errors import NotPublishedError
from engage_spark.lake import translate_spark_errors
from engage_spark.lake.run_log import QUALITY_RESULTS, QUALITY_STATES
from engage_spark.pipelines.context import RunContext
from engage_spark.pipelines.stages import ingest_stage
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


def read_states(context: RunContext, table: Table, *, first: date, last: date) -> Days:
    """Read the states of a table by day, from `first` to `last`.

    Cost: one scan of a small table; a row per column and day reaches the driver.
    """
    with translate_spark_errors(f"{QUALITY_STATES} cannot be read"):
        rows = context.log.read_evidence(context.spark, QUALITY_STATES).where(
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


class SketchEstimates(NamedTuple):
    """Estimates from sketches, by column: the number of distinct values, and the median."""

    distinct: Mapping[str, int]
    median: Mapping[str, float]


def read_estimates(context: RunContext, table: Table, days: Sequence[date]) -> SketchEstimates:
    """Estimate from the sketches of these days together, for the columns that have one.

    Cost: two scans of a small table; rows are not read again.
    """
    rows = context.log.read_evidence(context.spark, QUALITY_STATES).where(
        (F.col("table_name") == table.name) & F.col(SNAPSHOT_DATE).isin(list(days))
    )
    distinct = F.hll_sketch_estimate(F.hll_union_agg("distinct_sketch"))
    median = kll_quantile("quantile_sketch", 0.5)
    by_sketch: list[dict[str, Any]] = []
    for sketch, estimate in (("distinct_sketch", distinct), ("quantile_sketch", median)):
        with_sketch = (
            rows.where(F.col(sketch).isNotNull()).groupBy("column_name").agg(estimate.alias("estimate"))
        )
        by_sketch.append(
            {r["column_name"]: r["estimate"] for r in with_sketch.collect() if r["estimate"] is not None}
        )
    return SketchEstimates(distinct=by_sketch[0], median=by_sketch[1])


def published_days(context: RunContext, table: Table) -> list[date]:
    """Return the days of a table that readers may see, in order."""
    latest = context.log.latest(context.spark, ingest_stage(table))
    return sorted(day for day, run in latest.items() if run.published)
