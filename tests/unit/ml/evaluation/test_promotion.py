"""When a model passes a gate, and when it becomes champion."""

from __future__ import annotations

import numpy as np
import pytest

from engage_spark.ml.evaluation.bootstrap import Gain, Interval, intervals
from engage_spark.ml.evaluation.conformal import Conformal
from engage_spark.ml.evaluation.metrics import METRICS
from engage_spark.ml.evaluation.promotion import (
    ModelGate,
    Rival,
    beats_baseline,
    covers,
    decide,
    is_calibrated,
    is_free_of_leaks,
)
from engage_spark.ml.feature_spec import Task


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


PASSED, FAILED = (ModelGate(name="baseline", demand="", measured="", passed=p) for p in (True, False))


@pytest.mark.parametrize(("low", "passed"), [(0.01, True), (0.0, False), (-0.01, False)])
def test_the_gain_over_the_baseline_must_be_above_nothing_with_confidence(low: float, passed: bool) -> None:
    assert beats_baseline(interval(0.8, 0.7, 0.9), interval(0.7, 0.6, 0.8), gain(low)).passed is passed


@pytest.mark.parametrize(
    ("value", "high", "passed"), [(0.03, 0.2, True), (0.05, 0.08, True), (0.05, 0.069, False)]
)
def test_a_calibration_error_fails_only_when_it_is_too_large_beyond_chance(
    value: float, high: float, passed: bool
) -> None:
    assert is_calibrated(interval(value, value, high)).passed is passed


def test_perfect_probabilities_of_few_rows_pass_and_shifted_ones_of_many_do_not() -> None:
    draw = np.random.default_rng(1)
    ece = [METRICS["ece"]]
    few = draw.uniform(0.05, 0.95, 1500)
    found = intervals(ece, (draw.uniform(size=1500) < few).astype(float), few)["ece"]
    assert found is not None
    assert is_calibrated(found).passed
    many = draw.uniform(0.05, 0.85, 20_000)
    found = intervals(ece, (draw.uniform(size=20_000) < many).astype(float), many + 0.06)["ece"]
    assert found is not None
    assert not is_calibrated(found).passed


@pytest.mark.parametrize(("high", "passed"), [(0.885, True), (0.8849, False), (0.95, True)])
def test_coverage_fails_when_its_upper_end_is_more_than_the_slack_below_the_promise(
    high: float, passed: bool
) -> None:
    conformal = Conformal(task=Task.REGRESSION, coverage=0.9, cells=())
    assert covers(conformal, interval(high - 0.01, high - 0.02, high)).passed is passed


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


def test_a_champion_that_cannot_score_the_rows_stays_until_somebody_decides() -> None:
    decision = decide([PASSED], Rival(name="version 3"))
    assert (decision.promoted, decision.code) == (False, "ChampionNotComparable")
    assert "by hand" in decision.reason


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
