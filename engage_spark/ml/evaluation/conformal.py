"""Predict intervals and sets that hold the label with a promised probability (split conformal prediction).

The promise holds whatever the model is worth. The model is fitted on other rows; on these, n of them, its
error is measured, and the ceil((n + 1) * coverage)-th smallest error is what a new row stays within with at
least that probability, if it is exchangeable with them (Vovk, Gammerman, Shafer 2005; Lei, G'Sell, Rinaldo,
Tibshirani, Wasserman 2018, theorem 2.2). Measured apart for each class, group or range of predictions, the
promise holds within each (Mondrian, Vovk et al. 2005, chapter 4; by ranges of predictions: Boström,
Johansson, Löfström 2021). Pure but for the `with_` functions.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from engage_spark.errors import InputError
from engage_spark.ml.evaluation.metrics import checked
from engage_spark.ml.feature_spec import Task
from engage_spark.numerics.dtypes import F64, I64

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame


def rank(n: int, coverage: float) -> int:
    """Return which of n errors in ascending order, from 1, bounds a new one: ceil((n + 1) * coverage).

    A rank above n means that none of them does.
    """
    if not 0 < coverage < 1:
        raise InputError(
            f"a coverage of {coverage} is none",
            hint="give a share between 0 and 1, such as 0.9 (models.coverage)",
        )
    # In decimals as written: 0.9 of 10 is the 9th, and not the 10th because 0.9 has no end in binary.
    return math.ceil((n + 1) * Fraction(repr(float(coverage))))


def quantile(residuals: Any, coverage: float) -> float:
    """Return what a new residual stays within with probability `coverage` or more.

    It is infinite where there are too few residuals to say.
    """
    values = np.asarray(residuals, dtype=np.float64)
    k = rank(len(values), coverage)
    return float(np.partition(values, k - 1)[k - 1]) if k <= len(values) else math.inf


@dataclass(frozen=True, kw_only=True)
class ConformalCell:
    """Rows whose error was measured together.

    `part` is the class of two, or the number of the range of predictions. `radius` is infinite where n is too
    small.
    """

    group: str | None
    part: int
    n: int
    radius: float


@dataclass(frozen=True, kw_only=True)
class Conformal:
    """The measured radii, and how they are applied.

    REGRESSION: a prediction less and more its cell's radius, within the bounds; its cell is the group and the
    range of predictions that `cuts` (lower bounds of the second range and on) put it in. BINARY: a class is
    in the set when 1 - its probability is at most its cell's radius. `by_group`: cells are of one group, None
    being the group of nulls. A group that was not seen has the whole range.
    """

    task: Task
    coverage: float
    cells: tuple[ConformalCell, ...]
    minimum: float | None = None
    maximum: float | None = None
    cuts: tuple[float, ...] = ()
    by_class: bool = False
    by_group: bool = False

    @property
    def parts(self) -> int:
        """Cells a group has."""
        return 2 if self.task is Task.BINARY else len(self.cuts) + 1

    @property
    def too_small(self) -> tuple[ConformalCell, ...]:
        """Cells that promise nothing but the whole range, since they have fewer rows than the rank needs."""
        return tuple(c for c in self.cells if math.isinf(c.radius))

    def radii(self) -> dict[str | None, tuple[float, ...]]:
        """Return the radii by group, in the order of the parts; under None where there are no groups."""
        by_group: dict[str | None, list[float]] = {}
        for c in self.cells:
            by_group.setdefault(c.group, [math.inf] * self.parts)[c.part] = c.radius
        return {g: tuple(r) for g, r in by_group.items()}

    def intervals(self, predictions: Any, groups: Any = None) -> tuple[F64, F64]:
        """Return the lower and upper end of each prediction's interval.

        Cost: numpy, one pass per group.
        """
        p = np.asarray(predictions, dtype=np.float64)
        radius = self._radius(len(p), groups, _parts(p, self.cuts))
        low, high = p - radius, p + radius
        low = low if self.minimum is None else np.clip(low, self.minimum, self.maximum)
        return low, high if self.maximum is None else np.clip(high, self.minimum, self.maximum)

    def sets(self, probabilities: Any, groups: Any = None) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Return whether class 0, and whether class 1, is in each row's set.

        Neither or both may be: the row is like none, or like both.
        """
        p = np.asarray(probabilities, dtype=np.float64)
        zeros = np.zeros(len(p), dtype=np.int64)
        return p <= self._radius(len(p), groups, zeros), 1.0 - p <= self._radius(len(p), groups, zeros + 1)

    def covered(self, labels: Any, predictions: Any, groups: Any = None) -> NDArray[np.bool_]:
        """Return whether each label is within its interval or set."""
        y = np.asarray(labels, dtype=np.float64)
        if self.task is Task.BINARY:
            zero, one = self.sets(predictions, groups)
            return np.where(y == 1, one, zero)
        low, high = self.intervals(predictions, groups)
        return np.asarray((low <= y) & (y <= high))

    def _radius(self, n: int, groups: Any, parts: I64) -> F64:
        radii, radius = self.radii(), np.full(n, math.inf)
        for group, rows in _by_group(n, groups if self.by_group else None, self.by_group):
            if group in radii:
                radius[rows] = np.asarray(radii[group])[parts[rows]]
        return radius

    def to_json(self) -> str:
        """Return text that `from_json` reads; an infinite radius is null, since JSON has no such number."""
        cells = [asdict(c) | {"radius": None if math.isinf(c.radius) else c.radius} for c in self.cells]
        return json.dumps(
            asdict(self) | {"task": self.task.value, "cells": cells}, allow_nan=False, sort_keys=True
        )

    @classmethod
    def from_json(cls, text: str) -> Conformal:
        """Read what `to_json` wrote.

        Errors: InputError where the text is something else.
        """
        try:
            d = json.loads(text)
            cells = tuple(
                ConformalCell(**(c | {"radius": math.inf if c["radius"] is None else c["radius"]}))
                for c in d["cells"]
            )
            return cls(**(d | {"task": Task(d["task"]), "cells": cells, "cuts": tuple(d["cuts"])}))
        except (ValueError, TypeError, KeyError) as e:
            raise InputError(
                f"this is not a stored conformal calibration: {type(e).__name__}: {e}",
                hint="train the model again, or restore its artefact",
            ) from e


def calibrate_regression(
    labels: Any,
    predictions: Any,
    *,
    coverage: float,
    minimum: float | None = None,
    maximum: float | None = None,
    parts: int = 1,
    cuts: Sequence[float] | None = None,
    groups: Any = None,
) -> Conformal:
    """Measure intervals from absolute errors on rows that the model was not fitted on.

    `parts`: ranges of predictions with as many rows each, so that intervals are as wide as the errors are
    there (10 for a skewed target); `cuts` fixes them. Equal predictions share a range, so there may be fewer.
    `groups`: text or None per row, for a promise within each.

    Errors: InputError on unusable arrays.
    """
    y, p, _ = checked(labels, predictions, task=Task.REGRESSION, what="predictions")
    places = np.arange(1, parts) * len(p) // parts
    bounds = np.unique(np.sort(p)[places]) if cuts is None else np.asarray(sorted(cuts), dtype=np.float64)
    if cuts is None and len(bounds) and bounds[0] == p.min():
        bounds = bounds[1:]  # nothing would be below it
    cells = _cells(np.abs(y - p), _parts(p, tuple(bounds)), len(bounds) + 1, groups, coverage)
    return Conformal(
        task=Task.REGRESSION,
        coverage=coverage,
        cells=tuple(cells),
        minimum=minimum,
        maximum=maximum,
        cuts=tuple(bounds.tolist()),
        by_group=groups is not None,
    )


def calibrate_sets(
    labels: Any, probabilities: Any, *, coverage: float, by_class: bool = True, groups: Any = None
) -> Conformal:
    """Measure sets of two classes from 1 - the label's probability, on rows that the model was not fitted on.

    `by_class`: the promise holds among those labelled 1 as among those labelled 0. Without it (marginal) it
    may be kept by the larger class alone. Scores with many ties, such as isotonic steps, cover more than is
    asked: take the probability before such a calibration.
    """
    y, p, _ = checked(labels, probabilities, task=Task.BINARY, probabilities=True, what="probabilities")
    errors, parts = np.where(y == 1, 1.0 - p, p), y.astype(np.int64)
    if by_class:
        cells = list(_cells(errors, parts, 2, groups, coverage))
    else:
        marginal = list(_cells(errors, np.zeros_like(parts), 1, groups, coverage))
        cells = [
            ConformalCell(group=c.group, part=part, n=c.n, radius=c.radius)
            for c in marginal
            for part in (0, 1)
        ]
    return Conformal(
        task=Task.BINARY,
        coverage=coverage,
        cells=tuple(cells),
        minimum=0.0,
        maximum=1.0,
        by_class=by_class,
        by_group=groups is not None,
    )


def _cells(errors: F64, parts: I64, n_parts: int, groups: Any, coverage: float) -> Iterable[ConformalCell]:
    for group, rows in _by_group(len(errors), groups, groups is not None):
        for part in range(n_parts):
            own = errors[rows & (parts == part)]
            yield ConformalCell(group=group, part=part, n=len(own), radius=quantile(own, coverage))


def _by_group(n: int, groups: Any, grouped: bool) -> Iterable[tuple[str | None, NDArray[np.bool_]]]:
    """Every group and where its rows are, nulls last; all rows under None where there are no groups."""
    if not grouped:
        return [(None, np.ones(n, dtype=bool))]
    if groups is None or len(groups) != n:
        raise InputError(
            f"{0 if groups is None else len(groups)} groups are given for {n} rows",
            hint="this calibration is by group: name every row's",
        )
    values = np.asarray([None if g is None else str(g) for g in groups], dtype=object)
    names = sorted({g for g in values if g is not None})
    return [
        (g, np.asarray(values == g, dtype=bool))
        for g in (*names, None)
        if g is not None or None in set(values)
    ]


def _parts(p: F64, cuts: Sequence[float]) -> I64:
    return np.searchsorted(np.asarray(cuts, dtype=np.float64), p, side="right").astype(np.int64)


def with_interval(
    df: DataFrame,
    conformal: Conformal,
    *,
    prediction: str = "prediction",
    group: str | None = None,
    low: str = "interval_low",
    high: str = "interval_high",
) -> DataFrame:
    """Add `low` and `high`, double: the ends of each prediction's interval.

    They have the same bits as `Conformal.intervals`.

    Grain: unchanged.

    Nulls: null where the prediction is null; infinite where a cell was too small and the target has no bound.
    """
    from pyspark.sql import functions as F

    p, radius = F.col(prediction), _radius_column(conformal, group, prediction)

    def within(x: Column) -> Column:
        x = x if conformal.maximum is None else F.least(x, F.lit(conformal.maximum))
        return F.when(
            p.isNotNull(), x if conformal.minimum is None else F.greatest(x, F.lit(conformal.minimum))
        )

    return df.withColumns({low: within(p - radius), high: within(p + radius)})


def with_set(
    df: DataFrame,
    conformal: Conformal,
    *,
    probability: str = "prediction",
    group: str | None = None,
    name: str = "prediction_set",
) -> DataFrame:
    """Add `name`, array<int>: the classes in each row's set, ascending, as `Conformal.sets`.

    Nulls: null where the probability is null.
    """
    from pyspark.sql import functions as F

    p, none = F.col(probability), F.lit(None).cast("int")
    zero = F.when(p <= _radius_column(conformal, group, part=0), F.lit(0)).otherwise(none)
    one = F.when(F.lit(1.0) - p <= _radius_column(conformal, group, part=1), F.lit(1)).otherwise(none)
    return df.withColumn(name, F.when(p.isNotNull(), F.array_compact(F.array(zero, one))))


def _radius_column(
    conformal: Conformal, group: str | None, prediction: str | None = None, part: int = 0
) -> Column:
    from pyspark.sql import functions as F

    if conformal.by_group != (group is not None):
        raise InputError(
            "this calibration is by group, and no column of groups is named"
            if conformal.by_group
            else "this calibration is not by group",
            hint="name the column when it is, and none when it is not",
        )

    def of(radii: Sequence[float]) -> Column:
        if prediction is None:
            return F.lit(float(radii[part]))
        column = F.lit(float(radii[-1]))
        for cut, radius in zip(reversed(conformal.cuts), reversed(radii[:-1]), strict=True):
            column = F.when(F.col(prediction) < F.lit(cut), F.lit(float(radius))).otherwise(column)
        return column

    radii = conformal.radii()
    if group is None:
        return of(radii[None])
    column = F.lit(math.inf)
    for g, own in radii.items():
        column = F.when(F.col(group).cast("string").eqNullSafe(F.lit(g)), of(own)).otherwise(column)
    return column
