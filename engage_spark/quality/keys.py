"""Keys that more than one row has: exactly, or but for the case of letters."""

from __future__ import annotations

from functools import reduce

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from engage_spark.contract import Field, Table
from engage_spark.quality.checks import ALIKE, DUPLICATED
from engage_spark.quality.text_checks import LONGEST_KEY
from engage_spark.schema import column_named


def duplicated_keys(rows: DataFrame, table: Table) -> DataFrame:
    """The keys that more than one row has, the case of letters aside. Grain: one row per such key.

    Columns: the parts of the key in small letters, as `__key_0` and so on, and `__alike`, true where its rows write it in several ways.
    Keys with a null are left out, being null is their fault; so are those that are too long, which must not gather on the driver.
    Cost: reads the key columns only, one shuffle of them. Ways of writing are told apart by a hash of 64 bits: were two to have the same,
    their rows would be called duplicates instead of alike.
    """
    key = [column_named(k) for k in table.key]
    usable = reduce(Column.__and__, (_usable(table[k]) for k in table.key))
    written = F.xxhash64(*key)
    grouped = rows.where(usable).groupBy(*(_folded(table[k]).alias(_name(i)) for i, k in enumerate(table.key)))
    counted = grouped.agg(F.count(F.lit(1)).alias("__n"), (F.min(written) != F.max(written)).alias(ALIKE))
    return counted.where("__n > 1").select(*map(_name, range(len(key))), ALIKE)


def with_duplicate_flag(rows: DataFrame, duplicates: DataFrame | None, *, table: Table) -> DataFrame:
    """Add `__duplicated`, true for every row of a key that several rows have, and `__alike`, true where they write it in several ways.

    A row is one or the other or neither. None means that there are no such keys, and then nothing is joined. Keys: `rows` any,
    `duplicates` unique (from `duplicated_keys`). Spark picks the join by the size of `duplicates` as written.
    """
    if duplicates is None:
        return rows.withColumns({DUPLICATED: F.lit(False), ALIKE: F.lit(False)})
    same = reduce(Column.__and__, (_folded(table[k]) == F.col(_name(i)) for i, k in enumerate(table.key)))
    joined = rows.join(duplicates, on=same, how="left")
    alike = F.coalesce(F.col(ALIKE), F.lit(False))
    flags = {DUPLICATED: F.col(ALIKE).isNotNull() & ~alike, ALIKE: alike}
    return joined.withColumns(flags).drop(*map(_name, range(len(table.key))))


def _name(position: int) -> str:
    return f"__key_{position}"


def _folded(f: Field) -> Column:
    column = column_named(f.name)
    return F.lower(column) if f.spark_type == "string" else column


def _usable(f: Field) -> Column:
    column = column_named(f.name)
    return column.isNotNull() & (F.char_length(column) <= LONGEST_KEY) if f.spark_type == "string" else column.isNotNull()
