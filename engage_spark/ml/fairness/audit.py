"""Measure groups in one Spark pass: rows are added up by customer and group, customers by group.

What follows is arithmetic (`group_metrics`). Sums are whole numbers, so any partitioning gives the same bits:
scores and errors on a grid of 2^-40 of the target's size, squared errors on one of 2^-50, the squares of a
customer's added errors on one of 2^-44, each in two halves that do not overflow below 2^36 rows, or 100 rows
of one customer.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import combinations, pairwise
from typing import TYPE_CHECKING, Any

from engage_spark.contract import Contract
from engage_spark.errors import ConfigurationError, InputError
from engage_spark.ml.fairness.group_metrics import MISSING, Fairness, compare
from engage_spark.ml.fairness.group_sums import AMOUNTS, COUNTS, PRODUCTS, Exact, GroupSums
from engage_spark.ml.fairness.small_groups import merge_small_groups
from engage_spark.ml.feature_spec import NUMERIC, Target, Task
from engage_spark.spark.compat import to_arrow

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

CELLS = 5_000
"""Groups of all protected attributes and their pairs that may come to the driver."""
_HALF = 26
_GRIDS = {"label": 40, "score": 40, "error": 40, "absolute": 40, "squares": 50}
_PRODUCT_GRID = 44


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
    key: Sequence[str],
    smallest: int,
    label: str,
    prediction: str = "prediction",
    threshold: float | None = None,
    decision: str | None = None,
    covered: str | None = None,
) -> Fairness:
    """Measure every group of each protected attribute and of each pair of them.

    Groups of fewer than `smallest` customers are joined with others (`small_groups`), and figures with fewer
    behind their denominator are neither shown nor compared. `rows`: one per
    prediction, with the protected columns; rows without a label are left out. `key`: the columns that name a
    row's customer. Of a binary target, `decision` is a column of 0 and 1 (or booleans), or follows from
    `threshold`: prediction >= threshold. `covered`: a boolean column that says whether the interval or set
    held the label.

    Cost: one scan, one shuffle of the rows by customer and a small one; one scan more for a regression whose
    target has no bounds. One row per group is collected.

    Errors: InputError where predictions are missing, or groups are too many.
    """
    from pyspark.sql import functions as F

    from engage_spark.spark.schema import column_named

    if target.task is Task.BINARY and (threshold is None) == (decision is None):
        raise ConfigurationError(
            "a binary target is audited by decisions",
            hint="give a threshold, or the column of decisions: one of both",
        )
    labelled = rows.where(F.col(label).isNotNull())
    y, p = F.col(label).cast("double"), F.col(prediction).cast("double")
    exponent = 0 if target.task is Task.BINARY else _exponent(labelled, target, y, p)
    selected = F.lit(False)
    if target.task is Task.BINARY:
        selected = F.col(decision).cast("boolean") if decision is not None else p >= F.lit(threshold)
    held = F.col(covered).cast("boolean") if covered else None
    terms = _terms(y, p, selected=selected, held=held, exponent=exponent, task=target.task)
    owners = [column_named(k).alias(f"k{i}") for i, k in enumerate(key)]
    groups = [a.group().alias(f"g{i}") for i, a in enumerate(protected)]
    by_customer = [f"k{i}" for i in range(len(key))]
    # Shuffled once by customer; what follows, up to one row per group, happens within partitions.
    spread = (
        labelled.select(*owners, *groups, *(c.alias(name) for name, c in terms.items()))
        .repartition(*by_customer)
        .select("*", F.explode(_memberships(len(protected))).alias("m"))
        .select("m.*", *by_customer, *terms)
    )
    own = spread.groupBy("side", "a", "b", *by_customer).agg(*(F.sum(name).alias(name) for name in terms))
    totals = {"customers": F.count(F.lit(1)), "missing": F.sum("missing")} | _totals(
        tuple(terms), target.task
    )
    grouped = own.groupBy("side", "a", "b").agg(*(c.alias(name) for name, c in totals.items()))
    group_rows = to_arrow(grouped.limit(CELLS + 1)).to_pylist()
    _refuse(group_rows, protected, prediction)
    tables = _tables(group_rows, protected, lambda r: _sums(r, exponent, target.task))
    banded = [a.name for a in protected if a.bands]
    shown = merge_small_groups(tables, smallest=smallest, bands=banded)
    return compare(shown.tables, task=target.task, smallest=smallest, notes=shown.notes)


def _terms(
    y: Column, p: Column, *, selected: Column, held: Column | None, exponent: int, task: Task
) -> dict[str, Column]:
    """Return what is added up of a row: whole numbers, amounts on their grids."""
    from pyspark.sql import functions as F

    missing = p.isNull() | F.isnan(p) | (F.abs(p) == float("inf")) | selected.isNull()
    unit = F.lit(2.0**-exponent)
    amounts = {
        "label": y * unit,
        "score": p * unit,
        "error": (p - y) * unit,
        "absolute": F.abs((p - y) * unit),
        "squares": ((p - y) * unit) * ((p - y) * unit),
    }
    counts = {"n": F.lit(True), "label": y == 1, "selected": selected, "hits": selected & (y == 1)}
    counts |= {} if held is None else {"covered": held}
    terms = {"missing": missing.cast("bigint")}
    terms |= {
        name: F.coalesce(counts[name].cast("bigint"), F.lit(0)) for name in COUNTS[task] if name in counts
    }
    return terms | {
        name: F.when(~missing, F.rint(amounts[name] * F.lit(2.0 ** _GRIDS[name])).cast("bigint"))
        for name in AMOUNTS[task]
    }


def _memberships(attributes: int) -> Column:
    """Return the groups that a row belongs to: all rows, one of each attribute, one of each pair of them."""
    from pyspark.sql import functions as F

    nothing = F.lit(None).cast("string")
    sides = [*_sides(attributes)]
    return F.array(
        *(
            F.struct(
                F.lit(i).alias("side"),
                (F.col(f"g{at[0]}") if at else nothing).alias("a"),
                (F.col(f"g{at[1]}") if len(at) > 1 else nothing).alias("b"),
            )
            for i, at in enumerate(sides)
        )
    )


def _sides(attributes: int) -> list[tuple[int, ...]]:
    """List the tables of groups by the places of their attributes: none, each alone, each pair."""
    return [at for size in (0, 1, 2) for at in combinations(range(attributes), size)]


def _totals(terms: Sequence[str], task: Task) -> dict[str, Column]:
    """Return a group's sums over its customers, of terms and of products of two terms.

    A product of two counts is a whole number, one of a count and an amount too; that of two amounts is
    rounded to its own grid. Numbers that could overflow are added up in two halves.
    """
    from pyspark.sql import functions as F

    def halves(name: str, x: Column) -> dict[str, Column]:
        return {
            f"{name}_hi": F.sum(F.shiftright(x, _HALF)),
            f"{name}_lo": F.sum(x.bitwiseAND(F.lit(2**_HALF - 1))),
        }

    counts, amounts = [n for n in COUNTS[task] if n in terms], AMOUNTS[task]
    sums = {name: F.sum(name) for name in counts}
    for name in amounts:
        sums |= halves(name, F.col(name))
    for a, b in PRODUCTS[task]:
        if b in counts:
            sums[f"{a}*{b}"] = F.sum(F.col(a) * F.col(b))
        elif b in amounts and a in counts:
            sums |= halves(f"{a}*{b}", F.col(a) * F.col(b))
        elif b in amounts:
            x = F.col(b).cast("double") * F.lit(2.0 ** -_GRIDS[b])
            sums |= halves(f"{a}*{b}", F.rint(x * x * F.lit(2.0**_PRODUCT_GRID)).cast("bigint"))
    return sums


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


def _refuse(group_rows: Sequence[Mapping[str, Any]], protected: Sequence[Attribute], prediction: str) -> None:
    if len(group_rows) > CELLS:
        raise InputError(
            (
                f"{', '.join(a.name for a in protected)} have more than {CELLS:,} combinations of values: "
                f"these are not groups"
            ),
            hint="declare bands for numbers, and protect fields that have few values",
        )
    everybody = [r for r in group_rows if r["side"] == 0]
    if not everybody:
        raise InputError(
            "no row has a label: there is nothing to compare", hint="audit rows whose label is known"
        )
    if missing := sum(r["missing"] for r in everybody):
        raise InputError(
            (
                f"{missing:,} rows have no {prediction}, or no decision: groups of those that have one would "
                f"not be the groups"
            ),
            hint="score every row that is audited",
        )


def _sums(row: Mapping[str, Any], exponent: int, task: Task) -> GroupSums:
    def amount(name: str, grid: int, power: int) -> Fraction:
        unit = Fraction(2) ** (exponent * power - grid)
        return int(row[f"{name}_hi"] * 2**_HALF + row[f"{name}_lo"]) * unit

    totals: dict[str, Exact] = {n: row[n] for n in COUNTS[task] if n in row}
    totals |= {n: amount(n, _GRIDS[n], 2 if n == "squares" else 1) for n in AMOUNTS[task]}
    products: dict[tuple[str, str], Exact] = {}
    for a, b in PRODUCTS[task]:
        name = f"{a}*{b}"
        if name in row:
            products[(a, b)] = row[name]
        elif f"{name}_hi" in row:
            products[(a, b)] = amount(name, _GRIDS[b], 1) if a == "n" else amount(name, _PRODUCT_GRID, 2)
    return GroupSums(rows=row["n"], customers=row["customers"], totals=totals, products=products)


def _tables(
    group_rows: Sequence[Mapping[str, Any]],
    protected: Sequence[Attribute],
    sums: Callable[[Mapping[str, Any]], GroupSums],
) -> dict[tuple[str, ...], dict[tuple[str, ...], GroupSums]]:
    """Return all rows, each attribute alone, each pair, the groups in their order."""
    tables: dict[tuple[str, ...], dict[tuple[str, ...], GroupSums]] = {}
    for i, at in enumerate(_sides(len(protected))):
        own = {(r["a"], r["b"])[: len(at)]: r for r in group_rows if r["side"] == i}
        places = [
            {g: n for n, g in enumerate(protected[j].ordered({names[k] for names in own}))}
            for k, j in enumerate(at)
        ]
        ordered = sorted(own, key=_placed(places))
        tables[tuple(protected[j].name for j in at)] = {names: sums(own[names]) for names in ordered}
    return tables


def _placed(places: Sequence[Mapping[str, int]]) -> Callable[[tuple[str, ...]], list[int]]:
    return lambda names: [place[g] for place, g in zip(places, names, strict=True)]
