"""Which kinds of model compete for a target, and what each must beat."""

from __future__ import annotations

import importlib.util

import pytest

from engage_spark.errors import ConfigurationError
from engage_spark.ml.feature_spec import Target, Task
from engage_spark.ml.training.candidates import MEDIUM, SMALL, Family, baseline_for, candidates_for

ALL = ("linear", "tweedie", "forest", "gbt")


def target(
    task: Task = Task.REGRESSION,
    minimum: float | None = 0.0,
    maximum: float | None = None,
    baseline: str | None = None,
) -> Target:
    return Target(name="spend", task=task, minimum=minimum, maximum=maximum, label_days=0, baseline=baseline)


def names(t: Target) -> list[str]:
    return [c.name for c in candidates_for(t, ALL)]


def test_two_classes_have_no_tweedie() -> None:
    assert names(target(Task.BINARY, 0.0, 1.0)) == ["linear", "forest", "gbt"]


@pytest.mark.parametrize("maximum", [None, 5000.0])
def test_an_amount_from_zero_has_tweedie(maximum: float | None) -> None:
    assert names(target(maximum=maximum)) == list(ALL)


@pytest.mark.parametrize(("minimum", "maximum"), [(0.0, 1.0), (None, None), (-1.0, 10.0), (1.0, 10.0)])
def test_a_share_or_a_number_not_from_zero_has_no_tweedie(
    minimum: float | None, maximum: float | None
) -> None:
    assert "tweedie" not in names(target(minimum=minimum, maximum=maximum))


def test_the_given_order_is_kept_and_a_name_counts_once() -> None:
    assert [c.name for c in candidates_for(target(), ["gbt", "linear", "gbt"])] == ["gbt", "linear"]


def test_few_rows_get_deeper_trees() -> None:
    few, many = (candidates_for(target(), ["forest"], rows=n)[0].params for n in (SMALL, MEDIUM + 1))
    assert few["maxDepth"] > many["maxDepth"]
    assert candidates_for(target(), ["forest"])[0].params == many


def test_trees_of_a_medium_number_of_rows_are_less_deep() -> None:
    sizes = (SMALL, SMALL + 1, MEDIUM, MEDIUM + 1, None)
    candidates = [candidates_for(target(), ["gbt", "forest"], rows=n) for n in sizes]
    depths = [tuple(c.params["maxDepth"] for c in pair) for pair in candidates]
    assert depths == [(4, 12), (3, 7), (3, 7), (4, 8), (4, 8)]


def test_the_penalty_of_a_linear_regression_follows_the_range_of_its_target() -> None:
    narrow, wide = (
        candidates_for(target(maximum=m), ["linear"])[0].params["regParam"] for m in (1.0, 5000.0)
    )
    assert wide == pytest.approx(5000 * float(narrow))


def test_an_unknown_name_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="no such kind of model: oracle"):
        candidates_for(target(), ["linear", "oracle"])


def test_no_suitable_candidate_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="none of models.candidates"):
        candidates_for(target(Task.BINARY), ["tweedie"])


def test_xgboost_that_is_not_installed_is_refused_by_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ConfigurationError, match=r"engage-spark\[xgboost\]"):
        candidates_for(target(), ["linear", "xgboost"])


def test_the_baseline_of_two_classes_is_a_logistic_model_of_the_named_feature() -> None:
    found = baseline_for(target(Task.BINARY, 0.0, 1.0, baseline="days_away"))
    assert (found.family, found.only) == (Family.LINEAR, ("days_away",))


@pytest.mark.parametrize("t", [target(Task.BINARY, 0.0, 1.0), target(), target(baseline="days_away")])
def test_every_other_baseline_predicts_one_value_from_no_feature(t: Target) -> None:
    assert (baseline_for(t).family, baseline_for(t).only) == (Family.CONSTANT, ())
