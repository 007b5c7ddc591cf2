"""Bootstrap intervals: they cover the truth as often as they say, keep customers together, and know no order
of rows.
"""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from engage_spark.errors import InputError
from engage_spark.ml.evaluation.bootstrap import Draws, Gain, Interval, intervals, paired_gain
from engage_spark.ml.evaluation.metrics import METRICS, UndefinedMetricError, metrics_of
from engage_spark.ml.feature_spec import Task


def rows(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Two normals, one standard deviation apart: the AUC is Phi(1 / sqrt 2)."""
    random = np.random.default_rng(seed)
    y = (random.random(n) < 0.4).astype(float)
    return y, random.normal(size=n) + y


def test_intervals_of_the_auc_cover_the_truth_as_often_as_they_say() -> None:
    truth, trials = stats.norm.cdf(1 / np.sqrt(2)), 400
    hits = 0
    for seed in range(trials):
        found = intervals([METRICS["auc"]], *rows(300, seed), replicates=100, confidence=0.9, seed=seed)[
            "auc"
        ]
        assert found is not None
        hits += found.low <= truth <= found.high
    # Percentiles of 100 replicates lie a little inward: 88% is what is to be expected of 90%.
    assert stats.binom.ppf(0.001, trials, 0.88) <= hits <= stats.binom.ppf(0.999, trials, 0.90)


def test_intervals_are_as_wide_as_the_mean_error_of_a_mean_says() -> None:
    random = np.random.default_rng(4)
    y = random.normal(size=5000)
    found = intervals([METRICS["bias"]], y, np.zeros(5000), replicates=2000)["bias"]
    assert found is not None
    assert found.high - found.low == pytest.approx(2 * 1.96 * y.std() / np.sqrt(5000), rel=0.07)
    assert found.value == pytest.approx(-y.mean())


def test_rows_of_one_customer_stay_together() -> None:
    """Each customer is there four times: four times as many rows tell no more than one."""
    y, s = rows(1500, 5)
    once = intervals([METRICS["auc"]], y, s, clusters=np.arange(1500), replicates=400)["auc"]
    fourfold = intervals(
        [METRICS["auc"]], np.tile(y, 4), np.tile(s, 4), clusters=np.tile(np.arange(1500), 4), replicates=400
    )["auc"]
    apart = intervals([METRICS["auc"]], np.tile(y, 4), np.tile(s, 4), replicates=400)["auc"]
    assert once is not None and fourfold is not None and apart is not None
    assert fourfold.high - fourfold.low == pytest.approx(once.high - once.low, rel=0.15)
    assert apart.high - apart.low == pytest.approx((once.high - once.low) / 2, rel=0.2)


@pytest.mark.parametrize("clustered", [False, True])
def test_the_order_of_the_rows_changes_no_bit(clustered: bool) -> None:
    random = np.random.default_rng(6)
    y, s = rows(2000, 6)
    p = np.round(1 / (1 + np.exp(-s)), 2)
    customers = np.array([f"customer {k}" for k in random.integers(0, 700, 2000)]) if clustered else None
    order = random.permutation(2000)
    moved = customers[order] if customers is not None else None
    metrics = metrics_of(Task.BINARY)
    assert intervals(metrics, y, p, clusters=customers, replicates=50) == intervals(
        metrics, y[order], p[order], clusters=moved, replicates=50
    )
    q = np.round(p * 0.9, 1)
    assert paired_gain(METRICS["auc"], y, p, q, clusters=customers, replicates=50) == paired_gain(
        METRICS["auc"], y[order], p[order], q[order], clusters=moved, replicates=50
    )


def test_another_seed_draws_other_rows() -> None:
    y, s = rows(500, 7)
    assert intervals([METRICS["auc"]], y, s, seed=1) != intervals([METRICS["auc"]], y, s, seed=2)
    assert Draws(100, None, 2, 0).weights(0).sum() == 100
    assert (Draws(100, None, 2, 0).weights(0) != Draws(100, None, 2, 0).weights(1)).any()


def test_replicates_without_a_class_are_left_out_and_counted() -> None:
    y, p = np.array([1.0, 0, 0, 0, 0, 0]), np.array([0.9, 0.1, 0.2, 0.3, 0.4, 0.5])
    found = intervals([METRICS["auc"], METRICS["brier"]], y, p, replicates=300)
    auc, brier = found["auc"], found["brier"]
    assert auc is not None and brier is not None
    assert brier.replicates == 300
    # One positive among six is missed by (5/6)^6 = 33% of the draws, and by few draws it is all there is.
    assert 170 < auc.replicates < 230
    assert (auc.low, auc.high) == (1.0, 1.0)


def test_what_is_undefined_has_no_interval() -> None:
    found = intervals(metrics_of(Task.REGRESSION), np.ones(30), np.linspace(0, 1, 30))
    assert found["r2"] is None and found["mae"] is not None
    with pytest.raises(UndefinedMetricError, match="both classes"):
        paired_gain(METRICS["auc"], [1, 1], [0.1, 0.2], [0.2, 0.3])


def test_a_better_model_on_the_same_rows_gains_with_a_narrower_interval_than_its_own() -> None:
    random = np.random.default_rng(8)
    y, s = rows(3000, 8)
    worse = s + random.normal(0, 0.5, 3000)
    gain = paired_gain(METRICS["auc"], y, s, worse)
    alone = intervals([METRICS["auc"]], y, s)["auc"]
    assert alone is not None
    assert gain.gain > 0 and gain.low > 0 and gain.probability == 1.0
    assert gain.gain == pytest.approx(gain.value - gain.reference)
    assert gain.high - gain.low < alone.high - alone.low
    back = paired_gain(METRICS["auc"], y, worse, s)
    assert (back.gain, back.probability) == (pytest.approx(-gain.gain), 0.0)


def test_a_smaller_error_is_a_gain_and_no_difference_is_even() -> None:
    y = np.linspace(0, 10, 200)
    gain = paired_gain(METRICS["rmse"], y, y + 1, y - 2)
    assert (gain.gain, gain.relative, gain.probability) == (pytest.approx(1.0), pytest.approx(0.5), 1.0)
    same = paired_gain(METRICS["rmse"], y, y + 1, y + 1)
    assert (same.gain, same.low, same.high, same.probability) == (0.0, 0.0, 0.0, 0.5)


def test_there_is_no_gain_without_a_difference_more_often_than_chance_has_it() -> None:
    """Under no difference, the probability of a gain is spread evenly."""
    found = []
    for seed in range(200):
        random = np.random.default_rng(1000 + seed)
        y, s = rows(300, seed)
        found.append(
            paired_gain(
                METRICS["auc"], y, s + random.normal(0, 1, 300), s + random.normal(0, 1, 300), replicates=60
            ).probability
        )
    assert stats.kstest(found, "uniform").pvalue > 0.001
    assert np.mean(np.array(found) > 0.95) < 0.12


def test_intervals_that_overlap_are_not_apart() -> None:
    def made(low: float, high: float) -> Interval:
        return Interval(value=low, low=low, high=high, confidence=0.95, replicates=2)

    assert made(0.1, 0.2).apart_from(made(0.21, 0.3)) and made(0.21, 0.3).apart_from(made(0.1, 0.2))
    assert not made(0.1, 0.2).apart_from(made(0.2, 0.3))


def test_what_cannot_be_drawn_is_refused() -> None:
    y, s = rows(10, 9)
    with pytest.raises(InputError, match="3 customers are given for 10 rows"):
        intervals([METRICS["auc"]], y, s, clusters=[1, 2, 3])
    with pytest.raises(InputError, match="1 replicates make no interval"):
        intervals([METRICS["auc"]], y, s, replicates=1)
    with pytest.raises(InputError, match="a confidence of 95 is none"):
        intervals([METRICS["auc"]], y, s, confidence=95)
    with pytest.raises(InputError, match="metrics of 2 tasks"):
        intervals([METRICS["auc"], METRICS["mae"]], y, s)
    assert isinstance(paired_gain(METRICS["auc"], [0, 1], [0.1, 0.2], [0.1, 0.2]), Gain)
