"""The weeks of pairs: runs of events against plain Python."""

from __future__ import annotations

from itertools import groupby

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from engage_spark.graph.kernels.pair_weeks import count_weeks
from tests.support.examples import examples

EVENTS = st.lists(st.tuples(st.integers(0, 4), st.integers(-100, 100)), max_size=40)


@given(events=EVENTS)
@settings(max_examples=examples(100), deadline=None)
def test_weeks_of_runs_equal_plain_python(events: list[tuple[int, int]]) -> None:
    events = sorted(events, key=lambda e: e[0])
    expected = []
    for pair, run in groupby(events, key=lambda e: e[0]):
        ago = [e for _, e in run]
        connected = [d for d in ago if d >= 0]
        if connected:
            met = {(-1 - d) // 7 for d in ago if d < 0 and -1 - d <= max(connected) and -1 - d < 84}
            expected.append((pair, min(12, max(connected) // 7 + 1), len(met)))
    pairs, days = (
        np.array([e[i] for e in events], dtype=kind) for i, kind in enumerate((np.int64, np.int32))
    )
    assert list(zip(*(a.tolist() for a in count_weeks(pairs, days)), strict=True)) == expected


def test_a_first_day_in_the_middle_of_a_week_cuts_that_week() -> None:
    pairs, weeks, active = count_weeks(np.zeros(3, np.int64), np.array([9, -1 - 9, -1 - 10], np.int32))
    assert (pairs.tolist(), weeks.tolist(), active.tolist()) == ([0], [2], [1])
