"""Count the weeks in which connected pairs interacted, from events sorted by pair."""

from __future__ import annotations

import numpy as np

from engage_spark.numerics.dtypes import I32, I64
from engage_spark.numerics.jit import kernel

WEEKS = 12


@kernel
def count_weeks(pair: I64, event: I32) -> tuple[I64, I32, I32]:
    """Return the connected pairs, the weeks since each connected (1 to 12), and those of them with an
    interaction.

    Equal pairs are neighbours. An event is the number of days ago: d for a connection, -1 - d for an
    interaction. The earliest connection counts, and interactions from its day on. A partial week counts as a
    full one.
    Cost: two passes over the events.
    """
    pairs = np.empty(len(pair), dtype=np.int64)
    weeks, active_weeks = np.empty(len(pair), dtype=np.int32), np.empty(len(pair), dtype=np.int32)
    first, n_pairs = 0, 0
    while first < len(pair):
        last, since = first, -1
        while last < len(pair) and pair[last] == pair[first]:
            since = max(since, event[last])
            last += 1
        if since >= 0:
            bits = 0
            for i in range(first, last):
                ago = -1 - event[i]
                if 0 <= ago <= since and ago < 7 * WEEKS:
                    bits |= 1 << (ago // 7)
            active = 0
            while bits:
                active += bits & 1
                bits >>= 1
            pairs[n_pairs], weeks[n_pairs] = pair[first], min(WEEKS, since // 7 + 1)
            active_weeks[n_pairs] = active
            n_pairs += 1
        first = last
    return pairs[:n_pairs].copy(), weeks[:n_pairs].copy(), active_weeks[:n_pairs].copy()
