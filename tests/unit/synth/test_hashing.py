"""Hashes and permutations: the same anywhere, and what they claim to be."""

from __future__ import annotations

import numpy as np
import pytest

from engage_spark.synth.distributions import normal_quantile
from engage_spark.synth.hashing import Permutation, hashed, uniform


@pytest.mark.parametrize("n", [1, 2, 3, 7, 10, 100, 1_000, 4_096, 99_999])
def test_a_permutation_meets_every_position_once_and_can_be_undone(n: int) -> None:
    order = Permutation(5, "any", n)
    everyone = np.arange(n)
    there = order.forward(everyone)
    assert np.array_equal(np.sort(there), everyone)
    assert np.array_equal(order.inverse(there), everyone)


def test_permutations_of_two_names_are_unrelated() -> None:
    everyone = np.arange(100_000)
    a, b = (Permutation(5, name, 100_000).forward(everyone) for name in "ab")
    assert abs(np.corrcoef(a, b)[0, 1]) < 0.01
    assert abs(np.corrcoef(a, everyone)[0, 1]) < 0.01


def test_a_batch_does_not_change_a_hash() -> None:
    everyone = np.arange(10_000)
    whole = normal_quantile(uniform(3, "x", everyone))
    pieces = np.concatenate([normal_quantile(uniform(3, "x", part)) for part in np.array_split(everyone, 77)])
    assert np.array_equal(whole, pieces)


def test_seed_and_stream_decide_the_hash() -> None:
    everyone = np.arange(100)
    assert not np.array_equal(hashed(1, "a", everyone), hashed(2, "a", everyone))
    assert not np.array_equal(hashed(1, "a", everyone), hashed(1, "b", everyone))


def test_uniforms_are_uniform() -> None:
    u = uniform(11, "u", np.arange(200_000))
    counts, _ = np.histogram(u, bins=100, range=(0, 1))
    # 99 degrees of freedom: the chi-squared statistic exceeds 149 once in a thousand.
    assert ((counts - 2_000) ** 2 / 2_000).sum() < 149
    assert u.min() > 0
    assert u.max() < 1
