"""What is checked before the first fit, where a fit may not take all rows; counts are stand-ins."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from engage_spark.errors import ConfigurationError
from engage_spark.ml import trainable_targets as checked
from engage_spark.ml.data.driver_sample import RowSample
from engage_spark.ml.data.fit_draw import FitDraw
from engage_spark.ml.data.preflight import FoldCounts
from engage_spark.ml.feature_spec import Feature, FeatureSpec, LeakPolicy, Target, TargetSpecs, Task
from engage_spark.settings.model import ModelSettings

TARGET = Target(name="left", task=Task.BINARY, minimum=0, maximum=1, label_days=0, baseline=None)
AGE, RARE = (Feature(name=n, table="people", categorical=False) for n in ("age", "rare"))


def spec(*features: Feature) -> FeatureSpec:
    return FeatureSpec(
        target=TARGET, policy=LeakPolicy.STRICT, features=features, excluded=(("id", "role key"),)
    )


def fold(number: int, **present: int) -> FoldCounts:
    return FoldCounts(
        fold=number,
        rows=100,
        unlabelled=0,
        ones=50,
        zeros=50,
        minimum=0.0,
        maximum=1.0,
        present=present,
        infinite={},
    )


def trainable(
    monkeypatch: pytest.MonkeyPatch, *, there: list[FoldCounts], drawn: list[FoldCounts], limit: int | None
) -> tuple[TargetSpecs, list[str], int]:
    """The specs to train on, what is said, and how often rows are counted."""
    counted: list[Any] = []
    events: list[str] = []

    def fold_counts(rows: Any, **_: Any) -> list[FoldCounts]:
        counted.append(rows)
        return drawn if rows == "drawn" else there

    def sample(_: str, *, label: str, limit: int) -> RowSample:
        return RowSample(expected=200, limit=limit, label=label)

    monkeypatch.setattr(checked, "labelled", lambda *_, **__: SimpleNamespace(where=lambda _: "all"))
    monkeypatch.setattr(checked, "F", SimpleNamespace(col=lambda name: name))
    monkeypatch.setattr(checked, "fold_counts", fold_counts)
    monkeypatch.setattr(
        checked, "split_rows", lambda *_: SimpleNamespace(sample=sample, counts={"fit": 200}, fit="all")
    )
    monkeypatch.setattr(FitDraw, "drawn", lambda _, rows: "drawn")
    monkeypatch.setattr(checked.log, "event", lambda text, **_: events.append(text))
    specs = {"left": TargetSpecs(main=spec(AGE, RARE), other=spec(RARE), unprotected=spec(AGE))}
    rows: Any = None
    snapshots: Any = {"left": SimpleNamespace(train=())}
    models = ModelSettings(candidates=("linear",), fit_rows=limit)
    made = checked.trainable_targets(rows, specs, snapshots, key=["id"], models=models)
    return made["left"].specs, events, len(counted)


FULL = [fold(0, age=90, rare=2), fold(1, age=90, rare=2)]


def test_a_feature_that_the_draw_leaves_empty_is_left_out_and_that_is_said(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    drawn = [fold(0, age=40, rare=1), fold(1, age=40, rare=0)]  # outside fold 0 there is none
    specs, said, jobs = trainable(monkeypatch, there=FULL, drawn=drawn, limit=100)
    assert [s.names for s in specs.all] == [("age",), (), ("age",)]
    assert [name for name, _ in specs.main.excluded] == ["id", "rare"]
    assert "models.fit_rows" in dict(specs.main.excluded)["rare"]
    assert [name for name, _ in specs.unprotected.excluded] == ["id"], "it was not in it"
    (line,) = said
    assert "left is trained without rare" in line and jobs == 2


def test_where_the_draw_has_all_values_or_takes_all_rows_nothing_is_left_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    specs, said, jobs = trainable(monkeypatch, there=FULL, drawn=FULL, limit=100)
    assert (specs.main.names, said, jobs) == (("age", "rare"), [], 2)
    specs, said, jobs = trainable(monkeypatch, there=FULL, drawn=[], limit=None)
    assert (specs.main.names, said, jobs) == (("age", "rare"), [], 1), "no job more"


def test_a_feature_that_no_row_has_and_a_draw_without_any_are_refused_as_before(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    empty = [fold(0, age=90, rare=0), fold(1, age=90, rare=0)]
    with pytest.raises(ConfigurationError, match="no model of 'left' can be trained") as caught:
        trainable(monkeypatch, there=empty, drawn=FULL, limit=100)
    assert any("rare" in line for line in caught.value.details)
    nothing = [fold(0, age=0, rare=0), fold(1, age=0, rare=0)]
    with pytest.raises(ConfigurationError, match="can be trained"):
        trainable(monkeypatch, there=FULL, drawn=nothing, limit=100)
