"""Which candidate is judged where some cannot be fitted or measured; fits are stand-ins."""

from __future__ import annotations

from typing import Any

import pytest

from engage_spark.errors import FitError
from engage_spark.ml.feature_spec import FeatureSpec, LeakPolicy, Target, Task
from engage_spark.ml.train_target import _fit_best
from engage_spark.ml.training.candidates import CONSTANT, Candidate, baseline_for, candidates_for
from engage_spark.ml.training.cross_validation import CandidateComparison, CandidateResult
from engage_spark.ml.training.final_models import BaselineError

TARGET = Target(name="left", task=Task.BINARY, minimum=0.0, maximum=1.0, label_days=0, baseline="a")
DECLARED = baseline_for(TARGET)


def comparison() -> CandidateComparison:
    results = tuple(
        CandidateResult(candidate=c, folds={"auc": (0.7,)}, seconds=1.0)
        for c in candidates_for(TARGET, ["linear", "forest"])
    )
    selection: Any = None
    spec = FeatureSpec(target=TARGET, policy=LeakPolicy.STRICT, features=(), excluded=())
    return CandidateComparison(spec=spec, selection=selection, results=results, ranking=results)


def best(**failing: FitError) -> tuple[dict[str, str], tuple[str, bool]]:
    """What was left out, and the candidate and whether the declared baseline stood beside it."""

    def fit(candidate: Candidate, baseline: Candidate) -> tuple[str, bool]:
        if candidate.name in failing:
            raise failing[candidate.name]
        if baseline is DECLARED and "declared" in failing:
            raise failing["declared"]
        if baseline is CONSTANT and "constant" in failing:
            raise failing["constant"]
        return candidate.name, baseline is DECLARED

    made, fitted = _fit_best(comparison(), fit, baseline=DECLARED)
    return dict(made.failed) | ({"stand in": made.stand_in} if made.stand_in else {}), fitted


def test_a_model_that_cannot_predict_the_test_rows_gives_way_to_the_next() -> None:
    assert best() == ({}, ("linear", True))
    assert best(linear=FitError("predicts NaN")) == ({"linear": "predicts NaN"}, ("forest", True))
    with pytest.raises(FitError, match="of forest"):
        best(linear=FitError("of linear"), forest=FitError("of forest"))


def test_a_constant_stands_in_for_a_baseline_that_cannot_predict() -> None:
    failed, fitted = best(declared=BaselineError("predicts infinity"))
    assert fitted == ("linear", False)
    assert failed == {"stand in": "predicts infinity"}, "it is no candidate"
    with pytest.raises(BaselineError, match="again"):
        best(declared=BaselineError("once"), constant=BaselineError("again"))
