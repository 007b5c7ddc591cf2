"""What features and targets hold, from one pass: how much of each is there, its ends, its values as long as
they are few.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from engage_spark.errors import InputError
from engage_spark.ml.feature_spec import FeatureSpec, all_features, target_names
from engage_spark.ml.selection import profile_kernel as kernel
from engage_spark.spark.by_value import send_by_value
from engage_spark.spark.schema import column_named

LEVELS = 100
"""The most levels of a category that have a column of their own; those of a category with more are hashed
into so many.
"""
BITS = 20
"""A number is counted in so many bits: −2^20 … 2^20 of its own power of two."""

send_by_value(kernel)


@dataclass(frozen=True, kw_only=True)
class ColumnProfile:
    """One column. `missing` are nulls and NaN; `present` the others, infinities apart.

    `values` are its values with how often each occurs, all of them when `level` is 0 (at most 512), else
    those whose hash begins with `level` zero bits. `minimum` and `maximum` of the finite numbers, None for a
    category or where there is none. `whole`: all numbers are.
    """

    name: str
    categorical: bool
    present: int
    missing: int
    infinite: int
    whole: bool
    minimum: float | None
    maximum: float | None
    level: int
    values: Mapping[float | str, int]

    @property
    def distinct(self) -> int:
        """How many distinct values: exact up to 512, beyond that an estimate with a standard error of about
        6%.
        """
        return len(self.values) << self.level

    @property
    def constant(self) -> bool:
        """Whether it tells rows apart by nothing but where it is missing."""
        return self.level == 0 and len(self.values) <= 1

    @property
    def scale(self) -> FixedPointScale:
        """How a number is made whole. InputError for a column with infinities."""
        if self.infinite:
            raise InputError(
                f"column {self.name!r} holds {self.infinite} infinite values",
                hint="bound it in the contract, or make them null",
            )
        low, high = self.minimum or 0.0, self.maximum or 0.0
        middle = low / 2 + high / 2
        half = max(high - middle, middle - low)
        # One bit of room, so that rounding of the subtraction cannot leave the range.
        return FixedPointScale(middle=middle, exponent=math.frexp(half)[1] - BITS if half > 0 else 0)

    @property
    def levels(self) -> tuple[str, ...]:
        """The levels of a category in alphabetical order; none when there are more than LEVELS."""
        return (
            tuple(sorted(str(v) for v in self.values))
            if self.level == 0 and len(self.values) <= LEVELS
            else ()
        )


@dataclass(frozen=True)
class FixedPointScale:
    """A number x counts as round((x − middle) / 2^exponent), at most 2^20 in magnitude: an error of at most
    range / 2^21.
    """

    middle: float
    exponent: int


Scales = Mapping[str, ColumnProfile]
"""How each column of some rows is counted, by name: `FeatureProfile.columns`."""


@dataclass(frozen=True, kw_only=True)
class FeatureProfile:
    """What `to_profile` found. The columns are the specs' features and targets, by name."""

    rows: int
    columns: Mapping[str, ColumnProfile]

    def __getitem__(self, name: str) -> ColumnProfile:
        return self.columns[name]

    @property
    def scales(self) -> Scales:
        """What `to_grams` needs. InputError naming every column that holds infinities."""
        if bad := [c for c in self.columns.values() if c.infinite]:
            raise InputError(
                "infinite values cannot be inputs of a model",
                details=[f"{c.name}: {c.infinite} of {self.rows} rows" for c in bad],
                hint="bound these columns in the contract, or make such values null",
            )
        return self.columns


def as_double(name: str) -> Column:
    """A feature or target as a double; booleans are 0 and 1."""
    return column_named(name).cast("double")


def to_profile(rows: DataFrame, specs: Sequence[FeatureSpec]) -> FeatureProfile:
    """Count what the specs' features and targets hold.

    Grain of what is collected: one row per column and value, at most 512 a column, whatever the number of
    rows and partitions. Nulls and NaN are missing, −0.0 is 0.0. The same result on any partitioning. Cost:
    one scan that crosses to Python in Arrow batches, two shuffles of at most 512 rows a column and partition,
    one action.
    """
    features, goals = all_features(specs), target_names(specs)
    names = (*(f.name for f in features), *goals)
    categorical = (*(f.categorical for f in features), *(False for _ in goals))

    def partition(batches: Iterator[Any]) -> Iterator[Any]:
        return kernel.look(batches, categorical)

    chosen = [
        column_named(n).cast("string") if c else as_double(n) for n, c in zip(names, categorical, strict=True)
    ]
    seen = rows.select(*(c.alias(f"c{i}") for i, c in enumerate(chosen))).mapInArrow(partition, kernel.DDL)
    added = seen.groupBy("code", "what", "text", "number").agg(
        F.sum("rows").alias("rows"), F.min("least").alias("least"), F.max("most").alias("most")
    )
    by_code: dict[int, list[Any]] = {}
    for row in _thinned(added).collect():
        by_code.setdefault(row["code"], []).append(row)
    return FeatureProfile(
        rows=sum(r["rows"] for r in by_code.get(kernel.EVERYTHING, ())),
        columns={
            n: _column(n, c, by_code.get(i, ()))
            for i, (n, c) in enumerate(zip(names, categorical, strict=True))
        },
    )


def _thinned(added: DataFrame) -> DataFrame:
    """Of each column's values those whose hashes begin with the most zeros, CAP at most, and in `cut` the
    zeros of the best that goes.

    Partitions keep CAP values each, and need not keep the same.
    """
    best = (
        Window.partitionBy("code", "what")
        .orderBy(F.desc("most"))
        .rangeBetween(Window.unboundedPreceding, Window.currentRow)
    )
    value = F.col("what") == kernel.VALUE
    ranked = added.withColumn("within", F.when(value, F.count(F.lit(1)).over(best)).otherwise(0))
    gone = F.max(F.when(F.col("within") > kernel.CAP, F.col("most"))).over(Window.partitionBy("code", "what"))
    return ranked.withColumn("cut", gone).where(F.col("within") <= kernel.CAP)


def _column(name: str, categorical: bool, found: Sequence[Any]) -> ColumnProfile:
    told = {r["what"]: r for r in found if r["what"] != kernel.VALUE}
    key = "text" if categorical else "number"
    values = sorted((r[key], r["rows"]) for r in found if r["what"] == kernel.VALUE)
    known = [v for v, _ in values]
    hashes = (
        np.array([kernel.hash_of_text(v) for v in known], np.uint64)
        if categorical
        else kernel.hashes_of_numbers(np.array(known, float))
    )
    cut = max((int(r["cut"]) + 1 for r in found if r["cut"] is not None), default=0)
    level = kernel.raised(hashes, max(cut, int(told[kernel.LEVEL]["most"]) if told else 0))
    kept = kernel.sampled(hashes, level)

    def count(what: int) -> int:
        return int(told[what]["rows"]) if what in told else 0

    ends = told.get(kernel.PRESENT)
    return ColumnProfile(
        name=name,
        categorical=categorical,
        present=count(kernel.PRESENT),
        missing=count(kernel.MISSING),
        infinite=count(kernel.INFINITE),
        whole=not count(kernel.FRACTION),
        minimum=ends["least"] if ends else None,
        maximum=ends["most"] if ends else None,
        level=level,
        values={v: int(n) for (v, n), keep in zip(values, kept, strict=True) if keep},
    )
