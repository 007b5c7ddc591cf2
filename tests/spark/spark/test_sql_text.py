"""Spark reads a literal back as the value, in the type of `functions.lit`."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from engage_spark.spark.sql_text import sql_literal

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

VALUES = (
    *(None, True, False, 0, 18, -(2**31), 2**31, -(2**63), 0.1, -0.0, 5e-324, 1.7976931348623157e308),
    *(math.inf, -math.inf, math.nan, "", "plain", 'it\'s "quoted"', r"\\A(?:[^\d]+|\x{C0})\z", "tab\tline\n"),
    *("${spark.app.name}", "é\N{COMBINING ACUTE ACCENT}\U0001f600", "-- no comment /* here */"),
    datetime(2025, 10, 21, 12, 59, 59, 123457, tzinfo=UTC),
)


def test_a_literal_is_the_value_in_the_type_that_lit_gives_it(spark: SparkSession) -> None:
    read = spark.range(1).select(*(F.expr(sql_literal(v)).alias(f"c{i}") for i, v in enumerate(VALUES)))
    given = spark.range(1).select(*(F.lit(v).alias(f"c{i}") for i, v in enumerate(VALUES)))
    assert [f.dataType for f in read.schema] == [f.dataType for f in given.schema]
    assert [repr(v) for v in read.collect()[0]] == [repr(v) for v in given.collect()[0]]
