"""Repair a table of splits that holds keys twice, as two trainings of an earlier release could leave it."""

from __future__ import annotations

from pyspark.sql import functions as F

from engage_spark import log
from engage_spark.contract import splits_table
from engage_spark.errors import ConfigurationError
from engage_spark.lake import COMMIT_WAIT, table_lock
from engage_spark.ml.data.split import with_unit
from engage_spark.pipelines.context import RunContext
from engage_spark.pipelines.stages import SPLITS
from engage_spark.spark.schema import column_named, spark_schema


def repair_splits(context: RunContext, *, tag: str) -> int:
    """Leave each key once, as it was put there first, and return how many were there more than once.

    Cost: one shuffle of the table that counts; where there are such keys, one more and a commit.

    Errors: ConfigurationError where a key is on two sides, or in two folds: no row says which is right.
    """
    table = splits_table(context.contract)
    keys = [column_named(k) for k in table.key]
    with table_lock(context.spark, context.lake, SPLITS, wait=COMMIT_WAIT):
        stored = with_unit(context.lake.read(context.spark, SPLITS))
        side = F.struct("side", "fold")
        twice = stored.groupBy(*keys).agg(
            F.count(F.lit(1)).alias("n"), (F.min(side) != F.max(side)).alias("two")
        )
        (counts,) = (
            twice.where("n > 1").agg(F.count(F.lit(1)).alias("n"), F.count_if("two").alias("two")).collect()
        )
        if counts["two"]:
            raise ConfigurationError(
                f"{counts['two']:,} keys are on two sides in the table {SPLITS}, so nobody can tell which of "
                "them a model has learnt",
                hint=f"delete the table {SPLITS}: the next training draws it anew, and no model of before is "
                "compared with the new ones",
            )
        if counts["n"]:
            log.event(f"{counts['n']:,} keys were twice in {SPLITS}; each is left once", level="warning")
            names = spark_schema(table).names
            others = [n for n in names if n not in table.key]
            order = [F.when(F.col("drawn"), 0).otherwise(1).alias("later"), F.col("drawn_on").alias("met")]
            first = F.min(F.struct(*order, F.struct(*map(column_named, others)).alias("row")))
            once = stored.groupBy(*keys).agg(first.alias("first"))
            whole = once.select(*keys, *(F.col("first.row").getField(n).alias(n) for n in others))
            context.lake.replace(whole.select(*map(column_named, names)), table, where=None, tag=tag)
        return int(counts["n"])
