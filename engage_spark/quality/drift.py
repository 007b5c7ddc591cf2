"""Measure how much the values of two days differ, from their counts.

Pure: exact counts in, floats out, no Spark.

- PSI, the population stability index: Σ (p − q)·ln(p / q) over the bins, p and q being the shares of the two
  days. It is symmetric, and never negative. Below 0.1 little has changed, from 0.25 on much has: the rule of
  thumb of credit scoring (N. Siddiqi, Credit Risk Scorecards, Wiley 2006, chapter on monitoring; discussed in
  B. Yurdakul, J. Naranjo, Journal of Risk Model Validation 14(4), 2020). Under no change it is about
  chi-square with B − 1 degrees of freedom, times 1/n + 1/m: with few rows it is large by chance, which
  `noise` tells.
- KS, the Kolmogorov-Smirnov distance: the largest difference of the two distribution functions, at the
  borders of the bins; from bins wider than a value it is a lower bound of the distance of the values. For
  bins that have an order only.

Nulls are not part of either; their share is reported separately. NaN, the infinities and what is outside the
declared range are bins like others.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from engage_spark.numerics.population_stability import ks, noise, psi
from engage_spark.quality.stats import column_stats
from engage_spark.quality.stats.column_stats import ColumnStats

SOME, MUCH = 0.1, 0.25
POINTS = 0.05
"""The change of the missing share, as a fraction, from which it counts as much; a fifth of it counts as some.
"""


class Change(StrEnum):
    """How much has changed, by PSI and the missing share; FEW when chance alone makes a PSI like this."""

    NONE = "none"
    FEW = "too few rows"
    SOME = "some"
    MUCH = "much"
    OTHER_BINS = "other bins"


@dataclass(frozen=True, kw_only=True)
class Drift:
    """One column on two days.

    Shares are fractions of what is not null. `ks` is None for bins without an order, and nothing but `change`
    is told where the contract's bins have changed in between.
    """

    column: str
    change: Change
    psi: float | None = None
    ks: float | None = None
    noise: float | None = None
    missing: tuple[float, float] | None = None
    mean: tuple[float | None, float | None] | None = None
    moved: tuple[tuple[str, float, float], ...] = ()
    appeared: tuple[str, ...] = ()
    vanished: tuple[str, ...] = ()


def drifted(before: ColumnStats, after: ColumnStats) -> Drift:
    """Compare one column on two days. Raises ValueError for two columns."""
    if before.column != after.column:
        raise ValueError(f"{before.column} and {after.column} are two columns")
    if before.binning != after.binning:
        return Drift(column=after.column, change=Change.OTHER_BINS)
    old, new = (_filled(s) for s in (before, after))
    index = psi(old, new)
    used = len([b for b in old.keys() | new.keys() if old.get(b) or new.get(b)])
    by_chance = noise(used, before.filled, after.filled)
    missing = (_share(before.nulls, before.rows), _share(after.nulls, after.rows))
    ordered = before.scale != "category" and len(before.labels) > 1
    shares = {
        b: (_share(old.get(b, 0), before.filled), _share(new.get(b, 0), after.filled))
        for b in old.keys() | new.keys()
    }
    ranked = sorted(shares.items(), key=lambda item: (-abs(item[1][1] - item[1][0]), item[0]))
    comparable = bool(before.filled and after.filled)
    return Drift(
        column=after.column,
        change=_change(index, by_chance, abs(missing[1] - missing[0])),
        psi=index,
        ks=ks(
            old,
            new,
            (
                column_stats.MINUS_INFINITY,
                column_stats.BELOW,
                *before.labels,
                column_stats.ABOVE,
                column_stats.PLUS_INFINITY,
            ),
        )
        if ordered
        else None,
        noise=by_chance,
        missing=missing,
        mean=(_float(before.mean), _float(after.mean)),
        moved=tuple((b, p, q) for b, (p, q) in ranked if p != q)[:5],
        appeared=tuple(b for b, (p, q) in sorted(shares.items()) if comparable and q and not p)
        if before.is_exact
        else (),
        vanished=tuple(b for b, (p, q) in sorted(shares.items()) if comparable and p and not q)
        if before.is_exact
        else (),
    )


def compare_days(before: Mapping[str, ColumnStats], after: Mapping[str, ColumnStats]) -> tuple[Drift, ...]:
    """Compare every column that both days have, those that changed most first, then as declared."""
    drifts = [drifted(before[c], after[c]) for c in after if c in before]
    rank = {c: i for i, c in enumerate(reversed(Change))}
    rank[Change.OTHER_BINS] = -1
    return tuple(sorted(drifts, key=lambda d: (rank[d.change], -(d.psi or 0.0))))


def _filled(s: ColumnStats) -> dict[str, int]:
    return {b: n for b, n in s.bins.items() if b != column_stats.NULL and n}


def _share(part: int, whole: int) -> float:
    return part / whole if whole else 0.0


def _float(x: object) -> float | None:
    return None if x is None else float(x)  # type: ignore[arg-type]


def _change(index: float, by_chance: float, missing: float) -> Change:
    if missing >= POINTS or (index >= MUCH and index > by_chance):
        return Change.MUCH
    if missing >= POINTS / 5 or (index >= SOME and index > by_chance):
        return Change.SOME
    return Change.FEW if index >= SOME else Change.NONE
