"""How targets are spread over the values of each feature, in Spark's Python workers. Imports numpy and
pyarrow only, sent along by value.

Counts, and sums of targets as whole numbers of at most 2^20 in magnitude: partitions add up to the same bits
in any order.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from engage_spark.ml.selection.gram_kernel import CategoryColumn, NumberColumn, bucket
from engage_spark.numerics.arrow import to_batch
from engage_spark.numerics.limbs import split

SQUARES, PLACES, PAIRS = -1, -2, -1000
"""Codes beside the features': sums of the targets' squares, as n·2^31 + s; rows by place; PAIRS − i is the
i-th pair of features.
"""
BATCH = 8192


class NumberBins(NamedTuple):
    """The bins of a number: a value each where all are `known`, else what lies between two of them. Missing
    ones have the last bin.
    """

    values: tuple[float, ...]
    known: bool

    @property
    def bins(self) -> int:
        return len(self.values) + (not self.known) + 1


def n_bins(how: NumberBins | CategoryColumn) -> int:
    """How many bins a feature has, the last one for missing values."""
    return how.bins if isinstance(how, NumberBins) else how.width + 1


class HistogramLayout(NamedTuple):
    """What is counted: the features' bins, how targets become whole numbers, and which pairs of features are
    counted together.
    """

    features: tuple[NumberBins | CategoryColumn, ...]
    targets: tuple[NumberColumn, ...]
    pairs: tuple[tuple[int, int], ...]


def schema(targets: int) -> pa.Schema:
    """Return the schema of what is counted: (code, bin, place), then for each target the rows that have it
    and the sum over these.
    """
    sums = [(f"{x}{t}", pa.int64()) for t in range(targets) for x in "ns"]
    return pa.schema([("code", pa.int32()), ("bin", pa.int32()), ("place", pa.string()), *sums])


def _coded(column: pa.Array, how: NumberBins | CategoryColumn) -> np.ndarray:
    last = n_bins(how) - 1
    if isinstance(how, NumberBins):
        numbers = column.to_numpy(zero_copy_only=False) + 0.0
        edges = np.array(how.values)
        found = np.searchsorted(edges, numbers, side="left" if how.known else "right")
        there = ~np.isnan(numbers)
        if (
            how.known
            and there.any()
            and (edges[np.minimum(found[there], len(edges) - 1)] != numbers[there]).any()
        ):
            raise ValueError(
                "a number is there that its profile lacks: profile the same rows that are audited"
            )
        binned: np.ndarray = np.where(there, found, last)
        return binned
    coded = column.dictionary_encode()
    known = {v: i for i, v in enumerate(how.levels)}
    by_level = [
        bucket(v, how.buckets) if how.buckets else known.get(v, last) for v in coded.dictionary.to_pylist()
    ]
    codes: np.ndarray = np.array([*by_level, last])[
        coded.indices.fill_null(len(by_level)).to_numpy(zero_copy_only=False)
    ]
    return codes


def _whole(column: pa.Array, scale: NumberColumn) -> tuple[np.ndarray, np.ndarray]:
    values = column.to_numpy(zero_copy_only=False)
    there = ~np.isnan(values)
    return np.rint(np.ldexp(np.where(there, values - scale.middle, 0.0), -scale.exponent)), there


class HistogramCounts:
    """The counts of a partition."""

    def __init__(self, spread: HistogramLayout) -> None:
        self.spread = spread
        self.found = [np.zeros((n_bins(f), len(spread.targets), 2), np.int64) for f in spread.features]
        self.pairs = [
            np.zeros(n_bins(spread.features[a]) * n_bins(spread.features[b]), np.int64)
            for a, b in spread.pairs
        ]
        self.squares = [0] * len(spread.targets)
        self.places: dict[str, int] = {}

    def add(self, batch: pa.RecordBatch) -> None:
        features = self.spread.features
        targets = [
            _whole(batch.column(len(features) + t), scale) for t, scale in enumerate(self.spread.targets)
        ]
        for t, (y, _) in enumerate(targets):
            self.squares[t] += int((y * y).sum())  # at most 8192·2^40: exact
        codes = [_coded(batch.column(i), how) for i, how in enumerate(features)]
        for i, how in enumerate(features):
            for t, (y, there) in enumerate(targets):
                self.found[i][:, t, 0] += np.bincount(codes[i][there], minlength=n_bins(how))
                self.found[i][:, t, 1] += np.bincount(codes[i], weights=y, minlength=n_bins(how)).astype(
                    np.int64
                )
        for i, (a, b) in enumerate(self.spread.pairs):
            wide = n_bins(features[b])
            self.pairs[i] += np.bincount(codes[a] * wide + codes[b], minlength=len(self.pairs[i]))
        for place in batch.column(batch.num_columns - 1).value_counts().to_pylist():
            self.places[place["values"]] = self.places.get(place["values"], 0) + place["counts"]

    def rows(self) -> Iterator[tuple[Any, ...]]:
        targets = len(self.spread.targets)
        none = (0,) * (2 * targets - 1)
        for code, found in enumerate(self.found):
            for b in np.flatnonzero(found[:, :, 0].any(axis=1)).tolist():
                yield code, b, None, *found[b].reshape(-1).tolist()
        yield SQUARES, 0, None, *(part for s in self.squares for part in split(s))
        for i, pair in enumerate(self.pairs):
            for b in np.flatnonzero(pair).tolist():
                yield PAIRS - i, b, None, int(pair[b]), *none
        for place, n in self.places.items():
            yield PLACES, 0, place, n, *none


def count_targets(batches: Iterator[pa.RecordBatch], spread: HistogramLayout) -> Iterator[pa.RecordBatch]:
    """The counts of a partition. The batches hold the features, the targets and the place (side and day,
    text), by place.
    """
    counts = HistogramCounts(spread)
    for batch in batches:
        for start in range(0, batch.num_rows, BATCH):
            counts.add(batch.slice(start, BATCH))
    yield to_batch(counts.rows(), schema(len(spread.targets)))
