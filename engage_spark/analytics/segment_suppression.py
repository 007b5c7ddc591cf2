"""Decide which segments of a dimension, and which groups of protected fields, must not be shown, since with
other figures they would tell of fewer than 20 customers. Pure: whoever shows them to people asks here (the
report, tools that answer questions).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from typing import Any, TypeVar

from engage_spark.analytics.states import NULL_SEGMENT
from engage_spark.numerics.suppression import hidden_groups

R = TypeVar("R", bound=Mapping[str, Any])

WITHOUT_VALUE = frozenset((NULL_SEGMENT, "(missing)"))
"""What customers without a value are called: as a segment, and as a group of a protected field."""


def hidden_segments(
    counts: Mapping[str, Sequence[int | None]], *, hidden_elsewhere: Collection[str] = ()
) -> frozenset[str]:
    """Return the segments of one dimension that must not be shown, in any column, as `hidden_groups` does.

    Customers without a value cover nobody: how many they are follows from what lacks in the dimension's
    field, which other figures tell. So what is hidden of the others has 20 members without them, too.
    """
    named = {segment: sizes for segment, sizes in counts.items() if segment not in WITHOUT_VALUE}
    hidden = hidden_groups(named, hidden_elsewhere=hidden_elsewhere)
    return hidden_groups(counts, hidden_elsewhere=hidden | set(hidden_elsewhere))


def shown_groups(rows: Sequence[R], protected: Collection[str]) -> list[R]:
    """Return the rows of `model_monitoring` whose groups may be shown, of one target.

    A ratio is of two groups: its own and that it is `against`. A group is hidden under all measures or none.
    Of two attributes together, which are none of `protected`, all groups are shown or none: those of each
    alone are their sums, in two directions.
    """
    sizes: dict[tuple[str, str], dict[str, int]] = defaultdict(dict)
    for r in rows:
        sizes[r["attribute"], r["measure"]][r["member"] or ""] = int(r["n_rows"])
    small: dict[str, frozenset[str]] = defaultdict(frozenset)
    for (attribute, _), of in sizes.items():
        small[attribute] |= hidden_segments({member: [of[member]] for member in sorted(of)})
    shown = []
    for r in rows:
        groups, hidden = {r["member"] or "", r["against"] or ""}, small[r["attribute"]]
        if groups.isdisjoint(hidden) if r["attribute"] in protected else not hidden:
            shown.append(r)
    return shown
