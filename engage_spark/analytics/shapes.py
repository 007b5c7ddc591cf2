"""Measure the form of a distribution from its summary: skewness, tails, a power law, where it peaks.

Counts of the summary's buckets stand for the values, which are within 0.8% of their middle.
"""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import NamedTuple

import numpy as np

from engage_spark.analytics.intervals import CONFIDENCE, Estimate
from engage_spark.numerics import sketches
from engage_spark.numerics.dtypes import F64, I64

_Z = NormalDist().inv_cdf((1 + CONFIDENCE) / 2)
_LEAST_WHOLE = 30
_KOLMOGOROV = 1.358
"""The 95% quantile of Kolmogorov's distribution."""


class ValueCounts(NamedTuple):
    """Values in rising order, how many there are of each, and how wide the range is that each stands for;
    `is_whole` where values are whole numbers.
    """

    values: F64
    counts: I64
    widths: F64
    is_whole: bool

    @property
    def n(self) -> int:
        """Number of values."""
        return int(self.counts.sum())


def histogram_of(summary: bytes) -> ValueCounts:
    """Read a summary of quantiles as a histogram of its finite values."""
    digits, values, counts = sketches.to_histogram(summary)
    finite = np.isfinite(values)
    values = values[finite]
    return ValueCounts(values, counts[finite], _widths(values, digits), digits == 0)


def _widths(middles: F64, digits: int | None) -> F64:
    """Return how wide buckets are: of multiples of a unit, as many units as one may hold; of zero none."""
    widths = []
    for value in np.abs(middles).tolist():
        fraction, exponent = math.frexp(value)
        low, width = math.ldexp(math.floor(fraction * 128), exponent - 7), math.ldexp(1.0, exponent - 7)
        if digits is not None:
            unit = 10.0**-digits
            held = math.ceil((low + width) / unit) - math.ceil(low / unit) if value else 1
            width = max(1, held) * unit
        widths.append(width if value or digits is not None else 0.0)
    return np.array(widths, np.float64)


def skewness(histogram: ValueCounts) -> Estimate:
    """Estimate the skewness, with an interval from its influence function, whatever the distribution.

    Not measured where all values are the same.
    """
    z = _standardised(histogram)
    if z is None:
        return Estimate(None)
    weights = histogram.counts / histogram.n
    g = _dot(weights, z * z * z)
    return _with_interval(g, z * z * z - g - 3 * z - 1.5 * g * (z * z - 1), histogram)


def excess_kurtosis(histogram: ValueCounts) -> Estimate:
    """Estimate by how much the fourth standardised moment is above the 3 of a normal distribution."""
    z = _standardised(histogram)
    if z is None:
        return Estimate(None)
    weights = histogram.counts / histogram.n
    square = z * z
    third, fourth = _dot(weights, square * z), _dot(weights, square * square)
    return _with_interval(
        fourth - 3, square * square - fourth - 4 * third * z - 2 * fourth * (square - 1), histogram
    )


def _standardised(histogram: ValueCounts) -> F64 | None:
    if len(histogram.values) < 2:
        return None
    weights = histogram.counts / histogram.n
    scaled = histogram.values / np.abs(histogram.values).max()
    centred = scaled - _dot(weights, scaled)
    deviation = math.sqrt(_dot(weights, centred * centred))
    return None if deviation == 0 else np.asarray(centred / deviation, np.float64)


def _dot(first: F64 | I64, second: F64) -> float:
    """Add up products, to the same bits on any processor."""
    return math.fsum((first * second).tolist())


def _logs(values: F64) -> F64:
    """Return logarithms one by one: what a processor takes several at once for differs in the last bits."""
    return np.array([math.log(x) for x in values.tolist()], np.float64)


def _with_interval(value: float, influence: F64, histogram: ValueCounts) -> Estimate:
    n = histogram.n
    half = _Z * math.sqrt(_dot(histogram.counts, influence * influence) / n / n)
    return Estimate(value, value - half, value + half)


class PowerLawFit(NamedTuple):
    """The largest distance of a tail from its best power law, with the interval that chance leaves; the
    number of values in the tail, from where it begins, and the exponent of the density.
    """

    distance: Estimate
    n: int
    begins: float
    exponent: float


def fit_power_law(histogram: ValueCounts, *, maximum: float | None = None) -> PowerLawFit | None:
    """Fit a power law to the upper half of the positive values, cut off at `maximum`; None below two values.

    The exponent is that of greatest likelihood. A whole number stands for the reals that round to it, and the
    tail begins at 30 at the least, from where it hardly matters which reals those are.
    Source: A. Clauset, C. Shalizi, M. Newman, "Power-law distributions in empirical data", SIAM Review 51,
    2009; the distance's interval is that of Dvoretzky, Kiefer and Wolfowitz.
    """
    positive = histogram.values > 0
    values, counts = histogram.values[positive], histogram.counts[positive]
    if len(values) < 3:
        return None
    middle = int(np.searchsorted(np.cumsum(counts), counts.sum() / 2))
    if histogram.is_whole:
        middle = max(middle, int(np.searchsorted(values, _LEAST_WHOLE)))
    values, counts = values[middle:], counts[middle:]
    if len(values) < 2:
        return None
    half = 0.5 if histogram.is_whole else 0.0
    begins = float(values[0]) - half if histogram.is_whole else float(values[0]) * (1 - 2.0**-7)
    ends = None if maximum is None else math.log((max(maximum, float(values[-1])) + half) / begins)
    n = int(counts.sum())
    rate = _rate(_dot(counts, _logs(values / begins)) / n, ends)
    upper = values + half if histogram.is_whole else values * (1 + 2.0**-7)
    expected = np.array([-math.expm1(-rate * x) for x in _logs(upper / begins).tolist()], np.float64)
    if ends is not None:
        expected = np.minimum(1.0, expected / -math.expm1(-rate * ends))
    distance = float(np.abs(np.cumsum(counts) / n - expected).max())
    reach = _KOLMOGOROV / math.sqrt(n)
    return PowerLawFit(Estimate(distance, max(0.0, distance - reach), distance + reach), n, begins, 1 + rate)


def _rate(mean: float, ends: float | None) -> float:
    """Return the rate of an exponential distribution, cut off at `ends`, by its mean."""
    if ends is None:
        return 1 / mean
    if mean >= ends / 2 * (1 - 1e-9):
        return 1e-9
    low, high = 1e-9, 2 / mean
    for _ in range(200):
        rate = (low + high) / 2
        if 1 / rate - ends / math.expm1(min(rate * ends, 700.0)) > mean:
            low = rate
        else:
            high = rate
    return (low + high) / 2


def peak_difference(histogram: ValueCounts, low: float, high: float) -> tuple[Estimate, float] | None:
    """Estimate by how much denser the values lie at their peak from `low` to `high` than anywhere outside.

    Unit: share of the values, in ranges as wide as the widest bucket from `low` to `high`: narrower buckets
    are put together, of wider ones it is the part for that width. With it comes the densest value of all. The
    interval is widened for the number of ranges that were compared; None where no value lies on one of the
    sides.
    """
    inside = (histogram.values >= low) & (histogram.values <= high)
    if inside.all() or not inside.any():
        return None
    n, widths = histogram.n, histogram.widths
    width = float(widths[inside].max()) or float(widths.max()) or 1.0
    ranges: dict[tuple[bool, float, float], int] = {}
    for value, of_value, is_inside, number in zip(
        histogram.values.tolist(), widths.tolist(), inside.tolist(), histogram.counts.tolist(), strict=True
    ):
        is_wide = of_value > width
        place = (
            is_inside,
            value if is_wide else math.floor(value / width),
            width / of_value if is_wide else 1.0,
        )
        ranges[place] = ranges.get(place, 0) + number
    tops = [
        max(
            (number * scale / n, number * scale**2 / n)
            for (of_side, _, scale), number in ranges.items()
            if of_side is side
        )
        for side in (True, False)
    ]
    (first, first_variance), (second, second_variance) = tops
    z = NormalDist().inv_cdf(1 - (1 - CONFIDENCE) / 2 / len(ranges))
    half = z * math.sqrt((first_variance + second_variance - (first - second) ** 2) / n)
    peak = float(histogram.values[int((histogram.counts / np.maximum(widths, width)).argmax())])
    return Estimate(first - second, first - second - half, first - second + half), peak
