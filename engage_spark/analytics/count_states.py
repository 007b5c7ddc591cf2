"""Count the states of a day with Spark: a look at what segments there are, and one pass that counts."""

from __future__ import annotations

import pickle
from collections.abc import Iterator, Sequence
from typing import Any

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from engage_spark.analytics import count_kernel, survey_kernel
from engage_spark.analytics.plan import (
    MOST_SEGMENTS,
    QUARTILES,
    CountedDimension,
    CountedMetric,
    SegmentedDimension,
    StatesPlan,
    fixed_segments,
    quartile_segments,
    segment_of,
)
from engage_spark.analytics.states import DayStates
from engage_spark.contract.analytics_spec import DimensionKind
from engage_spark.numerics import sketches
from engage_spark.spark.schema import column_named

_SPAN = 2**64
MEETING = 64
"""States of a block that meet in one row at the end; before, those of every 64th partition meet in one."""


def with_segments(rows: DataFrame, dimensions: Sequence[CountedDimension]) -> tuple[SegmentedDimension, ...]:
    """Give each dimension its segments: those declared, or those that the rows have.

    Quartiles are cut at the quartiles of the rows, each within 0.8% of its value; whole numbers up to 127 are
    exact. An open dimension gets its 200 most frequent values, ties by name, in the order of their names.
    Cost: where a dimension has quartiles or is open, one job: a scan of those columns alone, which crosses to
    Python, and a shuffle of a row per value and partition; else none.
    """
    surveyed = [d for d in dimensions if d.is_open or d.kind is DimensionKind.QUARTILE]
    values, quartiles = _survey(rows, surveyed) if surveyed else ({}, {})
    segmented = []
    for d in dimensions:
        if d.kind is DimensionKind.QUARTILE:
            segmented.append(quartile_segments(d, quartiles[d.name]))
        elif d.is_open:
            segmented.append(SegmentedDimension(d, tuple(map(segment_of, sorted(values[d.name])))))
        else:
            segmented.append(fixed_segments(d))
    return tuple(segmented)


def _survey(
    rows: DataFrame, dimensions: Sequence[CountedDimension]
) -> tuple[dict[str, list[str]], dict[str, tuple[float, ...]]]:
    """Return the most frequent values of open dimensions, and the boundaries of quartiles, by name."""
    n = len(dimensions)
    kinds = tuple(d.kind is DimensionKind.QUARTILE for d in dimensions)
    digits = tuple(d.digits for d in dimensions)

    def partition(batches: Iterator[Any]) -> Iterator[Any]:
        return survey_kernel.survey(batches, kinds, digits)

    read = rows.select(*(_value(d).alias(f"c{i}") for i, d in enumerate(dimensions)))
    counted = (
        read.mapInArrow(partition, survey_kernel.DDL)
        .groupBy("code", "value")
        .agg(F.sum("n").alias("n"), F.collect_list("summary").alias("summaries"))
    )
    rank = F.row_number().over(Window.partitionBy("code").orderBy(F.desc("n"), "value"))
    values: list[list[str]] = [[] for _ in range(n)]
    quartiles: dict[str, tuple[float, ...]] = {}
    shown = counted.withColumn("rank", rank).where(F.col("rank") <= MOST_SEGMENTS)
    for row in shown.mapInArrow(survey_kernel.merge, survey_kernel.DDL).collect():
        code = row["code"]
        if kinds[code]:
            bounds = [sketches.estimate_quantile(bytes(row["summary"]), order) for order in QUARTILES]
            quartiles[dimensions[code].name] = tuple(b for b in bounds if b is not None)
        else:
            values[code].append(row["value"])
    empty = {d.name: () for d, is_number in zip(dimensions, kinds, strict=True) if is_number}
    return {d.name: v for d, v in zip(dimensions, values, strict=True)}, empty | quartiles


def count_states(
    rows: DataFrame, plan: StatesPlan, *, key: Sequence[str], n_rows: int, sample: int
) -> tuple[DayStates, count_kernel.Sample | None]:
    """Count every metric in every segment, and draw at most `sample` rows by a hash of their key.

    `rows` have all columns that the sources of metrics and dimensions name; `key` are the key columns.
    `n_rows` says about how many rows there are; a sample of 0 draws none.
    Grain of what is collected: one row per metric with the sums of all segments, whatever the number of
    customers and partitions; and the sample.
    Nulls: counted apart; NaN, infinities and values from 2^511 on count among them.
    Cost: one scan that crosses to Python in Arrow batches, one shuffle of a row per metric and partition and
    one of at most 64 rows per metric, one action. Executors need this package: the kernel is compiled.

    Partitions are merged in two steps, so that no row holds the states of all: of P partitions at most
    ⌈P / 64⌉ states of a metric meet in the first step, and 64 in the second. A state grows with segments
    alone: by the packaged contract's 149 it has 0.6 MB, so at 1,000 partitions rows have 10 MB and 39 MB,
    where all together had 610 MB.
    """
    columns: dict[str, Column] = {}
    numbers = {m.name: _number(m) for m in plan.metrics}
    dimensions = [d.dimension for d in plan.dimensions]
    for d in dimensions:
        if d.kind.is_numeric:
            numbers.setdefault(f"{d.source}\n", _value(d))
        elif d.kind is not DimensionKind.ALL:
            columns[d.name] = _value(d)
    at_number, at_column = (
        {name: i for i, name in enumerate(numbers)},
        {name: i for i, name in enumerate(columns, 1 + len(numbers))},
    )
    places = tuple(
        at_number[f"{d.source}\n"] if d.kind.is_numeric else at_column.get(d.name, 0) for d in dimensions
    )
    # A few more than asked for, of which those with the least hashes stay.
    drawn = 0 if not sample else min(_SPAN - 1, int(_SPAN * min(1.0, 1.1 * sample / max(n_rows, 1))))
    layout = count_kernel.Layout(plan, len(numbers), places, drawn)

    def partition(batches: Iterator[Any]) -> Iterator[Any]:
        return count_kernel.count(batches, layout)

    read = [F.xxhash64(*map(column_named, key)), *numbers.values(), *columns.values()]
    counted = rows.select(*(c.alias(f"c{i}") for i, c in enumerate(read))).mapInArrow(
        partition, count_kernel.DDL
    )
    some = _merged(counted.withColumn("part", F.spark_partition_id() % MEETING), "block", "part")
    merged = _merged(some, "block")
    # Written by `count_kernel.merge` within this job.
    blocks = {row["block"]: pickle.loads(bytes(row["state"])) for row in merged.collect()}  # noqa: S301
    return count_kernel.to_states(plan, blocks), count_kernel.to_sample(blocks, limit=sample)


def _merged(states: DataFrame, *keys: str) -> DataFrame:
    met = states.groupBy(*keys).agg(F.collect_list("state").alias("states"))
    return met.mapInArrow(count_kernel.merge, count_kernel.DDL)


def _number(metric: CountedMetric) -> Column:
    return (F.expr(metric.source) if metric.source else column_named(metric.name)).cast("double")


def _value(dimension: CountedDimension) -> Column:
    """Return what a row says of a dimension, in the type that the kernel reads."""
    if dimension.kind is DimensionKind.ALL:
        return F.lit(True)
    kind = "double" if dimension.kind.is_numeric else "boolean" if dimension.is_flag else "string"
    return F.expr(dimension.source).cast(kind)
