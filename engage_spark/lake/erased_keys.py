"""Keep the keys that were erased, as salted hashes, so that a later delivery cannot bring them back.

The salt is drawn once for a lake and lies beside the hashes: they tell nobody who has not got the lake
whether a key is among them. Text is compared without blanks around it and in lower case, since a key that is
written a little differently means the same row.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from engage_spark.contract import Field, Table, TableKind, system_contract
from engage_spark.errors import InputError
from engage_spark.lake.delta import Lake
from engage_spark.lake.spark_errors import to_engage_error, translate_spark_errors
from engage_spark.spark.compat import from_rows
from engage_spark.spark.failures import SPARK_ERRORS, is_transient
from engage_spark.spark.schema import column_named, spark_schema

ERASED_KEYS = "erased_keys"
_HASH = "__erased_key"
SEPARATOR = "\x1f"


def plain_key(column: Column, field: Field) -> Column:
    """Return a part of a key in the form in which keys are compared."""
    text = column.cast(field.spark_type).cast("string")
    return F.lower(F.trim(text)) if field.spark_type == "string" else text


def key_hash(parts: Sequence[Column], salt: str) -> Column:
    """Return the salted SHA-256 of a key, whose parts are `plain_key`s. Nulls: null where a part is null."""
    text = F.concat(*(F.concat(F.lit(SEPARATOR), part) for part in parts))
    return F.sha2(F.concat(F.lit(salt), text), 256)


def salt_of(spark: SparkSession, lake: Lake) -> str | None:
    """Return the salt of a lake; None where no key was ever erased.

    Cost: where none was, one listing and no job; else one scan of a small table.
    """
    if lake.version(spark, ERASED_KEYS) is None:
        return None
    rows = lake.read(spark, ERASED_KEYS)
    with translate_spark_errors(f"{lake.location(ERASED_KEYS)} cannot be read"):
        first = rows.select("salt").head()
    return None if first is None else str(first[0])


class RememberedKey(NamedTuple):
    """The hash of a key, its salt, and whether the key had been erased before."""

    digest: str
    salt: str
    was_known: bool


def remember_key(
    spark: SparkSession, lake: Lake, key: Sequence[tuple[Field, str]], *, now: datetime
) -> RememberedKey:
    """Add the hash of a key, unless it is there.

    Call it under the lock of the table. Cost: two small scans, and one commit where it is new.
    Errors: InputError where a part is not of its field's type; TransientError where the cluster fails.
    """
    table = system_contract().table(ERASED_KEYS)
    salt = salt_of(spark, lake) or secrets.token_hex(16)
    parts = [plain_key(F.lit(text), field) for field, text in key]
    try:
        digest = spark.range(1).select(key_hash(parts, salt)).collect()[0][0]
    except SPARK_ERRORS as e:
        if is_transient(e):
            raise to_engage_error(e, "the key cannot be hashed") from e
        digest = None
    if digest is None:
        raise InputError(
            "the key is not of its declared type",
            details=[f"{field.name}: {field.spark_type}" for field, _ in key],
            hint="give the parts of the key as the contract declares them",
        )
    rows = lake.find(spark, ERASED_KEYS)
    if rows is not None and not rows.where(F.col("key_hash") == F.lit(digest)).isEmpty():
        return RememberedKey(digest, salt, was_known=True)
    line = from_rows(spark, [(digest, salt, now)], spark_schema(table)).coalesce(1)
    lake.append(line, table, tag=ERASED_KEYS)
    return RememberedKey(digest, salt, was_known=False)


def count_erased_keys(spark: SparkSession, lake: Lake) -> int:
    """Return how many keys were erased. Cost: as `salt_of`."""
    if lake.version(spark, ERASED_KEYS) is None:
        return 0
    with translate_spark_errors(f"{lake.location(ERASED_KEYS)} cannot be read"):
        return lake.read(spark, ERASED_KEYS).count()


def split_erased(
    spark: SparkSession, lake: Lake, rows: DataFrame, table: Table, entity: Table
) -> tuple[DataFrame, DataFrame] | None:
    """Return the rows without those of erased keys, and those; None where no key was ever erased.

    Of a log, an event is of an erased key where one of its references is.
    Grain: unchanged. Cost: no job where no key was erased; else a small scan, and a join per reference with
    the hashes, which are broadcast.
    """
    salt = salt_of(spark, lake)
    if salt is None:
        return None
    erased = lake.read(spark, ERASED_KEYS).select(F.col("key_hash").alias(_HASH)).distinct()
    hashed, flags = rows, []
    for i, columns in enumerate(_keys(table, entity)):
        parts = [plain_key(column_named(c), entity[k]) for c, k in zip(columns, entity.key, strict=True)]
        flag = f"{_HASH}_{i}"
        hashed = hashed.withColumn(_HASH, key_hash(parts, salt))
        hashed = hashed.join(F.broadcast(erased.withColumn(flag, F.lit(True))), on=_HASH, how="left")
        hashed = hashed.drop(_HASH)
        flags.append(F.coalesce(F.col(flag), F.lit(False)))
    if not flags:
        return None
    is_erased = flags[0]
    for flag_column in flags[1:]:
        is_erased = is_erased | flag_column
    names = [column_named(c) for c in rows.columns]
    return hashed.where(~is_erased).select(*names), hashed.where(is_erased).select(*names)


def _keys(table: Table, entity: Table) -> list[tuple[str, ...]]:
    if table.kind is TableKind.ENTITY:
        return [entity.key]
    return [(r.column,) for r in table.references if r.table == entity.name]
