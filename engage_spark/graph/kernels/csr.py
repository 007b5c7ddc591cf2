"""Build a graph as three arrays (compressed sparse rows), save it as `.npy` files, and map it into memory.

Eight bytes per vertex for the row starts and four per arc: an undirected edge is two arcs, eight bytes; a
directed one is held in both directions, also eight. Lengths, where given, take eight more per arc.
"""

from __future__ import annotations

import functools
import json
import shutil
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engage_spark.errors import InputError
from engage_spark.numerics.dtypes import I32, I64
from engage_spark.numerics.jit import kernel

MAX_VERTICES = 2**31 - 1
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
                view = np.asarray(array).view()
                view.flags.writeable = False
                object.__setattr__(self, name, view)

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
    Cost: three passes over the arcs (counting sort by target, then by source) and, beside the result, a copy
    of it.
    Errors: InputError for ids outside 0..n-1, columns of unlike length, lengths that are not positive
    integers.
    """
    source, target, lengths = _check_edges(src, dst, n, weight)
    if not directed:
        source, target = np.concatenate([source, target]), np.concatenate([target, source])
        lengths = None if lengths is None else np.concatenate([lengths, lengths])
    out = _sorted_rows(source, target, n, lengths)
    if not directed:
        return Csr(*out)
    # The remaining arcs, reversed: parallel ones are merged already.
    sources = np.repeat(np.arange(n, dtype=np.int32), np.diff(out[0]))
    return Csr(*out, *_sorted_rows(out[1], sources, n, out[2]))


def _check_edges(
    src: NDArray[Any], dst: NDArray[Any], n: int, weight: NDArray[Any] | None
) -> tuple[I32, I32, I64 | None]:
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
    lengths = None if weight is None else weight.astype(np.int64, copy=False)
    return src.astype(np.int32, copy=False), dst.astype(np.int32, copy=False), lengths


def _sorted_rows(source: I32, target: I32, n: int, lengths: I64 | None) -> tuple[I64, I32, I64 | None]:
    """Row starts, ascending neighbours and lengths, without loops and parallel arcs."""
    arc_lengths = np.empty(0, dtype=np.int64) if lengths is None else lengths
    # Sorting by target and then, stably, by source leaves every row ascending.
    _, by_target, their_sources, their_lengths = _counting_sort(target, source, arc_lengths, n)
    starts, rows, columns, in_order = _counting_sort(
        their_sources, by_target, arc_lengths if lengths is None else their_lengths, n
    )
    del rows
    n_arcs, indptr = _merge(starts, columns, in_order)
    columns = columns[:n_arcs].copy()
    return indptr, columns, None if lengths is None else in_order[:n_arcs].copy()


@kernel
def _counting_sort(key: I32, other: I32, lengths: I64, n: int) -> tuple[I64, I32, I32, I64]:
    """Rows (key, other, length) in ascending order of key, stable; and where each key starts."""
    starts = np.zeros(n + 1, dtype=np.int64)
    for k in key:
        starts[k + 1] += 1
    for v in range(n):
        starts[v + 1] += starts[v]
    next_free = starts[:-1].copy()
    keys, others, sorted_lengths = np.empty_like(key), np.empty_like(other), np.empty_like(lengths)
    for i in range(len(key)):
        at = next_free[key[i]]
        next_free[key[i]] = at + 1
        keys[at], others[at] = key[i], other[i]
        if len(lengths):
            sorted_lengths[at] = lengths[i]
    return starts, keys, others, sorted_lengths


@kernel
def _merge(starts: I64, columns: I32, lengths: I64) -> tuple[int, I64]:
    """Drop loops, and all but the shortest of parallel arcs, in place. Returns how many arcs are left, and
    the new row starts.
    """
    n = len(starts) - 1
    indptr = np.zeros(n + 1, dtype=np.int64)
    n_arcs = 0
    for v in range(n):
        first = n_arcs
        for e in range(starts[v], starts[v + 1]):
            w = columns[e]
            if w == v:
                continue
            if n_arcs > first and columns[n_arcs - 1] == w:
                if len(lengths):
                    lengths[n_arcs - 1] = min(lengths[n_arcs - 1], lengths[e])
                continue
            columns[n_arcs] = w
            if len(lengths):
                lengths[n_arcs] = lengths[e]
            n_arcs += 1
        indptr[v + 1] = n_arcs
    return n_arcs, indptr


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
