"""Run the formulas of a derived table over its source rows."""

from __future__ import annotations

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from engage_spark.contract import Field, Table
from engage_spark.errors import ContractError
from engage_spark.spark.schema import column_metadata, column_named, spark_type


def to_features(rows: DataFrame, *, table: Table) -> DataFrame:
    """Compute the declared columns of a derived table: each formula's value in its declared type.

    A formula may use columns of `rows`, and fields that stand before it in the table. Inputs that the table
    does not declare are left out.
    Grain: that of `rows`.
    Nulls: as each formula says (`transformDescription`); most of them pass a null on.
    Cost: one projection per level of dependence among formulas, no shuffle, no job.
    Errors: ContractError when a field without a formula is not a column of `rows`.
    """
    if missing := [f.name for f in table.fields if f.formula is None and f.name not in rows.columns]:
        raise ContractError(
            f"{table.name} declares {', '.join(missing)} without a formula, "
            f"and {table.source} has no such column",
            hint="give the field a formula (transformLogic), or take it out",
        )
    for level in _levels(table):
        rows = rows.withColumns({f.name: _value(f) for f in level})
    return rows.select(
        *(column_named(f.name).alias(f.name, metadata=column_metadata(f)) for f in table.fields)
    )


def _levels(table: Table) -> list[list[Field]]:
    """Group formulas by the length of their chain of other formulas."""
    depth: dict[str, int] = {}
    levels: list[list[Field]] = []
    for f in table.fields:
        if f.formula is None:
            continue
        depth[f.name] = 1 + max((depth[i] for i in f.inputs if i in depth), default=-1)
        if depth[f.name] == len(levels):
            levels.append([])
        levels[depth[f.name]].append(f)
    return levels


def _value(f: Field) -> Column:
    assert f.formula is not None
    return F.expr(f.formula).cast(spark_type(f.spark_type))
