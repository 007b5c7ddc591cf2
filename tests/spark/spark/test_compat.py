"""What stands in for functions that an older Spark lacks gives the same values; this runs on every line of
Spark (tests/support/spark_lines.py).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest
from pyspark import SparkFiles
from pyspark.sql import functions as F

from engage_spark.spark import compat

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

TABLE = pa.table(
    {
        "n": pa.array([1, None, -(2**62)], pa.int64()),
        "x": pa.array([0.1, float("nan"), None], pa.float64()),
        "text": ["a", None, "ß"],
        "yes": [True, None, False],
        "day": [date(2025, 10, 21), None, date(1, 1, 1)],
        "at": pa.array([datetime(2025, 10, 21, 1, 2, 3, 4, UTC), None, None], pa.timestamp("us", "UTC")),
        "list": pa.array(
            [[{"k": 1, "v": 0.5}], [], None], pa.list_(pa.struct({"k": pa.int32(), "v": pa.float64()}))
        ),
    }
)


def test_arrow_tables_go_to_spark_and_come_back(spark: SparkSession) -> None:
    frame = compat.from_arrow(spark, TABLE).coalesce(1)
    assert frame.schema.simpleString() == (
        "struct<n:bigint,x:double,text:string,yes:boolean,day:date,at:timestamp,list:array<struct<k:int,v:double>>>"
    )
    back = compat.to_arrow(frame)
    assert [str(field.type) for field in back.schema][:6] == [str(field.type) for field in TABLE.schema][:6]
    assert re.sub("nan", "NaN", str(back.to_pylist())) == re.sub("nan", "NaN", str(TABLE.to_pylist()))
    assert compat.to_arrow(frame.where("n = 7")).schema == back.schema


@pytest.mark.parametrize(
    ("octets", "text"),
    [
        (b"plain \xc3\x9f", "plain ß"),
        (b"\xff", "�"),
        (b"a\xc3", "a�"),
        (b"\xe2\x82z", "�z"),
        (b"\xf0\x9f\x98\x80\xf0\x9f", "😀�"),
        (b"\xc0\x80\xed\xa0\x80", None),
        (None, None),
    ],
)
def test_what_is_no_utf8_is_replaced(spark: SparkSession, octets: bytes | None, text: str | None) -> None:
    rows = spark.createDataFrame([(octets,)], "octets binary")
    (made,) = rows.select(compat.make_valid_utf8(F.col("octets").cast("string"))).first()  # type: ignore[misc]
    if octets is not None and text is None:
        assert set(made) == {"�"}, "how many signs stand for what could be no character is Spark's matter"
    else:
        assert made == text


def _sums(batches: Iterator[tuple[pa.Array, pa.Array]]) -> Iterator[pa.Array]:
    for lists, weights in batches:
        values = [[w * x for x in row] for row, w in zip(lists.to_pylist(), weights.to_pylist(), strict=True)]
        parts = [[{"feature": i, "part": v} for i, v in enumerate(row)] for row in values]
        kind = pa.list_(pa.struct({"feature": pa.int32(), "part": pa.float64()}))
        yield pa.StructArray.from_arrays(
            [pa.array(parts, kind), pa.array([sum(row) for row in values])], names=["parts", "total"]
        )


_sums.__annotations__ = {"batches": Iterator[tuple[pa.Array, pa.Array]], "return": Iterator[pa.Array]}
KIND = "struct<parts:array<struct<feature:int,part:double>>,total:double>"


@pytest.mark.parametrize("make", [compat.arrow_udf, compat._udf_through_pandas])
def test_functions_on_arrow_arrays_give_the_same_through_pandas(spark: SparkSession, make: Any) -> None:
    rows = spark.range(50).select(
        F.array(F.col("id") / 7, F.lit(-0.0), F.col("id") * 3.0).alias("x"),
        F.col("id").cast("double").alias("w"),
    )
    made = rows.repartition(3).select(make(_sums, KIND)("x", "w").alias("made")).select("made.*")
    totals = sorted((row["total"], [tuple(p) for p in row["parts"]]) for row in made.collect())
    values = [[k / 7 * k, -0.0 * k, k * 3.0 * k] for k in map(float, range(50))]
    assert totals == sorted((sum(v), list(enumerate(v))) for v in values)


def test_a_file_reaches_the_workers_by_its_name(spark: SparkSession, tmp_path: Path) -> None:
    file = tmp_path / f"sent-{tmp_path.name}.txt"
    file.write_text("here")
    compat.send_file(spark, str(file))
    name = file.name

    def read(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for _ in batches:
            with open(SparkFiles.get(name)) as sent:  # noqa: PTH123 (a worker's)
                yield pa.RecordBatch.from_pylist([{"text": sent.read()}])

    assert {row["text"] for row in spark.range(2).mapInArrow(read, "text string").collect()} == {"here"}
