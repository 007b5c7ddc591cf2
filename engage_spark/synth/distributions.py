"""Turn uniform numbers into normal ones."""

from __future__ import annotations

import numpy as np

from engage_spark.numerics.dtypes import F64

_A = (
    -3.969683028665376e01,
    2.209460984245205e02,
    -2.759285104469687e02,
    1.383577518672690e02,
    -3.066479806614716e01,
    2.506628277459239e00,
)
_B = (
    -5.447609879822406e01,
    1.615858368580409e02,
    -1.556989798598866e02,
    6.680131188771972e01,
    -1.328068155288572e01,
)
_C = (
    -7.784894002430293e-03,
    -3.223964580411365e-01,
    -2.400758277161838e00,
    -2.549732539343734e00,
    4.374664141464968e00,
    2.938163982698783e00,
)
_D = (7.784695709041462e-03, 3.224671290700398e-01, 2.445134137142996e00, 3.754408661907416e00)


def _horner(coefficients: tuple[float, ...], x: F64) -> F64:
    out = np.full_like(x, coefficients[0])
    for c in coefficients[1:]:
        out *= x
        out += c
    return out


def normal_quantile(u: F64) -> F64:
    """Return the inverse of the standard normal distribution function, with a relative error below 1.2e-9.

    `statistics.NormalDist.inv_cdf` is more exact, but takes one number at a time, and its other digits would
    change the data of every seed.
    Source: Acklam 2003, "An algorithm for computing the inverse normal cumulative distribution function".
    """
    centred = u - 0.5
    r = centred * centred
    z = _horner(_A, r) * centred / (_horner(_B, r) * r + 1.0)
    tail = np.flatnonzero(np.abs(centred) > 0.5 - 0.02425)
    if tail.size:
        q = np.sqrt(-2.0 * np.log(np.minimum(u[tail], 1.0 - u[tail])))
        z[tail] = np.sign(-centred[tail]) * _horner(_C, q) / (_horner(_D, q) * q + 1.0)
    return np.asarray(z)
