"""How many labels intervals and sets hold: of customers on each side, of each class, and of each group."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from bench.simulations import Figure, Simulation, mean, share
from engage_spark.ml.evaluation.conformal import Conformal, calibrate_regression, calibrate_sets
from engage_spark.ml.fairness.group_metrics import compare
from engage_spark.ml.fairness.group_sums import sums_by_group
from engage_spark.ml.feature_spec import Task
from engage_spark.numerics.dtypes import F64

PROMISED, FEATURES = 0.9, 60
SIDES = {"fit": 400, "conformal": 800, "test": 2_000}
GROUPS = ("calm", "wild")
"""Labels of the second group are farther from what features say."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Side:
    """The customers of a side: what is predicted of them, their labels and groups."""

    scores: F64
    labels: F64
    wild: np.ndarray


def sides(task: Task, seed: int, **more: int) -> dict[str, Side]:
    """Fit a line of many features to few customers, and score all sides by it."""
    draw = np.random.default_rng((8, seed, int(task is Task.BINARY)))
    weights = draw.normal(0, 0.3, FEATURES)

    def drawn(n: int) -> tuple[F64, F64, np.ndarray]:
        x, wild = draw.normal(size=(n, FEATURES)), draw.random(n) < 0.3
        y = x @ weights + draw.normal(size=n) * np.where(wild, 2.0, 1.0)
        return x, (y > 2.5).astype(float) if task is Task.BINARY else y, wild

    made = {side: drawn(n) for side, n in (SIDES | more).items()}
    x, y, _ = made["fit"]
    beta = np.linalg.lstsq(np.column_stack([np.ones(len(x)), x]), y, rcond=None)[0]
    scored = {side: beta[0] + x @ beta[1:] for side, (x, _, _) in made.items()}
    if task is Task.BINARY:
        scored = {side: np.clip(score, 0.001, 0.999) for side, score in scored.items()}
    return {side: Side(scores=scored[side], labels=made[side][1], wild=made[side][2]) for side in made}


def calibrated(task: Task, on: Side) -> Conformal:
    """Measure intervals or sets as a training does."""
    if task is Task.BINARY:
        return calibrate_sets(on.labels, on.scores, coverage=PROMISED)
    parts = max(1, min(10, len(on.labels) // 100))
    return calibrate_regression(on.labels, on.scores, coverage=PROMISED, parts=parts)


def coverage_by_side(runs: int, *, calibrated_on: str = "conformal") -> Iterator[Figure]:
    """Compare the share of covered labels with the promise, on the side that is tested and by class."""
    for task in Task:
        shares: dict[str, list[float]] = {}
        for seed in range(runs):
            made = sides(task, seed)
            test, conformal = made["test"], calibrated(task, made[calibrated_on])
            covered = conformal.covered(test.labels, test.scores)
            shares.setdefault("all", []).append(float(covered.mean()))
            for label in (0, 1) if task is Task.BINARY else ():
                of_class = test.labels == label
                shares.setdefault(f"labelled {label}", []).append(float(covered[of_class].mean()))
        for part, values in shares.items():
            setting = f"{task.value}, test customers, {part}"
            # Sets are of whole ranks of the rarer class, and of ties in scores: they cover a little more.
            yield mean("coverage where 90% is promised", setting, values, least=PROMISED, most=0.925)


def coverage_by_group(runs: int, *, snapshots: int = 3) -> Iterator[Figure]:
    """Count the bounds of a group's coverage that hold it, with like rows of each customer."""
    for task in Task:
        held = total = 0
        for seed in range(runs):
            made = sides(task, seed, test=600, everybody=10_000)
            conformal, test, everybody = calibrated(task, made["conformal"]), made["test"], made["everybody"]
            again = np.tile(np.arange(len(test.labels)), snapshots)
            sums = sums_by_group(
                np.where(test.wild, *reversed(GROUPS))[again],
                test.labels[again],
                test.scores[again],
                task=task,
                customers=again,
                decisions=(test.scores > 0.5)[again],
                covered=conformal.covered(test.labels, test.scores)[again],
            )
            figures = compare({("kind",): sums}, task=task, smallest=100).of("kind", "coverage")
            truth = conformal.covered(everybody.labels, everybody.scores)
            for group, of_group in zip(GROUPS, (~everybody.wild, everybody.wild), strict=True):
                figure, true = figures[group], float(truth[of_group].mean())
                if figure.low is not None and figure.high is not None:
                    held, total = held + (figure.low <= true <= figure.high), total + 1
        setting = f"{task.value}, {snapshots} rows a customer"
        yield share("bounds of a group's coverage hold it", setting, held, total, least=0.94)


SIMULATIONS: tuple[Simulation, ...] = (coverage_by_side, coverage_by_group)
