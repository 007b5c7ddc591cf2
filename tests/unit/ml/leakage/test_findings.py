"""What becomes of findings under each policy, and the findings that need no Spark."""

from __future__ import annotations

from datetime import date

import numpy as np
import pytest

from engage_spark.errors import GateError
from engage_spark.ml.feature_spec import LeakPolicy
from engage_spark.ml.leakage.findings import (
    DuplicateCounts,
    LeakFinding,
    LeakLimits,
    _of_binary,
    audit_outcome,
    duplicate_findings,
    leak_error,
    time_findings,
    twin_findings,
)
from tests.unit.ml.leakage.test_target_histogram import histogram


def finding(check: str, *, stops: bool, policy: LeakPolicy | None = None) -> LeakFinding:
    return LeakFinding(
        check=check,
        columns=("c",),
        measured=1.0,
        limit=0.5,
        stops=stops,
        explanation=f"{check}!",
        hint="do",
        policy=policy,
    )


FINDINGS = (
    finding("soft", stops=False),
    finding("hard", stops=True),
    finding("theirs", stops=True, policy=LeakPolicy.PERMISSIVE),
    finding("ours", stops=True, policy=LeakPolicy.STRICT),
)


def test_strict_stops_and_tells_the_reasons() -> None:
    outcome = audit_outcome(FINDINGS, LeakPolicy.STRICT)
    assert outcome.stops
    assert outcome.lines == (
        "hard: hard! Hint: do.",
        "ours: ours! Hint: do.",
    )


def test_permissive_warns_of_everything_and_stops_nothing() -> None:
    outcome = audit_outcome(FINDINGS, LeakPolicy.PERMISSIVE)
    assert not outcome.stops
    assert [line.split(":")[0] for line in outcome.lines] == ["soft", "hard", "theirs"]


def test_warnings_alone_stop_nothing_under_strict() -> None:
    outcome = audit_outcome(FINDINGS[:1], LeakPolicy.STRICT)
    assert not outcome.stops and len(outcome.lines) == 1


def test_the_refusal_names_every_reason_at_once_and_the_mend() -> None:
    error = leak_error(FINDINGS)
    assert isinstance(error, GateError) and error.exit_code == 3
    assert error.details == ("hard: hard! Hint: do.", "ours: ours! Hint: do.")
    assert "2 reasons" in error.message and "permissive" in (error.hint or "")


def duplicate_counts(**counts: int) -> DuplicateCounts:
    return DuplicateCounts(
        **({"keys": 1000, "groups": 0, "repeated": 0, "across": 0, "twice": 0, "split_keys": 0} | counts)
    )


def found(**counts: int) -> list[LeakFinding]:
    return duplicate_findings(duplicate_counts(**counts), ["key"], LeakLimits(), chance=0.5)


@pytest.mark.parametrize(("parted", "stops"), [(10, False), (11, True)])
def test_more_than_one_parted_duplicate_in_a_hundred_stops(parted: int, stops: bool) -> None:
    (finding,) = found(repeated=400, groups=50, across=8, parted=parted, labelled=8)
    assert (finding.check, finding.stops, finding.measured) == ("duplicates", stops, parted / 1000)
    assert "8 of 50 such groups are in" in finding.explanation
    assert finding.hint.startswith("delete the table splits: the next training draws it anew")
    (one,) = found(repeated=1, groups=1, across=1, parted=1, labelled=1)
    assert "1 of 1 such group is in" in one.explanation


@pytest.mark.parametrize(("labelled", "differ", "stops"), [(80, 20, True), (80, 21, False), (5, 0, False)])
def test_rows_that_are_alike_by_chance_stop_nothing(labelled: int, differ: int, stops: bool) -> None:
    """Of 80 groups 40 differ in their labels by chance; of 5 too few to tell."""
    (finding,) = found(repeated=400, groups=90, across=80, parted=300, labelled=labelled, differ=differ)
    assert finding.stops is stops
    assert ("so that they are alike by chance" in finding.explanation) is (differ == 21)
    assert ("too few" in finding.explanation) is (labelled == 5)


def test_duplicates_on_one_side_are_a_note_whatever_their_share() -> None:
    (note,) = found(repeated=400, groups=5)
    assert (note.check, note.stops, note.measured) == ("duplicates", False, 0.4)
    assert "400 of 1,000" in note.explanation and "in one split and one fold" in note.explanation
    assert "table splits" not in note.hint, "nothing is to be drawn anew"


def test_common_profiles_are_counted_and_stop_nothing() -> None:
    (note,) = found(common=900, profiles=1)
    assert (note.check, note.stops, note.measured) == ("common profiles", False, 0.9)
    assert "900 of 1,000 rows" in note.explanation and "(1 common profile)" in note.explanation


def test_a_key_twice_and_a_key_on_split_keys_stop_from_the_first_on() -> None:
    findings = found(twice=1, split_keys=1)
    assert [(f.check, f.stops) for f in findings] == [("key held twice", True), ("in several splits", True)]
    assert found() == []


def test_the_windows_of_days_trained_on_must_be_over_on_the_day_tested_on() -> None:
    trained = (date(2025, 1, 1), date(2025, 1, 30))
    (finding,) = time_findings("left", trained=trained, label_days=30, tested=date(2025, 2, 28))
    assert (finding.check, finding.target, finding.measured, finding.stops) == (
        "time overlap",
        "left",
        1.0,
        True,
    )
    assert time_findings("left", trained=trained, label_days=30, tested=date(2025, 3, 1)) == []
    assert time_findings("left", trained=trained, label_days=30, tested=None) == []
    (finding,) = time_findings("value", trained=trained, label_days=0, tested=date(2025, 1, 29))
    assert finding.measured == 1.0


def test_twins_are_told_and_stop_nothing() -> None:
    (findings,) = twin_findings([("age", "band", 5)])
    assert findings.columns == ("age", "band") and not findings.stops and "5 values" in findings.explanation


def test_a_strong_honest_feature_stops_no_training() -> None:
    """Its highest values go with the rarer class in 95% of the rows; the highest of many thresholds, in few
    rows, with all of them.
    """
    rng, stopped, warned = np.random.default_rng(7), 0, 0
    for _ in range(200):
        x = np.round(rng.uniform(0, 50, 600))
        y = (rng.random(600) < np.minimum(0.95, 1 / (1 + np.exp(-(x - 32) / 6)))).astype(float)
        breach = _of_binary(histogram(x, y), LeakLimits())
        stopped += breach is not None and breach.stops
        warned += breach is not None and not breach.stops
    assert stopped <= 10 and warned >= 20


@pytest.mark.parametrize(("rows", "stops"), [(200, True), (60, False)])
def test_a_threshold_that_settles_the_label_stops_where_the_rows_can_show_it(rows: int, stops: bool) -> None:
    rng = np.random.default_rng(8)
    x, y = rng.integers(0, 30, 1500).astype(float), (rng.random(1500) < 0.25).astype(float)
    x[:rows], y[:rows] = 40.0, 1.0
    breach = _of_binary(histogram(x, y), LeakLimits())
    assert breach is not None and breach.stops is stops
    assert breach.check == ("label proxy" if stops else "label-like")
    assert ("no more than 8" in breach.explanation) is not stops
