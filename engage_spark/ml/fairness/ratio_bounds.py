"""Bound the ratio of each pair of shares or means, as many pairs at once as there are. Pure numpy.

Each share has Wilson's bounds, from which the bounds of a ratio follow (MOVER-R). They keep their level far
into the tails and at shares of 0 and 1, where the plain logarithm of the ratio has none. The ratio of two
means, which are above 0 and of at least dozens of customers, is bounded on its logarithm.

Source: A. Donner and G. Y. Zou, "Closed-form confidence intervals for functions of the normal mean and
standard deviation", Statistical Methods in Medical Research 21, 2012, section 3.
"""

from __future__ import annotations

from statistics import NormalDist
from typing import Any

import numpy as np

from engage_spark.numerics.dtypes import F64


def ratio_bounds(shares: Any, effective: Any, *, confidence: float) -> tuple[F64, F64]:
    """Return the lower and the upper bound of share i over share j, as matrices [i, j].

    `effective`: of how many independent draws each is the share. All pairs i < j hold at once with
    probability `confidence` (Bonferroni: each bound fails with (1 - confidence) over twice the number of
    pairs, in either direction). The upper bound is infinite where share j may be 0.
    """
    p, n = np.asarray(shares, dtype=np.float64), np.asarray(effective, dtype=np.float64)
    z = _quantile(len(p), confidence)
    middle = (p + z * z / (2 * n)) / (1 + z * z / n)
    reach = z * np.sqrt(p * (1 - p) / n + z * z / (4 * n * n)) / (1 + z * z / n)
    # Wilson's lower bound of nothing and upper bound of all are 0 and 1; the formula misses them by rounding.
    low = np.where(p <= 0, 0.0, np.maximum(0.0, middle - reach))
    high = np.where(p >= 1, 1.0, np.minimum(1.0, middle + reach))
    product = p[:, None] * p[None, :]
    above, below = (high * (2 * p - high))[:, None], (low * (2 * p - low))[None, :]
    root = np.sqrt(np.maximum(product * product - above * below, 0.0))
    with np.errstate(divide="ignore", invalid="ignore"):
        upper = np.where(np.broadcast_to(below > 0, root.shape), (product + root) / below, np.inf)
        lower = 1 / upper.T  # the bounds of j over i are those of i over j turned round
    return lower, np.asarray(upper)


def mean_ratio_bounds(means: Any, errors: Any, *, confidence: float) -> tuple[F64, F64]:
    """Return the lower and the upper bound of mean i over mean j, as matrices [i, j].

    `errors` are their standard errors. All pairs hold at once, as in `ratio_bounds`. Bounds with a mean of 0
    say nothing: they are 0 and infinite.
    """
    m, e = np.asarray(means, dtype=np.float64), np.asarray(errors, dtype=np.float64)
    known = m > 0
    of_log = np.where(known, e / np.where(known, m, 1.0), np.inf)
    reach = _quantile(len(m), confidence) * np.hypot(of_log[:, None], of_log[None, :])
    apart = np.log(np.where(known, m, 1.0))
    middle = apart[:, None] - apart[None, :]
    return np.exp(middle - reach), np.exp(middle + reach)


def _quantile(groups: int, confidence: float) -> float:
    """Return the normal quantile by which the bounds of all pairs of so many groups hold at once."""
    pairs = max(1, groups * (groups - 1) // 2)
    return NormalDist().inv_cdf(1 - (1 - confidence) / (2 * pairs))
