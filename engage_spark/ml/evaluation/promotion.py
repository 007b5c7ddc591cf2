"""Decide whether a model becomes champion: its own gates, and its gain over the champion. No Spark."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from engage_spark.ml.evaluation.bootstrap import Gain, Interval
from engage_spark.wording import number

WORST_ECE = 0.03
"""The calibration error up to which a probability may be read as one."""
COVERAGE_SLACK = 0.015
"""By how much intervals and sets may cover less than they promise."""


class GateAnswer(StrEnum):
    """What rows say of a demand: that it is met, that it is not, or neither at the confidence asked for."""

    SHOWN = "shown"
    FAILED = "failed"
    UNKNOWN = "cannot be told"


@dataclass(frozen=True, kw_only=True)
class ModelGate:
    """One demand on a model, what was measured on how many rows, and the answer. `demand` is in words.

    `rows_needed` is about how many rows would tell, where these cannot and figures stay as they are; None
    where no number would, since a figure is at its limit.
    """

    name: str
    demand: str
    measured: str
    answer: GateAnswer
    rows: int = 0
    rows_needed: int | None = None

    @property
    def passed(self) -> bool:
        """Whether the rows show that the demand is met."""
        return self.answer is GateAnswer.SHOWN

    @property
    def verdict(self) -> str:
        """The answer in words, with the number of rows where they were too few."""
        if self.answer is not GateAnswer.UNKNOWN:
            return self.answer.value
        needed = "" if self.rows_needed is None else f"; about {self.rows_needed:,} would tell"
        return f"cannot be told from {self.rows:,} rows{needed}"


DecisionCode = Literal[
    "GatesFailed",
    "FirstChampion",
    "BetterThanChampion",
    "NotBetterThanChampion",
    "GatesNotShown",
    "ChampionNoRival",
    "ChampionOfStricterPolicy",
    "ChampionNotComparable",
    "ChampionOnOtherDays",
    "ChampionUnknown",
]
"""Why a model became champion or not. GatesNotShown: the rows could not tell of a gate, and those of a rival
are shown; ChampionNoRival: the champion was judged otherwise, so there is nothing to beat;
ChampionOnOtherDays: one of the two has learnt the days that they would be compared on;
ChampionUnknown: the registry did not say who is champion.
"""


@dataclass(frozen=True, kw_only=True)
class Rival:
    """The champion that a model would replace: its name in words, and the gain over it on the same rows.

    `differences` say, in words, why its figures and the model's are no comparison: another definition of the
    target, other splits, features that meant something else, another policy. `is_stricter`: its policy is
    strict and the model's is not. `gates` names the gates that it was held against (None: the model's), and
    `is_shown` says that those of them that the model is held against, too, were shown. `gain` is None where
    it was not compared, or could not score the rows. `waits` says, in words, why there are no days to compare
    it on.
    """

    name: str
    is_shown: bool = False
    gates: frozenset[str] | None = None
    gain: Gain | None = None
    differences: tuple[str, ...] = ()
    is_stricter: bool = False
    waits: str = ""


@dataclass(frozen=True, kw_only=True)
class Decision:
    """Whether the model becomes champion, and why: a code, and the same in words.

    `gain` is over the champion on the same rows; None where there was nothing to compare with.
    `is_provisional`: promoted, though the rows could not tell of every gate.
    """

    promoted: bool
    code: DecisionCode
    reason: str
    gain: Gain | None = None
    is_provisional: bool = False


def beats_baseline(
    model: Interval, baseline: Interval, gain: Gain, *, rows: int, stand_in: str = ""
) -> ModelGate:
    """Require that the paired gain over the baseline is above 0 with confidence; none at all has failed.

    `stand_in`: why a constant is the baseline, and not the one that the contract names. A gain over it does
    not tell whether the model is better than that one.
    """
    against = number(baseline.value) + (" of a constant" if stand_in else "")
    shown = GateAnswer.UNKNOWN if stand_in else GateAnswer.SHOWN
    return ModelGate(
        name="baseline",
        demand=(
            f"better than the baseline{', for which a constant stands in,' if stand_in else ''} in "
            f"{gain.metric} with {gain.confidence:.0%} confidence"
        ),
        measured=(
            f"{number(model.value)} against {against}, gain {number(gain.gain)} "
            f"[{number(gain.low)}, {number(gain.high)}]"
            + (f"; the declared baseline failed: {stand_in}" if stand_in else "")
        ),
        answer=shown if gain.low > 0 else GateAnswer.FAILED if gain.gain <= 0 else GateAnswer.UNKNOWN,
        rows=rows,
        rows_needed=None if stand_in else _rows_needed(rows, gain.gain, gain.low, gain.high, limit=0.0),
    )


def is_calibrated(ece: Interval, *, rows: int) -> ModelGate:
    """Require that the calibration error is not above WORST_ECE.

    It is shown where the whole interval is not above, failed where all of it is. The interval is one without
    what chance adds (`calibration_error`).
    """
    return ModelGate(
        name="calibration",
        demand=f"a calibration error of at most {WORST_ECE} with {ece.confidence:.0%} confidence",
        measured=f"{ece.value:.4f} [{ece.low:.4f}, {ece.high:.4f}]",
        answer=_answer(-ece.high, -ece.low, limit=-WORST_ECE),
        rows=rows,
        rows_needed=_rows_needed(rows, ece.value, ece.low, ece.high, limit=WORST_ECE),
    )


def covers(
    coverage: float, covered: Mapping[str, Interval], *, rows: Mapping[str, int], name: str = "coverage"
) -> ModelGate:
    """Require that rows are covered as promised, COVERAGE_SLACK less at most.

    `covered` has the share of covered labels with its interval by the part of the rows that the promise is
    made to, such as each class; `rows` how many there are. Every part must show it, and one that does not
    keep it fails.
    """
    limit = coverage - COVERAGE_SLACK
    answers = {part: _answer(c.low, c.high, limit=limit) for part, c in covered.items()}
    answer = next(
        (a for a in (GateAnswer.FAILED, GateAnswer.UNKNOWN) if a in answers.values()), GateAnswer.SHOWN
    )
    open_parts = [part for part, a in answers.items() if a is GateAnswer.UNKNOWN]
    needed = [
        _rows_needed(rows[part], covered[part].value, covered[part].low, covered[part].high, limit=limit)
        for part in open_parts
    ]
    total = max(rows.values())
    scaled = [
        None if n is None else n * total / max(1, rows[p]) for n, p in zip(needed, open_parts, strict=True)
    ]
    return ModelGate(
        name=name,
        demand=(
            f"{coverage:.0%} of the labels within their interval or set, {COVERAGE_SLACK:.1%} less at most, "
            f"with {next(iter(covered.values())).confidence:.0%} confidence"
        ),
        measured="; ".join(
            f"{part} {c.value:.1%} [{c.low:.1%}, {c.high:.1%}]"
            if len(covered) > 1
            else f"{c.value:.1%} [{c.low:.1%}, {c.high:.1%}]"
            for part, c in covered.items()
        ),
        answer=answer,
        rows=total,
        rows_needed=_rounded(max(n for n in scaled if n is not None))
        if scaled and None not in scaled
        else None,
    )


def undefined(name: str, demand: str, why: str, *, rows: int) -> ModelGate:
    """Return a gate whose figure the rows leave undefined, such as the AUC of one class."""
    return ModelGate(name=name, demand=demand, measured=why, answer=GateAnswer.UNKNOWN, rows=rows)


def _answer(low: float, high: float, *, limit: float) -> GateAnswer:
    """Say whether a figure that is to be at least `limit` is, by its interval; NaN tells nothing."""
    if low >= limit:
        return GateAnswer.SHOWN
    return GateAnswer.FAILED if high < limit else GateAnswer.UNKNOWN


def _rows_needed(rows: int, value: float, low: float, high: float, *, limit: float) -> int | None:
    """Return about how many rows let an interval end at `limit`: it narrows with the root of the rows."""
    distance = abs(value - limit)
    reach = value - low if value >= limit else high - value
    if not (distance > 0 and math.isfinite(reach / distance)):
        return None
    return _rounded(max(float(rows), rows * (reach / distance) ** 2))


def _rounded(rows: float) -> int:
    """Round up to two digits: what is estimated from an interval has no more."""
    step = int(10 ** max(0, len(str(int(rows))) - 2))
    return int(math.ceil(rows / step - 1e-9) * step)


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
        answer=GateAnswer.FAILED if leaks or stopping else GateAnswer.SHOWN,
    )


def decide(gates: Sequence[ModelGate], rival: Rival | None) -> Decision:
    """Decide on promotion: no gate may have failed, and a champion must be beaten.

    It must be beaten on the same rows, with confidence. A champion whose figures are no comparison is no
    rival: the model takes its place by its gates, but none of a laxer policy does. `rival` None: there is no
    champion. Where the rows cannot tell of a gate, the model is provisional: it may be the first champion,
    or follow one that is no rival, or whose gates, those of both, are not shown or not the ones in question.
    """
    unknown = "; ".join(f"{g.name} {g.verdict}" for g in gates if not g.passed)
    if refusal := _refusal(gates, rival):
        return refusal
    gain = None
    if rival is None:
        code: DecisionCode = "FirstChampion"
        reason = "the first that failed no gate" if unknown else "the first that passed its gates"
    elif rival.differences:
        code = "ChampionNoRival"
        reason = f"failed no gate, and {rival.name} is no rival: {'; '.join(rival.differences)}"
    else:
        code, gain, reason = "BetterThanChampion", rival.gain, _gain_text(rival)
    return Decision(
        promoted=True,
        code=code,
        reason=reason + (f"; provisional: {unknown}" if unknown else ""),
        gain=gain,
        is_provisional=bool(unknown),
    )


def _refusal(gates: Sequence[ModelGate], rival: Rival | None) -> Decision | None:
    """Return the decision against promotion; None where nothing is against it."""
    code: DecisionCode | None = None
    gain = None if rival is None or rival.differences else rival.gain
    if failed := [g.name for g in gates if g.answer is GateAnswer.FAILED]:
        code, reason, gain = "GatesFailed", f"failed gates: {', '.join(failed)}", None
    elif rival is None:
        return None
    elif rival.is_stricter:
        code = "ChampionOfStricterPolicy"
        reason = f"{rival.name} was trained by the strict policy and this one was not; promote by hand"
    elif rival.differences:
        return None
    elif rival.is_shown and (unknown := _unknown_of_both(gates, rival)):
        code = "GatesNotShown"
        reason = f"the gates of {rival.name} are shown, and of this one {unknown}"
    elif rival.waits:
        code = "ChampionOnOtherDays"
        reason = f"not compared with {rival.name}: {rival.waits}"
    elif gain is None:
        code = "ChampionNotComparable"
        reason = f"{rival.name} cannot score these rows any more, so nothing shows a gain; promote by hand"
    elif not gain.low > 0:
        code = "NotBetterThanChampion"
        reason = f"{_gain_text(rival)}, not above 0 with {gain.confidence:.0%} confidence"
    return None if code is None else Decision(promoted=False, code=code, reason=reason, gain=gain)


def _unknown_of_both(gates: Sequence[ModelGate], rival: Rival) -> str:
    """Say of which gates the rows could not tell, of those that the rival was held against, too."""
    open_gates = [g for g in gates if g.answer is GateAnswer.UNKNOWN]
    return "; ".join(
        f"{g.name} {g.verdict}" for g in open_gates if rival.gates is None or g.name in rival.gates
    )


def _gain_text(rival: Rival) -> str:
    g = rival.gain
    assert g is not None
    gain = f"{number(g.gain)} [{number(g.low)}, {number(g.high)}]"
    return f"gain in {g.metric} over {rival.name} {gain}"
