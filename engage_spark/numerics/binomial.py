"""Bound a counted share exactly (Clopper, Pearson 1934), without an approximation that a rare vertex could
break.

A lower bound L for h hits in t samples solves P(Bin(t, L) >= h) = exp(-level); the upper one is the mirror
image. The tail is the regularised incomplete beta function by its continued fraction (modified Lentz), solved
by Newton's method between brackets. Bounds are rounded outward by a billionth of themselves, far more than
the arithmetic's error.

`scipy.special.betaincinv` computes the same: for 1 to 10^9 - 1 hits in 10 to 10^9 samples and levels up to 60
the two differ by at most 2e-13 of the bound. It is not used because scipy is not a dependency of this package
(only of extras), because other last digits would change stored intervals, and because scipy 1.x answers NaN
for some levels from 100 on.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from engage_spark.numerics.dtypes import F64, I64
from engage_spark.numerics.jit import kernel

_OUTWARD = 1e-9


@kernel
def _fraction(a: float, b: float, x: float) -> float:
    """Return the continued fraction of the incomplete beta function; quick for x below (a + 1) / (a + b + 2),
    where it is used.
    """
    tiny = 1e-300
    c, d = 1.0, 1.0 - (a + b) * x / (a + 1.0)
    d = 1.0 / (d if abs(d) > tiny else tiny)
    value = d
    for m in range(1, 100_000):
        even = m * (b - m) * x / ((a + 2 * m - 1.0) * (a + 2 * m))
        d = 1.0 + even * d
        d = 1.0 / (d if abs(d) > tiny else tiny)
        c = 1.0 + even / c
        c = c if abs(c) > tiny else tiny
        value *= d * c
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1.0))
        d = 1.0 + odd * d
        d = 1.0 / (d if abs(d) > tiny else tiny)
        c = 1.0 + odd / c
        c = c if abs(c) > tiny else tiny
        step = d * c
        value *= step
        if abs(step - 1.0) < 1e-13:
            break
    return value


@kernel
def _stirling_error(k: float) -> float:
    """Return log k! less Stirling's formula; the plain difference loses its digits as k grows."""
    if k <= 15.0:
        return math.lgamma(k + 1.0) - (k + 0.5) * math.log(k) + k - 0.5 * math.log(2.0 * math.pi)
    q = 1.0 / (k * k)
    return (1.0 / 12 - (1.0 / 360 - (1.0 / 1260 - (1.0 / 1680 - q / 1188) * q) * q) * q) / k


@kernel
def _deviance(k: float, mean: float) -> float:
    d = (k - mean) / mean
    return mean * ((1.0 + d) * math.log1p(d) - d)


@kernel
def _log_density(h: float, t: float, x: float) -> float:
    """Return the log of x^h (1 - x)^(t - h + 1) / B(h, t - h + 1), for 0 < h < t.

    Source: the saddle-point form of the binomial by Loader (2000).
    """
    rest = t - h
    shape = (
        _stirling_error(t)
        - _stirling_error(h)
        - _stirling_error(rest)
        + 0.5 * math.log(t / (2.0 * math.pi * h * rest))
    )
    return shape - _deviance(h, t * x) - _deviance(rest, t * (1.0 - x)) + math.log(h) + math.log1p(-x)


@kernel
def _lower(h: int, t: int, level: float) -> float:
    """Return the share x < h / t at which h or more hits in t samples have probability exp(-level)."""
    if h == 0:
        return 0.0
    if h == t:
        return math.exp(-level / t)
    a, b = float(h), float(t - h) + 1.0
    low, high = 0.0, a / t
    # A first guess from the normal approximation; brackets keep Newton's steps inside.
    x = max(high * 1e-3, high - math.sqrt(2.0 * high * (1.0 - high) * level / t))
    for _ in range(1100):  # enough halvings for the smallest double
        density = _log_density(a, float(t), x)
        fraction = _fraction(a, b, x) / a
        miss = density + math.log(fraction) + level
        if miss > 0.0:
            high = x
        else:
            low = x
        # d/dx log P = a / x * pmf / P, and P = exp(density) * fraction with exp(density) = x^a (1 - x)^b / B.
        slope = 1.0 / (fraction * x * (1.0 - x))
        after = x - miss / slope
        if not low < after < high:
            after = 0.5 * (low + high)
        if abs(after - x) <= 1e-14 * x:
            x = after
            break
        x = after
    return x


@kernel
def _bounds(hits: I64, samples: int, levels: F64, lower: F64, upper: F64) -> None:
    for i in range(len(hits)):
        lower[i] = _lower(hits[i], samples, levels[i])
        # The mirror image: the misses' lower bound. Without hits in closed form, so that a tiny bound keeps
        # all its digits.
        upper[i] = (
            -math.expm1(-levels[i] / samples)
            if hits[i] == 0
            else 1.0 - _lower(samples - hits[i], samples, levels[i])
        )


def binomial_bounds(hits: Any, samples: int, levels: Any) -> tuple[F64, F64]:
    """Return (lower, upper) for each count of hits among `samples`; each bound fails with probability at most
    exp(-level). 0 samples: (0, 1).

    A level below log 2 is taken as log 2: a bound that may fail more often than it holds is none.
    """
    counts = np.ascontiguousarray(hits, dtype=np.int64)
    levels = np.maximum(np.asarray(levels, dtype=np.float64), math.log(2.0))
    broadcast_levels = np.ascontiguousarray(np.broadcast_to(levels, counts.shape))
    lower, upper = np.zeros(len(counts)), np.ones(len(counts))
    if samples > 0:
        _bounds(counts, samples, broadcast_levels, lower, upper)
        lower *= 1.0 - _OUTWARD
        upper = np.minimum(1.0, upper * (1.0 + _OUTWARD))
    return lower, upper
