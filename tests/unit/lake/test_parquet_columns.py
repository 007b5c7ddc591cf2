"""Columns of Parquet files by their footers: the types that Spark reads, and those that it cannot."""

from __future__ import annotations

import io
import uuid
from decimal import Decimal
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyspark.sql.types import LongType

from engage_spark.errors import InputError
from engage_spark.lake import parquet_columns
from engage_spark.lake.file_listing import InputFile
from engage_spark.lake.parquet_columns import columns_of, read_columns, table_format_of
from engage_spark.spark.schema import UnreadableType


def type_of(values: pa.Array, **how: object) -> str:
    sink = io.BytesIO()
    pq.write_table(pa.table({"first": [1], "a": values, "last": ["x"]}), sink, **how)
    first, (name, kind), last = columns_of(pq.read_metadata(sink))
    assert (first[0], first[1].simpleString(), name, last[1].simpleString()) == (
        "first",
        "bigint",
        "a",
        "string",
    )
    return f"unreadable {kind.text}" if isinstance(kind, UnreadableType) else kind.simpleString()


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        (pa.null(), "void"),
        (pa.bool_(), "boolean"),
        (pa.int8(), "tinyint"),
        (pa.uint8(), "smallint"),
        (pa.int16(), "smallint"),
        (pa.uint16(), "int"),
        (pa.int32(), "int"),
        (pa.uint32(), "bigint"),
        (pa.int64(), "bigint"),
        (pa.uint64(), "decimal(20,0)"),
        (pa.float32(), "float"),
        (pa.float64(), "double"),
        (pa.date32(), "date"),
        (pa.timestamp("us", "UTC"), "timestamp"),
        (pa.timestamp("ms", "Europe/Berlin"), "timestamp"),
        (pa.timestamp("us"), "timestamp_ntz"),
        (pa.decimal128(10, 2), "decimal(10,2)"),
        (pa.decimal128(38, 0), "decimal(38,0)"),
        (pa.string(), "string"),
        (pa.large_string(), "string"),
        (pa.dictionary(pa.int8(), pa.string()), "string"),
        (pa.binary(), "binary"),
        (pa.binary(4), "binary"),
        (pa.list_(pa.int32()), "array<int>"),
        (pa.map_(pa.string(), pa.float64()), "map<string,double>"),
        (pa.struct([("x", pa.int8()), ("y", pa.list_(pa.string()))]), "struct<x:tinyint,y:array<string>>"),
        (pa.float16(), "unreadable float16"),
        (pa.timestamp("ns", "UTC"), "unreadable timestamp[ns, tz=UTC]"),
        (pa.time32("ms"), "unreadable time32[ms]"),
        (pa.time64("us"), "unreadable time64[us]"),
        (pa.decimal256(60, 2), "unreadable decimal256(60, 2)"),
        (pa.duration("us"), "unreadable duration[us]"),
        (pa.list_(pa.duration("us")), "unreadable list with duration[us]"),
        (pa.struct([("x", pa.time64("us"))]), "unreadable struct with time64[us]"),
        (pa.map_(pa.string(), pa.null()), "unreadable map with nulls without a type"),
    ],
)  # fmt: skip
def test_a_type_is_the_one_that_spark_reads(kind: pa.DataType, expected: str) -> None:
    assert type_of(pa.nulls(1, kind)) == expected


def test_a_uuid_and_int96_are_seen_by_the_parquet_type() -> None:
    ids = pa.array([uuid.uuid4().bytes], pa.uuid())
    assert type_of(ids) == "unreadable arrow.uuid"
    moments = pa.array([0], pa.timestamp("us"))
    assert type_of(moments, use_deprecated_int96_timestamps=True) == "timestamp"


def test_names_with_dots_and_values_beside_are_told_apart() -> None:
    sink = io.BytesIO()
    pq.write_table(
        pa.table(
            {"a.b": [1.5], "a": pa.array([{"b": 1}]), "c": [Decimal("1.50")], "d": np.array([1], "int8")}
        ),
        sink,
    )
    assert [(n, t.simpleString()) for n, t in columns_of(pq.read_metadata(sink))] == [
        ("a.b", "double"),
        ("a", "struct<b:bigint>"),
        ("c", "decimal(3,2)"),
        ("d", "tinyint"),
    ]


def test_a_part_of_a_table_is_seen_by_its_footer() -> None:
    def kind(table: pa.Table) -> str | None:
        sink = io.BytesIO()
        pq.write_table(table, sink)
        return table_format_of(pq.read_metadata(sink))

    plain = pa.table({"a": [1]})
    assert kind(plain) is None
    assert kind(plain.append_column("_hoodie_commit_time", [["1"]])) == "Hudi"
    assert kind(plain.replace_schema_metadata({"iceberg.schema": "{}"})) == "Iceberg"
    assert kind(plain.replace_schema_metadata({"pandas": "{}"})) is None


def test_every_file_that_is_no_plain_one_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = pa.table({"a": [1]})
    tables = {"a": plain, "b": plain.replace_schema_metadata({"iceberg.schema": "{}"})}
    for name, table in tables.items():
        pq.write_table(table, tmp_path / name)
    (tmp_path / "c").write_bytes(b"PAR1 cut")
    monkeypatch.setattr(
        parquet_columns, "read_bytes", lambda _, path, at, n: Path(path).read_bytes()[at : at + n]
    )
    files = [InputFile(str(p), p.stat().st_size, 0, p.name) for p in sorted(tmp_path.iterdir())]
    assert read_columns(None, files[:1]) == {files[0].path: (("a", LongType()),)}  # type: ignore[arg-type]
    with pytest.raises(InputError, match="a file cannot be read") as caught:
        read_columns(None, files)  # type: ignore[arg-type]
    iceberg, cut = caught.value.details
    assert (
        iceberg
        == f"{files[1].path}: it is a part of a table of Iceberg, whose own metadata list the valid files"
    )
    assert cut.startswith(f"{files[2].path}: it is not a whole Parquet file: ")
