"""Counting columns by position, and handing counts over as a batch."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pytest

from engage_spark.numerics.batch_counts import count_columns, to_batch, to_ddl

SCHEMA = pa.schema([("code", pa.int32()), ("n", pa.int64()), ("name", pa.string())])


class Length:
    def __init__(self, code: int) -> None:
        self.code, self.n = code, 0

    def add(self, column: pa.Array) -> None:
        self.n += len(column) - column.null_count

    def rows(self) -> Iterator[tuple[Any, ...]]:
        yield self.code, self.n, None


def test_each_counter_gets_the_column_at_its_position() -> None:
    batches = [
        pa.RecordBatch.from_arrays(
            [pa.array([1, None]), pa.array(["a", "b"]), pa.array([1.0, 2.0])], names="xxx"
        ),
        pa.RecordBatch.from_arrays([pa.array([3]), pa.array(["c"]), pa.array([None])], names="xxx"),
    ]
    assert list(count_columns(batches, [Length(0), Length(1)])) == [(0, 2, None), (1, 3, None)]


def test_rows_become_one_batch_of_the_schema() -> None:
    assert to_batch(iter([(1, 2, "a"), (3, 4, None)]), SCHEMA).to_pylist() == [
        {"code": 1, "n": 2, "name": "a"},
        {"code": 3, "n": 4, "name": None},
    ]


def test_no_rows_become_an_empty_batch_of_the_schema() -> None:
    empty = to_batch([], SCHEMA)
    assert empty.num_rows == 0
    assert empty.schema == SCHEMA


def test_a_schema_is_written_as_spark_s_ddl() -> None:
    schema = pa.schema([*SCHEMA, ("x", pa.float64()), ("d", pa.decimal128(38, 0))])
    assert to_ddl(schema) == "code int, n bigint, name string, x double, d decimal(38,0)"


def test_a_type_that_has_no_translation_is_refused() -> None:
    with pytest.raises(KeyError, match="date32"):
        to_ddl(pa.schema([("day", pa.date32())]))
