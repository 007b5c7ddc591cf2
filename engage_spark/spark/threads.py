"""Let several threads of this process plan and start Spark jobs at the same time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from contextlib import contextmanager
from contextvars import copy_context
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from engage_spark.spark.compat import inherits_properties

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

T = TypeVar("T")


@contextmanager
def thread_pool(threads: int, *, name: str) -> Iterator[ThreadPoolExecutor]:
    """Yield a pool of threads, and wait for what runs in it at the end of the block.

    An error that leaves the block, such as that of Ctrl-C, is not held up: what has not started never does,
    and nothing is waited for.
    """
    pool = ThreadPoolExecutor(max_workers=threads, thread_name_prefix=name)
    try:
        yield pool
        pool.shutdown()
    except BaseException:
        pool.shutdown(wait=False, cancel_futures=True)
        raise


def call_side_by_side(calls: Sequence[Callable[[], T]], *, rows: DataFrame, parallelism: int) -> list[T]:
    """Make every call, `parallelism` at a time, and return what they return in their order.

    `rows` are any of the session whose jobs they start.
    Jobs that they start have this thread's properties, and what they log its subject. After an error those
    that still wait are cancelled; a thread that is free in that moment may have begun one more. Once the
    running ones have ended, the first error by the order of the calls is raised.
    """
    if parallelism == 1 or len(calls) <= 1:
        return [call() for call in calls]
    inherits = inherits_properties(rows.sparkSession)
    with thread_pool(min(parallelism, len(calls)), name="call") as pool:
        running = [pool.submit(inherits(partial(copy_context().run, call))) for call in calls]
        _, waiting = wait(running, return_when=FIRST_EXCEPTION)
        for future in waiting:
            future.cancel()
    for future in running:
        if not future.cancelled() and (error := future.exception()) is not None:
            raise error
    return [future.result() for future in running]
