"""Build a graph as three arrays (compressed sparse rows), save it as `.npy` files, and map it into memory.

Eight bytes per vertex for the row starts and four per arc: an undirected edge is two arcs, eight bytes; a
directed one is held in both directions, also eight. Lengths, where given, take eight more per arc.
"""

from __future__ import annotations

import functools
import itertools
import json
import shutil
import uuid
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from engage_spark.errors import InputError
from engage_spark.numerics.dtypes import I32, I64
from engage_spark.numerics.jit import kernel

MAX_VERTICES = 2**31 - 1
MAX_THREADS = 8
"""More would spend their time reading arcs of other rows."""
_ARRAYS = ("indptr", "indices", "weights", "back_indptr", "back_indices", "back_weights")


@dataclass(frozen=True, eq=False)
class Csr:
    """Vertices 0..n-1; the arcs out of v are `indices[indptr[v]:indptr[v + 1]]`, ascending, none to v itself,
    none twice.

    An undirected graph holds every edge in both directions and has no `back_` arrays. In a directed one those
    are the arcs into a vertex. `weights` are lengths, positive integers, beside `indices`; None where every
    arc has length 1.
    """

    indptr: I64
    indices: I32
    weights: I64 | None = None
    back_indptr: I64 | None = None
    back_indices: I32 | None = None
    back_weights: I64 | None = None

    def __post_init__(self) -> None:
        """Hold read-only views: a graph never changes, and mapped files and fresh arrays are then one type to
        the compiled kernels.
        """
        for name in _ARRAYS:
            array = getattr(self, name)
            if array is not None:
                object.__setattr__(self, name, _read_only(array))

    @property
    def n(self) -> int:
        """Vertices."""
        return len(self.indptr) - 1

    @property
    def arcs(self) -> int:
        """Arcs in `indices`: twice the edges of an undirected graph, once the arcs of a directed one."""
        return len(self.indices)

    @property
    def directed(self) -> bool:
        """True when the arcs into a vertex are held apart from those out of it."""
        return self.back_indptr is not None

    @property
    def bytes(self) -> int:
        """Size of all arrays together, in memory as on disk (there 128 bytes more for each array)."""
        return sum(a.nbytes for a in (getattr(self, name) for name in _ARRAYS) if a is not None)

    @property
    def out(self) -> tuple[I64, I32, I64]:
        """Row starts, neighbours and lengths of the arcs out of each vertex; an empty array of lengths stands
        for 1 throughout.
        """
        return self.indptr, self.indices, _no_lengths() if self.weights is None else self.weights

    @property
    def into(self) -> tuple[I64, I32, I64]:
        """The same for the arcs into each vertex; those out of it if the graph is undirected."""
        if self.back_indptr is None or self.back_indices is None:
            return self.out
        return (
            self.back_indptr,
            self.back_indices,
            _no_lengths() if self.back_weights is None else self.back_weights,
        )

    @property
    def degrees(self) -> I64:
        """Arcs out of each vertex."""
        return np.diff(self.indptr)


class Piece(NamedTuple):
    """Some edges: their ends, and their lengths (an empty array: 1 throughout)."""

    u: I32
    v: I32
    length: I64


@functools.cache
def _no_lengths() -> I64:
    empty = np.zeros(0, dtype=np.int64)
    empty.flags.writeable = False
    return empty


def build_csr(
    src: NDArray[Any],
    dst: NDArray[Any],
    n: int,
    *,
    weight: NDArray[Any] | None = None,
    directed: bool = False,
) -> Csr:
    """Build the graph of the given edges over vertices 0..n-1.

    Loops are dropped; of parallel edges the shortest stays.
    Cost: see `build_from_pieces`.
    Errors: InputError for ids outside 0..n-1, columns of unlike length, lengths that are not positive
    integers.
    """
    piece = _check_edges(src, dst, n, weight)
    return build_from_pieces([piece], n, weighted=weight is not None, directed=directed)[0]


def build_from_pieces(
    pieces: Sequence[Piece],
    n: int,
    *,
    weighted: bool,
    directed: bool,
    by_degree: bool = False,
    threads: int = 1,
) -> tuple[Csr, I32]:
    """Build the graph of all pieces, and the new number of each vertex.

    `by_degree` numbers the vertices by (degree descending, given number); without it they keep theirs. The
    arcs of a row are collected in any order, parallel ones merged, and then every arc is appended to the row
    of its other end, in the order of the new numbers: rows come out ascending without a sort. Threads take
    ranges of rows, so their number changes nothing in the result.

    Cost: two passes over the pieces and one over the arcs, by every thread; writing is divided among them
    (directed: another pass). Beside the result, 4 bytes per arc (12 with lengths), and 8 per vertex and
    thread.
    Errors: none; the numbers are not checked, see `build_csr`.
    """
    pieces = [Piece(*(_read_only(array) for array in piece)) for piece in pieces]
    rows = _collect_rows(pieces, n, weighted=weighted, directed=directed, threads=threads)
    degree = rows.end - rows.begin
    back_degree = _count_entries(rows.begin, rows.end, rows.entries) if directed else degree
    order = np.arange(n, dtype=np.int32)
    if by_degree:
        total = degree + back_degree if directed else degree
        order = np.argsort(-total, kind="stable").astype(np.int32)
    position = np.empty(n, dtype=np.int32)
    position[order] = np.arange(n, dtype=np.int32)
    turned = _transpose(rows, order, position, back_degree[order], threads)
    if not directed:
        return Csr(turned.indptr, turned.indices, turned.lengths if weighted else None), position
    same = np.arange(n, dtype=np.int32)
    back_rows = _Rows(turned.indptr[:-1], turned.indptr[1:], turned.indices, turned.lengths)
    out = _transpose(back_rows, same, same, degree[order], threads)
    lengths_of = [array if weighted else None for array in (out.lengths, turned.lengths)]
    csr = Csr(out.indptr, out.indices, lengths_of[0], turned.indptr, turned.indices, lengths_of[1])
    return csr, position


def run_in_threads(calls: Sequence[Callable[[], Any]], threads: int) -> list[Any]:
    """Call all of them, several at a time, and return their results in order.

    Kernels run without the GIL. The threads end before this returns, so none is there when a process forks.
    """
    if min(threads, len(calls)) <= 1:
        return [call() for call in calls]
    with ThreadPoolExecutor(threads) as pool:
        return [done.result() for done in [pool.submit(call) for call in calls]]


def _check_edges(src: NDArray[Any], dst: NDArray[Any], n: int, weight: NDArray[Any] | None) -> Piece:
    problems: list[str] = []
    if not 0 <= n <= MAX_VERTICES:
        problems.append(f"n is {n}, and must be in 0..{MAX_VERTICES}")
    if len(src) != len(dst) or (weight is not None and len(weight) != len(src)):
        problems.append(
            f"src has {len(src)} rows, dst {len(dst)}" + ("" if weight is None else f", weight {len(weight)}")
        )
    for name, ids in (("src", src), ("dst", dst)):
        if ids.dtype.kind not in "iu":
            problems.append(f"{name} is {ids.dtype}, not an integer type")
        elif len(ids) and not (ids.min() >= 0 and ids.max() < n):
            bad = ids[(ids < 0) | (ids >= n)]
            problems.append(f"{name} has {len(bad)} ids outside 0..{n - 1}, the first {bad[0]}")
    if weight is not None:
        if weight.dtype.kind not in "iu":
            problems.append(f"weight is {weight.dtype}, not an integer type")
        elif len(weight) and weight.min() < 1:
            bad = weight[weight < 1]
            problems.append(f"weight has {len(bad)} values below 1, the first {bad[0]}")
        elif len(weight) and int(weight.max()) * max(n, 1) >= 2**62:
            problems.append(
                f"weight goes up to {weight.max()}: a path through {n} vertices could exceed 2^62"
            )
    if problems:
        raise InputError(
            "these edges make no graph",
            details=problems,
            hint="give dense ids 0..n-1 and lengths as integers of at least 1",
        )
    lengths = _no_lengths() if weight is None else weight.astype(np.int64, copy=False)
    return Piece(src.astype(np.int32, copy=False), dst.astype(np.int32, copy=False), lengths)


class _Rows(NamedTuple):
    """The entries of row v, in any order, are `entries[begin[v]:end[v]]`, each once and none v itself."""

    begin: I64
    end: I64
    entries: I32
    lengths: I64


class _Transposed(NamedTuple):
    """Row starts, ascending entries and lengths."""

    indptr: I64
    indices: I32
    lengths: I64


def _collect_rows(pieces: Sequence[Piece], n: int, *, weighted: bool, directed: bool, threads: int) -> _Rows:
    """Collect the arcs out of every vertex by counting; each thread has a range of vertices."""
    both = not directed
    count = np.zeros(n, dtype=np.int64)
    bounds = [n * i // threads for i in range(threads + 1)]
    ranges = [(a, b) for a, b in itertools.pairwise(bounds) if b > a]

    def count_range(a: int, b: int) -> None:
        for u, v, _ in pieces:
            _count_arcs(u, v, both, a, b, count)

    run_in_threads([partial(count_range, a, b) for a, b in ranges], threads)
    begin = np.zeros(n, dtype=np.int64)
    np.cumsum(count[:-1], out=begin[1:])
    arcs = int(count.sum())
    entries = np.empty(arcs, dtype=np.int32)
    lengths = np.empty(arcs if weighted else 0, dtype=np.int64)
    end = begin.copy()

    def fill_range(a: int, b: int) -> None:
        for u, v, length in pieces:
            _fill_rows(u, v, length, both, a, b, end, entries, lengths)
        _merge_parallel(begin, end, entries, lengths, a, b)

    run_in_threads([partial(fill_range, a, b) for a, b in ranges], threads)
    return _Rows(begin, end, entries, lengths)


@kernel
def _count_arcs(u: I32, v: I32, both: bool, a: int, b: int, count: I64) -> None:
    for i in range(len(u)):
        x, y = u[i], v[i]
        if x == y:
            continue
        if a <= x < b:
            count[x] += 1
        if both and a <= y < b:
            count[y] += 1


@kernel
def _fill_rows(
    u: I32, v: I32, length: I64, both: bool, a: int, b: int, end: I64, entries: I32, lengths: I64
) -> None:
    weighted = len(length) > 0
    for i in range(len(u)):
        x, y = u[i], v[i]
        if x == y:
            continue
        if a <= x < b:
            entries[end[x]] = y
            if weighted:
                lengths[end[x]] = length[i]
            end[x] += 1
        if both and a <= y < b:
            entries[end[y]] = x
            if weighted:
                lengths[end[y]] = length[i]
            end[y] += 1


@kernel
def _merge_parallel(begin: I64, end: I64, entries: I32, lengths: I64, a: int, b: int) -> None:
    """Keep the shortest of parallel arcs, in place, for rows a..b-1."""
    n = len(begin)
    place = np.full(
        n, -1, dtype=np.int64
    )  # where an entry was put last; rows ascend, so older ones are lower
    for v in range(a, b):
        at = begin[v]
        for e in range(begin[v], end[v]):
            w = entries[e]
            if place[w] >= begin[v]:
                if len(lengths):
                    lengths[place[w]] = min(lengths[place[w]], lengths[e])
                continue
            place[w] = at
            entries[at] = w
            if len(lengths):
                lengths[at] = lengths[e]
            at += 1
        end[v] = at


@kernel
def _count_entries(begin: I64, end: I64, entries: I32) -> I64:
    """For each vertex the rows that it is in."""
    count = np.zeros(len(begin), dtype=np.int64)
    for v in range(len(begin)):
        for e in range(begin[v], end[v]):
            count[entries[e]] += 1
    return count


def _transpose(rows: _Rows, order: I32, position: I32, degree: I64, threads: int) -> _Transposed:
    """Turn all arcs round and call vertex `order[i]` i: entry x of row w becomes entry position[w] of row
    position[x], which has `degree` entries. Each thread has a range of rows with about as many arcs.
    """
    n = len(order)
    indptr = np.zeros(n + 1, dtype=np.int64)
    np.cumsum(degree, out=indptr[1:])
    arcs = int(indptr[n])
    next_free = indptr[:-1].copy()
    indices = np.empty(arcs, dtype=np.int32)
    lengths = np.empty(arcs if len(rows.lengths) else 0, dtype=np.int64)
    shares = [arcs * i // threads for i in range(1, threads)]
    bounds = [0, *np.searchsorted(indptr[:-1], shares).tolist(), n]
    run_in_threads(
        [
            partial(_append_to_rows, *rows, order, position, a, b, next_free, indices, lengths)
            for a, b in itertools.pairwise(bounds)
            if b > a
        ],
        threads,
    )
    return _Transposed(indptr, indices, lengths)


@kernel
def _append_to_rows(
    begin: I64,
    end: I64,
    entries: I32,
    weights: I64,
    order: I32,
    position: I32,
    a: int,
    b: int,
    next_free: I64,
    indices: I32,
    lengths: I64,
) -> None:
    for v in range(len(order)):
        w = order[v]
        for e in range(begin[w], end[w]):
            row = position[entries[e]]
            if a <= row < b:
                at = next_free[row]
                indices[at] = v
                if len(weights):
                    lengths[at] = weights[e]
                next_free[row] = at + 1


def _read_only(array: NDArray[Any]) -> NDArray[Any]:
    """Make mapped files and fresh arrays one type to the compiled kernels."""
    view = np.asarray(array).view()
    view.flags.writeable = False
    return view


def save_csr(csr: Csr, directory: str | Path) -> None:
    """Write one `.npy` per array.

    The directory appears complete or not at all; an existing one is replaced.
    Errors: InputError where it cannot be written.
    """
    final = Path(directory)
    unfinished = final.with_name(f".{final.name}.{uuid.uuid4().hex}")
    try:
        unfinished.mkdir(parents=True)
        for name in _ARRAYS:
            array = getattr(csr, name)
            if array is not None:
                np.save(unfinished / f"{name}.npy", array)
        (unfinished / "graph.json").write_text(
            json.dumps({"n": csr.n, "arcs": csr.arcs, "arrays": _array_names(csr)})
        )
        if final.exists():
            final.rename(unfinished.with_name(unfinished.name + ".old"))
        unfinished.rename(final)
    except OSError as error:
        raise InputError(
            f"the graph cannot be written to {final}: {error}",
            hint="give a directory with room that can be written",
        ) from error
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
        shutil.rmtree(unfinished.with_name(unfinished.name + ".old"), ignore_errors=True)


def _array_names(csr: Csr) -> list[str]:
    return [name for name in _ARRAYS if getattr(csr, name) is not None]


_loaded: dict[Path, tuple[tuple[int, int], Csr]] = {}


def load_csr(directory: str | Path) -> Csr:
    """Map a saved graph into memory, read-only.

    The handle is kept for the life of the process; a directory that was written anew is mapped anew.
    Cost: all processes of a host share one copy, and pages are read when they are touched.
    Errors: InputError where there is no graph.
    """
    path = Path(directory).absolute()
    try:
        status = (path / "graph.json").stat()
        stamp = (status.st_ino, status.st_mtime_ns)
        loaded = _loaded.get(path)
        if loaded is not None and loaded[0] == stamp:
            return loaded[1]
        header = json.loads((path / "graph.json").read_text())
        arrays = {name: np.load(path / f"{name}.npy", mmap_mode="r") for name in header["arrays"]}
        csr = Csr(**arrays)
        complete = csr.n == header["n"] and csr.arcs == header["arcs"] == int(csr.indptr[-1])
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise InputError(
            f"no graph can be read from {path}: {error}",
            hint="write it with `save_csr`, or name the right directory",
        ) from error
    if not complete:
        raise InputError(
            f"the graph in {path} is damaged: its arrays do not fit its graph.json",
            hint="write it again with `save_csr`",
        )
    _loaded[path] = (stamp, csr)
    return csr
