"""When a model passes a gate, and when it becomes champion."""

from __future__ import annotations

from dataclasses import replace

import pytest

from engage_spark.ml.evaluation.bootstrap import Gain, Interval
from engage_spark.ml.evaluation.promotion import (
    GateAnswer,
    ModelGate,
    Rival,
    beats_baseline,
    covers,
    decide,
    is_calibrated,
    is_free_of_leaks,
)


def interval(value: float, low: float, high: float) -> Interval:
    return Interval(value=value, low=low, high=high, confidence=0.95, replicates=200)


def gain(low: float) -> Gain:
    return Gain(
        metric="auc",
        value=0.8,
        reference=0.7,
        gain=0.1,
        low=low,
        high=0.2,
        relative=0.1,
        probability=1.0,
        confidence=0.95,
        replicates=200,
    )


def gate(answer: GateAnswer) -> ModelGate:
    return ModelGate(name="baseline", demand="", measured="", answer=answer, rows=600, rows_needed=2400)


PASSED, FAILED, UNKNOWN = (gate(a) for a in (GateAnswer.SHOWN, GateAnswer.FAILED, GateAnswer.UNKNOWN))
SHOWN_AT, FAILED_AT, OPEN = GateAnswer.SHOWN, GateAnswer.FAILED, GateAnswer.UNKNOWN


@pytest.mark.parametrize(
    ("value", "low", "answer"), [(0.1, 0.01, SHOWN_AT), (0.1, 0.0, OPEN), (0.0, -0.01, FAILED_AT)]
)
def test_the_gain_over_the_baseline_must_be_above_nothing_with_confidence(
    value: float, low: float, answer: GateAnswer
) -> None:
    measured = replace(gain(low), gain=value)
    made = beats_baseline(interval(0.8, 0.7, 0.9), interval(0.7, 0.6, 0.8), measured, rows=600)
    assert made.answer is answer
    assert made.passed is (answer is SHOWN_AT)
    stood_in = beats_baseline(
        interval(0.8, 0.7, 0.9), interval(0.5, 0.5, 0.5), measured, rows=600, stand_in="predicts infinity"
    )
    assert stood_in.answer is (OPEN if answer is SHOWN_AT else answer), "the declared baseline is not beaten"
    assert "a constant stands in" in stood_in.demand and stood_in.rows_needed is None
    assert "against 0.5 of a constant" in stood_in.measured and "predicts infinity" in stood_in.measured


@pytest.mark.parametrize(
    ("low", "high", "answer"),
    [(0.0, 0.03, SHOWN_AT), (0.0, 0.031, OPEN), (0.03, 0.05, OPEN), (0.031, 0.05, FAILED_AT)],
)
def test_a_calibration_error_is_shown_or_failed_by_its_whole_interval(
    low: float, high: float, answer: GateAnswer
) -> None:
    assert is_calibrated(interval((low + high) / 2, low, high), rows=2000).answer is answer


def test_what_cannot_be_told_says_how_many_rows_would_tell() -> None:
    made = is_calibrated(interval(0.02, 0.0, 0.04), rows=2000)
    assert made.rows_needed == 8000, "twice as narrow takes four times as many rows"
    assert made.verdict == "cannot be told from 2,000 rows; about 8,000 would tell"
    assert is_calibrated(interval(0.03, 0.0, 0.04), rows=2000).rows_needed is None, "no number would"
    assert is_calibrated(interval(float("nan"), float("nan"), float("nan")), rows=9).answer is OPEN


@pytest.mark.parametrize(
    ("low", "high", "answer"),
    [(0.885, 0.95, SHOWN_AT), (0.8849, 0.95, OPEN), (0.8, 0.885, OPEN), (0.8, 0.8849, FAILED_AT)],
)
def test_coverage_is_held_against_the_promise_less_the_slack(
    low: float, high: float, answer: GateAnswer
) -> None:
    covered = {"all": interval((low + high) / 2, low, high)}
    assert covers(0.9, covered, rows={"all": 2000}).answer is answer


def test_a_class_that_is_not_covered_fails_though_all_rows_are() -> None:
    covered = {"all": interval(0.9, 0.89, 0.91), "labelled 1": interval(0.8, 0.75, 0.85)}
    made = covers(0.9, covered, rows={"all": 20_000, "labelled 1": 400})
    assert made.answer is FAILED_AT
    assert "labelled 1 80.0% [75.0%, 85.0%]" in made.measured
    covered["labelled 1"] = interval(0.9, 0.87, 0.93)
    made = covers(0.9, covered, rows={"all": 20_000, "labelled 1": 400})
    assert (made.answer, made.rows_needed) == (OPEN, 80_000), "in rows of both classes"


def test_the_first_model_that_passes_becomes_champion() -> None:
    first = decide([PASSED], None)
    assert (first.promoted, first.code, first.gain) == (True, "FirstChampion", None)
    refused = decide([PASSED, FAILED], None)
    assert (refused.promoted, refused.code) == (False, "GatesFailed")
    assert "baseline" in refused.reason


@pytest.mark.parametrize(("low", "promoted"), [(0.001, True), (0.0, False), (-0.1, False)])
def test_another_must_be_better_than_the_champion_with_confidence(low: float, promoted: bool) -> None:
    decision = decide([PASSED], Rival(name="version 3", gain=gain(low)))
    assert decision.promoted is promoted
    assert decision.code == ("BetterThanChampion" if promoted else "NotBetterThanChampion")
    assert decision.gain is not None and decision.gain.low == low
    assert "version 3" in decision.reason


def test_the_first_champion_may_be_provisional_and_says_so() -> None:
    first = decide([PASSED, UNKNOWN], None)
    assert (first.promoted, first.is_provisional, first.code) == (True, True, "FirstChampion")
    assert "provisional: baseline cannot be told from 600 rows; about 2,400 would tell" in first.reason
    assert not decide([PASSED], None).is_provisional


def test_a_provisional_model_never_takes_the_place_of_a_rival_whose_gates_are_shown() -> None:
    for more in ({"gain": gain(0.1)}, {}):
        decision = decide([UNKNOWN], Rival(name="version 3", is_shown=True, **more))  # type: ignore[arg-type]
        assert (decision.promoted, decision.code) == (False, "GatesNotShown")
    assert decide([PASSED], Rival(name="version 3", is_shown=True, gain=gain(0.1))).promoted
    follower = decide([UNKNOWN], Rival(name="version 3", gain=gain(0.1)))
    assert (follower.promoted, follower.is_provisional) == (True, True)


def test_a_rival_is_shown_by_the_gates_that_both_have() -> None:
    """A champion of before there was a gate neither fails it nor keeps others from its place by others."""
    newer = replace(UNKNOWN, name="serving coverage")
    old = Rival(name="version 3", is_shown=True, gates=frozenset({"baseline"}), gain=gain(0.1))
    decision = decide([PASSED, newer], old)
    assert (decision.promoted, decision.is_provisional, decision.code) == (True, True, "BetterThanChampion")
    decision = decide([UNKNOWN, newer], old)
    assert (decision.promoted, decision.code) == (False, "GatesNotShown")
    assert "baseline" in decision.reason and "serving coverage" not in decision.reason
    both = replace(old, gates=frozenset({"baseline", "serving coverage"}))
    assert decide([PASSED, newer], both).code == "GatesNotShown"


def test_a_provisional_model_follows_a_shown_champion_that_is_no_rival() -> None:
    other = Rival(name="version 3", is_shown=True, differences=("what it learnt means something else now",))
    decision = decide([UNKNOWN], other)
    assert (decision.promoted, decision.is_provisional) == (True, True)
    assert decision.code == "ChampionNoRival"
    strict = replace(other, is_stricter=True)
    assert decide([UNKNOWN], strict).code == "ChampionOfStricterPolicy"
    assert decide([FAILED, UNKNOWN], other).code == "GatesFailed"


def test_a_champion_that_cannot_score_the_rows_stays_until_somebody_decides() -> None:
    decision = decide([PASSED], Rival(name="version 3"))
    assert (decision.promoted, decision.code) == (False, "ChampionNotComparable")
    assert "by hand" in decision.reason


def test_a_champion_on_other_days_waits_and_the_reason_says_until_when() -> None:
    decision = decide([PASSED], Rival(name="version 3", waits="it has learnt the day"))
    assert (decision.promoted, decision.code) == (False, "ChampionOnOtherDays")
    assert decision.reason == "not compared with version 3: it has learnt the day"
    assert decide([FAILED], Rival(name="version 3", waits="it has")).code == "GatesFailed"


def test_a_champion_that_was_judged_otherwise_is_no_rival_but_the_gates_stay() -> None:
    other = Rival(name="version 3", differences=("other splits",))
    decision = decide([PASSED], other)
    assert (decision.promoted, decision.code, decision.gain) == (True, "ChampionNoRival", None)
    assert "version 3 is no rival: other splits" in decision.reason
    assert decide([FAILED], other).code == "GatesFailed"


def test_a_model_of_a_laxer_policy_never_takes_the_place_of_a_strict_one() -> None:
    strict = Rival(name="version 3", differences=("policy strict",), is_stricter=True, gain=gain(0.1))
    decision = decide([PASSED], strict)
    assert (decision.promoted, decision.code) == (False, "ChampionOfStricterPolicy")


def test_a_model_with_a_leak_does_not_pass_whatever_it_gains() -> None:
    leaking = is_free_of_leaks(["too good to be true: visits alone has an AUC of 0.99."])
    assert not leaking.passed
    assert "visits" in leaking.measured
    assert not decide([PASSED, leaking], None).promoted
    assert is_free_of_leaks([]).passed


def test_a_declared_leak_fails_though_no_figure_shows_it() -> None:
    leaking = is_free_of_leaks([], ["transaction_momentum"])
    assert not leaking.passed and "transaction_momentum leaks by the contract" in leaking.measured
