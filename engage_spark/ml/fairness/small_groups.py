"""Merge groups of few customers, so that no figure, nor the difference of two, tells of fewer than that.

Totals are known: what all rows less the groups shown leaves is a figure too. So a small group is not left
out, it is joined with another, until every group has enough customers: a band with its smaller neighbour,
another value with the smallest other group. In the table of two attributes, whose rows and columns are known
from the tables of each attribute alone, whole rows or columns are joined, so that no cell can be subtracted
from its row or column. A cell without any customer tells of nobody, and may stay.

Pure; the result depends on the counts alone.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from math import prod

import numpy as np

from engage_spark.ml.fairness.group_metrics import ALL, MISSING, GroupNote, pair_group, pair_name
from engage_spark.ml.fairness.group_sums import GroupSums
from engage_spark.numerics.dtypes import I64

GroupTables = Mapping[tuple[str, ...], Mapping[tuple[str, ...], GroupSums]]
"""Sums by the groups' names, by the attributes that make the groups: none, one, or two of them."""


@dataclass(frozen=True, kw_only=True)
class ShownGroups:
    """Tables whose groups all have enough customers, by one name a group, and what was done to others."""

    tables: Mapping[tuple[str, ...], Mapping[str, GroupSums]]
    notes: tuple[GroupNote, ...]


_Axis = list[tuple[str, ...]]
"""The groups of an attribute, in order; those of one entry are shown together."""


def merge_small_groups(tables: GroupTables, *, smallest: int, bands: Collection[str] = ()) -> ShownGroups:
    """Join groups of fewer than `smallest` customers with others.

    `bands`: attributes whose groups are ranges that follow each other. A table is left out where fewer than
    two groups of an attribute remain.
    """
    shown: dict[tuple[str, ...], dict[str, GroupSums]] = {}
    notes: list[GroupNote] = []
    alone: dict[str, _Axis] = {}
    for attributes, sums in tables.items():
        if not attributes:
            shown[(ALL,)] = {ALL: sums[()]}
            continue
        start = [alone[a] for a in attributes] if len(attributes) > 1 else [_groups(sums, 0)]
        axes = _merged(sums, start, smallest=smallest, banded=[a in bands for a in attributes])
        if len(attributes) == 1:
            alone[attributes[0]] = axes[0]
        name = pair_name(attributes)
        if any(len(axis) < 2 for axis in axes):
            reason = f"fewer than two groups of at least {smallest:,} customers"
            notes.append(GroupNote(attribute=name, group="all groups", reason=reason))
            continue
        notes += [
            GroupNote(
                attribute=name if len(attributes) == 1 else f"{attribute} in {name}",
                group=", ".join(entry),
                reason=f"shown as one, since fewer than {smallest:,} customers were in one of them",
            )
            for attribute, axis, before in zip(attributes, axes, start, strict=True)
            for entry in axis
            if len(entry) > 1 and (len(attributes) == 1 or entry not in before)
        ]
        shown[attributes] = _joined(sums, axes)
    return ShownGroups(tables=shown, notes=tuple(notes))


def _groups(sums: Mapping[tuple[str, ...], GroupSums], place: int) -> _Axis:
    return [(g,) for g in dict.fromkeys(names[place] for names in sums)]


def _merged(
    sums: Mapping[tuple[str, ...], GroupSums],
    axes: Sequence[_Axis],
    *,
    smallest: int,
    banded: Sequence[bool],
) -> list[_Axis]:
    """Join entries of the axes until no cell has fewer customers than `smallest`, but some.

    Of a table of two attributes entries of the one, of the other or of both are joined, whichever leaves the
    most cells.
    """
    counts = _counts(sums, axes)
    choices = [(0,)] if len(axes) == 1 else [(0, 1), (0,), (1,)]
    joined = [_merged_along(counts, axes, places, smallest=smallest, banded=banded) for places in choices]
    # Where one axis alone does not do, it is joined to a single entry, which leaves no table.
    return max(joined, key=lambda result: 0 if min(map(len, result)) < 2 else prod(map(len, result)))


def _merged_along(
    counts: I64, axes: Sequence[_Axis], places: Sequence[int], *, smallest: int, banded: Sequence[bool]
) -> list[_Axis]:
    axes = [list(axis) for axis in axes]
    while ((counts > 0) & (counts < smallest)).any():
        few = np.where((counts > 0) & (counts < smallest), counts, np.iinfo(np.int64).max)
        cell = np.unravel_index(int(np.argmin(few)), counts.shape)
        options = []
        for i in places:
            if len(axes[i]) > 1:
                totals = counts.sum(axis=1 - i)
                partner = _partner(axes[i], totals, int(cell[i]), banded=banded[i])
                options.append((int(totals[partner]), i, int(cell[i]), partner))
        if not options:
            break
        _, i, one, other = min(options)
        first, second = sorted((one, other))
        axes[i][first] += axes[i].pop(second)
        moved = np.take(counts, second, axis=i)
        counts = np.delete(counts, second, axis=i)
        counts[(slice(None),) * i + (first,)] += moved
    return axes


def _counts(sums: Mapping[tuple[str, ...], GroupSums], axes: Sequence[_Axis]) -> I64:
    """Return the customers of every combination of entries: a column for one axis, a matrix for two."""
    places = [{g: k for k, entry in enumerate(axis) for g in entry} for axis in axes]
    counts = np.zeros((len(axes[0]), len(axes[1]) if len(axes) > 1 else 1), dtype=np.int64)
    for names, s in sums.items():
        at = [place[g] for place, g in zip(places, names, strict=True)]
        counts[at[0], at[1] if len(at) > 1 else 0] += s.customers
    return counts


def _partner(axis: _Axis, totals: I64, place: int, *, banded: bool) -> int:
    """Return the entry to join: a band's smaller neighbour, else the smallest other entry."""
    others = [k for k in range(len(axis)) if k != place]
    if banded and MISSING not in axis[place]:
        others = [k for k in others if abs(k - place) == 1 and MISSING not in axis[k]] or others
    return min(others, key=lambda k: (int(totals[k]), k))


def _joined(sums: Mapping[tuple[str, ...], GroupSums], axes: Sequence[_Axis]) -> dict[str, GroupSums]:
    entries = [{g: _name(entry) for entry in axis for g in entry} for axis in axes]
    parts: dict[tuple[str, ...], list[GroupSums]] = {}
    for names, s in sums.items():
        parts.setdefault(tuple(e[g] for e, g in zip(entries, names, strict=True)), []).append(s)
    order = [{_name(entry): k for k, entry in enumerate(axis)} for axis in axes]
    keys = sorted(parts, key=lambda names: [o[x] for o, x in zip(order, names, strict=True)])
    return {pair_group(names): reduce(GroupSums.__add__, parts[names]) for names in keys}


def _name(entry: tuple[str, ...]) -> str:
    """Name what is shown together; of more than three groups the first, and how many others."""
    return " or ".join(entry) if len(entry) < 4 else f"{entry[0]} or {len(entry) - 1} others"
