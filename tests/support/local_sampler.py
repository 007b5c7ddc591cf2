"""Sample and count paths in the test's own process; the tasks on a cluster give the same integers."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from engage_spark.graph.adaptive_sampling import HitHistogram
from engage_spark.graph.kernels.csr import Csr
from engage_spark.graph.kernels.path_sampling import sample_paths
from engage_spark.numerics.dtypes import I64


class LocalSampler:
    """Paths sampled in this process, counted per vertex."""

    def __init__(self, csr: Csr, *, seed: int, zero: NDArray[np.bool_]) -> None:
        self.csr, self.seed, self.active = csr, seed, ~zero
        self.calibration, self.hits = np.zeros(csr.n, dtype=np.int64), np.zeros(csr.n, dtype=np.int64)
        self.calibrated = self.drawn = 0

    def calibrate(self, samples: int) -> tuple[I64, I64]:
        self.calibration += sample_paths(
            self.csr, seed=self.seed, start=self.calibrated, count=samples - self.calibrated
        ).hits
        self.calibrated = samples
        counts, vertices = np.unique(self.calibration[self.active], return_counts=True)
        return counts, vertices

    def draw(self, samples: int) -> HitHistogram:
        start = self.calibrated + self.drawn
        self.hits += sample_paths(self.csr, seed=self.seed, start=start, count=samples - self.drawn).hits
        self.drawn = samples
        pairs, vertices = np.unique(
            np.stack([self.calibration, self.hits])[:, self.active], axis=1, return_counts=True
        )
        return HitHistogram(pairs[0], pairs[1], vertices)
