"""The streaming part of `to_pairs`: pairs that are spread over batches, and pairs without ranks."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engage_spark.graph import tie_strength
from engage_spark.graph.tie_strength import LEFT_OUT, _measure
from tests.support.examples import examples

SCHEMA = pa.schema(
    [("pair", pa.int64()), ("event", pa.int32()), ("first", pa.string()), ("second", pa.string())]
)
KNOWN = st.tuples(st.tuples(st.integers(0, 3), st.integers(4, 6)), st.integers(-90, 90))
UNKNOWN = st.tuples(st.integers(-2, -1), st.sampled_from(["ab", "ac", "bc"]))


@given(
    known=st.lists(KNOWN, max_size=30),
    unknown=st.lists(UNKNOWN, max_size=15),
    size=st.integers(1, 7),
    at_once=st.integers(1, 9),
)
@settings(max_examples=examples(100), deadline=None)
def test_batches_of_any_size_give_the_same_pairs(
    known: list[Any], unknown: list[Any], size: int, at_once: int
) -> None:
    """Unequal pairs without ranks may have one hash, and lie between each other."""
    rows = [(hash_, 5, ends[0], ends[1]) for hash_, ends in unknown]
    rows += [((u << 32) | v, event, None, None) for (u, v), event in known]
    rows.sort(key=lambda row: row[0])
    records = [dict(zip(SCHEMA.names, row, strict=True)) for row in rows]
    batches = [
        pa.RecordBatch.from_pylist(records[i : i + size], SCHEMA) for i in range(0, len(records), size)
    ]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tie_strength, "_EVENTS_AT_ONCE", at_once)
        out = [row for batch in _measure(iter(batches)) for row in batch.to_pylist()]
    expected = {}
    for pair in {pair for pair, _ in known}:
        events = [event for other, event in known if other == pair]
        since = max(events)
        if since >= 0:
            active = {(-1 - e) // 7 for e in events if e < 0 and -1 - e <= min(since, 83)}
            weeks = min(12, since // 7 + 1)
            expected[pair] = (weeks, len(active), len(active) * 27_720 // weeks)
    actual = {(r["u"], r["v"]): tuple(r.values())[2:] for r in out if r["u"] != LEFT_OUT}
    assert actual == expected
    assert len(actual) == sum(r["u"] != LEFT_OUT for r in out), "no pair twice"
    assert sum(r["strength_units"] for r in out if r["u"] == LEFT_OUT) == len(set(unknown))
