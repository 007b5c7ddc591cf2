"""Sum the products of columns over a partition. Sent along by value, so that executors need numpy and pyarrow
only.

A row becomes a vector of whole numbers of at most 2^20 in magnitude. A product is at most 2^40, so the sum
over BATCH rows stays within 2^53, where float64 is exact: BLAS may add in any order and on any number of
threads. Sums of batches are kept in two 64-bit integers, hi·2^31 + lo, so partitions add up to the same bits.

The loop over batches is here and not `numerics.batch_counts.count_columns`: that counts column by
column, and a product needs two columns of the same row.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from engage_spark.numerics.batch_counts import to_ddl
from engage_spark.numerics.column_profile import hash_of_text
from engage_spark.numerics.limbs import carry

BATCH = 8192
LIMIT = 2.0**20
CARRY = 512
"""After so many batches lo is carried: 512·2^53 + 2^31 < 2^63."""


class NumberColumn(NamedTuple):
    """A number as round((x − middle) / 2^exponent). `nullable`: it takes a second place, 1 where it is
    present.
    """

    middle: float
    exponent: int
    nullable: bool


class CategoryColumn(NamedTuple):
    """A category with a place for each level, or for each of so many buckets of a hash of its levels. Nulls
    are 0 in all places.
    """

    levels: tuple[str, ...]
    buckets: int = 0

    @property
    def width(self) -> int:
        """The number of places."""
        return self.buckets or len(self.levels)


class GramLayout(NamedTuple):
    """The places of the vector: 1, then each column's, then the targets'."""

    columns: tuple[NumberColumn | CategoryColumn, ...]
    targets: tuple[NumberColumn, ...]

    @property
    def at(self) -> tuple[int, ...]:
        """The first place of each column and target."""
        places, place = [], 1
        for c in self.columns:
            places.append(place)
            place += c.width if isinstance(c, CategoryColumn) else 1 + c.nullable
        return (*places, *range(place, place + len(self.targets)))

    @property
    def size(self) -> int:
        """The length of the vector."""
        return self.at[-1] + 1


SCHEMA = pa.schema(
    [
        ("fold", pa.int32()),
        ("present", pa.int64()),
        ("place", pa.int64()),
        ("hi", pa.int64()),
        ("lo", pa.int64()),
    ]
)
DDL = to_ddl(SCHEMA)


class GramSums:
    """Exact sums of the products of a group of rows."""

    def __init__(self, size: int) -> None:
        self.hi = np.zeros((size, size), np.int64)
        self.lo = np.zeros((size, size), np.int64)
        self.batches = 0

    def add(self, rows: np.ndarray) -> None:
        """Add the products of some rows."""
        for start in range(0, len(rows), BATCH):
            chunk = rows[start : start + BATCH]
            self.lo += (chunk.T @ chunk).astype(np.int64)
            self.batches += 1
            if self.batches % CARRY == 0:
                self.carry()

    def carry(self) -> None:
        """Make room for more summands."""
        self.hi, self.lo = carry(self.hi, self.lo)


def bucket(value: str, buckets: int) -> int:
    """Return the bucket that a level falls into, the same on every host."""
    return hash_of_text(value) % buckets


def to_whole_numbers(column: pa.Array, scale: NumberColumn) -> tuple[np.ndarray, np.ndarray]:
    """Scale numbers to whole ones, 0 where missing, and tell which are present."""
    values = column.to_numpy(zero_copy_only=False)  # nulls become NaN
    present = ~np.isnan(values)
    return np.rint(np.ldexp(np.where(present, values - scale.middle, 0.0), -scale.exponent)), present


def to_codes(column: pa.Array, category: CategoryColumn, *, unknown: int) -> np.ndarray:
    """Return the position of each value among the levels or buckets, `unknown` for nulls and other levels."""
    coded = column.dictionary_encode()
    positions = {level: i for i, level in enumerate(category.levels)}
    codes = [
        bucket(v, category.buckets) if category.buckets else positions.get(v, unknown)
        for v in coded.dictionary.to_pylist()
    ]
    indices = coded.indices.fill_null(len(codes)).to_numpy(zero_copy_only=False)
    by_row: np.ndarray = np.array([*codes, unknown], np.int64)[indices]
    return by_row


def _in_range(column: pa.Array, scale: NumberColumn) -> tuple[np.ndarray, np.ndarray]:
    numbers, present = to_whole_numbers(column, scale)
    if len(numbers) and not float(np.abs(numbers).max()) <= LIMIT:
        raise ValueError(
            "a number lies outside the range that its scale was made for: "
            "profile the same rows that are summed"
        )
    return numbers, present


def _fill(rows: np.ndarray, at: int, column: pa.Array, kind: NumberColumn | CategoryColumn) -> None:
    if isinstance(kind, NumberColumn):
        rows[:, at], present = _in_range(column, kind)
        if kind.nullable:
            rows[:, at + 1] = present
        elif not present.all():
            raise ValueError(
                "a column without missing values has some now: profile the same rows that are summed"
            )
        return
    codes = to_codes(column, kind, unknown=-1)
    filled = np.flatnonzero(~column.is_null().to_numpy(zero_copy_only=False))
    if (codes[filled] < 0).any():
        raise ValueError(
            "a category has a level that its profile lacks: profile the same rows that are summed"
        )
    rows[filled, at + codes[filled]] = 1.0


def sum_products(batches: Iterator[pa.RecordBatch], layout: GramLayout) -> Iterator[pa.RecordBatch]:
    """Sum all products of two places: a row of SCHEMA for each that is not 0, by fold and by which targets
    are present (a bit each).

    The batches hold the columns, the targets and the fold, by place; rows without any target count nowhere.
    """
    sums: dict[tuple[int, int], GramSums] = {}
    at, targets = layout.at, len(layout.targets)
    for batch in batches:
        rows = np.zeros((batch.num_rows, layout.size), order="F")
        rows[:, 0] = 1.0
        for i, column in enumerate(layout.columns):
            _fill(rows, at[i], batch.column(i), column)
        present = np.zeros(batch.num_rows, np.int64)
        for t, target in enumerate(layout.targets):
            i = len(layout.columns) + t
            rows[:, at[i]], labelled = _in_range(batch.column(i), target)
            present |= labelled.astype(np.int64) << t
        groups = batch.column(len(at)).to_numpy(zero_copy_only=False).astype(np.int64) << targets | present
        for group in np.unique(groups[present > 0]).tolist():
            key = (group >> targets, group & ((1 << targets) - 1))
            sums.setdefault(key, GramSums(layout.size)).add(rows[groups == group])
    for key, group_sums in sums.items():
        group_sums.carry()
        yield _to_batch(key, group_sums)


def _to_batch(key: tuple[int, int], sums: GramSums) -> pa.RecordBatch:
    upper = np.triu((sums.hi != 0) | (sums.lo != 0))
    place = np.flatnonzero(upper)
    columns: list[Any] = [
        pa.array(np.full(len(place), key[0], np.int32)),
        pa.array(np.full(len(place), key[1], np.int64)),
        pa.array(place),
        pa.array(sums.hi.reshape(-1)[place]),
        pa.array(sums.lo.reshape(-1)[place]),
    ]
    return pa.RecordBatch.from_arrays(columns, schema=SCHEMA)
