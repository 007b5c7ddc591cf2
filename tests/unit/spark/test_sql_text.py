"""Values and names as text of Spark SQL. That Spark reads them back is in tests/spark/spark/test_sql_text."""

from __future__ import annotations

import math
from datetime import UTC, datetime

import pytest

from engage_spark.spark.sql_text import quoted_name, sql_literal


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "NULL"),
        (True, "true"),
        (5, "5"),
        (-(2**40), "-1099511627776"),
        (1.5, "1.5D"),
        (1e-07, "1e-07D"),
        (-math.inf, "CAST('-inf' AS DOUBLE)"),
        ("San José", "'San José'"),
        ("it's", "CAST(X'69742773' AS STRING)"),
        (r"\d", "CAST(X'5c64' AS STRING)"),
        ("${spark.x}", f"CAST(X'{b'${spark.x}'.hex()}' AS STRING)"),
        (datetime(1970, 1, 1, 0, 0, 1, 5, tzinfo=UTC), "timestamp_micros(1000005)"),
    ],
)
def test_a_value_is_written_as_a_literal(value: object, text: str) -> None:
    assert sql_literal(value) == text  # type: ignore[arg-type]


def test_a_name_is_quoted_whatever_it_holds() -> None:
    assert quoted_name("a.b`c") == "`a.b``c`"
