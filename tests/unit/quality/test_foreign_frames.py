"""Frames of other libraries become Arrow tables of the declared types, and no value changes by that."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engage_spark.contract import Field, Role, Table, TableKind
from engage_spark.errors import InputError
from engage_spark.quality.foreign_frames import EXACT, columns_of_fields, to_arrow_table

TYPES = {
    "id": "bigint",
    "n": "int",
    "x": "double",
    "t": "string",
    "d": "date",
    "z": "timestamp",
    "m": "decimal(9,2)",
    "b": "boolean",
}
ARROW = {
    "id": pa.int64(),
    "n": pa.int32(),
    "x": pa.float64(),
    "t": pa.string(),
    "d": pa.date32(),
    "z": pa.timestamp("us", tz="UTC"),
    "m": pa.decimal128(9, 2),
    "b": pa.bool_(),
}


def declared(**types: str) -> Table:
    fields = tuple(
        Field(name=n, logical_type="", spark_type=t, description="", role=Role.FEATURE)
        for n, t in (types or TYPES).items()
    )
    return Table(name="things", kind=TableKind.PLAIN, description="", fields=fields)


def column(data: Any, kind: str, name: str = "c") -> pa.ChunkedArray:
    return to_arrow_table(data, declared(**{name: kind})).column(name)


ROWS = st.lists(
    st.fixed_dictionaries(
        {
            "id": st.integers(-(2**62), 2**62),
            "n": st.none() | st.integers(-(2**31), 2**31 - 1),
            "x": st.none() | st.floats(width=64),
            "t": st.none() | st.text(st.characters(exclude_categories=["Cs"]), max_size=5),
            "d": st.none() | st.dates(date(1, 1, 1), date(9999, 12, 31)),
            "z": st.none() | st.datetimes(datetime(1680, 1, 1), datetime(2260, 1, 1), timezones=st.just(UTC)),
            "m": st.none() | st.integers(-(10**9) + 1, 10**9 - 1).map(lambda n: Decimal(n).scaleb(-2)),
            "b": st.none() | st.booleans(),
        }
    ),
    min_size=1,
    max_size=6,
)


def is_nan(value: Any) -> bool:
    return isinstance(value, float) and math.isnan(value)


def same(a: Any, b: Any) -> bool:
    return a == b or (is_nan(a) and is_nan(b))


@given(rows=ROWS)
def test_the_same_rows_are_the_same_table_from_every_library(rows: list[dict[str, Any]]) -> None:
    """Also NaN, which stays one: of all but pandas, where it stands for what is missing."""
    arrow = pa.Table.from_pylist(rows, schema=pa.schema(ARROW))
    forms = {
        "arrow": arrow,
        "batch": arrow.combine_chunks().to_batches()[0],
        "reader": arrow.to_reader(),
        "polars": pl.from_arrow(arrow),
        "lazy": pl.from_arrow(arrow).lazy(),  # type: ignore[union-attr]
        "duckdb": duckdb.from_arrow(arrow),
        "pandas of arrow": arrow.to_pandas(types_mapper=pd.ArrowDtype),
    }
    for name, form in forms.items():
        made = to_arrow_table(form, declared())
        for c, kind in ARROW.items():
            assert made.schema.field(c).type == kind or made[c].null_count == len(rows), (name, c)
        for got, wanted in zip(made.to_pylist(), rows, strict=True):
            assert all(same(got[c], wanted[c]) for c in ARROW), (name, got, wanted)


@given(rows=ROWS)
def test_a_plain_pandas_frame_is_the_same_but_for_nan(rows: list[dict[str, Any]]) -> None:
    """Integers with gaps arrive as floating point numbers, booleans and dates as objects."""
    frame = pd.DataFrame(rows, columns=list(TYPES))
    made = to_arrow_table(frame, declared())
    for got, wanted in zip(made.to_pylist(), rows, strict=True):
        without_nan = {c: None if is_nan(v) else v for c, v in wanted.items()}
        assert all(same(got[c], without_nan[c]) for c in ARROW), (got, wanted)


@pytest.mark.parametrize(
    ("series", "kind", "values"),
    [
        (pd.Series([1.0, None, 3.0]), "int", [1, None, 3]),
        (pd.Series([1, None], dtype="Int32"), "int", [1, None]),
        (pd.Series([float(EXACT)]), "bigint", [EXACT]),
        (pd.Series([2.0**31]), "int", [2**31]),  # 64 bits: what the declared range says of it decides
        (pd.Series([1.5, None]), "int", [1.5, None]),  # refused later, by its type
        (pd.Series([float(EXACT) * 2]), "bigint", [float(EXACT) * 2]),
        (pd.Series([np.inf]), "int", [np.inf]),
        (pd.Series([1.0, np.nan]), "double", [1.0, None]),
        (pd.Series([np.nan, np.nan]), "string", [None, None]),
        (pd.Series([1, 2]), "double", [1.0, 2.0]),
        (pd.Series([True, None]), "boolean", [True, None]),
        (pd.Series(pd.to_datetime(["2025-01-01", None])), "date", [date(2025, 1, 1), None]),
        (pd.Series(["a", None], dtype="category"), "string", ["a", None]),
        (pd.Series([Decimal("1.5"), None]), "decimal(9,2)", [Decimal("1.50"), None]),
        (pd.Series([7]), "decimal(9,2)", [Decimal("7.00")]),
        (pd.Series([], dtype=object), "int", []),
    ],
)
def test_what_pandas_means(series: pd.Series, kind: str, values: list[Any]) -> None:
    assert column(pd.DataFrame({"c": series}), kind).to_pylist() == values


def test_a_nullable_pandas_column_tells_nan_from_null() -> None:
    nullable = pd.Series(pd.array([0.0, 1.0, None], dtype="Float64"))
    values = column(pd.DataFrame({"c": nullable / nullable}), "double").to_pylist()
    assert [values[1], values[2]] == [1.0, None]
    assert is_nan(values[0])


def test_declared_levels_of_an_index_are_columns_and_others_are_not() -> None:
    frame = pd.DataFrame({"c": [1]}, index=pd.MultiIndex.from_tuples([("a", 2)], names=["key", "row"]))
    assert to_arrow_table(frame, declared(key="string", c="int")).to_pylist() == [{"key": "a", "c": 1}]


@pytest.mark.parametrize(
    ("array", "kind", "value"),
    [
        (pa.array([5], pa.uint64()), "bigint", 5),
        (pa.array([2**63], pa.uint64()), "bigint", Decimal(2**63)),
        (pa.array([7], pa.uint8()), "int", 7),
        (pa.array([7], pa.int64()), "tinyint", 7),
        (pa.array([700], pa.int64()), "tinyint", 700),
        (pa.array([7], pa.decimal128(38, 0)), "decimal(9,2)", Decimal("7.00")),
        (pa.array([Decimal("0.125")]), "decimal(9,2)", Decimal("0.125")),
        (pa.array(["x"]).dictionary_encode(), "string", "x"),
        (pa.array(["x"], pa.string_view()), "string", "x"),
        (pa.array([["x"]], pa.large_list(pa.large_string())), "array<string>", ["x"]),
        (pa.array([0], pa.date64()), "date", date(1970, 1, 1)),
        (pa.array([-1], pa.timestamp("ns", tz="+02:00")), "timestamp", datetime(1970, 1, 1, tzinfo=UTC)),
    ],
)
def test_types_that_spark_does_not_read_become_those_that_it_does(
    array: pa.Array, kind: str, value: Any
) -> None:
    made = column(pa.table({"c": array}), kind)
    shift = timedelta(microseconds=1) if pa.types.is_timestamp(array.type) else None
    assert made.to_pylist() == [value if shift is None else value - shift]
    assert not pa.types.is_dictionary(made.type) and not pa.types.is_unsigned_integer(made.type)


DELIVERED = replace(
    declared(),
    fields=tuple(
        Field(name=n, physical_name=p, logical_type="", spark_type="int", description="", role=Role.AUDIT)
        for n, p in (("subscriber", "Customer ID"), ("left", "right"), ("right", "left"), ("n", None))
    ),
)


@pytest.mark.parametrize(
    ("columns", "of_fields"),
    [
        (["Customer ID", "n"], {"subscriber": "Customer ID", "n": "n"}),
        (["subscriber", "x"], {"subscriber": "subscriber"}),
        (["Customer ID", "subscriber"], {"subscriber": "Customer ID"}),
        (["left", "right"], {"left": "right", "right": "left"}),
        (["left"], {"right": "left"}),
        (["Customer ID", "subscriber", "left", "_dq_status"], {"subscriber": "subscriber", "left": "left"}),
        (["x"], {}),
    ],
)
def test_fields_are_in_columns_of_the_delivered_name_or_of_their_own(
    columns: list[str], of_fields: dict[str, str]
) -> None:
    assert columns_of_fields(columns, DELIVERED) == of_fields


@pytest.mark.parametrize("name", ["Customer ID", "subscriber"])
def test_rows_that_are_referred_to_keep_their_keys_by_either_name(name: str) -> None:
    for form in (pa.table({name: [1, 2]}), pd.DataFrame({name: [1, 2]}), pd.DataFrame(index=[1, 2])):
        if not isinstance(form, pa.Table) and form.columns.empty:
            form.index.name = name
        made = to_arrow_table(form, DELIVERED, own_names=True)
        assert (made.column(name).to_pylist(), made.schema.field(name).type) == ([1, 2], pa.int32())


def test_columns_that_nothing_reads_are_not_carried() -> None:
    table = pa.table({"c": [1], "other": pa.array([timedelta(1)]), "day": ["x"]})
    made = to_arrow_table(table, declared(c="int"), used=["day"])
    assert made.to_pylist() == [{"c": 1, "other": None, "day": "x"}]


@pytest.mark.parametrize(
    "data",
    [{"a": [1]}, [1], 3, None, np.zeros(2), pd.Series([1]), pl.Series([1]), pa.array([1])],
    ids=lambda x: type(x).__name__,
)
def test_what_is_no_table_is_refused_with_what_is(data: Any) -> None:
    with pytest.raises(InputError) as error:
        to_arrow_table(data, declared(c="int"))
    for taken in ("Spark DataFrame", "pandas", "Polars", "RecordBatchReader", "DuckDB", "path"):
        assert taken in str(error.value.hint), taken


def test_all_columns_that_cannot_be_read_are_named_at_once() -> None:
    mixed = pd.DataFrame({"c": [1, "x"], "e": [b"", 2.0], "free": [1, "x"]})
    with pytest.raises(InputError) as error:
        to_arrow_table(mixed, declared(c="int", e="string"))
    assert [line.partition(":")[0] for line in error.value.details] == ["c", "e"]
    periods = pd.DataFrame({"c": pd.period_range("2025", periods=1), "e": pd.period_range("2025", periods=1)})
    with pytest.raises(InputError) as error:
        to_arrow_table(periods, declared(c="int", e="string"))
    assert [line.partition(":")[0] for line in error.value.details] == ["c", "e"]


@pytest.mark.parametrize("form", [lambda f: f, pl.from_pandas], ids=["pandas", "polars"])
def test_moments_without_a_zone_are_refused_where_a_zone_is_declared(form: Any) -> None:
    frame = form(pd.DataFrame({"z": pd.to_datetime(["2025-01-01 10:00"])}))
    with pytest.raises(InputError, match="moments without a time zone"):
        to_arrow_table(frame, declared(z="timestamp"))
    assert pa.types.is_timestamp(to_arrow_table(frame, declared(z="date")).column("z").type)
