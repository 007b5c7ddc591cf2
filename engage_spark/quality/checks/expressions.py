"""Refuse rules that are not one statement about one row.

Spark is asked before any job runs, and anything else is refused.
"""

from __future__ import annotations

from pyspark.errors import PySparkException
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from engage_spark.contract import Table
from engage_spark.errors import ContractError
from engage_spark.quality.checks.row_checks import negated


def refuse_other_expressions(rows: DataFrame, table: Table) -> None:
    """Raise one ContractError that names every rule of `table` that is not a boolean expression over the
    columns of one row of `rows`.

    Refused are what does not parse as a single expression, aggregates, windows and generators (a filter takes
    none of them), and what is not boolean.
    Cost: one analysis when all is well, one per rule otherwise; no job.
    """
    if not table.rules or not _fault(rows, [r.expression for r in table.rules]):
        return
    faults = {r.name: _fault(rows, [r.expression]) for r in table.rules}
    if problems := [f"{name}: {fault}" for name, fault in faults.items() if fault]:
        raise ContractError(
            f"{table.name}: {len(problems)} rules are not statements about one row",
            details=problems,
            hint="write one Spark SQL expression that is true or false for a row; statistics of "
            "the whole are gates",
        )


def _fault(rows: DataFrame, expressions: list[str]) -> str | None:
    try:
        filtered = rows
        for expression in expressions:
            # By itself first: what closes a bracket that it did not open would parse between brackets.
            F.expr(expression)
            filtered = filtered.where(F.expr(negated(expression)))
        # Asked for here, because Connect analyses nothing before; of a projection, because a filter's schema
        # it takes for known.
        _ = filtered.select(F.lit(1)).schema
    except PySparkException as e:
        return str(e).strip().splitlines()[0][:300]
    return None
