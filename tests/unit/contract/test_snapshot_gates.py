"""Gates on the whole snapshot: means, shares, quantiles, rows, latency, freshness; exact on their bounds."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from fractions import Fraction
from typing import Any

import pytest
from open_data_contract_standard.model import DataQuality

from engage_spark.contract import Field, Gate, Role, Severity, Table, TableKind
from engage_spark.contract.snapshot_gates import table_gates
from engage_spark.quality import ColumnStats, RuleCount, TableCounts, evaluate_gates

LANDED = datetime(2025, 10, 22, 0, 30, tzinfo=UTC)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def field(name: str, **more: Any) -> Field:
    return Field(
        name=name, logical_type="number", spark_type="double", description=name, role=Role.FEATURE, **more
    )


def log_of(*gates: Gate) -> Table:
    return Table(
        name="events",
        kind=TableKind.LOG,
        description="",
        fields=(field("at"), field("x")),
        gates=gates,
        event_time="at",
    )


def state(column: str, *values: float, **more: Any) -> ColumnStats:
    facts = {
        "rows": len(values),
        "total": sum(map(Fraction, values), Fraction(0)),
        "bins": {"any": len(values)},
    } | more
    return ColumnStats(
        column=column,
        binning="b",
        labels=("any",),
        minimum=min(values, default=None),
        maximum=max(values, default=None),
        **facts,
    )


def decided(gate: Gate, judgement: TableCounts) -> RuleCount:
    (count,) = evaluate_gates(judgement, log_of(gate), ()).counts
    return count


def judgement(rows: int = 3, **more: Any) -> TableCounts:
    return TableCounts(rows=rows, quarantined=0, broken={}, **more)


LATENCY = Gate(
    name="under_an_hour", measure="latency", maximum=60, below=True, unit="minutes", severity=Severity.WARNING
)


@pytest.mark.parametrize(
    ("age", "held"),
    [
        (timedelta(0), True),
        (timedelta(minutes=59, seconds=59), True),
        (timedelta(minutes=59, seconds=59, microseconds=999_999), True),
        (timedelta(minutes=60), False),
        (timedelta(days=400), False),
        (timedelta(microseconds=-1), False),
    ],
)
def test_a_latency_of_59_59_passes_and_60_00_fails_and_so_does_the_future(age: timedelta, held: bool) -> None:
    newest = (LANDED - age - EPOCH) // timedelta(microseconds=1)
    count = decided(LATENCY, judgement(columns={"at": state("at", newest)}, landed_at=LANDED))
    assert count.passed is held
    assert count.measured == pytest.approx(age.total_seconds() / 60)


def test_a_log_without_a_valid_event_has_no_latency_and_fails() -> None:
    count = decided(LATENCY, judgement(rows=0, columns={"at": state("at")}, landed_at=LANDED))
    assert (count.passed, count.measured) == (False, None)


FRESH = Gate(name="daily", measure="freshness", maximum=24, unit="hours")


@pytest.mark.parametrize(
    ("day", "hours", "held"),
    [
        (date(2025, 10, 22), 0, True),
        (date(2025, 10, 21), 24, True),
        (date(2025, 10, 20), 48, False),
        (date(2025, 10, 23), -24, False),
    ],
)
def test_yesterdays_snapshot_is_fresh_and_an_older_one_or_tomorrows_is_not(
    day: date, hours: int, held: bool
) -> None:
    count = decided(FRESH, judgement(snapshot_date=day, landed_at=LANDED))
    assert (count.passed, count.measured) == (held, hours)


def test_an_empty_snapshot_is_never_fresh() -> None:
    count = decided(FRESH, judgement(rows=0, snapshot_date=date(2025, 10, 22), landed_at=LANDED))
    assert (count.passed, count.measured) == (False, None)


def test_a_mean_on_its_bound_passes_and_beside_it_fails() -> None:
    """0.1 has no binary form: the bound is the decimal that was written, the mean the exact one of the
    doubles.
    """
    gate = Gate(name="m", measure="mean", column="x", minimum=0.5, maximum=2.0, unit="value")
    for values, held in (
        ((1.0, 3.0), True),
        ((1.0, 3.0000000000000004), False),
        ((0.5,), True),
        ((0.49999999999999994,), False),
    ):
        assert decided(gate, judgement(columns={"x": state("x", *values)})).passed is held, values


def test_a_mean_of_nothing_is_not_near_anything() -> None:
    gate = Gate(name="m", measure="mean", column="x", minimum=-1e9, maximum=1e9, unit="value")
    count = decided(gate, judgement(columns={"x": state("x", rows=5, bins={"null": 5})}))
    assert (count.passed, count.measured) == (False, None)


@pytest.mark.parametrize(("urban", "held"), [(58, True), (57, False), (62, True), (63, False)])
def test_a_share_is_of_what_is_filled_and_its_bounds_are_inclusive(urban: int, held: bool) -> None:
    gate = Gate(name="s", measure="share", column="x", argument="Urban", minimum=58.0, maximum=62.0)
    places = ColumnStats(
        column="x",
        binning="b",
        labels=("Urban", "Rural"),
        rows=120,
        bins={"Urban": urban, "Rural": 100 - urban, "null": 20},
    )
    count = decided(gate, judgement(rows=120, columns={"x": places}))
    assert (count.passed, count.measured) == (held, urban)


@pytest.mark.parametrize(
    ("below", "at_most", "strict", "held"),
    [
        # 99 of 100 lie at or below the bound, so the 0.99 quantile is at most the bound
        (98, 99, False, True),
        (98, 98, False, False),
        (98, 99, True, False),  # but it is the bound itself, which a strict one excludes
        (99, 100, True, True),
    ],
)
def test_a_quantile_is_decided_by_counting(below: int, at_most: int, strict: bool, held: bool) -> None:
    gate = Gate(
        name="q", measure="quantile", column="x", argument=0.99, maximum=150.0, below=strict, unit="value"
    )
    hundred = state("x", rows=100, bins={"any": 100})
    count = decided(gate, judgement(rows=100, columns={"x": hundred}, below={("x", 150.0): (below, at_most)}))
    assert (count.passed, count.measured) == (held, at_most)


@pytest.mark.parametrize(
    ("less", "at_most", "strict", "held"),
    [(9, 12, False, True), (10, 12, False, False), (9, 10, True, False), (5, 9, True, True)],
)
def test_the_lower_bound_of_a_quantile_is_decided_by_counting_too(
    less: int, at_most: int, strict: bool, held: bool
) -> None:
    gate = Gate(
        name="q", measure="quantile", column="x", argument=0.1, minimum=2.0, above=strict, unit="value"
    )
    hundred = state("x", rows=100, bins={"any": 100})
    assert (
        decided(gate, judgement(rows=100, columns={"x": hundred}, below={("x", 2.0): (less, at_most)})).passed
        is held
    )


@pytest.mark.parametrize(("rows", "held"), [(0, False), (1, True)])
def test_an_empty_table_fails_a_row_count_above_zero(rows: int, held: bool) -> None:
    gate = Gate(name="not_empty", measure="row_count", minimum=0, above=True, unit="rows")
    assert decided(gate, judgement(rows=rows)).passed is held


def test_only_a_critical_gate_rejects() -> None:
    gate = Gate(name="few", measure="row_count", maximum=1, unit="rows")
    for severity, publishable in (
        (Severity.CRITICAL, False),
        (Severity.WARNING, True),
        (Severity.INFO, True),
    ):
        verdict = evaluate_gates(judgement(rows=2), log_of(replace(gate, severity=severity)), ())
        assert (verdict.counts[0].passed, verdict.publishable) == (False, publishable)


@pytest.mark.parametrize(
    ("operator", "share", "found", "held"),
    [
        ("mustBeLessThan", 1.0, 100, True),
        ("mustBeLessThan", 1.0, 98, False),
        ("mustBeLessOrEqualTo", 1.0, 98, True),
        ("mustBeLessThan", 0.01, 0, True),
        ("mustBeLessThan", 0.5, 52, False),
        ("mustBeLessThan", 0.5, 51, True),
    ],
)
def test_a_share_near_0_or_100_percent_may_reach_it(
    operator: str, share: float, found: int, held: bool
) -> None:
    near = DataQuality(
        type="custom",
        engine="engage_spark",
        implementation="reference_shares",
        unit="percent",
        name="near",
        **{operator: 2},
    )
    problems: list[str] = []
    (gate,) = table_gates(
        near, (field("x", allowed=("yes",), reference_shares=(("yes", share),)),), "here", problems
    )
    places = ColumnStats(
        column="x", binning="b", labels=("yes",), rows=100, bins={"yes": found, "other": 100 - found}
    )
    assert (decided(gate, judgement(rows=100, columns={"x": places})).passed, problems) == (held, [])


CHANGE = Gate(name="c", measure="row_count_change", minimum=-50.0, maximum=25.0, unit="percent")


@pytest.mark.parametrize(
    ("previous", "rows", "measured", "held"),
    [
        (100, 100, 0.0, True),
        (100, 50, -50.0, True),
        (100, 49, -51.0, False),
        (100, 125, 25.0, True),
        (3, 4, 100 / 3, False),
        (100, 0, -100.0, False),
        (None, 7, None, True),
        (0, 7, None, False),
        (0, 0, None, True),
    ],
)
def test_the_row_count_is_held_against_the_day_before_and_the_first_day_holds(
    previous: int | None, rows: int, measured: float | None, held: bool
) -> None:
    count = decided(CHANGE, judgement(rows, previous_rows=previous))
    assert (count.passed, count.measured) == (held, measured)


@pytest.mark.parametrize(
    ("entry", "problem"),
    [
        ({"mustBeBetween": [-10, 25], "unit": "percent"}, None),
        ({"mustBeGreaterOrEqualTo": -100, "unit": "percent"}, None),
        ({"mustBeLessThan": 900, "unit": "percent"}, None),
        ({"mustBeBetween": [-101, 25], "unit": "percent"}, "cannot be less than -100 percent"),
        ({"mustBeBetween": [-10, 25], "unit": "rows"}, "write unit: percent"),
        ({"unit": "percent"}, "needs"),
    ],
)
def test_the_change_of_the_row_count_is_read_strictly(entry: dict[str, Any], problem: str | None) -> None:
    problems: list[str] = []
    quality = DataQuality(type="custom", engine="engage_spark", implementation="row_count_change", **entry)
    gates = table_gates(quality, (), "here", problems)
    assert (problems == []) if problem is None else any(problem in p for p in problems)
    assert [g.measure for g in gates] == ["row_count_change"]
