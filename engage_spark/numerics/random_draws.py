"""Draw random numbers that are a function of (seed, sample, draw), in compiled kernels: any split of the
samples over tasks draws the same ones.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import numpy as np

from engage_spark.numerics.jit import kernel
from engage_spark.numerics.splitmix import GOLDEN, mix64

mix: Callable[[np.uint64], np.uint64] = kernel(cast(Any, mix64))
"""SplitMix64's finaliser for one number, compiled."""


@kernel
def stream(seed: np.uint64, sample: np.uint64) -> np.uint64:
    """Return the state from which draws 1, 2, ... of a sample are made."""
    return mix(mix(seed + GOLDEN) + sample * GOLDEN)


@kernel
def draw(state: np.uint64, number: np.uint64) -> np.uint64:
    """Draw 64 random bits: the sample's draw with this number."""
    return mix(state + number * GOLDEN)


@kernel
def below(bits: np.uint64, n: np.uint64) -> int:
    """Return floor(bits * n / 2**64) for n < 2**32: uniform over 0..n-1 to within one part in 2**64 / n."""
    high = (bits >> np.uint64(32)) * n
    low = ((bits & np.uint64(0xFFFFFFFF)) * n) >> np.uint64(32)
    return int(np.int64((high + low) >> np.uint64(32)))


@kernel
def unit(bits: np.uint64) -> float:
    """Return a number uniform in [0, 1), a multiple of 2**-53."""
    return np.float64(bits >> np.uint64(11)) * 2.0**-53
