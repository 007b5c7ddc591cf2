"""Profile the columns of a DataFrame in one pass: counts, minimum and maximum, and all values or a sample.

Features and undeclared tables are profiled by the same pass. Each package adds what only it needs: scales and
levels in `ml.selection.profile`, shapes and forms of text in `quality.profiling`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from engage_spark.numerics import column_profile as kernel
from engage_spark.numerics.batch_counts import ColumnCounter
from engage_spark.spark.by_value import send_by_value

send_by_value(kernel)


@dataclass(frozen=True, kw_only=True)
class ColumnProfile:
    """One column. `missing` are nulls and NaN; `present` the others, infinities apart.

    `values` are its values with how often each occurs, all of them when `level` is 0, else those whose hash
    begins with `level` zero bits. `minimum` and `maximum` of the finite numbers, None for text or where there
    is none. `whole`: all numbers are. `details` are the rows of other kinds that its counter gave, by kind.
    """

    name: str
    is_text: bool
    present: int
    missing: int
    infinite: int
    whole: bool
    minimum: float | None
    maximum: float | None
    level: int
    values: Mapping[float | str, int]
    details: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)

    @property
    def complete(self) -> bool:
        """Whether `values` holds every value of the column."""
        return self.level == 0

    @property
    def distinct(self) -> int:
        """The number of distinct values: exact where `values` is complete, beyond that an estimate with a
        standard error of about 6% for samples of 512.
        """
        return len(self.values) << self.level

    @property
    def constant(self) -> bool:
        """Whether rows differ in nothing but where it is missing."""
        return self.complete and len(self.values) <= 1


@dataclass(frozen=True)
class CountedColumn:
    """A column to profile: what is read, whether its values are text, and the maker of its counter."""

    column: Column
    is_text: bool
    counter: Callable[[], ColumnCounter]


def profile_columns(
    rows: DataFrame, columns: Mapping[str, CountedColumn], *, limit: int
) -> tuple[int, dict[str, ColumnProfile]]:
    """Count the rows, and profile each column by name. `limit` is that of the counters' values.

    Grain of what is collected: one row per column and value, at most `limit` a column, whatever the number of
    rows and partitions; of every other kind of row at most `limit` + 1 a column, the first by their text.
    Nulls and NaN are missing, −0.0 is 0.0. The same result on any partitioning.
    Cost: one scan that crosses to Python in Arrow batches, two shuffles of at most `limit` rows a column and
    partition, one action.
    """
    makers = tuple(c.counter for c in columns.values())

    def partition(batches: Iterator[Any]) -> Iterator[Any]:
        return kernel.profile_partition(batches, makers)

    read = rows.select(*(c.column.alias(f"c{i}") for i, c in enumerate(columns.values())))
    added = (
        read.mapInArrow(partition, kernel.DDL)
        .groupBy("code", "what", "text", "number")
        .agg(
            F.sum("rows").alias("rows"),
            *(F.min(name).alias(name) for name in ("least", "first")),
            *(F.max(name).alias(name) for name in ("most", "last")),
        )
    )
    by_code: dict[int, list[Any]] = {}
    for row in _thinned(added, limit).collect():
        by_code.setdefault(row["code"], []).append(row)
    return sum(r["rows"] for r in by_code.get(kernel.ALL_ROWS, ())), {
        name: column_profile(name, by_code.get(i, ()), is_text=c.is_text, limit=limit)
        for i, (name, c) in enumerate(columns.items())
    }


def _thinned(added: DataFrame, limit: int) -> DataFrame:
    """Keep of each column's values those whose hashes begin with the most zeros, `limit` at most, and put the
    zeros of the best that goes into `cut`.

    Partitions keep `limit` values each, and need not keep the same.
    """
    group = Window.partitionBy("code", "what")
    best = group.orderBy(F.desc("most")).rangeBetween(Window.unboundedPreceding, Window.currentRow)
    is_value = F.col("what") == kernel.VALUE
    rank = F.when(is_value, F.count(F.lit(1)).over(best)).otherwise(
        F.row_number().over(group.orderBy("text")) - 1
    )
    cut = F.max(F.when(is_value & (F.col("rank") > limit), F.col("most"))).over(group)
    return added.withColumn("rank", rank).withColumn("cut", cut).where(F.col("rank") <= limit)


def column_profile(name: str, rows: Iterable[Any], *, is_text: bool, limit: int) -> ColumnProfile:
    """Build the profile of one column from its rows, added up over the partitions (see `profile_columns`)."""
    by_kind: dict[str, list[Any]] = {}
    for row in rows:
        by_kind.setdefault(row["what"], []).append(row)
    key = "text" if is_text else "number"
    counted = sorted((r[key], r["rows"]) for r in by_kind.get(kernel.VALUE, ()))
    hashes = (
        np.array([kernel.hash_of_text(v) for v, _ in counted], np.uint64)
        if is_text
        else kernel.hashes_of_numbers(np.array([v for v, _ in counted], float))
    )
    level = max((int(r["most"]) for r in by_kind.get(kernel.LEVEL, ())), default=0)
    cuts = (int(r["cut"]) + 1 for r in by_kind.get(kernel.VALUE, ()) if r["cut"] is not None)
    level = kernel.raised_level(hashes, max(level, *cuts, 0), limit)
    sampled = kernel.in_sample(hashes, level)

    def count(what: str) -> int:
        return sum(int(r["rows"]) for r in by_kind.get(what, ()))

    (ends,) = by_kind.get(kernel.PRESENT, [{"least": None, "most": None}])
    return ColumnProfile(
        name=name,
        is_text=is_text,
        present=count(kernel.PRESENT),
        missing=count(kernel.MISSING),
        infinite=count(kernel.INFINITE),
        whole=not count(kernel.FRACTION),
        minimum=ends["least"],
        maximum=ends["most"],
        level=level,
        values={v: int(n) for (v, n), keep in zip(counted, sampled, strict=True) if keep},
        details={
            what: tuple(sorted(rows_of_kind, key=lambda r: r["text"]))
            for what, rows_of_kind in by_kind.items()
            if what not in kernel.OWN_KINDS
        },
    )
