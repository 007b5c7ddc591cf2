"""Rows for the driver: at most so many, chosen by a hash of the key, in an order that no partitioning
changes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from engage_spark.spark.schema import column_named

HASH = "__hash"
_SPAN = 2**64


def sample_rows(rows: DataFrame, *, key: Sequence[str], seed: int, expected: int, limit: int) -> DataFrame:
    """`rows` whose key hashes below the share of `expected` that makes about `limit` of them, with the hash
    as `__hash`.

    Grain of `rows`, columns and `__hash`. All rows of one key stay together. No job.
    """
    hashed = rows.withColumn(HASH, key_hash(key, seed=seed))
    if expected <= limit:
        return hashed
    cut = int(_SPAN * (limit / expected)) - _SPAN // 2
    return hashed.where(F.col(HASH) < F.lit(cut))


def key_hash(key: Sequence[str], *, seed: int) -> Column:
    """64 bits, signed, of the seed and the key."""
    return F.xxhash64(F.lit(seed).cast("bigint"), *map(column_named, key))


def to_arrays(rows: DataFrame, columns: Mapping[str, Column], *, limit: int) -> dict[str, np.ndarray]:
    """Named columns of sampled rows as arrays, in the order of `__hash` and then of their own values. One
    job, sorted on the driver.

    Numbers become float64 and null NaN; text stays text. Raises AssertionError where more than twice `limit`
    rows arrive.
    """
    table = rows.select(F.col(HASH), *(column.alias(name) for name, column in columns.items())).toArrow()
    assert table.num_rows <= 2 * limit, f"{table.num_rows} rows for a limit of {limit}"
    table = table.sort_by([(HASH, "ascending"), *((name, "ascending") for name in columns)])
    found = {}
    for name in (HASH, *columns):
        values = table.column(name)
        text = str(values.type) in ("string", "large_string")
        array = values.to_numpy(zero_copy_only=False) if hasattr(values, "to_numpy") else np.asarray(values)
        found[name] = array if text or name == HASH else array.astype(np.float64)
    return found
