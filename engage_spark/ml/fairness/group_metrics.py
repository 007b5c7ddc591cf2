"""Compare groups: each group's figures with bounds, against the largest group, and how far groups are apart.

Pure. The names are those of Databricks' fairness metrics: statistical_parity is the rate of selection,
equal_opportunity that of true positives, predictive_equality that of false positives, predictive_parity the
precision. Differences and ratios between groups are those of fairlearn's MetricFrame. A ratio under four
fifths is flagged (Uniform Guidelines on Employee Selection Procedures, 29 CFR 1607.4 D, 1978): a reason to
look, no verdict.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from engage_spark.ml.evaluation.deciles import wilson
from engage_spark.ml.feature_spec import Task

FOUR_FIFTHS = 0.8
MISSING = "(missing)"
ALL = "all"
_Z = 1.959963984540054


@dataclass(frozen=True, kw_only=True)
class GroupSums:
    """Exact sums over a group's rows.

    `selected` and `hits` (selected with label 1) stay 0 for regressions; `covered` is None where coverage is
    not measured.
    """

    n: int = 0
    selected: int = 0
    hits: int = 0
    covered: int | None = None
    label: Fraction = Fraction(0)
    score: Fraction = Fraction(0)
    absolute: Fraction = Fraction(0)
    squares: Fraction = Fraction(0)

    def __add__(self, other: GroupSums) -> GroupSums:
        left, right = vars(self), vars(other)
        sums = {k: left[k] + right[k] for k in left if k != "covered"}
        counts = [c for c in (self.covered, other.covered) if c is not None]
        return GroupSums(**sums, covered=sum(counts) if counts else None)

    @property
    def error(self) -> Fraction:
        """The sum of predictions less labels."""
        return self.score - self.label


@dataclass(frozen=True, kw_only=True)
class GroupValue:
    """A group's value of a metric with its 95% bounds: Wilson's of a share, normal of a mean.

    Nulls: None where there is none.
    """

    value: float | None
    low: float | None = None
    high: float | None = None


def _rate(part: int | Fraction, total: int | Fraction) -> GroupValue:
    if not total:
        return GroupValue(value=None)
    low, high = wilson(float(part), float(total))
    return GroupValue(value=float(Fraction(part) / Fraction(total)), low=low, high=high)


def _mean(total: Fraction, squares: Fraction | None, n: int) -> GroupValue:
    """`squares`: sum of the squared terms, from which the mean's own error follows."""
    mean = total / n
    if squares is None:
        return GroupValue(value=float(mean))
    reach = _Z * math.sqrt(max(Fraction(0), squares / n - mean * mean) / n)
    return GroupValue(value=float(mean), low=float(mean) - reach, high=float(mean) + reach)


@dataclass(frozen=True, kw_only=True)
class GroupMeasure:
    """A metric of a group.

    `flagged`: it says how a model treats a group, so a ratio under four fifths is pointed out.
    """

    name: str
    of: Callable[[GroupSums], GroupValue]
    flagged: bool = False
    signed: bool = False


_COVERAGE = GroupMeasure(
    name="coverage", of=lambda s: GroupValue(value=None) if s.covered is None else _rate(s.covered, s.n)
)
MEASURES: Mapping[Task, tuple[GroupMeasure, ...]] = {
    Task.BINARY: (
        GroupMeasure(name="base_rate", of=lambda s: _rate(s.label, s.n)),
        GroupMeasure(name="statistical_parity", of=lambda s: _rate(s.selected, s.n), flagged=True),
        GroupMeasure(name="equal_opportunity", of=lambda s: _rate(s.hits, s.label), flagged=True),
        GroupMeasure(
            name="predictive_equality", of=lambda s: _rate(s.selected - s.hits, s.n - s.label), flagged=True
        ),
        GroupMeasure(name="predictive_parity", of=lambda s: _rate(s.hits, s.selected), flagged=True),
        GroupMeasure(
            name="accuracy", of=lambda s: _rate(s.n - s.selected - s.label + 2 * s.hits, s.n), flagged=True
        ),
        GroupMeasure(name="mean_score", of=lambda s: _mean(s.score, None, s.n)),
        GroupMeasure(name="calibration", of=lambda s: _mean(s.error, s.squares, s.n), signed=True),
        GroupMeasure(name="brier", of=lambda s: _mean(s.squares, None, s.n)),
        _COVERAGE,
    ),
    Task.REGRESSION: (
        GroupMeasure(name="mean_label", of=lambda s: _mean(s.label, None, s.n), signed=True),
        GroupMeasure(name="mean_prediction", of=lambda s: _mean(s.score, None, s.n), signed=True),
        GroupMeasure(name="mean_error", of=lambda s: _mean(s.error, s.squares, s.n), signed=True),
        GroupMeasure(name="mae", of=lambda s: _mean(s.absolute, s.squares, s.n)),
        GroupMeasure(name="rmse", of=lambda s: GroupValue(value=math.sqrt(s.squares / s.n))),
        _COVERAGE,
    ),
}


@dataclass(frozen=True, kw_only=True)
class GroupFigure:
    """One metric of one group.

    `attributes` are the protected fields that the group combines, `attribute` is their joint name.
    `difference` and `ratio` are against `reference`, the attribute's largest group; None where not compared.
    A group under the smallest size is listed, not `compared`: its figures say more of chance than of the
    model.
    """

    attribute: str
    attributes: tuple[str, ...]
    group: str
    n: int
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
class GroupSpread:
    """How far the compared groups of an attribute are apart in a metric.

    That is highest less lowest, and as `ratio` lowest over highest; None where the metric has a sign.
    `flagged`: a rate whose ratio is under four fifths.
    """

    attribute: str
    metric: str
    groups: int
    lowest: str
    low: float
    highest: str
    high: float
    difference: float
    ratio: float | None
    flagged: bool


@dataclass(frozen=True, kw_only=True)
class Fairness:
    """The figures of every group, those of all rows first, and the spreads.

    `smallest` is the number of rows that a group needs to be compared.
    """

    task: Task
    smallest: int
    figures: tuple[GroupFigure, ...]
    spreads: tuple[GroupSpread, ...]

    @property
    def flagged(self) -> tuple[GroupSpread, ...]:
        """The spreads that are flagged."""
        return tuple(s for s in self.spreads if s.flagged)

    def of(self, attribute: str, metric: str) -> dict[str, GroupFigure]:
        """Return the figures of an attribute and metric by group, in the order of the table."""
        return {f.group: f for f in self.figures if (f.attribute, f.metric) == (attribute, metric)}

    def to_rows(self) -> list[dict[str, Any]]:
        """Return one row per group and metric, with the spread of its attribute beside it.

        Grain: attribute, group, metric.
        """
        spreads = {(s.attribute, s.metric): s for s in self.spreads}
        rows = []
        for f in self.figures:
            spread = spreads.get((f.attribute, f.metric))
            rows.append(
                f.to_row()
                | {
                    "spread_difference": spread.difference if spread else None,
                    "spread_ratio": spread.ratio if spread else None,
                    "flagged": spread.flagged if spread else False,
                }
            )
        return rows


def compare(
    groups: Mapping[tuple[str, ...], Mapping[str, GroupSums]], *, task: Task, smallest: int
) -> Fairness:
    """Compare groups by the sums of every group of every attribute, in the order given.

    The keys are an attribute alone, the attributes of an intersection, or (ALL,) for all rows together.
    Groups without rows must not be among them.
    """
    figures: list[GroupFigure] = []
    spreads: list[GroupSpread] = []
    for attributes, sums in groups.items():
        attribute = pair_name(attributes)
        for m in MEASURES[task]:
            own = {g: m.of(s) for g, s in sums.items()}
            if all(f.value is None for f in own.values()) and m.name == "coverage":
                continue
            figures += _figures(attributes, m, sums, own, smallest)
            if spread := _spread(attribute, m, sums, own, smallest):
                spreads.append(spread)
    return Fairness(task=task, smallest=smallest, figures=tuple(figures), spreads=tuple(spreads))


def _figures(
    attributes: tuple[str, ...],
    m: GroupMeasure,
    sums: Mapping[str, GroupSums],
    own: Mapping[str, GroupValue],
    smallest: int,
) -> list[GroupFigure]:
    compared = [g for g, s in sums.items() if s.n >= smallest] if attributes != (ALL,) else []
    reference = max(compared, key=lambda g: sums[g].n) if len(compared) > 1 else None
    base = own[reference].value if reference else None
    figures = []
    for g, f in own.items():
        against = g in compared and f.value is not None and base is not None
        figures.append(
            GroupFigure(
                attribute=pair_name(attributes),
                attributes=attributes,
                group=g,
                n=sums[g].n,
                compared=g in compared,
                metric=m.name,
                value=f.value,
                low=f.low,
                high=f.high,
                reference=reference if g in compared else None,
                difference=f.value - base if against and f.value is not None and base is not None else None,
                ratio=f.value / base if against and f.value is not None and base and not m.signed else None,
            )
        )
    return figures


def _spread(
    attribute: str,
    m: GroupMeasure,
    sums: Mapping[str, GroupSums],
    own: Mapping[str, GroupValue],
    smallest: int,
) -> GroupSpread | None:
    values = {g: f.value for g, f in own.items() if f.value is not None and sums[g].n >= smallest}
    if len(values) < 2 or attribute == ALL:
        return None
    lowest, highest = min(values, key=values.__getitem__), max(values, key=values.__getitem__)
    low, high = values[lowest], values[highest]
    ratio = low / high if high and not m.signed else None
    return GroupSpread(
        attribute=attribute,
        metric=m.name,
        groups=len(values),
        lowest=lowest,
        low=low,
        highest=highest,
        high=high,
        difference=high - low,
        ratio=ratio,
        flagged=m.flagged and ratio is not None and ratio < FOUR_FIFTHS,
    )


def pair_name(names: Sequence[str]) -> str:
    """Return the name of an intersection of attributes."""
    return " x ".join(names)


def pair_group(groups: Sequence[str]) -> str:
    """Return the name of a group of an intersection."""
    return ", ".join(groups)
