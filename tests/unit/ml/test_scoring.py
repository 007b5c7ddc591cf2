from __future__ import annotations

import json
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from engage_spark.errors import ConfigurationError, InputError
from engage_spark.ml.evaluation.conformal import Conformal, calibrate_regression, calibrate_sets
from engage_spark.ml.evaluation.profit_curve import contact_counts
from engage_spark.ml.explain.explainer import Explainer, Linear, Link
from engage_spark.ml.feature_spec import Feature, Target, Task
from engage_spark.ml.fold_models import FoldModel
from engage_spark.ml.scoring import Scorer, _require_model, feature_kind, require_schema
from engage_spark.ml.training.preparation import NumberSlot

BINARY = Target(name="leaves", task=Task.BINARY, minimum=0.0, maximum=1.0, label_days=30, baseline="age")
AMOUNT = Target(
    name="amount", task=Task.REGRESSION, minimum=0.0, maximum=None, label_days=0, baseline=None, unit="USD"
)
FEATURES = (
    Feature(name="age", table="people", categorical=False, protected=True),
    Feature(name="revenue_last_30_days", table="people", categorical=False),
    Feature(name="zone", table="people", categorical=True),
)
FIT = {"age": "int", "revenue_last_30_days": "double", "zone": "string"}


def sets() -> Conformal:
    return calibrate_sets([0, 1] * 30, np.linspace(0.1, 0.9, 60), coverage=0.9)


def made(**changed: Any) -> Scorer:
    names = ("age", "revenue_last_30_days", "zone")
    line = Linear(coefficients=np.array([0.1, 0.2, 0.3]), means=np.zeros(3), intercept=1 / 3)
    explainer = Explainer(
        features=names, categories=("zone",), source=np.arange(3, dtype=np.int32), link=Link.LOGIT, model=line
    )
    scorer = Scorer(
        target=BINARY,
        features=FEATURES,
        masked=("age",),
        explainer=explainer,
        conformal=sets(),
        contacts=contact_counts([0, 1] * 30, np.linspace(0.1, 0.9, 60), customers=np.arange(60)),
        days=("2025-10-21",),
        model_name="churn",
        model_version="7",
    )
    return replace(scorer, **changed)


def test_a_model_of_an_earlier_release_is_refused_in_words() -> None:
    first = SimpleNamespace(getStatement=lambda: "SELECT *, CAST(`age` AS DOUBLE) AS __n0 FROM __THIS__")
    model: Any = SimpleNamespace(stages=[first])
    with pytest.raises(ConfigurationError, match="churn version 7 .* trained by an earlier release") as e:
        _require_model(model, made())
    assert "train the target again" in str(e.value.hint)


def test_a_scorer_is_stored_with_all_its_bits() -> None:
    scorer = made(score="probability")
    copy = Scorer.from_json(scorer.to_json(), model_name="churn", model_version="7")
    assert copy.to_json() == scorer.to_json()
    assert (copy.target, copy.features, copy.masked) == (BINARY, FEATURES, ("age",))
    assert (copy.contacts, copy.days) == (scorer.contacts, ("2025-10-21",))
    assert (copy.score, copy.group, copy.conformal, copy.model_name, copy.model_version) == (
        "probability",
        None,
        sets(),
        "churn",
        "7",
    )


def test_the_models_of_the_folds_are_stored_with_all_their_bits() -> None:
    numbers = (NumberSlot(name="age", filled=1 / 3, centre=0.1 + 0.2, scale=0.0),)
    names, levels = ("zone", "age"), {"zone": ("b", "a")}
    fold = FoldModel(fold=2, names=names, numbers=numbers, levels=levels, explainer=made().explainer)
    copy = Scorer.from_json(made(folds=(fold,)).to_json(), model_name="", model_version="").folds[0]
    assert (copy.fold, copy.numbers, copy.levels) == (2, numbers, {"zone": ("b", "a")})
    assert list(copy.levels["zone"]) == ["b", "a"]
    assert copy.to_json() == fold.to_json()
    assert [(f.name, f.categorical) for f in copy.features] == [("zone", True), ("age", False)]


def test_a_scorer_of_an_older_version_says_nothing_of_days_and_contacts() -> None:
    stored = json.loads(made().to_json())
    older = {k: v for k, v in stored.items() if k not in ("contacts", "days", "folds")} | {"threshold": "0.2"}
    scorer = Scorer.from_json(json.dumps(older), model_name="churn", model_version="7")
    assert (scorer.contacts, scorer.days, scorer.folds) == (None, None, ())


def test_a_scorer_of_a_regression_is_stored_too() -> None:
    rng = np.random.default_rng(0)
    conformal = calibrate_regression(rng.random(40), rng.random(40), coverage=0.9, minimum=0.0, parts=2)
    scorer = made(target=AMOUNT, conformal=conformal, contacts=None)
    copy = Scorer.from_json(scorer.to_json(), model_name="", model_version="")
    assert (copy.target, copy.conformal, copy.contacts) == (AMOUNT, conformal, None)


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", made().to_json().replace('"task": "binary"', '"task": "guess"')]
)
def test_what_is_no_stored_scorer_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="not a stored scorer"):
        Scorer.from_json(text, model_name="m", model_version="1")


def test_parts_that_do_not_fit_together_are_all_named() -> None:
    with pytest.raises(ConfigurationError) as caught:
        made(target=AMOUNT, features=FEATURES[:2], group="zone", score="probability")
    assert caught.value.details == (
        "only of two classes one decides whom to contact",
        "the conformal calibration is of another task",
        "a column of groups belongs to a calibration by group",
        "only binary models have a probability",
        "the explainer knows zone, which the model's features do not include",
    )


@pytest.mark.parametrize("number", ["tinyint", "bigint", "float", "decimal(10,2)", "boolean"])
def test_any_numeric_type_is_a_number(number: str) -> None:
    assert feature_kind(number) == "number"
    require_schema({**FIT, "age": number, "more": "map<string,int>"}, made())
    with pytest.raises(ConfigurationError, match="is string, text, and was number in training"):
        require_schema({**FIT, "age": "string"}, made())


def test_all_differences_of_a_schema_are_told_at_once() -> None:
    types = {"age": "string", "zone": "date", "revenue_last_30_day": "double", "id": "string"}
    with pytest.raises(ConfigurationError, match="not what model churn 7 was trained on") as caught:
        require_schema(types, made(), needed=["id", "snapshot_date"])
    assert caught.value.details == (
        "age is string, text, and was number in training",
        "revenue_last_30_days (number) is missing; is it revenue_last_30_day?",
        "zone is date, date, and was text in training",
        "snapshot_date is missing",
    )
