"""Compute the Gram matrix of any training fold from the sums of products of each fold, by exact arithmetic.

No Spark.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from engage_spark.errors import ConfigurationError
from engage_spark.ml.selection.gram_kernel import CategoryColumn, GramLayout, NumberColumn
from engage_spark.numerics.dtypes import F64, I64
from engage_spark.numerics.limbs import carry, join, join_arrays


@dataclass(frozen=True, kw_only=True)
class GramSlot:
    """A column of the matrix: a number, or one level of a category (a bucket of levels, `#3`, where a
    category has too many).
    """

    source: str
    level: str | None = None


@dataclass(frozen=True, kw_only=True)
class Gram:
    """Centred sums of products over some rows, nulls imputed by these rows' own means and most frequent
    levels.

    `products[i, j]` = Σ (x_i − mean_i)(x_j − mean_j), `with_target[i]` the same with the target, `of_target`
    Σ (y − mean)². Each entry is the correctly rounded quotient of exact integers, so bits do not depend on
    partitions or folds' order. `sources` are all of the spec's features in its order; one that never varies
    may have no slot. The most frequent level of a category has none: it is what the others are compared with,
    and what a null counts as.
    """

    target: str
    sources: tuple[str, ...]
    slots: tuple[GramSlot, ...]
    rows: int
    means: F64
    products: F64
    with_target: F64
    target_mean: float
    of_target: float

    def of(self, source: str) -> tuple[int, ...]:
        """List the positions of a source's slots."""
        return tuple(i for i, s in enumerate(self.slots) if s.source == source)


@dataclass(frozen=True, kw_only=True)
class FoldGrams:
    """The sums of every fold for one target, from which the Gram matrix of any set of folds follows.

    `hi[f]`·2^31 + `lo[f]` are the exact sums over fold `folds[f]`, as `layout` places them; `names` are the
    layout's columns, then targets.
    """

    target: str
    sources: tuple[str, ...]
    names: tuple[str, ...]
    layout: GramLayout
    folds: tuple[int, ...]
    hi: I64
    lo: I64

    def using(self, sources: Sequence[str]) -> FoldGrams:
        """Restrict the sums to fewer sources: those that the spec of another policy may use.

        Errors: ConfigurationError for a source that was not summed.
        """
        if unknown := [s for s in sources if s not in self.names[: len(self.layout.columns)]]:
            raise ConfigurationError(
                f"not summed: {', '.join(unknown)}", hint="give to_grams every spec that is selected for"
            )
        return replace(self, sources=tuple(sources))

    def rows(self, fold: int) -> int:
        """Count the rows of the fold that have the target."""
        f = self.folds.index(fold)
        return join(self.hi[f, 0, 0], self.lo[f, 0, 0])

    def everything(self) -> Gram:
        """Compute the matrix of all rows that are in a fold."""
        return self.over(self.folds)

    def training(self, fold: int) -> Gram:
        """Compute the matrix of the rows that a model is fitted on when `fold` is held out: all other
        folds.
        """
        if fold not in self.folds:
            raise ConfigurationError(
                f"there is no fold {fold}", hint=f"folds are: {', '.join(map(str, self.folds))}"
            )
        return self.over(f for f in self.folds if f != fold)

    def over(self, folds: Iterable[int]) -> Gram:
        """Compute the matrix of these folds together.

        Errors: ConfigurationError when they hold no row with the target.
        """
        used = [self.folds.index(f) for f in folds]
        places, slots = self._places()
        exact = _exact(self.hi[used].sum(axis=0), self.lo[used].sum(axis=0))
        if not exact[0, 0]:
            raise ConfigurationError(
                f"no row of these folds has {self.target!r}", hint="train on snapshots whose target is known"
            )
        keep = self._varied(exact, places, slots)
        places, slots = [places[i] for i in keep], [slots[i] for i in keep]
        target_at = self.layout.at[self.names.index(self.target, len(self.layout.columns))]
        value_at = np.array([*(p[0] for p in places), target_at])
        presence = np.array([*(p[1] for p in places), 0])
        unit = np.array([*(p[2] for p in places), self._exponent(self.target)])
        middle = np.array([*(p[3] for p in places), self._middle(self.target)])
        total, n = exact[value_at, 0], exact[presence, 0]
        n = np.where(n == 0, 1, n)
        across = exact[np.ix_(value_at, presence)]
        scaled = (
            np.outer(n, n) * exact[np.ix_(value_at, value_at)]
            - np.outer(total, n) * across.T
            - np.outer(n, total) * across
            + np.outer(total, total) * exact[np.ix_(presence, presence)]
        )
        centred = np.ldexp((scaled / np.outer(n, n)).astype(np.float64), unit[:, None] + unit[None, :])
        means = middle + np.ldexp((total / n).astype(np.float64), unit)
        return Gram(
            target=self.target,
            sources=self.sources,
            slots=tuple(slots),
            rows=int(exact[0, 0]),
            means=means[:-1],
            products=centred[:-1, :-1],
            with_target=centred[:-1, -1],
            target_mean=float(means[-1]),
            of_target=float(centred[-1, -1]),
        )

    def _exponent(self, name: str) -> int:
        column = self._column(name)
        return 0 if isinstance(column, CategoryColumn) else column.exponent

    def _middle(self, name: str) -> float:
        column = self._column(name)
        return 0.0 if isinstance(column, CategoryColumn) else column.middle

    def _column(self, name: str) -> NumberColumn | CategoryColumn:
        return (*self.layout.columns, *self.layout.targets)[self.names.index(name)]

    def _places(self) -> tuple[list[tuple[int, int, int, float]], list[GramSlot]]:
        """List (place of the value, of its presence, exponent, middle) of each slot that the sources have."""
        places: list[tuple[int, int, int, float]] = []
        slots: list[GramSlot] = []
        for source in self.sources:
            i = self.names.index(source)
            at, column = self.layout.at[i], self.layout.columns[i]
            if isinstance(column, CategoryColumn):
                levels = column.levels or tuple(f"#{b}" for b in range(column.buckets))
                slots += [GramSlot(source=source, level=level) for level in levels]
                places += [(at + j, 0, 0, 0.0) for j in range(column.width)]
            else:
                slots.append(GramSlot(source=source))
                places.append((at, at + 1 if column.nullable else 0, column.exponent, column.middle))
        return places, slots

    def _varied(
        self, exact: NDArray[np.object_], places: list[tuple[int, int, int, float]], slots: list[GramSlot]
    ) -> list[int]:
        """List all slots but the most frequent level of each category, the first in alphabetical order where
        several are.
        """
        most: dict[str, int] = {}
        for i, slot in enumerate(slots):
            if slot.level is not None and (
                slot.source not in most or exact[places[i][0], 0] > exact[places[most[slot.source]][0], 0]
            ):
                most[slot.source] = i
        return [i for i in range(len(slots)) if most.get(slots[i].source) != i]


def _exact(hi: I64, lo: I64) -> NDArray[np.object_]:
    """Return whole numbers of any size, both triangles, from the sums of the upper one."""
    upper = np.triu(join_arrays(hi, lo))
    both_triangles: NDArray[np.object_] = upper + np.triu(upper, 1).T
    return both_triangles


class ProductSums(NamedTuple):
    """Sums of products, one per position: the fold, a bit for each target that is there, the place in the
    matrix, and the sum in two parts.
    """

    fold: I64
    present: I64
    place: I64
    hi: I64
    lo: I64


def build_fold_grams(
    sums: ProductSums,
    *,
    names: tuple[str, ...],
    layout: GramLayout,
    sources: Mapping[str, tuple[str, ...]],
) -> dict[str, FoldGrams]:
    """Gather each target's sums; `sources` are the features of each target's spec."""
    size = layout.size
    grams = {}
    for t, target in enumerate(names[len(layout.columns) :]):
        own = ProductSums(*(part[sums.present >> t & 1 == 1] for part in sums))
        folds, at = np.unique(own.fold, return_inverse=True)
        hi, lo = (np.zeros((len(folds), size * size), np.int64) for _ in range(2))
        np.add.at(hi, (at, own.place), own.hi)
        np.add.at(lo, (at, own.place), own.lo)
        hi, lo = carry(hi, lo)
        grams[target] = FoldGrams(
            target=target,
            sources=sources[target],
            names=names,
            layout=layout,
            folds=tuple(folds.tolist()),
            hi=hi.reshape(-1, size, size),
            lo=lo.reshape(-1, size, size),
        )
    return grams
