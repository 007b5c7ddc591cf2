"""Look at what values dimensions have, and where numbers' quartiles lie, in Spark's workers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from engage_spark.analytics.states import LARGEST
from engage_spark.numerics import sketches
from engage_spark.numerics.batch_counts import to_batch, to_ddl

SCHEMA = pa.schema(
    [("code", pa.int32()), ("value", pa.string()), ("n", pa.int64()), ("summary", pa.binary())]
)
DDL = to_ddl(SCHEMA)
MOST_VALUES = 100_000
"""Values of a dimension that a partition holds at a time; beyond, what was counted so far is passed on."""


def survey(
    batches: Iterable[pa.RecordBatch], are_numbers: Sequence[bool], digits: Sequence[int | None]
) -> Iterator[pa.RecordBatch]:
    """Count the values of each column that is no number, and summarise the quantiles of each that is one.

    `digits` behind the point, by column, where values are multiples of 10^-digits.

    Nulls are not counted, nor values without a finite square.
    """
    summaries = {
        i: sketches.QuantileCounter(digits[i]) for i, is_number in enumerate(are_numbers) if is_number
    }
    values: dict[int, Counter[str]] = {
        i: Counter() for i, is_number in enumerate(are_numbers) if not is_number
    }
    for batch in batches:
        for i, counter in summaries.items():
            numbers = batch.column(i).to_numpy(zero_copy_only=False)
            counter.add(numbers[np.abs(numbers) < LARGEST])
        for i, counted in values.items():
            of_batch = batch.column(i).drop_null().value_counts()
            for value, n in zip(of_batch.field(0).to_pylist(), of_batch.field(1).to_pylist(), strict=True):
                counted[value] += n
            if len(counted) > MOST_VALUES:
                yield to_batch(_rows({i: counted}), SCHEMA)
                counted.clear()
    yield to_batch([*_rows(values), *((i, None, 0, s.to_bytes()) for i, s in summaries.items())], SCHEMA)


def merge(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Merge the summaries of each row, which come as a list of some kilobytes per partition."""
    for batch in batches:
        codes, values, n = (batch.column(name).to_pylist() for name in ("code", "value", "n"))
        summaries = [sketches.merge(s) if s else None for s in batch.column("summaries").to_pylist()]
        yield to_batch(list(zip(codes, values, n, summaries, strict=True)), SCHEMA)


def _rows(values: dict[int, Counter[str]]) -> Iterator[tuple[Any, ...]]:
    for i, counted in values.items():
        for value, n in counted.items():
            yield i, value, n, None
