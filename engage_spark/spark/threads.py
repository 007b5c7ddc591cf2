"""Let several threads of this process plan and start Spark jobs at the same time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from contextvars import copy_context
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from engage_spark.spark.compat import inherits_properties

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

T = TypeVar("T")


def call_side_by_side(calls: Sequence[Callable[[], T]], *, rows: DataFrame, parallelism: int) -> list[T]:
    """Make every call, `parallelism` at a time, and return what they return in their order.

    `rows` are any of the session whose jobs they start.
    Jobs that they start have this thread's properties, and what they log its subject. After an error no
    further call starts; the first one by the order of the calls is raised once the running ones have ended.
    """
    if parallelism == 1 or len(calls) <= 1:
        return [call() for call in calls]
    inherits = inherits_properties(rows.sparkSession)
    with ThreadPoolExecutor(max_workers=min(parallelism, len(calls))) as pool:
        running = [pool.submit(inherits(partial(copy_context().run, call))) for call in calls]
        _, waiting = wait(running, return_when=FIRST_EXCEPTION)
        for future in waiting:
            future.cancel()
    for future in running:
        if not future.cancelled() and (error := future.exception()) is not None:
            raise error
    return [future.result() for future in running]
