"""The decision, from counts alone: exact at its boundaries."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import pytest

from engage_spark.contract import Field, Gate, Role, Table, TableKind
from engage_spark.quality import ColumnStats, GateResults, RuleCount, TableCounts, evaluate_gates, row_checks

COMPLETE = Gate(name="complete", measure="completeness", minimum=99.8, description="Filled cells.")
FEW_BAD = Gate(name="few_bad", measure="quarantine_share", maximum=1.0, description="Quarantined rows.")


def field(name: str, **more: object) -> Field:
    return Field(
        name=name, logical_type="integer", spark_type="int", description=name, role=Role.FEATURE, **more
    )  # type: ignore[arg-type]


TABLE = Table(
    name="things",
    kind=TableKind.ENTITY,
    description="Things.",
    fields=(
        field("k", key_position=1, required=True),
        field("a", max_missing_pct=0.2),
        field("b"),
        field("c"),
        field("d"),
    ),
    gates=(COMPLETE, FEW_BAD),
)


def verdict(rows: int, *, quarantined: int = 0, table: Table = TABLE, **broken: int) -> GateResults:
    counts = {name.replace("__", "."): n for name, n in broken.items()}
    return evaluate_gates(
        TableCounts(rows=rows, quarantined=quarantined, broken=counts), table, row_checks(table)
    )


def count(found: GateResults, name: str) -> RuleCount:
    (one,) = (c for c in found.counts if c.rule_name == name)
    return one


@pytest.mark.parametrize("rows", [100, 1_000, 12_300, 1_000_000, 3 * 10**12])
def test_exactly_99_8_percent_passes_and_one_null_more_fails(rows: int) -> None:
    missing = rows * 5 * 2 // 1000
    assert verdict(rows, b__not_null=missing).publishable
    one_more = verdict(rows, b__not_null=missing, c__not_null=1)
    assert [g.rule_name for g in one_more.failed_gates] == ["complete"]
    assert one_more.failed_gates[0].violations == missing + 1


def test_every_null_counts_for_completeness_whatever_its_column() -> None:
    assert not verdict(100, k__not_null=1, a__not_null=1).publishable
    assert verdict(100, k__not_null=1, a__range=7).publishable


@pytest.mark.parametrize(
    ("rows", "missing", "held"),
    [(1000, 1, True), (1000, 2, False), (1001, 2, True), (500, 1, False), (501, 1, True)],
)
def test_two_thousandths_missing_in_a_field_fails_and_just_below_passes(
    rows: int, missing: int, held: bool
) -> None:
    of_field = count(verdict(rows, a__not_null=missing), "a.not_null")
    assert (of_field.passed, of_field.maximum, of_field.violations) == (held, 0.2, missing)


def test_a_field_without_a_bound_tolerates_no_null_and_rejects_nothing() -> None:
    found = verdict(1000, b__not_null=1)
    assert not count(found, "b.not_null").passed
    assert found.publishable


@pytest.mark.parametrize(
    ("rows", "quarantined", "held"),
    [(100, 1, True), (1000, 10, True), (1000, 11, False), (99, 1, False), (7, 7, False)],
)
def test_a_quarantine_share_of_exactly_one_percent_passes(rows: int, quarantined: int, held: bool) -> None:
    assert verdict(rows, quarantined=quarantined).publishable is held


def test_an_empty_table_fails_its_completeness_gate_and_divides_by_nothing() -> None:
    found = verdict(0)
    assert [(g.rule_name, g.measured) for g in found.failed_gates] == [("complete", 0.0)]
    assert all(c.measured == 0.0 and c.rows_checked == 0 for c in found.counts)


def test_a_table_without_gates_is_always_published() -> None:
    assert verdict(10, quarantined=10, table=replace(TABLE, gates=())).publishable


def test_binary_fractions_do_not_blur_a_bound() -> None:
    """99.9 and 0.1 have no exact binary form; 1 of 1000 is exactly on both bounds."""
    table = replace(
        TABLE, fields=TABLE.fields[:1], gates=(replace(COMPLETE, minimum=99.9), replace(FEW_BAD, maximum=0.1))
    )
    assert verdict(1000, quarantined=1, table=table, k__not_null=1).publishable
    assert len(verdict(1000, quarantined=2, table=table, k__not_null=2).failed_gates) == 2


def test_whole_percents_are_told_as_fractions_too() -> None:
    """YAML gives 90 as an int, and a table's column of doubles takes none."""
    table = replace(
        TABLE,
        fields=(field("a", max_missing_pct=5),),
        gates=(replace(COMPLETE, minimum=90), replace(FEW_BAD, maximum=25)),
    )
    assert {
        type(b) for c in verdict(10, table=table).counts for b in (c.minimum, c.maximum) if b is not None
    } == {float}


def test_every_check_and_gate_gives_one_line_with_its_share() -> None:
    found = verdict(200, quarantined=1, k__not_null=1)
    assert len({c.rule_name for c in found.counts}) == len(found.counts) == len(row_checks(TABLE)) + 2
    assert (count(found, "k.not_null").measured, count(found, "k.not_null").passed) == (0.5, False)
    assert count(found, "few_bad").measured == 0.5
    assert count(found, "complete").measured == pytest.approx(99.9)


def mean_gate(kind: str, values: list[str], **bounds: float) -> bool:
    exact = [Fraction(float(v)) if kind == "double" else Fraction(v) for v in values]
    x = Field(name="x", logical_type="number", spark_type=kind, description="x", role=Role.FEATURE)
    gate = Gate(name="mean", measure="mean", column="x", **bounds)  # type: ignore[arg-type]
    n = len(exact)
    state = ColumnStats(column="x", binning="", labels=(), rows=n, total=sum(exact), bins={"any": n})
    table = replace(TABLE, fields=(x,), gates=(gate,))
    counts = TableCounts(rows=n, quarantined=0, broken={}, columns={"x": state})
    return evaluate_gates(counts, table, ()).publishable


@pytest.mark.parametrize("kind", ["double", "decimal(5,2)"])
def test_the_mean_of_tenths_is_a_tenth(kind: str) -> None:
    tenths = ["0.1", "0.1", "0.1"]
    assert mean_gate(kind, tenths, minimum=0.1, maximum=0.1)
    assert not mean_gate(kind, tenths, minimum=0.10000000000000002)
    assert not mean_gate(kind, tenths, maximum=0.09999999999999999)


def test_the_mean_of_decimals_is_exact_beyond_what_doubles_hold() -> None:
    big = ["9007199254740993"]
    assert mean_gate("decimal(20,0)", big, minimum=9007199254740993, maximum=9007199254740993)
    assert not mean_gate("decimal(20,0)", big, maximum=9007199254740992)
