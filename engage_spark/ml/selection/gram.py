"""Sum the products of features and targets by fold in one pass: every training fold's Gram matrix follows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import reduce
from typing import Any

import numpy as np
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from engage_spark.errors import ConfigurationError
from engage_spark.ml.feature_spec import FeatureSpec, all_features, target_names
from engage_spark.ml.selection import gram_kernel as kernel
from engage_spark.ml.selection.fold_gram import FoldGrams, Gram, GramSlot, ProductSums, build_fold_grams
from engage_spark.ml.selection.profile import LEVELS, Scales, as_double, levels_of, scale_of
from engage_spark.spark.by_value import send_by_value
from engage_spark.spark.column_profile import ColumnProfile
from engage_spark.spark.compat import to_arrow
from engage_spark.spark.schema import column_named

__all__ = ["FoldGrams", "Gram", "GramSlot", "to_grams"]

send_by_value(kernel)


def to_grams(
    rows: DataFrame, *, specs: Sequence[FeatureSpec], fold: str, scales: Scales
) -> Mapping[str, FoldGrams]:
    """Sum the products of all features and targets by fold. `scales` come from `to_profile` of these rows, or
    of more.

    Rows whose fold is null count nowhere, rows whose target is null not for that target. Nulls and NaN of a
    number are imputed by the mean, those of a category by the most frequent level, of the training fold at
    hand, as the models' pipelines do; levels that only other folds have are 0 in all slots there. Specs of
    one target share its sums, over the features of any of them. A category of more than LEVELS levels is
    hashed into LEVELS buckets: the audit names it. Numbers are rounded to a grid of at most 2^-20 of their
    range (an error of at most half of it), and everything after that is exact: bit-identical on any
    partitioning.
    Cost: one scan that crosses to Python in Arrow batches, whatever the number of targets, folds and steps of
    elimination, one shuffle of at most folds × slots² / 2 rows a partition (2^targets times as many where
    targets are missing independently), one action.
    Errors: InputError for infinite values, ConfigurationError where no row is in a fold.
    """
    features, targets = all_features(specs), target_names(specs)
    layout = kernel.GramLayout(
        columns=tuple(
            category_column(scales[f.name]) if f.categorical else _number(scales[f.name]) for f in features
        ),
        targets=tuple(_number(scales[t]) for t in targets),
    )

    def partition(batches: Iterator[Any]) -> Iterator[Any]:
        return kernel.sum_products(batches, layout)

    columns = [column_named(f.name).cast("string") if f.categorical else as_double(f.name) for f in features]
    labelled = reduce(lambda a, b: a | b, (as_double(t).isNotNull() for t in targets))
    read = rows.where(column_named(fold).isNotNull() & labelled).select(
        *(c.alias(f"c{i}") for i, c in enumerate([*columns, *(as_double(t) for t in targets)])),
        column_named(fold).cast("int").alias("fold"),
    )
    summed = (
        read.mapInArrow(partition, kernel.DDL)
        .groupBy("fold", "present", "place")
        .agg(F.sum("hi").alias("hi"), F.sum("lo").alias("lo"))
    )
    sums = to_arrow(summed)
    if not sums.num_rows:
        raise ConfigurationError(
            "no row with a target is in a fold",
            hint="give rows that were split, of snapshots whose targets are known",
        )
    return build_fold_grams(
        ProductSums(*(sums.column(c).to_numpy().astype(np.int64) for c in ProductSums._fields)),
        names=(*(f.name for f in features), *targets),
        layout=layout,
        sources={
            t: tuple(f.name for f in all_features([p for p in specs if p.target.name == t])) for t in targets
        },
    )


def _number(profile: ColumnProfile) -> kernel.NumberColumn:
    scale = scale_of(profile)
    return kernel.NumberColumn(middle=scale.middle, exponent=scale.exponent, nullable=profile.missing > 0)


def category_column(profile: ColumnProfile) -> kernel.CategoryColumn:
    """Lay out a category: a place for each level, or LEVELS buckets where it has more."""
    few = profile.complete and len(profile.values) <= LEVELS
    return (
        kernel.CategoryColumn(levels=levels_of(profile))
        if few
        else kernel.CategoryColumn(levels=(), buckets=LEVELS)
    )
