"""Decide whether a distribution has the form that a claim says."""

from __future__ import annotations

from typing import NamedTuple

from engage_spark.analytics.claim_groups import number
from engage_spark.analytics.intervals import Estimate
from engage_spark.analytics.shapes import (
    ValueCounts,
    excess_kurtosis,
    fit_power_law,
    histogram_of,
    peak_difference,
    skewness,
)
from engage_spark.contract.statements import Shape

LEAST_N = 100
"""Values below which no form is judged."""
NORMAL_SKEW, NORMAL_EXCESS = 0.5, 1.0
"""Up to which skewness and excess kurtosis a distribution passes for normal, each in size."""
NO_SKEW = 0.1
"""Skewness that is as good as none."""
FARTHEST = 0.05
"""Distance from a power law up to which a tail passes for one; a log-normal one is 0.085 away."""


class ShapeVerdict(NamedTuple):
    """Whether the form is there (None: cannot be told), in words, and what it was decided by."""

    holds: bool | None
    text: str
    estimate: Estimate = Estimate(None)
    is_absent: bool = False


def judge_shape(
    shape: Shape,
    summary: bytes,
    *,
    low: float | None = None,
    high: float | None = None,
    maximum: float | None = None,
) -> ShapeVerdict:
    """Decide about a form by the summary of the values. `maximum` is where a power law is cut off."""
    histogram = histogram_of(summary)
    if histogram.n < LEAST_N:
        text = f"Cannot be told: {number(histogram.n)} values are too few for a form; {LEAST_N} are needed."
        return ShapeVerdict(None, text)
    if shape is Shape.POWER_LAW:
        return _power_law(histogram, maximum)
    if shape is Shape.PEAKS_BETWEEN:
        assert low is not None and high is not None
        return _peaks(histogram, low, high)
    skew, excess = skewness(histogram), excess_kurtosis(histogram)
    if None in (*skew, *excess):
        return ShapeVerdict(False, "All values are the same.")
    sides: tuple[bool | None, ...]
    text = f"Skewness {_text(skew)}, excess kurtosis {_text(excess)} on {histogram.n:,} values"
    if shape is Shape.NORMAL:
        sides = (_inside(skew, NORMAL_SKEW), _inside(excess, NORMAL_EXCESS))
        text += f"; normal passes up to {NORMAL_SKEW:g} and {NORMAL_EXCESS:g}."
    elif shape is Shape.RIGHT_SKEWED:
        sides = (_above(skew),)
        text += "."
        assert skew.lower is not None and skew.upper is not None
        if skew.lower > -NO_SKEW and skew.upper < NO_SKEW:
            return ShapeVerdict(False, text, skew, is_absent=True)
    else:
        sides = (_above(skew), _above(excess))
        text += "; both above 0 make a long tail."
    return ShapeVerdict(False if False in sides else None if None in sides else True, text, skew)


def _power_law(histogram: ValueCounts, maximum: float | None) -> ShapeVerdict:
    fit = fit_power_law(histogram, maximum=maximum)
    if fit is None or fit.n < LEAST_N:
        return ShapeVerdict(None, f"Cannot be told: fewer than {LEAST_N} values are in the tail.")
    side = _inside(fit.distance, FARTHEST)
    text = (
        f"The {fit.n:,} values from {fit.begins:.4g} on are {_text(fit.distance)} away from the nearest "
        f"power law (density falling with exponent {fit.exponent:.3g}); up to {FARTHEST:g} passes."
    )
    return ShapeVerdict(side, text, fit.distance)


def _peaks(histogram: ValueCounts, low: float, high: float) -> ShapeVerdict:
    measured = peak_difference(histogram, low, high)
    if measured is None:
        inside = bool(low <= histogram.values[0] and histogram.values[-1] <= high)
        return ShapeVerdict(
            inside, f"All values lie {'within' if inside else 'outside of'} {low:g} to {high:g}."
        )
    difference, peak = measured
    text = (
        f"The most frequent value is {peak:g}; within {low:g} to {high:g} the peak is {_text(difference)} of "
        f"the values higher than outside, on {histogram.n:,} values."
    )
    return ShapeVerdict(_above(difference), text, difference)


def _above(estimate: Estimate) -> bool | None:
    """Return whether an estimate is surely above 0, surely not, or neither."""
    assert estimate.lower is not None and estimate.upper is not None
    return True if estimate.lower > 0 else False if estimate.upper < 0 else None


def _inside(estimate: Estimate, size: float) -> bool | None:
    """Return whether an estimate is surely within a size of 0, surely not, or neither."""
    assert estimate.lower is not None and estimate.upper is not None
    if -size <= estimate.lower and estimate.upper <= size:
        return True
    return False if estimate.lower > size or estimate.upper < -size else None


def _text(estimate: Estimate) -> str:
    return f"{estimate.value:.3g} [{estimate.lower:.3g}, {estimate.upper:.3g}]"
