"""Which depth and how many rounds of boosted trees the folds choose; fits are stand-ins."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import pytest

from engage_spark.errors import FitError, TransientError
from engage_spark.ml.feature_spec import Feature, FeatureSpec, LeakPolicy, Target, Task
from engage_spark.ml.training import boosting_search
from engage_spark.ml.training.boosting_search import (
    BoostingSearch,
    choose_boosting,
    is_searched,
    search_boosting,
)
from engage_spark.ml.training.candidates import candidates_for
from engage_spark.settings.model import ModelSettings

TARGET = Target(name="left", task=Task.BINARY, minimum=0, maximum=1, label_days=0, baseline=None)
AGE = Feature(name="age", table="people", categorical=False)
SPEC = FeatureSpec(target=TARGET, policy=LeakPolicy.STRICT, features=(AGE,), excluded=())
LINEAR, GBT = candidates_for(TARGET, ["linear", "gbt"])


def search(monkeypatch: pytest.MonkeyPatch, losses: Any) -> BoostingSearch:
    """Search on folds 0 and 1 where a fit's losses are `losses(fold, depth)`."""
    rows: Any = {0: object(), 1: object()}
    monkeypatch.setattr(
        boosting_search, "fit_all", lambda jobs, **_: [SimpleNamespace(job=job) for job in jobs]
    )
    monkeypatch.setattr(
        boosting_search,
        "held_out_losses",
        lambda f, _: losses(f.job.fold, f.job.candidate.params["maxDepth"]),
    )
    features = dict.fromkeys(rows, (AGE,))
    return search_boosting(GBT, SPEC, features, rows, rows[0], models=ModelSettings())


def test_the_smallest_loss_decides_the_depth_and_then_the_fewest_rounds_that_reach_it() -> None:
    assert choose_boosting({3: [0.9, 0.5, 0.41, 0.42], 5: [0.9, 0.4001, 0.3998, 0.5]}) == (5, 2)
    assert choose_boosting({3: [0.9, 0.41, 0.40, 0.39]}) == (3, 4), "a model that still learns is not cut"


def test_of_equal_depths_the_least_deep_is_taken() -> None:
    assert choose_boosting({5: [0.5, 0.4], 3: [0.5, 0.4]}) == (3, 2)


def test_folds_are_averaged_round_by_round(monkeypatch: pytest.MonkeyPatch) -> None:
    by_fit = {(0, 3): [0.8, 0.2, 0.8], (1, 3): [0.8, 0.9, 0.2], (0, 5): [0.7, 0.7, 0.7], (1, 5): [0.7] * 3}
    found = search(monkeypatch, lambda fold, depth: by_fit[fold, depth])
    assert found.losses == {3: pytest.approx((0.8, 0.55, 0.5)), 5: pytest.approx((0.7, 0.7, 0.7))}
    assert (found.candidate.params["maxDepth"], found.candidate.params["maxIter"]) == (3, 3)
    assert found.candidate.name == "gbt" and found.candidate.params["maxBins"] == GBT.params["maxBins"]
    assert "3 rounds of depth 3" in found.text and "depth 5: 0.7 after 1" in found.text


def test_a_search_that_fails_leaves_the_candidate_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(_fold: int, _depth: int) -> list[float]:
        raise FitError("rare has no value")

    assert search(monkeypatch, fails) == BoostingSearch(candidate=GBT, losses={})


def test_a_loss_that_is_not_defined_is_a_failed_search(monkeypatch: pytest.MonkeyPatch) -> None:
    def undefined(_fold: int, depth: int) -> list[float]:
        return [math.nan] * 100 if depth == 3 else [0.5] * 100

    assert search(monkeypatch, undefined) == BoostingSearch(candidate=GBT, losses={})


def test_a_lost_cluster_is_no_failed_search(monkeypatch: pytest.MonkeyPatch) -> None:
    def lost(_fold: int, _depth: int) -> list[float]:
        raise TransientError("an executor was lost")

    with pytest.raises(TransientError):
        search(monkeypatch, lost)


def test_boosted_trees_alone_are_searched_for_and_on_few_rows_alone() -> None:
    models = ModelSettings(search_rows=1_000)
    assert is_searched(GBT, 1_000, models)
    assert not is_searched(GBT, 1_001, models)
    assert not is_searched(LINEAR, 1_000, models)
    assert not is_searched(GBT, 1_000, ModelSettings(search_rows=0))
