"""How often a model that is no better takes a champion's place, and how often a gate is shown falsely."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from datetime import date, timedelta

import numpy as np

from bench.simulations import Figure, Simulation, share
from engage_spark.ml.evaluation.bootstrap import intervals, paired_gain, share_interval
from engage_spark.ml.evaluation.footing import Footing, LearntDays, common_footing
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


FIRST, WINDOW = date(2025, 1, 1), timedelta(days=30)
NEXT, LAST = FIRST + WINDOW, FIRST + 2 * WINDOW
TRAININGS = {
    "again on the same days": LearntDays(judged_on={NEXT}, judged_model={FIRST}, serving={FIRST, NEXT}),
    "a label window later": LearntDays(
        judged_on={LAST}, judged_model={FIRST, NEXT}, serving={FIRST, NEXT, LAST}
    ),
    "without a later day": LearntDays(
        judged_on={NEXT + WINDOW / 2}, judged_model={NEXT + WINDOW / 2}, serving={NEXT + WINDOW / 2}
    ),
}
"""Trainings that follow one whose champion has learnt FIRST and NEXT."""
FEATURES, DAY_EFFECT, BLUR, LESS_BLUR = 8, 0.3, 0.6, 0.3


class DayWorld:
    """Customers on days that each have an effect of their own on the weight of every feature.

    All models learn the same customers of a day, and each sees the features through noise of its own: the
    less, the better it can be.
    """

    def __init__(self, seed: int) -> None:
        self.random = np.random.default_rng((7, seed))
        self.effects: dict[date, np.ndarray] = {}
        self.learnt: dict[date, tuple[np.ndarray, np.ndarray]] = {}

    def drawn(self, day: date, n: int) -> tuple[np.ndarray, np.ndarray]:
        """Draw other customers of a day: their features and labels."""
        effect = self.effects.setdefault(day, self.random.normal(0, DAY_EFFECT, FEATURES))
        x = self.random.normal(size=(n, FEATURES))
        chance = 1 / (1 + np.exp(0.7 - x @ (0.4 + effect)))
        return x, (self.random.uniform(size=n) < chance).astype(float)

    def model(self, days: Collection[date], blur: float) -> Callable[[np.ndarray], np.ndarray]:
        """Fit a line to 3,000 customers of each day, and return what scores others."""
        parts = [self.learnt.setdefault(day, self.drawn(day, 3_000)) for day in sorted(days)]
        x, y = self.blurred(np.vstack([x for x, _ in parts]), blur), np.concatenate([y for _, y in parts])
        beta = np.linalg.lstsq(x, y - y.mean(), rcond=None)[0]
        return lambda rows: self.blurred(rows, blur) @ beta

    def blurred(self, x: np.ndarray, blur: float) -> np.ndarray:
        return x + self.random.normal(0, blur, x.shape)


def day_effects(runs: int) -> Iterator[Figure]:
    """Hold challengers against a champion that has learnt some of the days, each day unlike the others.

    Of two that see as much one may not be promoted for the days that it has learnt; one that sees the
    features through less noise (a gain of about 0.03 in AUC) should be, wherever there is a day to compare
    on.
    """
    for setting, days in TRAININGS.items():
        footing, _ = common_footing(days, {FIRST, NEXT}, label_end=lambda day: day + WINDOW)
        wins = {
            blur: sum(_is_promoted(days, footing, blur=blur, seed=s) for s in range(runs))
            for blur in (BLUR, LESS_BLUR)
        }
        yield share("equal challenger is promoted", setting, wins[BLUR], runs, most=0.05)
        if footing is not Footing.NONE:
            yield share("better challenger is promoted", setting, wins[LESS_BLUR], runs, least=0.7)


def _is_promoted(days: LearntDays, footing: Footing, *, blur: float, seed: int) -> bool:
    if footing is Footing.NONE:
        return False
    world = DayWorld(seed)
    champion = world.model({FIRST, NEXT}, BLUR)
    challenger = world.model(days.judged_model if footing is Footing.JUDGED else days.serving, blur)
    x, labels = world.drawn(max(days.judged_on), 3_000)
    gain = paired_gain(METRICS["auc"], labels, challenger(x), champion(x), replicates=100, seed=seed)
    return gain.low > 0


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


SIMULATIONS: tuple[Simulation, ...] = (equal_challenger, day_effects, calibration_gate, coverage_gate)
