"""Decide which segments of a dimension must not be shown, since with other figures they would tell of fewer
than 20 customers. Pure: whoever shows segments to people asks here (the report, tools that answer questions).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from engage_spark.analytics.states import NULL_SEGMENT
from engage_spark.numerics.suppression import hidden_groups

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
