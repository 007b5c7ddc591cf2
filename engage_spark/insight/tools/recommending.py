"""Recommend what to try: groups in which a target is worse than among the others, and how to test it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from engage_spark.analytics.intervals import NOT_MEASURED, Estimate, share_estimate
from engage_spark.contract.money import ContactMoney
from engage_spark.errors import NotPublishedError
from engage_spark.insight.evidence import Answer, Column, ColumnRole, Value
from engage_spark.insight.experiments import customers_for_mean, customers_for_rate
from engage_spark.insight.lake_reader import LakeReader
from engage_spark.insight.tools.common import (
    ASSOCIATION,
    HIDDEN_NOTE,
    SHARE,
    estimate_fact,
    estimate_of,
    given,
    is_clear,
    measure_of,
    require_shown,
    unit_of,
)
from engage_spark.insight.tools.relating import (
    Contrast,
    contrast_columns,
    contrast_row,
    contrasts,
    target_of,
)


class _Plan(NamedTuple):
    """A group to try something in, with what it would cost and gain, and the size of the test."""

    group: Contrast
    cost: float | None
    gain: Estimate
    half: int | None

    @property
    def shortfall(self) -> float:
        """By how much the sum over the group is below what the mean of the others would make it."""
        inside, outside = self.group.inside, self.group.outside
        return inside.n * ((outside.mean or 0.0) - (inside.mean or 0.0))

    @property
    def missed(self) -> float:
        """By how much the sum over the group is worse than the mean of the others would make it."""
        return abs(self.shortfall)


def recommend(reader: LakeReader, arguments: Mapping[str, Any]) -> Answer:
    """Recommend groups: of two classes those with a higher rate of 1, of numbers those with a lower mean.

    Money is what the contract declares of the target; without it, groups of a rate are ordered by how many
    more rows of class 1 they have than the rate of the others would give them.
    """
    words, target = reader.words, target_of(reader.words, arguments)
    effect, limit = arguments["effect"], arguments["limit"]
    arguments = {**arguments, "target": target}
    origin, hidden, states = reader.day_states(given(arguments, "as_of"))
    require_shown(hidden, None, None, target)
    whole = states.whole(target)
    if whole is None or not whole.n:
        raise NotPublishedError(
            f"{target} has no values on {origin.as_of}", hint="its labels are not known yet"
        )
    unit, measure = unit_of(words, target), measure_of(words, target)
    is_rate, money = unit == SHARE, _money_of(reader, target)
    groups = [c for c in contrasts(reader, hidden, target) if not words.tells_of_personal(c.dimension)]
    worse = [_plan(c, money, effect, is_rate=is_rate) for c in groups if _is_worse(c, is_rate=is_rate)]
    worse.sort(key=_order)
    columns = _columns(measure, unit, money, is_rate=is_rate)
    n = whole.n
    label = f"{target}: {measure}"
    return Answer(
        tool="recommend",
        arguments=arguments,
        facts=(estimate_fact(origin, label, estimate_of(words, target, whole), unit=unit, n=n),),
        columns=columns,
        rows=tuple(map(_row, worse[:limit])),
        origin=origin,
        notes=(
            *_notes(money, target, measure, effect, is_rate=is_rate, is_empty=not worse),
            *((HIDDEN_NOTE,) if any(hidden.of(d, target) for d in words.dimensions) else ()),
        ),
        truncated=len(worse) > limit,
    )


def _money_of(reader: LakeReader, target: str) -> ContactMoney | None:
    field = reader.words.field_of(target)
    return None if field is None else field.money


def _is_worse(c: Contrast, *, is_rate: bool) -> bool:
    """Return whether a group is worse than the others for sure: more of a class, less of a number."""
    if not is_clear(c.lift.lower, c.lift.upper, against=1.0):
        return False
    return (c.lift.lower or 0.0) > 1 if is_rate else (c.lift.upper or 0.0) < 1


def _plan(c: Contrast, money: ContactMoney | None, effect: float, *, is_rate: bool) -> _Plan:
    n, mean = c.inside.n, c.inside.mean or 0.0
    if not is_rate:
        half = customers_for_mean(mean, c.inside.standard_deviation or 0.0, effect)
        return _Plan(c, None, NOT_MEASURED, half)
    half = customers_for_rate(mean, effect)
    if money is None:
        return _Plan(c, None, NOT_MEASURED, half)
    cost, each = n * money.cost, n * money.success * money.value
    rate = share_estimate(round(c.inside.sum), n)
    ends = [None if r is None else each * r - cost for r in rate]
    return _Plan(c, cost, Estimate(*ends), half)


def _order(p: _Plan) -> tuple[float, str, str]:
    """Order by what is to be gained; without money by how much worse than the others a group is in all."""
    first = -p.missed if p.gain.value is None else -p.gain.value
    return (first, p.group.dimension, p.group.segment)


def _columns(
    measure: str, unit: str | None, money: ContactMoney | None, *, is_rate: bool
) -> tuple[Column, ...]:
    if money is not None:
        names = ("cost", "gain", "gain_lower", "gain_upper")
        figures = tuple(Column(name=name, unit=money.currency) for name in names)
    else:
        figures = (
            Column(name="excess", unit="customers") if is_rate else Column(name="shortfall", unit=unit),
        )
    return (
        *contrast_columns(measure, unit),
        *figures,
        Column(name="test_customers_per_half", unit="customers"),
        Column(name="how", role=ColumnRole.TEXT),
    )


def _row(p: _Plan) -> tuple[Value, ...]:
    figures = (p.missed,) if p.cost is None else (p.cost, *p.gain)
    return (*contrast_row(p.group), *figures, p.half, _how(p))


def _how(p: _Plan) -> str:
    if p.gain.upper is not None and p.gain.upper <= 0:
        return "At these figures contacts cost more than they keep: do not contact the whole group."
    if p.half is None:
        return "The group has no spread that a test could be planned by."
    if 2 * p.half > p.group.inside.n:
        return (
            "The group is too small to see the effect in one test: test several periods, or a larger effect."
        )
    return "Draw two random halves of the group, treat one, and compare the target when it is known."


def _percent(share: float) -> str:
    """Return a share as percent with all of its digits that count."""
    return f"{100 * share:.6g}%"


def _notes(
    money: ContactMoney | None, target: str, measure: str, effect: float, *, is_rate: bool, is_empty: bool
) -> list[str]:
    notes = [ASSOCIATION + " Whether a treatment helps, only a test tells."]
    notes += [f"A higher rate of {target} is taken for worse."] if is_rate else []
    if money is not None:
        notes.append(
            f"cost is {money.cost:g} {money.currency} for each customer; gain is less that cost, if a "
            f"contact succeeds with {_percent(money.success)} of those of class 1 and a success is worth "
            f"{money.value:g} {money.currency} (declared in the contract, not measured here; source: "
            f"{money.source})."
        )
    elif is_rate:
        notes.append(
            f"The contract declares no money of {target}, so there is no cost and no gain. excess is how "
            "many more customers of class 1 a group has than the rate of the others would give it."
        )
    else:
        notes.append(
            f"More of {target} is taken for better. shortfall is the customers times the difference of the "
            "means; whether any of it can be made good, and at what cost, nothing here says."
        )
    notes.append(
        f"The test sees a relative change of the {measure} by {_percent(effect)} with a power of 80% at 95% "
        "confidence, in two halves of this size."
    )
    notes.append("Groups overlap, so their gains do not add up. Protected and personal fields are left out.")
    notes += ["No group is worse than the others for sure."] if is_empty else []
    return notes
