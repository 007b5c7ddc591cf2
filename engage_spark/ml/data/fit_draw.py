"""Draw the customers that models are fitted on, where there are more rows than a fit may take.

Customers are drawn by a hash of their key, so the draw is the same on any partitioning. Of two classes all
rows of the rarer one are kept, and every row is weighted by how many it stands for, so that probabilities are
those of all rows. The customers that models are calibrated, measured and tested on are not touched.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from engage_spark.ml.data.driver_sample import HASH, RowSample, hash_cut, key_hash, sample_rows
from engage_spark.spark.schema import column_named

WEIGHT = "__weight"
"""The column of rows to fit on that says how much each counts; where it is missing, all count alike."""
_SALT = 2**32
"""Added to the seed, so that customers are not drawn by the hash that draws rows to measure."""


@dataclass(frozen=True, kw_only=True)
class FittedRows:
    """How many rows a model was fitted on, of how many there were."""

    used: int
    there: int

    @property
    def text(self) -> str:
        """The same in words; empty where all rows were used."""
        if self.used == self.there:
            return ""
        return f"{self.used:,} of {self.there:,} rows ({self.used / self.there:.1%}; models.fit_rows)"


@dataclass(frozen=True, kw_only=True)
class FitDraw:
    """How the rows of a fit are drawn: as `sample` says, by the customers that `key` names."""

    sample: RowSample
    key: tuple[str, ...]
    seed: int

    @classmethod
    def of(cls, counted: RowSample, *, limit: int | None, key: Sequence[str], seed: int) -> FitDraw:
        """Draw at most `limit` of the counted rows, up to chance; None: all of them."""
        most = counted.expected if limit is None else limit
        sample = RowSample(expected=counted.expected, limit=most, label=counted.label, ones=counted.ones)
        return cls(sample=sample, key=tuple(key), seed=seed + _SALT)

    @property
    def is_whole(self) -> bool:
        """Whether all rows are fitted on."""
        return self.sample.share >= 1.0

    @property
    def n_rows(self) -> int:
        """About how many rows are drawn."""
        return min(self.sample.expected, self.sample.limit)

    @property
    def weights(self) -> tuple[float, float]:
        """How much a row of the class that is kept whole counts, and another one, so that their mean is 1."""
        share_drawn = self.n_rows / self.sample.expected
        return share_drawn, share_drawn / self.sample.share

    def drawn(self, rows: DataFrame) -> DataFrame:
        """Return the rows to fit on, with their weight as `WEIGHT` where they do not all count alike.

        Cost: no job.
        """
        if self.is_whole:
            return rows
        drawn = sample_rows(rows, self.sample, key=self.key, seed=self.seed).drop(HASH)
        if self.sample.whole_class is None or self.sample.label is None:
            return drawn
        of_whole, of_others = self.weights
        is_whole = column_named(self.sample.label).cast("double") == F.lit(float(self.sample.whole_class))
        return drawn.withColumn(WEIGHT, F.when(is_whole, F.lit(of_whole)).otherwise(F.lit(of_others)))

    def even(self, drawn: DataFrame) -> DataFrame:
        """Return those of the drawn rows that are a sample without weights, for what takes none.

        Cost: no job.
        """
        if self.is_whole or self.sample.whole_class is None:
            return drawn
        return drawn.where(key_hash(self.key, seed=self.seed) < F.lit(hash_cut(self.sample.share)))

    def counted(self, drawn: DataFrame) -> FittedRows:
        """Count the drawn rows.

        Cost: one job, and none where all rows are fitted on.
        """
        there = self.sample.expected
        return FittedRows(used=there if self.is_whole else drawn.count(), there=there)
