"""How far calibrated probabilities are from the truth, and how sure they claim to be at the ends."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from bench.simulations import Figure, Simulation, mean
from engage_spark.ml.training.calibration import ScoreCounts, choose_calibration
from engage_spark.numerics.dtypes import F64

ENDS = 0.03
"""The share of rows with the lowest scores, and with the highest, whose claims are held against the truth."""


def drawn(world: str, n: int, *, seed: int) -> tuple[F64, F64]:
    """Draw scores, and the true probabilities behind them.

    In the worlds `sure 0.3` and `sure 0.4` scores are as many times too far from the middle; the `forest`
    gives a sixth of the rows a score of 0.
    """
    draw = np.random.default_rng((4, seed, n))
    u = draw.normal(-0.7, 1.6, n)
    if world.startswith("sure"):
        u = draw.normal(-1.0, 3.0, n)
        truth = 1 / (1 + np.exp(-float(world.removeprefix("sure")) * u))
    elif world == "forest":
        none = draw.random(n) < 1 / 6
        u = np.where(none, -np.inf, u - 1.8)
        truth = np.where(none, 0.01, 1 / (1 + np.exp(-0.8 * u)))
    elif world == "rare":
        u = u - 4
        truth = 1 / (1 + np.exp(0.5 - 0.7 * u))
    elif world == "bent":
        truth = 0.05 + 0.6 / (1 + np.exp(-3 * (u + 0.5)))
    else:
        truth = 1 / (1 + np.exp(-0.6 * u - 0.2))
    return 1 / (1 + np.exp(-u)), truth


def calibrated_worlds(runs: int) -> Iterator[Figure]:
    """Calibrate on a few rows whose scores are too sure, and compare with the truth on others."""
    for n, error in ((800, 0.035), (8_000, 0.015)):
        for world in ("line", "bent", "rare"):
            errors, certain = [], []
            for seed in range(runs):
                claim, fact = _claims(world, n, seed=seed)
                end = int(ENDS * len(claim))
                errors.append(float(np.abs(claim - fact).mean()))
                certain += [
                    float(claim[:end].mean() / fact[:end].mean()),
                    float((1 - claim[-end:]).mean() / (1 - fact[-end:]).mean()),
                ]
            setting = f"{world}, {n:,} rows"
            yield mean("mean error of calibrated probabilities", setting, errors, most=error)
            yield mean("claimed over true risk of error at both ends", setting, certain, least=0.7)


def overconfident_worlds(runs: int) -> Iterator[Figure]:
    """Calibrate scores that are far too sure, on few rows too, and compare with the truth on others."""
    for n, error in ((20, 0.13), (60, 0.09), (100, 0.06), (800, 0.025)):
        for world in ("sure 0.3", "sure 0.4", "forest"):
            pairs = [_claims(world, n, seed=seed) for seed in range(runs)]
            errors = [float(np.abs(claim - fact).mean()) for claim, fact in pairs]
            yield mean("mean error of calibrated probabilities", f"{world}, {n:,} rows", errors, most=error)


def _claims(world: str, n: int, *, seed: int) -> tuple[F64, F64]:
    """Calibrate on `n` rows; return what is claimed of other rows and the truth, in the order of scores."""
    p, truth = drawn(world, n, seed=seed)
    draw = np.random.default_rng((5, seed, n))
    label, fold = draw.random(n) < truth, draw.integers(0, 5, n)
    chart = choose_calibration(ScoreCounts.of(p, label, fold))
    others, their_truth = drawn(world, 4_000, seed=seed + 1_000_000)
    order = np.argsort(others)
    return chart.apply(others)[order], their_truth[order]


SIMULATIONS: tuple[Simulation, ...] = (calibrated_worlds, overconfident_worlds)
