"""Turn integer sums into the columns of the scores, one batch of vertices at a time. Numpy only."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from engage_spark.errors import TransientError
from engage_spark.graph.adaptive_sampling import SamplingBounds, StoppingRule
from engage_spark.graph.kernels.brandes import exponent_of_squares, exponent_of_sums
from engage_spark.numerics import fixed_point
from engage_spark.numerics.dtypes import F64, I64

LEAST_ERROR = 0.3
"""Standard errors below so many times 1 / sources are not told: a single source can add 1 / sources to a
value, and a sample that misses the few that do so cannot know it.
"""


@dataclass(frozen=True, eq=False)
class ScoreEstimator:
    """Constants of the graph that every batch needs."""

    n: int
    sources: int | None
    """None: exact."""
    keys: I64
    """calibration * 2^40 + hits, ascending."""
    lower: F64
    upper: F64
    lowest: F64
    """The least estimate that keeps the allowed error, at most `highest`."""
    highest: F64

    @classmethod
    def from_bounds(
        cls, n: int, bounds: SamplingBounds | None, sources: int | None, *, rule: StoppingRule
    ) -> ScoreEstimator:
        """Build the estimator of a graph of n vertices; `bounds` None: exact. `rule` is in pair shares."""
        if bounds is None:
            nothing = np.zeros(0)
            return cls(n, sources, np.zeros(0, dtype=np.int64), nothing, nothing, nothing, nothing)
        keys = (bounds.histogram.calibration << 40) + bounds.histogram.hits
        order = np.argsort(keys)
        lower, upper = bounds.lower[order], bounds.upper[order]
        return cls(n, sources, keys[order], lower, upper, *rule.value_limits(lower, upper))

    @property
    def method(self) -> str:
        """Either exact or sampled."""
        return "exact" if self.sources is None else "sampled"

    def load_vectors(self, directory: Path) -> tuple[Any, Any]:
        """Map two vectors of the vertices into memory: what the removed trees contribute (None: nothing), and
        whether betweenness is known to be 0.
        """
        path = directory / "contributions.npy"
        contributions = np.load(path, mmap_mode="r") if path.exists() else None
        return contributions, np.load(directory / "zero.npy", mmap_mode="r")

    def columns(self, numbers: dict[str, Any], contributions: Any, zero: Any) -> dict[str, F64]:
        """Compute betweenness, lower, upper, stderr of a batch.

        `numbers` has v, hi, lo and, when sampled, squares and the counts of hits.
        Nulls: NaN for a standard error that cannot be told (`LEAST_ERROR`).
        """
        v, pairs = numbers["v"], float(self.n - 1) * float(self.n - 2)
        if pairs <= 0:
            nothing = np.zeros(len(v))
            return dict.fromkeys(("betweenness", "lower", "upper", "stderr"), nothing)
        from_trees = 0.0 if contributions is None else contributions[v].astype(np.float64)
        total = fixed_point.from_limbs(numbers["hi"], numbers["lo"], exponent_of_sums(self.n))
        if self.sources is None:
            value = (from_trees + total) / pairs
            return {"betweenness": value, "lower": value, "upper": value, "stderr": np.zeros(len(v))}
        squares = fixed_point.from_limbs(
            numbers["squares_hi"], numbers["squares_lo"], exponent_of_squares(self.n)
        )
        value, stderr = estimate_totals(total, squares, n=self.n, sources=self.sources)
        value, stderr = (from_trees + value) / pairs, stderr / pairs
        lower, upper, lowest, highest = self._bounds(numbers, zero[v])
        inside = np.clip(value, lower, upper)
        # With all sources the value is exact. Otherwise what it is moved by, so that it cannot be too far
        # from either end, is an error of its own: two standard errors hold it as well.
        shown = inside if self.sources >= self.n else np.clip(inside, lowest, highest)
        return {
            "betweenness": shown,
            "lower": lower,
            "upper": upper,
            "stderr": np.where(zero[v], 0.0, self._known_errors(stderr) + np.abs(shown - inside) / 2),
        }

    def _known_errors(self, stderr: F64) -> F64:
        """Return NaN for errors that are too small to be known from these sources; all sources have none."""
        assert self.sources is not None
        if self.sources >= self.n:
            return stderr
        least = LEAST_ERROR / self.sources * math.sqrt(1.0 - self.sources / self.n)
        return np.where(stderr >= least, stderr, np.nan)

    def _bounds(self, numbers: dict[str, Any], zero: Any) -> tuple[F64, F64, F64, F64]:
        """Return the ends of the intervals, and between which values the estimates must be."""
        if "hits" not in numbers:  # no vertex can be inside of any path
            nothing = np.zeros(len(zero))
            return nothing, nothing, nothing, nothing
        keys = (numbers["calibration"] << 40) + numbers["hits"]
        row = np.minimum(np.searchsorted(self.keys, keys), len(self.keys) - 1)
        unseen = ~(zero | (self.keys[row] == keys))
        if unseen.any():
            first = int(np.flatnonzero(unseen)[0])
            raise TransientError(
                f"{int(unseen.sum())} vertices have counts of hits that no sampling round saw, the first "
                f"vertex {numbers['v'][first]} with {numbers['hits'][first]} hits",
                hint="the temporary tables of the samples changed while they were read; run it again",
            )
        scale = self.n / (self.n - 2)
        lower, upper, lowest, highest = (
            np.where(zero, 0.0, np.minimum(1.0, x[row] * scale))
            for x in (self.lower, self.upper, self.lowest, self.highest)
        )
        return lower, upper, lowest, highest


def estimate_totals(total: F64, squares: F64, *, n: int, sources: int) -> tuple[F64, F64]:
    """Estimate the sum over all n sources, and its standard error, from `sources` of them drawn without
    replacement.

    n times the sample's mean; variance with the finite-population correction, so 0 when all were drawn.
    Source: Cochran 1977, section 2.5-2.6.
    """
    k = float(sources)
    spread = np.maximum(squares - total * total / k, 0.0) / (k - 1.0)
    return np.asarray(n / k * total), np.asarray(n * np.sqrt((1.0 - k / n) * spread / k))
