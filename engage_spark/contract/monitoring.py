"""Name the measures of a model in use that a target may bound, and say on which side of a bound is past it.

A target's property `monitoring` maps such names to bounds. What is measured is in `ml.monitoring`.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from engage_spark.contract.model import Field


class Bound(StrEnum):
    """Whether a measure may not fall below its bound, or may not rise above it."""

    LEAST = "least"
    MOST = "most"


_OF_ANY: Mapping[str, Bound] = {
    "coverage": Bound.LEAST,
    "group_coverage": Bound.LEAST,
    "input_psi": Bound.MOST,
    "score_psi": Bound.MOST,
}
_OF_TWO_CLASSES: Mapping[str, Bound] = {
    "auc": Bound.LEAST,
    "pr_auc": Bound.LEAST,
    "log_loss": Bound.MOST,
    "brier": Bound.MOST,
    "ece": Bound.MOST,
    "class_coverage": Bound.LEAST,
    "statistical_parity_ratio": Bound.LEAST,
    "equal_opportunity_ratio": Bound.LEAST,
    "predictive_equality_ratio": Bound.LEAST,
    "predictive_parity_ratio": Bound.LEAST,
    "accuracy_ratio": Bound.LEAST,
}
_OF_NUMBERS: Mapping[str, Bound] = {
    "rmse": Bound.MOST,
    "mae": Bound.MOST,
    "r2": Bound.LEAST,
    "gini": Bound.LEAST,
    "mae_ratio": Bound.LEAST,
}
OF_DECISIONS = frozenset(name.removesuffix("_ratio") for name in _OF_TWO_CLASSES if name.endswith("_ratio"))
"""Rates of groups that count decisions; a target without `money` has no decisions."""
_SHARES = frozenset(
    name
    for name in (*_OF_ANY, *_OF_TWO_CLASSES, *_OF_NUMBERS)
    if name.endswith(("coverage", "_ratio")) or name in ("auc", "pr_auc", "brier", "ece")
)


def monitored_measures(*, two_classes: bool) -> Mapping[str, Bound]:
    """Return the measures that a target of this kind may bound, by name."""
    return {**(_OF_TWO_CLASSES if two_classes else _OF_NUMBERS), **_OF_ANY}


def monitoring_problems(f: Field, *, is_target: bool) -> list[str]:
    """Say what is wrong with the bounds of a field's `monitoring`."""
    if not f.monitoring:
        return []
    if not is_target:
        return ["monitoring is for targets"]
    known = monitored_measures(two_classes=f.is_two_classes)
    problems = [
        f"monitoring bounds {name!r}, which is not measured of this target; known are {', '.join(known)}"
        for name, _ in f.monitoring
        if name not in known
    ]
    problems += [
        f"monitoring bounds {name} by {bound:g}, which is not between 0 and 1"
        for name, bound in f.monitoring
        if name in _SHARES and not 0 <= bound <= 1
    ]
    problems += [
        f"monitoring bounds {name}, which compares decisions, and without money nothing is decided"
        for name, _ in f.monitoring
        if f.is_two_classes and f.money is None and name.removesuffix("_ratio") in OF_DECISIONS
    ]
    return problems + [
        f"monitoring bounds {name} by {bound:g}, which is below 0"
        for name, bound in f.monitoring
        if name not in _SHARES and name in known and bound < 0 and name != "r2"
    ]
