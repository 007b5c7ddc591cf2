"""Find keys that more than one row has, exactly, or ignoring case."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import reduce

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from engage_spark.contract import Field, Table
from engage_spark.quality.checks.row_checks import ALIKE, DUPLICATED
from engage_spark.quality.checks.text_checks import LONGEST_KEY
from engage_spark.spark.schema import column_named

WRITTEN, _DUPLICATE_WRITTEN, _REPEATED = "__written", "__duplicate_written", "__repeated"
_ROWS = "__rows"
MAX_LITERAL_KEYS = 10_000
"""Duplicated keys that may come to the driver. A delivery has none or a handful; writing and reading them
back would cost seconds.
"""


def duplicated_keys(rows: DataFrame, table: Table) -> DataFrame:
    """Find the keys that more than one row has, the case of letters aside.

    Grain: one row per way in which such a key is written.
    Columns: the parts of the key in lowercase, as `__key_0` and so on; `__written`, a hash of 64 bits of
    the key as it stands; `__duplicated`, true where several rows have it exactly so, and `__alike`, true
    where other rows write it in another way.
    Nulls: keys with a null are left out, since being null is their fault; so are keys that are too long,
    which must not gather on the driver.
    Cost: reads the key columns only, with one shuffle of them (by the lowercase key: it serves both counts).
    """
    lowercase_key = [_name(i) for i in range(len(table.key))]
    keys = rows.where(_is_usable(table)).select(
        *(_lowercased(table[k]).alias(name) for k, name in zip(table.key, lowercase_key, strict=True)),
        _written(table),
    )
    of_each = (
        keys.repartition(*lowercase_key).groupBy(*lowercase_key, WRITTEN).agg(F.count(F.lit(1)).alias("__n"))
    )
    ways = of_each.groupBy(*lowercase_key).agg(
        F.collect_list(F.struct((F.col("__n") > 1).alias(DUPLICATED), WRITTEN)).alias("__ways")
    )
    several = ways.withColumn(ALIKE, F.size("__ways") > 1).where(
        F.col(ALIKE) | F.col("__ways")[0][DUPLICATED]
    )
    return several.select(*lowercase_key, ALIKE, F.inline("__ways")).select(
        *lowercase_key, WRITTEN, DUPLICATED, ALIKE
    )


def collect_duplicates(
    rows: DataFrame, table: Table, *, materialize: Callable[[DataFrame], DataFrame]
) -> DataFrame | None:
    """Compute `duplicated_keys` once: None when there are none, literal rows while they are few.

    Beyond MAX_LITERAL_KEYS they are what `materialize` makes of them. Hashes of 64 bits say first whether
    any key repeats; only rows whose hash does are compared by their keys, so the result is exact.
    Cost: one action on the key columns, with a shuffle of a number a row; a second one where keys repeat.
    """
    repeated_hashes = _repeated_hashes(rows, table).limit(MAX_LITERAL_KEYS + 1).collect()
    return _exact_duplicates(rows, table, [r[0] for r in repeated_hashes], materialize)


def count_rows_and_duplicates(
    rows: DataFrame, table: Table, *, materialize: Callable[[DataFrame], DataFrame]
) -> tuple[int, DataFrame | None]:
    """Count `rows`, and compute their duplicated keys as `collect_duplicates` does.

    Cost: that of `collect_duplicates`; the rows are counted in the same action, which reads no column for
    them.
    """
    number = rows.agg(F.count(F.lit(1)).alias(_ROWS))
    repeated = _repeated_hashes(rows, table).limit(MAX_LITERAL_KEYS + 1)
    collected = repeated.unionByName(number, allowMissingColumns=True).collect()
    (n_rows,) = (r[_ROWS] for r in collected if r[_ROWS] is not None)
    repeated_hashes = [r[_REPEATED] for r in collected if r[_ROWS] is None]
    return n_rows, _exact_duplicates(rows, table, repeated_hashes, materialize)


def _exact_duplicates(
    rows: DataFrame,
    table: Table,
    repeated_hashes: Sequence[int],
    materialize: Callable[[DataFrame], DataFrame],
) -> DataFrame | None:
    """Compare by their keys the rows whose hash repeats."""
    if not repeated_hashes:
        return None
    spark = rows.sparkSession
    if len(repeated_hashes) <= MAX_LITERAL_KEYS:
        literal_hashes = spark.createDataFrame([(h,) for h in repeated_hashes], f"{_REPEATED} bigint")
        among = F.broadcast(literal_hashes)
        suspects = rows.join(among, on=_lowercase_hash(table) == F.col(_REPEATED), how="left_semi")
        keys = duplicated_keys(suspects, table)
        duplicates = keys.limit(MAX_LITERAL_KEYS + 1).collect()
        if not duplicates:
            return None
        if len(duplicates) <= MAX_LITERAL_KEYS:
            literal: DataFrame = spark.createDataFrame(duplicates, keys.schema)
            return literal
    return materialize(duplicated_keys(rows, table))


def _repeated_hashes(rows: DataFrame, table: Table) -> DataFrame:
    """Hash the lowercase keys, and keep the hashes that occur more than once."""
    hashes = rows.where(_is_usable(table)).select(_lowercase_hash(table).alias(_REPEATED))
    return hashes.groupBy(_REPEATED).agg(F.count(F.lit(1)).alias("__n")).where("__n > 1").select(_REPEATED)


def with_duplicate_flag(rows: DataFrame, duplicates: DataFrame | None, *, table: Table) -> DataFrame:
    """Add `__duplicated`, true where another row has the same key, and `__alike`, true where one differs in
    case.

    None means that there are no such keys, and then nothing is joined.
    Grain: unchanged; `duplicates` has unique keys (from `duplicated_keys`).
    Cost: one left join; Spark picks its kind by the size of `duplicates` as written.
    """
    if duplicates is None:
        return rows.withColumns({DUPLICATED: F.lit(False), ALIKE: F.lit(False)})
    keys = duplicates.withColumnRenamed(WRITTEN, _DUPLICATE_WRITTEN)
    same = reduce(Column.__and__, (_lowercased(table[k]) == F.col(_name(i)) for i, k in enumerate(table.key)))
    joined = rows.withColumn(WRITTEN, _written(table)).join(
        keys, on=same & (F.col(WRITTEN) == F.col(_DUPLICATE_WRITTEN)), how="left"
    )
    flags = {name: F.coalesce(F.col(name), F.lit(False)) for name in (DUPLICATED, ALIKE)}
    return joined.withColumns(flags).drop(WRITTEN, _DUPLICATE_WRITTEN, *map(_name, range(len(table.key))))


def _written(table: Table) -> Column:
    return F.xxhash64(*map(column_named, table.key)).alias(WRITTEN)


def _lowercase_hash(table: Table) -> Column:
    return F.xxhash64(*(_lowercased(table[k]) for k in table.key))


def _name(position: int) -> str:
    return f"__key_{position}"


def _lowercased(f: Field) -> Column:
    column = column_named(f.name)
    return F.lower(column) if f.spark_type == "string" else column


def _is_usable(table: Table) -> Column:
    return reduce(Column.__and__, (_usable(table[k]) for k in table.key))


def _usable(f: Field) -> Column:
    column = column_named(f.name)
    return (
        column.isNotNull() & (F.char_length(column) <= LONGEST_KEY)
        if f.spark_type == "string"
        else column.isNotNull()
    )
