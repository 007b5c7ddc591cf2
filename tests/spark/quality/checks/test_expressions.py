"""A rule is one boolean expression about one row, and whatever else Spark's parser would take is refused, all
of it in one error.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from pyspark.sql import functions as F

from engage_spark.contract import Rule, Table, load_contract
from engage_spark.errors import ContractError
from engage_spark.quality import refuse_other_expressions
from engage_spark.spark.schema import spark_schema
from tests.support.paths import DATA

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

pytestmark = pytest.mark.connect

STATIONS = load_contract(DATA / "bikes.odcs.yaml").entity
REFUSED = {
    "an aggregate": "max(docks_total) > 3",
    "a window": "row_number() OVER (ORDER BY docks_total) = 1",
    "a generator": "explode(array(docks_total)) > 0",
    "no boolean": "docks_total + 1",
    "two expressions": "docks_total > 1, bikes_parked > 1",
    "a statement": "SELECT 1",
    "no such function": "frobnicate(docks_total)",
}


def with_rules(*expressions: str) -> Table:
    rules = tuple(
        Rule(name=f"r{i}", expression=e, description="", columns=("docks_total",))
        for i, e in enumerate(expressions)
    )
    return replace(STATIONS, rules=rules)


def test_the_declared_rules_pass(spark: SparkSession) -> None:
    rows = spark.createDataFrame([], spark_schema(STATIONS))
    refuse_other_expressions(rows, STATIONS)
    columns_by_rule = {r.name: rows.where(r.expression).select(F.lit(1)).columns for r in STATIONS.rules}
    assert set(columns_by_rule) == {"bikes_fit_docks", "rides_have_length"}, "the rules that were looked at"


def test_everything_that_is_no_statement_about_a_row_is_named_in_one_error(spark: SparkSession) -> None:
    rows = spark.createDataFrame([], spark_schema(STATIONS))
    with pytest.raises(ContractError) as e:
        refuse_other_expressions(rows, with_rules("docks_total > 1", *REFUSED.values()))
    named = {detail.split(":")[0] for detail in e.value.details}
    assert named == {f"r{i}" for i in range(1, len(REFUSED) + 1)}
    assert e.value.exit_code == 2
    assert "gates" in (e.value.hint or "")
