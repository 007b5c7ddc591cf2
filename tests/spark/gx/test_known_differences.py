"""Every difference that is declared to be GX's own, shown: what both say of the same rows."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from engage_spark.gx.evaluate import run_suite
from engage_spark.gx.gx_runner import run_by_gx
from engage_spark.gx.known_differences import DIFFERENCES
from engage_spark.gx.suite_io import parse_suite

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

SIX = datetime(2024, 2, 29, 6, tzinfo=UTC)
ROWS = [
    (1, 2**53, 0.1, 1, SIX, "a", (1,), 1),
    (2, 2**53 + 1, 0.1, 2, SIX, "B", (2,), 2),
    (3, 2**53 + 2, 0.1, 3, SIX, "c", (3,), 3),
]
SCHEMA = (
    "i int, big bigint, tenth double, short smallint, at timestamp, k string, deep struct<x:int>, `a.b` int"
)
NONE = {"row_condition": 'col("i") > 100', "condition_parser": "great_expectations"}
Case = tuple[str, dict[str, Any], tuple[Any, ...], tuple[Any, ...]]
CASES: dict[str, Case] = {
    # difference: (type, kwargs, ours, GX's): success, and the count that the type gives, or None for an
    # exception
    "no rows": ("column_values_to_not_be_null", {"column": "k", **NONE}, (True, 0), (True, None)),
    "null in a value set": (
        "column_values_to_be_in_set",
        {"column": "k", "value_set": ["a", None]},
        (False, 2),
        (True, 0),
    ),
    "64-bit bounds": (
        "column_values_to_be_between",
        {"column": "big", "min_value": 2**53 + 1},
        (False, 1),
        (True, 0),
    ),
    "rounded sums": (
        "column_mean_to_be_between",
        {"column": "tenth", "max_value": 0.1},
        (True, None),
        (False, None),
    ),
    "stretched quantiles": (
        "column_quantile_values_to_be_between",
        {"column": "tenth", "quantile_ranges": {"quantiles": [0.5], "value_ranges": [[0.100001, 1]]}},
        (False, None),
        (True, None),
    ),
    "first column": ("column_to_exist", {"column": "k", "column_index": 0}, (False, None), (True, None)),
    "mean of short integers": (
        "column_mean_to_be_between",
        {"column": "short", "min_value": 2},
        (True, None),
        (False, "exception"),
    ),
    "days of a timestamp": (
        "column_max_to_be_between",
        {"column": "at", "max_value": "2024-02-29"},
        (False, None),
        (True, None),
    ),
    "joined patterns": (
        "column_values_to_match_regex_list",
        {"column": "k", "regex_list": ["(?i)a", "b"]},
        (False, 2),
        (False, 1),
    ),
    "repeated in a value set": (
        "column_distinct_values_to_contain_set",
        {"column": "k", "value_set": ["a", "a"]},
        (True, 0),
        (False, 1),
    ),
    "members of a struct": ("table_column_count_to_equal", {"value": 8}, (True, None), (False, None)),
    "sums of a member": (
        "column_sum_to_be_between",
        {"column": "deep.x", "min_value": 6, "max_value": 6},
        (True, None),
        (False, "exception"),
    ),
    "type of a dotted name": (
        "column_values_to_be_of_type",
        {"column": "a.b", "type_": "IntegerType"},
        (True, None),
        (False, "exception"),
    ),
    "dotted names compared": (
        "multicolumn_values_to_be_equal",
        {"column_list": ["i", "a.b"]},
        (True, 0),
        (False, "exception"),
    ),
}


def found(success: bool, result: Any, exception: str | None) -> tuple[Any, ...]:
    counts = [result[name] for name in ("unexpected_count", "missing_count") if name in result]
    return (success, "exception" if exception else counts[0] if counts else None)


@pytest.fixture(scope="module")
def outcomes(spark: SparkSession) -> dict[str, tuple[tuple[Any, ...], tuple[Any, ...]]]:
    expectations = [{"type": f"expect_{kind}", "kwargs": kwargs} for kind, kwargs, _, _ in CASES.values()]
    suite = parse_suite(json.dumps({"name": "differences", "expectations": expectations}), origin="test")
    rows = spark.createDataFrame(ROWS, SCHEMA)
    ours = [
        found(j.success, j.outcome.result if j.outcome else {}, j.exception) for j in run_suite(rows, suite)
    ]
    theirs = [found(e.success, e.result, e.exception) for e in run_by_gx(rows, suite)]
    return dict(zip(CASES, zip(ours, theirs, strict=True), strict=True))


@pytest.mark.parametrize("name", CASES)
def test_both_say_what_the_difference_declares(
    name: str, outcomes: dict[str, tuple[tuple[Any, ...], tuple[Any, ...]]]
) -> None:
    assert outcomes[name] == CASES[name][2:]


def test_every_declared_difference_is_shown() -> None:
    assert [d.name for d in DIFFERENCES] == list(CASES)
