"""Decide from counts which rules held, and whether the snapshot may be published.

Exact arithmetic, no Spark job.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from fractions import Fraction

from engage_spark.contract import Gate, Severity, Table, describe_gate
from engage_spark.quality.checks.row_checks import Check
from engage_spark.quality.stats.column_stats import ColumnStats, Sketch, exact_bin_label


@dataclass(frozen=True, kw_only=True)
class RuleCount:
    """One line of quality_results: what was demanded, how often it was broken, whether that is tolerated.

    `measured`, `minimum` and `maximum` are in `unit`: percent of rows for a check, the gate's own for a gate.
    `measured` is None where there was nothing to measure, and then the gate is not passed. `samples` are
    values that broke it, some of them masked.
    """

    rule_name: str
    column_name: str | None
    severity: str
    dimension: str
    description: str
    rows_checked: int
    violations: int
    measured: float | None
    minimum: float | None
    maximum: float | None
    unit: str
    passed: bool
    samples: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class TableCounts:
    """Exact counts of one checked table: all rows, the quarantined ones, and rows per broken rule; the states
    of the columns over the valid rows; how many of their values lie `below` the cuts of quantile gates
    (see `count_columns`).

    `landed_at` is when the delivery came, `previous_rows` how many rows came in with the published day
    before.
    """

    rows: int
    quarantined: int
    broken: Mapping[str, int]
    columns: Mapping[str, ColumnStats] = field(default_factory=dict)
    below: Mapping[tuple[str, float | Fraction], tuple[int, int]] = field(default_factory=dict)
    samples: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    sketches: Mapping[str, Sketch] = field(default_factory=dict)
    snapshot_date: date | None = None
    landed_at: datetime | None = None
    previous_rows: int | None = None

    @property
    def valid(self) -> int:
        return self.rows - self.quarantined


@dataclass(frozen=True, kw_only=True)
class GateResults:
    """All rule counts of a snapshot, and the critical gates among them that it broke.

    Published only when none is.
    """

    counts: tuple[RuleCount, ...]
    failed_gates: tuple[RuleCount, ...]

    @property
    def publishable(self) -> bool:
        return not self.failed_gates


@dataclass(frozen=True)
class GateMeasurement:
    """What a gate measured, exactly, and the rows or cells that count against it; for a quantile, whether it
    lies within its bounds.
    """

    value: Fraction | None
    against: int = 0
    held: bool | None = None


def evaluate_gates(counts: TableCounts, table: Table, checks: tuple[Check, ...]) -> GateResults:
    """Evaluate counts against the contract.

    A field's missing share must stay strictly below its bound; a gate says itself which side is in.

    Bounds are compared as exact fractions: 99.8% of 1,000 cells passes with 2 missing and fails with 3. An
    empty table breaks every gate that bounds it from below, because a share of nothing is not a share, and
    every gate on a mean, a quantile or its newest event.
    """
    rule_counts = [_count(counts, table, check) for check in checks]
    gates = [(gate, _gate(counts, table, gate)) for gate in table.gates]
    failed = tuple(count for gate, count in gates if not count.passed and gate.severity is Severity.CRITICAL)
    return GateResults(counts=(*rule_counts, *(count for _, count in gates)), failed_gates=failed)


def percent(part: int, whole: int) -> float:
    """Return `part` of `whole` in percent; 0.0 of nothing."""
    return float(Fraction(100 * part, whole)) if whole else 0.0


def cuts_of(table: Table) -> dict[str, tuple[float, ...]]:
    """Return the values that quantile gates need counted, by column."""
    cuts: dict[str, list[float]] = {}
    for g in table.gates:
        if g.measure == "quantile" and g.column:
            cuts.setdefault(g.column, []).extend(x for x in (g.minimum, g.maximum) if x is not None)
    return {column: tuple(values) for column, values in cuts.items()}


def _count(counts: TableCounts, table: Table, check: Check) -> RuleCount:
    broken = counts.broken.get(check.name, 0)
    bound = table[check.column].max_missing_pct if check.column and check.name.endswith(".not_null") else None
    tolerated = broken == 0 or (
        bound is not None and Fraction(100 * broken, counts.rows) < Fraction(str(bound))
    )
    return RuleCount(
        rule_name=check.name,
        column_name=check.column,
        severity=check.severity.value,
        dimension=check.dimension.value,
        description=check.description,
        rows_checked=counts.rows,
        violations=broken,
        measured=percent(broken, counts.rows),
        unit="percent",
        minimum=None,
        maximum=0.0 if bound is None else float(bound),
        passed=tolerated,
        samples=counts.samples.get(check.name, ()),
    )


def _gate(j: TableCounts, table: Table, gate: Gate) -> RuleCount:
    measurement = _MEASURES[gate.measure](j, table, gate)
    return RuleCount(
        rule_name=gate.name,
        column_name=gate.column,
        severity=gate.severity.value,
        dimension=gate.dimension.value,
        description=gate.description or describe_gate(gate),
        rows_checked=j.rows,
        violations=measurement.against,
        measured=None if measurement.value is None else float(measurement.value),
        unit=gate.unit,
        minimum=None if gate.minimum is None else float(gate.minimum),
        maximum=None if gate.maximum is None else float(gate.maximum),
        passed=_within(measurement.value, gate) if measurement.held is None else measurement.held,
    )


def _as_written(bound: float) -> Fraction:
    return Fraction(str(bound))


def _as_double(bound: float) -> Fraction:
    return Fraction(float(bound))


def _within(value: Fraction | None, gate: Gate, bound: Callable[[float], Fraction] = _as_written) -> bool:
    if value is None:
        return False
    low = None if gate.minimum is None else bound(gate.minimum)
    high = None if gate.maximum is None else bound(gate.maximum)
    above = low is None or (value > low if gate.above else value >= low)
    below = high is None or (value < high if gate.below else value <= high)
    return above and below


def _completeness(j: TableCounts, table: Table, _: Gate) -> GateMeasurement:
    cells = j.rows * len(table.fields)
    missing = sum(j.broken.get(f"{f.name}.not_null", 0) for f in table.fields)
    return GateMeasurement(Fraction(100 * (cells - missing), cells) if cells else Fraction(0), missing)


def _quarantine_share(j: TableCounts, _: Table, __: Gate) -> GateMeasurement:
    return GateMeasurement(Fraction(100 * j.quarantined, j.rows) if j.rows else Fraction(0), j.quarantined)


def _row_count(j: TableCounts, _: Table, __: Gate) -> GateMeasurement:
    return GateMeasurement(Fraction(j.rows))


def _row_count_change(j: TableCounts, _: Table, __: Gate) -> GateMeasurement:
    """Percent of the rows of the published day before that came in more, or less; the first day holds."""
    if j.previous_rows is None:
        return GateMeasurement(None, held=True)
    if not j.previous_rows:
        return GateMeasurement(None, held=j.rows == 0)
    return GateMeasurement(Fraction(100 * (j.rows - j.previous_rows), j.previous_rows))


def _mean(j: TableCounts, table: Table, gate: Gate) -> GateMeasurement:
    """Exact. A bound of whole numbers and decimals is the number as it is written; of doubles, the double
    next to it: the mean of 0.1, 0.1, 0.1 is 0.1.
    """
    state = j.columns.get(gate.column or "")
    if state is None:
        return GateMeasurement(None)
    is_floating = any(f.name == gate.column and f.is_floating for f in table.fields)
    return GateMeasurement(
        state.mean, held=_within(state.mean, gate, _as_double if is_floating else _as_written)
    )


def _share(j: TableCounts, _: Table, gate: Gate) -> GateMeasurement:
    state = j.columns.get(gate.column or "")
    share = state.share(exact_bin_label(gate.argument)) if state else None
    return GateMeasurement(None if share is None else 100 * share)


def _quantile(j: TableCounts, _: Table, gate: Gate) -> GateMeasurement:
    """Decided by counting, without a sketch: the q-quantile is at most u exactly when at least ⌈q·n⌉ of n
    values are at most u.

    What is told is the share at or below the upper bound (or below the lower one where that is all there is),
    in percent.
    """
    state = j.columns.get(gate.column or "")
    if state is None or not state.filled:
        return GateMeasurement(None)
    rank = math.ceil(Fraction(str(gate.argument)) * state.filled)
    held, share = True, Fraction(0)
    if gate.minimum is not None:
        less, at_most = j.below[gate.column or "", gate.minimum]
        held &= (at_most if gate.above else less) < rank
        share = Fraction(100 * less, state.filled)
    if gate.maximum is not None:
        less, at_most = j.below[gate.column or "", gate.maximum]
        held &= (less if gate.below else at_most) >= rank
        share = Fraction(100 * at_most, state.filled)
    return GateMeasurement(share, held=held)


def _latency(j: TableCounts, table: Table, gate: Gate) -> GateMeasurement:
    """Minutes from the newest valid event to the landing.

    An event after the landing is quarantined by a check of its own.
    """
    events = j.columns.get(table.event_time or "")
    newest = events.maximum if events else None
    if newest is None or j.landed_at is None:
        return GateMeasurement(None)
    landed = (j.landed_at - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
    minutes = Fraction(landed - int(newest), 60_000_000)
    return GateMeasurement(minutes, held=minutes >= 0 and _within(minutes, gate))


def _freshness(j: TableCounts, _: Table, gate: Gate) -> GateMeasurement:
    """Hours from the day described to the day of landing, in whole days.

    Yesterday's snapshot is 24 hours old; tomorrow's is refused.
    """
    if j.snapshot_date is None or j.landed_at is None or not j.rows:
        return GateMeasurement(None)
    hours = Fraction(24 * (j.landed_at.date() - j.snapshot_date).days)
    return GateMeasurement(hours, held=hours >= 0 and _within(hours, gate))


_MEASURES: Mapping[str, Callable[[TableCounts, Table, Gate], GateMeasurement]] = {
    "completeness": _completeness, "quarantine_share": _quarantine_share, "row_count": _row_count,
    "row_count_change": _row_count_change,
    "mean": _mean, "share": _share,
    "quantile": _quantile, "latency": _latency, "freshness": _freshness,
}  # fmt: skip


def worst_rules(counts: Sequence[RuleCount], most: int) -> list[RuleCount]:
    """Return the rules that most rows broke."""
    return sorted((c for c in counts if c.violations), key=lambda c: -c.violations)[:most]
