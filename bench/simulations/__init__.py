"""Simulations of what the models claim: worlds whose truth is known, and how often a claim holds in them.

A simulation takes a number of runs and yields figures, each with the limit that it must keep. Tests call them
with few runs, `python -m bench.honesty` with many. They need numpy and no Spark.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from engage_spark.numerics.binomial import binomial_bounds

_LEVEL = -math.log(0.005)
"""A bound of a share is wrong in one of 200 simulations."""


@dataclass(frozen=True, kw_only=True)
class Figure:
    """What a simulation measured: `low` and `high` are how far chance alone may have moved `value`.

    `most` and `least` are the limits, None where there is none on that side.
    """

    name: str
    setting: str
    value: float
    low: float
    high: float
    most: float | None = None
    least: float | None = None

    @property
    def holds(self) -> bool:
        """Whether the limit is kept, as far as the number of runs can tell."""
        return (self.most is None or self.low <= self.most) and (
            self.least is None or self.high >= self.least
        )

    @property
    def limit(self) -> str:
        """The limit in words."""
        limits = (("at most", self.most), ("at least", self.least))
        return ", ".join(f"{word} {limit:g}" for word, limit in limits if limit is not None)


Simulation = Callable[[int], Iterator[Figure]]
"""Takes the number of runs."""


def share(
    name: str, setting: str, hits: int, runs: int, *, most: float | None = None, least: float | None = None
) -> Figure:
    """Return the share of `runs` that are hits, with its exact bounds."""
    low, high = binomial_bounds([hits], runs, [_LEVEL])
    return Figure(
        name=name,
        setting=setting,
        value=hits / runs,
        low=float(low[0]),
        high=float(high[0]),
        most=most,
        least=least,
    )


def mean(
    name: str,
    setting: str,
    values: Sequence[float],
    *,
    most: float | None = None,
    least: float | None = None,
) -> Figure:
    """Return the mean of the runs, with three standard errors of it."""
    average = sum(values) / len(values)
    spread = math.sqrt(sum((v - average) ** 2 for v in values) / max(1, len(values) - 1) / len(values))
    return Figure(
        name=name,
        setting=setting,
        value=average,
        low=average - 3 * spread,
        high=average + 3 * spread,
        most=most,
        least=least,
    )
