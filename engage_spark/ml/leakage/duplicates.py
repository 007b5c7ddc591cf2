"""Keep duplicates, customers who are equal in all features, on one side of the split and in one fold.

A model that is fitted on a row and tested on its duplicate is tested on data it has already seen. What more
than a few customers share is no duplicate but a common profile: it is split by key, as it will be met again
(decision 6).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from engage_spark.ml.data.hash_cutpoints import LOW, nominal, slots
from engage_spark.ml.data.split import COLUMNS, FOLD, SIDE, UNIT
from engage_spark.ml.feature_spec import FeatureSpec, all_features, target_names
from engage_spark.ml.leakage.findings import MOST_TWINS
from engage_spark.ml.selection.profile import as_double
from engage_spark.spark.schema import column_named

_FIRST, _SECOND, _CONTENT, _LEADER = "__first", "__second", "__content", "__leader"
_HELD, _PLACE, _SLOT = "__held", "__place", "__slot"

Materialize = Callable[[DataFrame, str], DataFrame]


def content_of(specs: Sequence[FeatureSpec]) -> list[Column]:
    """Return what makes two rows equal: all features of the specs; null equals null, −0.0 equals 0.0.

    Labels are none of it: rows that are alike by chance differ in them, and parting those that do from those
    that do not would teach a model the opposite of what it is tested on.
    """
    return _with_nulls(
        [
            column_named(f.name).cast("string") if f.categorical else as_double(f.name) + F.lit(0.0)
            for f in all_features(specs)
        ]
    )


def label_hash(specs: Sequence[FeatureSpec]) -> Column:
    """Return a hash of a row's targets; null where none is known."""
    labels = [as_double(t) for t in target_names(specs)]
    return F.when(F.coalesce(*labels).isNotNull(), F.xxhash64(*_with_nulls(labels)))


def _with_nulls(columns: Sequence[Column]) -> list[Column]:
    """Add where the nulls are: Spark's hash passes over them, so that (null, 1) would equal (1, null)."""
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
    day: str,
    seed: int,
    folds: int,
    materialize: Materialize,
) -> DataFrame:
    """Put the keys of `new` splits on the side, and into the fold, of their duplicates: of those who are
    equal to them in the newest of their `rows`, and no more than `MOST_TWINS` with them.

    Whoever is in `stored` keeps its side, and new duplicates take it; where several have one, a hash of the
    key says which leads. Where nobody has, the hash of what they share decides by fixed cuts, as the key's
    does for newcomers. `unit` is that hash, put into the range of the slot: it follows from values and slot
    alone, and from no key. Grain: that of `new`, which must have each key once, as `stored` has. `drawn` is
    false and `stratum` null where a key was put anew.

    The same on any partitioning.
    Cost: a shuffle of two hashes a row by key, written once; one of a record a key by content, and two joins
    by key.
    """
    keys = [column_named(k) for k in key]
    first, second = content_hashes(content_of(specs))
    content = F.struct(column_named(day).alias("day"), first.alias(_FIRST), second.alias(_SECOND))
    newest = rows.groupBy(*keys).agg(F.max(content).alias(_CONTENT))
    hashes = [F.col(_CONTENT)[h].alias(h) for h in (_FIRST, _SECOND)]
    contents = materialize(newest.select(*keys, *hashes), "contents")
    leaders = None if stored is None else stored.select(*keys, _leader(key, seed))
    held = (
        contents.withColumn(_LEADER, F.lit(None).cast(f"struct<at:bigint,{SIDE}:string,{FOLD}:int>"))
        if leaders is None
        else contents.join(leaders, on=list(key), how="left")
    )
    groups = held.groupBy(_FIRST, _SECOND).agg(
        F.count(F.lit(1)).alias("n"), F.min(_LEADER).alias(_LEADER), F.lit(True).alias(_HELD)
    )
    shared = groups.where(F.col("n").between(2, MOST_TWINS)).drop("n")
    place = F.xxhash64(F.lit("engage_spark.twins"), F.lit(seed).cast("bigint"), _FIRST, _SECOND)
    placed = contents.join(shared, on=[_FIRST, _SECOND], how="inner").withColumn(_PLACE, place)
    twins = placed.select(*keys, _HELD, _slot_of(folds).alias(_SLOT), _PLACE)
    put = new.join(twins, on=list(key), how="left")
    values = dict(zip(COLUMNS, _put_anew(folds), strict=True))
    is_twin = F.coalesce(F.col(_HELD), F.lit(False))
    return put.select(
        *keys,
        *(F.when(is_twin, values[c]).otherwise(column_named(c)).alias(c) for c in COLUMNS),
        F.when(is_twin, _unit(folds)).otherwise(F.col(UNIT)).alias(UNIT),
    )


def _leader(key: Sequence[str], seed: int) -> Column:
    """Return the slot of a key, ordered by a hash that is not the one that sides follow from."""
    own = F.xxhash64(F.lit("engage_spark.duplicates"), F.lit(seed).cast("bigint"), *map(column_named, key))
    return F.struct(own.alias("at"), F.col(SIDE), F.col(FOLD).cast("int").alias(FOLD)).alias(_LEADER)


def _slot_of(folds: int) -> Column:
    """Return the number of the slot that a group is put into: its leader's, else that of what it shares."""
    by_content = F.lit(0)
    for cut in nominal(folds):
        by_content = by_content + (F.col(_PLACE) >= F.lit(cut).cast("bigint")).cast("int")
    side, fold = F.col(_LEADER)[SIDE], F.col(_LEADER)[FOLD]
    slot = F.when(F.col(_LEADER).isNull(), by_content)
    for i, s in enumerate(slots(folds)):
        is_slot = (side == s.split.value) & (F.lit(True) if s.fold is None else fold == s.fold)
        slot = slot.when(is_slot, F.lit(i))
    return slot


def _put_anew(folds: int) -> tuple[Column, ...]:
    """Return `COLUMNS` of a key that is put into a slot by what it shares with others."""
    sides = F.array(*(F.lit(s.split.value) for s in slots(folds)))
    return (
        F.element_at(sides, F.col(_SLOT) + 1),
        F.when(F.col(_SLOT) < folds, F.col(_SLOT)),
        F.lit(None).cast("string"),
        F.lit(False),
    )


def _unit(folds: int) -> Column:
    """Return the hash of what a group shares, in the range of its slot."""
    edges = [LOW, *nominal(folds), -LOW]
    unit = F.lit(None).cast("bigint")
    for i, (low, high) in reversed(list(enumerate(pairwise(edges)))):
        starts, width = F.lit(low).cast("bigint"), F.lit(high - low).cast("bigint")
        here = F.col(_PLACE).between(starts, F.lit(high - 1).cast("bigint"))
        inside = F.when(here, F.col(_PLACE)).otherwise(starts + F.pmod(F.col(_PLACE), width))
        unit = F.when(F.col(_SLOT) == i, inside).otherwise(unit)
    return unit


__all__ = [
    "Materialize",
    "content_hashes",
    "content_of",
    "label_hash",
    "with_duplicates_together",
]
