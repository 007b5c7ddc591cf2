"""Formulas that cannot be computed on a row: null and counted, or the end of the stage, as declared."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from engage_spark.contract import Field, OnFailure, Role, Table, TableKind
from engage_spark.features import FormulaFailures, to_features
from engage_spark.spark.failures import SPARK_ERRORS

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

ROWS = [("a", 6, 2, "12"), ("b", 6, 0, "x"), ("c", None, 0, None), ("d", 2**31 - 1, 1, "300")]


def formula(name: str, spark_type: str, sql: str, *inputs: str) -> Field:
    return Field(
        name=name,
        logical_type="number",
        spark_type=spark_type,
        description=name,
        role=Role.FEATURE,
        formula=sql,
        inputs=inputs,
    )


TABLE = Table(
    name="features",
    kind=TableKind.DERIVED,
    description="Features.",
    source="things",
    fields=(
        Field(name="k", logical_type="string", spark_type="string", description="k", role=Role.IDENTIFIER),
        formula("ratio", "double", "n / m"),
        formula("more", "int", "n + 1"),
        formula("small", "tinyint", "CAST(t AS INT)"),
        formula("meant", "double", "try_divide(n, m)"),
        formula("later", "double", "coalesce(ratio, 0.0)", "ratio"),
    ),
)


def plan_of(rows: DataFrame) -> str:
    return str(rows._jdf.queryExecution().toString())


@pytest.fixture(scope="module")
def things(spark: SparkSession) -> DataFrame:
    return spark.createDataFrame(ROWS, "k string, n int, m int, t string").coalesce(1)


@pytest.mark.connect
def test_what_cannot_be_computed_is_null_and_counted(spark: SparkSession, things: DataFrame) -> None:
    failed = FormulaFailures(spark)
    rows = {r["k"]: tuple(r)[1:] for r in to_features(things, table=TABLE, failed=failed).collect()}
    assert rows == {
        "a": (3.0, 7, 12, 3.0, 3.0),
        "b": (None, 7, None, None, 0.0),
        "c": (None, None, None, None, 0.0),
        "d": (2147483647.0, None, None, 2147483647.0, 2147483647.0),
    }
    assert failed.counts() == {"ratio": 1, "more": 1, "small": 2}
    apart = FormulaFailures(spark, by_job=True)
    to_features(things, table=TABLE, failed=apart)
    assert apart.counts() == failed.counts()


def test_nothing_is_counted_where_no_formula_can_fail(spark: SparkSession, things: DataFrame) -> None:
    failed = FormulaFailures(spark)
    safe = replace(TABLE, fields=(TABLE["k"], TABLE["meant"]))
    assert "CollectMetrics" not in plan_of(to_features(things, table=safe, failed=failed))
    assert failed.counts() == {}


@pytest.mark.connect
def test_a_formula_may_stop_the_stage_and_is_named(spark: SparkSession, things: DataFrame) -> None:
    strict = replace(TABLE, fields=(TABLE["k"], replace(TABLE["ratio"], on_failure=OnFailure.STOP)))
    with pytest.raises(SPARK_ERRORS, match=r"features\.ratio: its formula cannot be computed .*n / m"):
        to_features(things, table=strict).collect()
    failed = FormulaFailures(spark)
    sound = to_features(things.where("m <> 0"), table=strict, failed=failed).collect()
    assert {r["k"]: r["ratio"] for r in sound} == {"a": 3.0, "d": 2147483647.0}
    assert failed.counts() == {}
