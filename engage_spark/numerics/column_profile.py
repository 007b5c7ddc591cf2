"""Profile the columns of a partition: what is there and what is missing, the ends, and a sample of the
values.

Sent along by value, so that executors need numpy and pyarrow only. The distinct values of a column are
sampled adaptively: values are kept while their hash begins with `level` zero bits, and the level rises
whenever more than `limit` values are kept. These are counted exactly, so up to `limit` distinct values a
column is known in full (level 0). The level depends on the set of values alone, never on their order, so
partitions add up to the same sample. A column that only needs all of its values or none is not thinned:
beyond `limit` it goes to level 64, at which no value is left.

Source: Wegman's method; P. Flajolet, "On adaptive sampling", Computing 43, 1990.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from engage_spark.numerics.batch_counts import ColumnCounter, CountedRow, count_columns, to_batch, to_ddl
from engage_spark.numerics.splitmix import GOLDEN, mix64

BITS = 64
"""The bits of a hash, and the level at which no value is left."""
VALUE, PRESENT, MISSING, INFINITE, FRACTION, LEVEL = (
    "value",
    "present",
    "missing",
    "infinite",
    "fraction",
    "level",
)
"""What a row counts in its column: one value (with the zero bits that its hash begins with in `most`); all
that are present, with their ends; those that are null or NaN; infinite; not whole. LEVEL has the sample's
level in `most`.
"""
OWN_KINDS = frozenset((VALUE, PRESENT, MISSING, INFINITE, FRACTION, LEVEL))
ALL_ROWS = -1
"""The code under which all rows are counted."""
SCHEMA = pa.schema(
    [
        ("code", pa.int32()),
        ("what", pa.string()),
        ("text", pa.string()),
        ("number", pa.float64()),
        ("rows", pa.int64()),
        ("least", pa.float64()),
        ("most", pa.float64()),
        ("first", pa.string()),
        ("last", pa.string()),
    ]
)
DDL = to_ddl(SCHEMA)


def row(
    what: str,
    rows: int = 0,
    *,
    text: str | None = None,
    number: float | None = None,
    ends: tuple[float | None, float | None] = (None, None),
    texts: tuple[str | None, str | None] = (None, None),
) -> CountedRow:
    """Return a row of SCHEMA less the code."""
    return what, text, number, rows, *ends, *texts


def hashes_of_numbers(values: np.ndarray) -> np.ndarray:
    """Hash each double to 64 bits (SplitMix64 of its bits)."""
    return mix64(values.astype(np.float64).view(np.uint64) + GOLDEN)


def hash_of_text(value: str) -> int:
    """Hash a text to 64 bits, the same on every host and in every process."""
    return int.from_bytes(
        hashlib.blake2b(value.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "big"
    )


def leading_zeros(value: int) -> int:
    """Count the zero bits with which these 64 begin."""
    return BITS - value.bit_length()


def in_sample(hashes: np.ndarray, level: int) -> np.ndarray:
    """Tell which hashes begin with `level` zero bits."""
    if not level:
        return np.ones(len(hashes), bool)
    sampled: np.ndarray = (hashes >> np.uint64(BITS - level)) == 0
    return sampled


def raised_level(hashes: np.ndarray, level: int, limit: int) -> int:
    """Return the lowest level from `level` on that keeps at most `limit` of these distinct hashes."""
    while int(in_sample(hashes, level).sum()) > limit:
        level += 1
    return level


class NumberCounter:
    """Counts a column of doubles. Infinities are not values."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.values = np.empty(0)
        self.counts = np.empty(0, np.int64)
        self.level = 0
        self.present = self.missing = self.infinite = self.fractions = 0
        self.least, self.most = np.inf, -np.inf

    def add(self, column: pa.Array) -> None:
        """Count a batch."""
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
            values = values[in_sample(hashes_of_numbers(values), self.level)]
        distinct, counts = np.unique(values, return_counts=True)
        values, at = np.unique(np.concatenate([self.values, distinct]), return_inverse=True)
        total = np.zeros(len(values), np.int64)
        np.add.at(total, at, np.concatenate([self.counts, counts]))
        hashes = hashes_of_numbers(values)
        self.level = raised_level(hashes, self.level, self.limit)
        sampled = in_sample(hashes, self.level)
        self.values, self.counts = values[sampled], total[sampled]

    def rows(self) -> Iterator[CountedRow]:
        """Return what was counted."""
        yield row(PRESENT, self.present, ends=(self.least, self.most) if self.present else (None, None))
        yield row(MISSING, self.missing)
        yield row(INFINITE, self.infinite)
        yield row(FRACTION, self.fractions)
        yield row(LEVEL, ends=(None, float(self.level)))
        zeros = [leading_zeros(h) for h in hashes_of_numbers(self.values).tolist()]
        for value, n, z in zip(self.values.tolist(), self.counts.tolist(), zeros, strict=True):
            yield row(VALUE, n, number=value, ends=(None, float(z)))


class TextCounter:
    """Counts a column whose values are told apart as text: categories, or whole numbers and flags. Without
    `thin` it gives up its values beyond `limit` of them.
    """

    def __init__(self, limit: int, *, thin: bool = True) -> None:
        self.limit, self.thin = limit, thin
        self.counts: dict[str, list[int]] = {}  # of each value its hash and its rows
        self.level = 0
        self.present = self.missing = 0

    def add(self, column: pa.Array) -> None:
        """Count a batch."""
        self.missing += column.null_count
        filled = column.drop_null()
        self.present += len(filled)
        if self.level == BITS:
            return
        counts = pc.value_counts(filled if pa.types.is_string(filled.type) else filled.cast(pa.string()))
        if not self.thin and len(counts) > self.limit:
            self.give_up()
            return
        for value, n in zip(counts.field(0).to_pylist(), counts.field(1).to_pylist(), strict=True):
            if value in self.counts:
                self.counts[value][1] += n
                continue
            h = hash_of_text(value)
            if not h >> (BITS - self.level):
                self.counts[value] = [h, n]
        if len(self.counts) > self.limit:
            if not self.thin:
                self.give_up()
                return
            hashes = np.array([h for h, _ in self.counts.values()], np.uint64)
            self.level = raised_level(hashes, self.level, self.limit)
            self.counts = {v: c for v, c in self.counts.items() if not c[0] >> (BITS - self.level)}

    def give_up(self) -> None:
        """Forget the values: the column has too many of them, or they are too long."""
        self.counts, self.level = {}, BITS

    def rows(self) -> Iterator[CountedRow]:
        """Return what was counted."""
        yield row(PRESENT, self.present)
        yield row(MISSING, self.missing)
        yield row(LEVEL, ends=(None, float(self.level)))
        for value, (h, n) in self.counts.items():
            yield row(VALUE, n, text=value, ends=(None, float(leading_zeros(h))))


class _Column:
    """A counter whose rows are given the code of their column."""

    def __init__(self, code: int, counter: ColumnCounter) -> None:
        self.code, self.counter, self.total = code, counter, 0

    def add(self, column: pa.Array) -> None:
        self.total += len(column)
        self.counter.add(column)

    def rows(self) -> Iterator[CountedRow]:
        return ((self.code, *counted) for counted in self.counter.rows())


def profile_partition(
    batches: Iterator[pa.RecordBatch], makers: Sequence[Callable[[], ColumnCounter]]
) -> Iterator[pa.RecordBatch]:
    """Count a partition: some hundred rows of SCHEMA a column. Columns are taken by position."""
    columns = [_Column(code, make()) for code, make in enumerate(makers)]
    rows = list(count_columns(batches, columns))
    total = max((c.total for c in columns), default=0)
    yield to_batch([(ALL_ROWS, *row(PRESENT, total)), *rows], SCHEMA)
