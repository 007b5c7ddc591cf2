"""Measure groups in one Spark pass: rows are added up per combination of the protected attributes.

What follows is arithmetic. Sums are whole numbers, so any partitioning gives the same bits: scores and errors
on a grid of 2^-40 of the target's size, squared errors on one of 2^-50, each in two halves that do not
overflow below 2^36 rows.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import combinations, pairwise
from typing import TYPE_CHECKING, Any

from engage_spark.contract import Contract
from engage_spark.errors import ConfigurationError, InputError
from engage_spark.ml.fairness.group_metrics import (
    ALL,
    MISSING,
    Fairness,
    GroupSums,
    compare,
    pair_group,
)
from engage_spark.ml.feature_spec import NUMERIC, Target, Task
from engage_spark.spark.compat import to_arrow

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

CELLS = 50_000
"""Combinations of all protected attributes that may come to the driver."""
_HALF = 26
_GRIDS = {"label": 40, "score": 40, "absolute": 40, "squares": 50}


@dataclass(frozen=True, kw_only=True)
class Attribute:
    """A protected column.

    `bands`: lower bounds that cut a number into groups; none: each value is a group. `whole`: no decimals.
    """

    name: str
    bands: tuple[float, ...] = ()
    whole: bool = False
    minimum: float | None = None

    @property
    def labels(self) -> tuple[str, ...]:
        """The names of the bands, ascending: `18-24`, `65+`, and `under 25` where no minimum is declared."""
        cuts = [
            *([self.minimum] if self.minimum is not None and self.minimum < self.bands[0] else []),
            *self.bands,
        ]
        between = [
            f"{low:g}-{high - 1:g}"
            if self.whole and high - 1 > low
            else f"{low:g}"
            if self.whole
            else f"{low:g} to <{high:g}"
            for low, high in pairwise(cuts)
        ]
        first = [] if len(cuts) > len(self.bands) else [f"under {self.bands[0]:g}"]
        return (*first, *between, f"{cuts[-1]:g}+")

    def group(self) -> Column:
        """Return the name of the row's group; null and NaN are a group of their own."""
        from pyspark.sql import functions as F

        from engage_spark.spark.schema import column_named

        value = column_named(self.name)
        if not self.bands:
            return F.coalesce(value.cast("string"), F.lit(MISSING))
        name = F.when(value.isNull() | F.isnan(value.cast("double")), F.lit(MISSING))
        for cut, label in zip(self.bands, self.labels, strict=False):
            name = name.when(value < F.lit(cut), F.lit(label))
        return name.otherwise(F.lit(self.labels[-1]))

    def ordered(self, groups: set[str]) -> list[str]:
        """Sort groups: bands as they follow each other, values as text is sorted, nulls last."""
        order = {label: i for i, label in enumerate(self.labels)} if self.bands else {}
        return sorted(groups, key=lambda g: (g == MISSING, order.get(g, 0), g))


def attributes(contract: Contract) -> tuple[Attribute, ...]:
    """Return the protected fields of the entity, keys left out, in the contract's order."""
    protected = []
    for f in contract.entity.fields:
        if f.protected and not f.is_key:
            number = f.spark_type in NUMERIC and f.spark_type != "boolean"
            is_whole = number and not f.is_floating
            minimum = None if f.minimum is None else float(f.minimum)
            protected.append(
                Attribute(
                    name=f.name,
                    bands=tuple(sorted(f.bands)) if number else (),
                    whole=is_whole,
                    minimum=minimum,
                )
            )
    return tuple(protected)


def audit_fairness(
    rows: DataFrame,
    *,
    target: Target,
    protected: Sequence[Attribute],
    smallest: int,
    label: str,
    prediction: str = "prediction",
    threshold: float | None = None,
    decision: str | None = None,
    covered: str | None = None,
) -> Fairness:
    """Measure every group of each protected attribute and of each pair of them.

    Groups under `smallest` rows are not compared. `rows`: one per prediction, with the protected columns;
    rows without a label are left out. Of a binary target, `decision` is a column of 0 and 1 (or booleans), or
    follows from `threshold`: prediction >= threshold. `covered`: a boolean column that says whether the
    interval or set held the label.

    Cost: one scan and one small shuffle; one scan more for a regression whose target has no bounds. One row
    per combination is collected.

    Errors: InputError where predictions are missing, or combinations are too many for groups.
    """
    from pyspark.sql import functions as F

    if target.task is Task.BINARY and (threshold is None) == (decision is None):
        raise ConfigurationError(
            "a binary target is audited by decisions",
            hint="give a threshold, or the column of decisions: one of both",
        )
    labelled = rows.where(F.col(label).isNotNull())
    y, p = F.col(label).cast("double"), F.col(prediction).cast("double")
    missing = p.isNull() | F.isnan(p)
    exponent = 0 if target.task is Task.BINARY else _exponent(labelled, target, y, p)
    selected = F.lit(False)
    if target.task is Task.BINARY:
        selected = F.col(decision).cast("boolean") if decision is not None else p >= F.lit(threshold)
    held = F.col(covered).cast("boolean") if covered else F.lit(None).cast("boolean")
    counts = {
        "n": F.count(F.lit(1)),
        "missing": F.count_if(missing | selected.isNull()),
        "selected": F.count_if(selected),
        "hits": F.count_if(selected & (y == 1)),
        "covered": F.count_if(held),
    }
    unit = F.lit(2.0**-exponent)
    terms = {
        "label": y * unit,
        "score": p * unit,
        "absolute": F.abs((p - y) * unit),
        "squares": ((p - y) * unit) * ((p - y) * unit),
    }
    on_grid = {
        name: F.when(~missing, F.rint(x * F.lit(2.0 ** _GRIDS[name])).cast("bigint"))
        for name, x in terms.items()
    }
    sums = {f"{name}_hi": F.sum(F.shiftright(x, _HALF)) for name, x in on_grid.items()}
    sums |= {f"{name}_lo": F.sum(x.bitwiseAND(F.lit(2**_HALF - 1))) for name, x in on_grid.items()}
    groups = [a.group().alias(f"g{i}") for i, a in enumerate(protected)]
    grouped = labelled.groupBy(*groups).agg(*(c.alias(name) for name, c in (counts | sums).items()))
    sums_by_cell = to_arrow(grouped.limit(CELLS + 1)).to_pylist()
    _refuse(sums_by_cell, protected, prediction)
    cells = {
        tuple(r[f"g{i}"] for i in range(len(protected))): _sums(r, exponent, covered is not None)
        for r in sums_by_cell
    }
    return compare(_folded(cells, protected), task=target.task, smallest=smallest)


def _exponent(labelled: DataFrame, target: Target, y: Column, p: Column) -> int:
    """Return the exponent of the power of two that labels and predictions are measured in.

    It follows from the target's bounds, else from the largest value there is.
    """
    from pyspark.sql import functions as F

    if target.minimum is not None and target.maximum is not None:
        largest = max(abs(target.minimum), abs(target.maximum))
    else:
        (row,) = labelled.agg(
            F.max(F.greatest(F.abs(y), F.when(~F.isnan(p), F.abs(p)))).alias("largest")
        ).collect()
        largest = row["largest"] or 1.0
    return math.ceil(math.log2(largest)) if largest > 0 else 0


def _refuse(
    sums_by_cell: Sequence[Mapping[str, Any]], protected: Sequence[Attribute], prediction: str
) -> None:
    if len(sums_by_cell) > CELLS:
        raise InputError(
            (
                f"{', '.join(a.name for a in protected)} have more than {CELLS:,} combinations of values: "
                f"these are not groups"
            ),
            hint="declare bands for numbers, and protect fields that have few values",
        )
    if not sum(r["n"] for r in sums_by_cell):
        raise InputError(
            "no row has a label: there is nothing to compare", hint="audit rows whose label is known"
        )
    if missing := sum(r["missing"] for r in sums_by_cell):
        raise InputError(
            (
                f"{missing:,} rows have no {prediction}, or no decision: groups of those that have one would "
                f"not be the groups"
            ),
            hint="score every row that is audited",
        )


def _sums(row: Mapping[str, Any], exponent: int, covered: bool) -> GroupSums:
    exact = {}
    for name, grid in _GRIDS.items():
        unit = Fraction(2) ** (exponent * (2 if name == "squares" else 1) - grid)
        exact[name] = (row[f"{name}_hi"] * 2**_HALF + row[f"{name}_lo"]) * unit
    return GroupSums(
        n=row["n"],
        selected=row["selected"],
        hits=row["hits"],
        covered=row["covered"] if covered else None,
        **exact,
    )


def _folded(
    cells: Mapping[tuple[str, ...], GroupSums], protected: Sequence[Attribute]
) -> dict[tuple[str, ...], dict[str, GroupSums]]:
    """All rows, each attribute alone, each pair: from the sums of all combinations."""
    tables: dict[tuple[str, ...], dict[str, GroupSums]] = {(ALL,): {ALL: _total(cells.values())}}
    for size in (1, 2):
        for positions in combinations(range(len(protected)), size):
            ordered = [protected[i].ordered({key[i] for key in cells}) for i in positions]
            parts: dict[tuple[str, ...], list[GroupSums]] = {}
            for key, sums in cells.items():
                parts.setdefault(tuple(key[i] for i in positions), []).append(sums)
            places = [{g: k for k, g in enumerate(groups)} for groups in ordered]
            keys = sorted(parts, key=lambda key: [place[g] for place, g in zip(places, key, strict=True)])
            tables[tuple(protected[i].name for i in positions)] = {
                pair_group(key): _total(parts[key]) for key in keys
            }
    return tables


def _total(sums: Any) -> GroupSums:
    total = GroupSums()
    for s in sums:
        total = total + s
    return total
