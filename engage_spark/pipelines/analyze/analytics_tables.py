"""Write the tables of a day's analytics, and read the states of other days."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import date
from typing import Any

import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql.pandas.types import to_arrow_schema

from engage_spark.analytics.state_rows import to_day_states
from engage_spark.analytics.states import DayStates
from engage_spark.contract import SNAPSHOT_DATE, system_contract
from engage_spark.pipelines.context import RunContext
from engage_spark.pipelines.runner import Attempt
from engage_spark.pipelines.stages import ANALYTICS_STATES
from engage_spark.publication import Run
from engage_spark.spark.compat import from_arrow, to_arrow
from engage_spark.spark.schema import spark_schema

RUN_COLUMN = "run_id"
_STATE_COLUMNS = (
    SNAPSHOT_DATE,
    "dimension",
    "segment",
    "metric",
    "segment_order",
    "n",
    "nulls",
    "minimum",
    "maximum",
    "exact",
    "quantiles",
    "customers",
)


def write_rows(attempt: Attempt, table: str, rows: Iterable[Mapping[str, Any]]) -> int:
    """Write the day's rows of a table of analytics, and return their number; a table without any is not
    written.

    Cost: one Delta commit. The rows are made on the driver: segments and metrics, never customers.
    """
    declared = system_contract().table(table)
    schema = to_arrow_schema(spark_schema(declared))
    common = {SNAPSHOT_DATE: attempt.work.snapshot_date, RUN_COLUMN: attempt.work.run_id}
    made = pa.Table.from_pylist([common | dict(row) for row in rows], schema=schema)
    if made.num_rows:
        frame = from_arrow(attempt.context.spark, made).coalesce(1)
        attempt.replace(declared, frame, run_column=RUN_COLUMN)
    return int(made.num_rows)


def read_states(context: RunContext, runs: Mapping[date, Run]) -> dict[date, DayStates]:
    """Read the states of some days as their runs made them.

    Cost: one job where a day is asked for. They are on the driver: one row per metric and segment, about
    3,000 a day by the packaged contract, of at most 31 days, whatever the number of customers and partitions.
    """
    if not runs:
        return {}
    rows = context.lake.read(context.spark, ANALYTICS_STATES).where(
        F.col(SNAPSHOT_DATE).isin(list(runs)) & F.col(RUN_COLUMN).isin([r.run_id for r in runs.values()])
    )
    by_day: dict[date, list[dict[str, Any]]] = {day: [] for day in runs}
    for row in _records(rows):
        by_day[row[SNAPSHOT_DATE]].append(row)
    return {day: to_day_states(lines) for day, lines in by_day.items()}


def _records(rows: DataFrame) -> Iterator[dict[str, Any]]:
    yield from to_arrow(rows.select(*_STATE_COLUMNS)).to_pylist()
