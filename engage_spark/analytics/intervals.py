"""Estimate means, shares, their differences and ratios from states, each with an interval of 95%.

An interval that cannot be computed (of one value, or of none) has no ends. Customers are taken as drawn
independently of each other.
"""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import NamedTuple

from engage_spark.analytics.states import MetricState

CONFIDENCE = 0.95
_Z = NormalDist().inv_cdf((1 + CONFIDENCE) / 2)


class Estimate(NamedTuple):
    """A measured value and the ends of its interval; None where it cannot be told."""

    value: float | None
    lower: float | None = None
    upper: float | None = None


_WIDEST = 700.0
"""Logarithms that doubles can take the exponential of."""
NOT_MEASURED = Estimate(None)


def mean_estimate(state: MetricState | None) -> Estimate:
    """Estimate a mean with Student's interval; of constant values its ends are the value.

    Of a share (a metric of 0 and 1) use `share_estimate`.
    """
    if state is None or state.mean is None:
        return NOT_MEASURED
    deviation = state.standard_deviation
    if deviation is None:
        return Estimate(state.mean)
    half = student(state.n - 1) * deviation / math.sqrt(state.n)
    return Estimate(state.mean, state.mean - half, state.mean + half)


def share_estimate(hits: int, n: int) -> Estimate:
    """Estimate the share of hits among n, with Wilson's interval."""
    if n <= 0:
        return NOT_MEASURED
    share, z2 = hits / n, _Z * _Z / n
    middle = (share + z2 / 2) / (1 + z2)
    half = _Z / (1 + z2) * math.sqrt(share * (1 - share) / n + z2 / (4 * n))
    lower = 0.0 if hits == 0 else max(0.0, middle - half)
    return Estimate(share, lower, 1.0 if hits == n else min(1.0, middle + half))


def is_share(state: MetricState) -> bool:
    """Return whether every value is 0 or 1: values equal their squares, and none lies outside."""
    if not state.n:
        return False
    within = (state.minimum or 0.0) >= 0 and (state.maximum or 0.0) <= 1
    return within and state.sum_units == state.square_units


def mean_or_share(state: MetricState | None) -> Estimate:
    """Estimate the mean: by Wilson where every value is 0 or 1, else by Student."""
    if state is not None and is_share(state):
        return share_estimate(int(state.sum), state.n)
    return mean_estimate(state)


def difference_estimate(first: MetricState | None, second: MetricState | None) -> Estimate:
    """Estimate the mean of the second less that of the first, with Welch's interval.

    Two shares: Newcombe's interval from Wilson's, which holds at 0 and 1 too.
    Source: R. G. Newcombe, Statistics in Medicine 17, 1998, method 10.
    """
    if first is None or second is None or first.mean is None or second.mean is None:
        return NOT_MEASURED
    value = second.mean - first.mean
    if is_share(first) and is_share(second):
        a, b = mean_or_share(first), mean_or_share(second)
        assert a.lower is not None and a.upper is not None and b.lower is not None and b.upper is not None
        below = math.hypot(second.mean - b.lower, a.upper - first.mean)
        above = math.hypot(b.upper - second.mean, first.mean - a.lower)
        return Estimate(value, value - below, value + above)
    if first.variance is None or second.variance is None:
        return Estimate(value)
    parts = [first.variance / first.n, second.variance / second.n]
    error = sum(parts)
    if error == 0:
        return Estimate(value, value, value)
    freedom = 1 / sum((p / error) ** 2 / (s.n - 1) for p, s in zip(parts, (first, second), strict=True))
    half = student(freedom) * math.sqrt(error)
    return Estimate(value, value - half, value + half)


def ratio_estimate(over: MetricState | None, under: MetricState | None) -> Estimate:
    """Estimate the ratio of two groups' means: of shares from Wilson's limits, which hold at 0 and 1 too, of
    other means by the delta method on logarithms.

    Not measured where the mean below is 0; without ends where a mean is not above 0, so that it has no
    logarithm, or a group has less than two values, or too few hits.
    Source: G. Y. Zou, A. Donner, Statistics in Medicine 27, 2008, section 3, for shares.
    """
    if over is None or under is None or over.mean is None or not under.mean:
        return NOT_MEASURED
    value = over.mean / under.mean
    if not math.isfinite(value):
        return NOT_MEASURED
    if over.mean <= 0 or under.mean <= 0 or over.variance is None or under.variance is None:
        return Estimate(value)
    if is_share(over) and is_share(under):
        return _ratio_of_shares(mean_or_share(over), mean_or_share(under))
    errors = [math.sqrt(s.variance / s.n) / s.mean for s in (over, under) if s.variance and s.mean]
    half = min(_Z * math.hypot(*errors), _WIDEST)
    return Estimate(value, value * math.exp(-half), value * math.exp(half))


def _ratio_of_shares(over: Estimate, under: Estimate) -> Estimate:
    """Estimate the ratio of two shares above 0 from their intervals."""
    (p, p_low, p_high), (q, q_low, q_high) = (
        (e.value or 0.0, e.lower or 0.0, e.upper or 0.0) for e in (over, under)
    )
    below, above = q_high * (2 * q - q_high), q_low * (2 * q - q_low)
    if below <= 0 or above <= 0:
        return Estimate(p / q)
    lower = p * q - math.sqrt(max(0.0, (p * q) ** 2 - p_low * (2 * p - p_low) * below))
    upper = p * q + math.sqrt(max(0.0, (p * q) ** 2 - p_high * (2 * p - p_high) * above))
    return Estimate(p / q, max(0.0, lower / below), upper / above)


def widened(estimate: Estimate, comparisons: int) -> Estimate:
    """Widen an interval so that as many of its kind hold together in 95% of cases (Bonferroni).

    Each side grows by the ratio of normal quantiles.
    """
    if estimate.value is None or estimate.lower is None or estimate.upper is None:
        return estimate
    factor = NormalDist().inv_cdf(1 - (1 - CONFIDENCE) / 2 / max(1, comparisons)) / _Z
    below, above = estimate.value - estimate.lower, estimate.upper - estimate.value
    return Estimate(estimate.value, estimate.value - factor * below, estimate.value + factor * above)


def student(freedom: float, confidence: float = CONFIDENCE) -> float:
    """Return the two-sided critical value of Student's t for real degrees of freedom from 1 on.

    Within 1e-5 from 3 degrees on; up to 1.1% too large between 1 and 3.
    Source: G. W. Hill, "Algorithm 396: Student's t-quantiles", CACM 13, 1970.
    """
    tail, n = 1 - confidence, max(1.0, freedom)
    if n < 1.0 + 1e-12:
        return 1 / math.tan(tail * math.pi / 2)
    if abs(n - 2) < 1e-12:
        return math.sqrt(2 / (tail * (2 - tail)) - 2)
    if n > 1e7:
        return NormalDist().inv_cdf(1 - tail / 2)
    a = 1 / (n - 0.5)
    b = (48 / a) / a
    c = ((20700 * a / b - 98) * a - 16) * a + 96.36
    d = ((94.5 / (b + c) - 3) / b + 1) * math.sqrt(a * math.pi / 2) * n
    y = (d * tail) ** (2 / n)
    if y > 0.05 + a:
        x = NormalDist().inv_cdf(tail / 2)
        y = x * x
        if n < 5:
            c += 0.3 * (n - 4.5) * (x + 0.6)
        c += (((0.05 * d * x - 5) * x - 7) * x - 2) * x + b
        y = (((((0.4 * y + 6.3) * y + 36) * y + 94.5) / c - y - 3) / b + 1) * x
        y = math.expm1(a * y * y)
    else:
        y = ((1 / (((n + 6) / (n * y) - 0.089 * d - 0.822) * (n + 2) * 3) + 0.5 / (n + 4)) * y - 1) * (
            n + 1
        ) / (n + 2) + 1 / y
    return math.sqrt(n * y)
