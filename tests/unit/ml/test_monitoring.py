"""Measures of a model in use, and how they stand to their bounds."""

from __future__ import annotations

import numpy as np
import pytest

from engage_spark.contract.monitoring import Bound, monitored_measures
from engage_spark.ml.evaluation.metrics import metrics_of
from engage_spark.ml.fairness.group_metrics import compare
from engage_spark.ml.fairness.group_sums import sums_by_group
from engage_spark.ml.feature_spec import Target, Task
from engage_spark.ml.measurement import BoundVerdict, MonitoredMeasure, measurement_text
from engage_spark.ml.monitoring import group_measurements, judge, performance, score_drift

CHURN = Target(
    name="churn", task=Task.BINARY, minimum=0.0, maximum=1.0, label_days=30, baseline=None, unit=None
)


def verdict(measure: str, bound: float, **values: float | None) -> BoundVerdict:
    made = MonitoredMeasure(measure=measure, n=100, **({"value": None} | values))  # type: ignore[arg-type]
    return judge([made], {measure: bound}, task=Task.BINARY)[0].verdict


@pytest.mark.parametrize(
    ("measure", "bound", "value", "low", "high", "expected"),
    [
        ("auc", 0.8, 0.85, 0.79, 0.9, BoundVerdict.WITHIN),
        ("auc", 0.8, 0.75, 0.70, 0.82, BoundVerdict.UNDECIDED),
        ("auc", 0.8, 0.75, 0.70, 0.79, BoundVerdict.PAST),
        ("ece", 0.05, 0.04, 0.02, 0.09, BoundVerdict.WITHIN),
        ("ece", 0.05, 0.06, 0.04, 0.09, BoundVerdict.UNDECIDED),
        ("ece", 0.05, 0.09, 0.06, 0.12, BoundVerdict.PAST),
        ("auc", 0.8, None, None, None, BoundVerdict.UNDECIDED),
        ("auc", 0.8, float("nan"), None, None, BoundVerdict.UNDECIDED),
        ("auc", 0.8, 0.75, None, None, BoundVerdict.UNDECIDED),
    ],
)
def test_a_measure_is_past_its_bound_only_where_its_whole_interval_is(
    measure: str, bound: float, value: float, low: float, high: float, expected: BoundVerdict
) -> None:
    assert verdict(measure, bound, value=value, low=low, high=high) is expected


def test_the_coverage_of_groups_has_a_bound_of_its_own() -> None:
    made = [
        MonitoredMeasure(measure="coverage", value=0.7, low=0.6, high=0.8, n=100),
        MonitoredMeasure(
            measure="coverage", value=0.7, low=0.6, high=0.8, n=100, attribute="gender", group="Other"
        ),
    ]
    judged = judge(made, {"group_coverage": 0.85}, task=Task.REGRESSION)
    assert [m.verdict for m in judged] == [BoundVerdict.UNBOUNDED, BoundVerdict.PAST]
    of_group = MonitoredMeasure(
        measure="mae", value=300.0, low=280.0, high=320.0, n=100, attribute="gender", group="Other"
    )
    (alone,) = judge([of_group], {"mae": 100.0}, task=Task.REGRESSION)
    assert alone.verdict is BoundVerdict.UNBOUNDED, "the bound is that of all rows"
    assert "gender: Other" in measurement_text(judged[1])
    assert "0.85" in measurement_text(judged[1])


@pytest.mark.parametrize("two_classes", [True, False])
def test_every_metric_but_the_signed_one_can_be_bounded_on_its_bad_side(two_classes: bool) -> None:
    task = Task.BINARY if two_classes else Task.REGRESSION
    bounds = monitored_measures(two_classes=two_classes)
    for metric in metrics_of(task):
        if metric.better != "zero" and metric.name != "ece_mass":
            assert bounds[metric.name] is (Bound.LEAST if metric.better == "higher" else Bound.MOST), (
                metric.name
            )


def test_what_is_measured_of_two_classes() -> None:
    rng = np.random.default_rng(5)
    scores = rng.uniform(size=2000)
    labels = (rng.uniform(size=2000) < scores).astype(float)
    covered = rng.uniform(size=2000) < np.where(labels == 1, 0.95, 0.8)
    made = list(performance(CHURN, labels, scores, covered, replicates=50, seed=1))
    by_name = {(m.measure, m.group): m for m in made}
    for label in (0, 1):
        share = covered[labels == label].mean()
        found = by_name["class_coverage", str(label)]
        assert found.value == pytest.approx(share)
        assert found.n == (labels == label).sum()
        assert found.low is not None
        assert found.high is not None
        assert found.low < share < found.high
    assert by_name["coverage", None].value == pytest.approx(covered.mean())
    assert {m.name for m in metrics_of(Task.BINARY)} <= {m.measure for m in made}


def test_scores_that_moved_are_past_their_bound_and_chance_is_not() -> None:
    rng = np.random.default_rng(6)
    before = rng.beta(2, 5, size=3000)
    alarms = 0
    for _ in range(200):
        still = score_drift(rng.beta(2, 5, size=40), before, against="a day")
        (judged,) = judge([still], {"score_psi": 0.1}, task=Task.BINARY)
        alarms += judged.verdict is BoundVerdict.PAST
    assert alarms <= 20, "a sample of 40 has a large PSI by chance in one of twenty cases"
    moved = score_drift(rng.beta(4, 3, size=3000), before, against="a day")
    (judged,) = judge([moved], {"score_psi": 0.25}, task=Task.BINARY)
    assert judged.verdict is BoundVerdict.PAST
    assert judged.value is not None
    assert judged.value > 0.25


def test_scores_that_are_all_alike_have_no_drift_and_no_error() -> None:
    assert score_drift([0.5] * 10, [0.5] * 10, against="a day").value == pytest.approx(0.0)
    assert score_drift([], [0.5], against="a day").value is None


def ratios(task: Task, groups: dict[str, list[tuple[int, float, float, int]]]) -> dict[str, MonitoredMeasure]:
    """The ratios of groups of rows: so many of a label, prediction and decision."""
    rows = [(g, *row) for g, parts in groups.items() for count, *row in parts for _ in range(count)]
    names, labels, predictions, decisions = zip(*rows, strict=True)
    sums = sums_by_group(
        names, labels, predictions, task=task, customers=np.arange(len(rows)), decisions=decisions
    )
    made = group_measurements(compare({("kind",): sums}, task=task, smallest=100))
    return {m.measure: m for m in made if m.measure.endswith("_ratio")}


def test_a_ratio_names_the_group_that_is_served_worse() -> None:
    """Of b the model is farther off; of a it selects fewer, and fewer who are labelled 0."""
    off = {"a": [(300, 5.0, 6.0, 0), (300, 5.0, 3.9, 0)], "b": [(250, 5.0, 8.0, 0), (250, 5.0, 1.9, 0)]}
    (mae,) = ratios(Task.REGRESSION, off).values()
    assert (mae.measure, mae.group, mae.against, mae.n) == ("mae_ratio", "b", "a", 500)
    assert mae.value == pytest.approx(1.05 / 3.05) and mae.low is not None and mae.low < mae.value
    chosen = {
        "a": [(100, 1, 0.5, 1), (200, 1, 0.5, 0), (20, 0, 0.5, 1), (280, 0, 0.5, 0)],
        "b": [(180, 1, 0.5, 1), (70, 1, 0.5, 0), (130, 0, 0.5, 1), (120, 0, 0.5, 0)],
    }
    found = ratios(Task.BINARY, chosen)  # type: ignore[arg-type]
    named = {m: (of.group, of.against, of.n) for m, of in found.items()}
    assert named["equal_opportunity_ratio"] == named["statistical_parity_ratio"] == ("a", "b", 600)
    assert named["predictive_equality_ratio"] == ("b", "a", 500)
