"""The calibration error without what chance adds, and an interval that holds the truth."""

from __future__ import annotations

import numpy as np
import pytest

from engage_spark.ml.evaluation.bootstrap import Interval, intervals, share_interval
from engage_spark.ml.evaluation.calibration_error import sum_of_sizes
from engage_spark.ml.evaluation.metrics import METRICS


def ece(labels: np.ndarray, scores: np.ndarray, **more: object) -> Interval:
    made = intervals([METRICS["ece"]], labels, scores, replicates=60, **more)["ece"]  # type: ignore[arg-type]
    assert made is not None
    return made


def drawn(shift: float, n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    draw = np.random.default_rng((seed, n))
    scores = draw.uniform(0.1, 0.9, n)
    return (draw.uniform(size=n) < scores - shift).astype(float), scores


def test_perfect_probabilities_have_no_error_where_the_plain_figure_has_one() -> None:
    figures = [ece(*drawn(0.0, 2000, seed)) for seed in range(20)]
    plain = [METRICS["ece"](*drawn(0.0, 2000, seed)) for seed in range(20)]
    assert np.mean(plain) > 0.02 and np.mean([f.value for f in figures]) < 0.008
    assert sum(f.low == 0 for f in figures) >= 18


def test_an_error_that_is_there_is_given_as_it_is() -> None:
    figures = [ece(*drawn(0.05, 20_000, seed)) for seed in range(5)]
    assert np.mean([f.value for f in figures]) == pytest.approx(0.05, abs=0.004)
    assert all(f.low <= 0.05 <= f.high for f in figures)


def test_rows_of_one_customer_tell_no_more_than_one() -> None:
    labels, scores = drawn(0.0, 2000, 3)
    once = ece(labels, scores)
    thrice = ece(np.tile(labels, 3), np.tile(scores, 3), clusters=np.tile(np.arange(2000), 3))
    assert thrice.high == pytest.approx(once.high, rel=0.25)


def test_without_noise_the_sum_is_what_it_is() -> None:
    parts = np.array([0.1, -0.2, 0.0])
    assert sum_of_sizes(parts, np.tile(parts, (9, 1)), confidence=0.95, seed=0) == pytest.approx((0.3,) * 3)
    assert np.isnan(sum_of_sizes(parts, np.empty((0, 3)), confidence=0.95, seed=0)[1])


@pytest.mark.parametrize(("hits", "low"), [(20, 0.83), (200, 0.98)])
def test_few_rows_that_are_all_hits_show_little(hits: int, low: float) -> None:
    made = share_interval(np.ones(hits), replicates=40)
    assert (made.value, made.high) == (1.0, 1.0) and made.low == pytest.approx(low, abs=0.005)


def test_a_share_counts_customers_where_their_rows_are_alike() -> None:
    hits = np.random.default_rng(5).uniform(size=900) < 0.9
    once = share_interval(hits, replicates=200)
    thrice = share_interval(np.tile(hits, 3), clusters=np.tile(np.arange(900), 3), replicates=200)
    apart = share_interval(np.tile(hits, 3), replicates=200)
    assert thrice.high - thrice.low == pytest.approx(once.high - once.low, rel=0.1)
    assert apart.high - apart.low < 0.7 * (once.high - once.low)
    same = share_interval(np.ones(90), clusters=np.tile(np.arange(30), 3), replicates=40)
    assert same.low == pytest.approx(share_interval(np.ones(30), replicates=40).low)


def test_weights_count_as_rows() -> None:
    labels, scores = drawn(0.02, 1000, 7)
    heavy = np.where(labels == 1, 1.0, 3.0)
    more = np.where(labels == 1, 1, 3)
    weighted = intervals([METRICS["auc"], METRICS["log_loss"]], labels, scores, weights=heavy, replicates=40)
    repeated = intervals(
        [METRICS["auc"], METRICS["log_loss"]],
        np.repeat(labels, more),
        np.repeat(scores, more),
        clusters=np.repeat(np.arange(1000), more),
        replicates=40,
    )
    for name in ("auc", "log_loss"):
        a, b = weighted[name], repeated[name]
        assert a is not None and b is not None
        assert a.value == pytest.approx(b.value) and a.low == pytest.approx(b.low, abs=0.02)
