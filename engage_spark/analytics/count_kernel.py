"""Count the states of a partition from Arrow batches, and merge those of partitions, in Spark's workers.

Everything that leaves a partition is a whole number, a minimum or a maximum, so partitions merge to the same
bits in any order.
"""

from __future__ import annotations

import math
import pickle
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from engage_spark.analytics import kernels
from engage_spark.analytics.plan import CountedMetric, SegmentedDimension, StatesPlan
from engage_spark.analytics.states import CUSTOMERS, UNIT_BITS, DayStates, Key, MetricState
from engage_spark.contract.analytics_spec import DimensionKind
from engage_spark.numerics import sketches
from engage_spark.numerics.dtypes import F64, I32, I64

SCHEMA = pa.schema([("block", pa.int32()), ("state", pa.binary())])
DDL = "block int, state binary"
OF_CUSTOMERS, OF_SAMPLE = -1, -2
"""The blocks of customers by segment, and of sampled rows; the others are those of metrics by position."""
MOST_ROWS = 1 << 21
"""Rows after which sums are moved to Python's integers; lines have room for twice as many."""
_BLOCK = 1 << 14
"""Rows that are counted at once: their lines stay in the processor's cache."""


class Layout(NamedTuple):
    """Where the columns of a batch are.

    The hash of the key comes first; then `numbers` doubles, of which the first are the metrics. `places`
    gives each dimension's column: its number where it is a range, else its position in the batch.
    `sampled_below` is the hash (unsigned) below which a row is sampled; 0 samples none.
    """

    plan: StatesPlan
    numbers: int
    places: tuple[int, ...]
    sampled_below: int = 0


class Codes(NamedTuple):
    """How a dimension's segments are numbered, from `first` on, in the order of `all_segments`."""

    dimension: SegmentedDimension
    first: int
    n: int


def codes_of(plan: StatesPlan) -> tuple[Codes, ...]:
    """Give each segment of every dimension a number; those with quantiles come first."""
    order = sorted(plan.dimensions, key=lambda d: not d.dimension.kind.is_summarised)
    first, codes = 0, {}
    for d in order:
        codes[d.dimension.name] = Codes(d, first, len(d.all_segments))
        first += len(d.all_segments)
    return tuple(codes[d.dimension.name] for d in plan.dimensions)


@dataclass
class MetricBlock:
    """The counts of a metric by segment: exact sums as Python's integers of any size.

    `keys` are the buckets in rising order, and `counts` how many values of a segment lie in each.
    """

    n: I64
    sums: list[int]
    squares: list[int]
    least: F64
    most: F64
    keys: I64
    counts: I64

    @classmethod
    def empty(cls, n_segments: int, n_summarised: int) -> MetricBlock:
        """Make the block of no rows."""
        return cls(
            n=np.zeros(n_segments, np.int64),
            sums=[0] * n_segments,
            squares=[0] * n_segments,
            least=np.full(n_segments, math.inf),
            most=np.full(n_segments, -math.inf),
            keys=np.zeros(0, np.int64),
            counts=np.zeros((n_summarised, 0), np.int64),
        )

    def add(self, other: MetricBlock) -> None:
        """Add the counts of other rows."""
        self.n += other.n
        self.sums = [a + b for a, b in zip(self.sums, other.sums, strict=True)]
        self.squares = [a + b for a, b in zip(self.squares, other.squares, strict=True)]
        np.minimum(self.least, other.least, out=self.least)
        np.maximum(self.most, other.most, out=self.most)
        keys = np.union1d(self.keys, other.keys)
        counts = np.zeros((len(self.counts), len(keys)), np.int64)
        for block in (self, other):
            counts[:, np.searchsorted(keys, block.keys)] += block.counts
        self.keys, self.counts = keys, counts


class MetricCounter:
    """Counts one metric over a partition."""

    def __init__(self, n_segments: int, n_summarised: int) -> None:
        self.block = MetricBlock.empty(n_segments, n_summarised)
        self.top = kernels.LEAST_TOP
        self.packs: list[I64] = []
        self.rows = 0
        self.numbers = np.zeros(2 * kernels.MOST_KEYS, np.int32)
        self.keys = np.empty(2 * kernels.MOST_KEYS, np.int32)
        self.n_keys = 0
        self.counts = np.zeros((n_summarised, 64), np.int64)

    def add(self, values: F64, codes: I32, summarised: I32) -> None:
        """Count values: `codes` are the segments of each row, `summarised` those with quantiles."""
        top = math.frexp(kernels.largest(values))[1]
        if top > self.top or self.rows + len(values) > MOST_ROWS:
            self._flush()
            self.top = max(self.top, -(-top // 16) * 16)
            self.top = min(self.top, 511)
        self.rows += len(values)
        kernels.extend(values, codes, self.block.least, self.block.most)
        buckets = np.empty(len(values), np.int32)
        self.n_keys = kernels.number_buckets(
            values, values.view(np.int64), self.numbers, self.keys, self.n_keys, buckets
        )
        if self.n_keys > self.counts.shape[1]:
            wider = np.zeros((len(self.counts), 2 * self.n_keys), np.int64)
            wider[:, : self.counts.shape[1]] = self.counts
            self.counts = wider
        kernels.count_buckets(buckets, summarised, self.counts)
        with np.errstate(over="ignore", invalid="ignore"):
            rest, squares = values.copy(), values * values
        lines, pack, remains = np.empty((len(values), kernels.WIDTH), np.int64), 0, True
        while remains:
            if pack == len(self.packs):
                self.packs.append(np.zeros((len(self.block.n), kernels.WIDTH), np.int64))
            remains = kernels.cut(rest, squares, kernels.scales_of(self.top, pack), lines, pack == 0)
            kernels.add_lines(lines, codes, self.packs[pack])
            pack += 1

    def _flush(self) -> None:
        for number, pack in enumerate(self.packs):
            self.block.n += pack[:, 0]
            for of_squares, sums in ((False, self.block.sums), (True, self.block.squares)):
                for k in range(kernels.CUTS):
                    parts = pack[:, 1 + k + kernels.CUTS * of_squares]
                    power = kernels.unit_power(self.top, number, k, squares=of_squares) + UNIT_BITS
                    for s in np.flatnonzero(parts).tolist():
                        # A part below the smallest double holds zeros only there.
                        part = int(parts[s])
                        sums[s] += part << power if power >= 0 else part >> -power
        self.packs, self.rows = [], 0

    def finish(self) -> MetricBlock:
        """Return the counts of all rows."""
        self._flush()
        keys = self.keys[: self.n_keys].astype(np.int64)
        order = np.argsort(keys)
        self.block.keys, self.block.counts = keys[order], self.counts[:, order]
        return self.block


class CustomerCounter:
    """Counts customers by segment, and who they are."""

    def __init__(self, n_segments: int) -> None:
        self.rows = np.zeros(n_segments, np.int64)
        self.registers = np.zeros((n_segments, 1 << 12), np.uint8)

    def add(self, hashes: Any, codes: I32) -> None:
        """Count rows by the hashes of their keys."""
        places, ranks = kernels.to_registers(hashes)
        kernels.add_customers(places, ranks, codes, self.rows, self.registers)


class SegmentCoder:
    """Numbers the segment of each row in one dimension."""

    def __init__(self, codes: Codes) -> None:
        self.codes, kind = codes, codes.dimension.dimension.kind
        segments = codes.dimension.segments
        self.known = {s.text.encode(): codes.first + i for i, s in enumerate(segments)}
        self.null = codes.first + codes.n - 1
        self.other = self.null - 1
        self.is_whole = kind is DimensionKind.ALL
        self.bounds = np.array([s.lower for s in segments if s.lower is not None], np.float64)

    def of_numbers(self, values: F64) -> I32:
        """Return the code of each number's range; one of null and NaN."""
        if self.codes.n == 1:  # no range, but that of nulls
            return np.full(len(values), self.null, np.int32)
        places = np.searchsorted(self.bounds, values, side="right").astype(np.int32)
        places += self.codes.first
        places[np.isnan(values)] = self.null
        return places

    def of_texts(self, column: pa.Array) -> I32:
        """Return the code of each text, or of true and false."""
        if self.is_whole:
            return np.full(len(column), self.codes.first, np.int32)
        if pa.types.is_boolean(column.type):
            numbers = column.cast(pa.int8()).fill_null(2).to_numpy(zero_copy_only=False)
            flags: I32 = np.array([self.codes.first + 1, self.codes.first, self.null], np.int32)[numbers]
            return flags
        encoded = column.cast(pa.binary()).dictionary_encode()
        codes = [self.known.get(value, self.other) for value in encoded.dictionary.to_pylist()]
        places = encoded.indices.fill_null(len(codes)).to_numpy(zero_copy_only=False)
        coded: I32 = np.array([*codes, self.null], np.int32)[places]
        return coded


def count(batches: Iterable[pa.RecordBatch], layout: Layout) -> Iterator[pa.RecordBatch]:
    """Count a partition: one row per metric, one of customers, and sampled rows as they come."""
    plan, codes = layout.plan, codes_of(layout.plan)
    n_segments = sum(c.n for c in codes)
    summarised = [i for i, c in enumerate(codes) if c.dimension.dimension.kind.is_summarised]
    n_summarised = sum(codes[i].n for i in summarised)
    coders = [SegmentCoder(c) for c in codes]
    metrics = [MetricCounter(n_segments if m.by_rules else n_summarised, n_summarised) for m in plan.metrics]
    customers = CustomerCounter(n_segments)
    for whole_batch in batches:
        for at in range(0, whole_batch.num_rows, _BLOCK):
            batch = whole_batch.slice(at, _BLOCK)
            hashes = batch.column(0).to_numpy().view(np.uint64)
            numbers = [_doubles(batch.column(1 + i)) for i in range(layout.numbers)]
            of_rows = np.empty((batch.num_rows, len(codes)), np.int32)
            for d, (coder, place) in enumerate(zip(coders, layout.places, strict=True)):
                is_range = coder.codes.dimension.dimension.kind.is_numeric
                of_rows[:, d] = (
                    coder.of_numbers(numbers[place]) if is_range else coder.of_texts(batch.column(place))
                )
            of_summarised = np.ascontiguousarray(of_rows[:, summarised])
            customers.add(hashes, of_rows)
            for metric, counter, values in zip(plan.metrics, metrics, numbers, strict=False):
                counter.add(values, of_rows if metric.by_rules else of_summarised, of_summarised)
            if layout.sampled_below:
                yield from _sampled(hashes, numbers[: len(metrics)], layout.sampled_below)
    states: list[tuple[int, Any]] = [(i, counter.finish()) for i, counter in enumerate(metrics)]
    states.append((OF_CUSTOMERS, (customers.rows, customers.registers)))
    yield _batch(states)


def _doubles(column: pa.Array) -> F64:
    """Return doubles, null as NaN; −0.0 is 0.0, so that an extreme does not depend on order."""
    values: F64 = column.to_numpy(zero_copy_only=False) + 0.0
    return values


def _sampled(hashes: Any, metrics: Sequence[F64], below: int) -> Iterator[pa.RecordBatch]:
    drawn = np.flatnonzero(hashes <= np.uint64(below))
    if len(drawn):
        rows = np.stack([m[drawn] for m in metrics], axis=1) if metrics else np.empty((len(drawn), 0))
        yield _batch([(OF_SAMPLE, (hashes[drawn], rows))])


def _batch(states: Sequence[tuple[int, Any]]) -> pa.RecordBatch:
    blocks, data = zip(*((block, pickle.dumps(state)) for block, state in states), strict=True)
    return pa.RecordBatch.from_arrays(
        [pa.array(blocks, pa.int32()), pa.array(data, pa.binary())], schema=SCHEMA
    )


def merge(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Merge the states of each row, of one block, which come as a list; a state alone stays as it is."""
    for batch in batches:
        blocks, states = batch.column("block").to_pylist(), batch.column("states")
        data = [_merged(b, states[i].as_py()) for i, b in enumerate(blocks)]
        if blocks:
            yield pa.RecordBatch.from_arrays(
                [pa.array(blocks, pa.int32()), pa.array(data, pa.binary())], schema=SCHEMA
            )


def _merged(block: int, states: Sequence[bytes]) -> bytes:
    return states[0] if len(states) == 1 else pickle.dumps(merge_block(block, states))


def merge_block(block: int, states: Sequence[bytes]) -> Any:
    """Merge the states of one block, holding two at a time; samples are put together."""
    # Written by `count` within the same job.
    loaded = (pickle.loads(s) for s in states)  # noqa: S301
    first = next(loaded)
    if block == OF_SAMPLE:
        hashes, rows = zip(first, *loaded, strict=True)
        return np.concatenate(hashes), np.concatenate(rows)
    for other in loaded:
        if block == OF_CUSTOMERS:
            np.add(first[0], other[0], out=first[0])
            np.maximum(first[1], other[1], out=first[1])
        else:
            first.add(other)
    return first


class Sample(NamedTuple):
    """Sampled rows in the order of their keys' hashes: each metric is a column, null is NaN."""

    hashes: Any
    rows: F64


def to_states(plan: StatesPlan, blocks: dict[int, Any]) -> DayStates:
    """Return the states of merged blocks; segments in which nobody is are left out.

    Without any block (no row was read) no segment has anybody.
    """
    states: dict[Key, MetricState] = {}
    if OF_CUSTOMERS not in blocks:
        return DayStates(states)
    rows, registers = blocks[OF_CUSTOMERS]
    for codes in codes_of(plan):
        for i, segment in enumerate(codes.dimension.all_segments):
            s = codes.first + i
            if not rows[s]:
                continue
            at = codes.dimension.dimension.name, segment.name
            counter = sketches.DistinctCounter()
            counter.registers = registers[s]
            states[(*at, CUSTOMERS)] = MetricState(int(rows[s]), customers=counter.to_bytes())
            for m, metric in enumerate(plan.metrics):
                if s < len(blocks[m].n):
                    states[(*at, metric.name)] = _state(blocks[m], s, int(rows[s]), metric)
    return DayStates(states)


def _state(block: MetricBlock, s: int, rows: int, metric: CountedMetric) -> MetricState:
    n = int(block.n[s])
    quantiles = None
    if s < len(block.counts):
        filled = np.flatnonzero(block.counts[s])
        quantiles = sketches.quantile_bytes(block.keys[filled], block.counts[s][filled], metric.digits)
    return MetricState(
        n=n,
        nulls=rows - n,
        sum_units=block.sums[s],
        square_units=block.squares[s],
        minimum=float(block.least[s]) if n else None,
        maximum=float(block.most[s]) if n else None,
        quantiles=quantiles,
    )


def to_sample(blocks: dict[int, Any], *, limit: int) -> Sample | None:
    """Return the sampled rows with the least hashes, `limit` at most; None where none were asked for.

    Rows of one hash are ordered by their values, so the sample is the same whatever the partitioning.
    """
    if OF_SAMPLE not in blocks:
        return None
    hashes, rows = blocks[OF_SAMPLE]
    order = np.lexsort((*rows.T[::-1], hashes))[:limit]
    return Sample(hashes[order], rows[order])
