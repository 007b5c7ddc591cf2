"""Count a partition with numpy, in Spark's Python workers.

Imports numpy and pyarrow only, and is sent along by value, so that executors need no more of this package.

Everything that leaves a partition is an integer, a minimum or a maximum, so that partitions add up to the
same bits in any order. A float is cut into two integers by its own power of two, d = (hi·2^27 + lo)·2^(power
− 53), which is exact for every finite double. A decimal is the whole number of its smallest unit, and whole
numbers are compared with borders as whole numbers: a double holds 53 bits of their 63. Sketches are counts
and maxima, too: see `numerics/sketches`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from engage_spark.numerics import sketches
from engage_spark.numerics.batch_counts import count_columns, to_batch, to_ddl
from engage_spark.numerics.limbs import split, split_sum, sum_exactly, sum_floats

NULL, NAN, PLUS_INFINITY, MINUS_INFINITY, BELOW, ABOVE, OTHER = range(-1, -8, -1)
"""Bins beside the numbered ones."""
NO_BIN = -8
"""The bin of rows that carry a sum and count nothing."""
DISTINCT, QUANTILES = -9, -10
"""The bins of rows that carry a sketch and count nothing."""
WHOLE = 4000
"""The power that marks a sum of whole numbers, hi·2^31 + lo; WHOLE + k marks its part that counts 2^(62·k).
"""
LOWEST, HIGHEST = -32, 31
"""The powers of two that unbounded numbers are told apart by; what is smaller or larger joins the outermost
bin.
"""
CELLS = 1 << 12
"""Cells of a range of floats, and a quarter of the most that a range of whole numbers gets."""
VALID = "__valid"
RULES = "__rules"
HASH = "__hash"


class CountPlan(NamedTuple):
    """How one column is counted.

    `kind`: number (double), single (float), decimal (with so many `digits` behind the point), whole, text,
    flag, day, moment or other. `edges` are the 33 borders of a spread. `code` is the column's place in the
    batches. `distinct` and `quantiles` say which sketches are made; text is counted by its hashes instead
    (`HashCounter`).
    """

    code: int
    column: str
    kind: str
    scale: str
    values: tuple[Any, ...] = ()
    edges: tuple[float, ...] = ()
    cuts: tuple[float | Fraction, ...] = ()
    digits: int = 0
    distinct: bool = False
    quantiles: bool = False


class Cells:
    """Counts of the many narrow cells of a range, of which nearly all lie in one bin: a value then finds its
    bin by arithmetic instead of a search.

    `place` gives the cell of each value within `low` and `high`, and never falls as values rise. `labels` are
    the bins of the cells; `mixed` cells hold a border, so their values must be searched for.
    """

    def __init__(
        self,
        low: float,
        high: float,
        place: Callable[[np.ndarray], np.ndarray],
        labels: np.ndarray,
        mixed: np.ndarray,
    ) -> None:
        self.low, self.high, self.place = low, high, place
        self.labels, self.mixed = labels, mixed
        self.any_mixed = bool(mixed.any())
        self.counts = np.zeros(len(labels), np.int64)

    def count(self, values: np.ndarray) -> np.ndarray:
        """Count values, and return those that are not counted: beyond the range, or in a mixed cell."""
        rest = values[:0]
        if not (values.min() >= self.low and values.max() <= self.high):
            within = (values >= self.low) & (values <= self.high)
            values, rest = values[within], values[~within]
        cells = self.place(values)
        self.counts += np.bincount(cells, minlength=len(self.counts))
        return np.concatenate((rest, values[self.mixed[cells]])) if self.any_mixed else rest

    def bins(self) -> Iterator[tuple[int, int]]:
        """Return each bin with its rows so far, mixed cells left out."""
        for cell in np.flatnonzero(self.counts * ~self.mixed):
            yield int(self.labels[cell]), int(self.counts[cell])


def _cells(plan: CountPlan) -> Cells | None:
    """Return the cells of a bounded column of numbers; None for others, and where cuts are counted too."""
    if plan.cuts or plan.scale not in ("category", "whole", "spread"):
        return None
    if plan.kind == "whole":
        return _cells_of_integers(plan)
    return _cells_of_floats(plan) if plan.kind in ("number", "single") and plan.scale == "spread" else None


def _cells_of_floats(plan: CountPlan) -> Cells | None:
    edges = _as_stored(plan.edges, plan)
    low, high = float(edges[0]), float(edges[-1])
    width = high - low
    if not (math.isfinite(width) and width > 2.0**-900):
        return None
    scale = CELLS / width

    def place(values: np.ndarray) -> np.ndarray:
        # Subtraction and multiplication round monotonically, so no value is in a lower cell than a smaller
        # one.
        above = values - low
        above *= scale
        return above.astype(np.intp)

    borders = place(edges[1:-1])
    every = np.arange(CELLS + 2)
    return Cells(low, high, place, np.searchsorted(borders, every), np.isin(every, borders))


def _cells_of_integers(plan: CountPlan) -> Cells | None:
    if plan.scale == "spread":
        low = int(_thresholds(plan.edges[:1], plan, math.ceil)[0])
        high = int(_thresholds(plan.edges[-1:], plan, math.floor)[0])
    else:
        low, high = min(plan.values), max(plan.values)
    shift = max((high - low).bit_length() - CELLS.bit_length() - 1, 0)
    if low > high or max(-low, high) >= 2**62 or (shift and plan.scale == "category"):
        return None

    def place(values: np.ndarray) -> np.ndarray:
        above = values - low
        return above >> shift if shift else above

    first = low + (np.arange(((high - low) >> shift) + 1) << shift)
    labels = _bins_of_integers(first, plan)
    last = np.minimum(first + ((1 << shift) - 1), high)
    return Cells(low, high, place, labels, labels != _bins_of_integers(last, plan))


class Partial:
    """The counts of one column over a partition."""

    def __init__(self, plan: CountPlan) -> None:
        self.plan = plan
        self.bins: dict[tuple[int, int], int] = {}
        self.cells = _cells(plan)
        self.sum = 0
        self.least: Any = None
        self.most: Any = None
        self.distinct = sketches.DistinctCounter() if plan.distinct else None
        is_floating = plan.kind in ("number", "single")
        self.quantiles = (
            sketches.QuantileCounter(None if is_floating else plan.digits) if plan.quantiles else None
        )

    def add(self, column: pa.Array) -> None:
        plan = self.plan
        self._count(NULL, 0, column.null_count)
        filled = column.drop_null() if column.null_count else column
        if not len(filled):
            return
        if plan.kind in ("number", "single"):
            values = filled.cast(pa.float64()).to_numpy(zero_copy_only=False)
            self._located(values, _bins_of_floats, _places_of_floats)
            self._summed(values)
            self._sketched(values)
        elif plan.kind in ("whole", "decimal", "day", "moment"):
            values = _integers(filled, plan)
            self._located(values, _bins_of_integers, _places_of_integers)
            self._summed(values)
            self._sketched(values)
        elif plan.kind == "flag":
            values = filled.cast(pa.int64()).to_numpy()
            self._binned(values if plan.scale == "category" else np.zeros(len(values), np.int64), None)
            self._summed(values)
        elif plan.scale == "category":
            self._categories(filled)
        else:
            self._count(0, 0, len(filled))
        if plan.kind == "text":
            self._summed(pc.utf8_length(filled).cast(pa.int64()).to_numpy())

    def _count(self, b: int, place: int, rows: int) -> None:
        if rows:
            self.bins[b, place] = self.bins.get((b, place), 0) + int(rows)

    def _located(
        self,
        values: np.ndarray,
        bins_of: Callable[[np.ndarray, CountPlan], np.ndarray],
        places_of: Callable[[np.ndarray, CountPlan], np.ndarray | None],
    ) -> None:
        if self.cells is not None:
            values = self.cells.count(values)
        if len(values):
            self._binned(bins_of(values, self.plan), places_of(values, self.plan))

    def _binned(self, bins: np.ndarray, places: np.ndarray | None) -> None:
        width = 1 if places is None else 2 * len(self.plan.cuts) + 1
        keys = (bins.astype(np.int64) - OTHER) * width + (0 if places is None else places)
        counts = np.bincount(keys)
        for key in np.flatnonzero(counts):
            b, place = divmod(int(key), width)
            self._count(b + OTHER, place, counts[key])

    def _categories(self, filled: pa.Array) -> None:
        known = {v: i for i, v in enumerate(self.plan.values)}
        counts = pc.value_counts(filled.cast(pa.binary()))
        for value, rows in zip(counts.field(0).to_pylist(), counts.field(1).to_pylist(), strict=True):
            self._count(known.get(value.decode("utf-8", "surrogateescape"), OTHER), 0, rows)

    def _summed(self, values: np.ndarray) -> None:
        if not len(values):
            return
        low, high = _ends(values)
        if values.dtype == np.float64:
            if not (math.isfinite(low) and math.isfinite(high)):
                self._summed(values[np.isfinite(values)])
                return
            self.sum += sum_floats(values)
        elif values.dtype == np.int64:
            self.sum += int(values.sum()) if max(-low, high) < 2**31 else sum_exactly(values)
        else:
            self.sum += sum(values.tolist())
        self.least = low if self.least is None else min(self.least, low)
        self.most = high if self.most is None else max(self.most, high)

    def _sketched(self, values: np.ndarray) -> None:
        if self.distinct is not None:
            self.distinct.add_numbers(values)
        if self.quantiles is not None:
            self.quantiles.add(
                values
                if values.dtype == np.float64
                else values.astype(np.float64) / float(10**self.plan.digits)
            )

    def sketches(self) -> Iterator[tuple[int, int, bytes]]:
        """Return each sketch as (code, DISTINCT or QUANTILES, bytes)."""
        if self.distinct is not None:
            yield self.plan.code, DISTINCT, self.distinct.to_bytes()
        if self.quantiles is not None:
            yield self.plan.code, QUANTILES, self.quantiles.to_bytes()

    def rows(self) -> Iterator[tuple[Any, ...]]:
        """Return rows of (code, bin, place, power, rows, hi, lo, least and most as double, least and most as
        bigint).
        """
        if self.cells is not None:
            for b, n in self.cells.bins():
                self._count(b, 0, n)
            self.cells = None
        for (b, place), n in self.bins.items():
            yield self.plan.code, b, place, 0, n, 0, 0, None, None, None, None
        if self.least is None:
            return
        if isinstance(self.least, float):
            ends = (self.least, self.most, None, None)
            for power, high, low in split_sum(self.sum):
                yield self.plan.code, NO_BIN, 0, power, 0, high, low, *ends
            yield self.plan.code, NO_BIN, 0, 0, 0, 0, 0, *ends
            return
        left, power = self.sum, WHOLE
        while not -(2**62) <= left < 2**62:
            yield (
                self.plan.code,
                NO_BIN,
                0,
                power,
                0,
                *split(left & (2**62 - 1)),
                None,
                None,
                None,
                None,
            )
            left, power = left >> 62, power + 1
        yield (
            self.plan.code,
            NO_BIN,
            0,
            power,
            0,
            *split(left),
            None,
            None,
            self.least,
            self.most,
        )


class HashCounter:
    """The distinct values of a column of text, of which hashes of 64 bits come along."""

    def __init__(self, code: int) -> None:
        self.code = code
        self.distinct = sketches.DistinctCounter()

    def add(self, column: pa.Array) -> None:
        self.distinct.add_hashes(column.drop_null().to_numpy(zero_copy_only=False).view(np.uint64))

    def rows(self) -> Iterator[tuple[Any, ...]]:
        return iter(())

    def sketches(self) -> Iterator[tuple[int, int, bytes]]:
        yield self.code, DISTINCT, self.distinct.to_bytes()


SCHEMA = pa.schema(
    [
        *((name, pa.int32()) for name in ("code", "bin", "place", "power")),
        *((name, pa.int64()) for name in ("rows", "hi", "lo")),
        *((name, pa.float64()) for name in ("least_d", "most_d")),
        *((name, pa.decimal128(38, 0)) for name in ("least_n", "most_n")),
        ("sketch", pa.binary()),
    ]
)
DDL = to_ddl(SCHEMA)
MERGED_DDL = to_ddl(
    pa.schema(
        [
            SCHEMA.field(name)
            for name in (*SCHEMA.names[:7], "least_d", "least_n", "most_d", "most_n", "sketch")
        ]
    )
)
"""The columns of rows that were added up by key, in order."""


class RowTally:
    """The rows of a partition, valid or not, and how many break each rule."""

    def __init__(self, n_columns: int, rules: tuple[str, ...]) -> None:
        self.n_columns, self.rules = n_columns, rules
        self.broken: dict[str, int] = {}
        self.valid = self.invalid = 0

    def valid_rows(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Count the rows of each batch, and pass on the valid ones."""
        for batch in batches:
            names = batch.schema.names[self.n_columns :]
            is_valid = batch.column(self.n_columns + names.index(VALID))
            n_valid = pc.sum(is_valid).as_py() or 0
            self.valid += n_valid
            self.invalid += batch.num_rows - n_valid
            if RULES in names:
                counts = pc.value_counts(batch.column(self.n_columns + names.index(RULES)).flatten())
                for name, n in zip(counts.field(0).to_pylist(), counts.field(1).to_pylist(), strict=True):
                    self.broken[name] = self.broken.get(name, 0) + n
            yield batch if n_valid == batch.num_rows else batch.filter(is_valid)

    def rows(self) -> Iterator[tuple[Any, ...]]:
        """Return rows of SCHEMA, those of rules with the code −1 minus the rule's position."""
        for bin_, n in enumerate((self.invalid, self.valid)):
            yield self.n_columns, bin_, 0, 0, n, 0, 0, None, None, None, None
        for name, n in self.broken.items():
            yield -1 - self.rules.index(name), 0, 0, 0, n, 0, 0, None, None, None, None


def count(
    batches: Iterator[pa.RecordBatch],
    plans: tuple[CountPlan, ...],
    rules: tuple[str, ...],
    hashed: tuple[int, ...] = (),
) -> Iterator[pa.RecordBatch]:
    """Count a partition into a few hundred rows of SCHEMA.

    Columns are counted over the valid rows, rules over all.

    The first columns of a batch are those of the plans, in order, then hashes of the columns whose codes are
    `hashed`; names are not looked at. The code of a rule is −1 minus its place; the code after the last
    column's counts rows, in bin 1 the valid and in bin 0 the others.
    """
    counters: list[Partial | HashCounter] = [
        *(Partial(p) for p in plans),
        *(HashCounter(code) for code in hashed),
    ]
    tally = RowTally(len(counters), rules)
    counted = count_columns(tally.valid_rows(batches), counters)
    rows = [(*row, None) for row in (*counted, *tally.rows())]
    carriers = (
        (code, kind, 0, 0, 0, 0, 0, None, None, None, None, data)
        for counter in counters
        for code, kind, data in counter.sketches()
    )
    yield to_batch([*rows, *carriers], SCHEMA)


def merge_sketches(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Merge the list of sketches in the last column of each row into one; null where the list is empty."""
    for batch in batches:
        merged = [sketches.merge(listed) if listed else None for listed in batch.columns[-1].to_pylist()]
        columns = [*batch.columns[:-1], pa.array(merged, pa.binary())]
        yield pa.RecordBatch.from_arrays(columns, names=[*batch.schema.names[:-1], "sketch"])


def _ends(values: np.ndarray) -> tuple[Any, Any]:
    """Return minimum and maximum as Python's numbers.

    −0.0 becomes 0.0: which of the two a minimum gives depends on the order of rows.
    """
    low, high = values.min(), values.max()
    if isinstance(low, np.generic):
        low, high = low.item(), high.item()
    return low + 0, high + 0


def _integers(filled: pa.Array, plan: CountPlan) -> np.ndarray:
    """Whole numbers of 64 bits; of any size, as objects of Python, for decimals that may need more."""
    if plan.kind != "decimal":
        if plan.kind == "day":
            filled = filled.cast(pa.int32())
        whole: np.ndarray = filled.cast(pa.int64()).to_numpy(zero_copy_only=False)
        return whole
    words = np.frombuffer(filled.buffers()[1], np.int64).reshape(-1, 2)[
        filled.offset : filled.offset + len(filled)
    ]
    if filled.type.precision <= 18:
        return words[:, 0].copy()
    wide: np.ndarray = words[:, 1].astype(object) * 2**64 + words[:, 0].astype(np.uint64).astype(object)
    return wide


def _bins_of_floats(values: np.ndarray, plan: CountPlan) -> np.ndarray:
    match plan.scale:
        case "spread":
            edges = _as_stored(plan.edges, plan)
            bins = np.searchsorted(edges[1:-1], values, side="right")
            bins[values < edges[0]] = BELOW
            bins[values > edges[-1]] = ABOVE
        case "magnitude":
            power = np.clip(np.frexp(values)[1] - 1, LOWEST, HIGHEST)
            zero = HIGHEST - LOWEST + 1
            bins = np.where(
                values == 0, zero, np.where(values > 0, zero + 1 + power - LOWEST, HIGHEST - power)
            )
        case _:
            bins = np.zeros(len(values), np.int64)
    bins = np.asarray(bins, np.int64)
    bins[np.isnan(values)] = NAN
    bins[values == np.inf] = PLUS_INFINITY
    bins[values == -np.inf] = MINUS_INFINITY
    return bins


def _bins_of_integers(values: np.ndarray, plan: CountPlan) -> np.ndarray:
    bins = np.zeros(len(values), np.int64)
    match plan.scale:
        case "category":
            bins[:] = OTHER
            for i, value in enumerate(plan.values):
                bins[values == value] = i
        case "whole":
            low, high = plan.values[0], plan.values[-1]
            within = (values >= low) & (values <= high)
            bins[within] = values[within] - low
            bins[values < low] = BELOW
            bins[values > high] = ABOVE
        case "spread":
            edges = _thresholds(plan.edges, plan, math.ceil)
            bins = np.searchsorted(edges[1:-1], values, side="right").astype(np.int64)
            bins[values < edges[0]] = BELOW
            bins[values > _thresholds(plan.edges[-1:], plan, math.floor)[0]] = ABOVE
        case "magnitude":
            zero = HIGHEST - LOWEST + 1
            powers = [Fraction(2) ** p for p in range(LOWEST + 1, HIGHEST + 1)]
            above = np.searchsorted(_thresholds(powers, plan, math.ceil), values, side="right")
            below = np.searchsorted(-_thresholds(powers, plan, math.ceil)[::-1], values, side="left")
            bins = np.where(values == 0, zero, np.where(values > 0, zero + 1 + above, below)).astype(np.int64)
    return bins


def _thresholds(borders: Sequence[float | Fraction], plan: CountPlan, rounded: Any) -> np.ndarray:
    """Borders as whole numbers of the column's smallest unit: x < border exactly when x < its ceiling, x >
    border when x > its floor.
    """
    whole = [rounded(Fraction(str(b)) * 10**plan.digits) for b in borders]
    fits = all(-(2**63) <= w < 2**63 for w in whole)
    return np.array(whole, np.int64 if fits else object)


def _as_stored(borders: Sequence[float | Fraction], plan: CountPlan) -> np.ndarray:
    """Borders as the column would hold them: a float is compared with a border that was made a float."""
    return np.asarray(borders, np.float32 if plan.kind == "single" else np.float64).astype(np.float64)


def _places_of_floats(values: np.ndarray, plan: CountPlan) -> np.ndarray | None:
    """Where a value lies among the cuts: 2i when below the i-th, 2i + 1 when on it; NaN lies above all, as
    Spark sorts it.
    """
    if not plan.cuts:
        return None
    ordered = _as_stored(plan.cuts, plan)
    places = np.searchsorted(ordered, values, side="left") + np.searchsorted(ordered, values, side="right")
    places[np.isnan(values)] = 2 * len(plan.cuts)
    return places


def _places_of_integers(values: np.ndarray, plan: CountPlan) -> np.ndarray | None:
    if not plan.cuts:
        return None
    passed = np.searchsorted(_thresholds(plan.cuts, plan, math.floor), values, side="left")
    reached = np.searchsorted(_thresholds(plan.cuts, plan, math.ceil), values, side="right")
    places: np.ndarray = passed + reached
    return places
