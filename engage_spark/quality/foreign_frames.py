"""Turn frames of other libraries into Arrow tables of types that a check takes, column by column.

No library is imported for it: pandas is known by its name, everything else by Arrow's stream protocol. What
comes out are the types of `spark.schema.conform` where no value changes by that. Pure Arrow, no session.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Any, Protocol, runtime_checkable

import pyarrow as pa
import pyarrow.compute as pc

from engage_spark.contract import Field, Table
from engage_spark.errors import InputError

TAKEN = (
    "a Spark DataFrame (classic or Connect), a pandas DataFrame, a Polars DataFrame or LazyFrame, an Arrow "
    "Table, RecordBatch or RecordBatchReader, a DuckDB relation, any object with __arrow_c_stream__, or the "
    "path of Parquet, CSV or Delta"
)
EXACT = 2**53
"""Whole numbers up to this size are exact as floating point numbers."""
_INTEGERS = {"tinyint": pa.int8(), "smallint": pa.int16(), "int": pa.int32(), "bigint": pa.int64()}


@runtime_checkable
class ArrowStream(Protocol):
    """What hands out its rows by Arrow's C stream protocol: Arrow, Polars, DuckDB and others."""

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        """Return a capsule with the stream."""
        ...


class Collectable(Protocol):
    """What is computed only when it is collected, such as a Polars LazyFrame."""

    def collect(self) -> ArrowStream:
        """Return the rows."""
        ...


def is_pandas(data: object) -> bool:
    """Return whether something is a pandas DataFrame. Imports nothing."""
    return _is_a(data, "pandas", "DataFrame")


def to_arrow_table(
    data: Any, table: Table | None, *, used: Collection[str] = (), own_names: bool = False
) -> pa.Table:
    """Convert a frame of another library to Arrow, with the declared types where no value changes.

    `table` says what the columns are declared as (None: nothing is known of them). Columns that it does not
    declare, and that are not `used`, keep their names and lose their values: nothing reads them. With
    `own_names`, columns may be called as their fields in place of what is delivered (`columns_of_fields`).

    Integers that fit the declared type are read as it, whole numbers as the declared decimals or (up to 2^53)
    floating point numbers. Moments are cut to microseconds. Of pandas alone, which has one sign for what is
    missing and for what is not a number: NaN and NaT are null, a column of floating point numbers that are
    all whole is read as integers where these are declared, one of moments without a zone that are all
    midnights as dates, and levels of the index that the contract declares are columns. A pandas column of
    Arrow's or of a nullable type, and any other library, tells NaN from null, and so does the check.

    Nulls: stay null.
    Cost: the rows are held in this process once more.
    Errors: InputError for what is no table, and with every column that has no type that Spark reads.
    """
    lossy = is_pandas(data)
    try:
        arrow = _of_pandas(data, table, own_names) if lossy else _of_stream(data)
    except pa.ArrowException as e:
        raise InputError(f"the rows cannot be read: {_first_line(e)}", hint=f"give {TAKEN}") from e
    declared = _declared(arrow.column_names, table, own_names)
    columns, problems = [], []
    for name, column in zip(arrow.column_names, arrow.columns, strict=True):
        field = declared.get(name)
        if table is not None and field is None and name not in used:
            columns.append(pa.chunked_array([pa.nulls(arrow.num_rows)]))
            continue
        try:
            plain = _plain(column)
            columns.append(plain if field is None else _as_declared(plain, field, lossy=lossy))
        except (pa.ArrowException, TypeError) as e:
            problems.append(f"{name}: {column.type} cannot be read: {_first_line(e)}")
    problems += _naive_problems(declared, arrow.column_names, columns, lossy=lossy) if not problems else []
    if problems:
        raise InputError(
            "columns are of types that cannot be checked",
            details=problems,
            hint="convert them, or take out those that the contract does not declare",
        )
    return pa.Table.from_arrays(columns, names=arrow.column_names)


def columns_of_fields(columns: Sequence[str], table: Table) -> dict[str, str]:
    """Return the columns that hold the fields of a table, by field: called as they are delivered, else as the
    field is.

    Of rows that were judged, it is the field's own name alone.
    """
    delivered = (table.as_stored() if "_dq_status" in columns else table).delivered_fields
    named = {f.name: column for column, f in delivered.items() if column in columns}
    own = [n for n in table.names if n in columns and n not in delivered]
    return {n: n for n in own} | named


def _declared(columns: Sequence[str], table: Table | None, own_names: bool) -> dict[str, Field]:
    """Return the fields by the names of their columns: the delivered ones, or of judged rows their own."""
    if table is None:
        return {}
    if own_names:
        return {column: table[name] for name, column in columns_of_fields(columns, table).items()}
    return (table.as_stored() if "_dq_status" in columns else table).delivered_fields


def _is_a(data: object, library: str, name: str) -> bool:
    kinds = type(data).__mro__
    return any(k.__module__.partition(".")[0] == library and k.__name__ == name for k in kinds)


def _of_stream(data: Any) -> pa.Table:
    if _is_a(data, "polars", "LazyFrame"):
        data = data.collect()
    if isinstance(data, ArrowStream):
        try:
            return pa.RecordBatchReader.from_stream(data).read_all()
        except (TypeError, ValueError) as e:
            raise InputError(f"the rows cannot be read: {_first_line(e)}", hint=f"give {TAKEN}") from e
    raise InputError(
        f"a {type(data).__module__}.{type(data).__qualname__} cannot be checked", hint=f"give {TAKEN}"
    )


def _of_pandas(data: Any, table: Table | None, own_names: bool) -> pa.Table:
    names = set(_declared([*map(str, data.columns), *map(str, data.index.names)], table, own_names))
    levels = [n for n in data.index.names if n in names and n not in data.columns]
    frame = data.reset_index(level=levels) if levels else data
    columns, problems = [], []
    for i, name in enumerate(frame.columns):
        try:
            # A column of several chunks comes chunked, any other as one array.
            column = pa.Array.from_pandas(frame.iloc[:, i])
            columns.append(column if isinstance(column, pa.ChunkedArray) else pa.chunked_array([column]))
        except (pa.ArrowException, TypeError, ValueError, OverflowError) as e:
            if str(name) in names or table is None:
                problems.append(f"{name}: {_first_line(e)}")
            columns.append(pa.chunked_array([pa.nulls(len(frame))]))
    if problems:
        raise InputError(
            "columns of the pandas frame hold values of several types, or of one that Arrow does not know",
            details=problems,
            hint="give each column one type, such as by astype or pandas.to_numeric",
        )
    return pa.Table.from_arrays(columns, names=[str(name) for name in frame.columns])


def _plain(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return a column in a type that Spark reads, without dictionaries, views and unsigned integers."""
    kind = column.type
    if pa.types.is_run_end_encoded(kind):
        column = pa.chunked_array([pc.run_end_decode(c) for c in column.chunks], type=kind.value_type)
    if pa.types.is_uint64(kind):
        fitting = _fitting(column, pa.int64())
        return column.cast(pa.decimal128(20, 0)) if fitting is None else fitting
    if pa.types.is_timestamp(kind) and kind.unit == "ns":
        column = pc.floor_temporal(column, unit="microsecond")
    return column.cast(_plain_type(column.type))


def _plain_type(kind: pa.DataType) -> pa.DataType:
    """Return the type that Spark reads in place of one, itself where it reads that."""
    if isinstance(kind, pa.BaseExtensionType):
        if kind.extension_name != "arrow.json":
            raise TypeError("Spark has no such type")
        return _plain_type(kind.storage_type)
    for is_of_kind, plain in _PLAIN:
        if is_of_kind(kind):
            return plain(kind)
    return kind


def _is_list(kind: pa.DataType) -> bool:
    return hasattr(kind, "value_type")


_PLAIN: tuple[tuple[Callable[[pa.DataType], bool], Callable[[Any], pa.DataType]], ...] = (
    (pa.types.is_dictionary, lambda kind: _plain_type(kind.value_type)),
    (pa.types.is_large_string, lambda _: pa.string()),
    (pa.types.is_string_view, lambda _: pa.string()),
    (pa.types.is_large_binary, lambda _: pa.binary()),
    (pa.types.is_binary_view, lambda _: pa.binary()),
    (pa.types.is_fixed_size_binary, lambda _: pa.binary()),
    (pa.types.is_uint8, lambda _: pa.int16()),
    (pa.types.is_uint16, lambda _: pa.int32()),
    (pa.types.is_uint32, lambda _: pa.int64()),
    (pa.types.is_uint64, lambda _: pa.decimal128(20, 0)),
    (pa.types.is_float16, lambda _: pa.float32()),
    (pa.types.is_date64, lambda _: pa.date32()),
    (pa.types.is_timestamp, lambda kind: pa.timestamp("us", tz=None if kind.tz is None else "UTC")),
    (pa.types.is_decimal, lambda kind: pa.decimal128(kind.precision, kind.scale)),
    (pa.types.is_map, lambda kind: pa.map_(_plain_type(kind.key_type), _plain_type(kind.item_type))),
    (
        pa.types.is_struct,
        lambda kind: pa.struct([pa.field(f.name, _plain_type(f.type), f.nullable) for f in kind]),
    ),
    (_is_list, lambda kind: pa.list_(_plain_type(kind.value_type))),
)
"""Kinds of types that Spark does not read, or not all of, in the order in which they are looked for."""


def _as_declared(column: pa.ChunkedArray, field: Field, *, lossy: bool) -> pa.ChunkedArray:
    """Return a column in the declared type where every value stays what it is, else as it was."""
    if lossy and (meant := _as_pandas_means(column, field)) is not None:
        return meant
    kind, declared = column.type, field.spark_type
    is_integer = pa.types.is_integer(kind)
    fitting: pa.ChunkedArray | None = None
    if declared in _INTEGERS and is_integer:
        fitting = _fitting(column, _INTEGERS[declared])
    elif declared == "double" and is_integer and _is_exact(column):
        fitting = column.cast(pa.float64())
    elif declared.startswith("decimal") and (is_integer or pa.types.is_decimal(kind)):
        precision, scale = map(int, declared.removeprefix("decimal(").rstrip(")").split(","))
        fitting = _fitting(column, pa.decimal128(precision, scale))
    return column if fitting is None else fitting


def _as_pandas_means(column: pa.ChunkedArray, field: Field) -> pa.ChunkedArray | None:
    """Return a pandas column as the declared type that pandas has no type of its own for; None where it is
    meant as it is.
    """
    kind, declared = column.type, field.spark_type
    if pa.types.is_floating(kind):
        if column.null_count == len(column):
            return pa.chunked_array([pa.nulls(len(column))])
        return _whole(column, _INTEGERS[declared]) if declared in _INTEGERS else None
    is_naive = pa.types.is_timestamp(kind) and kind.tz is None
    if declared == "date" and is_naive and _all(pc.equal(column, pc.floor_temporal(column, unit="day"))):
        return column.cast(pa.date32())
    return None


def _whole(column: pa.ChunkedArray, kind: pa.DataType) -> pa.ChunkedArray | None:
    """Return floating point numbers as integers: of the given type where they fit, else of 64 bits; None
    where one is not whole, or too large to be known exactly.
    """
    whole = pc.and_(pc.equal(column, pc.floor(column)), pc.less_equal(pc.abs(column), EXACT))
    if not _all(whole):
        return None
    integers = column.cast(pa.int64())
    fitting = _fitting(integers, kind)
    return integers if fitting is None else fitting


def _fitting(column: pa.ChunkedArray, kind: pa.DataType) -> pa.ChunkedArray | None:
    try:
        return column.cast(kind)
    except pa.ArrowInvalid:
        return None


def _is_exact(column: pa.ChunkedArray) -> bool:
    ends = pc.min_max(column).as_py()
    return ends["min"] is None or (ends["min"] >= -EXACT and ends["max"] <= EXACT)


def _all(flags: pa.ChunkedArray) -> bool:
    """Return whether a condition holds for every value; nulls do not count."""
    return pc.all(flags).as_py() is not False


def _naive_problems(
    declared: dict[str, Field], names: list[str], columns: list[pa.ChunkedArray], *, lossy: bool
) -> Iterator[str]:
    """Name moments without a time zone, which Spark would take for those of its own zone."""
    hint = '; in pandas: frame[name].dt.tz_localize("UTC")' if lossy else ""
    for name, column in zip(names, columns, strict=True):
        field = declared.get(name)
        is_naive = pa.types.is_timestamp(column.type) and column.type.tz is None
        if is_naive and field is not None and field.spark_type == "timestamp":
            yield (
                f"{name}: moments without a time zone, declared is timestamp; write them with one: without "
                f"it nobody knows which moment is meant{hint}"
            )


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0] or type(error).__name__
