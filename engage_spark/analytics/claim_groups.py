"""Find the states that a claim compares, and whether they hold enough values for an interval."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import NamedTuple

from engage_spark.analytics.intervals import Estimate, is_share, share_estimate
from engage_spark.analytics.shapes import histogram_of, skewness
from engage_spark.analytics.states import (
    FALSE_SEGMENT,
    NULL_SEGMENT,
    OTHER_SEGMENT,
    UNIT_BITS,
    DayStates,
    MetricState,
)
from engage_spark.contract.analytics_spec import ClaimSpec
from engage_spark.numerics.suppression import SMALLEST_GROUP

LEAST_N = 30
"""Values below which no mean or share is judged."""
COCHRAN = 25
"""Values needed for each unit of squared skewness before a mean is judged."""


class Measured(NamedTuple):
    """The states of a group and of the rest."""

    group: MetricState
    rest: MetricState

    @property
    def n(self) -> int:
        """Values in both."""
        return self.group.n + self.rest.n

    @property
    def sizes(self) -> tuple[int, int]:
        """Values in each."""
        return self.group.n, self.rest.n


def number(n: int) -> str:
    """Return a number of customers as words may give it: one too small to be shown is not written."""
    return f"{n:,}" if n >= SMALLEST_GROUP or n == 0 else f"fewer than {SMALLEST_GROUP}"


def complemented(state: MetricState | None, is_complement: bool) -> MetricState | None:
    """Return the state of 1 less the metric, where that is asked for: of a metric of 0 and 1."""
    if state is None or not is_complement:
        return state
    units = (state.n << UNIT_BITS) - state.sum_units
    low, high = state.minimum, state.maximum
    return replace(
        state,
        sum_units=units,
        square_units=units,
        minimum=None if high is None else 1 - high,
        maximum=None if low is None else 1 - low,
        quantiles=None,
    )


def of_group(claim: ClaimSpec, states: DayStates) -> MetricState | None:
    """Return the state of the claim's metric in its group."""
    state = states.get(claim.dimension or "", claim.segment or "", claim.metric or "")
    return complemented(state, claim.complement)


def of_rest(claim: ClaimSpec, states: DayStates) -> MetricState | None:
    """Return the state of the claim's metric where the group's rule is false."""
    return complemented(
        states.get(claim.dimension or "", FALSE_SEGMENT, claim.metric or ""), claim.complement
    )


def others_by_segment(
    states: DayStates, dimension: str, segment: str, metric: str, *, complement: bool
) -> dict[str, MetricState]:
    """Return the states of a dimension's other segments; those of null and of rare values do not count."""
    others = {
        other: complemented(states.get(dimension, other, metric), complement)
        for other in states.segments(dimension)
        if other not in (segment, NULL_SEGMENT, OTHER_SEGMENT)
    }
    return {other: state for other, state in others.items() if state is not None and state.n}


def share_of_segment(states: DayStates, dimension: str, segment: str) -> tuple[Estimate, int, int]:
    """Estimate the share of a segment's customers among those whose value is known, with the number of these
    and of the segment's.
    """
    n = sum(states.customers(dimension, s) for s in states.segments(dimension) if s != NULL_SEGMENT)
    hits = states.customers(dimension, segment)
    return share_estimate(hits, n), n, hits


def too_few(state: MetricState, whole: MetricState) -> str:
    """Say that a state has too few values for an interval of its mean; empty where it has enough.

    At least 30 are needed, and of a skewed metric 25 times its squared skewness over all customers (`whole`),
    which may be as small where the distribution is that of 0 and 1: Wilson's interval needs no such rule.
    Source: W. Cochran, Sampling Techniques, 1977, section 2.15.
    """
    needed = LEAST_N
    if not is_share(whole) and whole.quantiles is not None:
        skew = skewness(histogram_of(whole.quantiles)).value or 0.0
        needed = max(needed, math.ceil(COCHRAN * skew**2))
    if state.n >= needed:
        return ""
    how = "" if needed == LEAST_N else " of a distribution so skewed"
    return f"{number(state.n)} values{how} are too few for an interval; {needed:,} are needed"
