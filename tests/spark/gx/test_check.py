"""A suite on our engine: what it asks, what it refuses, what it costs; and the same from files of
every kind.
"""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from engage_spark.contract import load_contract
from engage_spark.errors import InputError
from engage_spark.gx.evaluate import EvaluatedExpectation, run_suite
from engage_spark.gx.export import suite_of
from engage_spark.gx.gx_runner import run_by_gx
from engage_spark.gx.suite_io import parse_suite
from engage_spark.pipelines.quality.suite_check import run_check, suite_gate_error
from engage_spark.pipelines.results import to_plain
from engage_spark.spark.schema import spark_schema
from tests.support.bad_input.stations import SOUND
from tests.support.paths import DATA
from tests.support.spark_jobs import jobs_of

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

SCHEMA = "k string, i int, j int, d double, day date, at timestamp, deep struct<x:int>, `a.b` int"
ROWS = [
    ("a", 1, 1, 0.5, date(2024, 2, 28), datetime(2024, 2, 28, 23, tzinfo=UTC), (1,), 1),
    ("a", 2, None, float("nan"), date(2024, 2, 29), None, (2,), 2),
    (None, 3, 5, None, None, datetime(2024, 3, 1, tzinfo=UTC), (None,), None),
    ("ä'", 4, 0, -0.0, date(2024, 3, 1), datetime(2024, 3, 1, 1, tzinfo=UTC), None, 4),
]


@pytest.fixture(scope="module")
def rows(spark: SparkSession) -> DataFrame:
    return spark.createDataFrame(ROWS, SCHEMA)


def judged(
    rows: DataFrame,
    *expectations: tuple[str, dict[str, Any]],
    parameters: dict[str, Any] | None = None,
    **options: Any,
) -> list[EvaluatedExpectation]:
    suite = {"name": "s", "expectations": [{"type": kind, "kwargs": kwargs} for kind, kwargs in expectations]}
    return list(
        run_suite(
            rows, parse_suite(json.dumps(suite), origin="s").with_parameters(parameters or {}), **options
        )
    )


def counted(rows: DataFrame, conditions: list[dict[str, Any]]) -> list[Any]:
    """How many rows each row_condition leaves, or why it is refused."""
    found = judged(rows, *(("expect_table_row_count_to_equal", {"value": 1, **c}) for c in conditions))
    return [j.exception or (j.outcome and j.outcome.result["observed_value"]) for j in found]


@pytest.mark.connect
def test_row_conditions_of_every_dialect(rows: DataFrame) -> None:
    def gx(text: str) -> dict[str, Any]:
        return {"row_condition": text, "condition_parser": "great_expectations"}

    def comparison(column: str, operator: str, parameter: Any) -> dict[str, Any]:
        return {
            "type": "comparison",
            "column": {"name": column},
            "operator": operator,
            "parameter": parameter,
        }

    either = {
        "type": "or",
        "conditions": [
            comparison("k", "==", "ä'"),
            {"type": "nullity", "column": {"name": "k"}, "is_null": True},
        ],
    }
    cases = {
        3: gx('col("i") > 1'),
        2: gx('col("k") == "a"'),
        1: gx("col(\"k\") != 'a'"),
        0: gx('col("i") >= 4.5'),
        4: {"row_condition": {"type": "pass_through", "pass_through_filter": "i < 9"}},
    }
    assert counted(rows, list(cases.values())) == list(cases)
    more = [
        gx('col("k").notnull()'),
        {"row_condition": "k <> 'a' OR i = 3", "condition_parser": "spark"},
        {"row_condition": either},
        {
            "row_condition": {
                "type": "and",
                "conditions": [comparison("i", "IN", [1, 2, 9]), comparison("day", ">", "2024-02-28")],
            }
        },
        gx('col("day") <= date("2024-02-29")'),
        gx('col("deep.x") == 2'),
        gx('col("a.b") == 2'),
    ]
    assert counted(rows, more) == [3, 2, 2, 1, 2, 1, 1]


@pytest.mark.parametrize(
    ("condition", "message"),
    [
        ("i > 1; DROP TABLE x", "another statement"),
        ("i > (SELECT max(i) FROM other)", "'SELECT' stands"),
        ("j > current_date()", "another result"),
        ("java_method('java.lang.System', 'exit', 0) IS NULL", "java_method is no function"),
        ("nope > 1", "'nope'"),
        ("i >", "ends too early"),
        ("max(i) > 3", "max is no function"),
        ("count(*) OVER () > 3", "count is no function"),
        ("i > 1 AS x", "AS gives"),
        ("i > 1 -- no more", "starts a comment"),
        ("i > 0 /* ' */ OR (SELECT max(secret) FROM other) > 1 /* ' */", "starts a comment"),
        ("i + 1", "not a statement about one row"),
    ],
)
def test_a_condition_that_is_none_on_one_row_fails_its_expectation(
    rows: DataFrame, condition: str, message: str
) -> None:
    (found,) = counted(rows, [{"row_condition": condition, "condition_parser": "spark"}])
    assert message in str(found)


@pytest.mark.connect
def test_what_cannot_be_run_has_failed_and_says_why_and_the_others_are_judged(rows: DataFrame) -> None:
    found = judged(
        rows,
        ("expect_column_median_to_be_between", {"column": "i"}), ("expect_column_values_to_not_be_null",
        {"column": "nope"}),
        ("expect_column_values_to_match_regex", {"column": "k", "regex": "(["}),
        ("expect_column_values_to_be_between", {"column": "k", "min_value": 1}),
        ("expect_column_values_to_be_in_set", {"column": "i", "value_set": ["a"]}),
        ("expect_column_values_to_be_between", {"column": "i"}),
        ("expect_column_values_to_be_unique", {"column": "i", "surprise": 1}),
        ("expect_column_values_to_be_unique", {"column": "i"}),
        ("expect_column_values_to_be_between", {"column": "i", "min_value": {"$PARAMETER": "least"}}),
        ("unexpected_rows_expectation", {"unexpected_rows_query": "SELECT k FROM {batch} GROUP BY k"}),
    )  # fmt: skip
    messages = [
        "not supported by this engine", "there is no column 'nope'", "INVALID_PARAMETER_VALUE.PATTERN",
        "'k' is string", "cannot equal 'a'",
        "both absent", "does not know the kwarg surprise", None, "'least' has no value",
        "SELECT * FROM {batch} WHERE",
    ]  # fmt: skip
    for one, why in zip(found, messages, strict=True):
        assert one.success is (why is None), one.expectation
        assert why is None or why in str(one.exception), one.exception


def test_parameters_are_filled_in(rows: DataFrame) -> None:
    (found,) = judged(
        rows,
        ("expect_column_values_to_be_between", {"column": "i", "min_value": {"$PARAMETER": "least"}}),
        parameters={"least": 2},
    )
    assert found.outcome is not None
    assert found.outcome.result["unexpected_count"] == 1


def test_mostly_is_held_to_the_row(spark: SparkSession) -> None:
    """998 of 1,000 are 99.8%, and 997 are not."""
    thousand = spark.range(1000).selectExpr(
        "CASE WHEN id >= 2 THEN id END AS two", "CASE WHEN id >= 3 THEN id END AS three"
    )
    found = judged(
        thousand,
        *(("expect_column_values_to_not_be_null", {"column": c, "mostly": 0.998}) for c in ("two", "three")),
    )
    assert [j.success for j in found] == [True, False]


def test_samples_are_bounded_and_masked_or_not_taken(spark: SparkSession) -> None:
    rows_500 = spark.range(500).selectExpr("concat('v', id) AS open", "concat('secret', id) AS hidden")
    asked = [
        ("expect_column_values_to_match_regex", {"column": c, "regex": "^x"}) for c in ("open", "hidden")
    ]
    shown, hidden = (
        j.outcome.result["partial_unexpected_list"]
        for j in judged(rows_500, *asked, masked=frozenset({"hidden"}))
        if j.outcome
    )
    assert 0 < len(shown) <= 20
    assert all(v.startswith("v") for v in shown)
    assert hidden == ["***"]
    assert [
        j.outcome.result["partial_unexpected_list"] for j in judged(rows_500, *asked, show=False) if j.outcome
    ] == [[], []]


def test_the_number_of_jobs_does_not_grow_with_the_suite(
    spark: SparkSession, spark_kind: str, rows: DataFrame
) -> None:
    if spark_kind != "classic":
        pytest.skip("only a classic session tells how many jobs it ran")

    def jobs(times: int) -> int:
        asked: list[tuple[str, dict[str, Any]]] = [
            ("expect_column_values_to_be_unique", {"column": "k"}),
            ("expect_column_unique_value_count_to_be_between", {"column": "k"}),
        ]
        for n in range(times):
            asked += [
                ("expect_column_values_to_be_between", {"column": "i", "min_value": -n}),
                ("expect_column_mean_to_be_between", {"column": "d"}),
                ("expect_column_values_to_match_regex", {"column": "k", "regex": f".{{0,{n}}}"}),
                (
                    "expect_column_max_to_be_between",
                    {
                        "column": "j",
                        "max_value": n,
                        "row_condition": f"i > {-n}",
                        "condition_parser": "spark",
                    },
                ),
                (
                    "expect_column_pair_values_to_be_equal",
                    {"column_A": "i", "column_B": "j", "mostly": n / 100},
                ),
            ]
        return jobs_of(spark, lambda: judged(rows, *asked, show=False))

    few, many = jobs(2), jobs(40)
    assert 0 < few == many


@pytest.mark.slow
def test_a_contract_s_own_suite_says_the_same_on_both_engines(spark: SparkSession) -> None:
    """The suite of another business, on rows that break about every rule once: exported, run here and by
    GX.
    """
    table = load_contract(DATA / "bikes.odcs.yaml").entity
    changed = [
        {},
        {"station_code": "ST0001"},
        {"district": "South"},
        {"bikes_parked": 99},
        {"mean_ride_km": float("inf")},
        {"rides_ended": None},
    ]
    made = [SOUND | {"station_code": f"ST000{i}"} | change for i, change in enumerate(changed, start=1)]
    frame = spark.createDataFrame([tuple(row[n] for n in table.names) for row in made], spark_schema(table))
    suite = suite_of(table)
    ours, theirs = run_suite(frame, suite), run_by_gx(frame, suite)
    assert [(j.expectation.meta, j.success) for j in ours] == [
        (e.expectation.meta, e.success) for e in theirs
    ]
    assert [j.exception for j in ours] == [None] * len(ours)
    assert [e.exception for e in theirs] == [None] * len(theirs)
    assert sum(not j.success for j in ours) >= len(changed) - 1


@pytest.mark.parametrize("kind", ["parquet", "csv", "delta"])
def test_files_of_every_kind_are_judged(spark: SparkSession, tmp_path: Path, kind: str) -> None:
    path, suite = str(tmp_path / "data"), tmp_path / "suite.json"
    spark.range(10).selectExpr("id", "concat('x', id) AS name").write.format(kind).option(
        "header", "true"
    ).save(path)
    expectation = {
        "type": "expect_column_values_to_be_between",
        "kwargs": {"column": "id", "min_value": 2},
        "severity": "warning",
    }
    suite.write_text(json.dumps({"name": "s", "expectations": [expectation]}))
    checked = run_check(spark, path, suite)
    assert checked.success is False
    validation = checked.validation
    assert validation["statistics"]["unsuccessful_expectations"] == 1
    assert validation["results"][0]["result"]["unexpected_count"] == 2
    assert json.loads(json.dumps(validation, allow_nan=False)) == validation
    assert [(e.type, e.columns) for e in checked.failed] == [("expect_column_values_to_be_between", ("id",))]
    assert json.loads(json.dumps(to_plain(checked)))["failed"][0]["result"]["unexpected_count"] == 2
    failure = suite_gate_error(checked, with_result=True)
    assert (failure.exit_code, failure.result) == (3, checked)


def test_what_is_no_data_or_no_suite_is_told(spark: SparkSession, tmp_path: Path) -> None:
    suite = tmp_path / "suite.json"
    with pytest.raises(InputError, match=r"the suite .* cannot be read"):
        run_check(spark, str(tmp_path), suite)
    suite.write_text(json.dumps({"name": "s", "expectations": []}))
    with pytest.raises(InputError, match="there is no"):
        run_check(spark, str(tmp_path / "nothing"), suite)
    with pytest.raises(InputError, match="no Parquet or CSV file"):
        run_check(spark, str(suite), suite)


MONEY = "few decimal(5,2), money decimal(10,2), wide decimal(38,10), big bigint, d double"
BEYOND = 2**53
DECIMALS = [
    ("0.10", "0.50", "12345678901234567890.1234567891", BEYOND, float(BEYOND)),
    ("0.20", "0.99", "12345678901234567890.1234567892", BEYOND + 1, float(BEYOND)),
    (None, None, None, None, None),
]


@pytest.mark.connect
def test_exact_numbers_are_held_against_bounds_as_they_are_written(spark: SparkSession) -> None:
    rows = spark.createDataFrame(
        [tuple(None if v is None else Decimal(v) for v in r[:3]) + r[3:] for r in DECIMALS], MONEY
    )

    def of(figure: str, column: str, **bounds: Any) -> tuple[str, dict[str, Any]]:
        return f"expect_column_{figure}_to_be_between", {"column": column, **bounds}

    def quantiles(column: str, low: float | None, high: float | None) -> tuple[str, dict[str, Any]]:
        ranges = {"quantiles": [0.5], "value_ranges": [[low, high]]}
        return "expect_column_quantile_values_to_be_between", {"column": column, "quantile_ranges": ranges}

    cases = [
        (of("max", "money", max_value=0.99), True),
        (of("max", "money", max_value=0.99, strict_max=True), False),
        (of("max", "money", max_value=0.989), False),
        (of("min", "few", min_value=0.1), True),
        (of("min", "few", min_value=0.1, strict_min=True), False),
        (of("max", "few", max_value=0.2, strict_max=True), False),
        (of("max", "few", max_value="0.20"), True),
        (of("sum", "few", min_value=0.3, max_value=0.3), True),
        (of("sum", "few", max_value=0.3, strict_max=True), False),
        (of("mean", "few", min_value=0.15, max_value=0.15), True),
        (of("values", "few", min_value=0.1, max_value=0.2), True),
        (of("values", "few", min_value=0.1, max_value=0.2, strict_max=True), False),
        (of("values", "few", max_value=0.199), False),
        (of("values", "few", max_value=0.201), True),
        (of("values", "few", max_value=1e300), True),
        (of("values", "few", min_value=1e300), False),
        (of("values", "wide", max_value="12345678901234567890.1234567891"), False),
        (of("values", "wide", max_value="12345678901234567890.1234567892"), True),
        (of("max", "wide", max_value="12345678901234567890.1234567892", strict_max=True), False),
        (of("sum", "wide", min_value="24691357802469135780.2469135783"), True),
        (quantiles("few", 0.1, 0.1), True),
        (quantiles("few", 0.11, None), False),
        (quantiles("money", 0.5, 0.5), True),
        (quantiles("wide", None, 1e19), False),
        (quantiles("big", BEYOND, BEYOND), True),
        (quantiles("big", BEYOND + 1, None), False),
        (of("max", "big", max_value=BEYOND), False),
        (of("mean", "big", max_value=BEYOND), True),
        (of("values", "d", min_value=BEYOND + 1), False),
        (of("values", "d", max_value=BEYOND - 1), False),
        (of("values", "d", min_value=BEYOND - 1, strict_min=True), True),
    ]
    tenths = {"row_condition": "few = 0.1", "condition_parser": "spark"}
    values = [
        ("expect_column_values_to_be_in_set", {"column": "few", "value_set": [0.1, 0.2]}),
        ("expect_column_values_to_not_be_in_set", {"column": "few", "value_set": [0.101, 1e40]}),
        ("expect_column_values_to_not_be_in_set", {"column": "big", "value_set": [BEYOND + 2]}),
        (
            "expect_multicolumn_sum_to_equal",
            {"column_list": ["few", "few"], "sum_total": 0.2, **tenths},
        ),
        (
            "expect_table_row_count_to_equal",
            {"value": 1, "row_condition": 'col("few") >= 0.20', "condition_parser": "great_expectations"},
        ),
    ]
    found = judged(rows, *(expectation for expectation, _ in cases), *values, show=False)
    told = [(j.expectation.type, j.expectation.kwargs, j.success, j.exception) for j in found]
    wrong = [t for t, (_, held) in zip(told, cases, strict=False) if t[2:] != (held, None)]
    assert wrong == []
    assert [t for t in told[len(cases) :] if t[2:] != (True, None)] == []


def test_conditions_that_cannot_be_computed_on_a_row_are_told(rows: DataFrame) -> None:
    def query(condition: str) -> tuple[str, dict[str, Any]]:
        text = f"SELECT * FROM {{batch}} WHERE {condition}"
        return "unexpected_rows_expectation", {"unexpected_rows_query": text}

    def count(condition: str) -> tuple[str, dict[str, Any]]:
        where = {"row_condition": condition, "condition_parser": "spark"}
        return "expect_table_row_count_to_be_between", {"min_value": 0, **where}

    found = judged(
        rows,
        query("1 / (i - 2) > 5"),
        query("1 / (i - 2) > 5 AND j > 9"),
        query("i / j > 100"),
        count("i / (i - 2) > 0"),
        count("i / j > 0"),
        count("i = 2 OR i / (i - 2) > 0"),
        count("i + 2147483645 > 0"),
    )
    assert [(j.success, j.outcome and j.outcome.result["observed_value"], j.exception) for j in found] == [
        (False, 1, None),
        (False, 1, None),
        (False, 1, None),
        (False, None, "row_condition could not be computed on 1 rows"),
        (False, None, "row_condition could not be computed on 1 rows"),
        (True, 3, None),
        (False, None, "row_condition could not be computed on 2 rows"),
    ]
