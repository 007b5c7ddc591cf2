"""Export a contract's table as a GX 1.x suite.

Rules that GX cannot express are kept in the suite's meta and notes, with the reason. Nothing is dropped.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from engage_spark.contract import ExtraColumns, Field, Gate, Rule, Severity, Table
from engage_spark.gx.suite_io import Expectation, Suite, identity
from engage_spark.quality.checks.row_checks import Check, row_checks
from engage_spark.quality.checks.text_checks import BLANK, CONTROL, INVISIBLE, LONGEST_KEY, OUTER_BLANK
from engage_spark.spark.schema import LOST, accepted_types

OWN = "engage_spark"
"""The key under which meta holds what is ours."""
DELIVERED = "delivered_names"
"""The key in our part of meta for delivered columns of other names, by the suite's own."""
LARGEST = {"double": 1.7976931348623157e308, "float": 3.4028234663852886e38}
_COMPARED = re.compile(r"^\s*(?P<a>\w+|`[^`]+`)\s*(?P<op><=|>=|<|>|=|==)\s*(?P<b>\w+|`[^`]+`)\s*$")
_UNSAID = {
    "completeness": "GX bounds the filled share of one column, not of all cells",
    "quarantine_share": "GX counts rows per expectation, not rows that break any",
    "share": "an expectation bounds a share from one side; this is of the valid rows, and has two",
    "normal_form": "the pattern that finds it is too long for a suite",
    "distinguishable": "GX compares values as they are, and cannot ignore the case of letters",
    "readable": "GX does not read a delivered text as the contract does",
    "not_future": "GX does not know when a delivery landed",
    "latency": "GX does not know when a delivery landed",
    "row_count_change": "GX does not know the day before",
    "freshness": "GX does not know the snapshot's date",
}


@dataclass(frozen=True)
class ExpressedRule:
    """A rule in GX's words: the type of the expectation and its kwargs."""

    type: str
    kwargs: Mapping[str, Any]
    description: str | None = None


@dataclass(frozen=True)
class UnexpressedRule:
    """Why GX cannot say a rule."""

    why: str


def suite_of(table: Table, *, version: str = "") -> Suite:
    """Return the suite of an input table: its columns and types, then every rule and gate, by whose name
    `meta` knows each expectation.

    Ids follow from the table and the rule, so the same contract gives the same file. Means what our own
    engine means on Spark: a null breaks nothing but its own rule, NaN and the infinities break `finite`, a
    pattern (of Java) matches the whole value. A missing share is held strictly, and is 0 of no rows, which GX
    then finds too small.
    """
    lines = [*_of_schema(table), *_of_rules(table), *_of_gates(table)]
    expectations = [_expectation(table, *one) for one in lines if isinstance(one[1], ExpressedRule)]
    unsaid = [
        {"rule": rule, "severity": severity.value, "why": how.why}
        for rule, how, severity, _ in lines
        if isinstance(how, UnexpressedRule)
    ]
    return Suite(
        name=table.name,
        id=identity("suite", table.name),
        expectations=tuple(expectations),
        meta={
            OWN: {
                "table": table.name,
                "contract_version": version,
                "not_expressible": unsaid,
                **_delivered(table),
            }
        },
        notes=[table.description, *_unsaid_notes(unsaid)],
    )


def _delivered(table: Table) -> dict[str, dict[str, str]]:
    """Return the names of delivered columns by those that the suite has for them, where they differ."""
    names = {f.name: f.physical_name for f in table.fields if f.physical_name is not None}
    return {DELIVERED: names} if names else {}


def _unsaid_notes(unsaid: Sequence[Mapping[str, str]]) -> list[str]:
    """Say each reason once, with the rules that it keeps out."""
    rules: dict[str, list[str]] = {}
    for u in unsaid:
        rules.setdefault(u["why"], []).append(u["rule"])
    return [f"Not said in this suite, since {why}: {', '.join(names)}." for why, names in rules.items()]


Line = tuple[str, ExpressedRule | UnexpressedRule, Severity, str]
"""A rule's name, how GX says it, its severity and its dimension."""


def _expectation(
    table: Table, rule: str, how: ExpressedRule | UnexpressedRule, severity: Severity, dimension: str
) -> Expectation:
    assert isinstance(how, ExpressedRule)
    return Expectation(
        type=how.type,
        kwargs=how.kwargs,
        id=identity("expectation", table.name, rule),
        severity=severity,
        meta={OWN: {"table": table.name, "rule": rule, "dimension": dimension}},
        description=how.description,
    )


def _of_schema(table: Table) -> list[Line]:
    columns = {"column_set": list(table.names), "exact_match": table.extra is ExtraColumns.REFUSE}
    lines: list[Line] = [
        (
            "columns",
            ExpressedRule("expect_table_columns_to_match_set", columns),
            Severity.CRITICAL,
            "validity",
        )
    ]
    for f in table.fields:
        kinds = ExpressedRule(
            "expect_column_values_to_be_in_type_list",
            {"column": f.name, "type_list": list(accepted_types(f))},
        )
        lines.append((f"{f.name}.type", kinds, Severity.CRITICAL, "validity"))
    return lines


def _of_rules(table: Table) -> list[Line]:
    rules = {r.name: r for r in table.rules}
    return [
        (c.name, _of_check(table, c, rules.get(c.name)), c.severity, str(c.dimension))
        for c in row_checks(table)
    ]


def _of_check(table: Table, check: Check, rule: Rule | None) -> ExpressedRule | UnexpressedRule:
    if rule is not None:
        return _of_expression(rule, table)
    if table.key and check.name == f"{'+'.join(table.key)}.unique":
        return _unique(table.key)
    if check.name.endswith(".references"):
        (target,) = (r for r in table.references if r.column == check.column)
        return UnexpressedRule(
            f"GX on Spark sees one table, and every value must be a {target.to_column} of {target.table}"
        )
    kind = check.name.rpartition(".")[2]
    if check.column in table.names and kind in _OF_FIELD:
        return _OF_FIELD[kind](table[check.column or ""])
    return UnexpressedRule(_UNSAID.get(kind, "GX has no expectation for it"))


def _not_null(f: Field) -> ExpressedRule:
    if not f.max_missing_pct:
        return ExpressedRule("expect_column_values_to_not_be_null", {"column": f.name})
    least = float(1 - Fraction(str(f.max_missing_pct)) / 100)
    return ExpressedRule(
        "expect_column_proportion_of_non_null_values_to_be_between",
        {"column": f.name, "min_value": least, "strict_min": True},
    )


def _finite(f: Field) -> ExpressedRule:
    largest = LARGEST[f.spark_type]
    return ExpressedRule(
        "expect_column_values_to_be_between", {"column": f.name, "min_value": -largest, "max_value": largest}
    )


def _range(f: Field) -> ExpressedRule:
    bounds = {"min_value": f.minimum, "max_value": f.maximum}
    return ExpressedRule(
        "expect_column_values_to_be_between",
        {"column": f.name, **{k: v for k, v in bounds.items() if v is not None}},
    )


def _free_of(f: Field, pattern: str) -> ExpressedRule:
    return ExpressedRule("expect_column_values_to_not_match_regex", {"column": f.name, "regex": pattern})


_OF_FIELD: Mapping[str, Callable[[Field], ExpressedRule]] = {
    "not_null": _not_null,
    "finite": _finite,
    "range": _range,
    "allowed": lambda f: ExpressedRule(
        "expect_column_values_to_be_in_set", {"column": f.name, "value_set": list(f.allowed)}
    ),
    "pattern": lambda f: ExpressedRule(
        "expect_column_values_to_match_regex", {"column": f.name, "regex": f.pattern}
    ),
    "valid_utf8": lambda f: _free_of(f, LOST),
    "printable": lambda f: _free_of(f, INVISIBLE),
    "trimmed": lambda f: _free_of(f, OUTER_BLANK),
    "no_control": lambda f: _free_of(f, CONTROL),
    "not_blank": lambda f: _free_of(f, BLANK),
    "short": lambda f: ExpressedRule(
        "expect_column_value_lengths_to_be_between", {"column": f.name, "max_value": LONGEST_KEY}
    ),
}


def _unique(key: tuple[str, ...]) -> ExpressedRule:
    if len(key) == 1:
        return ExpressedRule("expect_column_values_to_be_unique", {"column": key[0]})
    return ExpressedRule(
        "expect_compound_columns_to_be_unique",
        {"column_list": list(key), "ignore_row_if": "any_value_is_missing"},
    )


def _of_expression(rule: Rule, table: Table) -> ExpressedRule:
    """Express a comparison of two columns as an expectation about the pair, which GX can sample; anything
    else as a query for what breaks it.
    """
    match = _COMPARED.match(rule.expression)
    names = {n.lower(): n for n in table.names}
    pair = [names.get(match[side].strip("`").lower()) for side in "ab"] if match else [None]
    if match is not None and None not in pair:
        a, b = pair if match["op"].startswith((">", "=")) else pair[::-1]
        columns = {"column_A": a, "column_B": b, "ignore_row_if": "either_value_is_missing"}
        if match["op"] in ("=", "=="):
            return ExpressedRule("expect_column_pair_values_to_be_equal", columns)
        return ExpressedRule(
            "expect_column_pair_values_a_to_be_greater_than_b",
            {**columns, "or_equal": match["op"].endswith("=")},
        )
    condition = rule.expression.replace("{", "{{").replace("}", "}}")
    query = f"SELECT * FROM {{batch}} WHERE NOT ({condition})"  # noqa: S608 (a query that is written down, not run)
    return ExpressedRule("unexpected_rows_expectation", {"unexpected_rows_query": query}, rule.description)


def _of_gates(table: Table) -> list[Line]:
    return [(g.name, _of_gate(g), g.severity, str(g.dimension)) for g in table.gates]


def _of_gate(g: Gate) -> ExpressedRule | UnexpressedRule:
    bounds = {
        "min_value": g.minimum,
        "max_value": g.maximum,
        "strict_min": g.above or None,
        "strict_max": g.below or None,
    }
    limits = {k: v for k, v in bounds.items() if v is not None}
    if g.measure == "row_count":
        return ExpressedRule("expect_table_row_count_to_be_between", limits)
    if g.measure == "mean":
        return ExpressedRule("expect_column_mean_to_be_between", {"column": g.column, **limits})
    if g.measure == "quantile" and not (g.above or g.below):
        ranges = {"quantiles": [g.argument], "value_ranges": [[g.minimum, g.maximum]]}
        return ExpressedRule(
            "expect_column_quantile_values_to_be_between", {"column": g.column, "quantile_ranges": ranges}
        )
    return UnexpressedRule(_UNSAID.get(g.measure, "GX has no expectation for it"))
