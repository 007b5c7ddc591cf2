"""Declare the kinds of model that compete, their settings, and the baseline to beat. No Spark."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType

from engage_spark.errors import ConfigurationError
from engage_spark.ml.feature_spec import Target, Task

EXTRA = "engage-spark[xgboost]"
SMALL = 5_000
"""Rows up to which the trees of a forest may be many and deep: there, a fit costs jobs and not rows."""
MEDIUM = 20_000
"""Rows up to which, from SMALL on, trees are less deep: each level of a boosted tree is a job, the last level
of a forest is half of its work, and deep trees fit the noise of so few rows.
"""


class Family(StrEnum):
    """Which estimator a candidate is fitted by."""

    LINEAR = "linear"
    TWEEDIE = "tweedie"
    FOREST = "forest"
    GBT = "gbt"
    XGBOOST = "xgboost"
    CONSTANT = "constant"


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """One kind of model with its settings, which have the names of the estimator's parameters.

    `only`: the features that it takes of those it is given; None takes all, and () none, as the baseline that
    predicts a constant does.
    """

    name: str
    family: Family
    params: Mapping[str, float | int | str] = field(default_factory=lambda: MappingProxyType({}))
    only: tuple[str, ...] | None = None


CONSTANT = Candidate(name="baseline", family=Family.CONSTANT, only=())
"""The baseline that takes no feature, so that it can predict every row: the mean, or the share of class 1."""


def candidates_for(target: Target, names: Sequence[str], *, rows: int | None = None) -> tuple[Candidate, ...]:
    """Return the candidates of these names that suit the target, in the given order.

    Tweedie suits amounts alone: a regression whose declared minimum is 0 and whose maximum is above 1 or
    open. For `rows` up to SMALL, forests have deeper trees and more of them, and between SMALL and MEDIUM
    all trees are less deep; left out, the settings are those for many rows.

    Errors: ConfigurationError for an unknown name, for xgboost where it is not installed, and where no
    candidate is left.
    """
    if unknown := [n for n in names if n not in _MAKERS]:
        raise ConfigurationError(
            f"no such kind of model: {', '.join(unknown)}",
            hint=f"models.candidates may name: {', '.join(_MAKERS)}",
        )
    if "xgboost" in names and importlib.util.find_spec("xgboost") is None:
        raise ConfigurationError(
            "models.candidates names xgboost, which is not installed",
            hint=f"pip install '{EXTRA}', or take xgboost out of models.candidates",
        )
    candidates = [
        Candidate(name=n, family=Family(n), params=_MAKERS[n](target, sys.maxsize if rows is None else rows))
        for n in dict.fromkeys(names)
        if _suits(n, target)
    ]
    if not candidates:
        raise ConfigurationError(
            f"none of models.candidates ({', '.join(names) or 'it is empty'}) suits target {target.name!r}",
            hint="name linear, forest or gbt as well: they suit every target",
        )
    return tuple(candidates)


def baseline_for(target: Target) -> Candidate:
    """Return the simplest model worth beating.

    It predicts the mean, or for two classes a logistic model of the feature that the contract names as
    baseline, and where it names none the share of class 1. It takes its feature from all that the spec
    allows, not from a fold's selected ones.
    """
    if target.task is Task.BINARY and target.baseline is not None:
        return Candidate(
            name="baseline",
            family=Family.LINEAR,
            params=_linear(target, sys.maxsize),
            only=(target.baseline,),
        )
    return CONSTANT


def _suits(name: str, target: Target) -> bool:
    if name != "tweedie":
        return True
    return (
        target.task is Task.REGRESSION
        and target.minimum == 0
        and (target.maximum is None or target.maximum > 1)
    )


def _linear(target: Target, _rows: int) -> dict[str, float | int | str]:
    """Return the settings of a light elastic net.

    Selection has left few features; what remains is to keep one-hot slots and twins apart. The penalty of
    MLlib's linear regression is in units of the label, so it is scaled by the declared range. It is solved on
    the driver after one pass; the logistic one makes a pass a step, and ends where a step betters its loss by
    less than 1 in 10,000, which no metric shows.
    """
    if target.task is Task.BINARY:
        return {"regParam": 1e-4, "elasticNetParam": 0.5, "maxIter": 50, "tol": 1e-4}
    span = (
        target.maximum - target.minimum if target.minimum is not None and target.maximum is not None else 1.0
    )
    return {"regParam": 1e-4 * span, "elasticNetParam": 0.5, "maxIter": 50, "tol": 1e-6}


def _tweedie(_target: Target, _rows: int) -> dict[str, float | int | str]:
    return {
        "family": "tweedie",
        "variancePower": 1.5,
        "linkPower": 0.0,
        "regParam": 1e-3,
        "maxIter": 25,
        "tol": 1e-6,
    }


def _forest(_target: Target, rows: int) -> dict[str, float | int | str]:
    """Return the settings of few trees for many rows.

    In cross-validation on trees of scikit-learn, depth 7 and 8 differed within their noise for all three
    targets of 10,000 made-up customers.
    """
    if rows <= SMALL:
        return {"numTrees": 100, "maxDepth": 12, "maxBins": 64, "minInstancesPerNode": 1}
    depth = 7 if rows <= MEDIUM else 8
    return {"numTrees": 40, "maxDepth": depth, "maxBins": 32, "minInstancesPerNode": 10}


def _gbt(_target: Target, rows: int) -> dict[str, float | int | str]:
    """Return the settings of few rounds with long steps.

    On 51,200 and on 10,000 rows they are no worse than 25 rounds of 0.2 and depth 5, at two thirds of the
    time. In cross-validation of the same rounds on trees of scikit-learn, depth 3 was better than 4 for all
    three targets of 10,000 made-up customers, and as good on those of a bank, at three quarters of the jobs;
    on 3,150 rows of a nearly exact rule depth 4 was better.
    """
    depth = 3 if SMALL < rows <= MEDIUM else 4
    return {"maxIter": 20, "maxDepth": depth, "stepSize": 0.3, "maxBins": 32}


def _xgboost(_target: Target, rows: int) -> dict[str, float | int | str]:
    return {
        "n_estimators": 200,
        "max_depth": 6 if rows <= SMALL else 5,
        "learning_rate": 0.1,
        "max_bin": 256,
        "min_child_weight": 1.0,
    }


_MAKERS = {"linear": _linear, "tweedie": _tweedie, "forest": _forest, "gbt": _gbt, "xgboost": _xgboost}
