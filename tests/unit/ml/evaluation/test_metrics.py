"""Metrics against scikit-learn and pandas: ties, weights, one class, constant targets, unusable arrays."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk

from engage_spark.errors import InputError
from engage_spark.ml.evaluation.confusion import at_threshold, confusion
from engage_spark.ml.evaluation.metrics import (
    BINS,
    HEADLINE,
    METRICS,
    UndefinedMetricError,
    calibration_cuts,
    evaluate,
    metrics_of,
)
from engage_spark.ml.feature_spec import Task
from tests.support.examples import examples

GRID = st.integers(0, 12).map(lambda k: k / 12)
BINARY_ROWS = st.lists(st.tuples(st.integers(0, 1), GRID, st.integers(0, 3)), min_size=2, max_size=60)
NUMBER_ROWS = st.lists(
    st.tuples(st.integers(0, 9), st.integers(-3, 12), st.integers(0, 3)), min_size=2, max_size=60
)


def close(found: float, expected: float) -> bool:
    return found == pytest.approx(expected, rel=1e-9, abs=1e-9)


@given(BINARY_ROWS)
@settings(max_examples=examples(150), deadline=None)
def test_binary_metrics_are_those_of_scikit_learn_with_ties_and_weights(
    rows: list[tuple[int, float, int]],
) -> None:
    y, p, w = (np.array(c, dtype=float) for c in zip(*rows, strict=True))
    assume(len(set(y[w > 0])) == 2)
    assert close(METRICS["auc"](y, p, w), sk.roc_auc_score(y, p, sample_weight=w))
    assert close(METRICS["pr_auc"](y, p, w), sk.average_precision_score(y, p, sample_weight=w))
    assert close(
        METRICS["log_loss"](y, p, w),
        sk.log_loss(y, np.column_stack([1 - p, p]), sample_weight=w, labels=[0, 1]),
    )
    assert close(METRICS["brier"](y, p, w), sk.brier_score_loss(y, p, sample_weight=w))
    accuracy, precision, recall, f1 = at_threshold(0.5)
    decided = p >= 0.5
    assert close(accuracy(y, p, w), sk.accuracy_score(y, decided, sample_weight=w))
    assert close(recall(y, p, w), sk.recall_score(y, decided, sample_weight=w))
    assert close(f1(y, p, w), sk.f1_score(y, decided, sample_weight=w))
    if w[decided].sum():
        assert close(precision(y, p, w), sk.precision_score(y, decided, sample_weight=w))


@given(NUMBER_ROWS)
@settings(max_examples=examples(150), deadline=None)
def test_regression_metrics_are_those_of_scikit_learn_with_weights(rows: list[tuple[int, int, int]]) -> None:
    y, p, w = (np.array(c, dtype=float) for c in zip(*rows, strict=True))
    assume(len(set(y[w > 0])) > 1)
    assert close(METRICS["r2"](y, p, w), sk.r2_score(y, p, sample_weight=w))
    assert close(METRICS["mae"](y, p, w), sk.mean_absolute_error(y, p, sample_weight=w))
    assert close(METRICS["rmse"](y, p, w), sk.root_mean_squared_error(y, p, sample_weight=w))
    assert close(METRICS["bias"](y, p, w), np.average(p, weights=w) - np.average(y, weights=w))


@given(BINARY_ROWS)
@settings(max_examples=examples(80), deadline=None)
def test_normalised_gini_of_two_classes_is_twice_the_auc_less_one(rows: list[tuple[int, float, int]]) -> None:
    y, p, w = (np.array(c, dtype=float) for c in zip(*rows, strict=True))
    assume(len(set(y[w > 0])) == 2)
    assert close(METRICS["gini"](y, p, w), 2 * sk.roc_auc_score(y, p, sample_weight=w) - 1)


def test_normalised_gini_counts_areas_of_the_lorenz_curves() -> None:
    random = np.random.default_rng(1)
    y, p = random.gamma(0.5, 300.0, 4000), random.random(4000)
    p += y / 1000

    def steps(by: np.ndarray) -> float:
        return 2 * (y[np.argsort(-by)].cumsum() / y.sum()).sum() / len(y) - 1

    assert METRICS["gini"](y, p) == pytest.approx(steps(p) / steps(y), abs=2 / len(y))
    assert METRICS["gini"](y, y) == pytest.approx(1.0, abs=1e-12)
    assert METRICS["gini"](y, -y) == pytest.approx(-1.0, abs=1e-12)
    assert METRICS["gini"](y, np.ones(4000)) == pytest.approx(0.0, abs=1e-12)


@pytest.mark.parametrize("name", list(METRICS))
def test_a_weight_of_two_is_the_row_twice_and_the_order_of_rows_is_nothing(name: str) -> None:
    random = np.random.default_rng(2)
    p = np.round(random.random(500), 2)
    y = (
        (random.random(500) < p).astype(float)
        if METRICS[name].task is Task.BINARY
        else np.round(p + random.normal(0, 0.3, 500), 1)
    )
    w = random.integers(0, 4, 500)
    value = METRICS[name](y, p, w)
    twice = np.repeat(np.arange(500), w)
    shuffled = random.permutation(twice)
    if name != "ece_mass":  # its bins hold equal numbers of rows, whatever their weights
        assert METRICS[name](y[twice], p[twice]) == pytest.approx(value, rel=1e-9)
    assert METRICS[name](y[shuffled], p[shuffled]) == pytest.approx(
        METRICS[name](y[twice], p[twice]), rel=1e-9
    )


def test_ece_is_the_mean_gap_of_15_bins_of_equal_width() -> None:
    random = np.random.default_rng(3)
    p = random.random(5000) ** 2
    y = (random.random(5000) < 0.8 * p).astype(float)
    rows = pd.DataFrame({"y": y, "p": p, "bin": pd.cut(p, np.arange(BINS + 1) / BINS, right=False)})
    means = rows.groupby("bin", observed=True)[["y", "p"]].mean()
    sizes = rows.groupby("bin", observed=True).size() / len(rows)
    assert METRICS["ece"](y, p) == pytest.approx(float((sizes * (means.y - means.p).abs()).sum()), abs=1e-12)


def test_a_score_of_one_is_in_the_last_bin_and_equal_scores_share_one() -> None:
    assert METRICS["ece"]([1, 0], [1.0, 1.0]) == pytest.approx(0.5)
    assert METRICS["ece_mass"]([1, 0, 1, 0], [0.5, 0.5, 0.5, 0.5]) == pytest.approx(0.0)
    assert len(calibration_cuts(np.array([0.1] * 50 + [0.2] * 50), mass=True)) == 2


def test_one_class_is_an_error_that_says_what_is_needed() -> None:
    with pytest.raises(
        UndefinedMetricError, match="AUC is undefined on these 3 rows: it needs labels of both classes"
    ):
        METRICS["auc"]([1, 1, 1], [0.1, 0.2, 0.3])
    with pytest.raises(UndefinedMetricError, match="needs a label 1"):
        METRICS["pr_auc"]([0, 0], [0.1, 0.2])
    with pytest.raises(UndefinedMetricError, match="needs a score of 0.9 or more"):
        at_threshold(0.9)[1]([0, 1], [0.1, 0.2])


def test_a_constant_target_leaves_r2_undefined_and_the_errors_defined() -> None:
    with pytest.raises(
        UndefinedMetricError, match="R² is undefined on these 3 rows: it needs labels that vary"
    ):
        METRICS["r2"]([0.1] * 3, [1.0, 2.0, 3.0])
    found = evaluate(metrics_of(Task.REGRESSION), [0.1] * 3, [1.1, 0.1, 0.1])
    assert (found["r2"], found["gini"]) == (None, None)
    assert found["mae"] == pytest.approx(1 / 3)


def test_all_that_is_wrong_with_the_arrays_is_told_at_once() -> None:
    with pytest.raises(InputError) as error:
        METRICS["brier"]([0, 2, 1], [0.5, 1.5, float("nan")], [1, -1, 1])
    text = str(error.value)
    for part in (
        "1 labels are neither 0 nor 1",
        "1 scores are not probabilities",
        "1 scores are null, NaN",
        "1 weights are negative",
    ):
        assert part in text
    with pytest.raises(InputError, match="there are no rows"):
        METRICS["auc"]([], [])
    with pytest.raises(InputError, match=r"as long as each other, not \(2,\), \(1,\)"):
        METRICS["auc"]([0, 1], [0.5])


def test_confusion_counts_the_threshold_itself_as_selected() -> None:
    found = confusion([1, 0, 1, 0, 1], [0.5, 0.5, 0.4, 0.1, 0.9], threshold=0.5)
    assert (found.tp, found.fp, found.fn, found.tn) == (2, 1, 1, 1)
    assert found.f1 == pytest.approx(2 / 3)


def test_each_task_has_its_headline_first() -> None:
    assert [metrics_of(t)[0].name for t in Task] == [HEADLINE[t].name for t in Task] == ["auc", "rmse"]


def test_gains_are_positive_where_a_value_is_better() -> None:
    assert METRICS["auc"].gain(0.8, 0.7) == pytest.approx(0.1)
    assert METRICS["rmse"].gain(2.0, 3.0) == pytest.approx(1.0)
    assert METRICS["bias"].gain(-1.0, 3.0) == pytest.approx(2.0)
