"""The normal quantile: close to the true one, and its digits are fixed."""

from __future__ import annotations

from statistics import NormalDist

import numpy as np

from engage_spark.synth.distributions import normal_quantile


def test_the_normal_quantile_agrees_with_the_standard_library() -> None:
    u = np.concatenate([np.array([1e-12, 1e-6, 0.02425, 0.97575, 1 - 1e-6]), np.linspace(0.001, 0.999, 997)])
    expected = np.array([NormalDist().inv_cdf(x) for x in u])
    assert np.allclose(normal_quantile(u), expected, rtol=2e-9, atol=1e-9)


def test_the_digits_of_the_normal_quantile_are_fixed() -> None:
    assert [x.hex() for x in normal_quantile(np.array([1e-9, 0.01, 0.3, 0.5, 0.7, 0.999])).tolist()] == [
        "-0x1.7fdc11f49a6b6p+2",
        "-0x1.29c5c463cecf2p+1",
        "-0x1.0c7e395d14936p-1",
        "0x0.0p+0",
        "0x1.0c7e395d14935p-1",
        "0x1.8b8cbb6ee2822p+1",
    ]
