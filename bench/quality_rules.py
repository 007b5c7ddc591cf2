"""The rules of the quality benchmark: those of the contract's customers that Great Expectations can say too,
in its words and in SQL.

Left out for everyone: `finite` (GX has no expectation about NaN), the text checks of the key, which its
pattern implies, and the gates on all cells and on quarantined rows. A missing value is a row that broke a
rule for everyone, not a share of the column.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from engage_spark.contract import Field, Gate, Table, load_contract

TABLE = load_contract().entity
PAIR = re.compile(r"^(\w+) <= (\w+)$")


@dataclass(frozen=True)
class Stated:
    """One rule. `sql` is true of a row that breaks it; None for what is not about one row."""

    name: str
    column: str
    type: str
    kwargs: dict[str, Any] = field(default_factory=dict)
    sql: str | None = None


def rules(table: Table = TABLE) -> list[Stated]:
    """All of them, by the names that our checks and gates have."""
    found = [one for f in table.fields for one in _of(f)]
    (key,) = table.key
    found.append(Stated(f"{key}.unique", key, "expect_column_values_to_be_unique", {"column": key}))
    for r in table.rules:
        if pair := PAIR.match(r.expression):
            columns = {
                "column_A": pair[2],
                "column_B": pair[1],
                "or_equal": True,
                "ignore_row_if": "either_value_is_missing",
            }
            found.append(
                Stated(
                    r.name,
                    pair[1],
                    "expect_column_pair_values_a_to_be_greater_than_b",
                    columns,
                    f"NOT ({r.expression})",
                )
            )
        else:
            query = f"SELECT * FROM {{batch}} WHERE NOT ({r.expression})"
            columns = {"unexpected_rows_query": query, "description": r.description}
            found.append(
                Stated(r.name, r.columns[0], "unexpected_rows_expectation", columns, f"NOT ({r.expression})")
            )
    return found + [_mean(g) for g in means(table)]


def means(table: Table = TABLE) -> list[Gate]:
    """The gates on means."""
    return [g for g in table.gates if g.measure == "mean"]


def _of(f: Field) -> list[Stated]:
    filled = {"column": f.name} | (
        {} if f.max_missing_pct is None else {"mostly": 1 - f.max_missing_pct / 100}
    )
    found = [
        Stated(
            f"{f.name}.not_null", f.name, "expect_column_values_to_not_be_null", filled, f"{f.name} IS NULL"
        )
    ]
    if f.minimum is not None:
        limits = {"column": f.name, "min_value": f.minimum, "max_value": f.maximum}
        sql = f"{f.name} < {f.minimum} OR {f.name} > {f.maximum}"
        found.append(Stated(f"{f.name}.range", f.name, "expect_column_values_to_be_between", limits, sql))
    if f.allowed:
        listed = ", ".join(repr(v) for v in f.allowed)
        allowed = {"column": f.name, "value_set": list(f.allowed)}
        found.append(
            Stated(
                f"{f.name}.allowed",
                f.name,
                "expect_column_values_to_be_in_set",
                allowed,
                f"{f.name} NOT IN ({listed})",
            )
        )
    if f.pattern:
        whole = f.pattern.removeprefix(r"\A").removesuffix(r"\z")
        sql = f"NOT regexp_full_match({f.name}, '{whole}')"
        matches = {"column": f.name, "regex": f.pattern}
        found.append(Stated(f"{f.name}.pattern", f.name, "expect_column_values_to_match_regex", matches, sql))
    return found


def _mean(g: Gate) -> Stated:
    limits = {"column": g.column, "min_value": g.minimum, "max_value": g.maximum}
    return Stated(g.name, g.column or "", "expect_column_mean_to_be_between", limits)
