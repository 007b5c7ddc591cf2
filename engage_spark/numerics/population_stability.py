"""Measure how far apart two counts by bin are: population stability index and Kolmogorov-Smirnov distance.

Pure: exact counts in, floats out. `quality.drift` says what the figures mean, with their sources.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

FLOOR = 0.5
"""Rows that an empty bin counts as, where the other day has some: half a row, so that the logarithm is finite
and more rows weigh more.
"""


def psi(before: Mapping[str, int], after: Mapping[str, int]) -> float:
    """Compute the population stability index of two counts by bin; 0.0 when either holds nothing.

    A bin that is empty on one side counts FLOOR rows there, a bin that is empty on both counts nothing.
    """
    n, m = sum(before.values()), sum(after.values())
    if not n or not m:
        return 0.0
    terms = []
    for b in before.keys() | after.keys():
        p, q = before.get(b, 0), after.get(b, 0)
        if p or q:
            share, other = max(p, FLOOR) / n, max(q, FLOOR) / m
            terms.append((share - other) * math.log(share / other))
    return math.fsum(terms)


def ks(before: Mapping[str, int], after: Mapping[str, int], order: tuple[str, ...]) -> float:
    """Compute the largest difference of the cumulated shares along `order`; 0.0 when either holds nothing
    there.

    Whole numbers till the end.
    """
    n, m = sum(before.get(b, 0) for b in order), sum(after.get(b, 0) for b in order)
    if not n or not m:
        return 0.0
    widest, p, q = 0, 0, 0
    for b in order:
        p, q = p + before.get(b, 0), q + after.get(b, 0)
        widest = max(widest, abs(p * m - q * n))
    return widest / (n * m)


def noise(bins: int, n: int, m: int) -> float:
    """Compute the PSI that chance alone stays below in 95 of 100 cases: (1/n + 1/m) times the 95% quantile of
    chi-square with bins − 1 degrees.

    The quantile by the approximation of Wilson and Hilferty (PNAS 17, 1931), within 3% from one degree on.
    """
    k = bins - 1
    if k < 1 or not n or not m:
        return 0.0
    return k * (1 - 2 / (9 * k) + 1.6448536269514722 * math.sqrt(2 / (9 * k))) ** 3 * (1 / n + 1 / m)
