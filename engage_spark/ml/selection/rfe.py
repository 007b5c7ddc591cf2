"""Select features by recursive elimination on Gram matrices: exact linear algebra on the driver. No Spark.

The ranker is ridge regression on standardised columns, for binary targets as for numbers (the linear
probability model). The worth of a source is the R² that is lost when all its slots leave together and the
others are fitted anew, β_g' ((A⁻¹)_gg)⁻¹ β_g, with A the correlation matrix plus the ridge and β = A⁻¹ r,
less what so many slots cost on new rows. By chance alone k slots explain k (1 − R²) / (rows − 1 − all slots)
of the rows they were fitted on, and make new rows worse by as much: twice that is taken off, so that a
category of many levels is not kept for their number. The source of least worth leaves, and the worth of the
others is computed again, from A⁻¹ less what it owed to the source: A⁻¹ − (A⁻¹)_·g ((A⁻¹)_gg)⁻¹ (A⁻¹)_g·.

Source: (I. Guyon et al., "Gene selection for cancer classification using support vector machines", Machine
Learning 46, 2002; the loss in closed form: G. A. F. Seber and A. J. Lee, "Linear Regression Analysis", 2003,
section 3.7; the cost of slots: C. L. Mallows, "Some Comments on C_p", Technometrics 15, 1973; the inverse
without a block: G. H. Golub and C. F. Van Loan, "Matrix Computations", 2013,
section 3.2.11).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from engage_spark.errors import ConfigurationError
from engage_spark.ml.selection.fold_gram import FoldGrams, Gram
from engage_spark.numerics.dtypes import F64

Fold = TypeVar("Fold", int, int | None)
RIDGE = 1e-6
"""Added to the diagonal of the correlation matrix (an alpha of 1e-6 × rows), so that identical columns share
their weight instead of failing.
"""
TIE = 1e-8
"""Worths that differ by less count as equal; the source that the contract names later leaves first."""
REFRESHED = 8
"""The inverse is computed anew whenever 1 in so many of its slots has left."""


@dataclass(frozen=True, kw_only=True)
class Elimination:
    """The order in which sources left. `kept` are in the contract's order; `ranks`: 1 = kept, 2 left last,
    and so on.

    `order` is the order of leaving, continued below `keep` to the last source; `curve` is R² on the rows it
    was fitted on by the number of sources left. Both are empty for ranks that another ranker gave.
    """

    kept: tuple[str, ...]
    ranks: Mapping[str, int]
    order: tuple[str, ...] = ()
    curve: Mapping[int, float]

    def left(self, number: int) -> tuple[str, ...]:
        """List the `number` sources that left last, the one of most worth first."""
        return tuple(reversed(self.order))[:number]


@dataclass(frozen=True, kw_only=True)
class Selection:
    """The features that are kept when each fold is held out, and when none is. `keep` is the number asked
    for.

    `jaccard` is the mean over pairs of folds of |both| / |either| of what they keep (None with one fold),
    `frequency` the share of folds that keep a source. `note` says where there was nothing to select.
    """

    keep: int
    ranker: str
    folds: Mapping[int, Elimination]
    final: Elimination
    jaccard: float | None
    frequency: Mapping[str, float]
    note: str | None = None


class _Standard:
    """The correlation matrix of the slots that vary, plus the ridge, and their correlations with the
    target.
    """

    def __init__(self, gram: Gram) -> None:
        if not gram.of_target > 0:
            raise ConfigurationError(
                f"target {gram.target!r} is {gram.target_mean:g} in all {gram.rows} rows of a training fold",
                hint="a constant target cannot be learnt: train on more rows, or on other snapshots",
            )
        spread = np.sqrt(np.diag(gram.products))
        varied = np.flatnonzero(spread > 0)
        spread = spread[varied]
        self.a = gram.products[np.ix_(varied, varied)] / np.outer(spread, spread)
        np.fill_diagonal(self.a, 1.0 + RIDGE)
        self.r = gram.with_target[varied] / (spread * np.sqrt(gram.of_target))
        self.sources = [gram.slots[i].source for i in varied]

    def places(self, sources: Sequence[str]) -> NDArray[np.intp]:
        names = set(sources)
        return np.array([i for i, s in enumerate(self.sources) if s in names], dtype=np.intp)

    def r2(self, sources: Sequence[str]) -> float:
        at = self.places(sources)
        return float(self.r[at] @ np.linalg.solve(self.a[np.ix_(at, at)], self.r[at])) if len(at) else 0.0


class _Remaining:
    """The inverse and the weights of the sources that are left, updated in place when one leaves.

    After 1 in REFRESHED of the slots has left, the inverse is computed anew: rounding does not add up, and
    all those inverses together cost as much as three of the first.
    """

    def __init__(self, standard: _Standard, sources: Sequence[str], rows: float) -> None:
        self.standard, self.sources, self.rows = standard, list(sources), rows
        self._invert()

    def _invert(self) -> None:
        at = self.standard.places(self.sources)
        self.inverse = np.linalg.inv(self.standard.a[np.ix_(at, at)])
        self.r = self.standard.r[at]
        self.beta = self.inverse @ self.r
        places: dict[str, list[int]] = {s: [] for s in self.sources}
        for i, place in enumerate(at):
            places[self.standard.sources[place]].append(i)
        self.places = [np.array(places[s], dtype=np.intp) for s in self.sources]
        self.left = len(at)

    def r2(self) -> float:
        """Compute R² of the sources that are left."""
        return float(self.r @ self.beta)

    def worths(self, r2: float) -> F64:
        """Compute what each source adds to R² on new rows, as far as can be told: what is lost when it
        leaves, less twice what noise of as many slots explains. −∞ for a source that never varies.

        `r2` is that of the sources that are left.
        """
        slots = np.array([len(own) for own in self.places], dtype=np.float64)
        noise = max(0.0, 1 - r2) / max(1.0, self.rows - 1 - self.left)
        return np.where(slots > 0, self._losses() - 2 * slots * noise, -np.inf)

    def _losses(self) -> F64:
        lost = np.zeros(len(self.sources))
        single = np.array([i for i, own in enumerate(self.places) if len(own) == 1], dtype=np.intp)
        at = np.array([self.places[i][0] for i in single], dtype=np.intp)
        lost[single] = self.beta[at] ** 2 / self.inverse[at, at]
        for i, own in enumerate(self.places):
            if len(own) > 1:
                block = self.inverse[np.ix_(own, own)]
                lost[i] = self.beta[own] @ np.linalg.solve(block, self.beta[own])
        return lost

    def remove(self, i: int) -> str:
        """Remove a source by its position, and return its name."""
        own, name = self.places.pop(i), self.sources.pop(i)
        self.left -= len(own)
        if self.left < (1 - 1 / REFRESHED) * len(self.r):
            self._invert()
        elif len(own):
            across = self.inverse[:, own]
            share = np.linalg.solve(self.inverse[np.ix_(own, own)], across.T)
            self.beta -= self.beta[own] @ share
            self.inverse -= across @ share
            self.beta[own] = 0.0
        return name


def r2(gram: Gram, sources: Sequence[str] | None = None) -> float:
    """Compute R² of the ridge regression of the target on these sources (default: all) over the matrix's
    rows: 1 − penalised loss / Σ (y − mean)².

    Errors: ConfigurationError for a constant target.
    """
    return _Standard(gram).r2(gram.sources if sources is None else sources)


def eliminate(gram: Gram, keep: int, *, days: int = 1) -> Elimination:
    """Remove sources one at a time, the one of least worth first, until `keep` are left (and on, for the
    order of the rest).

    All slots of a source leave together. Constant and empty sources leave first, of equals the one that the
    contract names later; one of two identical ones loses next to nothing. With `keep` sources or fewer all
    are kept. `days`: how many rows a customer may have, which are alike: noise explains as much as in the
    rows of one day.
    Cost: slots² a step, and inverses of slots³ whose number grows with the logarithm of the slots.
    Errors: ConfigurationError for a constant target, or `keep` below 1.
    """
    if keep < 1:
        raise ConfigurationError(f"{keep} features cannot be kept", hint="keep at least 1")
    remaining = _Remaining(_Standard(gram), gram.sources, gram.rows / days)
    curve, order = {}, []
    while remaining.sources:
        share = curve[len(remaining.sources)] = remaining.r2()
        worths = remaining.worths(share)
        # Of equals the later one in the contract's order leaves.
        order.append(remaining.remove(int(np.flatnonzero(worths <= worths.min() + TIE)[-1])))
    return Elimination(
        kept=_best_sources(order, keep, gram.sources),
        ranks=_ranks(order, keep),
        order=tuple(order),
        curve=curve,
    )


def _best_sources(order: Sequence[str], keep: int, sources: Sequence[str]) -> tuple[str, ...]:
    best = set(order[-keep:])
    return tuple(s for s in sources if s in best)


def _ranks(order: Sequence[str], keep: int) -> dict[str, int]:
    return {s: max(1, len(order) - i - keep + 1) for i, s in enumerate(order)}


def select(grams: FoldGrams, keep: int, *, folds: Sequence[int] | None = None, days: int = 1) -> Selection:
    """Eliminate with each of `folds` held out in turn (default: every fold), and with none held out.

    `days`: see `eliminate`.

    Errors: ConfigurationError for a target that is constant in a training fold.
    """
    held_out = grams.folds if folds is None else folds
    by_fold = (
        {f: eliminate(grams.training(f), keep, days=days) for f in held_out} if len(grams.folds) > 1 else {}
    )
    return _selection(keep, "linear", by_fold, eliminate(grams.everything(), keep, days=days), grams.sources)


def ranks_from(
    importances: Mapping[int, Mapping[str, float]],
    final: Mapping[str, float],
    *,
    keep: int,
    ranker: str = "forest",
) -> Selection:
    """Select by importances per source that another ranker measured when each fold was held out, and with
    none held out (`final`).

    The order of `final` is the contract's, and breaks ties. Sources are ranked once, all together: nothing is
    recursive here, so there is no curve.
    Errors: ConfigurationError where the folds' sources differ from those of `final`, or an importance is not
    finite.
    """
    ranked = ranks_by_fold({**importances, None: final}, sources=tuple(final), keep=keep)
    by_fold = {f: ranked[f] for f in importances}
    return _selection(keep, ranker, by_fold, ranked[None], tuple(final))


def ranks_by_fold(
    importances: Mapping[Fold, Mapping[str, float]], *, sources: Sequence[str], keep: int
) -> dict[Fold, Elimination]:
    """Rank `sources` by their importances with each fold held out; their order breaks ties.

    Errors: as `ranks_from`.
    """
    bad = [
        f"fold {f}: {', '.join(sorted(set(sources) ^ set(ranked)))}"
        for f, ranked in importances.items()
        if set(ranked) != set(sources)
    ]
    bad += [f"{s}: {v}" for ranked in importances.values() for s, v in ranked.items() if not np.isfinite(v)]
    if bad:
        raise ConfigurationError(
            "importances do not rank all sources",
            details=bad,
            hint="give every source a finite importance in every fold",
        )

    def elimination(worth: Mapping[str, float]) -> Elimination:
        order = [sources[i] for i in sorted(range(len(sources)), key=lambda i: (worth[sources[i]], -i))]
        return Elimination(kept=_best_sources(order, keep, sources), ranks=_ranks(order, keep), curve={})

    return {f: elimination(worth) for f, worth in importances.items()}


def _selection(
    keep: int, ranker: str, folds: Mapping[int, Elimination], final: Elimination, sources: Sequence[str]
) -> Selection:
    source_sets = [set(e.kept) for e in folds.values()]
    overlaps = [len(a & b) / len(a | b) if a | b else 1.0 for a, b in combinations(source_sets, 2)]
    note = (
        f"{len(sources)} features, no more than the {keep} to keep: all are kept"
        if len(sources) <= keep
        else None
    )
    return Selection(
        keep=keep,
        ranker=ranker,
        folds=folds,
        final=final,
        jaccard=sum(overlaps) / len(overlaps) if overlaps else None,
        frequency={s: sum(s in k for k in source_sets) / len(source_sets) for s in sources}
        if source_sets
        else {},
        note=note,
    )
