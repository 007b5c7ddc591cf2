"""Sum Brandes' dependencies over given sources: exact betweenness over all of them, an unbiased estimate over
a sample.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from engage_spark.errors import ConfigurationError, InputError
from engage_spark.graph.kernels import multi_source_bfs, traversal
from engage_spark.graph.kernels.csr import Csr
from engage_spark.numerics import fixed_point
from engage_spark.numerics.dtypes import F64, I64

Precision = Literal["float64", "float32"]

# A row of either is 128 bytes, two cache lines: per source faster than one line or four on the graphs that
# were measured.
BATCH_WIDTH = {"float32": 32, "float64": 16}
# With more paths than this, float32 (float64) counts are given up, well before they or the quotients made of
# them leave the normal range.
_MAX_PATHS = {"float32": 2.0**96, "float64": 2.0**960}
_MASKS = {8: np.uint8, 16: np.uint16, 32: np.uint32, 64: np.uint64}


@dataclass(frozen=True, eq=False)
class Dependencies:
    """Per vertex: the sum over the sources of delta_s(v), and of its square where requested."""

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
    """Sum Brandes' dependency delta_s(v) over `sources` s.

    delta_s(v) is the sum over all targets t of the share of shortest s-t paths through v; v is never s or t.
    Over all sources this is betweenness over ordered pairs: for an undirected graph twice the usual raw
    value, which counts a pair once. `vertex_weight[t]` is how many vertices target t stands for (1),
    `source_weight[i]` how often source i counts; where only the first is given, the second is
    `vertex_weight[sources]`. With both, delta is weighted by the targets and each source's delta and delta**2
    by the source.

    The result has the same bits for the same sources in the same order, on any processor and whatever was
    computed before. Path counts may be of any size: sources with more than float32 (2**96 paths) or float64
    (2**960) hold are computed again in the next wider numbers. float32 gives sums within 1e-5 of the largest;
    float64, on graphs of any kind, within 1e-12 or so of each value.

    Cost: unweighted graphs take `BATCH_WIDTH[precision]` sources at a time, in two to four passes over the
    arcs for all of them, so give multiples of that, in `batch_order`; for memory see `worker_bytes`. Graphs
    with lengths run Dijkstra's algorithm, one source after the other, in float64.
    Errors: InputError for sources outside the graph, and for weights of the wrong length, not finite or
    negative.
    """
    source_ids, targets, counts = _check_sources(csr, sources, vertex_weight, source_weight)
    total = np.zeros(csr.n)
    squared = np.zeros(csr.n if squares else 0)
    if precision not in BATCH_WIDTH:
        raise ConfigurationError(
            f"precision {precision!r} is not known", hint=f"one of {', '.join(BATCH_WIDTH)}"
        )
    if csr.weights is not None:
        traversal.add_up(*csr.out, source_ids, counts, targets, total, squared)
    else:
        order = batch_order(csr, source_ids)
        _add_batches(csr, source_ids[order], counts[order], targets, precision, total, squared)
    return Dependencies(total, squared if squares else None)


def exponent_of_sums(n: int) -> int:
    """Return the fixed-point exponent of sums of dependencies, which are at most n^2."""
    return fixed_point.exponent(float(n) ** 2)


def exponent_of_squares(n: int) -> int:
    """Return the fixed-point exponent of sums of squared dependencies, which are at most n^3."""
    return fixed_point.exponent(float(n) ** 3)


def batch_order(csr: Csr, sources: NDArray[Any]) -> I64:
    """Return the positions that put similar sources next to each other.

    `sources[batch_order(csr, sources)]`, cut into batches, may take half the time: a batch costs least where
    its searches reach a vertex in the same step. How soon a source reaches the bulk of a graph shows in the
    arcs of its neighbours together, most first; ties stay in the given order. `dependencies` orders the
    sources of one call the same way.
    """
    return np.argsort(
        -multi_source_bfs.count_neighbour_arcs(csr.indptr, csr.indices, np.asarray(sources, dtype=np.int64)),
        kind="stable",
    )


def _add_batches(
    csr: Csr, sources: I64, source_weight: F64, targets: F64, precision: Precision, total: F64, squared: F64
) -> None:
    width = BATCH_WIDTH[precision]
    buffers = _BatchBuffers.borrow(csr.n, precision)
    weights = targets.astype(buffers.counts.dtype)
    for first in range(0, len(sources), width):
        batch, batch_weight = sources[first : first + width], source_weight[first : first + width]
        row = np.zeros(width, dtype=buffers.counts.dtype)
        row[: len(batch)] = batch_weight
        if multi_source_bfs.add_up(
            csr.indptr,
            csr.indices,
            *csr.into[:2],
            batch,
            weights,
            row,
            buffers.max_paths,
            buffers.one_lane,
            buffers.current,
            buffers.target,
            buffers.counts,
            total,
            squared,
        ):
            continue
        if precision == "float32":
            _add_batches(csr, batch, batch_weight, targets, "float64", total, squared)
        else:
            traversal.add_up(*csr.out, batch, batch_weight, targets, total, squared)
    buffers.give_back()


class _BatchBuffers:
    """The rows of a batch, reused for the next one of the same size: touching fresh memory costs a third of a
    batch's time.
    """

    _spare: list[_BatchBuffers] = []  # noqa: RUF012 # of the process; a thread takes one out, and never shares it

    def __init__(self, n: int, precision: Precision) -> None:
        width, dtype = BATCH_WIDTH[precision], np.dtype(precision)
        self.key = (n, precision)
        self.max_paths = dtype.type(_MAX_PATHS[precision])
        self.one_lane = np.array([1 << lane for lane in range(width)], dtype=_MASKS[width])
        self.current, self.target, self.counts = (_on_cache_lines(n * width, dtype) for _ in range(3))

    @classmethod
    def borrow(cls, n: int, precision: Precision) -> _BatchBuffers:
        for i, buffers in enumerate(cls._spare):
            if buffers.key == (n, precision):
                return cls._spare.pop(i)
        cls._spare.clear()
        return cls(n, precision)

    def give_back(self) -> None:
        """Only after a batch that ran to its end: then `current` and `target` are 0 again."""
        self._spare[:] = [self]


def _on_cache_lines(count: int, dtype: np.dtype[Any]) -> NDArray[Any]:
    """Zeros that start at a multiple of 64 bytes, so that no row straddles one line more than it must."""
    raw = np.zeros(count * dtype.itemsize + 64, dtype=np.uint8)
    start = -raw.ctypes.data % 64
    return raw[start : start + count * dtype.itemsize].view(dtype)


def worker_bytes(n: int, precision: Precision = "float64", *, weighted: bool = False) -> int:
    """Return the most bytes that `dependencies` takes on n vertices beside the mapped graph and Python.

    Unweighted: three rows of 128 bytes per vertex (384), up to one note of 8 (float64: 6) bytes per vertex
    and source of a batch on graphs so stretched that every search meets it in another step, twice that while
    the notes grow, and 50 for sums and marks. With lengths, 100.
    """
    if weighted:
        return 100 * n
    width = BATCH_WIDTH[precision]
    note = 4 + width // 8
    return n * (3 * 128 + 2 * width * note + 50) + (1 << 16)


def _check_sources(
    csr: Csr, sources: NDArray[Any], vertex_weight: NDArray[Any] | None, source_weight: NDArray[Any] | None
) -> tuple[I64, F64, F64]:
    """Return the sources, the weights of all targets, and the weights of the sources."""
    ids = np.asarray(sources)
    problems = []
    if ids.dtype.kind not in "iu" and len(ids):
        problems.append(f"sources are {ids.dtype}, not integers")
    elif len(ids) and not (ids.min() >= 0 and ids.max() < csr.n):
        bad = ids[(ids < 0) | (ids >= csr.n)]
        problems.append(f"{len(bad)} sources are outside 0..{csr.n - 1}, the first {bad[0]}")
    targets = np.ones(csr.n) if vertex_weight is None else np.asarray(vertex_weight, dtype=np.float64)
    weights = None if source_weight is None else np.asarray(source_weight, dtype=np.float64)
    for name, values, rows in (("vertex_weight", targets, csr.n), ("source_weight", weights, len(ids))):
        if values is None:
            continue
        if len(values) != rows:
            problems.append(f"{name} has {len(values)} values for {rows}")
        if not (np.isfinite(values) & (values >= 0)).all():
            problems.append(f"{name} has values that are negative or not finite")
    if problems:
        raise InputError(
            "dependencies cannot be computed for these sources",
            details=problems,
            hint="give vertices of the graph and counts",
        )
    ids = ids.astype(np.int64)
    if weights is None:
        weights = targets[ids] if vertex_weight is not None else np.ones(len(ids))
    return ids, targets, weights
