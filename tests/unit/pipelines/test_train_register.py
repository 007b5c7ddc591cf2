"""What a training says and records of its model where something is missing; stand-ins for what Spark fits."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import pytest

from engage_spark.ml.feature_spec import Task
from engage_spark.pipelines.train import card


@pytest.mark.parametrize(
    ("full", "selected", "means"),
    [
        ((0.75, 0.5), (0.5, 0.25, 0.1), "auc 0.625, the selected ones 0.375"),
        ((0.75, math.nan), (0.5, 0.25, 0.1), "auc 0.75, the selected ones 0.5"),
        ((math.nan, 0.5), (math.nan, 0.25, 0.1), "auc 0.5, the selected ones 0.25"),
        ((math.nan, math.nan), (math.nan, math.nan, 0.1), "auc undefined, the selected ones undefined"),
    ],
)
def test_the_card_compares_selections_on_the_folds_that_are_defined(
    full: tuple[float, ...], selected: tuple[float, ...], means: str
) -> None:
    metric = "auc"
    trained: Any = SimpleNamespace(
        comparison=SimpleNamespace(
            selection=SimpleNamespace(note="", jaccard=None),
            winner=SimpleNamespace(folds={metric: selected}),
        ),
        all_features=SimpleNamespace(folds={metric: full}),
        specs=SimpleNamespace(main=SimpleNamespace(features=range(9))),
        target=SimpleNamespace(task=Task.BINARY),
        selection_loss=None,
    )
    (line,) = card._selection(trained)
    assert line == f"On the first 2 folds, all 9 features give {means}."
