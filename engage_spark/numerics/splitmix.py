"""Random numbers that are a function of (seed, sample, draw): any split of the samples over tasks draws the
same ones.

SplitMix64 (Steele, Lea, Flood 2014, "Fast splittable pseudorandom number generators"): its finaliser hashes a
counter.
"""

from __future__ import annotations

import numpy as np

from engage_spark.numerics.jit import kernel

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


@kernel
def mix(x: np.uint64) -> np.uint64:
    """A bijection of 64-bit numbers whose outputs look independent of each other."""
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


@kernel
def stream(seed: np.uint64, sample: np.uint64) -> np.uint64:
    """The state from which draws 1, 2, ... of a sample are made."""
    return mix(mix(seed + _GOLDEN) + sample * _GOLDEN)


@kernel
def draw(state: np.uint64, number: np.uint64) -> np.uint64:
    """The sample's draw with this number: 64 random bits."""
    return mix(state + number * _GOLDEN)


@kernel
def below(bits: np.uint64, n: np.uint64) -> int:
    """floor(bits * n / 2**64) for n < 2**32: uniform over 0..n-1 to within one part in 2**64 / n."""
    high = (bits >> np.uint64(32)) * n
    low = ((bits & np.uint64(0xFFFFFFFF)) * n) >> np.uint64(32)
    return int(np.int64((high + low) >> np.uint64(32)))


@kernel
def unit(bits: np.uint64) -> float:
    """Uniform in [0, 1), a multiple of 2**-53."""
    return np.float64(bits >> np.uint64(11)) * 2.0**-53
