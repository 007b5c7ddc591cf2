"""Decide whether a model becomes champion: its own gates, and its gain over the champion. No Spark."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from engage_spark.ml.evaluation.bootstrap import Gain, Interval
from engage_spark.ml.evaluation.conformal import Conformal

WORST_ECE = 0.03
"""The calibration error up to which a probability may be read as one."""
COVERAGE_SLACK = 0.015
"""By how much intervals and sets may cover less than they promise."""


@dataclass(frozen=True, kw_only=True)
class ModelGate:
    """One demand on a model, what was measured, and whether it passed. `demand` is in words."""

    name: str
    demand: str
    measured: str
    passed: bool


DecisionCode = Literal[
    "GatesFailed",
    "FirstChampion",
    "BetterThanChampion",
    "NotBetterThanChampion",
    "ChampionNoRival",
    "ChampionOfStricterPolicy",
    "ChampionNotComparable",
    "ChampionUnknown",
]
"""Why a model became champion or not. ChampionNoRival: the champion was judged otherwise, so there is nothing
to beat; ChampionUnknown: the registry did not say who is champion.
"""


@dataclass(frozen=True, kw_only=True)
class Rival:
    """The champion that a model would replace: its name in words, and the gain over it on the same rows.

    `differences` say, in words, why its figures and the model's are no comparison: another definition of the
    target, other splits, features that meant something else, another policy. `is_stricter`: its policy is
    strict and the model's is not. `gain` is None where it was not compared, or could not score the rows.
    """

    name: str
    gain: Gain | None = None
    differences: tuple[str, ...] = ()
    is_stricter: bool = False


@dataclass(frozen=True, kw_only=True)
class Decision:
    """Whether the model becomes champion, and why: a code, and the same in words.

    `gain` is over the champion on the same rows; None where there was nothing to compare with.
    """

    promoted: bool
    code: DecisionCode
    reason: str
    gain: Gain | None = None


def beats_baseline(model: Interval, baseline: Interval, gain: Gain) -> ModelGate:
    """Require that the paired gain over the baseline is above 0 with confidence."""
    return ModelGate(
        name="baseline",
        demand=f"better than the baseline in {gain.metric} with {gain.confidence:.0%} confidence",
        measured=(
            f"{model.value:.4g} against {baseline.value:.4g}, gain {gain.gain:.4g} [{gain.low:.4g}, "
            f"{gain.high:.4g}]"
        ),
        passed=gain.low > 0,
    )


def is_calibrated(ece: Interval) -> ModelGate:
    """Require that the calibration error is not above WORST_ECE beyond chance.

    Few rows make the error too large, and drawing from them does so once more: by as much as replicates are
    above the value, the value is above the truth. So the lower bound is the reverse percentile, 2 x value -
    upper end.

    Source: Efron, Tibshirani 1993, section 13.4.
    """
    low = 2 * ece.value - ece.high
    return ModelGate(
        name="calibration",
        demand=f"a calibration error that is not above {WORST_ECE} with {ece.confidence:.0%} confidence",
        measured=f"{ece.value:.4f}, at least {max(low, 0):.4f}",
        passed=min(ece.value, low) <= WORST_ECE,
    )


def covers(conformal: Conformal, covered: Interval) -> ModelGate:
    """Require that test rows are covered as promised, COVERAGE_SLACK less at most, beyond chance."""
    return ModelGate(
        name="coverage",
        demand=(
            f"{conformal.coverage:.0%} of the labels within their interval or set, "
            f"{COVERAGE_SLACK:.1%} less at most"
        ),
        measured=f"{covered.value:.1%} [{covered.low:.1%}, {covered.high:.1%}]",
        passed=covered.high >= conformal.coverage - COVERAGE_SLACK,
    )


def is_free_of_leaks(stopping: Sequence[str], declared: Sequence[str] = ()) -> ModelGate:
    """Require a model without leaks, which win every comparison.

    `declared` names its features that leak by the contract, whatever figures say; `stopping` are findings of
    the audit that stop a strict training.
    """
    leaks = [f"{name} leaks by the contract" for name in declared]
    return ModelGate(
        name="leakage",
        demand="no feature that leaks by the contract, no finding of the audit that stops a strict training",
        measured="; ".join([*leaks, *stopping]) or "none",
        passed=not leaks and not stopping,
    )


def decide(gates: Sequence[ModelGate], rival: Rival | None) -> Decision:
    """Decide on promotion: the first champion must pass its gates, a later one must also beat the champion.

    It must be better on the same rows, with confidence. A champion whose figures are no comparison is no
    rival: who passes the gates takes its place, but no model of a laxer policy does. `rival` None: there is
    no champion.
    """
    if failed := [g.name for g in gates if not g.passed]:
        return Decision(promoted=False, code="GatesFailed", reason=f"failed gates: {', '.join(failed)}")
    if rival is None:
        return Decision(promoted=True, code="FirstChampion", reason="the first that passed its gates")
    if rival.is_stricter:
        reason = f"{rival.name} was trained by the strict policy and this one was not; promote by hand"
        return Decision(promoted=False, code="ChampionOfStricterPolicy", reason=reason)
    if rival.differences:
        reason = f"it passed its gates, and {rival.name} is no rival: {'; '.join(rival.differences)}"
        return Decision(promoted=True, code="ChampionNoRival", reason=reason)
    gain = rival.gain
    if gain is None:
        return Decision(
            promoted=False,
            code="ChampionNotComparable",
            reason=f"{rival.name} cannot score these rows any more, so nothing shows a gain; promote by hand",
        )
    gain_text = f"gain in {gain.metric} over {rival.name} {gain.gain:.4g} [{gain.low:.4g}, {gain.high:.4g}]"
    return Decision(
        promoted=gain.low > 0,
        code="BetterThanChampion" if gain.low > 0 else "NotBetterThanChampion",
        gain=gain,
        reason=gain_text
        if gain.low > 0
        else f"{gain_text}, not above 0 with {gain.confidence:.0%} confidence",
    )
