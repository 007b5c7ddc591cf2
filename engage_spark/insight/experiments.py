"""Compute how many customers a comparison of two random halves needs. Pure.

Source: J. L. Fleiss, B. Levin, M. C. Paik, "Statistical Methods for Rates and Proportions", 2003, chapter 4
(without continuity correction); for means the same with a common variance.
"""

from __future__ import annotations

import math
from statistics import NormalDist

CONFIDENCE, POWER = 0.95, 0.8
_ALPHA, _BETA = NormalDist().inv_cdf((1 + CONFIDENCE) / 2), NormalDist().inv_cdf(POWER)


def customers_for_rate(rate: float, effect: float) -> int | None:
    """Return the customers of each half that show a rate going down by a share `effect` of it.

    Two-sided at 95% confidence, with a power of 80%. None where there is no such effect.
    """
    other = rate * (1 - effect)
    if not 0 < rate < 1 or not 0 < effect <= 1:
        return None
    middle = (rate + other) / 2
    spread = _ALPHA * math.sqrt(2 * middle * (1 - middle)) + _BETA * math.sqrt(
        rate * (1 - rate) + other * (1 - other)
    )
    return math.ceil((spread / (rate - other)) ** 2)


def customers_for_mean(mean: float, deviation: float, effect: float) -> int | None:
    """Return the customers of each half that show a mean changing by a share `effect` of it."""
    change = abs(mean) * effect
    if change <= 0 or deviation <= 0:
        return None
    return math.ceil(2 * ((_ALPHA + _BETA) * deviation / change) ** 2)
