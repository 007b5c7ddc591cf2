"""Bring a sample of rows to the driver: drawn by a hash of the key, in a fixed order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from engage_spark.errors import InputError
from engage_spark.spark.compat import to_arrow
from engage_spark.spark.schema import column_named

HASH = "__hash"
_SPAN = 2**64


@dataclass(frozen=True, kw_only=True)
class RowSample:
    """How about `limit` of `expected` rows are drawn, of which `ones` are labelled 1 in column `label`.

    Of two classes the rarer one is kept whole while it fills at most half of the limit, and the other rows
    are weighted for it: drawn alike, a class of one row in a million would be missing from most samples.
    `label` None, or no `ones`: all rows are drawn alike.
    """

    expected: int
    limit: int
    label: str | None = None
    ones: int | None = None

    @property
    def whole_class(self) -> int | None:
        """The label all of whose rows are kept; None where all rows are drawn alike."""
        if self.ones is None or self.label is None or self.expected <= self.limit:
            return None
        zeros = self.expected - self.ones
        return int(self.ones <= zeros) if 2 * min(self.ones, zeros) <= self.limit else None

    @property
    def share(self) -> float:
        """The share of rows that is drawn, of those that are not kept whole."""
        if self.expected <= self.limit:
            return 1.0
        ones = self.ones or 0
        n_whole = 0 if self.whole_class is None else min(ones, self.expected - ones)
        return (self.limit - n_whole) / (self.expected - n_whole)

    def weights(self, labels: np.ndarray) -> np.ndarray:
        """Return how many rows each drawn row stands for."""
        if self.whole_class is None:
            return np.ones(len(labels))
        return np.where(labels == self.whole_class, 1.0, 1.0 / self.share)

    def is_even(self, hashes: np.ndarray) -> np.ndarray:
        """Return which of the drawn rows would be drawn if all were drawn alike."""
        return np.ones(len(hashes), dtype=bool) if self.share >= 1.0 else hashes < hash_cut(self.share)


def sample_rows(rows: DataFrame, sample: RowSample, *, key: Sequence[str], seed: int) -> DataFrame:
    """Draw rows by a hash of their key.

    Grain: that of `rows`, with their columns and the hash as `__hash`. All rows of one key stay together,
    except that those of a rarer class are kept whatever their key.
    Cost: no job.
    """
    hashed = rows.withColumn(HASH, key_hash(key, seed=seed))
    if sample.share >= 1.0:
        return hashed
    drawn = F.col(HASH) < F.lit(hash_cut(sample.share))
    if sample.whole_class is None or sample.label is None:
        return hashed.where(drawn)
    return hashed.where(
        drawn | (column_named(sample.label).cast("double") == F.lit(float(sample.whole_class)))
    )


def hash_cut(share: float) -> int:
    """Return the hash below which this share of keys is."""
    return int(_SPAN * share) - _SPAN // 2


def key_hash(key: Sequence[str], *, seed: int) -> Column:
    """Hash the seed and the key to 64 bits, signed."""
    return F.xxhash64(F.lit(seed).cast("bigint"), *map(column_named, key))


def to_arrays(rows: DataFrame, columns: Mapping[str, Column], *, limit: int) -> dict[str, np.ndarray]:
    """Collect named columns of sampled rows as arrays, in the order of `__hash` and then of their own values.

    Numbers become float64; text stays text.
    Nulls: NaN in numbers.
    Cost: one job, sorted on the driver.
    Errors: InputError where more than twice `limit` rows arrive.
    """
    table = to_arrow(rows.select(F.col(HASH), *(column.alias(name) for name, column in columns.items())))
    if table.num_rows > 2 * limit:
        raise InputError(
            f"a sample of {limit:,} rows for the driver has {table.num_rows:,}",
            hint="a few keys have most of the rows, or the rows changed after they were counted: "
            "make keys unique on a day, and let nothing write at the same time",
        )
    table = table.sort_by([(HASH, "ascending"), *((name, "ascending") for name in columns)])
    arrays = {}
    for name in (HASH, *columns):
        values = table.column(name)
        text = str(values.type) in ("string", "large_string")
        array = values.to_numpy(zero_copy_only=False) if hasattr(values, "to_numpy") else np.asarray(values)
        arrays[name] = array if text or name == HASH else array.astype(np.float64)
    return arrays
