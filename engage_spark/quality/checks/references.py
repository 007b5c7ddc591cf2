"""Check referential integrity: which rows refer to a key that is not there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import date

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from engage_spark.contract import Table
from engage_spark.quality.checks.row_checks import orphan_flag_name
from engage_spark.spark.schema import column_named, is_read, with_readings

_KEY, _KNOWN = "__key", "__known"


def referred_rows(rows: DataFrame, table: Table | None) -> DataFrame:
    """Return the keys of rows that others refer to, under the names and with the values of their fields.

    The columns of `rows` are called as they are delivered, or like the fields. Rows that have a verdict, and
    rows of a table without delivered names and readings, or of one that is not declared (None), stay as they
    are; so do rows without the key.
    Grain: unchanged. Nulls: also where a reading fails. Cost: a projection.
    """
    if table is None or table.as_stored() is table or "_dq_status" in rows.columns:
        return rows
    keys = [f for f in table.fields if f.is_key]
    types = {f.name: f.dataType for f in rows.schema}
    columns = [f.delivered_name if f.delivered_name in types else f.name for f in keys]
    if not types.keys() >= set(columns):
        return rows
    named = rows.select(*(column_named(c).alias(f.name) for f, c in zip(keys, columns, strict=True)))
    texts = {f.name for f, c in zip(keys, columns, strict=True) if is_read(f, types[c])}
    read = with_readings(named, replace(table, fields=tuple(keys)), texts=texts)
    return read.select(*(column_named(f.name) for f in keys))


def with_orphan_flag(
    rows: DataFrame,
    known: DataFrame,
    *,
    column: str,
    to_column: str,
    day_of: str = "",
    days: Sequence[date] = (),
    event_day: Column | None = None,
) -> DataFrame:
    """Add `__orphan_<column>`: true where a value is not a `to_column` of `known` at the time of the event;
    false for a null.

    Where `known` holds the keys of several snapshots, `days` names them and `day_of` their column. A key is
    known at the time of an event if it is in the last snapshot up to `event_day` or in the first after it.
    Of an event without a day, any snapshot will do.
    Grain: unchanged, whatever repeats in `known`, so 10,000 rows that refer to one missing key are 10,000
    orphans. Keys: `rows` any, `known` made unique here. Cost: one narrow scan of `known` and a shuffle of its
    keys; a join, broadcast where the keys are few.
    """
    key, several = column_named(to_column), len(days) > 1
    when = F.collect_set(day_of) if several else F.lit(True)
    keys = known.where(key.isNotNull()).groupBy(key.alias(_KEY)).agg(when.alias(_KNOWN))
    joined = rows.join(keys, on=column_named(column) == F.col(_KEY), how="left")
    is_known = F.col(_KNOWN).isNotNull()
    if several and event_day is not None:
        snapshots = F.array(*map(F.lit, days))
        before = F.array_max(F.filter(snapshots, lambda day: day <= event_day))
        after = F.array_min(F.filter(snapshots, lambda day: day > event_day))
        near = F.arrays_overlap(F.col(_KNOWN), F.array_compact(F.array(before, after)))
        is_known &= event_day.isNull() | near
    flag = ~is_known & column_named(column).isNotNull()
    return joined.withColumn(orphan_flag_name(column), flag).drop(_KEY, _KNOWN)
