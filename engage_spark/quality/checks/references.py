"""Check referential integrity: which rows refer to a key that is not there."""

from __future__ import annotations

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from engage_spark.quality.checks.row_checks import orphan_flag_name
from engage_spark.spark.schema import column_named

_KEY, _KNOWN = "__key", "__known"


def with_orphan_flag(rows: DataFrame, known: DataFrame, *, column: str, to_column: str) -> DataFrame:
    """Add `__orphan_<column>`: true where a value is not a `to_column` of `known`; false for a null.

    Grain: unchanged, whatever repeats in `known`, so 10,000 rows that refer to one missing key are 10,000
    orphans. Keys: `rows` any, `known` made unique here. Cost: one narrow scan of `known` and a shuffle of its
    keys; a join, broadcast where the keys are few.
    """
    key = column_named(to_column)
    keys = known.where(key.isNotNull()).select(key.alias(_KEY)).groupBy(_KEY).agg(F.lit(True).alias(_KNOWN))
    joined = rows.join(keys, on=column_named(column) == F.col(_KEY), how="left")
    flag = F.col(_KNOWN).isNull() & column_named(column).isNotNull()
    return joined.withColumn(orphan_flag_name(column), flag).drop(_KEY, _KNOWN)
