"""Send modules to executors by value, so that Python workers need numpy and pyarrow, but not this package."""

from __future__ import annotations

from types import ModuleType

from pyspark import cloudpickle

from engage_spark.numerics import batch_counts, limbs, sketches, splitmix

_SHARED = (batch_counts, limbs, sketches, splitmix)
"""The numerics that such modules use. Compiled kernels are not among them: they need the package."""


def send_by_value(*modules: ModuleType) -> None:
    """Let functions of `modules`, and of the numerics they share, be pickled with their code, not by name."""
    for module in (*_SHARED, *modules):
        cloudpickle.register_pickle_by_value(module)  # type: ignore[no-untyped-call]
