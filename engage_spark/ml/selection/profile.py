"""Profile features and targets, and derive the scale of each number and the levels of each category."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from pyspark.sql import Column, DataFrame

from engage_spark.errors import InputError
from engage_spark.ml.feature_spec import FeatureSpec, all_features, target_names
from engage_spark.numerics.column_profile import NumberCounter, TextCounter
from engage_spark.spark.column_profile import ColumnProfile, CountedColumn, profile_columns
from engage_spark.spark.schema import column_named

VALUES = 512
"""The most distinct values of a column that are counted one by one."""
LEVELS = 100
"""The most levels of a category that have a column of their own; those of a category with more are hashed
into so many.
"""
BITS = 20
"""A number is counted in so many bits: −2^20 … 2^20 of its own power of two."""


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
    """The profile of the specs' features and targets, by name."""

    rows: int
    columns: Mapping[str, ColumnProfile]

    def __getitem__(self, name: str) -> ColumnProfile:
        return self.columns[name]

    @property
    def scales(self) -> Scales:
        """The columns, which `to_grams` needs.

        Errors: InputError naming every column that holds infinities.
        """
        if infinite := [c for c in self.columns.values() if c.infinite]:
            raise InputError(
                "infinite values cannot be inputs of a model",
                details=[f"{c.name}: {c.infinite} of {self.rows} rows" for c in infinite],
                hint="bound these columns in the contract, or make such values null",
            )
        return self.columns


def scale_of(column: ColumnProfile) -> FixedPointScale:
    """Return the scale that makes a number whole.

    Errors: InputError for a column with infinities.
    """
    if column.infinite:
        raise InputError(
            f"column {column.name!r} holds {column.infinite} infinite values",
            hint="bound it in the contract, or make them null",
        )
    low, high = column.minimum or 0.0, column.maximum or 0.0
    middle = low / 2 + high / 2
    half = max(high - middle, middle - low)
    # One bit of room, so that rounding of the subtraction cannot leave the range.
    return FixedPointScale(middle=middle, exponent=math.frexp(half)[1] - BITS if half > 0 else 0)


def levels_of(column: ColumnProfile) -> tuple[str, ...]:
    """List the levels of a category in alphabetical order; none when there are more than LEVELS."""
    few = column.complete and len(column.values) <= LEVELS
    return tuple(sorted(str(v) for v in column.values)) if few else ()


def as_double(name: str) -> Column:
    """Read a feature or target as a double; booleans are 0 and 1."""
    return column_named(name).cast("double")


def to_profile(rows: DataFrame, specs: Sequence[FeatureSpec]) -> FeatureProfile:
    """Profile the specs' features and targets: numbers as doubles, categories as text.

    The same result on any partitioning.
    Cost: see `profile_columns`, with at most 512 values a column.
    """
    columns = {f.name: _text(f.name) if f.categorical else _number(f.name) for f in all_features(specs)} | {
        name: _number(name) for name in target_names(specs)
    }
    n_rows, profiles = profile_columns(rows, columns, limit=VALUES)
    return FeatureProfile(rows=n_rows, columns=profiles)


def _number(name: str) -> CountedColumn:
    return CountedColumn(as_double(name), False, partial(NumberCounter, VALUES))


def _text(name: str) -> CountedColumn:
    return CountedColumn(column_named(name).cast("string"), True, partial(TextCounter, VALUES))
