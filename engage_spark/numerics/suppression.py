"""Hide small groups of people in tables that leave the lake, so that no subtraction brings them back.

A group is small with fewer than 20 members: its mean, its nulls, its share and its count stay in the lake.
A total beside the table would give a single hidden group away, so that the next smallest are hidden with it
until what is left between the total and the groups shown has 20 members, too. A group is hidden in all
columns of a table (metrics, days, weeks, months, before and after) or in none: no other column tells it.

Pure and general: whoever shows groups to people asks here (the report, exports, tools that answer questions).
"""

from __future__ import annotations

import math
from collections.abc import Collection, Hashable, Mapping, Sequence
from typing import TypeVar

SMALLEST_GROUP = 20
"""Members from which on a group may be shown."""

G = TypeVar("G", bound=Hashable)


def is_small(n: int | None) -> bool:
    """Return whether a group is too small to be shown; nobody at all hides nobody."""
    return n is not None and 0 < n < SMALLEST_GROUP


def count_beside(n: int | None, whole: int | None) -> int | None:
    """Return a number of values that may stand beside the number of those who could have one; None where it
    would tell that fewer than 20 lack a value, or the whole is not known.
    """
    return None if n is None or whole is None or is_small(whole - n) else n


def coarse(value: float | None, whole: int) -> float | None:
    """Return a mean over nearly all of a whole with so few digits that it is one of many n: those behind the
    point are as many as the whole has, less one. All its digits would tell n where values are whole numbers.
    """
    return None if value is None else round(value, _digits(whole))


def coarse_ends(low: float | None, high: float | None, whole: int) -> tuple[float | None, float | None]:
    """Return the ends of an interval as `coarse` does, moved outwards: its width tells n."""
    unit = 10 ** _digits(whole)
    return (
        None if low is None else math.floor(low * unit) / unit,
        None if high is None else math.ceil(high * unit) / unit,
    )


def _digits(whole: int) -> int:
    return len(str(max(1, whole))) - 1


def has_small_class(hits: int, n: int, *, drawn: int) -> bool:
    """Return whether, of `drawn` out of n values of 0 and 1, those that are 1, or 0, are too few.

    The correlation with another metric gives the mean of that one over a class, by the means and deviations
    of all: mean + correlation * deviation * (1 - share) / deviation of the share.
    """
    return n > 0 and any(is_small(math.ceil(part * drawn / n)) for part in (hits, n - hits))


def hidden_groups(
    counts: Mapping[G, Sequence[int | None]],
    *,
    smallest: int = SMALLEST_GROUP,
    hidden_elsewhere: Collection[G] = (),
    total_is_known: bool = True,
) -> frozenset[G]:
    """Return the groups of one dimension that must not be shown, in any column.

    `counts` holds each group's members column by column, such as by metric and period; None where a column
    has no such group. In every column the groups are parts of one whole, whose total is shown unless
    `total_is_known` is false. Groups `hidden_elsewhere`, such as those of a table that this one is a part of,
    are hidden here, too. Among groups of equal size the first is hidden first.

    An empty group hides nobody, so it is shown, and it covers nobody. A whole of fewer than `smallest`
    members must not be shown either, which is for the caller to see to.
    Cost: groups times columns.
    Errors: ValueError where groups have different numbers of columns, or a count is negative.
    """
    columns = {len(column) for column in counts.values()}
    if len(columns) > 1:
        raise ValueError(f"groups have different numbers of columns: {sorted(columns)}")
    sizes = {group: [n or 0 for n in column] for group, column in counts.items()}
    if any(n < 0 for column in sizes.values() for n in column):
        raise ValueError("a count is negative")
    small = {group for group, column in sizes.items() if any(0 < n < smallest for n in column)}
    hidden = small | (set(hidden_elsewhere) & sizes.keys())
    if not total_is_known or not hidden:
        return frozenset(hidden)
    shown = sorted(
        (group for group in sizes if group not in hidden),
        key=lambda g: min((n for n in sizes[g] if n), default=0),
    )
    width = next(iter(columns), 0)
    rest = [sum(sizes[group][i] for group in hidden) for i in range(width)]
    for group in shown:
        open_columns = [i for i, n in enumerate(rest) if 0 < n < smallest]
        if not open_columns:
            break
        if any(sizes[group][i] for i in open_columns):
            hidden.add(group)
            rest = [n + sizes[group][i] for i, n in enumerate(rest)]
    return frozenset(hidden)
