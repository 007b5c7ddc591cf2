"""Count rows and sum targets by the values of each feature, over a partition. Sent along by value, so that
executors need numpy and pyarrow only.

Counts, and sums of targets as whole numbers of at most 2^20 in magnitude: partitions add up to the same bits
in any order.

The loop over batches is here and not `numerics.batch_counts.count_columns`: that counts column by
column, and a target is summed by the values of other columns of the same row.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from engage_spark.ml.selection.gram_kernel import CategoryColumn, NumberColumn, to_codes, to_whole_numbers
from engage_spark.numerics.batch_counts import to_batch
from engage_spark.numerics.limbs import split

SQUARES, SPLIT_DAYS, PAIRS = -1, -2, -1000
"""Codes beside the features': sums of the targets' squares, as n·2^31 + s; rows by split and day; PAIRS − i
is the i-th pair of features.
"""
BATCH = 8192


class NumberBins(NamedTuple):
    """The bins of a number: one for each value where all of them are listed (`single`), else the ranges
    between two of them. Missing ones have the last bin.
    """

    values: tuple[float, ...]
    single: bool

    @property
    def bins(self) -> int:
        """The number of bins."""
        return len(self.values) + (not self.single) + 1


def n_bins(bins: NumberBins | CategoryColumn) -> int:
    """Count the bins of a feature, the last one for missing values."""
    return bins.bins if isinstance(bins, NumberBins) else bins.width + 1


class HistogramLayout(NamedTuple):
    """The features' bins, how targets become whole numbers, and which pairs of features are counted
    together.
    """

    features: tuple[NumberBins | CategoryColumn, ...]
    targets: tuple[NumberColumn, ...]
    pairs: tuple[tuple[int, int], ...]


def schema(targets: int) -> pa.Schema:
    """Return the schema of what is counted: (code, bin, split_day), then for each target the rows that have
    it and the sum over these.
    """
    sums = [(f"{x}{t}", pa.int64()) for t in range(targets) for x in "ns"]
    return pa.schema([("code", pa.int32()), ("bin", pa.int32()), ("split_day", pa.string()), *sums])


def _codes(column: pa.Array, bins: NumberBins | CategoryColumn) -> np.ndarray:
    last = n_bins(bins) - 1
    if not isinstance(bins, NumberBins):
        return to_codes(column, bins, unknown=last)
    numbers = column.to_numpy(zero_copy_only=False) + 0.0
    edges = np.array(bins.values)
    at = np.searchsorted(edges, numbers, side="left" if bins.single else "right")
    present = ~np.isnan(numbers)
    if (
        bins.single
        and present.any()
        and (edges[np.minimum(at[present], len(edges) - 1)] != numbers[present]).any()
    ):
        raise ValueError("a number is not in the profile: profile the same rows that are audited")
    codes: np.ndarray = np.where(present, at, last)
    return codes


class HistogramCounts:
    """The counts of a partition."""

    def __init__(self, layout: HistogramLayout) -> None:
        self.layout = layout
        self.bins = [np.zeros((n_bins(f), len(layout.targets), 2), np.int64) for f in layout.features]
        self.pairs = [
            np.zeros(n_bins(layout.features[a]) * n_bins(layout.features[b]), np.int64)
            for a, b in layout.pairs
        ]
        self.squares = [0] * len(layout.targets)
        self.split_days: dict[str, int] = {}

    def add(self, batch: pa.RecordBatch) -> None:
        """Count a batch of at most BATCH rows."""
        features = self.layout.features
        targets = [
            to_whole_numbers(batch.column(len(features) + t), scale)
            for t, scale in enumerate(self.layout.targets)
        ]
        for t, (y, _) in enumerate(targets):
            self.squares[t] += int((y * y).sum())  # at most 8192·2^40: exact
        codes = [_codes(batch.column(i), bins) for i, bins in enumerate(features)]
        for i, bins in enumerate(features):
            for t, (y, present) in enumerate(targets):
                self.bins[i][:, t, 0] += np.bincount(codes[i][present], minlength=n_bins(bins))
                self.bins[i][:, t, 1] += np.bincount(codes[i], weights=y, minlength=n_bins(bins)).astype(
                    np.int64
                )
        for i, (a, b) in enumerate(self.layout.pairs):
            wide = n_bins(features[b])
            self.pairs[i] += np.bincount(codes[a] * wide + codes[b], minlength=len(self.pairs[i]))
        for counted in batch.column(batch.num_columns - 1).value_counts().to_pylist():
            split_day = counted["values"]
            self.split_days[split_day] = self.split_days.get(split_day, 0) + counted["counts"]

    def rows(self) -> Iterator[tuple[Any, ...]]:
        """Return what was counted, as rows of `schema`."""
        targets = len(self.layout.targets)
        none = (0,) * (2 * targets - 1)
        for code, counts in enumerate(self.bins):
            for b in np.flatnonzero(counts[:, :, 0].any(axis=1)).tolist():
                yield code, b, None, *counts[b].reshape(-1).tolist()
        yield SQUARES, 0, None, *(part for s in self.squares for part in split(s))
        for i, pair in enumerate(self.pairs):
            for b in np.flatnonzero(pair).tolist():
                yield PAIRS - i, b, None, int(pair[b]), *none
        for split_day, n in self.split_days.items():
            yield SPLIT_DAYS, 0, split_day, n, *none


def count_targets(batches: Iterator[pa.RecordBatch], layout: HistogramLayout) -> Iterator[pa.RecordBatch]:
    """Count a partition. The batches hold the features, the targets, and split and day as text, by
    position.
    """
    counts = HistogramCounts(layout)
    for batch in batches:
        for start in range(0, batch.num_rows, BATCH):
            counts.add(batch.slice(start, BATCH))
    yield to_batch(counts.rows(), schema(len(layout.targets)))
