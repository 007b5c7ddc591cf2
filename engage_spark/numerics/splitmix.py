"""Mix 64 bits with the finaliser of SplitMix64, in numpy and in compiled kernels alike.

Source: Steele, Lea, Flood 2014, "Fast splittable pseudorandom number generators". Imports numpy only, so that
kernels which travel to executors by value can use it.
"""

from __future__ import annotations

import numpy as np

from engage_spark.numerics.dtypes import U64

GOLDEN = np.uint64(0x9E3779B97F4A7C15)
"""The odd number next to 2^64 / golden ratio: a counter times it is the state that is mixed."""
M1 = np.uint64(0xBF58476D1CE4E5B9)
M2 = np.uint64(0x94D049BB133111EB)


def mix64(x: U64) -> U64:
    """Return a bijection of 64-bit numbers whose outputs look independent of each other; `x` stays as it is.

    Takes an array. The compiled kernels take single numbers (`random_draws.mix`).
    """
    h = x ^ (x >> np.uint64(30))
    h *= M1
    h ^= h >> np.uint64(27)
    h *= M2
    h ^= h >> np.uint64(31)
    return h
