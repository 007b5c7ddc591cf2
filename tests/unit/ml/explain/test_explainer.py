from __future__ import annotations

import pickle
from dataclasses import replace

import numpy as np
import pytest

from engage_spark.errors import InputError
from engage_spark.ml.explain.explainer import (
    SINGLE_TOLERANCE,
    Explainer,
    ExplanationError,
    Linear,
    Link,
)
from engage_spark.ml.explain.tree_ensemble import Node, ensemble
from tests.support.random_trees import random_trees


def of_trees(slots: int = 6, **changed: object) -> Explainer:
    model = ensemble(random_trees(np.random.default_rng(3), trees=6, depth=5, slots=slots))
    source = np.array([0, 1, 1, 2, 3, 3], np.int32)
    made = Explainer(
        features=("age", "kind", "sum", "zone"),
        categories=("kind", "zone"),
        source=source,
        link=Link.IDENTITY,
        model=model,
    )
    return replace(made, **changed)


def of_line(link: Link = Link.IDENTITY, **changed: object) -> Explainer:
    model = Linear(coefficients=np.array([2.0, -1.0, 0.5]), means=np.array([0.0, 0.25, 0.5]), intercept=3.0)
    made = Explainer(
        features=("age", "kind"),
        categories=("kind",),
        source=np.array([0, 1, 1], np.int32),
        link=link,
        model=model,
    )
    return replace(made, **changed)


def test_a_linear_contribution_is_coefficient_times_distance_from_the_mean() -> None:
    explainer = of_line()
    assert explainer.base == 3.0  # 3 + 2 * 0 - 1 * 0.25 + 0.5 * 0.5
    # kind: -1 * 0.75 + 0.5 * -0.5
    assert explainer.contributions(np.array([[1.5, 1.0, 0.0]])).tolist() == [[3.0, -1.0]]


@pytest.mark.parametrize(
    ("link", "expected"),
    [(Link.IDENTITY, 5.0), (Link.LOGIT, 1 / (1 + np.exp(-5.0))), (Link.LOG, np.exp(5.0))],
)
def test_contributions_add_up_to_what_the_link_makes_of_them(link: Link, expected: float) -> None:
    explainer, x = of_line(link), np.array([[1.5, 1.0, 0.0]])
    assert explainer.checked(x, np.array([expected])).sum() + explainer.base == pytest.approx(5.0)


def test_a_prediction_that_was_put_into_bounds_is_explained_too() -> None:
    x = np.array([[1.5, 1.0, 0.0], [-9.0, 0.0, 0.0]])
    assert of_line(minimum=0.0, maximum=4.5).checked(x, np.array([4.5, 0.0])).shape == (2, 2)


@pytest.mark.parametrize("served", [5.0 + 8e-6, 0.0, np.nan])
def test_a_prediction_of_another_model_is_noticed(served: float) -> None:
    with pytest.raises(ExplanationError, match=r"add up to .*5\.0.*, and what the model predicts is"):
        of_line().checked(np.array([[1.5, 1.0, 0.0], [0.0, 0.0, 0.0]]), np.array([served, 3.0]))


def test_a_kernel_that_lost_something_would_be_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    x = np.random.default_rng(4).normal(size=(5, 6))
    explainer = of_trees()
    right = explainer.contributions(x)
    monkeypatch.setattr(Explainer, "contributions", lambda self, x: right * 0.999)
    with pytest.raises(ExplanationError, match="its raw prediction"):
        explainer.checked(x, explainer.model.raw(x))


def boosted_amounts(
    amounts: np.ndarray, *, average: float, trees: int = 200, rate: float = 0.05
) -> Explainer:
    """Boosted trees in 32 bits that start from the average and end near each amount, one leaf each; slot 0
    holds which.
    """
    last = len(amounts) - 1

    def grown(values: np.ndarray) -> list[Node]:
        nodes = []
        for i in range(last):
            nodes.append(Node(2 * i, 0, i + 0.5, 2 * i + 1, 2 * i + 2, 0.0, float(last + 1 - i)))
            nodes.append(Node(2 * i + 1, -1, 0.0, -1, -1, float(values[i]), 1.0))
        return [*nodes, Node(2 * last, -1, 0.0, -1, -1, float(values[last]), 1.0)]

    leaves = np.float32((amounts - average) * rate * (1 - rate) ** np.arange(trees)[:, None])
    model = ensemble(((1.0, grown(values)) for values in leaves), bias=average, single=True)
    return Explainer(
        features=("a",), categories=(), source=np.zeros(1, np.int32), link=Link.IDENTITY, model=model
    )


def test_small_amounts_that_are_made_of_large_addends_are_explained() -> None:
    """Sums in 32 bits are rounded by what is added up, not by what is left: a gamma-like target has many
    values near 0 and an average of hundreds.
    """
    average = 451.3
    amounts = np.round(np.random.default_rng(6).gamma(0.3, average / 0.3, 12), 2)
    explainer, x = boosted_amounts(amounts, average=average), np.arange(12.0)[:, None]
    served = np.full(12, np.float32(average))
    for tree in np.split(explainer.model.value, explainer.model.roots[1:]):
        served = served + np.float32(tree[tree != 0])
    off = np.abs(explainer.model.raw(x) - served) / np.maximum(1.0, np.abs(served))
    assert off.max() > SINGLE_TOLERANCE, "by the size of the prediction some rows would be refused"
    total = explainer.base + explainer.checked(x, served).sum(axis=1)
    assert total == pytest.approx(explainer.model.raw(x), abs=1e-9)
    with pytest.raises(ExplanationError):
        explainer.checked(x, served + 0.02)


@pytest.mark.parametrize(
    ("explainer", "amount", "unit"),
    [
        (of_line(Link.LOGIT), "", "log-odds"),
        (of_trees(), "", "probability"),
        (of_trees(), "USD", "USD"),
        (of_line(Link.LOG), "USD", "log USD"),
    ],
)
def test_the_unit_of_contributions_follows_from_the_link(
    explainer: Explainer, amount: str, unit: str
) -> None:
    assert explainer.unit(amount) == unit


def test_trees_with_probabilities_of_infinite_log_odds_are_explained() -> None:
    line = Linear(coefficients=np.array([800.0]), means=np.zeros(1), intercept=0.0)
    explainer = Explainer(
        features=("a",), categories=(), source=np.zeros(1, np.int32), link=Link.LOGIT, model=line
    )
    assert explainer.checked(np.array([[-1.0], [1.0]]), np.array([0.0, 1.0])).tolist() == [[-800.0], [800.0]]


def test_reasons_are_the_largest_by_magnitude_ties_by_name_zeros_left_out() -> None:
    explainer = of_trees(features=("zone", "kind", "age", "sum"))
    feature, value, counts = explainer.top(
        np.array([[0.5, -2.0, 0.5, 0.1], [0.0, 0.0, 0.0, -1.0], [0.0] * 4, [1.0, -1.0, 1.0, -1.0]]), 2
    )
    assert counts.tolist() == [2, 1, 0, 2]
    assert [explainer.features[i] for i in feature] == ["kind", "age", "sum", "age", "kind"]
    assert value.tolist() == [-2.0, 0.5, -1.0, 1.0, -1.0]


@pytest.mark.parametrize(
    "explainer", [of_trees(), of_line(Link.LOG, minimum=0.0, maximum=5000.0)], ids=["trees", "line"]
)
def test_an_explainer_is_stored_and_travels_with_all_its_bits(explainer: Explainer) -> None:
    x = np.random.default_rng(5).normal(size=(40, 6 if "zone" in explainer.features else 3))
    expected = explainer.contributions(x)
    for copy in (Explainer.from_json(explainer.to_json()), pickle.loads(pickle.dumps(explainer))):
        assert copy.contributions(x).tobytes() == expected.tobytes()
        assert copy.to_json() == explainer.to_json()
        assert (copy.base, copy.link, copy.features, copy.categories) == (
            explainer.base,
            explainer.link,
            explainer.features,
            explainer.categories,
        )
        assert (copy.minimum, copy.maximum) == (explainer.minimum, explainer.maximum)


def test_what_an_explainer_derived_does_not_travel() -> None:
    explainer = of_trees()
    fresh = len(pickle.dumps(explainer))
    explainer.contributions(np.zeros((1, 6)))
    assert len(pickle.dumps(explainer)) == fresh


@pytest.mark.parametrize(
    "text", ["", "{}", '{"features": ["a"], "linear": {}}', of_line().to_json().replace("eJ", "xx")]
)
def test_what_is_no_stored_explainer_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="not a stored explainer"):
        Explainer.from_json(text)
