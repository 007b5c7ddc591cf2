"""Which candidate is judged where some cannot be fitted or measured; fits are stand-ins."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from engage_spark.errors import ConfigurationError, EngageError, FitError, TransientError
from engage_spark.ml import serving_model as serving_models
from engage_spark.ml import train_target
from engage_spark.ml.feature_spec import FeatureSpec, LeakPolicy, Target, Task
from engage_spark.ml.serving_model import ServingModel
from engage_spark.ml.train_target import _fit_best
from engage_spark.ml.training.candidates import CONSTANT, Candidate, baseline_for, candidates_for
from engage_spark.ml.training.cross_validation import CandidateComparison, CandidateResult
from engage_spark.ml.training.final_models import UNPROTECTED, BaselineError

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


def test_features_of_a_variant_that_cannot_be_chosen_cost_that_variant(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    specs = {
        role: SimpleNamespace(names=names, features=())
        for role, names in (("main", ("a",)), ("other", ("a", "b")), ("unprotected", ("c",)))
    }
    specs["main"].features = (object(),)
    measured: list[Any] = []
    failure: Exception = ConfigurationError("the target is 0 in a training fold")

    def chosen(spec: Any, *_: Any, **__: Any) -> dict[int, Any]:
        if spec is specs["other"]:
            raise failure
        return {0: ()}

    monkeypatch.setattr(train_target, "features_by_fold", chosen)
    monkeypatch.setattr(
        train_target, "variants_on_folds", lambda _, asked, *__, **___: measured.append(asked)
    )
    task: Any = SimpleNamespace(
        specs=SimpleNamespace(**specs),
        fit_rows={0: None, 1: None, None: None},
        grams=None,
        days=1,
        models=None,
        splits=SimpleNamespace(fit=None),
        key=(),
        sample=lambda _: None,
    )
    compared: Any = SimpleNamespace(selected=(object(),))
    train_target._variants(task, compared)
    failure = ArithmeticError("overflow")
    train_target._variants(task, compared)
    assert measured == [{UNPROTECTED: {0: ()}}] * 2
    failure = TransientError("an executor was lost")
    with pytest.raises(TransientError):
        train_target._variants(task, compared)


FAILURES = [ConfigurationError("too many rows"), FitError("predicts NaN"), OSError("disk full")]


@pytest.mark.parametrize("failure", [*FAILURES, TransientError("an executor was lost")])
def test_what_fails_once_the_models_are_fitted_costs_itself(
    failure: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The refit, its explainer and the models of the folds; what a retry may cure ends the training."""

    def fails(*_: Any, **__: Any) -> Any:
        raise failure

    model: Any = SimpleNamespace(features=(), model="judged")
    again: Any = SimpleNamespace(features=(), model="again")
    conformal: Any = object()
    own = ServingModel(fitted=model, conformal=conformal, days=(), background=conformal)
    refit = replace(own, fitted=again, scores=np.zeros(1))
    splits: Any = SimpleNamespace(matured={}, out_of_time=object())
    other: Any = SimpleNamespace(
        fit_rows={None: SimpleNamespace(sparkSession=None)},
        target=TARGET,
        draw=None,
        models=SimpleNamespace(parallelism=1),
        fold_models=(),
        selected=(),
    )

    def explainer_of(model: Any, **_: Any) -> str:
        return fails() if model == "again" else f"explainer of {model}"

    monkeypatch.setattr(serving_models, "_refit", fails)
    monkeypatch.setattr(train_target, "fold_models", fails)
    monkeypatch.setattr(train_target, "explainer_of", explainer_of)
    monkeypatch.setattr(train_target, "narrow", lambda *_: None)
    scratch: Any = lambda: nullcontext("path")  # noqa: E731

    def serving() -> ServingModel:
        return serving_models.serving_model(
            own, TARGET, splits, other, out_of_time=other, key=(), day="day", models=other
        )

    def explained() -> tuple[ServingModel, Any]:
        return train_target._explained(other, refit, otherwise=own, scratch_path=scratch)

    def folds() -> tuple[Any, ...]:
        return train_target._folds(other, other, scratch)

    if isinstance(failure, TransientError):
        for step in (serving, explained, folds):
            with pytest.raises(TransientError):
                step()
        return
    assert serving().fitted is model and str(failure) in serving().failure
    served, explainer = explained()
    assert (served.fitted, explainer) == (model, "explainer of judged") and str(failure) in served.failure
    assert folds() == ()
    monkeypatch.setattr(train_target, "explainer_of", fails)
    with pytest.raises(EngageError, match=str(failure)):
        explained()
