"""A first look at features and targets with numpy, in Spark's Python workers. Sent along by value, so
that executors need numpy and pyarrow only.

The distinct values of a column are sampled adaptively (Wegman's method; P. Flajolet, "On adaptive sampling",
Computing 43, 1990): values are kept while their hash begins with `level` zero bits, and the level rises
whenever more than CAP values are kept. These are counted exactly, so up to CAP distinct values a column is
known in full. The level depends on the set of values alone, never on their order, so partitions add up to the
same sample.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from engage_spark.numerics.splitmix import GOLDEN, mix64

CAP = 512
"""The most distinct values of a column that are counted one by one."""
VALUE, PRESENT, MISSING, INFINITE, FRACTION, LEVEL = range(6)
"""What a row tells of its column: how often a value occurs (and in `most` with how many zero bits its hash
begins); how many are there, and their ends; how many are null or NaN, infinite, not whole; and the level
of the sample (in `most`).
"""
EVERYTHING = -1
"""The code under which all rows are counted."""
SCHEMA = pa.schema(
    [
        ("code", pa.int32()),
        ("what", pa.int32()),
        ("text", pa.string()),
        ("number", pa.float64()),
        ("rows", pa.int64()),
        ("least", pa.float64()),
        ("most", pa.float64()),
    ]
)
DDL = "code int, what int, text string, number double, rows bigint, least double, most double"


def hashes_of_numbers(values: np.ndarray) -> np.ndarray:
    """64 bits per double (splitmix64's mixing of its bits)."""
    return mix64(values.astype(np.float64).view(np.uint64) + GOLDEN)


def hash_of_text(value: str) -> int:
    """64 bits per text, the same on every host and in every process."""
    return int.from_bytes(
        hashlib.blake2b(value.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "big"
    )


def leading_zeros(value: int) -> int:
    """With how many zero bits these 64 begin."""
    return 64 - value.bit_length()


def sampled(hashes: np.ndarray, level: int) -> np.ndarray:
    """Which hashes begin with `level` zero bits."""
    if not level:
        return np.ones(len(hashes), bool)
    kept: np.ndarray = (hashes >> np.uint64(64 - level)) == 0
    return kept


def raised(hashes: np.ndarray, level: int) -> int:
    """The lowest level from `level` on that keeps at most CAP of these distinct hashes."""
    while int(sampled(hashes, level).sum()) > CAP:
        level += 1
    return level


class Numbers:
    """A numeric column of a partition."""

    def __init__(self) -> None:
        self.values = np.empty(0)
        self.counts = np.empty(0, np.int64)
        self.level = 0
        self.present = self.missing = self.infinite = self.fractions = 0
        self.least, self.most = np.inf, -np.inf

    def add(self, column: pa.Array) -> None:
        values = column.drop_null().to_numpy(zero_copy_only=False) + 0.0  # −0.0 is 0.0
        values = values[~np.isnan(values)]
        self.missing += len(column) - len(values)
        finite = np.isfinite(values)
        self.infinite += len(values) - int(finite.sum())
        values = values[finite]
        if not len(values):
            return
        self.present += len(values)
        self.fractions += int((values != np.floor(values)).sum())
        self.least, self.most = min(self.least, float(values.min())), max(self.most, float(values.max()))
        if self.level:
            values = values[sampled(hashes_of_numbers(values), self.level)]
        found, counts = np.unique(values, return_counts=True)
        values, at = np.unique(np.concatenate([self.values, found]), return_inverse=True)
        total = np.zeros(len(values), np.int64)
        np.add.at(total, at, np.concatenate([self.counts, counts]))
        hashes = hashes_of_numbers(values)
        self.level = raised(hashes, self.level)
        kept = sampled(hashes, self.level)
        self.values, self.counts = values[kept], total[kept]

    def rows(self, code: int) -> Iterator[tuple[Any, ...]]:
        ends = (self.least, self.most) if self.present else (None, None)
        yield code, PRESENT, None, None, self.present, *ends
        yield code, MISSING, None, None, self.missing, None, None
        yield code, INFINITE, None, None, self.infinite, None, None
        yield code, FRACTION, None, None, self.fractions, None, None
        yield code, LEVEL, None, None, 0, None, float(self.level)
        zeros = [leading_zeros(h) for h in hashes_of_numbers(self.values).tolist()]
        for value, n, z in zip(self.values.tolist(), self.counts.tolist(), zeros, strict=True):
            yield code, VALUE, None, value, n, None, float(z)


class Texts:
    """A column of categories of a partition."""

    def __init__(self) -> None:
        self.counts: dict[str, list[int]] = {}
        self.level = 0
        self.present = self.missing = 0

    def add(self, column: pa.Array) -> None:
        self.missing += column.null_count
        filled = column.drop_null()
        self.present += len(filled)
        found = pc.value_counts(filled)
        for value, n in zip(found.field(0).to_pylist(), found.field(1).to_pylist(), strict=True):
            if value in self.counts:
                self.counts[value][1] += n
                continue
            h = hash_of_text(value)
            if not h >> (64 - self.level):
                self.counts[value] = [h, n]
        if len(self.counts) > CAP:
            self.level = raised(np.array([h for h, _ in self.counts.values()], np.uint64), self.level)
            self.counts = {v: c for v, c in self.counts.items() if not c[0] >> (64 - self.level)}

    def rows(self, code: int) -> Iterator[tuple[Any, ...]]:
        yield code, PRESENT, None, None, self.present, None, None
        yield code, MISSING, None, None, self.missing, None, None
        yield code, LEVEL, None, None, 0, None, float(self.level)
        for value, (h, n) in self.counts.items():
            yield code, VALUE, value, None, n, None, float(leading_zeros(h))


def look(batches: Iterator[pa.RecordBatch], categorical: Sequence[bool]) -> Iterator[pa.RecordBatch]:
    """What a partition holds, some hundred rows of SCHEMA a column. Columns are taken by place: doubles, or
    text where `categorical`.
    """
    columns: list[Numbers | Texts] = [Texts() if c else Numbers() for c in categorical]
    total = 0
    for batch in batches:
        total += batch.num_rows
        for i, column in enumerate(columns):
            column.add(batch.column(i))
    told: list[tuple[Any, ...]] = [(EVERYTHING, PRESENT, None, None, total, None, None)]
    told += [row for i, column in enumerate(columns) for row in column.rows(i)]
    yield pa.RecordBatch.from_arrays(
        [pa.array(c, t) for c, t in zip(zip(*told, strict=True), SCHEMA.types, strict=True)], schema=SCHEMA
    )
