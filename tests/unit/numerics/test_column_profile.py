"""The columns of a partition: counts, ends, and samples of values that no split into batches changes."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pyarrow as pa
import pytest

from engage_spark.numerics.batch_counts import ColumnCounter
from engage_spark.numerics.column_profile import (
    ALL_ROWS,
    BITS,
    SCHEMA,
    NumberCounter,
    TextCounter,
    hash_of_text,
    leading_zeros,
    profile_partition,
)

LIMIT = 512
MAKERS = (partial(NumberCounter, LIMIT), partial(TextCounter, LIMIT), partial(NumberCounter, LIMIT))


def batch(start: int, end: int) -> pa.RecordBatch:
    """A number of 2,000 values, a category of 900, a flag as a number; each with nulls, one with
    infinities.
    """
    numbers = [(i * 37 % 2000) / 7 for i in range(start, end)]
    texts = [f"level {i * 13 % 900}" for i in range(start, end)]
    flags = [float(i % 2 == 0) for i in range(start, end)]
    return pa.RecordBatch.from_arrays(
        [
            pa.array([*numbers, None, float("nan"), float("inf"), -0.0]),
            pa.array([*texts, None, "x", "ünder", None]),
            pa.array([*flags, *[None] * 4]),
        ],
        names=["a", "b", "c"],
    )


def counted(
    batches: list[pa.RecordBatch], makers: tuple[Callable[[], ColumnCounter], ...] = MAKERS
) -> list[dict[str, Any]]:
    (profile,) = profile_partition(iter(batches), makers)
    assert profile.schema == SCHEMA
    return profile.to_pylist()


BATCHES = [batch(0, 1000), batch(1000, 2500)]


def test_counts_ends_and_levels_are_these() -> None:
    figures = {
        (r["code"], r["what"]): (r["rows"], r["least"], r["most"])
        for r in counted(BATCHES)
        if r["what"] != "value"
    }
    assert figures == {
        (ALL_ROWS, "present"): (2508, None, None),
        (0, "present"): (2502, 0.0, 285.57142857142856),
        (0, "missing"): (4, None, None),
        (0, "infinite"): (2, None, None),
        (0, "fraction"): (2142, None, None),
        (0, "level"): (0, None, 2.0),
        (1, "present"): (2504, None, None),
        (1, "missing"): (4, None, None),
        (1, "level"): (0, None, 1.0),
        (2, "present"): (2500, 0.0, 1.0),
        (2, "missing"): (8, None, None),
        (2, "infinite"): (0, None, None),
        (2, "fraction"): (0, None, None),
        (2, "level"): (0, None, 0.0),
    }


@pytest.mark.parametrize(
    ("code", "size", "rows", "zeros", "first", "last"),
    [
        (0, 477, 590, 1426.0, (0.14285714285714285, 1, 3.0), (284.14285714285717, 1, 2.0)),
        (1, 435, 1199, 905.0, ("level 10", 3, 2.0), ("x", 2, 1.0)),
        (2, 2, 2500, 0.0, (0.0, 1250, 0.0), (1.0, 1250, 0.0)),
    ],
)
def test_the_sampled_values_are_these(
    code: int, size: int, rows: int, zeros: float, first: object, last: object
) -> None:
    values = sorted(
        (r["text"] if code == 1 else r["number"], r["rows"], r["most"])
        for r in counted(BATCHES)
        if r["code"] == code and r["what"] == "value"
    )
    assert (len(values), sum(n for _, n, _ in values), sum(z for _, _, z in values)) == (size, rows, zeros)
    assert (values[0], values[-1]) == (first, last)


def test_the_split_into_batches_changes_nothing() -> None:
    table = pa.Table.from_batches(BATCHES)
    parts = [b for start in range(0, len(table), 97) for b in table.slice(start, 97).to_batches()]
    assert sorted(map(str, counted(parts))) == sorted(map(str, counted(BATCHES)))


def test_a_column_that_is_not_thinned_keeps_all_values_or_none() -> None:
    texts = pa.array([f"v{i}" for i in range(LIMIT + 1)])
    for size in (LIMIT, LIMIT + 1):
        counter = TextCounter(LIMIT, thin=False)
        counter.add(texts.slice(0, size))
        rows = list(counter.rows())
        level, values = rows[2], rows[3:]
        assert (level[0], level[5]) == ("level", 0.0 if size == LIMIT else BITS)
        assert len(values) == (LIMIT if size == LIMIT else 0)


def test_whole_numbers_and_flags_are_told_apart_as_text() -> None:
    counter = TextCounter(LIMIT)
    counter.add(pa.array([2**62 + 1, 2**62 + 1, None]))
    assert list(counter.rows())[-1][:4] == ("value", "4611686018427387905", None, 2)


def test_leading_zeros_count_down_from_all_bits() -> None:
    assert (leading_zeros(0), leading_zeros(1), leading_zeros(2**63)) == (64, 63, 0)
    assert hash_of_text("basic") == hash_of_text("basic") != hash_of_text("plus")
