"""Run the formulas of a derived table over its source rows."""

from __future__ import annotations

from collections.abc import Mapping

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from engage_spark.contract import Field, OnFailure, Table
from engage_spark.contract.expressions import Expression, read_statement
from engage_spark.errors import ContractError, TransientError
from engage_spark.spark.compat import new_observation
from engage_spark.spark.schema import column_metadata, column_named
from engage_spark.spark.sql_text import sql_literal


class FormulaFailures:
    """Counts of the rows on which formulas could not be computed, by field; those with
    `onFailure: stop` are not among them.

    Gathered while the first action on the features runs, such as the write that stores them. Without rows
    nothing is gathered, and nothing may be asked. A write to a table of a catalog tells nothing of what it
    observes: `by_job` counts by a job of its own.
    """

    def __init__(self, spark: SparkSession, *, by_job: bool = False) -> None:
        self._observation = new_observation(spark)
        self._fields: tuple[str, ...] = ()
        self._is_by_job = by_job
        self._counted: DataFrame | None = None

    def observed(self, rows: DataFrame, flags: Mapping[str, str]) -> DataFrame:
        """Count the rows on which the flags (columns by field) are true, while they pass."""
        self._fields = tuple(flags)
        if not flags:
            return rows
        counts = [F.count_if(column_named(flag)).alias(name) for name, flag in flags.items()]
        if self._is_by_job:
            self._counted = rows.agg(*counts)
            return rows
        return rows.observe(self._observation, *counts)

    def counts(self) -> dict[str, int]:
        """Return the counts that are not zero.

        Cost: none; waits until the action has ended. `by_job`: a scan of the source.
        Errors: TransientError when Spark lost the counts.
        """
        if self._counted is not None:
            counted = self._counted.collect()[0].asDict()
        else:
            counted = self._observation.get if self._fields else {}
        if any(name not in counted for name in self._fields):
            raise TransientError("Spark did not tell on how many rows the formulas failed")
        return {name: counted[name] for name in self._fields if counted[name]}


def to_features(rows: DataFrame, *, table: Table, failed: FormulaFailures | None = None) -> DataFrame:
    """Compute the declared columns of a derived table: each formula's value in its declared type.

    A formula may use columns of `rows`, and fields that stand before it in the table. Inputs that the table
    does not declare are left out.
    Grain: that of `rows`.
    Nulls: as each formula says (`transformDescription`); most of them pass a null on. A formula that cannot
    be computed on a row (a division by zero, an overflow, a bad cast) is null there; `failed` counts them.
    Cost: one projection per level of dependence among formulas, no shuffle, no job.
    Errors: ContractError when a field without a formula is not a column of `rows`. A formula that is declared
    with `onFailure: stop` raises on the row where it cannot be computed, and names its field.
    """
    if missing := [f.name for f in table.fields if f.formula is None and f.name not in rows.columns]:
        raise ContractError(
            f"{table.name} declares {', '.join(missing)} without a formula, "
            f"and {table.source} has no such column",
            hint="give the field a formula (transformLogic), or take it out",
        )
    flags: dict[str, str] = {}
    for level in _levels(table):
        types = dict(rows.dtypes)
        columns: dict[str, Column] = {}
        for f in level:
            read = read_statement(f.formula or "", types, _place(f, table))
            columns[f.name] = F.expr(_value(read, f, table))
            if failed is not None and f.on_failure is OnFailure.NULL and _may_fail(read, f):
                flags[f.name] = f"__failed_{f.name}"
                columns[flags[f.name]] = F.expr(_failed(read, f))
        rows = rows.withColumns(columns)
    if failed is not None:
        rows = failed.observed(rows, flags)
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


def _place(f: Field, table: Table) -> str:
    return f"field {table.name}.{f.name}"


def _value(read: Expression, f: Field, table: Table) -> str:
    value = f"try_cast({read.sql} AS {f.spark_type})"
    if f.on_failure is OnFailure.NULL or not _may_fail(read, f):
        return value
    text = sql_literal(f"{_place(f, table)}: its formula cannot be computed on a row: {f.formula}")
    return f"CASE WHEN {_failed(read, f)} THEN raise_error({text}) ELSE {value} END"


def _may_fail(read: Expression, f: Field) -> bool:
    """Every cast but the one to a double or to text may fail."""
    return read.fault is not None or f.spark_type not in ("double", "string")


def _failed(read: Expression, f: Field) -> str:
    """Return the SQL that is true where the formula, or the cast to its declared type, fails."""
    of_cast = f"(({read.sql}) IS NOT NULL AND try_cast({read.sql} AS {f.spark_type}) IS NULL)"
    return of_cast if read.fault is None else f"({read.fault} OR {of_cast})"
