"""Bring a sample of rows to the driver: drawn by a hash of the key, in a fixed order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from engage_spark.errors import InputError
from engage_spark.spark.compat import to_arrow
from engage_spark.spark.schema import column_named

HASH = "__hash"
_SPAN = 2**64


def sample_rows(rows: DataFrame, *, key: Sequence[str], seed: int, expected: int, limit: int) -> DataFrame:
    """Draw about `limit` of the `expected` rows by a hash of their key.

    Grain: that of `rows`, with their columns and the hash as `__hash`. All rows of one key stay together.
    Cost: no job.
    """
    hashed = rows.withColumn(HASH, key_hash(key, seed=seed))
    if expected <= limit:
        return hashed
    cut = int(_SPAN * (limit / expected)) - _SPAN // 2
    return hashed.where(F.col(HASH) < F.lit(cut))


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
