"""How often equal groups are flagged, unequal ones are not, and bounds miss a group's rate."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from bench.simulations import Figure, Simulation, share
from engage_spark.ml.fairness.group_metrics import Fairness, FairnessAnswer, compare
from engage_spark.ml.fairness.group_sums import sums_by_group
from engage_spark.ml.feature_spec import Task

GROUPS = 12
SMALLEST = 100


def audited(seed: int, *, rows: int, base: float, snapshots: int = 1, worse: float = 1.0) -> Fairness:
    """Compare twelve groups of customers whose rows of all snapshots are alike.

    The first group's customers are selected `worse` times as often as the others', whatever their label.
    """
    draw = np.random.default_rng((2, seed, rows, int(1000 * base), snapshots))
    n = GROUPS * rows
    group = np.repeat(np.arange(GROUPS), rows)
    label = (draw.random(n) < base).astype(float)
    rate = np.where(label == 1, 0.7, 0.3 * base / (1 - base)) * np.where(group == 0, worse, 1.0)
    decision = (draw.random(n) < rate).astype(float)
    again = np.tile(np.arange(n), snapshots)
    sums = sums_by_group(
        np.array([f"g{g}" for g in group])[again],
        label[again],
        decision[again],
        task=Task.BINARY,
        customers=again,
        decisions=decision[again],
    )
    return compare({("kind",): sums}, task=Task.BINARY, smallest=SMALLEST)


def equal_groups(runs: int) -> Iterator[Figure]:
    """Count the trainings with any flag where all groups are treated alike."""
    for rows, base, snapshots in ((120, 0.05, 1), (120, 0.38, 3), (600, 0.05, 1), (600, 0.38, 1)):
        flagged = sum(
            bool(audited(s, rows=rows, base=base, snapshots=snapshots).flagged) for s in range(runs)
        )
        setting = f"{GROUPS} of {rows} customers, {snapshots} rows each, base rate {base:.0%}"
        yield share("equal groups are flagged", setting, flagged, runs, most=0.05)


def planted_groups(runs: int) -> Iterator[Figure]:
    """Count the trainings in which a group selected at 0.6 of the others' rate is flagged, and no other."""
    for rows, base in ((2_000, 0.38), (6_000, 0.15)):
        found_alone = wrong = 0
        for seed in range(runs):
            spreads = audited(seed, rows=rows, base=base, worse=0.6).spreads
            (parity,) = (s for s in spreads if s.metric == "statistical_parity")
            lower = {pair.lower for pair in parity.flagged}
            found_alone += parity.answer is FairnessAnswer.FLAGGED and lower == {"g0"}
            wrong += bool(lower - {"g0"})
        setting = f"{GROUPS} of {rows:,} customers, base rate {base:.0%}"
        yield share("a planted ratio of 0.6 is flagged", setting, found_alone, runs, least=0.95)
        yield share("a group beside the planted one is flagged", setting, wrong, runs, most=0.05)


def audited_errors(seed: int, *, rows: int, worse: float = 1.0, snapshots: int = 1) -> Fairness:
    """Compare twelve groups by skewed errors of amounts; the first group's are `worse` times as large."""
    draw = np.random.default_rng((9, seed, rows, snapshots))
    n = GROUPS * rows
    group = np.repeat(np.arange(GROUPS), rows)
    label = np.exp(draw.normal(3, 1, n))
    off = np.exp(draw.normal(0, 0.8, n)) * draw.choice([-1, 1], n) * np.where(group == 0, worse, 1.0)
    again = np.tile(np.arange(n), snapshots)
    sums = sums_by_group(
        np.array([f"g{g}" for g in group])[again],
        label[again],
        (label + off)[again],
        task=Task.REGRESSION,
        customers=again,
    )
    return compare({("kind",): sums}, task=Task.REGRESSION, smallest=SMALLEST)


def equal_errors(runs: int) -> Iterator[Figure]:
    """Count the trainings of a number with a flag where the errors of all groups are alike, and where the
    first group's are 1.6 times as large.
    """
    for rows, snapshots in ((120, 1), (120, 3), (600, 1)):
        flagged = sum(bool(audited_errors(s, rows=rows, snapshots=snapshots).flagged) for s in range(runs))
        setting = f"{GROUPS} of {rows} customers, {snapshots} rows each, errors of numbers"
        yield share("equal groups are flagged", setting, flagged, runs, most=0.05)
    found = 0
    for seed in range(runs):
        (spread,) = audited_errors(seed, rows=1_000, worse=1.6).flagged or (None,)
        found += spread is not None and {pair.higher for pair in spread.flagged} == {"g0"}
    yield share("a planted ratio of 0.625 is flagged", f"{GROUPS} of 1,000", found, runs, least=0.95)


def repeated_customers(runs: int) -> Iterator[Figure]:
    """Count the bounds of a rate of selection that hold the truth, with three like rows a customer."""
    for rows, base in ((300, 0.2), (1_000, 0.05)):
        truth = base * 0.7 + (1 - base) * 0.3 * base / (1 - base)
        held = total = 0
        for seed in range(runs):
            figures = audited(seed, rows=rows, base=base, snapshots=3).of("kind", "statistical_parity")
            held += sum((f.low or 0.0) <= truth <= (f.high or 1.0) for f in figures.values())
            total += len(figures)
        setting = f"{rows:,} customers, 3 rows each, rate {truth:.1%}"
        yield share("bounds of a group's rate hold it", setting, held, total, least=0.94, most=0.97)


SIMULATIONS: tuple[Simulation, ...] = (equal_groups, planted_groups, equal_errors, repeated_customers)
