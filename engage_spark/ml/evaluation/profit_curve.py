"""Compute the probability at which a contact pays, and the profit of contacts.

A contact costs `cost`, and with a row of class 1 it succeeds with probability `success`, which is worth
`value`: it pays where p * success * value > cost, so from p* = cost / (success * value) on, if p is
calibrated (Elkan 2001). The profit on held-out rows is counted at every threshold, with an interval, and
beside p* stands the threshold that was best on these very rows, which flatters itself. That a contact
succeeds at all is an assumption of the caller: no data here says what a contact changes. Pure numpy.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from engage_spark.contract.money import ContactMoney
from engage_spark.errors import InputError
from engage_spark.ml.evaluation.bootstrap import arranged, interval
from engage_spark.ml.evaluation.confusion import Confusion
from engage_spark.ml.evaluation.metrics import checked
from engage_spark.ml.feature_spec import Task
from engage_spark.numerics.dtypes import F64

STEPS = 100
"""Steps of the curve from 0 to 1."""
_TWO_SIDED_95 = 1.959963984540054


@dataclass(frozen=True, kw_only=True)
class ContactCounts:
    """Held-out rows by what a model gives them: enough to tell the profit of contacts at any money.

    `contacted[i]` rows have a probability of i / STEPS or more, and `leaving[i]` of them were of class 1.
    `customers` are the different ones among the `n` rows.
    """

    n: float
    customers: float
    contacted: tuple[float, ...]
    leaving: tuple[float, ...]

    def earns(self, money: ContactMoney) -> bool:
        """Return whether contacts from p* on earn more than nothing, with 95% confidence.

        Counted from the step at or above p* on; repeated rows of a customer count once in the confidence.
        """
        if money.threshold > 1 or not self.n:
            return False
        at = int(np.searchsorted(np.arange(STEPS + 1) / STEPS, money.threshold))
        k, leaving, gain = self.contacted[at], self.leaving[at], money.success * money.value
        mean = (gain * leaving - money.cost * k) / self.n
        square = (leaving * (gain - money.cost) ** 2 + (k - leaving) * money.cost**2) / self.n
        error = math.sqrt(max(0.0, square - mean**2) / self.customers)
        return mean - _TWO_SIDED_95 * error > 0


def contact_counts(labels: Any, probabilities: Any, *, customers: Any) -> ContactCounts:
    """Count held-out rows by their probability; `customers` tells whose a row is.

    Errors: InputError on unusable arrays.
    """
    y, p, _ = checked(labels, probabilities, task=Task.BINARY, probabilities=True, what="probabilities")
    steps = np.searchsorted(np.arange(STEPS + 1) / STEPS, p, side="right") - 1
    counts = [np.bincount(steps, weights=w, minlength=STEPS + 1) for w in (np.ones(len(y)), y)]
    contacted, leaving = (tuple(np.cumsum(c[::-1])[::-1].tolist()) for c in counts)
    return ContactCounts(
        n=float(len(y)),
        customers=float(len(np.unique(np.asarray(customers)))),
        contacted=contacted,
        leaving=leaving,
    )


@dataclass(frozen=True, kw_only=True)
class ProfitPoint:
    """The profit of contacting all rows at or above `threshold`.

    Units: `profit`, `low`, `high` are per 1,000 rows, contacted or not.
    """

    threshold: float
    contacted: float
    profit: float
    low: float
    high: float


@dataclass(frozen=True, kw_only=True)
class Profit:
    """The profit of contacts at one value of a success.

    `chosen` is p*; above 1 where no contact can pay. `at` is the profit there, and `confusion` the rows
    there, with the threshold itself selected. `best`: the threshold with the highest profit on these rows
    (infinite: contact nobody). `curve`: from all to none.
    """

    value: float
    cost: float
    success: float
    n: int
    chosen: float
    at: ProfitPoint
    confusion: Confusion
    best: float
    best_profit: float
    everyone: ProfitPoint
    curve: tuple[ProfitPoint, ...]
    confidence: float

    def to_json(self) -> str:
        """Return text that `from_json` reads; that nobody is best contacted is null."""
        content = asdict(self) | {"best": None if math.isinf(self.best) else self.best}
        return json.dumps(content, allow_nan=False, sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> Profit:
        """Read what `to_json` wrote.

        Errors: InputError where the text is something else.
        """
        try:
            d = json.loads(text)
            read = {name: ProfitPoint(**d[name]) for name in ("at", "everyone")} | {
                "curve": tuple(ProfitPoint(**p) for p in d["curve"])
            }
            best = math.inf if d["best"] is None else d["best"]
            return cls(**(d | read | {"confusion": Confusion(**d["confusion"]), "best": best}))
        except (ValueError, TypeError, KeyError) as e:
            raise InputError(
                f"this is not a stored profit curve: {type(e).__name__}: {e}", hint="train the model again"
            ) from e


def threshold(*, value: float, cost: float, success: float) -> float:
    """Return p* = cost / (success * value); it is above 1 where no contact can pay.

    Errors: InputError where one of them makes no sense.
    """
    problems = [
        f"{name} is {x}, and must be above 0"
        for name, x in (("value", value), ("cost", cost), ("success", success))
        if not x > 0
    ]
    if success > 1:
        problems.append(f"success is {success}, and is a probability")
    if problems:
        raise InputError(
            "no threshold follows from these",
            details=problems,
            hint="correct the money that the contract declares of the target",
        )
    return cost / (success * value)


def profits(
    labels: Any,
    probabilities: Any,
    *,
    values: Sequence[float],
    cost: float,
    success: float,
    clusters: Any = None,
    replicates: int = 200,
    confidence: float = 0.95,
    seed: int = 0,
) -> tuple[Profit, ...]:
    """Return one Profit for each of `values`, from the same rows and the same draws.

    `bootstrap.arranged` explains `clusters`.

    Cost: one sort, and per replicate one draw and one pass over the rows, however many values.

    Errors: InputError on unusable arrays.
    """
    cuts = [threshold(value=v, cost=cost, success=success) for v in values]
    y, p, _ = checked(labels, probabilities, task=Task.BINARY, probabilities=True, what="probabilities")
    (p, y), draws = arranged(p, y, clusters=clusters, replicates=replicates, seed=seed)
    grid = np.unique(np.concatenate([np.arange(STEPS + 1) / STEPS, cuts]))
    places = np.searchsorted(grid, p, side="right") - 1  # the last threshold that still contacts the row

    def counted(w: F64) -> F64:
        rows, ones = (np.bincount(places, weights=x, minlength=len(grid)) for x in (w, w * y))
        return np.stack([np.cumsum(rows[::-1])[::-1], np.cumsum(ones[::-1])[::-1]])

    all_rows, replicate_counts = counted(np.ones(draws.n)), draws.evaluate(counted)
    best = [_best(p, y, success * v, cost) for v in values]
    return tuple(
        _profit(
            v, cut, b, grid, all_rows, replicate_counts, cost=cost, success=success, confidence=confidence
        )
        for v, cut, b in zip(values, cuts, best, strict=True)
    )


def _profit(
    value: float,
    cut: float,
    best: tuple[float, float],
    grid: F64,
    all_rows: F64,
    replicate_counts: F64,
    *,
    cost: float,
    success: float,
    confidence: float,
) -> Profit:
    n, ones = float(all_rows[0, 0]), float(all_rows[1, 0])

    def point(i: int) -> ProfitPoint:
        rows, n_kept = all_rows[:, i]
        replicates = (
            1000.0
            * (success * value * replicate_counts[:, 1, i] - cost * replicate_counts[:, 0, i])
            / replicate_counts[:, 0, 0]
        )
        bounds = interval(
            1000.0 * (success * value * float(n_kept) - cost * float(rows)) / n,
            replicates,
            confidence=confidence,
        )
        return ProfitPoint(
            threshold=float(grid[i]),
            contacted=float(rows) / n,
            profit=bounds.value,
            low=bounds.low,
            high=bounds.high,
        )

    on_grid = np.flatnonzero(np.isin(grid, np.arange(STEPS + 1) / STEPS))
    at = int(np.searchsorted(grid, cut))
    selected, tp = (float(x) for x in all_rows[:, at])
    return Profit(
        value=value,
        cost=cost,
        success=success,
        n=int(n),
        chosen=cut,
        at=point(at),
        best=best[0],
        best_profit=1000.0 * best[1] / n,
        confusion=Confusion(tp=tp, fp=selected - tp, fn=ones - tp, tn=n - selected - (ones - tp)),
        everyone=point(0),
        curve=tuple(point(int(i)) for i in on_grid),
        confidence=confidence,
    )


def _best(p: F64, y: F64, gain: float, cost: float) -> tuple[float, float]:
    """Return the threshold with the highest profit, and that profit; the higher one where two share it.

    Rows are sorted by ascending probability. All distinct probabilities are tried, and contacting nobody.
    """
    starts = np.flatnonzero(np.concatenate([[True], p[1:] != p[:-1]]))
    cumulative_profit = np.cumsum((gain * y - cost)[::-1])[::-1][starts]
    top = float(cumulative_profit.max())
    if top <= 0:
        return math.inf, 0.0
    return float(p[starts[np.flatnonzero(cumulative_profit == top)[-1]]]), top
