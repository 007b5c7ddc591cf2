from __future__ import annotations

import pytest

from engage_spark.contract.expressions import referenced_names

KNOWN = ("age", "followers", "date", "we`ird name", "group")


@pytest.mark.parametrize(
    ("expression", "columns", "unknown"),
    [
        ("age / nullif(followers, 0)", ("age", "followers"), ()),
        ("AGE + 1.5e3 - 2D", ("age",), ()),
        ("CASE WHEN age > 3 THEN 'followers' ELSE \"age\" END", ("age",), ()),
        ("age = 'it''s' OR followers = 'a\\'b'", ("age", "followers"), ()),
        ("`we``ird name` > 1", ("we`ird name",), ()),
        ("CAST(age AS date)", ("age",), ()),
        ("date > DATE '2026-01-01'", ("date",), ()),
        ("folowers + 1", (), ("folowers",)),
        ("customers.age", (), ("customers",)),
        ("age > (SELECT max(age) FROM t)", ("age",), ("SELECT", "t")),
        ("agefollowers", (), ("agefollowers",)),
    ],
)
def test_names_are_told_from_literals_functions_and_keywords(
    expression: str, columns: tuple[str, ...], unknown: tuple[str, ...]
) -> None:
    found = referenced_names(expression, KNOWN)
    assert found.columns == columns
    assert found.unknown == unknown


@pytest.mark.parametrize(
    "expression",
    [
        "datediff(current_date(), date)",
        "datediff(current_date, date)",
        "age + RAND()",
        "age > unix_millis(now())",
    ],
)
def test_clocks_and_dice_are_found(expression: str) -> None:
    assert referenced_names(expression, KNOWN).unstable


@pytest.mark.parametrize(
    ("expression", "refusal"),
    [
        ("a > 1 AS b", "AS gives the result a name"),
        ("a > 1; DROP TABLE x", "starts another statement"),
        ("a > 1 -- and more", "starts a comment"),
        ("a /* why */ > 1", "starts a comment"),
        ("a > 1) OR (b > 1", "has no opening one"),
        ("(a > 1", "never closed"),
    ],
)
def test_what_is_more_than_one_expression_is_refused(expression: str, refusal: str) -> None:
    assert any(refusal in what for what in referenced_names(expression, ["a", "b"]).refused)


@pytest.mark.parametrize(
    "expression",
    ["a - -1 > 0", "CAST(a AS INT) > try_cast(b AS BIGINT)", "a * (b / 2) > 1", "b = '; -- /* AS'"],
)
def test_what_only_looks_like_it_is_taken(expression: str) -> None:
    assert referenced_names(expression, ["a", "b"]).refused == ()


@pytest.mark.parametrize("function", ["reflect", "java_method", "raise_error"])
def test_a_function_that_runs_other_code_or_ends_the_job_is_unknown(function: str) -> None:
    assert referenced_names(f"{function}('x', a) > 1", ["a"]).unknown == (function,)
