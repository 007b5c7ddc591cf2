"""How often a model that is no better takes a champion's place, and how often a gate is shown falsely."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from bench.simulations import Figure, Simulation, share
from engage_spark.ml.evaluation.bootstrap import intervals, paired_gain, share_interval
from engage_spark.ml.evaluation.metrics import METRICS
from engage_spark.ml.evaluation.promotion import COVERAGE_SLACK, WORST_ECE, covers, is_calibrated


def equal_challenger(runs: int) -> Iterator[Figure]:
    """Compare two models that are equally good, each with noise of its own, on the same test rows."""
    for n, world in ((500, "even"), (2_000, "even"), (500, "rare"), (200, "rare"), (100, "amounts")):
        wins = 0
        for seed in range(runs):
            draw = np.random.default_rng((1, n, seed))
            signal = draw.normal(size=n)
            shift = draw.normal(size=n)
            challenger, champion = (signal + draw.normal(0, 0.6, n) for _ in range(2))
            metric, labels = (
                METRICS["auc"],
                (shift + signal > (0.8 if world == "even" else 2.6)).astype(float),
            )
            if world == "amounts":
                metric, labels = METRICS["rmse"], np.exp(2 * signal + shift)
                challenger, champion = np.exp(2 * challenger), np.exp(2 * champion)
            elif labels.min() == labels.max():
                continue
            gain = paired_gain(metric, labels, challenger, champion, replicates=100, seed=seed)
            wins += gain.low > 0
        yield share("equal challenger is promoted", f"{world}, {n:,} test rows", wins, runs, most=0.05)


def calibration_gate(runs: int) -> Iterator[Figure]:
    """Hold calibration errors of known size against the gate, and their intervals against the truth."""
    for n in (2_000, 20_000):
        for world, (truth, draw) in CALIBRATIONS.items():
            shown = held = 0
            for seed in range(runs):
                labels, scores = draw(np.random.default_rng((2, n, seed)), n)
                ece = intervals([METRICS["ece"]], labels, scores, replicates=100, seed=seed)["ece"]
                assert ece is not None
                shown += is_calibrated(ece, rows=n).passed
                held += ece.low <= truth <= ece.high
            setting = f"{world}, {n:,} rows"
            yield share("interval of the calibration error holds it", setting, held, runs, least=0.95)
            if truth > WORST_ECE:
                yield share("calibration is shown falsely", setting, shown, runs, most=0.05)


def _shifted(error: float) -> Callable[[np.random.Generator, int], tuple[np.ndarray, np.ndarray]]:
    def draw(random: np.random.Generator, n: int) -> tuple[np.ndarray, np.ndarray]:
        scores = random.uniform(0.1, 0.9, n)
        return (random.uniform(size=n) < scores - error).astype(float), scores

    return draw


def _in_one_bin(random: np.random.Generator, n: int) -> tuple[np.ndarray, np.ndarray]:
    scores = random.uniform(0.0, 1.0, n)
    wrong = (scores >= 7 / 15) & (scores < 8 / 15)
    return (random.uniform(size=n) < np.where(wrong, 0.0, scores)).astype(float), scores


def _rare(random: np.random.Generator, n: int) -> tuple[np.ndarray, np.ndarray]:
    scores = 1.0 / (1.0 + np.exp(3.5 - 0.8 * random.normal(size=n)))
    return (random.uniform(size=n) < scores).astype(float), scores


CALIBRATIONS = {
    "perfect": (0.0, _shifted(0.0)),
    "perfect and rare": (0.0, _rare),
    "0.031 too high": (0.031, _shifted(0.031)),
    "0.05 too high": (0.05, _shifted(0.05)),
    "wrong in one bin": (1 / 30, _in_one_bin),
}


def coverage_gate(runs: int) -> Iterator[Figure]:
    """Hold coverage that is just too low against the gate, with customers of one row and of three."""
    limit = 0.9 - COVERAGE_SLACK
    for n, repeated in ((30, 1), (600, 1), (600, 3), (5_000, 1)):
        shown = held = 0
        for seed in range(runs):
            covered = np.random.default_rng((3, n, seed)).uniform(size=n) < limit - 1e-9
            customers = np.tile(np.arange(n), repeated)
            made = share_interval(np.tile(covered, repeated), clusters=customers, replicates=100, seed=seed)
            shown += covers(0.9, {"all": made}, rows={"all": n}).passed
            held += made.low <= limit <= made.high
        setting = f"{n:,} customers of {repeated} row{'s' if repeated > 1 else ''}"
        yield share("coverage is shown falsely", setting, shown, runs, most=0.05)
        yield share("interval of coverage holds it", setting, held, runs, least=0.93)


SIMULATIONS: tuple[Simulation, ...] = (equal_challenger, calibration_gate, coverage_gate)
