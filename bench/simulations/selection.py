"""How often selection keeps a category of pure noise, and pushes a feature that matters out for it."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from bench.simulations import Figure, Simulation, share
from engage_spark.ml.selection.fold_gram import Gram, GramSlot
from engage_spark.ml.selection.rfe import eliminate
from engage_spark.numerics.dtypes import F64, I64

NUMBERS, KEEP = 30, 25
MATTERS = 0.055
"""The weight of each number beside noise of variance 1: each explains 0.003 of what the others leave."""


def gram_of(numbers: F64, levels: I64, y: F64) -> Gram:
    """Return the centred products of numbers and of the levels of a category, the most frequent left out."""
    counts = np.bincount(levels)
    indicators = levels[:, None] == np.delete(np.arange(len(counts)), counts.argmax())[None, :]
    x = np.column_stack([numbers, indicators])
    x, centred = x - x.mean(axis=0), y - y.mean()
    names = [*(f"x{i}" for i in range(numbers.shape[1])), *["category"] * (len(counts) - 1)]
    return Gram(
        target="y",
        sources=tuple(dict.fromkeys(names)),
        slots=tuple(GramSlot(source=s) for s in names),
        rows=len(y),
        means=np.zeros(len(names)),
        products=x.T @ x,
        with_target=x.T @ centred,
        target_mean=float(y.mean()),
        of_target=float(centred @ centred),
    )


def world(seed: int, *, levels: int, customers: int, days: int = 1, effect: float = 0.0) -> Gram:
    """Make numbers that all matter beside a category whose levels shift the target by `effect` (its standard
    deviation). All days of a customer are alike.
    """
    draw = np.random.default_rng((3, seed, levels, customers))
    numbers, level = draw.normal(size=(customers, NUMBERS)), draw.integers(0, levels, customers)
    shift = effect * draw.normal(size=levels)
    y = MATTERS * numbers.sum(axis=1) + shift[level] + draw.normal(size=customers)
    return gram_of(np.tile(numbers, (days, 1)), np.tile(level, days), np.tile(y, days))


def noise_categories(runs: int) -> Iterator[Figure]:
    """Count how often a category of noise is among the features that are kept."""
    for levels, customers, days in ((60, 6_400, 1), (100, 6_400, 1), (100, 6_400, 3)):
        grams = (world(s, levels=levels, customers=customers, days=days) for s in range(runs))
        hits = sum("category" in eliminate(g, KEEP, days=days).kept for g in grams)
        setting = f"{levels} levels, {customers:,} customers, {days} days"
        yield share("a category of noise is kept", setting, hits, runs, most=0.05)


def real_categories(runs: int) -> Iterator[Figure]:
    """Count how often a category of many levels that matters more than any number is kept."""
    grams = (world(s, levels=20, customers=6_400, effect=0.15) for s in range(runs))
    hits = sum("category" in eliminate(g, KEEP).kept for g in grams)
    yield share("a category that matters is kept", "20 levels, 6,400 customers", hits, runs, least=0.95)


SIMULATIONS: tuple[Simulation, ...] = (noise_categories, real_categories)
