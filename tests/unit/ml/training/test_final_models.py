"""Which final models are fitted and measured, without Spark: fits and predictions are stand-ins."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from engage_spark.errors import ConfigurationError, FitError
from engage_spark.ml.data.driver_sample import HASH, RowSample
from engage_spark.ml.feature_spec import Feature, FeatureSpec, LeakPolicy, Target, Task
from engage_spark.ml.training import final_models
from engage_spark.ml.training.candidates import CONSTANT, baseline_for, candidates_for
from engage_spark.ml.training.final_models import ALL, BASELINE, OTHER, WINNER, BaselineError
from engage_spark.settings.model import ModelSettings

TARGET = Target(name="worth", task=Task.REGRESSION, minimum=0.0, maximum=9.0, label_days=0, baseline=None)
FEATURES = tuple(Feature(name=n, table="people", categorical=False) for n in "abc")
SPEC = FeatureSpec(target=TARGET, policy=LeakPolicy.STRICT, features=FEATURES, excluded=())
MODELS = ModelSettings(bootstrap=20, parallelism=1)


def test_roles_with_the_same_features_share_one_fit_and_one_measurement(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fits: list[tuple[str, tuple[str, ...]]] = []
    scored: list[object] = []

    def fit_all(jobs: Any, *, parallelism: int, failures: Any) -> list[Any]:
        fits.extend((j.candidate.name, tuple(f.name for f in j.features)) for j in jobs)
        return [SimpleNamespace(model=object()) for _ in jobs]

    def scores_of(model: object, *_: Any, **__: Any) -> dict[str, Any]:
        scored.append(model)
        shift = 0.1 * len(scored)
        return {"label": np.arange(30.0), "score": np.arange(30.0) + shift, HASH: np.arange(30)}

    monkeypatch.setattr(final_models, "fit_all", fit_all)
    monkeypatch.setattr(final_models, "sample_rows", lambda *_, **__: None)
    monkeypatch.setattr(final_models, "scores_of", scores_of)
    (forest,) = candidates_for(TARGET, ["forest"])
    rows: Any = None
    fitted = final_models.fit_final_models(
        forest,
        {WINNER: FEATURES[:2], ALL: FEATURES, OTHER: FEATURES[:2]},
        SPEC,
        rows,
        calibration=rows,
        key=["id"],
        days=1,
        models=MODELS,
        baseline=CONSTANT,
    )
    assert fits == [("forest", ("a", "b")), ("forest", ("a", "b", "c")), ("baseline", ())]
    assert list(fitted) == [WINNER, ALL, OTHER, BASELINE]
    assert fitted[OTHER] is fitted[WINNER]
    finals = final_models.measure_final_models(
        fitted,
        TARGET,
        rows,
        key=["id"],
        day="day",
        sample=RowSample(expected=30, limit=1000),
        models=MODELS,
    )
    assert len(scored) == 3
    assert list(finals.by_role) == [WINNER, ALL, OTHER, BASELINE]
    assert [f.role for f in finals.by_role.values()] == [WINNER, ALL, OTHER, BASELINE]
    rmse = {role: f.metrics["rmse"] for role, f in finals.by_role.items()}
    assert rmse[OTHER] == rmse[WINNER] != rmse[ALL]
    assert (finals.by_role[OTHER].scores == finals.by_role[WINNER].scores).all()


def test_a_comparison_that_cannot_be_fitted_costs_itself_and_the_model_does_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    too_wide = FitError("more than 4,096 slots")

    def fit_all(jobs: Any, *, parallelism: int, failures: dict[Any, FitError]) -> list[Any]:
        failures.update({j: too_wide for j in jobs if len(j.features) == n_failing})
        return [SimpleNamespace(model=object()) for j in jobs if j not in failures]

    monkeypatch.setattr(final_models, "fit_all", fit_all)
    (forest,) = candidates_for(TARGET, ["forest"])
    rows: Any = None

    def fitted() -> dict[str, Any]:
        roles = {WINNER: FEATURES[:2], ALL: FEATURES}
        return dict(
            final_models.fit_final_models(
                forest,
                roles,
                SPEC,
                rows,
                calibration=rows,
                key=["id"],
                days=1,
                models=MODELS,
                baseline=CONSTANT,
            )
        )

    n_failing = 3
    assert list(fitted()) == [WINNER, BASELINE]
    n_failing = 2
    with pytest.raises(FitError, match="4,096"):
        fitted()


def test_a_model_that_cannot_be_calibrated_has_failed_and_the_next_best_may_follow(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    left = replace(TARGET, name="left", task=Task.BINARY, maximum=1.0)

    def fit_all(jobs: Any, **_: Any) -> list[Any]:
        return [SimpleNamespace(model=j.candidate.name) for j in jobs]

    def calibrated(model: str, *_: Any, **__: Any) -> tuple[str, None]:
        if model == "linear":
            raise reason
        return model, None

    monkeypatch.setattr(final_models, "fit_all", fit_all)
    monkeypatch.setattr(final_models, "calibrated", calibrated)
    monkeypatch.setattr(final_models, "narrow", lambda *_, **__: None)
    rows: Any = None

    def fitted(name: str) -> dict[str, Any]:
        (candidate,) = candidates_for(left, [name])
        spec = replace(SPEC, target=left)
        return dict(
            final_models.fit_final_models(
                candidate,
                {WINNER: FEATURES},
                spec,
                rows,
                calibration=rows,
                key=["id"],
                days=1,
                models=MODELS,
                baseline=CONSTANT,
            )
        )

    reason: Exception = RuntimeError("the model of left predicts NaN for a row")
    with pytest.raises(FitError, match="linear for left on all rows failed: the model of left predicts NaN"):
        fitted("linear")
    assert list(fitted("forest")) == [WINNER, BASELINE]
    reason = ConfigurationError("only a model of two classes can be calibrated")
    with pytest.raises(ConfigurationError, match="two classes"):
        fitted("linear")


@pytest.mark.parametrize(("failing", "error"), [(OTHER, None), (BASELINE, BaselineError), (WINNER, FitError)])
def test_a_model_that_cannot_predict_a_row_costs_itself(
    failing: str, error: type[FitError] | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def scores_of(model: str, *_: Any, **__: Any) -> dict[str, Any]:
        if model == failing:
            raise FitError("predicts NaN or infinity for 1 of 30 rows")
        return {"label": np.arange(30.0), "score": np.arange(30.0) + 0.1, HASH: np.arange(30)}

    monkeypatch.setattr(final_models, "sample_rows", lambda *_, **__: None)
    monkeypatch.setattr(final_models, "scores_of", scores_of)
    fitted: Any = {
        role: SimpleNamespace(model=role, features=(), candidate=CONSTANT, calibration=None)
        for role in (WINNER, OTHER, BASELINE)
    }
    rows: Any = None
    sample = RowSample(expected=30, limit=1000)

    def measured() -> list[str]:
        finals = final_models.measure_final_models(
            fitted, TARGET, rows, key=["id"], day="day", sample=sample, models=MODELS
        )
        return list(finals.by_role)

    if error is None:
        assert measured() == [WINNER, BASELINE]
    else:
        with pytest.raises(FitError, match="NaN or infinity for 1 of 30") as caught:
            measured()
        assert type(caught.value) is error


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_prediction_that_is_no_number_is_a_failed_model(
    value: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    scores = np.arange(30.0)
    scores[[3, 5]] = value
    monkeypatch.setattr(final_models, "narrow", lambda *_: None)
    monkeypatch.setattr(final_models, "column_named", lambda _: SimpleNamespace(cast=lambda _: None))
    monkeypatch.setattr(final_models.F, "unix_date", lambda _: None)
    monkeypatch.setattr(final_models.F, "col", lambda _: None)
    model: Any = SimpleNamespace(transform=lambda _: None)
    rows: Any = None

    def score() -> Any:
        return final_models.scores_of(model, FEATURES, rows, TARGET, day="day", limit=100)

    monkeypatch.setattr(final_models, "to_arrays", lambda *_, **__: {"score": scores})
    with pytest.raises(FitError, match="NaN or infinity for 2 of 30 rows"):
        score()

    def broken(*_: Any, **__: Any) -> Any:
        raise RuntimeError("one of its features is infinite")

    monkeypatch.setattr(final_models, "to_arrays", broken)
    with pytest.raises(FitError, match="predicting worth failed: one of its features is infinite"):
        score()


def test_a_baseline_whose_feature_was_left_out_gives_way_to_a_constant() -> None:
    left = replace(TARGET, name="left", task=Task.BINARY, maximum=1.0, baseline="z")
    (linear,) = candidates_for(left, ["linear"])
    rows: Any = None
    with pytest.raises(BaselineError, match="needs z"):
        final_models.fit_final_models(
            linear,
            {WINNER: FEATURES},
            replace(SPEC, target=left),
            rows,
            calibration=rows,
            key=["id"],
            days=1,
            models=MODELS,
            baseline=baseline_for(left),
        )
