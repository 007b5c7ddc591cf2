"""From counts to a decision: which rules held, and whether the snapshot may be published. Exact integer arithmetic, no Spark."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction

from engage_spark.contract import Gate, Table
from engage_spark.quality.checks import Check


@dataclass(frozen=True, kw_only=True)
class RuleCount:
    """One line of quality_results: what was demanded, how often it was broken, whether that is tolerated.

    `measured` and `threshold` are percents: of rows for a check, of the gate's own measure for a gate.
    """

    rule_name: str
    column_name: str | None
    severity: str
    dimension: str
    description: str
    rows_checked: int
    violations: int
    measured: float
    threshold: float | None
    passed: bool


@dataclass(frozen=True, kw_only=True)
class Judgement:
    """Exact counts of one judged table: all rows, the quarantined ones, and rows per broken rule."""

    rows: int
    quarantined: int
    broken: Mapping[str, int]

    @property
    def valid(self) -> int:
        return self.rows - self.quarantined


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """All rule counts of a snapshot, and the gates among them that it broke. Published only when none is."""

    counts: tuple[RuleCount, ...]
    failed_gates: tuple[RuleCount, ...]

    @property
    def publishable(self) -> bool:
        return not self.failed_gates


def assess(judgement: Judgement, table: Table, checks: tuple[Check, ...]) -> Verdict:
    """Hold counts against the contract. A field's missing share must stay strictly below its bound, a gate's bound is inclusive.

    Percent bounds are compared as exact fractions: 99.8% of 1,000 cells passes with 2 missing and fails with 3.
    An empty table breaks every gate that bounds it from below, because a share of nothing is not a share.
    """
    counts = [_count(judgement, table, check) for check in checks]
    gates = [_gate(judgement, table, gate) for gate in table.gates]
    return Verdict(counts=(*counts, *gates), failed_gates=tuple(g for g in gates if not g.passed))


def percent(part: int, whole: int) -> float:
    """`part` of `whole` in percent; 0.0 of nothing."""
    return float(Fraction(100 * part, whole)) if whole else 0.0


def _count(j: Judgement, table: Table, check: Check) -> RuleCount:
    broken = j.broken.get(check.name, 0)
    bound = table[check.column].max_missing_pct if check.column and check.name.endswith(".not_null") else None
    tolerated = broken == 0 or (bound is not None and Fraction(100 * broken, j.rows) < Fraction(str(bound)))
    return RuleCount(
        rule_name=check.name, column_name=check.column, severity=check.severity.value, dimension=check.dimension,
        description=check.description, rows_checked=j.rows, violations=broken, measured=percent(broken, j.rows),
        threshold=None if bound is None else float(bound),
        passed=tolerated,
    )  # fmt: skip


def _gate(j: Judgement, table: Table, gate: Gate) -> RuleCount:
    if gate.measure == "completeness":
        cells = j.rows * len(table.fields)
        missing = sum(j.broken.get(f"{f.name}.not_null", 0) for f in table.fields)
        part, whole, broken = cells - missing, cells, missing
    else:
        part, whole, broken = j.quarantined, j.rows, j.quarantined
    measured = Fraction(100 * part, whole) if whole else Fraction(0)
    low, high = gate.minimum_pct, gate.maximum_pct
    bound = low if low is not None else high
    passed = (low is None or measured >= Fraction(str(low))) and (high is None or measured <= Fraction(str(high)))
    return RuleCount(
        rule_name=gate.name, column_name=None, severity="critical", dimension=gate.measure, description=gate.description,
        rows_checked=j.rows, violations=broken, measured=float(measured),
        threshold=None if bound is None else float(bound), passed=passed,
    )  # fmt: skip
