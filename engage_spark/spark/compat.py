"""Wrap the Spark 4 features that the package uses and Spark 3.5 lacks.

Nothing else in the package may use such a function (`tests/unit/spark/test_compat.py` sees to it), so support
for an older Spark is written here and nowhere else. Each docstring says what Spark 3.5 would need. Contracts
are data: what their expressions may use is in `contract/sql_functions`, and some of it is new in Spark 4.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

from pyspark.sql import Column, DataFrame, Observation, SparkSession
from pyspark.sql import functions as F

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql.types import DataType


def to_arrow(frame: DataFrame) -> pa.Table:
    """Collect a frame as an Arrow table.

    Cost: one job; all rows reach the driver, so the caller bounds them.
    Source: `DataFrame.toArrow`, since Spark 4.0. Spark 3.5 would build the table from the Arrow batches
    behind `toPandas`: `_collect_as_arrow` on a classic session, the client's `to_table` on Connect.
    """
    return frame.toArrow()


def from_arrow(spark: SparkSession, table: pa.Table) -> DataFrame:
    """Make a frame of an Arrow table.

    Cost: no job; the rows travel with the plan, so the caller bounds them.
    Source: `createDataFrame` of Arrow tables, since Spark 4.0. Spark 3.5 would go through pandas.
    """
    return spark.createDataFrame(table)


def arrow_udf(function: Callable[..., Any], return_type: str | DataType) -> Callable[..., Column]:
    """Make a column function of a Python function on Arrow arrays.

    Source: `arrow_udf`, since Spark 4.1. Spark 3.5 would use `pandas_udf` and convert each series to and from
    an Arrow array.
    """
    from pyspark.sql.pandas.functions import arrow_udf as spark_arrow_udf

    # Its overloads tell functions apart by their number of arguments, not by their annotations.
    return cast("Callable[..., Column]", cast(Any, spark_arrow_udf)(function, return_type))


def make_valid_utf8(text: Column) -> Column:
    """Replace every byte sequence that is not UTF-8 with U+FFFD.

    Nulls: stay null.
    Source: `make_valid_utf8`, since Spark 4.0. Spark 3.5 would decode the text's bytes as UTF-8, which puts
    the same sign in place of what it cannot read.
    """
    return F.make_valid_utf8(text)


def is_remote() -> bool:
    """Return whether this process works through Spark Connect.

    Source: exported by `pyspark.sql` since Spark 4.0. Spark 3.5 has it in `pyspark.sql.utils`.
    """
    from pyspark.sql import is_remote as spark_is_remote

    return spark_is_remote()


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
    this session's. Not tried on Spark 3.5, whose Connect may lack it.
    """
    if type(spark).__module__.startswith("pyspark.sql.connect"):
        from pyspark.sql.connect.observation import Observation as ConnectObservation

        return cast("Observation", ConnectObservation())
    return Observation()
