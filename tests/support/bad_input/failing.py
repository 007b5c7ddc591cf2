"""Rules that cannot be computed on a row, and rules that could fail and do not."""

from __future__ import annotations

from typing import Any

from tests.support.bad_input.declared import Case, Group, accepted, quarantined

COLUMNS = {
    "a": "int", "b": "int", "big": "bigint", "x": "double", "d": "decimal(5,2)", "t": "string",
    "l": "array<int>", "m": "map<string,int>", "day": "date",
}  # fmt: skip
LEAST, MOST = -(2**31), 2**31 - 1


def fails(name: str, rule: str, **row: Any) -> Case:
    return quarantined(name, "r", given=(rule, row), note=rule)


def holds(name: str, rule: str, **row: Any) -> Case:
    return accepted(name, given=(rule, row), note=rule)


FAILING = Group(
    title="Rules that cannot be computed on a row",
    about='One rule on one row. The reason begins with "could not be computed", and the other rows of the '
    "day are not touched. A rule holds for a null input.",
    cases=(  # given: (rule, the values of the row that are not null)
        fails("a division by zero", "a / b < 2", a=3, b=0),
        fails("a division of decimals by zero", "d / b < 2", d="1.50", b=0),
        fails("a division of doubles by zero", "x / b < 2", x=1.5, b=0),
        fails("zero divided by zero", "a / b < 2", a=0, b=0),
        fails("a remainder by zero", "a % b = 0", a=3, b=0),
        fails("a remainder by zero, as a function", "pmod(a, b) = 0", a=3, b=0),
        fails("a sum beyond the type", "a + 1 > 0", a=MOST),
        fails("a difference beyond the type", "a - 1 < 0", a=LEAST),
        fails("a product beyond the type", "a * a > 0", a=MOST),
        fails("a whole division by zero", "a DIV b < 2", a=3, b=0),
        fails("a division by a float that is zero", "x / 1e-50F < 2", x=1.5),
        fails("a negation beyond the type", "-a > 0", a=LEAST),
        fails("a sum of 64 bits beyond the type", "big + big > 0", big=2**63 - 1),
        fails("an absolute value beyond the type", "abs(big) >= 0", big=-(2**63)),
        fails("a cast of text to a number", "CAST(t AS INT) > 0", t="ten"),
        fails("a cast of text to a date", "CAST(t AS DATE) > DATE'2020-01-01'", t="2025-02-30"),
        fails("a cast to a narrower number", "CAST(a AS TINYINT) > 0", a=300),
        fails("a cast to a narrower decimal", "CAST(d AS DECIMAL(3,2)) > 0", d="123.45"),
        fails("a date that does not exist", "to_date(t) > DATE'2020-01-01'", t="2025-13-01"),
        fails("a time in another form", "to_timestamp(t, 'yyyy-MM-dd HH:mm') IS NOT NULL", t="21.10.2025"),
        fails("an index beyond the list", "l[2] = 3", l=[1, 2]),
        fails("an index before the list", "l[-1] = 3", l=[1, 2]),
        fails("an index of an empty list", "l[0] = 3", l=[]),
        fails("an element beyond the list", "element_at(l, 3) = 3", l=[1, 2]),
        fails("an element before the list", "element_at(l, -3) = 3", l=[1, 2]),
        fails("the element zero", "element_at(l, 0) = 3", l=[1, 2]),
        fails("a failure inside of a negation", "NOT (a / b < 2)", a=3, b=0),
        fails("a failure inside of IS NULL", "a / b IS NULL", a=3, b=0),
        fails("a failure inside of coalesce", "coalesce(a / b, 0) < 2", a=3, b=0),
        fails("a failure inside of BETWEEN", "a BETWEEN 1 / b AND 3", a=3, b=0),
        fails("a failure inside of IN", "1 IN (a / b, 1)", a=3, b=0),
        fails("a failure inside of CASE", "CASE WHEN a > 0 THEN a / b < 2 ELSE true END", a=3, b=0),
        fails("a failure inside of a function", "round(a / b, 1) < 2", a=3, b=0),
        fails("a failure behind AND", "a > 1 AND a / b < 2", a=3, b=0),
        holds("a guard by coalesce", "coalesce(a, a / b) > 0", a=3, b=0),
        holds("a guard by try_element_at", "try_element_at(l, b) = 3", l=[1, 2], b=0),
        holds("an element before the absolute value", "abs(l[0]) > 0", l=[LEAST]),
        holds("a null divisor", "a / b < 2", a=3),
        holds("null by zero", "a / b < 2", b=0),
        holds("a null in a sum", "a + b > 0", a=MOST),
        holds("a null text in a cast", "CAST(t AS INT) > 0", a=1),
        holds("a null list", "l[2] = 3", a=1),
        holds("a key that the map has not", "m['k'] = 3", m={"j": 1}),
        holds("a key that the map has not, as a function", "element_at(m, 'k') = 3", m={"j": 1}),
        holds("a null element", "l[1] = 3", l=[1, None]),
        holds("a null element, as a function", "element_at(l, 2) = 3", l=[1, None]),
        holds("the last element", "element_at(l, -1) = 2", l=[1, 2]),
        holds("a guard by CASE", "CASE WHEN b = 0 THEN true ELSE a / b < 2 END", a=3, b=0),
        holds("a guard by OR", "b = 0 OR a / b < 2", a=3, b=0),
        holds("a guard by nullif", "a / nullif(b, 0) < 2", a=3, b=0),
        holds("a form that gives null", "try_divide(a, b) < 2", a=3, b=0),
        holds("a cast that gives null", "try_cast(t AS INT) > 0", t="ten"),
        holds("a sum within the type", "a + 1 > 0", a=MOST - 1),
        holds("a quotient beyond the doubles", "x / 1e-300 > 0", x=1e300),
    ),
)
