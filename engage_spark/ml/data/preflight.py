"""Check in one pass, before any fit, whether rows can be trained on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from engage_spark.errors import ConfigurationError
from engage_spark.ml.feature_spec import Feature, Target, Task

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame


@dataclass(frozen=True, kw_only=True)
class FoldCounts:
    """Counts of one fold's rows. `ones` and `zeros` count labels of 1 and 0; `present` non-null values by
    feature, without NaN; `infinite` the infinite ones. The label's bounds are None where no row has a
    label.
    """

    fold: int | None
    rows: int
    unlabelled: int
    ones: int
    zeros: int
    minimum: float | None
    maximum: float | None
    present: Mapping[str, int]
    infinite: Mapping[str, int]
    values: int | None = None


def fold_counts(
    rows: DataFrame, *, label: str, features: Sequence[Feature], fold: str | None = "fold"
) -> tuple[FoldCounts, ...]:
    """Count labels and present values by fold, in the order of the folds. `fold` None takes all rows as one.

    Nulls: a label that is null or NaN counts as no label.
    Cost: one job, one scan, a shuffle of one row per partition and fold.
    """
    from pyspark.sql import functions as F

    from engage_spark.spark.schema import column_named

    number = column_named(label).cast("double")
    value = F.when(~F.isnan(number), number)
    counted: list[Column] = [
        F.count(F.lit(1)).alias("rows"),
        F.count(value).alias("labelled"),
        F.count_if(value == 1).alias("ones"),
        F.count_if(value == 0).alias("zeros"),
        F.min(value).alias("least"),
        F.max(value).alias("most"),
        F.approx_count_distinct(value, 0.01).alias("values"),
    ]
    for i, f in enumerate(features):
        column = column_named(f.name)
        if f.categorical:
            counted.append(F.count(column).alias(f"p{i}"))
        else:
            double = column.cast("double")
            counted.append(F.count_if(column.isNotNull() & ~F.isnan(double)).alias(f"p{i}"))
            counted.append(F.count_if(F.abs(double) == float("inf")).alias(f"i{i}"))
    where = F.lit(None).cast("int") if fold is None else column_named(fold).cast("int")
    by_fold = rows.groupBy(where.alias("fold")).agg(*counted).collect()
    return tuple(
        _counts(row, features)
        for row in sorted(by_fold, key=lambda r: (r["fold"] is not None, r["fold"] or 0))
    )


def _counts(row: Any, features: Sequence[Feature]) -> FoldCounts:
    return FoldCounts(
        fold=row["fold"],
        rows=row["rows"],
        unlabelled=row["rows"] - row["labelled"],
        ones=row["ones"],
        zeros=row["zeros"],
        minimum=row["least"],
        maximum=row["most"],
        present={f.name: row[f"p{i}"] for i, f in enumerate(features)},
        infinite={f.name: row[f"i{i}"] for i, f in enumerate(features) if not f.categorical},
        values=row["values"],
    )


def require_trainable(counts: Sequence[FoldCounts], *, target: Target, features: Sequence[Feature]) -> None:
    """Check that a model can be trained on rows of which each fold has these counts.

    Required: a label in every row, 0 or 1 for two classes; rows outside each fold whose labels differ and in
    which every feature has a value; of two classes, both in some fold; of a number, more than two values; no
    infinite value. A fold of one class tells nothing of the candidates and costs only that. Counts of a
    single fold are taken as one fit without cross-validation.

    Errors: one ConfigurationError with everything that is in the way, fold by fold, with counts.
    """
    problems = _problems_of_all_rows(counts, target, features)
    single = len(counts) == 1
    for held_out in counts:
        training = _training_counts(counts, held_out)
        where = "of all rows" if single else f"of the rows outside fold {held_out.fold}"
        if target.task is Task.BINARY:
            ones, zeros = sum(c.ones for c in training), sum(c.zeros for c in training)
            if not ones or not zeros:
                problems.append(
                    f"{ones:,} {where} are of class 1 and {zeros:,} of class 0: a model needs both"
                )
        else:
            problems += _constant(training, where)
        if empty := _valueless(training, features):
            problems.append(f"no row {where} has a value of {', '.join(empty)}")
    if target.task is Task.BINARY and not single and not any(c.ones and c.zeros for c in counts):
        problems.append("no fold has rows of both classes, so nothing tells candidates apart")
    if problems:
        raise ConfigurationError(
            f"no model of {target.name!r} can be trained on these rows",
            hint="give more snapshots or customers, leave the named features out of the contract's features, "
            "or use fewer models.folds",
            details=list(dict.fromkeys(problems)),
        )


def valueless_features(counts: Sequence[FoldCounts], features: Sequence[Feature]) -> frozenset[str]:
    """Name the features that have no value in the rows outside some fold, so that a fit there cannot take
    them.
    """
    return frozenset(n for fold in counts for n in _valueless(_training_counts(counts, fold), features))


def _training_counts(counts: Sequence[FoldCounts], held_out: FoldCounts) -> list[FoldCounts]:
    """Return the counts of the other folds; a single one is held out of nothing."""
    return list(counts) if len(counts) == 1 else [c for c in counts if c is not held_out]


def _valueless(training: Sequence[FoldCounts], features: Sequence[Feature]) -> list[str]:
    return [f.name for f in features if not sum(c.present[f.name] for c in training)]


def _problems_of_all_rows(
    counts: Sequence[FoldCounts], target: Target, features: Sequence[Feature]
) -> list[str]:
    rows, unlabelled = sum(c.rows for c in counts), sum(c.unlabelled for c in counts)
    if not rows:
        return ["there are no rows"]
    problems = [f"{unlabelled:,} of {rows:,} rows have no {target.name}"] if unlabelled else []
    if target.task is Task.REGRESSION:
        problems += _two_values(counts, target)
    other = rows - unlabelled - sum(c.ones + c.zeros for c in counts)
    if target.task is Task.BINARY and other:
        problems.append(f"{other:,} of {rows:,} rows have a {target.name} that is neither 0 nor 1")
    for f in features:
        if infinite := sum(c.infinite.get(f.name, 0) for c in counts):
            problems.append(f"{f.name} is infinite in {infinite:,} of {rows:,} rows")
    return problems


def _two_values(counts: Sequence[FoldCounts], target: Target) -> list[str]:
    """Refuse classes that are declared as a number: every fold has its bounds alone, and there are two."""
    bounds = {b for c in counts for b in (c.minimum, c.maximum) if b is not None}
    if len(bounds) != 2 or any(c.values is None or c.values > 2 for c in counts):
        return []
    low, high = sorted(bounds)
    return [
        f"{target.name} is {low:g} or {high:g} in all rows: these are two classes and not a number; declare "
        f"positive: {high:g} (the value that is predicted), and validValues where it is a whole number"
    ]


def _constant(training: Sequence[FoldCounts], where: str) -> list[str]:
    least = [c.minimum for c in training if c.minimum is not None]
    most = [c.maximum for c in training if c.maximum is not None]
    if not least or not most:
        return [f"there are no labels {where}"]
    rows = sum(c.rows for c in training)
    return [f"the label is {min(least):g} in all {rows:,} {where}"] if min(least) == max(most) else []
