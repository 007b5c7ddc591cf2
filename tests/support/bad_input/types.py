"""Types that are taken for a declared one, and types that are not."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from tests.support.bad_input.declared import Case, Group, accepted, refused


def found(kind: str, declared: str) -> Case:
    message = f"a: found {kind}, declared is {declared}; write it as {declared}"
    return refused(f"{kind} for {declared}", message, given=(kind, declared))


def taken(kind: str, declared: str, value: Any, expected: Any, note: str = "") -> Case:
    return accepted(f"{kind} for {declared}", given=(kind, declared, value, expected), note=note)


WRONG = Group(
    title="Types that could change values",
    about="Nothing is cast where a value could change, get lost or fail.",
    cases=tuple(
        found(*pair)
        for pair in (
            ("string", "int"),
            ("double", "int"),
            ("decimal(10,0)", "int"),
            ("double", "bigint"),
            ("bigint", "double"),
            ("decimal(10,2)", "double"),
            ("string", "double"),
            ("string", "date"),
            ("string", "timestamp"),
            ("date", "timestamp"),
            ("timestamp", "date"),
            ("timestamp_ntz", "timestamp"),
            ("int", "string"),
            ("bigint", "string"),
            ("boolean", "int"),
            ("array<int>", "int"),
            ("binary", "string"),
            ("string", "boolean"),
            ("decimal(12,2)", "decimal(10,2)"),
            ("decimal(10,4)", "decimal(10,2)"),
            ("decimal(38,0)", "bigint"),
            ("decimal(10,3)", "decimal(12,2)"),
            ("int", "decimal(10,2)"),
            ("bigint", "decimal(20,2)"),
            ("double", "decimal(10,2)"),
            ("string", "decimal(10,2)"),
            ("float", "decimal(10,2)"),
        )
    ),
)
WIDENED = Group(
    title="Types that keep every value",
    about="Cast to the declared type.",
    cases=(
        taken("tinyint", "int", 3, 3),
        taken("smallint", "double", 3, 3.0),
        taken("int", "bigint", 3, 3),
        taken("int", "double", 2147483647, 2147483647.0),
        taken("float", "double", 0.5, 0.5),
        taken("decimal(8,1)", "decimal(10,2)", Decimal("1.5"), Decimal("1.50")),
        taken("smallint", "decimal(7,2)", -7, Decimal("-7.00")),
        taken("int", "decimal(12,2)", 2147483647, Decimal("2147483647.00")),
        taken("bigint", "decimal(19,0)", 2**63 - 1, Decimal(2**63 - 1)),
        taken("void", "string", None, None, note="a column of nulls only"),
        taken("void", "int", None, None, note="a column of nulls only"),
    ),
)
