"""Sums of Brandes' dependencies over given sources: exact betweenness over all of them, an unbiased estimate
over a sample.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from engage_spark.errors import ConfigurationError, InputError
from engage_spark.graph.kernels import multi_source_bfs, traversal
from engage_spark.graph.kernels.csr import Csr
from engage_spark.numerics.dtypes import F64, I64

Precision = Literal["float64", "float32"]

# A row of either is 128 bytes, two cache lines: per source faster than one line or four on the graphs that
# were measured.
LANES = {"float32": 32, "float64": 16}
# Above so many paths float32 (float64) counts are given up, well before they or the quotients made of them
# leave the normal range.
_MOST = {"float32": 2.0**96, "float64": 2.0**960}
_MASKS = {8: np.uint8, 16: np.uint16, 32: np.uint32, 64: np.uint64}


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
    """Sum over `sources` of Brandes' dependency delta_s(v), the sum over all targets t of the share of
    shortest s-t paths through v.

    v is never s or t. Over all sources this is betweenness over ordered pairs: for an undirected graph twice
    the usual raw value, which counts a pair once. `vertex_weight[t]` is how many customers target t stands
    for (1), `source_weight[i]` how often source i counts; where only the first is given, the second is
    `vertex_weight[sources]`. With both, delta is weighted by the targets and each source's delta and delta**2
    by the source.

    The result has the same bits for the same sources in the same order, on any processor and whatever was
    computed before. Path counts may be of any size: sources with more than float32 (2**96 paths) or float64
    (2**960) hold are done again in the next wider numbers. float32 gives sums within 1e-5 of the largest;
    float64, on graphs of any kind, within 1e-12 or so of each value.

    Cost: unweighted graphs go `LANES[precision]` sources at a time, in two to four passes over the arcs for
    all of them, so give multiples of that, in `batch_order`; `worker_bytes` says what memory. Graphs with
    lengths run Dijkstra's algorithm, one source after the other, in float64. InputError for sources outside
    the graph, weights of the wrong length, not finite or negative.
    """
    chosen, targets, times = _checked(csr, sources, vertex_weight, source_weight)
    total = np.zeros(csr.n)
    squared = np.zeros(csr.n if squares else 0)
    if precision not in LANES:
        raise ConfigurationError(f"precision {precision!r} is not known", hint=f"one of {', '.join(LANES)}")
    if csr.weights is not None:
        traversal.add_up(*csr.out, chosen, times, targets, total, squared)
    else:
        order = batch_order(csr, chosen)
        _in_lanes(csr, chosen[order], times[order], targets, precision, total, squared)
    return Dependencies(total, squared if squares else None)


def batch_order(csr: Csr, sources: NDArray[Any]) -> I64:
    """Positions that put alike sources next to each other: `sources[batch_order(csr, sources)]`, cut into
    batches, may take half the time.

    Lanes cost least where they reach a vertex in the same step. How soon a source reaches the bulk of a graph
    shows in the arcs of its neighbours together, most first; ties stay in the given order. `dependencies`
    orders what it is given in one call the same way.
    """
    return np.argsort(
        -multi_source_bfs.arcs_of_neighbours(csr.indptr, csr.indices, np.asarray(sources, dtype=np.int64)),
        kind="stable",
    )


def _in_lanes(
    csr: Csr, sources: I64, times: F64, targets: F64, precision: Precision, total: F64, squared: F64
) -> None:
    width = LANES[precision]
    space = _Space.of(csr.n, precision)
    weights = targets.astype(space.counts.dtype)
    for first in range(0, len(sources), width):
        batch, counted = sources[first : first + width], times[first : first + width]
        row = np.zeros(width, dtype=space.counts.dtype)
        row[: len(batch)] = counted
        if multi_source_bfs.add_up(
            csr.indptr,
            csr.indices,
            *csr.into[:2],
            batch,
            weights,
            row,
            space.most,
            space.one_lane,
            space.current,
            space.target,
            space.counts,
            total,
            squared,
        ):
            continue
        if precision == "float32":
            _in_lanes(csr, batch, counted, targets, "float64", total, squared)
        else:
            traversal.add_up(*csr.out, batch, counted, targets, total, squared)
    space.give_back()


class _Space:
    """The rows of a batch, kept for the next one of the same size: touching fresh memory costs a third of a
    batch's time.
    """

    _spare: list[_Space] = []  # noqa: RUF012 # of the process; a thread takes one out, and never shares it

    def __init__(self, n: int, precision: Precision) -> None:
        width, dtype = LANES[precision], np.dtype(precision)
        self.key = (n, precision)
        self.most = dtype.type(_MOST[precision])
        self.one_lane = np.array([1 << lane for lane in range(width)], dtype=_MASKS[width])
        self.current, self.target, self.counts = (_on_cache_lines(n * width, dtype) for _ in range(3))

    @classmethod
    def of(cls, n: int, precision: Precision) -> _Space:
        for i, space in enumerate(cls._spare):
            if space.key == (n, precision):
                return cls._spare.pop(i)
        cls._spare.clear()
        return cls(n, precision)

    def give_back(self) -> None:
        """Only after a batch that ran to its end: then `current` and `target` are 0 again."""
        self._spare[:] = [self]


def _on_cache_lines(count: int, dtype: np.dtype[Any]) -> NDArray[Any]:
    """Zeros whose first lies at a multiple of 64 bytes, so that no row straddles one line more than it must."""
    raw = np.zeros(count * dtype.itemsize + 64, dtype=np.uint8)
    start = -raw.ctypes.data % 64
    return raw[start : start + count * dtype.itemsize].view(dtype)


def worker_bytes(n: int, precision: Precision = "float64", *, weighted: bool = False) -> int:
    """The most memory that `dependencies` takes on n vertices beside the mapped graph and Python itself, in
    bytes.

    Unweighted: three rows of 128 bytes per vertex (384), up to one note of 8 (float64: 6) bytes per vertex
    and lane on graphs so stretched that every lane meets it in another step, twice that while the notes grow,
    and 50 for sums and marks. With lengths, 100.
    """
    if weighted:
        return 100 * n
    lanes_ = LANES[precision]
    note = 4 + lanes_ // 8
    return n * (3 * 128 + 2 * lanes_ * note + 50) + (1 << 16)


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
        raise InputError(
            "dependencies cannot be computed for these sources",
            details=wrong,
            hint="give vertices of the graph and counts",
        )
    chosen = chosen.astype(np.int64)
    if times is None:
        times = targets[chosen] if vertex_weight is not None else np.ones(len(chosen))
    return chosen, targets, times
