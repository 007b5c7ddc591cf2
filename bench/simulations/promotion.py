"""How often a model that is no better takes a champion's place."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from bench.simulations import Figure, Simulation, share
from engage_spark.ml.evaluation.bootstrap import paired_gain
from engage_spark.ml.evaluation.metrics import METRICS


def equal_challenger(runs: int) -> Iterator[Figure]:
    """Compare two models that are equally good, each with noise of its own, on the same test rows."""
    for n in (500, 2_000):
        wins = 0
        for seed in range(runs):
            draw = np.random.default_rng((1, n, seed))
            signal = draw.normal(size=n)
            labels = (draw.normal(size=n) + signal > 0.8).astype(float)
            challenger, champion = (signal + draw.normal(0, 0.5, n) for _ in range(2))
            gain = paired_gain(METRICS["auc"], labels, challenger, champion, replicates=100, seed=seed)
            wins += gain.low > 0
        yield share("equal challenger is promoted", f"{n:,} test rows", wins, runs, most=0.05)


SIMULATIONS: tuple[Simulation, ...] = (equal_challenger,)
