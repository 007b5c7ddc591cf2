"""What is sent to executors by value runs in a Python that cannot import this package."""

from __future__ import annotations

import pickle
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any

import pyarrow as pa
import pytest

# cloudpickle registers the kernels when these are imported, as their jobs do
import engage_spark.ml.leakage.audit
import engage_spark.ml.selection.gram
import engage_spark.ml.selection.profile
import engage_spark.quality.profiling.profile
import engage_spark.quality.stats.count  # noqa: F401
from engage_spark.ml.leakage import audit_kernel
from engage_spark.ml.selection import gram_kernel
from engage_spark.numerics import column_profile
from engage_spark.quality.profiling import value_scan
from engage_spark.quality.stats import count_kernel

WORKER = """
import pickle, sys
sys.modules["engage_spark"] = None  # every import of it raises
job, batch = pickle.load(sys.stdin.buffer)
pickle.dump(list(job(iter([batch]))), sys.stdout.buffer)
"""

NUMBERS = pa.array([1.5, None, -2.0, 1.5])
TEXTS = pa.array(["a", "b", None, "a"])
TARGET = gram_kernel.NumberColumn(0.0, 0, True)


def count(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    plans = (
        count_kernel.CountPlan(0, "x", "number", "magnitude"),
        count_kernel.CountPlan(1, "t", "text", "category", ("a",)),
    )
    return count_kernel.count(batches, plans, ("rule",))


def scan(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    return column_profile.profile_partition(batches, (value_scan.value_counter, value_scan.TextScan))


def profile(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    makers = (partial(column_profile.NumberCounter, 1), partial(column_profile.TextCounter, 1))
    return column_profile.profile_partition(batches, makers)


def gram(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    columns = (gram_kernel.NumberColumn(0.0, -2, True), gram_kernel.CategoryColumn(("a", "b")))
    return gram_kernel.sum_products(batches, gram_kernel.GramLayout(columns, (TARGET,)))


def audit(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    features = (audit_kernel.NumberBins((-2.0, 1.5), True), gram_kernel.CategoryColumn(("a", "b")))
    return audit_kernel.count_targets(batches, audit_kernel.HistogramLayout(features, (TARGET,), ((0, 1),)))


TARGETS = pa.array([1.0, 0.0, None, 1.0])
JOBS = {
    count: [NUMBERS, TEXTS, pa.array([True, True, False, True]), pa.array([[], ["rule"], ["rule"], []])],
    scan: [pa.array([1, None, -2, 1]), TEXTS],
    profile: [NUMBERS, TEXTS],
    gram: [NUMBERS, TEXTS, TARGETS, pa.array([0, 1, 0, 1])],
    audit: [NUMBERS, TEXTS, TARGETS, pa.array(["train|2024-01-01"] * 4)],
}


@pytest.mark.parametrize("job", JOBS, ids=lambda job: job.__name__)
def test_a_worker_without_the_package_counts_the_same(job: Callable[..., Any]) -> None:
    from pyspark import cloudpickle

    names = ["x", "t", count_kernel.VALID, count_kernel.RULES] if job is count else None
    columns = JOBS[job]
    batch = pa.RecordBatch.from_arrays(columns, names=names or [f"c{i}" for i in range(len(columns))])
    cloudpickle.register_pickle_by_value(sys.modules[__name__])
    try:
        sent = cloudpickle.dumps((job, batch))
    finally:
        cloudpickle.unregister_pickle_by_value(sys.modules[__name__])
    worker = subprocess.run([sys.executable, "-c", WORKER], input=sent, capture_output=True, check=False)
    assert worker.returncode == 0, worker.stderr.decode()
    rows = _rows(pickle.loads(worker.stdout))
    assert rows
    assert rows == _rows(job(iter([batch])))


def _rows(batches: Iterable[pa.RecordBatch]) -> list[str]:
    """Rows in a fixed order: that of a set of texts differs between processes."""
    return sorted(str(row) for batch in batches for row in batch.to_pylist())
