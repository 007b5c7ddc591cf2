"""Read the columns of Parquet files from their footers, as the Spark types that Spark would read them as.

Spark's own inference knows no column that it cannot read (it refuses the file for it), merges types that
differ by file or refuses all of them, and takes a duration for a number.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from pyspark.sql import SparkSession
from pyspark.sql import types as T

from engage_spark.errors import InputError
from engage_spark.lake.file_listing import InputFile
from engage_spark.masking import cut
from engage_spark.spark.files import read_bytes
from engage_spark.spark.schema import ColumnType, UnreadableType

Columns = tuple[tuple[str, ColumnType], ...]
"""The columns of a file in order, with their types."""
MAX_THREADS = 16
"""Footers that are read at a time: nearly all of it is waiting for the store."""
_SCALARS: tuple[tuple[Callable[[Any], bool], Callable[[], T.DataType]], ...] = (
    (pa.types.is_null, T.NullType),
    (pa.types.is_boolean, T.BooleanType),
    (pa.types.is_int8, T.ByteType),
    (pa.types.is_int16, T.ShortType),
    (pa.types.is_uint8, T.ShortType),
    (pa.types.is_int32, T.IntegerType),
    (pa.types.is_uint16, T.IntegerType),
    (pa.types.is_int64, T.LongType),
    (pa.types.is_uint32, T.LongType),
    (pa.types.is_uint64, lambda: T.DecimalType(20, 0)),
    (pa.types.is_float32, T.FloatType),
    (pa.types.is_float64, T.DoubleType),
    (pa.types.is_date, T.DateType),
    (pa.types.is_string, T.StringType),
    (pa.types.is_large_string, T.StringType),
)
_UNREADABLE_LOGICAL = frozenset({"UUID", "INTERVAL", "FLOAT16", "VARIANT", "GEOMETRY", "GEOGRAPHY"})


class FileRange(io.RawIOBase):
    """A file of which only the ranges that are asked for are read, through Spark's own file system."""

    def __init__(self, spark: SparkSession, file: InputFile) -> None:
        self._spark, self._file, self._at = spark, file, 0

    def readable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return True."""
        return True

    def tell(self) -> int:
        """Return the position of the next byte."""
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move to a position and return it."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._file.size}[whence]
        self._at = base + offset
        return self._at

    def read(self, size: int = -1) -> bytes:
        """Return the next `size` bytes, or all that are left."""
        rest = max(0, self._file.size - self._at)
        length = rest if size < 0 else min(size, rest)
        content = (read_bytes(self._spark, self._file.path, self._at, length) or b"") if length else b""
        self._at += len(content)
        return content

    def readinto(self, buffer: Any) -> int:
        """Fill a buffer, and return how many bytes were read."""
        content = self.read(len(buffer))
        buffer[: len(content)] = content
        return len(content)


def read_columns(spark: SparkSession, files: Sequence[InputFile]) -> Mapping[str, Columns] | None:
    """Return the columns of each file by its path, from the footers; None where only Spark's server reads.

    Cost: no job; one read of 64 kB for each file, MAX_THREADS at a time.
    Errors: InputError that names every file whose footer cannot be read, or that is a part of a table of Hudi
    or Iceberg: which of its files and rows are live is said elsewhere.
    """
    if read_bytes(spark, files[0].path, 0, min(4, files[0].size)) is None:
        return None

    def columns(file: InputFile) -> Columns | str:
        try:
            footer = pq.read_metadata(pa.PythonFile(FileRange(spark, file), mode="r"))
            kind = table_format_of(footer)
            part = f"it is a part of a table of {kind}, whose own metadata list the valid files"
            return columns_of(footer) if kind is None else f"{file.path}: {part}"
        except (pa.ArrowException, OSError, ValueError) as e:
            return f"{file.path}: it is not a whole Parquet file: {cut(str(e).splitlines()[0], 200)}"

    with ThreadPoolExecutor(min(MAX_THREADS, len(files))) as pool:
        by_path = dict(zip((f.path for f in files), pool.map(columns, files), strict=True))
    if problems := [c for c in by_path.values() if isinstance(c, str)]:
        raise InputError(
            "a file cannot be read",
            details=problems[:20],
            hint="deliver the named file again, and rows of a table as plain files; no row was skipped",
        )
    return {path: c for path, c in by_path.items() if not isinstance(c, str)}


def table_format_of(footer: pq.FileMetaData) -> str | None:
    """Return the table format of which a file is a part, by its footer; None for a plain file."""
    if "_hoodie_commit_time" in footer.schema.names:
        return "Hudi"
    return "Iceberg" if b"iceberg.schema" in (footer.metadata or {}) else None


def columns_of(footer: pq.FileMetaData) -> Columns:
    """Return the columns of a file by its footer, with the types that Spark reads them as."""
    schema = footer.schema.to_arrow_schema()
    leaves = iter([footer.schema.column(i) for i in range(len(footer.schema))])
    return tuple((field.name, _spark_type(field.type, leaves)) for field in schema)


def _spark_type(kind: pa.DataType, leaves: Iterator[Any]) -> ColumnType:
    """Return the Spark type of an Arrow type; takes the Parquet columns that it consists of off `leaves`."""
    if isinstance(kind, pa.BaseExtensionType):
        text = str(kind.extension_name)
        inner = _spark_type(kind.storage_type, leaves)
        return T.StringType() if text == "arrow.json" else UnreadableType(text) if "uuid" in text else inner
    if pa.types.is_dictionary(kind):
        return _spark_type(kind.value_type, leaves)
    if pa.types.is_map(kind):
        return _nested("map", [_spark_type(k, leaves) for k in (kind.key_type, kind.item_type)])
    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        return _nested("list", [_spark_type(kind.value_type, leaves)])
    if pa.types.is_struct(kind):
        return _nested("struct", [_spark_type(f.type, leaves) for f in kind], [f.name for f in kind])
    return _scalar(kind, next(leaves))


def _nested(kind: str, parts: Sequence[ColumnType], names: Sequence[str] = ()) -> ColumnType:
    """Return the type of a list, map or struct of such parts; it is unreadable where one of them is."""
    readable = [p for p in parts if not isinstance(p, UnreadableType | T.NullType)]
    if len(readable) < len(parts):
        unreadable = next((p.text for p in parts if isinstance(p, UnreadableType)), "nulls without a type")
        return UnreadableType(f"{kind} with {unreadable}")
    if kind == "map":
        key, value = readable
        return T.MapType(key, value)
    if kind == "list":
        return T.ArrayType(readable[0])
    return T.StructType([T.StructField(name, p) for name, p in zip(names, readable, strict=True)])


def _scalar(kind: pa.DataType, leaf: Any) -> ColumnType:
    logical = str(leaf.logical_type.type)
    if logical in _UNREADABLE_LOGICAL or leaf.converted_type == "INTERVAL":
        return UnreadableType(logical.lower() if logical != "NONE" else "interval")
    if pa.types.is_timestamp(kind):
        return _timestamp(kind, int96=leaf.physical_type == "INT96")
    if pa.types.is_decimal(kind) and kind.precision <= 38:
        return T.DecimalType(kind.precision, kind.scale)
    if pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_fixed_size_binary(kind):
        return T.StringType() if logical in ("ENUM", "STRING", "JSON") else T.BinaryType()
    readable = next((of() for test, of in _SCALARS if test(kind)), None)
    return readable if readable is not None else UnreadableType(str(kind))


def _timestamp(kind: pa.DataType, *, int96: bool) -> ColumnType:
    if int96:
        return T.TimestampType()
    if kind.unit == "ns":
        return UnreadableType(str(kind))
    return T.TimestampType() if kind.tz else T.TimestampNTZType()
