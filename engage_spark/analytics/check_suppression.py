"""Decide which results of checks must not be shown, since they would tell of fewer than 20 customers.

Pure: whoever shows results of checks to people asks here (the report, tools that answer questions).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from engage_spark.contract import Contract, Severity, Table
from engage_spark.contract.analytics_spec import ClaimSpec
from engage_spark.contract.statements import ClaimKind
from engage_spark.numerics.suppression import hidden_groups, is_small

Row = Mapping[str, Any]
"""A row of `quality_results`."""


def gates_of_few(table: Table, results: Sequence[Row]) -> frozenset[str]:
    """Return the gates on means and shares that would tell of fewer than 20 rows: of so few in all, and
    shares of a column that stand for so few, or give such a one away.
    """
    gates = {g.name: g for g in table.gates if g.measure in ("mean", "share")}
    few, of_columns = set[str](), dict[str | None, dict[str | None, list[int]]]()
    wholes: dict[str | None, int] = {}
    for r in results:
        gate, n = gates.get(r["rule_name"]), r["rows_checked"]
        if gate is None or r["measured"] is None:
            continue
        few |= {gate.name} if is_small(n) else set()
        if gate.measure == "share":
            of_columns.setdefault(gate.column, {})[gate.name] = [round(r["measured"] / 100 * n)]
            wholes[gate.column] = n
    for column, shares in of_columns.items():
        rest = max(0, wholes[column] - sum(n for (n,) in shares.values()))
        few |= {name for name in hidden_groups(shares | {None: [rest]}) if name is not None}
    return frozenset(few)


def is_gate_of_few(contract: Contract, claim: ClaimSpec, row: Row) -> bool:
    """Return whether a row of `claims` is that of a gate whose figure tells of fewer than 20."""
    if claim.kind is not ClaimKind.GATE or claim.table is None:
        return False
    of_gate = {"rule_name": claim.rules[0][0], "rows_checked": row["n"], "measured": row["measured"]}
    return bool(gates_of_few(contract.table(claim.table), [of_gate]))


def rules_of_few(entity: Table, results: Sequence[Row]) -> frozenset[str]:
    """Return the rules that fewer than 20 customers broke who are in the lake nevertheless, or kept: they may
    be a segment that is hidden, such as those without a value. Whom a critical rule put aside is in none.
    """
    gates = {g.name for g in entity.gates}
    return frozenset(
        r["rule_name"]
        for r in results
        if r["rule_name"] not in gates
        and r["severity"] != Severity.CRITICAL
        and r["violations"] is not None
        and (is_small(r["violations"]) or is_small(r["rows_checked"] - r["violations"]))
    )
