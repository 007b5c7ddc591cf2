"""Compare groups: each group's figures with bounds, against the largest group, and how far groups are apart.

Pure. The names are those of Databricks' fairness metrics: statistical_parity is the rate of selection,
equal_opportunity that of true positives, predictive_equality that of false positives, predictive_parity the
precision. Differences and ratios between groups are those of fairlearn's MetricFrame.

A group's rate is compared where `smallest` customers are behind its denominator (of equal opportunity: those
who are labelled 1). Of numbers the mean absolute error is: the model serves those worse of whom it is farther
off. Ratios of such figures are held against four fifths (Uniform Guidelines on Employee Selection
Procedures, 29 CFR 1607.4 D, 1978) by their interval, which holds for all pairs of an attribute's groups at
once with 95%: wholly below, the pair is flagged; all pairs wholly above, the groups are shown to be within
four fifths; otherwise it cannot be told. A flag is a reason to look, no verdict.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction
from typing import Any

import numpy as np

from engage_spark.ml.evaluation.deciles import wilson
from engage_spark.ml.fairness.group_sums import Combination, GroupSums
from engage_spark.ml.fairness.ratio_bounds import mean_ratio_bounds, ratio_bounds
from engage_spark.ml.fairness.withheld import JOINT, withheld_groups
from engage_spark.ml.feature_spec import Task

FOUR_FIFTHS = 0.8
CONFIDENCE = 0.95
MISSING = "(missing)"
ALL = "all"
_Z = 1.959963984540054


class FairnessAnswer(StrEnum):
    """What the rows say of a rate of an attribute's groups, all pairs together."""

    FAIR = "within four fifths"
    FLAGGED = "flagged"
    UNKNOWN = "cannot be told"


@dataclass(frozen=True, kw_only=True)
class GroupValue:
    """A group's value of a metric with its 95% bounds: Wilson's of a share, normal of a mean.

    `customers`: how many are behind the denominator; rows of one customer count as one. `effective`: of how
    many independent rows a share is as sure; None for a mean, which has its standard `error`.

    Nulls: None where there is none.
    """

    value: float | None
    low: float | None = None
    high: float | None = None
    customers: int = 0
    effective: float | None = None
    error: float | None = None


def _rate(s: GroupSums, part: Combination, whole: Combination) -> GroupValue:
    total = Fraction(s.total(whole))
    if total <= 0:
        return GroupValue(value=None)
    squares = Fraction(s.product(whole, whole))
    share, customers = Fraction(s.total(part)) / total, total * total / squares
    # What each customer's rows are off by: the more alike they are, the larger their sum's square.
    off = s.product(part, part) - 2 * share * s.product(part, whole) + share * share * squares
    effective = min(total, share * (1 - share) * total * total / off) if off > 0 else customers
    n = float(effective)
    low, high = wilson(float(share) * n, n)
    return GroupValue(value=float(share), low=low, high=high, customers=math.floor(customers), effective=n)


def _mean(s: GroupSums, term: str, *, bounds: bool) -> GroupValue:
    """`bounds`: by what each customer's terms are off from the mean."""
    n, squares = Fraction(s.totals["n"]), Fraction(s.products[("n", "n")])
    mean, customers = s.totals[term] / n, math.floor(n * n / squares)
    if not bounds:
        return GroupValue(value=float(mean), customers=customers)
    off = s.products[(term, term)] - 2 * mean * s.products[("n", term)] + mean * mean * squares
    error = math.sqrt(max(Fraction(0), off)) / float(n)
    low, high = float(mean) - _Z * error, float(mean) + _Z * error
    return GroupValue(value=float(mean), low=low, high=high, customers=customers, error=error)


def _rmse(s: GroupSums) -> GroupValue:
    mean = _mean(s, "squares", bounds=False)
    return GroupValue(value=math.sqrt(mean.value or 0.0), customers=mean.customers)


@dataclass(frozen=True, kw_only=True)
class GroupMeasure:
    """A metric of a group.

    `flagged`: it says how a model treats a group, so ratios are held against four fifths. `is_error`: the
    group where it is higher is served worse; of other measures that are flagged, where it is lower.
    """

    name: str
    of: Callable[[GroupSums], GroupValue]
    flagged: bool = False
    signed: bool = False
    is_error: bool = False


_N: Combination = {"n": 1}
_ONES: Combination = {"label": 1}
_ZEROS: Combination = {"n": 1, "label": -1}
_SELECTED: Combination = {"selected": 1}
_PASSED_OVER: Combination = {"n": 1, "selected": -1}
_HITS: Combination = {"hits": 1}
_FALSE_POSITIVES: Combination = {"selected": 1, "hits": -1}
_RIGHT: Combination = {"n": 1, "selected": -1, "label": -1, "hits": 2}


def _rated(
    name: str, part: Combination, whole: Combination, *, flagged: bool = True, is_error: bool = False
) -> GroupMeasure:
    return GroupMeasure(name=name, of=lambda s: _rate(s, part, whole), flagged=flagged, is_error=is_error)


def _averaged(name: str, term: str, *, bounds: bool = False, **is_what: bool) -> GroupMeasure:
    return GroupMeasure(name=name, of=lambda s: _mean(s, term, bounds=bounds), **is_what)


_COVERAGE = GroupMeasure(
    name="coverage",
    of=lambda s: _rate(s, {"covered": 1}, _N) if "covered" in s.totals else GroupValue(value=None),
)
MEASURES: Mapping[Task, tuple[GroupMeasure, ...]] = {
    Task.BINARY: (
        _rated("base_rate", _ONES, _N, flagged=False),
        _rated("statistical_parity", _SELECTED, _N),
        _rated("equal_opportunity", _HITS, _ONES),
        _rated("predictive_equality", _FALSE_POSITIVES, _ZEROS, is_error=True),
        _rated("predictive_parity", _HITS, _SELECTED),
        _rated("accuracy", _RIGHT, _N),
        _averaged("mean_score", "score"),
        _averaged("calibration", "error", bounds=True, signed=True),
        _averaged("brier", "squares"),
        _COVERAGE,
    ),
    Task.REGRESSION: (
        _averaged("mean_label", "label", signed=True),
        _averaged("mean_prediction", "score", signed=True),
        _averaged("mean_error", "error", bounds=True, signed=True),
        _averaged("mae", "absolute", bounds=True, flagged=True, is_error=True),
        GroupMeasure(name="rmse", of=_rmse),
        _COVERAGE,
    ),
}


@dataclass(frozen=True, kw_only=True)
class GroupFigure:
    """One metric of one group.

    `attributes` are the protected fields that the group combines, `attribute` is their joint name. `n` counts
    the group's rows, `customers` those behind the metric's denominator. `difference` and `ratio` are against
    `reference`, the attribute's largest group that is compared.

    Nulls: `value` and bounds where fewer than the smallest number of customers are behind them, or behind a
    figure that would follow from it: such a figure says more of chance, and of single customers, than of the
    model; it is not `compared`.
    """

    attribute: str
    attributes: tuple[str, ...]
    group: str
    n: int
    customers: int
    compared: bool
    metric: str
    value: float | None
    low: float | None
    high: float | None
    reference: str | None
    difference: float | None
    ratio: float | None

    def to_row(self) -> dict[str, Any]:
        """Return the figure as it is stored: its attributes by their joint name only."""
        return {name: value for name, value in vars(self).items() if name != "attributes"}


@dataclass(frozen=True, kw_only=True)
class GroupPair:
    """The ratio of one group's rate to another's, with bounds that hold for all pairs at once (95%).

    `is_error`: the rate is one of errors, so the group with the higher one is served worse.
    """

    lower: str
    higher: str
    ratio: float
    low: float
    high: float
    is_error: bool = False

    @property
    def worse(self) -> str:
        """The group that is served worse."""
        return self.higher if self.is_error else self.lower

    @property
    def better(self) -> str:
        """The group that is served better."""
        return self.lower if self.is_error else self.higher


@dataclass(frozen=True, kw_only=True)
class GroupSpread:
    """How far the compared groups of an attribute are apart in a metric.

    That is highest less lowest, and as `ratio` lowest over highest; None where the metric has a sign.
    `answer`: of a rate that is held against four fifths, what its intervals say. `flagged`: the pairs whose
    interval is wholly below, the worst first. `worst`: the pair whose interval ends lowest, flagged or
    not; None where no interval ends.
    `pairs`: how many were compared. `left_out`: groups with too few customers behind the metric's
    denominator.

    Nulls: `lowest` to `ratio` where fewer than two groups are compared.
    """

    attribute: str
    metric: str
    groups: int
    lowest: str | None
    low: float | None
    highest: str | None
    high: float | None
    difference: float | None
    ratio: float | None
    answer: FairnessAnswer | None
    flagged: tuple[GroupPair, ...]
    worst: GroupPair | None
    pairs: int
    left_out: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class GroupNote:
    """A group that the figures do not show by itself, and why."""

    attribute: str
    group: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class Fairness:
    """The figures of every group, those of all rows first, the spreads, and the groups not shown alone.

    `smallest` is the number of customers that a figure needs behind its denominator. `unaudited` says why
    groups were not compared, where they could not be.
    """

    task: Task
    smallest: int
    figures: tuple[GroupFigure, ...]
    spreads: tuple[GroupSpread, ...]
    notes: tuple[GroupNote, ...] = ()
    unaudited: tuple[str, ...] = ()

    @property
    def flagged(self) -> tuple[GroupSpread, ...]:
        """The spreads with a pair of groups that is flagged."""
        return tuple(s for s in self.spreads if s.flagged)

    def of(self, attribute: str, metric: str) -> dict[str, GroupFigure]:
        """Return the figures of an attribute and metric by group, in the order of the table."""
        return {f.group: f for f in self.figures if (f.attribute, f.metric) == (attribute, metric)}

    def to_rows(self) -> list[dict[str, Any]]:
        """Return one row per group and metric, with the spread and the answer of its attribute beside it.

        Grain: attribute, group, metric.
        """
        spreads = {(s.attribute, s.metric): s for s in self.spreads}
        rows = []
        for f in self.figures:
            spread = spreads.get((f.attribute, f.metric))
            flagged = {g for pair in spread.flagged for g in (pair.lower, pair.higher)} if spread else set()
            rows.append(
                f.to_row()
                | {
                    "spread_difference": spread.difference if spread else None,
                    "spread_ratio": spread.ratio if spread else None,
                    "answer": spread.answer.value if spread and spread.answer else None,
                    "flagged": f.group in flagged,
                }
            )
        return rows


def compare(
    groups: Mapping[tuple[str, ...], Mapping[str, GroupSums]],
    *,
    task: Task,
    smallest: int,
    notes: Sequence[GroupNote] = (),
) -> Fairness:
    """Compare groups by the sums of every group of every attribute, in the order given.

    The keys are an attribute alone, the attributes of an intersection, or (ALL,) for all rows together.
    Groups without rows must not be among them.

    Rates that would tell a figure of fewer customers by arithmetic are withheld (`withheld`).

    Cost: per rate, a matrix of all pairs of the groups that are compared.
    """
    figures: list[GroupFigure] = []
    spreads: list[GroupSpread] = []
    withheld: Mapping[tuple[str, ...], frozenset[str]] = {}
    if task is Task.BINARY:
        withheld = withheld_groups(groups, is_short=lambda s: _is_short(s, smallest))
    for attributes, sums in groups.items():
        for m in MEASURES[task]:
            values = {g: m.of(s) for g, s in sums.items()}
            if m.name == "coverage" and all(f.value is None for f in values.values()):
                continue
            hidden = withheld.get(attributes, frozenset()) if m.name in JOINT else frozenset()
            known = {
                g: f
                for g, f in values.items()
                if f.value is not None and f.customers >= smallest and g not in hidden
            }
            figures += _figures(attributes, m, sums, values, known)
            if attributes != (ALL,) and len(sums) > 1:
                spreads.append(_spread(pair_name(attributes), m, known, [g for g in sums if g not in known]))
    more = (_withheld_note(attributes, hidden, smallest) for attributes, hidden in withheld.items() if hidden)
    return Fairness(
        task=task,
        smallest=smallest,
        figures=tuple(figures),
        spreads=tuple(spreads),
        notes=(*notes, *more),
    )


def _is_short(s: GroupSums, smallest: int) -> bool:
    """Return whether few customers, but some, are on a margin of the table of labels by decisions.

    Each margin is the denominator of a rate that the joint rates give, shown by itself or not: of those not
    selected, how many are labelled 1. Nobody is picked out by both label and decision, so a cell alone tells
    nothing.
    """
    margins = (_ONES, _ZEROS, _SELECTED, _PASSED_OVER)
    behind = (_rate(s, whole, whole).customers for whole in margins)
    return any(0 < customers < smallest for customers in behind)


def _withheld_note(attributes: Sequence[str], hidden: frozenset[str], smallest: int) -> GroupNote:
    return GroupNote(
        attribute=pair_name(attributes),
        group=", ".join(sorted(hidden)),
        reason="rates that follow from the outcomes of those selected are withheld: with the other figures "
        f"they would tell one of fewer than {smallest:,} customers",
    )


def _figures(
    attributes: tuple[str, ...],
    m: GroupMeasure,
    sums: Mapping[str, GroupSums],
    values: Mapping[str, GroupValue],
    known: Mapping[str, GroupValue],
) -> list[GroupFigure]:
    is_total = attributes == (ALL,)
    reference = max(known, key=lambda g: sums[g].rows) if len(known) > 1 and not is_total else None
    base = known[reference].value if reference else None
    figures = []
    for g, f in values.items():
        shown = known.get(g, GroupValue(value=None))
        against = shown.value is not None and base is not None
        figures.append(
            GroupFigure(
                attribute=pair_name(attributes),
                attributes=attributes,
                group=g,
                n=sums[g].rows,
                customers=f.customers,
                compared=g in known and not is_total,
                metric=m.name,
                value=shown.value,
                low=shown.low,
                high=shown.high,
                reference=reference if g in known else None,
                difference=shown.value - base
                if against and shown.value is not None and base is not None
                else None,
                ratio=shown.value / base
                if against and shown.value is not None and base and not m.signed
                else None,
            )
        )
    return figures


def _spread(
    attribute: str, m: GroupMeasure, known: Mapping[str, GroupValue], left_out: Sequence[str]
) -> GroupSpread:
    values = {g: f.value for g, f in known.items() if f.value is not None}
    apart = len(values) > 1
    lowest = min(values, key=values.__getitem__) if apart else None
    highest = max(values, key=values.__getitem__) if apart else None
    low, high = (values[lowest], values[highest]) if lowest and highest else (None, None)
    answer, flagged, worst = _answer(known, left_out, is_error=m.is_error) if m.flagged else (None, (), None)
    return GroupSpread(
        attribute=attribute,
        metric=m.name,
        groups=len(values),
        lowest=lowest,
        low=low,
        highest=highest,
        high=high,
        difference=high - low if high is not None and low is not None else None,
        ratio=low / high if high and low is not None and not m.signed else None,
        answer=answer,
        flagged=flagged,
        worst=worst,
        pairs=len(values) * (len(values) - 1) // 2,
        left_out=tuple(left_out),
    )


def _answer(
    known: Mapping[str, GroupValue], left_out: Sequence[str], *, is_error: bool
) -> tuple[FairnessAnswer, tuple[GroupPair, ...], GroupPair | None]:
    """Return what the intervals of all pairs say, the pairs that are flagged, worst first, and the worst of
    all.

    With a group left out nothing is shown of the attribute as a whole.
    """
    if len(known) < 2:
        return FairnessAnswer.UNKNOWN, (), None
    names, shares = list(known), np.array([f.value for f in known.values()], dtype=np.float64)
    if any(f.effective is None for f in known.values()):
        lower, upper = mean_ratio_bounds(shares, [f.error for f in known.values()], confidence=CONFIDENCE)
    else:
        lower, upper = ratio_bounds(shares, [f.effective for f in known.values()], confidence=CONFIDENCE)

    def pair(i: int, j: int) -> GroupPair:
        return GroupPair(
            lower=names[i],
            higher=names[j],
            ratio=float(shares[i] / shares[j]) if shares[j] else math.nan,
            low=float(lower[i, j]),
            high=float(upper[i, j]),
            is_error=is_error,
        )

    apart = ~np.eye(len(names), dtype=bool)
    ends = np.where(apart & ~np.isnan(upper), upper, np.inf)
    is_bounded = bool(np.isfinite(ends).any())
    worst = pair(*divmod(int(ends.argmin()), len(names))) if is_bounded else None
    pairs = [pair(int(i), int(j)) for i, j in zip(*np.nonzero(ends < FOUR_FIFTHS), strict=True)]
    if pairs:
        ordered = tuple(sorted(pairs, key=lambda x: (x.high, x.lower, x.higher)))
        return FairnessAnswer.FLAGGED, ordered, ordered[0]
    is_fair = not left_out and (lower[apart] >= FOUR_FIFTHS).all()
    return FairnessAnswer.FAIR if is_fair else FairnessAnswer.UNKNOWN, (), worst


def pair_name(names: Sequence[str]) -> str:
    """Return the name of an intersection of attributes."""
    return " x ".join(names)


def pair_group(groups: Sequence[str]) -> str:
    """Return the name of a group of an intersection."""
    return ", ".join(groups)
