"""The kernel counts what counting one by one gives, to the same bits on any partitioning."""

from __future__ import annotations

import math
import pickle
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engage_spark.analytics import count_kernel as kernel
from engage_spark.analytics.plan import (
    CountedDimension,
    CountedMetric,
    SegmentedDimension,
    StatesPlan,
    fixed_segments,
    quartile_segments,
    whole,
)
from engage_spark.analytics.states import CUSTOMERS, DayStates, MetricState
from engage_spark.contract.analytics_spec import DimensionKind
from engage_spark.numerics.sketches import DistinctCounter

PLAN = StatesPlan(
    metrics=(CountedMetric(name="x"), CountedMetric(name="y", digits=0, by_rules=False)),
    dimensions=(
        fixed_segments(CountedDimension(name="rule", kind=DimensionKind.INDICATOR)),
        whole(),
        fixed_segments(CountedDimension(name="plan", kind=DimensionKind.CATEGORY, values=("free", "paid"))),
        fixed_segments(CountedDimension(name="x_band", kind=DimensionKind.BAND, bounds=(0.0, 10.0))),
        quartile_segments(CountedDimension(name="y_quartile", kind=DimensionKind.QUARTILE), (1.0, 2.0, 3.0)),
    ),
)
LAYOUT = kernel.Layout(PLAN, numbers=2, places=(4, 0, 3, 0, 1), sampled_below=2**64 - 1)
ROWS = st.tuples(
    st.integers(-(2**63), 2**63 - 1),
    st.none() | st.floats() | st.sampled_from([0.0, -0.0, 9.99, 1e-300, 1e150]),
    st.none() | st.integers(-5, 300),
    st.sampled_from(["free", "paid", "gold", None]),
    st.sampled_from([True, False, None]),
)


def batch(rows: list[Any]) -> pa.RecordBatch:
    hashes, xs, ys, plans, rules = zip(*rows, strict=True) if rows else ((),) * 5
    arrays = [
        pa.array(hashes, pa.int64()),
        pa.array(xs, pa.float64()),
        pa.array(ys, pa.float64()),
        pa.array(plans, pa.string()),
        pa.array(rules, pa.bool_()),
    ]
    return pa.RecordBatch.from_arrays(arrays, names=list("habcd"))


def counted(partitions: list[list[list[Any]]]) -> tuple[DayStates, kernel.Sample | None]:
    by_block: dict[int, list[bytes]] = {}
    for partition in partitions:
        for out in kernel.count(map(batch, partition), LAYOUT):
            for block, state in zip(out.column(0).to_pylist(), out.column(1).to_pylist(), strict=True):
                by_block.setdefault(block, []).append(state)
    blocks = {block: kernel.merge_block(block, states) for block, states in by_block.items()}
    return kernel.to_states(PLAN, blocks), kernel.to_sample(blocks, limit=20)


def met(states: list[tuple[int, bytes]], keys: list[int]) -> list[tuple[int, bytes]]:
    """Merge states of one block and key as Spark hands them over: rows with lists, in one batch."""
    lists: dict[tuple[int, int], list[bytes]] = {}
    for (block, state), key in zip(states, keys, strict=True):
        lists.setdefault((block, key), []).append(state)
    rows = [{"block": block, "part": key, "states": of} for (block, key), of in lists.items()]
    (out,) = kernel.merge([pa.RecordBatch.from_pylist(rows)])
    return list(zip(out.column("block").to_pylist(), out.column("state").to_pylist(), strict=True))


def test_states_merged_in_two_steps_are_those_merged_at_once() -> None:
    values = np.random.default_rng(3).normal(0, 1e6, (130, 5))
    partitions = [
        [[(100 * p + i, v, i, ("free", "paid", None)[i % 3], i % 2 == 0) for i, v in enumerate(row)]]
        for p, row in enumerate(values)
    ]
    states, of_partition = [], []
    for number, partition in enumerate(partitions):
        for out in kernel.count(map(batch, partition), LAYOUT):
            states += zip(out.column("block").to_pylist(), out.column("state").to_pylist(), strict=True)
            of_partition += [number] * out.num_rows
    some = met(states, [number % 64 for number in of_partition])
    assert len(some) == 64 * 4  # two metrics, customers, the sample
    blocks = {block: pickle.loads(state) for block, state in met(some, [0] * len(some))}
    together, expected = counted(partitions)
    assert kernel.to_states(PLAN, blocks) == together
    drawn = kernel.to_sample(blocks, limit=20)
    assert drawn is not None and expected is not None
    assert drawn.rows.tobytes() == expected.rows.tobytes()
    assert (drawn.hashes == expected.hashes).all()


def segments_of(row: Any) -> dict[str, str]:
    _, x, y, plan, rule = row
    x_band = (
        "(null)" if x is None or math.isnan(x) else "under 0" if x < 0 else "0 to <10" if x < 10 else "10+"
    )
    return {
        "all": "all",
        "rule": {True: "true", False: "false", None: "(null)"}[rule],
        "plan": "(null)" if plan is None else plan if plan in ("free", "paid") else "(other)",
        "x_band": x_band,
        "y_quartile": "(null)" if y is None else f"Q{min(max(int(y), 0), 3) + 1}",
    }


def one_by_one(rows: list[Any]) -> dict[tuple[str, str, str], MetricState]:
    groups: dict[tuple[str, str], list[Any]] = {}
    for row in rows:
        for at in segments_of(row).items():
            groups.setdefault(at, []).append(row)
    states = {}
    for (dimension, segment), members in groups.items():
        customers = DistinctCounter()
        customers.add_hashes(np.array([r[0] for r in members], np.int64).view(np.uint64))
        at = dimension, segment
        states[(*at, CUSTOMERS)] = MetricState(len(members), customers=customers.to_bytes())
        for position, metric in ((1, "x"), (2, "y")):
            summarised = dimension != "rule"
            if metric == "y" and not summarised:
                continue
            values = [r[position] for r in members]
            digits = 0 if metric == "y" else None
            states[(*at, metric)] = MetricState.of(values, with_quantiles=summarised, digits=digits)
    return states


@settings(deadline=None, max_examples=150)
@given(st.lists(st.lists(st.lists(ROWS, max_size=8), max_size=3), min_size=1, max_size=4))
def test_any_partitioning_gives_what_counting_one_by_one_gives(partitions: list[list[list[Any]]]) -> None:
    rows = [row for partition in partitions for rows in partition for row in rows]
    states, sample = counted(partitions)
    assert dict(states.states) == one_by_one(rows)
    together, same_sample = counted([[list(reversed(rows))]])
    assert together == states
    for mine, other in zip(sample or (), same_sample or (), strict=True):
        assert mine.tobytes() == other.tobytes()


def test_wide_ranges_and_many_rows_add_up_exactly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernel, "MOST_ROWS", 50)
    values = [1e100, 1.0, 1e-100, -1e100, 5e-324, 0.1] * 20
    rows = [(i, v, None, None, None) for i, v in enumerate(values)]
    states, _ = counted([[rows[:7], rows[7:60]], [rows[60:]]])
    assert states.whole("x") == MetricState.of(values, with_quantiles=True)
    assert states.whole("y") == MetricState.of([None] * 120, with_quantiles=True, digits=0)


def test_segments_come_in_their_order_and_empty_ones_are_left_out() -> None:
    states, _ = counted([[[(1, 50.0, 2, "gold", None), (2, -1.0, 9, "paid", True)]]])
    assert states.segments("plan") == ("paid", "(other)")
    assert states.segments("x_band") == ("under 0", "10+")
    assert states.dimensions == tuple(d.dimension.name for d in PLAN.dimensions)


def test_a_field_without_values_has_no_quartile() -> None:
    empty = quartile_segments(CountedDimension(name="q", kind=DimensionKind.QUARTILE), ())
    plan = StatesPlan(metrics=(), dimensions=(empty,))
    rows = list(kernel.count([batch([(1, None, None, None, None)])], kernel.Layout(plan, 2, (0,))))
    blocks = {
        b: kernel.merge_block(b, [s]) for b, s in zip(*(c.to_pylist() for c in rows[0].columns), strict=True)
    }
    assert list(kernel.to_states(plan, blocks)) == [("q", "(null)", "customers")]
    assert isinstance(empty, SegmentedDimension) and not empty.segments


def test_a_value_that_is_named_like_a_segment_of_ours_stands_in_quotes() -> None:
    plan = StatesPlan(
        metrics=(),
        dimensions=(
            fixed_segments(
                CountedDimension(name="plan", kind=DimensionKind.CATEGORY, values=("(null)", "(other)", "x"))
            ),
        ),
    )
    rows = [(1, None, None, "(null)", None), (2, None, None, None, None), (3, None, None, "y", None)]
    (out,) = kernel.count([batch(rows)], kernel.Layout(plan, 2, (3,)))
    blocks = {
        b: kernel.merge_block(b, [s]) for b, s in zip(*(c.to_pylist() for c in out.columns), strict=True)
    }
    assert kernel.to_states(plan, blocks).segments("plan") == ("'(null)'", "(other)", "(null)")


def test_one_row_and_a_constant_metric_have_states() -> None:
    states, sample = counted([[[(7, 2.5, 3, "free", True)]]])
    one = states.whole("x")
    assert one is not None
    assert (one.mean, one.variance, one.minimum, one.maximum) == (2.5, None, 2.5, 2.5)
    assert sample is not None and sample.rows.tolist() == [[2.5, 3.0]]
    states, _ = counted([[[(i, 0.1, 3, "free", True) for i in range(5)]]])
    constant = states.whole("x")
    assert constant is not None and constant.standard_deviation == 0.0 and constant.mean == 0.1
