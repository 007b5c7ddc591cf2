"""Run the formulas of a derived table over its source rows."""

from __future__ import annotations

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from engage_spark.contract import Field, Table
from engage_spark.contract.expressions import read_statement
from engage_spark.errors import ContractError
from engage_spark.spark.schema import column_metadata, column_named, spark_type
from engage_spark.spark.sql_text import sql_literal


def to_features(rows: DataFrame, *, table: Table) -> DataFrame:
    """Compute the declared columns of a derived table: each formula's value in its declared type.

    A formula may use columns of `rows`, and fields that stand before it in the table. Inputs that the table
    does not declare are left out.
    Grain: that of `rows`.
    Nulls: as each formula says (`transformDescription`); most of them pass a null on.
    Cost: one projection per level of dependence among formulas, no shuffle, no job.
    Errors: ContractError when a field without a formula is not a column of `rows`. A formula that fails on a
    row ends the action, by an error that names its field.
    """
    if missing := [f.name for f in table.fields if f.formula is None and f.name not in rows.columns]:
        raise ContractError(
            f"{table.name} declares {', '.join(missing)} without a formula, "
            f"and {table.source} has no such column",
            hint="give the field a formula (transformLogic), or take it out",
        )
    for level in _levels(table):
        types = dict(rows.dtypes)
        rows = rows.withColumns({f.name: _value(f, types, table) for f in level})
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


def _value(f: Field, types: dict[str, str], table: Table) -> Column:
    assert f.formula is not None
    at = f"field {table.name}.{f.name}"
    read = read_statement(f.formula, types, at)
    sql = (
        read.sql
        if read.fault is None
        else f"CASE WHEN {read.fault} THEN raise_error({sql_literal(f'{at}: its formula fails on a row')}) "
        f"ELSE {read.sql} END"
    )
    return F.expr(sql).cast(spark_type(f.spark_type))
