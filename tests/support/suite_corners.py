"""Rows and expectations that stand on the corners of comparisons: ties with bounds, nulls on either side,
numbers at the end of their type, conditions of each dialect.

Great Expectations and our engine say the same of each; what tells a comparison from its neighbour is here.
"""

from __future__ import annotations

import math
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

D = Decimal
DAYS = [date(2024, 2, 28), date(2024, 2, 29), date(2024, 3, 1)]
TIMES = [datetime(2024, 2, 29, hour, tzinfo=UTC) for hour in (0, 6, 12)]
ROWS: list[tuple[Any, ...]] = [
    ("a", "a", 0, 1, 2**40, 1.5, 1.5, D("0.10"), True, DAYS[0], TIMES[0], D("0.1000"), 0, (0, D("0.10"))),
    ("A", "b", 1, 1, 7, 1.0, -1.0, D("0.99"), False, DAYS[1], TIMES[1], D("0.0000"), 1, (1, D("0.99"))),
    ("aa", "aa", 1, 3, 0, -2.25, 3.0, D("1.10"), True, DAYS[2], TIMES[2], D("1.5000"), 3, (3, None)),
    ("", None, 3, 3, -1, 3.0, None, D("-2.50"), None, None, None, D("-0.0001"), None, (None, D("0.10"))),
    (None, "", None, 0, None, None, 1.0, None, True, DAYS[1], TIMES[1], None, 0, None),
    (None, None, None, None, 1, math.nan, math.nan, D("0.10"), None, DAYS[0], None, D("0.1000"), 1, None),
    ("b2", "c", 2, 2, 2**40, -1.0, 1.0, D("1.10"), True, DAYS[2], TIMES[2], D("1.5000"), 2, (3, None)),
    ("b1", "ä", -1, 0, 7, 0.0, -0.0, D("0.00"), False, None, TIMES[0], None, -1, (0, D("0.99"))),
]
"""Rows of the schema that the differential test has."""


def one(kind: str, **kwargs: Any) -> dict[str, Any]:
    """Return an expectation as a suite has it; what is None is left out."""
    name = kind if kind.startswith("unexpected") else f"expect_{kind}"
    return {"type": name, "kwargs": {k: v for k, v in kwargs.items() if v is not None}}


def _between(kind: str, column: str, *bounds: tuple[Any, ...], **more: Any) -> list[dict[str, Any]]:
    """Return expectations of one column: lower bound, upper bound, `(` or `[`, `)` or `]`."""
    return [
        one(kind, column=column, min_value=low, max_value=high,
            strict_min=ends[0] == "(", strict_max=ends[1] == ")", **more)
        for low, high, ends in bounds
    ]  # fmt: skip


def _gx(term: str) -> dict[str, str]:
    return {"row_condition": term, "condition_parser": "great_expectations"}


def _saved(kind: str, **more: Any) -> dict[str, Any]:
    return {"row_condition": {"type": kind, **more}}


def _compared(column: str, operator: str, value: Any) -> dict[str, Any]:
    return {"type": "comparison", "column": {"name": column}, "operator": operator, "parameter": value}


CONDITIONS: list[dict[str, Any]] = [
    *(_gx(f'col("i") {operator} 1') for operator in ("==", "!=", "<", "<=", ">", ">=")),
    *(_gx(f'col("d") {operator} 1.5') for operator in ("<", "<=", ">", ">=")),
    _gx('col("k") == "a"'),
    _gx("col(\"k\") != 'a'"),
    _gx('col("t").notnull()'),
    *({"row_condition": c, "condition_parser": "spark"} for c in ("i > 0", "t IS NULL", "i <> 1 OR k = 'a'")),
    *(_saved("nullity", column={"name": "t"}, is_null=is_null) for is_null in (True, False)),
    *(_saved(kind, conditions=[_compared("i", ">=", 1), _compared("j", "<", 3)]) for kind in ("and", "or")),
    _saved("pass_through", pass_through_filter="i >= 1"),
    *({"row_condition": _compared("k", operator, ["a", "b1"])} for operator in ("IN", "NOT_IN")),
    *({"row_condition": _compared("i", operator, 1)} for operator in ("==", "!=", "<", "<=", ">", ">=")),
]
"""Row conditions of every dialect."""
ENDS = ("[]", "(]", "[)", "()")
SUITE: list[dict[str, Any]] = [
    *_between("column_values_to_be_between", "i", *((0, 1, ends) for ends in ENDS), mostly=0.5),
    *_between("column_values_to_be_between", "i", (0, None, "[]"), (0, None, "(]"), (None, 1, "[]")),
    *_between("column_values_to_be_between", "i", (None, 1, "[)"), (1, 1, "[]"), (0.5, 1.5, "()")),
    *_between("column_values_to_be_between", "d", *((0, 1.5, ends) for ends in ENDS)),
    *_between("column_values_to_be_between", "m", *((0.1, 0.99, ends) for ends in ENDS)),
    *_between("column_values_to_be_between", "m", (10**7, None, "[]"), (None, 10**7, "[]")),
    *_between("column_values_to_be_between", "m", (0.105, 0.985, "[]")),
    *_between("column_values_to_be_between", "g", (2**63, None, "[]"), (None, 2**63, "[]"), (0, 7, "()")),
    *_between("column_values_to_be_between", "g", (-(10**19), None, "[]"), (None, -(10**19), "[]")),
    *_between("column_values_to_be_between", "day", *(("2024-02-28", "2024-02-29", ends) for ends in ENDS)),
    *_between("column_values_to_be_between", "at", ("2024-02-29T00:00:00", "2024-02-29T06:00:00", "[]")),
    *_between("column_values_to_be_between", "deep.m", (0.1, 0.99, "[)"), (0.1, 0.99, "(]")),
    *_between("column_values_to_be_between", "x.y", (0, 1, "[)"), (0, 1, "(]")),
    *_between("column_value_lengths_to_be_between", "k", *((1, 2, ends) for ends in ENDS)),
    *(one("column_value_lengths_to_equal", column="k", value=n) for n in (1, 2)),
    *(one("column_values_to_be_in_set", column=c, value_set=v, mostly=0.5) for c, v in (
        ("i", [0, 1]), ("i", [0.5, 1]), ("k", ["a", ""]), ("d", [0, 1.5]), ("m", [0.1, 0.105]), ("b", [True]),
        ("m", [10**7, 1.1]), ("x.y", [1]),
    )),
    *(one("column_values_to_not_be_in_set", column=c, value_set=v) for c, v in (
        ("i", [0]), ("k", ["a"]), ("m", [0.1]), ("day", ["2024-02-28"]), ("at", ["2024-02-29T06:00:00"]),
    )),
    *(one("column_values_to_not_be_null", column="t", mostly=m) for m in (1, 0.75, 0.8)),
    *(one("column_values_to_be_null", column="t", mostly=m) for m in (0.25, 0.3)),
    one("column_values_to_match_regex", column="k", regex="^a", mostly=0.4),
    one("column_values_to_not_match_regex", column="k", regex="^a"),
    *(one("column_values_to_match_regex_list", column="k", regex_list=["^a", "b|aa", "^$"], match_on=m)
      for m in ("any", "all")),
    one("column_values_to_not_match_regex_list", column="k", regex_list=["^A", "b"]),
    *(one("column_values_to_be_unique", column=c) for c in ("k", "i", "d", "x.y")),
    *(one("compound_columns_to_be_unique", column_list=["i", "j"], ignore_row_if=r)
      for r in ("all_values_are_missing", "any_value_is_missing", "never")),
    *(one("column_pair_values_a_to_be_greater_than_b", column_A=a, column_B=b, or_equal=e, ignore_row_if=r)
      for a, b in (("j", "i"), ("d", "e")) for e in (True, False)
      for r in ("both_values_are_missing", "either_value_is_missing", "neither")),
    *(one("column_pair_values_to_be_equal", column_A=a, column_B=b, ignore_row_if=r)
      for a, b in (("i", "j"), ("d", "e"), ("k", "t"))
      for r in ("both_values_are_missing", "either_value_is_missing", "neither")),
    *(one("column_pair_values_to_be_in_set", column_A="i", column_B="k", ignore_row_if=r,
          value_pairs_set=[[0, "a"], [1, "A"], [None, ""]])
      for r in ("both_values_are_missing", "either_value_is_missing", "neither")),
    *(one("select_column_values_to_be_unique_within_record", column_list=c, ignore_row_if=r)
      for c in (["i", "j"], ["d", "e"])
      for r in ("all_values_are_missing", "any_value_is_missing", "never")),
    *(one("multicolumn_values_to_be_equal", column_list=["i", "j", "g"], ignore_row_if=r)
      for r in ("all_values_are_missing", "any_value_is_missing", "never")),
    *(one("multicolumn_sum_to_equal", column_list=c, sum_total=t, ignore_row_if=r, mostly=0.1)
      for c, t in ((["i", "j"], 1), (["d", "e"], 0), (["m", "w"], 0.2), (["i", "j"], 0.5))
      for r in ("all_values_are_missing", "any_value_is_missing", "never")),
    *(e for ends in ENDS for e in (
        *_between("column_min_to_be_between", "i", (-1, 0, ends)),
        *_between("column_max_to_be_between", "i", (2, 3, ends)),
        *_between("column_min_to_be_between", "m", (-2.5, 0, ends)),
        *_between("column_max_to_be_between", "m", (0, 1.1, ends)),
        *_between("column_sum_to_be_between", "i", (6, 9, ends), (0, 6, ends)),
        *_between("column_mean_to_be_between", "i", (1, 2, ends), (0, 1, ends)),
        *_between("column_unique_value_count_to_be_between", "i", (5, 9, ends), (0, 5, ends)),
        *_between("column_proportion_of_unique_values_to_be_between", "day", (0.5, 1, ends), (0, 0.5, ends)),
        *_between("column_proportion_of_non_null_values_to_be_between", "x.y", (0.875, 1, ends)),
        *_between("table_row_count_to_be_between", None, (8, 9, ends), (0, 8, ends)),
    )),
    *_between("column_min_to_be_between", "d", (-3, None, "[]"), (None, -3, "[]")),
    *_between("column_max_to_be_between", "d", (0, None, "[]"), (None, 3, "[]")),
    *_between("column_mean_to_be_between", "m", (-0.1, 0.5, "[]"), (None, None, "[]")),
    *_between("column_max_to_be_between", "day", ("2024-03-01", None, "[]"), ("2024-03-01", None, "(]")),
    *_between("column_max_to_be_between", "at", (None, "2024-02-29T12:00:00", "[]"),
              (None, "2024-02-29T12:00:00", "[)")),
    *_between("column_min_to_be_between", "deep.v", (0, None, "[]"), (0, None, "(]")),
    *(one("column_quantile_values_to_be_between", column=c, quantile_ranges={"quantiles": [0.0, 0.5, 1.0],
          "value_ranges": ranges})
      for c, ranges in (
          ("i", [[-1, -1], [1, 1], [3, 3]]), ("i", [[0, None], [None, 1], [None, 2]]),
          ("i", [[None, -2], [2, None], [4, None]]), ("d", [[-3, None], [None, 3], [3, 3]]),
      )),
    *(one(f"column_distinct_values_to_{how}", column=c, value_set=v)
      for how in ("be_in_set", "contain_set", "equal_set")
      for c, v in (("i", [-1, 0, 1, 3]), ("i", [-1, 0, 1, 3, 2]), ("k", ["a", "A"]))),
    *(one("column_values_to_be_of_type", column="i", type_=t) for t in ("IntegerType", "StringType")),
    one("column_values_to_be_in_type_list", column="d", type_list=["IntegerType", "DoubleType"]),
    one("column_type_to_be", column="k", type_="StringType"),
    *(one("column_to_exist", column=c, column_index=n) for c, n in (
        ("k", None), ("t", 1), ("t", 2), ("zz", 1), ("deep", 13), ("k", 14), ("zz", None),
    )),
    *(one("table_row_count_to_equal", value=n) for n in (7, 8)),
    *(one("table_column_count_to_equal", value=n) for n in (13, 15)),
    *(one("table_column_count_to_be_between", min_value=a, max_value=b)
      for a, b in ((1, 20), (1, 13), (None, 9), (20, None))),
    one("unexpected_rows_expectation", unexpected_rows_query="SELECT * FROM {batch} WHERE i > 3"),
    one("unexpected_rows_expectation", unexpected_rows_query="SELECT * FROM {batch} WHERE i = 1"),
    *({"type": "expect_column_values_to_be_in_set", "kwargs": {"column": c, "value_set": v, **condition}}
      for condition in CONDITIONS for c, v in (("j", [1, 3]),)),
    *({"type": f"expect_column_{kind}", "kwargs": {"column": "j", **more, **CONDITIONS[n]}}
      for n in (0, 5)
      for kind, more in (("values_to_be_unique", {}), ("sum_to_be_between", {"min_value": 4}))),
]  # fmt: skip
"""About each comparison of the engine, on its tie and beside it."""
BEYOND = 2**53 + 1
"""A number that no double holds; the double next to it is below."""
_SAME = (True, DAYS[0], TIMES[0], D("0.1000"), 0, (0, D("0.10")))
OWN_ROWS: list[tuple[Any, ...]] = [
    ("a", "a", 0, 0, 2**63 - 1, 2.0**53, 1.0, D("0.10"), *_SAME),
    ("b", "b", 1, 2, 0, 2.0**53 + 2, 1.0, D("0.99"), *_SAME),
]
OWN: list[tuple[dict[str, Any], bool | None, int | None]] = [
    *(
        (e, False, 1)
        for e in (
            *_between("column_values_to_be_between", "d", (BEYOND, None, "[]"), (BEYOND, None, "(]")),
            *_between("column_values_to_be_between", "d", (None, BEYOND, "[]"), (None, BEYOND, "[)")),
            *_between("column_values_to_be_between", "g", (1, None, "[]"), (None, 2**63 - 2, "[]")),
        )
    ),
    *(
        (e, True, 0)
        for e in _between("column_values_to_be_between", "g", (None, 2**63, "[]"), (-(2**63), None, "[]"))
    ),
    (one("column_values_to_be_in_set", column="g", value_set=[2**63, 0]), False, 1),
    (one("column_values_to_be_in_set", column="m", value_set=[10**7, 0.99]), False, 1),
    (one("table_row_count_to_equal", value=1, **_gx('col("m") > 0.10000000000000000001')), True, None),
    (one("multicolumn_sum_to_equal", column_list=["i", "j"], sum_total=10**38), False, 2),
    (
        one("table_row_count_to_equal", value=1, row_condition="i / j > 0", condition_parser="spark"),
        None,
        None,
    ),
    (one("column_quantile_values_to_be_between", **_gx('col("i") > 9'), column="i",
         quantile_ranges={"quantiles": [0.5], "value_ranges": [[None, 9]]}), False, None),
    (one("column_distinct_values_to_contain_set", **_gx('col("i") > 0'), column="k", value_set=["a", "b"]),
     False, None),
    (one("column_distinct_values_to_equal_set", **_gx('col("i") > 0'), column="k", value_set=["b"]), True, 0),
    (one("column_unique_value_count_to_be_between", **_gx('col("i") > 0'), column="k", max_value=1), True,
     None),
    *(
        (one("table_row_count_to_equal", value=n, **_gx(condition)), True, None)
        for condition, n in (
            ('col("i") == 0.5', 0), ('col("i") != 0.5', 2), ('col("k") < "b"', 1), ('col("k") <= "b"', 2),
            ('col("k") > "a"', 1), ('col("k") >= "a"', 2),
        )
    ),
    (one("column_to_exist", column="k", column_index=-14), True, None),
    (one("column_to_exist", column="k", column_index=-15), False, None),
    (one("column_values_to_be_in_set", column="k", value_set=[], mostly=0), True, 2),
    (one("column_values_to_be_unique", column="k", unheard_of=1), None, None),
    (one("column_values_to_be_in_set", column="k", value_set={"$PARAMETER": "absent"}), None, None),
    (one("column_values_to_be_in_set", column="d", value_set=[2.0**53, 2**53 + 1]), False, 1),
]  # fmt: skip
"""What Great Expectations says otherwise, or not at all: success (None: it cannot be run) and how many are
unexpected, by what is documented.
"""
