from __future__ import annotations

import pytest

from engage_spark.contract.expressions import usage

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
def test_names_are_told_from_literals_functions_and_keywords(expression: str, columns: tuple[str, ...], unknown: tuple[str, ...]) -> None:
    found = usage(expression, KNOWN)
    assert found.columns == columns
    assert found.unknown == unknown


@pytest.mark.parametrize(
    "expression", ["datediff(current_date(), date)", "datediff(current_date, date)", "age + RAND()", "age > unix_millis(now())"]
)
def test_clocks_and_dice_are_found(expression: str) -> None:
    assert usage(expression, KNOWN).unstable
