"""Our engine and Great Expectations give the same success and the same counts, for every expectation type
that we run.
"""

from __future__ import annotations

import json
import math
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from engage_spark.gx.evaluate import HANDLERS, run_suite
from engage_spark.gx.gx_runner import run_by_gx
from engage_spark.gx.suite_io import Suite, parse_suite
from tests.support.examples import examples
from tests.support.suite_corners import ROWS, SUITE, one

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

SCHEMA = (
    "k string, t string, i int, j int, g bigint, d double, e double, m decimal(9,2), b "
    "boolean, day date, at timestamp, w decimal(20,4), `x.y` int, deep struct<v:int, m:decimal(5,2)>"
)
TEXTS = st.sampled_from(["", "a", "A", "aa", "ä", "a\u0308", "日本", " ", "a b", "b1", "2", "\U0001f600x"])
SMALL = st.integers(-3, 3)
# Sums of these are exact in doubles in any order, so that GX's own rounding decides nothing.
DOUBLES = st.sampled_from([0.0, -0.0, 1.0, 1.5, -2.25, 3.0, -1.0, math.nan, math.inf, -math.inf])
CELLS: dict[str, st.SearchStrategy[Any]] = {
    "k": TEXTS,
    "t": TEXTS,
    "i": SMALL,
    "j": SMALL,
    "g": st.sampled_from([-(2**40), -1, 0, 1, 7, 2**40]),
    "d": DOUBLES,
    "e": DOUBLES,
    "m": st.sampled_from(list(map(Decimal, ["0.00", "1.10", "-2.50", "3.00", "0.10", "0.99"]))),
    "b": st.booleans(),
    "day": st.sampled_from([date(2024, 2, 28) + timedelta(days=n) for n in range(4)]),
    "at": st.sampled_from([datetime(2024, 2, 29, tzinfo=UTC) + timedelta(hours=6 * n) for n in range(4)]),
    "w": st.sampled_from(list(map(Decimal, ["0.0000", "0.1000", "1.5000", "-0.0001", "12345678901.5"]))),
    "x.y": SMALL,
    "deep": st.tuples(st.none() | SMALL, st.none() | st.sampled_from(list(map(Decimal, ["0.10", "0.99"])))),
}
FLAT = [name for name in CELLS if name != "deep"]
EXAMPLES = 4
"""Each holds every mapped type. Most of the time goes into GX, about 9 s an example."""
COUNTS = ("element_count", "unexpected_count", "missing_count")


def bounds(low: Any, high: Any, draw: Any) -> dict[str, Any]:
    pair = sorted([draw(low), draw(high)])
    drop = draw(st.sampled_from(["none", "none", "low", "high"]))
    return {
        "min_value": None if drop == "low" else pair[0],
        "max_value": None if drop == "high" else pair[1],
        "strict_min": draw(st.booleans()),
        "strict_max": draw(st.booleans()),
    }


@st.composite
def tables(draw: Any) -> tuple[list[tuple[Any, ...]], list[dict[str, Any]]]:
    """A table of some rows, and a suite with every mapped type at least once, its parameters drawn too."""
    rows = draw(
        st.lists(
            st.tuples(
                *(st.none() | st.none() | c if draw(st.booleans()) else st.none() | c for c in CELLS.values())
            ),
            min_size=6,
            max_size=16,
        )
    )
    number, mostly = st.sampled_from([-2, -1, 0, 1, 1.5, 3]), st.sampled_from([None, 0, 0.25, 0.5, 0.9, 1])
    tenths = st.sampled_from([-2.5, -0.0001, 0, 0.1, 0.99, 1.1, 1.5, 3])
    exact, top = st.sampled_from(["m", "w", "deep.m"]), st.sampled_from(["m", "w"])
    texts, times = (
        st.lists(TEXTS, min_size=1, max_size=4, unique=True),
        st.sampled_from(["2024-02-28", "2024-02-29", "2024-03-01"]),
    )
    shorter, longer, sets = (
        st.integers(0, 2),
        st.integers(0, 3),
        st.sampled_from([["k", "i"], ["k", "zz"], ["d"]]),
    )
    moments = st.sampled_from(["2024-02-29T00:00:00", "2024-02-29T06:00:00", "2024-02-29T12:00:00"])
    pair, several = (
        st.sampled_from(["both_values_are_missing", "either_value_is_missing", "neither"]),
        st.sampled_from(["all_values_are_missing", "any_value_is_missing", "never"]),
    )
    pairs = [("i", "j"), ("d", "e"), ("k", "t"), ("i", "d"), ("m", "w")]
    two, of_record = st.sampled_from([*pairs, ("i", "x.y")]), st.sampled_from(pairs)
    numeric, any_column = st.sampled_from(["i", "g", "d", "m", "x.y", "deep.v"]), st.sampled_from(FLAT)
    typed = st.sampled_from([name for name in FLAT if name != "x.y"])
    regex = st.sampled_from(["^a", "a$", "[0-9]", "^$", "^.$", ".", "ä", "^[^ ]+$"])
    condition = st.sampled_from([
        {}, {}, {"row_condition": 'col("i") > 0', "condition_parser": "great_expectations"},
        {"row_condition": 'col("k") == "a"', "condition_parser": "great_expectations"},
        {"row_condition": 'col("d").notnull()', "condition_parser": "great_expectations"},
        {"row_condition": "i > 0 AND (k <> 'a' OR d > 1)", "condition_parser": "spark"},
        {"row_condition": {"type": "or", "conditions": [
            {"type": "nullity", "column": {"name": "j"}, "is_null": True},
            {"type": "comparison", "column": {"name": "k"}, "operator": "IN", "parameter": ["a", "ä"]},
        ]}},
    ])  # fmt: skip

    def c(**kwargs: Any) -> dict[str, Any]:
        return {**kwargs, **draw(condition)}

    a, b = draw(two)
    value_set = {
        "k": draw(texts),
        "i": draw(st.lists(SMALL, min_size=1, max_size=3, unique=True)),
        "d": draw(st.lists(st.sampled_from([0, 1, 1.5]), min_size=1, unique=True)),
        "m": draw(st.lists(st.sampled_from([0, 0.1, 0.99, 1.5]), min_size=1, unique=True)),
        "x.y": draw(st.lists(SMALL, min_size=1, max_size=3, unique=True)),
    }
    of_set = draw(st.sampled_from(sorted(value_set)))
    a2, b2 = draw(two)
    a3, b3 = draw(of_record)
    members = draw(st.sampled_from([["i", "j"], ["k", "t", "b"], ["d", "e"], ["d", "i", "k"], ["m", "w"]]))
    suite = [
        one("column_values_to_not_be_null", **c(column=draw(any_column), mostly=draw(mostly))),
        one("column_values_to_be_null", **c(column=draw(any_column), mostly=draw(mostly))),
        one(
            "column_values_to_be_between",
            **c(column=draw(numeric), mostly=draw(mostly), **bounds(number, number, draw)),
        ),
        one("column_values_to_be_between", column="d", mostly=draw(mostly), **bounds(number, number, draw)),
        one(
            "column_values_to_be_between",
            **c(column=draw(exact), mostly=draw(mostly), **bounds(tenths, tenths, draw)),
        ),
        one(
            "column_values_to_be_between",
            column=draw(st.sampled_from(["day", "at"])),
            mostly=draw(mostly),
            **bounds(times, times, draw),
        ),
        one(
            "column_values_to_be_in_set", **c(column=of_set, value_set=value_set[of_set], mostly=draw(mostly))
        ),
        one(
            "column_values_to_not_be_in_set",
            **c(column=of_set, value_set=value_set[of_set], mostly=draw(mostly)),
        ),
        one(
            "column_values_to_match_regex",
            **c(column=draw(st.sampled_from(["k", "i"])), regex=draw(regex), mostly=draw(mostly)),
        ),
        one("column_values_to_not_match_regex", column="t", regex=draw(regex), mostly=draw(mostly)),
        one(
            "column_values_to_match_regex_list",
            column="k",
            regex_list=[draw(regex), draw(regex)],
            match_on=draw(st.sampled_from(["any", "all"])),
            mostly=draw(mostly),
        ),
        one(
            "column_values_to_not_match_regex_list",
            column="k",
            regex_list=[draw(regex), draw(regex)],
            mostly=draw(mostly),
        ),
        one(
            "column_value_lengths_to_be_between",
            **c(column="k", mostly=draw(mostly), **bounds(shorter, longer, draw)),
        ),
        one("column_value_lengths_to_equal", column="t", value=draw(st.integers(0, 2)), mostly=draw(mostly)),
        one("column_values_to_be_unique", **c(column=draw(any_column), mostly=draw(mostly))),
        one("column_values_to_be_unique", column=draw(st.sampled_from(["d", "k"])), mostly=draw(mostly)),
        one(
            "compound_columns_to_be_unique",
            **c(column_list=members, ignore_row_if=draw(several), mostly=draw(mostly)),
        ),
        one(
            "column_pair_values_a_to_be_greater_than_b",
            **c(
                column_A=a,
                column_B=b,
                or_equal=draw(st.booleans()),
                ignore_row_if=draw(pair),
                mostly=draw(mostly),
            ),
        ),
        one(
            "column_pair_values_to_be_equal",
            **c(column_A=a2, column_B=b2, ignore_row_if=draw(pair), mostly=draw(mostly)),
        ),
        one(
            "column_pair_values_to_be_in_set",
            column_A="i",
            column_B="k",
            ignore_row_if=draw(pair),
            mostly=draw(mostly),
            value_pairs_set=[[draw(SMALL), draw(TEXTS)], [0, "a"]],
        ),
        one(
            "select_column_values_to_be_unique_within_record",
            **c(column_list=[a3, b3], ignore_row_if=draw(several), mostly=draw(mostly)),
        ),
        one(
            "multicolumn_values_to_be_equal",
            column_list=[a3, b3],
            ignore_row_if=draw(several),
            mostly=draw(mostly),
        ),
        one(
            "multicolumn_sum_to_equal",
            column_list=draw(
                st.sampled_from([["i", "j"], ["i", "g"], ["d", "e"], ["i", "d"], ["i", "m"], ["m", "w"]])
            ),
            sum_total=draw(number | tenths),
            ignore_row_if=draw(several),
            mostly=draw(mostly),
        ),
        one("column_min_to_be_between", **c(column=draw(numeric), **bounds(number, number, draw))),
        one("column_max_to_be_between", **c(column=draw(numeric), **bounds(number, number, draw))),
        *(
            one(f"column_{figure}_to_be_between", **c(column=draw(of), **bounds(tenths, tenths, draw)))
            for figure, of in (("min", exact), ("max", exact), ("sum", top), ("mean", top))
        ),
        one("column_max_to_be_between", column="day", **bounds(times, times, draw)),
        one("column_max_to_be_between", column="at", **bounds(moments, moments, draw)),
        one(
            "column_sum_to_be_between",
            **c(column=draw(st.sampled_from(["i", "g", "d"])), **bounds(number, number, draw)),
        ),
        one(
            "column_mean_to_be_between",
            **c(column=draw(st.sampled_from(["i", "g", "d"])), **bounds(number, number, draw)),
        ),
        one(
            "column_quantile_values_to_be_between",
            **c(
                column=draw(st.sampled_from(["i", "g", "d", "m"])),
                quantile_ranges={
                    "quantiles": [0.25, 0.5, 0.75],
                    "value_ranges": [
                        [draw(st.none() | number), draw(st.none() | st.sampled_from([3, 4]))]
                        for _ in range(3)
                    ],
                },
            ),
        ),
        one(
            "column_unique_value_count_to_be_between",
            column=draw(any_column),
            **bounds(st.integers(0, 2), st.integers(1, 5), draw),
        ),
        one(
            "column_proportion_of_unique_values_to_be_between",
            column=draw(st.sampled_from(["k", "i", "d"])),
            **bounds(st.sampled_from([0, 0.2, 0.5]), st.sampled_from([0.5, 0.6, 1.0]), draw),
        ),
        one(
            "column_proportion_of_non_null_values_to_be_between",
            column=draw(any_column),
            **bounds(st.sampled_from([0, 0.2, 0.5]), st.sampled_from([0.5, 0.75, 1.0]), draw),
        ),
        one("column_distinct_values_to_be_in_set", column="k", value_set=value_set["k"]),
        one("column_distinct_values_to_contain_set", column="i", value_set=value_set["i"]),
        one("column_distinct_values_to_equal_set", column="k", value_set=value_set["k"]),
        one(
            "column_values_to_be_of_type",
            column=draw(typed),
            type_=draw(st.sampled_from(["StringType", "DoubleType"])),
        ),
        one(
            "column_values_to_be_in_type_list",
            column=draw(typed),
            type_list=["IntegerType", "LongType", "NoSuchType"],
        ),
        one("column_type_to_be", column=draw(typed), type_="NumericType"),
        one(
            "column_to_exist",
            column=draw(st.sampled_from(["k", "zz"])),
            column_index=draw(st.sampled_from([None, 1, 20])),
        ),
        one("table_row_count_to_be_between", **c(**bounds(st.integers(0, 6), st.integers(0, 12), draw))),
        one("table_row_count_to_equal", value=draw(st.integers(0, 12))),
        one("table_column_count_to_be_between", min_value=draw(st.sampled_from([5, 20])), max_value=30),
        one("table_column_count_to_equal", value=draw(st.integers(10, 12))),
        one(
            "table_columns_to_match_ordered_list",
            column_list=draw(st.sampled_from([FLAT, FLAT[::-1]])),
        ),
        one("table_columns_to_match_set", column_set=draw(sets), exact_match=draw(st.booleans())),
        one(
            "unexpected_rows_expectation",
            unexpected_rows_query="SELECT * FROM {batch} WHERE NOT (i <= j OR k LIKE 'a%')",
        ),
    ]
    return rows, suite


def as_suite(expectations: list[dict[str, Any]]) -> Suite:
    return parse_suite(json.dumps({"name": "drawn", "expectations": expectations}), origin="drawn")


def rows_of(spark: SparkSession, rows: list[tuple[Any, ...]]) -> Any:
    return spark.createDataFrame(rows, SCHEMA).coalesce(1)


def test_every_mapped_type_is_drawn() -> None:
    drawn: set[str] = set()

    @settings(max_examples=1, database=None, derandomize=True, phases=[Phase.generate])
    @given(tables())
    def draw(case: tuple[list[tuple[Any, ...]], list[dict[str, Any]]]) -> None:
        drawn.update(e["type"] for e in case[1])

    draw()
    assert drawn == set(HANDLERS)


@pytest.mark.long
def test_both_engines_find_the_same_on_the_corners(spark: SparkSession) -> None:
    frame, suite = rows_of(spark, ROWS), as_suite(SUITE)
    ours, theirs = run_suite(frame, suite, show=False), run_by_gx(frame, suite, show=False)
    wrong = [text for pair in zip(ours, theirs, strict=True) if (text := compared(*pair))]
    assert wrong == [], "\n".join(wrong)


@pytest.mark.slow
@pytest.mark.hypothesis
def test_both_engines_find_the_same(spark: SparkSession) -> None:
    wrong: list[str] = []

    @settings(
        max_examples=examples(EXAMPLES),
        derandomize=True,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(tables())
    def compare(case: tuple[list[tuple[Any, ...]], list[dict[str, Any]]]) -> None:
        rows, expectations = case
        frame, suite = rows_of(spark, rows), as_suite(expectations)
        ours, theirs = run_suite(frame, suite, show=False), run_by_gx(frame, suite, show=False)
        wrong.extend(text for pair in zip(ours, theirs, strict=True) if (text := compared(*pair)))

    compare()
    assert wrong == [], "\n".join(wrong)


def compared(ours: Any, theirs: Any) -> str | None:
    """How our outcome of an expectation differs from GX's, if it does: in success, exception or counts."""
    our_result = {} if ours.outcome is None else ours.outcome.result
    found = (
        ours.success,
        ours.exception is None,
        *(our_result.get(n) for n in COUNTS if n in theirs.result),
    )
    # Of no rows GX counts nothing where we count 0, see DIFFERENCES.
    expected = (
        theirs.success,
        theirs.exception is None,
        *(theirs.result[n] or 0 for n in COUNTS if n in theirs.result),
    )
    if found == expected:
        return None
    return (
        f"{ours.expectation.type} {ours.expectation.kwargs}: {found} {ours.exception}, "
        f"GX {expected} {theirs.exception}"
    )
