"""Wrap the Spark 4 features that the package uses and an older Spark lacks.

Nothing else in the package may use such a function (`tests/unit/spark/test_compat.py` sees to it), so support
for an older Spark is written here and nowhere else. What is missing is looked for by its name, not by a
version: runtimes of vendors bring some of it earlier. Which Spark goes with which Delta is in `versions`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from inspect import signature
from typing import TYPE_CHECKING, Any, TypeVar, cast

import numpy as np
from pyspark import SparkContext
from pyspark.sql import Column, DataFrame, Observation, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import StructField, StructType

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql.types import DataType

T = TypeVar("T")


def to_arrow(frame: DataFrame) -> pa.Table:
    """Collect a frame as an Arrow table.

    Cost: one job; all rows reach the driver, so the caller bounds them.
    Source: `DataFrame.toArrow`, since Spark 4.0. On Spark 3.5 the batches behind `toPandas` make the table.
    """
    if hasattr(frame, "toArrow"):
        return frame.toArrow()
    import pyarrow as pa
    from pyspark.sql.pandas.types import to_arrow_schema

    batches = cast(Any, frame)._collect_as_arrow()
    if not batches:  # Spark 3.5 sends no schema without rows
        return _in_utc(to_arrow_schema(frame.schema)).empty_table()
    table = pa.Table.from_batches(batches)
    return table.cast(_in_utc(table.schema))


def _in_utc(schema: Any) -> Any:
    """Return an Arrow schema with the time zone that `toArrow` gives to timestamps: UTC."""
    import pyarrow as pa

    utc = pa.timestamp("us", tz="UTC")
    for i, field in enumerate(schema):
        if pa.types.is_timestamp(field.type) and field.type.tz is not None:
            schema = schema.set(i, field.with_type(utc))
    return schema


def from_arrow(spark: SparkSession, table: pa.Table) -> DataFrame:
    """Make a frame of an Arrow table.

    Cost: no job; the rows travel with the plan, so the caller bounds them.
    Source: `createDataFrame` of Arrow tables, since Spark 4.0. On Spark 3.5 the rows travel as Python's
    objects: pandas has no integers and booleans with nulls.
    """
    from pyspark.sql.pandas import types

    if hasattr(types, "from_arrow_schema") and hasattr(DataFrame, "toArrow"):
        return spark.createDataFrame(table)
    schema = StructType(
        [StructField(f.name, types.from_arrow_type(f.type), f.nullable) for f in table.schema]
    )
    names = table.schema.names
    return from_rows(spark, ([row[n] for n in names] for row in table.to_pylist()), schema)


def from_rows(spark: SparkSession, rows: Iterable[Sequence[Any]], schema: StructType | str) -> DataFrame:
    """Make a frame of Python's rows, whose values may be of subclasses, such as enums, or NumPy's.

    Cost: no job; the rows travel with the plan, so the caller bounds them.
    Source: Spark 3.5 reads exact types alone, and newer ones take what is one of them.
    """
    return spark.createDataFrame([_plain(tuple(row)) for row in rows], schema)


def _plain(value: Any) -> Any:
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, Mapping):
        return {_plain(k): _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return tuple(map(_plain, value)) if isinstance(value, tuple) else [*map(_plain, value)]
    if isinstance(value, int) and not isinstance(value, bool):
        return int(value)
    return value


def arrow_udf(function: Callable[..., Any], return_type: str | DataType) -> Callable[..., Column]:
    """Make a column function of a Python function on iterators of tuples of Arrow arrays.

    What it yields is a struct array without nulls and NaN outside its lists.
    Source: `arrow_udf`, since Spark 4.1. Before it a `pandas_udf` converts each series to and from an Arrow
    array, which costs time, and gives the same values.
    """
    try:
        from pyspark.sql.pandas.functions import arrow_udf as spark_arrow_udf
    except ImportError:
        return _udf_through_pandas(function, return_type)
    # Its overloads tell functions apart by their number of arguments, not by their annotations.
    return cast("Callable[..., Column]", cast(Any, spark_arrow_udf)(function, return_type))


def _udf_through_pandas(function: Callable[..., Any], return_type: str | DataType) -> Callable[..., Column]:
    import pandas as pd
    from pyspark.sql.pandas.functions import pandas_udf

    def converted(batches: Iterator[tuple[pd.Series, ...]]) -> Iterator[pd.DataFrame]:
        import pyarrow as pa

        arrays = (tuple(pa.array(s, from_pandas=False) for s in batch) for batch in batches)
        for result in function(arrays):
            yield pa.RecordBatch.from_struct_array(result).to_pandas()

    # Annotations are text in this module, and Spark reads the kind of UDF from real ones.
    converted.__annotations__ = {
        "batches": Iterator[tuple[pd.Series, ...]],
        "return": Iterator[pd.DataFrame],
    }
    return cast("Callable[..., Column]", cast(Any, pandas_udf)(converted, return_type))


def send_file(spark: SparkSession, path: str) -> None:
    """Send a local file to all workers, where `SparkFiles.get` finds it by its name.

    A name can be given once per session. A classic driver serves the file from its path.
    Source: artifacts of a classic session, since Spark 4.0. On Spark 3.5 its context sends the file.
    """
    if _is_connect(spark) or hasattr(DataFrame, "toArrow"):
        spark.addArtifact(path, file=True)
    else:
        SparkContext.getOrCreate().addFile(path)


def make_valid_utf8(text: Column) -> Column:
    """Replace every byte sequence that is not UTF-8 with U+FFFD.

    Nulls: stay null.
    Source: `make_valid_utf8`, since Spark 4.0. Spark 3.5 decodes the text's bytes as UTF-8, which puts the
    same sign in place of what it cannot read.
    """
    if hasattr(F, "make_valid_utf8"):
        return F.make_valid_utf8(text)
    return F.decode(text.cast("binary"), "UTF-8")


def is_remote() -> bool:
    """Return whether this process works through Spark Connect.

    Source: `pyspark.sql.utils`, where Spark 3.5 has it, too.
    """
    from pyspark.sql.utils import is_remote as spark_is_remote

    return spark_is_remote()


def _is_connect(spark: SparkSession) -> bool:
    return type(spark).__module__.startswith("pyspark.sql.connect")


def inherits_properties(spark: SparkSession) -> Callable[[Callable[..., T]], Callable[..., T]]:
    """Return a decorator of what another thread runs: its jobs have this thread's properties and tags.

    Source: `inheritable_thread_target` takes a session since Spark 4.0, to hand on its tags. That of Spark
    3.5 takes the function; a classic session has no tags there.
    """
    from pyspark import inheritable_thread_target

    taken = signature(inheritable_thread_target).parameters["f"].annotation
    if "SparkSession" in str(taken):
        return cast("Callable[[Callable[..., T]], Callable[..., T]]", inheritable_thread_target(spark))
    return inheritable_thread_target


def silence_query_loggers() -> None:
    """Keep PySpark from printing an error as JSON beside the message that this package makes of it.

    Spark 3.5 prints none.
    """
    try:
        from pyspark.logger import PySparkLogger
    except ImportError:
        return
    for name in ("SQLQueryContextLogger", "DataFrameQueryContextLogger"):
        PySparkLogger.getLogger(name).setLevel(logging.CRITICAL + 1)


def new_observation(spark: SparkSession) -> Observation:
    """Return an observation for `DataFrame.observe` on this session, classic or Connect.

    Source: since Spark 4.0 `pyspark.sql.Observation` is the one of the process's mode, which need not be
    this session's. Connect of Spark 3.5 has none, and `session` refuses it.
    """
    if _is_connect(spark):
        from pyspark.sql.connect.observation import Observation as ConnectObservation

        return cast("Observation", ConnectObservation())
    return Observation()
