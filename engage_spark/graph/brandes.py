"""Sums of Brandes' dependencies over given sources: exact betweenness over all of them, an unbiased estimate over a sample."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from engage_spark.errors import InputError
from engage_spark.graph import scalar
from engage_spark.graph.csr import F64, I64, Csr

Precision = Literal["float64", "float32"]


@dataclass(frozen=True, eq=False)
class Dependencies:
    """Per vertex: the sum over the sources of delta_s(v), and of its square where it was asked for."""

    total: F64
    squares: F64 | None


def dependencies(
    csr: Csr,
    sources: NDArray[Any],
    *,
    precision: Precision = "float64",
    vertex_weight: NDArray[Any] | None = None,
    source_weight: NDArray[Any] | None = None,
    squares: bool = False,
) -> Dependencies:
    """Sum over `sources` of Brandes' dependency delta_s(v), the sum over all targets t of the share of shortest s-t paths through v.

    v is never s or t. Over all sources this is betweenness over ordered pairs: for an undirected graph twice the usual raw value, which
    counts a pair once. `vertex_weight[t]` is how many customers target t stands for (1), `source_weight[i]` how often source i counts;
    where only the first is given, the second is `vertex_weight[sources]`. With both, delta is weighted by the targets and each source's
    delta and delta**2 by the source.

    The result has the same bits for the same sources in the same order, on any processor and whatever was computed before.
    Unweighted graphs visit every arc at most twice per source, graphs with lengths run Dijkstra's algorithm with exact ties.
    InputError for sources outside the graph, weights of the wrong length, not finite or negative.
    """
    chosen, targets, times = _checked(csr, sources, vertex_weight, source_weight)
    total = np.zeros(csr.n)
    squared = np.zeros(csr.n if squares else 0)
    scalar.add_up(*csr.out, chosen, times, targets, total, squared)
    return Dependencies(total, squared if squares else None)


def _checked(
    csr: Csr, sources: NDArray[Any], vertex_weight: NDArray[Any] | None, source_weight: NDArray[Any] | None
) -> tuple[I64, F64, F64]:
    chosen = np.asarray(sources)
    wrong = []
    if chosen.dtype.kind not in "iu" and len(chosen):
        wrong.append(f"sources are {chosen.dtype}, not integers")
    elif len(chosen) and not (chosen.min() >= 0 and chosen.max() < csr.n):
        bad = chosen[(chosen < 0) | (chosen >= csr.n)]
        wrong.append(f"{len(bad)} sources lie outside 0..{csr.n - 1}, the first {bad[0]}")
    targets = np.ones(csr.n) if vertex_weight is None else np.asarray(vertex_weight, dtype=np.float64)
    times = None if source_weight is None else np.asarray(source_weight, dtype=np.float64)
    for name, values, rows in (("vertex_weight", targets, csr.n), ("source_weight", times, len(chosen))):
        if values is None:
            continue
        if len(values) != rows:
            wrong.append(f"{name} has {len(values)} values for {rows}")
        if not (np.isfinite(values) & (values >= 0)).all():
            wrong.append(f"{name} has values that are negative or not finite")
    if wrong:
        raise InputError("dependencies cannot be computed for these sources", details=wrong, mend="give vertices of the graph and counts")
    chosen = chosen.astype(np.int64)
    if times is None:
        times = targets[chosen] if vertex_weight is not None else np.ones(len(chosen))
    return chosen, targets, times


def worker_bytes(n: int, precision: Precision = "float64", lanes: int | None = None) -> int:
    """Memory of one worker beside the mapped graph, in bytes: what `dependencies` with squares needs on n vertices."""
    return 64 * n
