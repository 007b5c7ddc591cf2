from __future__ import annotations

import json
import warnings

import numpy as np
import pytest
import xgboost
from hypothesis import given, settings
from hypothesis import strategies as st

from engage_spark.errors import ConfigurationError
from engage_spark.ml.explain.tree_ensemble import Node, booster_ensemble, ensemble
from engage_spark.ml.explain.treeshap import BLOCK, contributions, tables
from tests.support.examples import examples
from tests.support.random_trees import Trees, by_definition, random_trees

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import shap


def explained_by_shap(trees: Trees, x: np.ndarray) -> np.ndarray:
    as_arrays = [
        {
            "children_left": np.array([n.left for n in nodes]),
            "children_right": np.array([n.right for n in nodes]),
            "children_default": np.array([n.left if n.missing_left else n.right for n in nodes]),
            "features": np.array([n.feature for n in nodes]),
            "thresholds": np.array([n.threshold for n in nodes]),
            "values": np.array([[weight * n.value if n.left < 0 else 0.0] for n in nodes]),
            "node_sample_weight": np.array([n.cover for n in nodes]),
        }
        for weight, nodes in trees
    ]
    explainer = shap.TreeExplainer({"trees": as_arrays}, feature_perturbation="tree_path_dependent")
    return np.asarray(explainer.shap_values(x, check_additivity=False))


@pytest.mark.parametrize(("depth", "slots"), [(1, 3), (5, 40), (6, 4), (8, 12), (12, 30)])
def test_contributions_equal_those_of_the_shap_package(depth: int, slots: int) -> None:
    rng = np.random.default_rng(depth)
    trees = random_trees(rng, trees=8, depth=depth, slots=slots, stop=0.05)
    x = rng.normal(size=(BLOCK + 70, slots))
    np.testing.assert_allclose(
        contributions(ensemble(trees), x), explained_by_shap(trees, x), rtol=0, atol=1e-12
    )


@given(seed=st.integers(0, 2**32), slots=st.integers(1, 4), depth=st.integers(0, 5), missing=st.booleans())
@settings(max_examples=examples(60), deadline=None)
def test_contributions_equal_shapley_values_by_their_definition(
    seed: int, slots: int, depth: int, missing: bool
) -> None:
    rng = np.random.default_rng(seed)
    trees = random_trees(rng, trees=2, depth=depth, slots=slots)
    row = rng.normal(size=slots)
    if missing:
        row[int(rng.integers(slots))] = np.nan
    found = contributions(ensemble(trees), row[None, :])[0]
    np.testing.assert_allclose(found, by_definition(trees, row.tolist(), slots), rtol=0, atol=1e-12)


def test_contributions_and_base_add_up_to_the_raw_prediction() -> None:
    rng = np.random.default_rng(5)
    model = ensemble(random_trees(rng, trees=100, depth=8, slots=40, stop=0.05), bias=3.25)
    x = rng.normal(size=(500, 40))
    assert np.abs(contributions(model, x).sum(axis=1) + model.base - model.raw(x)).max() < 1e-10


def test_a_split_on_two_features_shares_as_computed_by_hand() -> None:
    # x0 <= 0: 10 of 40 rows -> 4; else x1 <= 0: 15 of 30 rows -> 8, else 0. Base: 1/4 * 4 + 3/4 * (1/2 * 8) =
    # 4.
    nodes = [
        Node(0, 0, 0.0, 1, 2, 0.0, 40.0),
        Node(1, -1, 0.0, -1, -1, 4.0, 10.0),
        Node(2, 1, 0.0, 3, 4, 0.0, 30.0),
    ]
    nodes += [Node(3, -1, 0.0, -1, -1, 8.0, 15.0), Node(4, -1, 0.0, -1, -1, 0.0, 15.0)]
    model = ensemble([(1.0, nodes)])
    assert model.base == 4.0
    # Known x0 > 0 alone: 4, x1 <= 0 alone: 1/4 * 4 + 3/4 * 8 = 7, both: 8. So x0: (0 + 1) / 2, x1: (3 + 4) /
    # 2.
    np.testing.assert_allclose(contributions(model, np.array([[1.0, -1.0]])), [[0.5, 3.5]], atol=1e-15)


def test_slots_of_one_feature_are_added_up() -> None:
    rng = np.random.default_rng(6)
    model = ensemble(random_trees(rng, trees=5, depth=5, slots=6))
    x = rng.normal(size=(20, 6))
    apart = contributions(model, x)
    together = contributions(model, x, source=np.array([0, 1, 1, 2, 0, 1], np.int32))
    np.testing.assert_allclose(
        together,
        np.stack([apart[:, [0, 4]].sum(1), apart[:, [1, 2, 5]].sum(1), apart[:, 3]], axis=1),
        atol=1e-13,
    )


def test_a_row_has_the_same_bits_alone_and_among_others() -> None:
    rng = np.random.default_rng(7)
    model = ensemble(random_trees(rng, trees=20, depth=7, slots=10))
    x = rng.normal(size=(BLOCK + 41, 10))
    together = contributions(model, x)
    alone = np.concatenate([contributions(model, row[None, :]) for row in x])
    assert together.tobytes() == alone.tobytes()
    assert contributions(model, x, prepared=tables(model)).tobytes() == together.tobytes()


def test_a_tree_that_is_one_leaf_has_no_reasons() -> None:
    model = ensemble([(0.5, [Node(0, -1, 0.0, -1, -1, 6.0, 100.0)])], bias=1.0)
    x = np.zeros((3, 2))
    assert (model.base, model.slots) == (4.0, 0)
    assert model.raw(x).tolist() == [4.0, 4.0, 4.0]
    assert contributions(model, x).tolist() == [[0.0, 0.0]] * 3


def test_rows_that_are_too_short_are_not_looked_at() -> None:
    model = ensemble(random_trees(np.random.default_rng(8), trees=3, depth=4, slots=5, stop=0.0))
    with pytest.raises(ValueError, match="with 5 slots"):
        contributions(model, np.zeros((2, 4)))


def test_a_node_without_rows_is_refused() -> None:
    nodes = [
        Node(0, 0, 0.5, 1, 2, 0.0, 8.0),
        Node(1, -1, 0.0, -1, -1, 1.0, 8.0),
        Node(2, -1, 0.0, -1, -1, 2.0, 0.0),
    ]
    with pytest.raises(ConfigurationError, match="nodes without rows"):
        ensemble([(1.0, nodes)])


def boosted(objective: str, **params: object) -> tuple[xgboost.Booster, np.ndarray]:
    rng = np.random.default_rng(9)
    x = rng.normal(size=(800, 6)).round(1)
    x[rng.random(x.shape) < 0.1] = np.nan
    y = np.nan_to_num(x[:, 0]) * np.nan_to_num(x[:, 1]) + np.nan_to_num(x[:, 2]) + 0.3 * rng.normal(size=800)
    label = (y > 0.4).astype(float) if objective.startswith("binary") else y
    return xgboost.train(
        {"objective": objective, "max_depth": 5, "seed": 1, **params}, xgboost.DMatrix(x, label=label), 12
    ), x


@pytest.mark.parametrize("objective", ["binary:logistic", "reg:squarederror"])
def test_xgboost_models_are_read_from_their_json(objective: str) -> None:
    booster, x = boosted(objective)
    model, rows = booster_ensemble(booster.save_raw("json").decode()), xgboost.DMatrix(x)
    np.testing.assert_allclose(model.raw(x), booster.predict(rows, output_margin=True), rtol=0, atol=2e-6)
    expected = booster.predict(rows, pred_contribs=True)  # its own TreeSHAP, in 32 bits
    np.testing.assert_allclose(contributions(model, x), expected[:, :-1], rtol=0, atol=5e-6)
    assert model.base == pytest.approx(float(expected[0, -1]), abs=2e-6)


def test_a_value_on_the_threshold_goes_right_in_xgboosts_trees() -> None:
    booster, _ = boosted("reg:squarederror", max_depth=1)
    tree = json.loads(booster.save_raw("json"))["learner"]["gradient_booster"]["model"]["trees"][0]
    slot, threshold = tree["split_indices"][0], np.float32(tree["split_conditions"][0])
    x = np.zeros((2, 6))
    x[:, slot] = [threshold, np.nextafter(threshold, np.float32(-np.inf))]
    model = booster_ensemble(booster.save_raw("json").decode())
    np.testing.assert_allclose(model.raw(x), booster.predict(xgboost.DMatrix(x)), atol=1e-6)
    assert model.raw(x)[0] != model.raw(x)[1]


@pytest.mark.parametrize(
    ("objective", "params", "message"),
    [("reg:tweedie", {}, "objective reg:tweedie"), ("reg:squarederror", {"booster": "dart"}, "booster dart")],
)
def test_other_xgboost_models_are_refused(objective: str, params: dict[str, object], message: str) -> None:
    rng = np.random.default_rng(10)
    data = xgboost.DMatrix(rng.normal(size=(50, 2)), label=rng.random(50))
    booster = xgboost.train({"objective": objective, **params}, data, 2)
    with pytest.raises(ConfigurationError, match=message):
        booster_ensemble(booster.save_raw("json").decode())
