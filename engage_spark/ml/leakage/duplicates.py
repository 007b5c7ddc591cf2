"""Keep duplicates, customers who are equal in all but their key, on one side of the split and in one fold.

A model that is fitted on a row and tested on its duplicate is tested on data it has already seen.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import count

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from engage_spark.ml.data.split import COLUMNS, UNIT, split_hash
from engage_spark.ml.feature_spec import FeatureSpec, all_features, target_names
from engage_spark.ml.selection.profile import as_double
from engage_spark.spark.schema import column_named

MOST_ROUNDS = 20
"""Rounds in which duplicates on one day join those on another."""
_FIRST, _SECOND, _LEADER, _BEST = "__first", "__second", "__leader", "__best"
_SLOT = (*COLUMNS, UNIT)

Materialize = Callable[[DataFrame, str], DataFrame]


def content_of(specs: Sequence[FeatureSpec]) -> list[Column]:
    """Return what makes two rows equal: all features and targets of the specs; null equals null, −0.0 equals
    0.0.
    """
    columns = [
        column_named(f.name).cast("string") if f.categorical else as_double(f.name) + F.lit(0.0)
        for f in all_features(specs)
    ]
    columns += [as_double(t) for t in target_names(specs)]
    # Spark's hash passes over nulls, so that (null, 1) would equal (1, null): where they are is hashed as
    # well.
    return [*columns, F.concat(*(F.when(c.isNull(), "0").otherwise("1") for c in columns))]


def content_hashes(content: Sequence[Column]) -> tuple[Column, Column]:
    """Return two 64-bit hashes of a content: among 10^8 keys the chance of one false pair is below 2^-75."""
    return F.xxhash64(*content), F.xxhash64(F.lit(1), *content)


def with_duplicates_together(
    new: DataFrame,
    stored: DataFrame | None,
    rows: DataFrame,
    *,
    specs: Sequence[FeatureSpec],
    key: Sequence[str],
    seed: int,
    materialize: Materialize,
) -> DataFrame:
    """Put the keys of `new` splits on the side, and into the fold, of their duplicates.

    `rows` hold the content of the keys, of any days; duplicates of duplicates are some, too. Whoever is in
    `stored` keeps its side and leads; else one of them leads, by a hash. The others take over what the
    leader's slot follows from: its stratum and its hash (`unit`), so that stored splits can be told from
    those of another draw. Grain: that of `new`, which must have each key once, as `stored` has.

    The same on any partitioning.
    Cost: for every row two hashes through one shuffle; beyond it only duplicates are moved, in one round, or
    in as many as it takes where those of one day are others than those of another (MOST_ROUNDS at most).
    """
    keys = [column_named(k) for k in key]
    first, second = content_hashes(content_of(specs))
    contents = rows.select(*keys, first.alias(_FIRST), second.alias(_SECOND)).distinct()
    shared = contents.groupBy(_FIRST, _SECOND).agg(F.count(F.lit(1)).alias("n")).where("n > 1").drop("n")
    leaders = _leaders(new, 1, key, seed)
    leaders = leaders if stored is None else _leaders(stored, 0, key, seed).unionByName(leaders)
    members = contents.join(shared, on=[_FIRST, _SECOND], how="inner").join(
        leaders, on=list(key), how="inner"
    )
    members = materialize(members, "duplicates_0")
    for n in count(1):
        members, changed = _round(members, key, lambda frame, n=n: materialize(frame, f"duplicates_{n}"))  # type: ignore[misc]
        if not changed or n == MOST_ROUNDS:
            break
    led = members.select(*keys, _LEADER).distinct()
    leader = F.col(_LEADER)
    return new.join(led, on=list(key), how="left").select(
        *keys,
        *(
            F.when(leader.isNotNull(), leader.getField(c)).otherwise(column_named(c)).alias(c)
            for c in _SLOT
            if c != UNIT
        ),
        F.nullif(F.coalesce(leader.getField(UNIT), F.col(UNIT)), split_hash(key, seed)).alias(UNIT),
    )


def _leaders(splits: DataFrame, rank: int, key: Sequence[str], seed: int) -> DataFrame:
    """Return each key with itself as its leader: the least by rank, then by a hash of its own, leads.

    The hash is not the one that sides follow from, or leaders would crowd the first side.
    """
    keys = [column_named(k) for k in key]
    unit = F.coalesce(F.col(UNIT), split_hash(key, seed)).alias(UNIT)
    own = F.xxhash64(F.lit("engage_spark.duplicates"), F.lit(seed).cast("bigint"), *keys)
    leader = F.struct(F.lit(rank).alias("rank"), own.alias("at"), *map(F.col, COLUMNS), unit)
    return splits.select(*keys, leader.alias(_LEADER))


def _round(
    members: DataFrame, key: Sequence[str], materialize: Callable[[DataFrame], DataFrame]
) -> tuple[DataFrame, bool]:
    """Give every key the least leader among all who share a content with it; say whether more may follow."""
    keys = list(map(column_named, key))
    best = members.groupBy(_FIRST, _SECOND).agg(F.min(_LEADER).alias(_BEST))
    joined = members.join(best, on=[_FIRST, _SECOND], how="inner")
    of_key = joined.groupBy(*keys).agg(F.min(_BEST).alias(_BEST), F.count(F.lit(1)).alias("contents"))
    led = materialize(
        members.join(of_key, on=list(key), how="inner").select(
            *keys, _FIRST, _SECOND, F.col(_BEST).alias(_LEADER), "contents"
        )
    )
    # Of a key with one content nothing can follow: its leader is that of all who share it.
    more = not led.where("contents > 1").isEmpty() and _is_open(led)
    return led.drop("contents"), more


def _is_open(members: DataFrame) -> bool:
    """Return whether keys of one content still have different leaders."""
    at = F.col(_LEADER).getField("at")
    by_content = members.groupBy(_FIRST, _SECOND).agg((F.min(at) != F.max(at)).alias("open"))
    return not by_content.where("open").isEmpty()
