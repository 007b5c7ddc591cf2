"""Map a model's probabilities to frequencies, by the method that rows left out judge better. Pure numpy.

Two methods: logistic regression of the label on the log-odds (two numbers, so a few dozen rows are enough)
and isotonic regression (any rising curve, which needs thousands). The folds of the calibration rows, by
customer, choose: the one with the smallest log-loss on the folds that it was not fitted on. The mean stands
in where no line rises. It is no rival: on 20 to 60 rows it wins by chance in up to a third of the cases where
scores say much, and then all customers have one probability (`bench/simulations/calibration.py`).

Neither claims more than the rows can show. Of n customers with k ones a step says (k + ½) / (n + 1), a step
has at least STEP customers, and no probability lies beyond ½ / (n + 1) of all n customers from 0 or 1.

Rows come counted by their log-odds on a grid, so the result has the same bits however they lie.

Source: J. Platt, "Probabilistic outputs for support vector machines", 1999; B. Zadrozny and C. Elkan,
"Transforming classifier scores into accurate multiclass probability estimates", KDD 2002; the half: H.
Jeffreys' prior of a share, L. D. Brown, T. T. Cai and A. DasGupta, Statistical Science 16, 2001, section 4.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from engage_spark.errors import ConfigurationError
from engage_spark.numerics.dtypes import F64, I64

GRID = 256
"""Steps of the grid for a unit of log-odds: a probability moves by less than 0.0005 on it."""
NEAREST = 1e-12
"""Probabilities nearer to 0 or 1 count as this far away."""
FOLDS = 5
STEP = 50
"""Customers that a step of isotonic regression has at least."""
MOST_STEPS = 100
ORDER_SHARE = 0.001
"""How much of the uncalibrated probability is in a calibrated one, stretched between its ends: rows keep
their order within a step, at a cost in calibration of less than a thousandth.
"""
MEAN, LOGISTIC, ISOTONIC = "mean", "logistic", "isotonic"
SLOPE_PRIOR = 0.1
"""How sure a slope of 1 is before any row (one over its variance): it decides where all are of one score."""
SURE = 0.001
"""Logistic regression takes scores nearer to 0 or 1 than this, and than the rows can show, as this far away:
a score of 0 is no place on a line, and would bend it.
"""
MOST_ITERATIONS, SMALLEST_PART, TOLERANCE, TINY = 100, 1e-9, 1e-12, 1e-300
"""Steps of Newton's method, the smallest part of one, the relative fall of the loss that ends them, and what
no weight is below.
"""


@dataclass(frozen=True, kw_only=True, eq=False)
class ScoreCounts:
    """Rows and those with label 1, by place on the grid of log-odds and by fold.

    Grain: one entry per place and fold, sorted by place. `days`: how many rows a customer may have.
    """

    place: I64
    fold: I64
    rows: I64
    ones: I64
    days: int = 1

    @classmethod
    def of(cls, probabilities: Any, labels: Any, folds: Any, *, days: int = 1) -> ScoreCounts:
        """Count rows by their probabilities, as Spark does."""
        p = np.clip(np.asarray(probabilities, dtype=np.float64), NEAREST, 1 - NEAREST)
        places = np.rint(np.log(p / (1 - p)) * GRID).astype(np.int64)
        folds = np.asarray(folds, dtype=np.int64)
        keys, at = np.unique(places * FOLDS + folds, return_inverse=True)
        ones = np.bincount(at, weights=np.asarray(labels, dtype=np.float64)).astype(np.int64)
        return cls(place=keys // FOLDS, fold=keys % FOLDS, rows=np.bincount(at), ones=ones, days=days)

    def take(self, which: Any) -> ScoreCounts:
        """Return the entries that `which` marks."""
        return ScoreCounts(
            place=self.place[which],
            fold=self.fold[which],
            rows=self.rows[which],
            ones=self.ones[which],
            days=self.days,
        )

    @property
    def log_odds(self) -> F64:
        """The log-odds of each entry."""
        return self.place / GRID

    @property
    def customers(self) -> F64:
        """The customers of each entry, at least: rows of one customer are alike."""
        return self.rows / self.days


@dataclass(frozen=True, kw_only=True)
class CalibrationMap:
    """A rising map from log-odds to probabilities, a line or straight pieces between `knots`.

    `slope` and `intercept` are those of the log-odds (logistic; see SURE); `knots` are log-odds, and `values`
    the probabilities there (isotonic; one of them for the mean). All lie between `low` and `high`. `losses`:
    mean log-loss by method on rows left out, empty where there were too few to compare. `customers`: how many
    it was made from.
    """

    method: str
    slope: float = 1.0
    intercept: float = 0.0
    knots: tuple[float, ...] = ()
    values: tuple[float, ...] = ()
    low: float
    high: float
    customers: int
    losses: Mapping[str, float]

    def of_log_odds(self, log_odds: Any) -> F64:
        """Return calibrated probabilities, before the order within steps is restored."""
        u = np.asarray(log_odds, dtype=np.float64)
        if self.method == LOGISTIC:
            z = self.slope * _inside(u, self.low) + self.intercept
            return np.clip(_sigmoid(z), self.low, self.high)
        return np.asarray(np.interp(u, self.knots, self.values))

    def apply(self, probabilities: Any) -> F64:
        """Return what `sql` computes: calibrated probabilities, in the order of the given ones."""
        p = np.asarray(probabilities, dtype=np.float64)
        z = np.clip(p, NEAREST, 1 - NEAREST)
        stretched = self.low + (self.high - self.low) * p
        return (1 - ORDER_SHARE) * self.of_log_odds(np.log(z / (1 - z))) + ORDER_SHARE * stretched

    def sql(self, column: str) -> str:
        """Write the map as a Spark SQL expression of a column of probabilities."""
        nearest = min(SURE, self.low) if self.method == LOGISTIC else NEAREST
        z = f"LEAST({1 - nearest!r}D, GREATEST({nearest!r}D, {column}))"
        u = f"LN({z} / (1.0D - {z}))"
        if self.method == LOGISTIC:
            odds = f"EXP(-({self.slope!r}D * {u} + {self.intercept!r}D))"
            value = f"LEAST({self.high!r}D, GREATEST({self.low!r}D, 1.0D / (1.0D + {odds})))"
        else:
            value = self._pieces(u, 0, len(self.knots))
        width = self.high - self.low
        return f"{1 - ORDER_SHARE!r}D * {value} + {ORDER_SHARE!r}D * ({self.low!r}D + {width!r}D * {column})"

    def _pieces(self, u: str, first: int, last: int) -> str:
        """Write the pieces that end at knots first..last (0: before the first) as nested halves."""
        if first == last:
            if first in (0, len(self.knots)):
                return f"{self.values[min(first, len(self.values) - 1)]!r}D"
            x, y = self.knots[first - 1 : first + 1], self.values[first - 1 : first + 1]
            slope = (y[1] - y[0]) / (x[1] - x[0])
            return f"({y[0]!r}D + {slope!r}D * ({u} - ({x[0]!r}D)))"
        middle = (first + last) // 2
        lower, upper = self._pieces(u, first, middle), self._pieces(u, middle + 1, last)
        return f"CASE WHEN {u} < {self.knots[middle]!r}D THEN {lower} ELSE {upper} END"


def choose_calibration(counts: ScoreCounts) -> CalibrationMap:
    """Fit the method that predicts the folds' rows best when they are left out; of equals the simplest.

    Where there is one fold alone nothing can be left out, and it is the line. Isotonic regression needs two
    steps.

    Errors: ConfigurationError where there is no row.
    """
    if not counts.rows.sum():
        raise ConfigurationError(
            "no row is left to calibrate on", hint="train on more customers whose label is known"
        )
    folds = np.unique(counts.fold)
    if len(folds) == 1 or counts.customers.sum() < 2 * STEP:
        return fit_logistic(counts, {})
    fits = {LOGISTIC: fit_logistic, ISOTONIC: fit_isotonic}
    losses = {m: _left_out_loss(counts, folds, fit) for m, fit in fits.items()}
    return fits[min(losses, key=lambda m: losses[m])](counts, losses)


def _left_out_loss(
    counts: ScoreCounts, folds: I64, fit: Callable[[ScoreCounts, Mapping[str, float]], CalibrationMap]
) -> float:
    """Return the mean log-loss of rows by the maps that are fitted on the other folds."""
    terms: list[float] = []
    for fold in folds:
        out = counts.take(counts.fold == fold)
        q = fit(counts.take(counts.fold != fold), {}).of_log_odds(out.log_odds)
        terms += (out.ones * np.log(q) + (out.rows - out.ones) * np.log1p(-q)).tolist()
    return -math.fsum(terms) / float(counts.rows.sum())


def fit_mean(counts: ScoreCounts, losses: Mapping[str, float]) -> CalibrationMap:
    """Fit the share of ones as the probability of every row, whatever its score."""
    low, high = _ends(counts)
    customers = float(counts.customers.sum())
    return CalibrationMap(
        method=MEAN,
        knots=(0.0,),
        values=(_share([customers, float(counts.ones.sum()) / counts.days]),),
        low=low,
        high=high,
        customers=int(customers),
        losses=losses,
    )


def fit_logistic(counts: ScoreCounts, losses: Mapping[str, float]) -> CalibrationMap:
    """Fit the label's log-odds as a rising line of the given ones; the mean where there is no such line.

    A row in the middle counts beside those that are there (Platt's half a one and half a zero), so that rows
    of one class alone, or parted ones, have an answer.
    """
    mean = fit_mean(counts, losses)
    line = fit_line(
        np.append(_inside(counts.log_odds, mean.low), 0.0),
        np.append(counts.customers, 1.0),
        np.append(counts.ones / counts.days, 0.5),
    )
    if line is None or line[0] <= 0:  # the model ranks no better than chance
        return mean
    return replace(mean, method=LOGISTIC, slope=line[0], intercept=line[1], knots=(), values=())


def fit_line(u: F64, n: F64, k: F64) -> tuple[float, float] | None:
    """Return slope and intercept of the log-odds of `k` ones of `n` at `u`; None where they do not converge.

    Newton's method on a convex loss, from the mean, each step halved until the loss falls as the step
    promises. Numpy adds in the order of the entries, as BLAS on several threads does not.
    """
    slope, intercept = 0.0, _logit(float(k.sum() / n.sum()))
    loss = _line_loss(slope, intercept, u, n, k)
    for _ in range(MOST_ITERATIONS):
        z = slope * u + intercept
        q, other = _sigmoid(z), _sigmoid(-z)
        weight, rest = n * q * other, k * other - (n - k) * q
        pull, lack = SLOPE_PRIOR * (1.0 - slope), float(rest.sum())
        # Solved about the weighted middle of the scores, where the two numbers do not depend on each other.
        total = max(float(weight.sum()), TINY)
        middle = float((weight * u).sum()) / total
        spread = float((weight * (u - middle) ** 2).sum()) + SLOPE_PRIOR
        turn = (float((rest * (u - middle)).sum()) + pull) / spread
        lift = lack / total - middle * turn
        # How fast the loss falls at the start of the step.
        promise = turn * (float((rest * u).sum()) + pull) + lift * lack
        if promise <= TOLERANCE * max(1.0, loss):
            return slope + turn, intercept + lift
        part, best = 1.0, loss
        while (loss := _line_loss(slope + part * turn, intercept + part * lift, u, n, k)) > (
            best - 1e-4 * part * promise
        ):
            part /= 2
            if part < SMALLEST_PART:
                return None
        slope, intercept = slope + part * turn, intercept + part * lift
    return None


def _line_loss(slope: float, intercept: float, u: F64, n: F64, k: F64) -> float:
    """Return the log-loss of a line, with what holds its slope near 1 where all scores are alike."""
    z = slope * u + intercept
    terms = k * np.logaddexp(0.0, -z) + (n - k) * np.logaddexp(0.0, z)
    return float(terms.sum()) + SLOPE_PRIOR / 2 * (1.0 - slope) ** 2


def fit_isotonic(counts: ScoreCounts, losses: Mapping[str, float]) -> CalibrationMap:
    """Fit rising steps (pool adjacent violators) of at least STEP customers, straight lines between their
    centres.
    """
    low, high = _ends(counts)
    places, at = np.unique(counts.place, return_inverse=True)
    n = np.bincount(at, weights=counts.customers)
    k = np.bincount(at, weights=counts.ones / counts.days)
    steps = _pooled([[float(a), float(b), float(a * u)] for a, b, u in zip(n, k, places / GRID, strict=True)])
    while len(steps) > 1 and (min(s[0] for s in steps) < STEP or len(steps) > MOST_STEPS):
        _join_smallest(steps)
        steps = _pooled(steps)
    return CalibrationMap(
        method=ISOTONIC,
        knots=tuple(s[2] / s[0] for s in steps),
        values=tuple(min(high, max(low, _share(s))) for s in steps),
        low=low,
        high=high,
        customers=int(n.sum()),
        losses=losses,
    )


def _pooled(steps: Sequence[list[float]]) -> list[list[float]]:
    """Join neighbours whose shares do not rise. A step: customers, ones, sum of log-odds."""
    rising: list[list[float]] = []
    for step in steps:
        rising.append(list(step))
        while len(rising) > 1 and _share(rising[-2]) >= _share(rising[-1]):
            last = rising.pop()
            rising[-1] = [a + b for a, b in zip(rising[-1], last, strict=True)]
    return rising


def _join_smallest(steps: list[list[float]]) -> None:
    """Join the step of fewest customers with the neighbour whose share is nearer."""
    i = min(range(len(steps)), key=lambda j: steps[j][0])
    neighbours = [j for j in (i - 1, i + 1) if 0 <= j < len(steps)]
    j = min(neighbours, key=lambda j: abs(_share(steps[j]) - _share(steps[i])))
    first, second = sorted((i, j))
    steps[first] = [a + b for a, b in zip(steps[first], steps.pop(second), strict=True)]


def _share(step: Sequence[float]) -> float:
    return (step[1] + 0.5) / (step[0] + 1)


def _ends(counts: ScoreCounts) -> tuple[float, float]:
    low = 0.5 / (float(counts.customers.sum()) + 1)
    return low, 1 - low


def _logit(p: float) -> float:
    return float(np.log(p / (1 - p)))


def _inside(log_odds: F64, low: float) -> F64:
    """Return the log-odds as a line takes them; see SURE."""
    nearest = min(SURE, low)
    return np.clip(log_odds, _logit(nearest), _logit(1 - nearest))


def _sigmoid(z: F64) -> F64:
    return np.asarray(1 / (1 + np.exp(-np.clip(z, -700, 700))))
