"""Count in one pass what features need before a fit: moments of numbers, and how often each level occurs.

Sent along by value, so that executors need numpy and pyarrow only.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from engage_spark.numerics.batch_counts import ColumnCounter, CountedRow, count_columns, to_batch, to_ddl

SCHEMA = pa.schema(
    [
        ("code", pa.int32()),
        ("level", pa.string()),
        ("rows", pa.int64()),
        ("present", pa.int64()),
        ("mean", pa.float64()),
        ("squares", pa.float64()),
    ]
)
DDL = to_ddl(SCHEMA)
BLOCK = 10_000
"""Rows of a column that are added up at once. Blocks are cut here, so that the size of Arrow's batches, which
is an option of the session, changes no bit of a sum.
"""


class Moments(NamedTuple):
    """How many values there are, their mean, and the sum of their squared distances from it."""

    present: int
    mean: float
    squares: float


NOTHING = Moments(0, 0.0, 0.0)


def add_moments(a: Moments, b: Moments) -> Moments:
    """Return the moments of the values of both.

    Source: T. F. Chan, G. H. Golub and R. J. LeVeque, "Updating formulae and a pairwise algorithm for
    computing sample variances", Stanford STAN-CS-79-773, 1979.
    """
    if not a.present or not b.present:
        return a if a.present else b
    present, apart = a.present + b.present, b.mean - a.mean
    mean = a.mean + apart * (b.present / present)
    return Moments(present, mean, a.squares + b.squares + apart * apart * (a.present * b.present / present))


class NumberMoments:
    """The rows of a column of doubles, and the moments of those that are neither null nor NaN.

    At most a block and a batch are held in memory.
    """

    def __init__(self, code: int) -> None:
        self._code, self._rows, self._moments = code, 0, NOTHING
        self._waiting: list[np.ndarray] = []
        self._n_waiting = 0

    def add(self, column: pa.Array) -> None:
        """Count a batch."""
        self._rows += len(column)
        self._n_waiting += len(column)
        self._waiting.append(column.to_numpy(zero_copy_only=False))  # nulls become NaN
        if self._n_waiting >= BLOCK:
            values = np.concatenate(self._waiting)
            whole = len(values) - len(values) % BLOCK
            for start in range(0, whole, BLOCK):
                self._add_block(values[start : start + BLOCK])
            self._waiting, self._n_waiting = [values[whole:].copy()], len(values) - whole

    def _add_block(self, values: np.ndarray) -> None:
        there = values[~np.isnan(values)]
        if len(there):
            with np.errstate(invalid="ignore", over="ignore"):
                moved = there - there[0]  # a constant is exactly that, and its squares are 0
                mean = moved.mean()
                squares = float(np.square(moved - mean).sum())
                own = Moments(len(there), float(there[0] + mean), squares)
            self._moments = add_moments(self._moments, own)

    def rows(self) -> Iterator[CountedRow]:
        """Return the one row of the column."""
        if self._n_waiting:
            self._add_block(np.concatenate(self._waiting))
            self._waiting, self._n_waiting = [], 0
        yield (self._code, None, self._rows, *self._moments)


class LevelCounts:
    """How often each text of a column occurs."""

    def __init__(self, code: int) -> None:
        self._code, self._counts = code, Counter[str]()

    def add(self, column: pa.Array) -> None:
        """Count a batch."""
        counted = column.drop_null().value_counts()
        levels, counts = counted.field("values").to_pylist(), counted.field("counts").to_pylist()
        self._counts.update(dict(zip(levels, counts, strict=True)))

    def rows(self) -> Iterator[CountedRow]:
        """Return a row for each level."""
        for level in sorted(self._counts):
            yield (self._code, level, self._counts[level], 0, 0.0, 0.0)


def count_features(batches: Iterator[Any], texts: Sequence[bool]) -> Iterator[Any]:
    """Count a partition's columns, each as text or as double, as rows of SCHEMA."""
    counters: list[ColumnCounter] = [
        LevelCounts(i) if text else NumberMoments(i) for i, text in enumerate(texts)
    ]
    yield to_batch(count_columns(batches, counters), SCHEMA)
