"""Numbers at their bounds, where a comparison as doubles would be wrong."""

from __future__ import annotations

from tests.support.bad_input.declared import Case, Group, accepted, quarantined

Bound = float | None
WIDE = f"1{'0' * 36}1"


def inside(name: str, kind: str, low: Bound, high: Bound, value: str, note: str = "") -> Case:
    return accepted(name, given=(kind, low, high, value), note=note)


def outside(name: str, kind: str, low: Bound, high: Bound, value: str, note: str = "") -> Case:
    return quarantined(name, "x.range", given=(kind, low, high, value), note=note)


EXACT = Group(
    title="Exact numbers at their bounds",
    about="A column with a minimum and a maximum, and one value.",
    cases=(  # given: (type, minimum, maximum, value)
        inside("a decimal at its maximum", "decimal(10,2)", None, 0.99, "0.99"),
        outside("a decimal above its maximum", "decimal(10,2)", None, 0.99, "1.00"),
        inside("a decimal at its minimum", "decimal(5,2)", 0.1, None, "0.10"),
        outside("a decimal below its minimum", "decimal(5,2)", 0.1, None, "0.09"),
        outside(
            "a decimal below a minimum of more digits", "decimal(10,2)", 0.014, None, "0.01",
            note="the bound is not rounded to the column's digits",
        ),
        inside("a decimal above a minimum of more digits", "decimal(10,2)", 0.014, None, "0.02"),
        outside("a decimal above a maximum of more digits", "decimal(10,2)", None, 0.016, "0.02"),
        inside("a decimal below a maximum of more digits", "decimal(10,2)", None, 0.016, "0.01"),
        outside("a negative decimal below a minimum of more digits", "decimal(10,2)", -0.014, None, "-0.02"),
        inside("a maximum that the decimal cannot reach", "decimal(4,2)", None, 1000, "99.99"),
        outside("a minimum that the decimal cannot reach", "decimal(4,2)", 1000, None, "99.99"),
        inside("a minimum below every decimal", "decimal(4,2)", -1000, None, "-99.99"),
        outside("a maximum below every decimal", "decimal(4,2)", None, -1000, "-99.99"),
        inside("38 digits at the bound", "decimal(38,0)", None, int(WIDE), WIDE),
        outside("38 digits above the bound", "decimal(38,0)", None, int(WIDE) - 1, WIDE),
        inside("38 digits behind the point", "decimal(38,38)", 0.1, None, "0.1"),
        outside("a whole number below half of one", "int", 0.5, None, "0"),
        inside("a whole number above half of one", "int", 0.5, None, "1"),
        outside("a whole number above a half", "int", None, 2.5, "3"),
        inside("a maximum beyond the type", "int", None, 2**40, "2147483647", note="was an overflow"),
        outside("a minimum beyond the type", "tinyint", 200, None, "127"),
        inside("the least whole number at its minimum", "bigint", -(2**63), None, "-9223372036854775808"),
        inside("the least whole number at its maximum", "bigint", None, -(2**63), "-9223372036854775808"),
        outside("a whole number beyond 2^53", "bigint", None, 2**53, "9007199254740993"),
        inside("a whole number beyond 2^53 at its bound", "bigint", 2**53 + 1, None, "9007199254740993"),
    ),
)  # fmt: skip
