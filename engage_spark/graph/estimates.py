"""From integer sums to the columns of the scores, in numpy: what the last task does with each batch of
vertices.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from engage_spark.graph.adaptive_sampling import SamplingBounds
from engage_spark.graph.distributed.source_tasks import exponent_of_squares, exponent_of_sums
from engage_spark.numerics import fixed_point
from engage_spark.numerics.dtypes import F64, I64


@dataclass(frozen=True, eq=False)
class ScoreEstimator:
    """What a batch needs to know of the whole. `sources` None: exact. `keys` are calibration * 2^40 + hits,
    ascending.
    """

    n: int
    sources: int | None
    keys: I64
    lower: F64
    upper: F64

    @classmethod
    def of(cls, n: int, certificate: SamplingBounds | None, sources: int | None) -> ScoreEstimator:
        if certificate is None:
            return cls(n, sources, np.zeros(0, dtype=np.int64), np.zeros(0), np.zeros(0))
        keys = (certificate.pairs.calibration << 40) + certificate.pairs.hits
        order = np.argsort(keys)
        return cls(n, sources, keys[order], certificate.lower[order], certificate.upper[order])

    @property
    def method(self) -> str:
        return "exact" if self.sources is None else "sampled"

    def vectors(self, directory: Path) -> tuple[Any, Any]:
        """Per vertex, memory-mapped: what the folded trees contribute (None: nothing), and whether
        betweenness is known to be 0.
        """
        kept = directory / "contributions.npy"
        return np.load(kept, mmap_mode="r") if kept.exists() else None, np.load(
            directory / "zero.npy", mmap_mode="r"
        )

    def columns(self, numbers: dict[str, Any], contributions: Any, zero: Any) -> dict[str, F64]:
        """betweenness, lower, upper, stderr of a batch. `numbers` has v, hi, lo and, when sampled, squares
        and the counts of hits.
        """
        v, pairs = numbers["v"], float(self.n - 1) * float(self.n - 2)
        if pairs <= 0:
            nothing = np.zeros(len(v))
            return dict.fromkeys(("betweenness", "lower", "upper", "stderr"), nothing)
        hung = 0.0 if contributions is None else contributions[v].astype(np.float64)
        total = fixed_point.from_limbs(numbers["hi"], numbers["lo"], exponent_of_sums(self.n))
        if self.sources is None:
            value = (hung + total) / pairs
            return {"betweenness": value, "lower": value, "upper": value, "stderr": np.zeros(len(v))}
        squares = fixed_point.from_limbs(
            numbers["squares_hi"], numbers["squares_lo"], exponent_of_squares(self.n)
        )
        value, stderr = estimate(total, squares, n=self.n, sources=self.sources)
        value, stderr = (hung + value) / pairs, stderr / pairs
        lower, upper = self._bounds(numbers, zero[v])
        return {
            "betweenness": np.clip(value, lower, upper),
            "lower": lower,
            "upper": upper,
            "stderr": np.where(zero[v], 0.0, stderr),
        }

    def _bounds(self, numbers: dict[str, Any], zero: Any) -> tuple[F64, F64]:
        if "hits" not in numbers:  # no vertex can be inside of any path
            return np.zeros(len(zero)), np.zeros(len(zero))
        keys = (numbers["calibration"] << 40) + numbers["hits"]
        at = np.searchsorted(self.keys, keys)
        at = np.minimum(at, len(self.keys) - 1)
        assert bool(np.all(zero | (self.keys[at] == keys))), "a vertex has counts that no round saw"
        scale = self.n / (self.n - 2)
        return np.where(zero, 0.0, self.lower[at] * scale), np.where(
            zero, 0.0, np.minimum(1.0, self.upper[at] * scale)
        )


def estimate(total: F64, squares: F64, *, n: int, sources: int) -> tuple[F64, F64]:
    """The sum over all n sources, estimated from `sources` of them drawn without replacement, and its
    standard error.

    Cochran 1977, section 2.5-2.6: n times the sample's mean; variance with the finite-population correction,
    so 0 when all were drawn.
    """
    k = float(sources)
    spread = np.maximum(squares - total * total / k, 0.0) / (k - 1.0)
    return np.asarray(n / k * total), np.asarray(n * np.sqrt((1.0 - k / n) * spread / k))
