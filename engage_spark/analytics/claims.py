"""Hold every claim of a contract against the states of a day: measured, interval, verdict, explanation.

Verdicts are decided by intervals of 95%, never by points. A mean that is claimed may be off by 10% of it, a
share by 2 points, as in the contract's gates; an effect of a size holds where it is surely no smaller than
the size less that margin. What differs goes together; nothing here says that one causes the other.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from enum import StrEnum
from fractions import Fraction
from typing import NamedTuple

from engage_spark.analytics.claim_groups import (
    LEAST_N,
    Measured,
    complemented,
    number,
    of_group,
    of_rest,
    others_by_segment,
    share_of_segment,
    too_few,
)
from engage_spark.analytics.intervals import (
    NOT_MEASURED,
    Estimate,
    difference_estimate,
    mean_or_share,
    ratio_estimate,
    widened,
)
from engage_spark.analytics.plan import segment_of
from engage_spark.analytics.shape_claims import ShapeVerdict, judge_shape
from engage_spark.analytics.state_rows import Row
from engage_spark.analytics.states import OTHER_SEGMENT, DayStates, MetricState, merge_states
from engage_spark.contract.analytics_spec import AnalyticsSpec, ClaimSpec
from engage_spark.contract.statements import ClaimKind
from engage_spark.numerics.suppression import SMALLEST_GROUP

MARGIN = 0.1
"""The share of a claimed mean or ratio that it may be off, as the gate means_near_declared has it."""
SHARE_MARGIN = 0.02
"""By how much a share may be off, as the gate shares_near_declared has it."""


class Verdict(StrEnum):
    """What the data say of a claim."""

    HOLDS = "holds"
    WEAKER = "weaker"
    ABSENT = "absent"
    CONTRADICTED = "contradicted"
    CANNOT_BE_TOLD = "cannot_be_told"


class CheckOutcome(NamedTuple):
    """What a check or gate of a delivery gave: of `quality_results`."""

    rows_checked: int
    violations: int
    measured: float | None
    passed: bool
    unit: str = "percent"


Checks = Mapping[tuple[str, str], CheckOutcome]
"""The outcomes of the day's published deliveries, by table and rule."""


class Judgement(NamedTuple):
    """A verdict with what it was decided by."""

    verdict: Verdict
    explanation: str
    n: int = 0
    estimate: Estimate = NOT_MEASURED
    n_group: int | None = None
    n_rest: int | None = None

    def of_parts(self, n_group: int, n_rest: int) -> Judgement:
        """Return it with the customers of whom the group and the rest consist."""
        return self._replace(n_group=n_group, n_rest=n_rest)


def claim_rows(spec: AnalyticsSpec, states: DayStates, checks: Checks) -> Iterator[Row]:
    """Yield the rows of `claims` of a day: one per claim, whatever could be measured.

    Errors: none; what is missing makes a claim one that cannot be told, and its explanation says what.
    """
    for claim in spec.claims:
        judgement = judge(claim, states, checks)
        yield {
            "claim": claim.name,
            "version": claim.version,
            "statement": claim.statement,
            "source": claim.source,
            "kind": claim.kind.value,
            "unit": claim.unit,
            "claimed": claim.claimed,
            "measured": judgement.estimate.value,
            "lower": judgement.estimate.lower,
            "upper": judgement.estimate.upper,
            "n": judgement.n,
            "n_group": judgement.n_group,
            "n_rest": judgement.n_rest,
            "verdict": judgement.verdict.value,
            "explanation": judgement.explanation,
        }


def judge(claim: ClaimSpec, states: DayStates, checks: Checks) -> Judgement:
    """Return the verdict on a claim."""
    if claim.kind is ClaimKind.UNMEASURABLE:
        return Judgement(Verdict.CANNOT_BE_TOLD, f"Not measurable: {claim.reason}")
    if claim.rules:
        return _of_checks(claim, checks)
    lacks_metric = claim.metric is not None and states.whole(claim.metric) is None
    lacks_dimension = claim.dimension is not None and not states.segments(claim.dimension)
    if lacks_metric or lacks_dimension or not states.customers():
        tables = ", ".join(claim.tables)
        return Judgement(Verdict.CANNOT_BE_TOLD, f"Not measured: it needs rows of {tables or 'the day'}.")
    if claim.segment is not None:
        claim = replace(claim, segment=segment_of(claim.segment).name)
    return _JUDGES[claim.kind](claim, states)


def _of_checks(claim: ClaimSpec, checks: Checks) -> Judgement:
    """Judge by what the checks of deliveries gave: exact counts of all rows that came, not estimates."""
    table = claim.table or ""
    outcomes = {rule: checks[table, rule] for rule, _ in claim.rules if (table, rule) in checks}
    lacking = [rule for rule, _ in claim.rules if rule not in outcomes]
    measured = {rule: o for rule, o in outcomes.items() if o.measured is not None and o.rows_checked}
    if lacking or not measured:
        return Judgement(
            Verdict.CANNOT_BE_TOLD,
            f"Not measured: no published delivery of {table} of this day has results of "
            f"{', '.join(lacking[:3] or list(outcomes)[:3])}.",
        )
    n = max(o.rows_checked for o in measured.values())
    if claim.kind is ClaimKind.GATE:
        (o,) = measured.values()
        value = float(o.measured or 0.0)
        verdict = Verdict.HOLDS if o.passed else Verdict.CONTRADICTED
        text = f"{_n(value)} {o.unit} was measured of the delivery of {table} ({n:,} rows)."
        return Judgement(verdict, text, n, Estimate(value, value, value))
    limits = dict(claim.rules)
    broken = [
        rule
        for rule, o in measured.items()
        if o.violations and not Fraction(100 * o.violations, o.rows_checked) < Fraction(str(limits[rule]))
    ]
    worst = max(measured, key=lambda rule: Fraction(measured[rule].violations, measured[rule].rows_checked))
    value = 100 * measured[worst].violations / measured[worst].rows_checked
    estimate = Estimate(value, value, value)
    if not broken:
        text = f"None of {len(measured)} checks of {n:,} delivered rows of {table} is broken"
        most = f"{_n(value)}%" if measured[worst].violations >= SMALLEST_GROUP else number(1)
        text += f"; the most is {most} ({worst})." if value else "."
        return Judgement(Verdict.HOLDS, text, n, estimate)
    shown = ", ".join(f"{rule} by {number(measured[rule].violations)}" for rule in broken[:3])
    more = f" and {len(broken) - 3} more" if len(broken) > 3 else ""
    text = f"Of {n:,} delivered rows of {table} these break: {shown}{more}."
    return Judgement(Verdict.CONTRADICTED, text, n, estimate)


def _customers(claim: ClaimSpec, states: DayStates) -> Judgement:
    n, claimed = states.customers(), int(claim.claimed or 0)
    verdict = Verdict.HOLDS if n == claimed else Verdict.CONTRADICTED
    return Judgement(
        verdict,
        f"The snapshot has {number(n)} valid customers, {claimed:,} are claimed.",
        n,
        Estimate(n, n, n),
    )


def _reference_mean(claim: ClaimSpec, states: DayStates) -> Judgement:
    state = states.whole(claim.metric or "")
    assert state is not None
    claimed = claim.claimed or 0.0
    margin = MARGIN * (abs(claimed) or state.standard_deviation or 0.0)
    how = "10% of it" if claimed else "10% of a standard deviation"
    if few := too_few(state, state):
        return _cannot(few, state.n, mean_or_share(state))
    return _within(
        mean_or_share(state), claimed - margin, claimed + margin, state.n, f", with a margin of {how}"
    )


def _mean_between(claim: ClaimSpec, states: DayStates) -> Judgement:
    state = complemented(states.whole(claim.metric or ""), claim.complement)
    assert state is not None and claim.low is not None and claim.high is not None
    if few := too_few(state, state):
        return _cannot(few, state.n, mean_or_share(state))
    return _within(mean_or_share(state), claim.low, claim.high, state.n, "")


def _share(claim: ClaimSpec, states: DayStates) -> Judgement:
    if claim.dimension is None:
        state = states.whole(claim.metric or "")
        assert state is not None
        estimate, n, hits = mean_or_share(state), state.n, int(state.sum)
    else:
        estimate, n, hits = share_of_segment(states, claim.dimension, claim.segment or "")
        if hits == 0 and states.customers(claim.dimension, OTHER_SEGMENT):
            return _cannot(f"{claim.segment} has no segment of its own among those of {claim.dimension}", n)
    return _share_judgement(claim.claimed or 0.0, estimate, n, hits).of_parts(hits, n - hits)


def _share_judgement(claimed: float, estimate: Estimate, n: int, hits: int) -> Judgement:
    """Judge a share. What is said of all or of none is contradicted by a single customer."""
    exceptions = {1.0: n - hits, 0.0: hits}.get(claimed, 0)
    if exceptions:
        text = f"{number(exceptions)} of {number(n)} customers are counterexamples"
        return Judgement(Verdict.CONTRADICTED, f"{text}; {claimed:.0%} was claimed.", n, estimate)
    if n < LEAST_N:
        return _cannot(f"{number(n)} customers are too few; {LEAST_N} are needed", n, estimate)
    low, high = max(0.0, claimed - SHARE_MARGIN), min(1.0, claimed + SHARE_MARGIN)
    return _within(estimate, low, high, n, ", with a margin of 2 points")


def _within(estimate: Estimate, low: float, high: float, n: int, margin: str) -> Judgement:
    """Judge a size that is claimed to lie between two bounds."""
    lower, upper = estimate.lower, estimate.upper
    around = f"{_n(low)} to {_n(high)} was claimed{margin}"
    if lower is None or upper is None:
        return _cannot(f"{number(n)} values give no interval", n, estimate)
    measured = f"{_interval(estimate)} on {n:,} customers; {around}"
    if low <= lower and upper <= high:
        return Judgement(Verdict.HOLDS, f"{measured}.", n, estimate)
    if upper < low or lower > high:
        return Judgement(Verdict.CONTRADICTED, f"{measured}.", n, estimate)
    needed = _rows_needed(estimate, (low, high), n)
    return _cannot(f"{measured}, and the interval lies across a bound{needed}", n, estimate)


def _ratio(claim: ClaimSpec, states: DayStates) -> Judgement:
    pair = _groups(claim, states)
    if isinstance(pair, Judgement):
        return pair
    estimate = ratio_estimate(pair.group, pair.rest)
    least = 1 + ((claim.claimed or 1.0) - 1) * (1 - MARGIN)
    return _effect(estimate, estimate, 1.0, least, pair, "times the mean of the rest").of_parts(*pair.sizes)


def _group_mean(claim: ClaimSpec, states: DayStates) -> Judgement:
    pair = _groups(claim, states)
    if isinstance(pair, Judgement):
        return pair
    claimed = claim.claimed or 0.0
    margin = SHARE_MARGIN if claim.unit == "share" else MARGIN * abs(claimed)
    difference = difference_estimate(pair.rest, pair.group)
    unit = claim.unit or ""
    rest = pair.rest.mean or 0.0
    text = f"{unit} in the group, where the rest has {_n(rest)}".strip()
    judgement = _effect(mean_or_share(pair.group), difference, 0.0, claimed - margin, pair, text)
    return judgement.of_parts(*pair.sizes)


def _effect(
    estimate: Estimate,
    effect: Estimate,
    none: float,
    least: float,
    pair: Measured,
    what: str,
) -> Judgement:
    """Judge an effect that is claimed to be at least of a size: its own interval decides whether it is; only
    where it surely is not, `effect` says on which side of none it is.
    """
    n = pair.n
    ends = (estimate.lower, estimate.upper, effect.lower, effect.upper)
    if None in ends:
        return _cannot(
            f"{number(pair.group.n)} and {number(pair.rest.n)} values give no interval", n, estimate
        )
    lower, upper, effect_lower, effect_upper = (float(x) for x in ends if x is not None)
    text = (
        f"{_interval(estimate)} {what} ({number(pair.group.n)} customers in the group, "
        f"{number(pair.rest.n)} in the rest); the claim holds from {_n(least)} on"
    )
    if lower >= least:
        return Judgement(Verdict.HOLDS, f"{text}.", n, estimate)
    if upper >= least:
        needed = _rows_needed(estimate, (least,), n)
        return _cannot(f"{text}, and the interval lies across that{needed}", n, estimate)
    if effect_upper < none:
        return Judgement(Verdict.CONTRADICTED, f"{text}. The difference is the other way round.", n, estimate)
    if effect_lower > none:
        return Judgement(Verdict.WEAKER, f"{text}. The difference is there, and smaller.", n, estimate)
    return Judgement(Verdict.ABSENT, f"{text}. No difference can be seen.", n, estimate)


def _difference(claim: ClaimSpec, states: DayStates) -> Judgement:
    pair = _groups(claim, states)
    if isinstance(pair, Judgement):
        return pair
    assert claim.low is not None and claim.high is not None
    estimate = difference_estimate(pair.rest, pair.group)
    judgement = _within(estimate, claim.low, claim.high, pair.n, "").of_parts(*pair.sizes)
    if judgement.verdict is not Verdict.CONTRADICTED or claim.low < 0:
        return judgement
    lower, upper = estimate.lower or 0.0, estimate.upper or 0.0
    if lower > 0 and upper < claim.low:
        return judgement._replace(verdict=Verdict.WEAKER)
    return judgement._replace(verdict=Verdict.ABSENT) if lower <= 0 <= upper else judgement


def _highest(claim: ClaimSpec, states: DayStates) -> Judgement:
    """Judge by the lead over another segment that is least sure: the one whose interval begins lowest, or
    where another segment surely leads, whose ends lowest. Intervals are widened for the number of segments.
    """
    dimension, segment, metric = claim.dimension or "", claim.segment or "", claim.metric or ""
    own = complemented(states.get(dimension, segment, metric), claim.complement)
    whole = complemented(states.whole(metric), claim.complement)
    others = others_by_segment(states, dimension, segment, metric, complement=claim.complement)
    n = sum(s.n for s in (own, *others.values()) if s is not None)
    if own is None or whole is None or not others:
        return _cannot(f"{dimension} has nobody in {segment}, or in no other segment", n)
    for name, state in ((segment, own), *others.items()):
        if few := too_few(state, whole):
            return _cannot(f"{dimension} {name}: {few}", n).of_parts(own.n, n - own.n)
    leads = {o: widened(difference_estimate(state, own), len(others)) for o, state in others.items()}
    is_passed = any((lead.upper or 0.0) < 0 for lead in leads.values())
    rival = min(leads, key=lambda o: ((leads[o].upper if is_passed else leads[o].lower) or 0.0, o))
    lead = leads[rival]
    text = f"{_interval(lead)} more than {rival}, on {n:,} customers in {len(others) + 1} segments"
    if is_passed:
        judgement = Judgement(Verdict.CONTRADICTED, f"{text}.", n, lead)
    elif (lead.lower or 0.0) > 0:
        judgement = Judgement(Verdict.HOLDS, f"{text}; no lead is less sure.", n, lead)
    else:
        needed = _rows_needed(lead, (0.0,), n)
        judgement = _cannot(f"{text}, and the interval covers 0{needed}", n, lead)
    return judgement.of_parts(own.n, n - own.n)


def _mean_above(claim: ClaimSpec, states: DayStates) -> Judgement:
    state = states.whole(claim.metric or "")
    assert state is not None
    above, estimate = claim.claimed or 0.0, mean_or_share(state)
    if few := too_few(state, state):
        return _cannot(few, state.n, estimate)
    assert estimate.lower is not None and estimate.upper is not None
    text = f"{_interval(estimate)} on {state.n:,} customers; more than {_n(above)} is claimed"
    if estimate.lower > above:
        return Judgement(Verdict.HOLDS, f"{text}.", state.n, estimate)
    if estimate.upper < above or estimate.lower == estimate.upper:
        return Judgement(Verdict.CONTRADICTED, f"{text}.", state.n, estimate)
    needed = _rows_needed(estimate, (above,), state.n)
    return _cannot(f"{text}, and the interval covers that{needed}", state.n, estimate)


def _shape(claim: ClaimSpec, states: DayStates) -> Judgement:
    state = states.whole(claim.metric or "")
    assert state is not None and claim.shape is not None
    if state.quantiles is None:
        return _cannot(f"no summary of the values of {claim.metric} was counted", state.n)
    judged: ShapeVerdict = judge_shape(
        claim.shape, state.quantiles, low=claim.low, high=claim.high, maximum=claim.maximum
    )
    verdict = {True: Verdict.HOLDS, False: Verdict.CONTRADICTED, None: Verdict.CANNOT_BE_TOLD}[judged.holds]
    if judged.is_absent:
        verdict = Verdict.ABSENT
    return Judgement(verdict, judged.text, state.n, judged.estimate)


def _groups(claim: ClaimSpec, states: DayStates) -> Measured | Judgement:
    """Return the states of a claim's group and of the rest, or that they are too few."""
    group, rest = of_group(claim, states), of_rest(claim, states)
    pair = Measured(group or MetricState(0), rest or MetricState(0))
    whole = complemented(states.whole(claim.metric or ""), claim.complement)
    for name, state in (("the group", pair.group), ("the rest", pair.rest)):
        if few := too_few(state, whole or merge_states([pair.group, pair.rest])):
            return _cannot(f"{name}: {few}", pair.n).of_parts(*pair.sizes)
    return pair


def _cannot(why: str, n: int, estimate: Estimate = NOT_MEASURED) -> Judgement:
    return Judgement(Verdict.CANNOT_BE_TOLD, f"Cannot be told: {why}.", n, estimate)


def _rows_needed(estimate: Estimate, bounds: tuple[float, ...], n: int) -> str:
    """Say about how many customers would decide, if the measured value stayed; nothing where none would."""
    assert estimate.value is not None and estimate.lower is not None and estimate.upper is not None
    half = max(estimate.upper - estimate.value, estimate.value - estimate.lower)
    nearest = min(abs(estimate.value - bound) for bound in bounds)
    if nearest == 0 or (needed := n * (half / nearest) ** 2) > 1e12:
        return ""
    digits = max(0, len(str(math.ceil(needed))) - 2)
    return f"; about {math.ceil(needed / 10**digits) * 10**digits:,} customers would decide"


def _interval(estimate: Estimate) -> str:
    assert estimate.value is not None and estimate.lower is not None and estimate.upper is not None
    return f"{_n(estimate.value)} [{_n(estimate.lower)}, {_n(estimate.upper)}]"


def _n(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1e4 else f"{value:.4g}"


_JUDGES: Mapping[ClaimKind, Callable[[ClaimSpec, DayStates], Judgement]] = {
    ClaimKind.RATIO: _ratio,
    ClaimKind.GROUP_MEAN: _group_mean,
    ClaimKind.HIGHEST: _highest,
    ClaimKind.DIFFERENCE: _difference,
    ClaimKind.MEAN_ABOVE: _mean_above,
    ClaimKind.MEAN_BETWEEN: _mean_between,
    ClaimKind.SHARE: _share,
    ClaimKind.SHAPE: _shape,
    ClaimKind.CUSTOMERS: _customers,
    ClaimKind.REFERENCE_MEAN: _reference_mean,
    ClaimKind.REFERENCE_SHARE: _share,
}
