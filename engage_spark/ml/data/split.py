"""Assign every customer to a split once, by hash, and never change it: fit, calibration, conformal, test.

Splits and folds divide customers, not rows: all snapshots of one customer are in one split. A customer
changes little from day to day, so a model that was fitted on one snapshot of a customer and tested on another
is tested on data it has already seen, and every metric looks too good. The stored column is called `side`.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from engage_spark.errors import ConfigurationError
from engage_spark.ml.data.hash_cutpoints import (
    BITS,
    LOW,
    BucketRank,
    cut_points,
    nominal,
    places,
    ranks,
    slots,
)
from engage_spark.ml.data.split_draw import SplitDraw
from engage_spark.numerics.dtypes import I64
from engage_spark.spark.compat import to_arrow
from engage_spark.spark.schema import column_named

SIDE, FOLD = "side", "fold"
COLUMNS = (SIDE, FOLD, "stratum", "drawn")
"""The columns of a split beside the key."""
UNIT = "unit"
"""The column with the hash that put a key beside its duplicates (see `ml.leakage.duplicates`)."""
MAX_STRATA = 16

Cuts = tuple[int | None, ...]


def split_hash(key: Sequence[str], seed: int) -> Column:
    """Hash the seed and the key to the 64 bits that decide the split of a key. The salt keeps other draws
    independent.
    """
    return F.xxhash64(F.lit("engage_spark.split"), F.lit(seed).cast("bigint"), *map(column_named, key))


def draw_splits(
    rows: DataFrame, *, key: Sequence[str], stratum: str | None, folds: int = 5, seed: int = 0
) -> DataFrame:
    """Draw the split of every key of a snapshot: of each stratum 64% fit (in `folds` folds), 8% calibration,
    8% conformal, 20% test.

    Grain: one row per key, which `rows` must have once and without nulls. Columns: the key, `side`, `fold` (0
    to folds - 1 in split fit, else null), `stratum` (the value as text), `drawn` (true), `unit` (null). Null
    in `stratum` is a stratum of its own; `stratum` None: all rows are one. A split has its share of each
    stratum to the row, and folds differ by at most one row; equal hashes stay together, which can move a cut
    by as many rows as share the hash. The same bits on any partitioning: splits follow from the hash and the
    cut-points alone.

    Cost: two actions, each one scan of key and stratum; the first counts by the top 16 bits of the hash (a
    shuffle of at most 65,536 rows a stratum), the second fetches the hashes of the buckets that hold a cut:
    (folds + 2) x rows / 65,536 of them, about 10,000 at 100 million rows and 5 folds. No sort of the rows;
    the result is a projection.
    Errors: ConfigurationError for no rows, and for more than 16 strata.
    """
    group = F.lit(None).cast("string") if stratum is None else column_named(stratum).cast("string")
    hashed = rows.select(
        *map(column_named, key), group.alias("__stratum"), split_hash(key, seed).alias("__hash")
    )
    drawn = _drawn(hashed, folds)
    slot = F.raise_error(
        F.concat(F.lit("the rows changed while they were split: new stratum "), F.col("__stratum"))
    )
    for value, cuts in drawn.items():
        slot = F.when(_is(value), _slot(cuts)).otherwise(slot)
    return _splits(hashed.withColumn("__slot", slot.cast("int")), key, folds, drawn=True)


def draw_newcomer_splits(
    splits: DataFrame, rows: DataFrame, *, key: Sequence[str], folds: int = 5, seed: int = 0
) -> DataFrame:
    """Split the keys in `rows` that `splits` does not have: by cuts of the whole range of the same hash, so
    by the hash alone.

    Grain: one row per new key; `rows` may hold a key several times. Columns as `draw_splits`, `drawn` false,
    `stratum` null because it plays no part. A newcomer gets the same split whenever it comes and whoever
    comes with it; shares hold up to chance. `folds` and `seed` must be those of the draw.
    Cost: two shuffles (distinct, anti join), no job.
    """
    newcomers = (
        rows.select(*map(column_named, key))
        .distinct()
        .join(splits.select(*map(column_named, key)), on=list(key), how="left_anti")
    )
    hashed = newcomers.withColumns({"__stratum": F.lit(None).cast("string"), "__hash": split_hash(key, seed)})
    return _splits(hashed.withColumn("__slot", _slot(nominal(folds))), key, folds, drawn=False)


def with_newcomers(
    splits: DataFrame, rows: DataFrame, *, key: Sequence[str], folds: int = 5, seed: int = 0
) -> DataFrame:
    """Add the newcomers of `rows` to `splits` (see `draw_newcomer_splits`), columns as `draw_splits`.

    No key changes its split.

    Cost: no job.
    """
    drawn = splits.select(*map(column_named, (*key, *COLUMNS, UNIT)))
    return drawn.unionByName(draw_newcomer_splits(splits, rows, key=key, folds=folds, seed=seed))


def check_splits(splits: DataFrame, *, key: Sequence[str], folds: int, seed: int) -> SplitDraw:
    """Return what identifies the draw of stored splits, drawn with this key, seed and number of folds.

    With others, newcomers would be split by another hash than those who are there, and a deleted and redrawn
    customer could change its split. Empty `splits` pass.
    Cost: one job, one scan of the splits; a row per stratum and slot comes back.
    Errors: ConfigurationError where they were drawn with others.
    """
    unit = F.coalesce(F.col(UNIT), split_hash(key, seed))
    grouped = splits.withColumn("__hash", unit).groupBy("drawn", "stratum", "side", "fold")
    extremes = grouped.agg(F.min("__hash").alias("low"), F.max("__hash").alias("high")).collect()
    order = {(slot.split.value, slot.fold): i for i, slot in enumerate(slots(folds))}
    folds_there = max((r.fold + 1 for r in extremes if r.drawn and r.fold is not None), default=folds)
    edges = (LOW, *nominal(folds), -LOW)
    wrong = folds_there != folds or any((r.side, r.fold) not in order for r in extremes)
    if not wrong:
        slotted = sorted(
            (r.drawn, r.stratum or "", r.stratum is None, order[r.side, r.fold], r.low, r.high)
            for r in extremes
        )
        wrong = any(a[:3] == b[:3] and a[0] and a[-1] >= b[-2] for a, b in pairwise(slotted))
        wrong = wrong or any(
            not edges[i] <= low <= high < edges[i + 1] for drawn, _, _, i, low, high in slotted if not drawn
        )
    if wrong:
        raise ConfigurationError(
            f"the stored splits were not drawn with seed {seed} and {folds} folds (they have {folds_there})",
            hint="set models.seed and models.folds to what they were; or delete the table splits: the next "
            "training draws it anew, and no model of before is compared with the new ones",
        )
    ranges: dict[str | None, list[tuple[int, int] | None]] = {}
    for r in extremes:
        if r.drawn:
            slots_there = ranges.setdefault(r.stratum, [None] * len(order))
            slots_there[order[r.side, r.fold]] = (int(r.low), int(r.high))
    by_stratum = sorted(ranges.items(), key=lambda item: (item[0] is None, item[0] or ""))
    return SplitDraw(seed=seed, folds=folds, ranges=tuple((s, tuple(r)) for s, r in by_stratum))


def _drawn(hashed: DataFrame, folds: int) -> dict[str | None, Cuts]:
    """Find the cut-points of each stratum.

    Cost: two actions, three Spark jobs.
    """
    bucketed = hashed.select("__stratum", "__hash", F.shiftright("__hash", 64 - BITS).alias("__bucket"))
    counts = to_arrow(
        bucketed.groupBy("__stratum", "__bucket")
        .agg(F.count(F.lit(1)).alias("__rows"))
        .limit((MAX_STRATA + 1) << BITS)
    )
    strata = sorted(set(counts["__stratum"].unique().to_pylist()), key=lambda v: (v is None, v or ""))
    if not strata:
        raise ConfigurationError(
            "there are no rows to split", hint="give the valid rows of a published snapshot"
        )
    if len(strata) > MAX_STRATA:
        raise ConfigurationError(
            f"the rows fall into more than {MAX_STRATA} strata",
            hint="stratify by a column of few values, such as a target of two classes",
        )
    ranked: dict[str | None, tuple[BucketRank | None, ...]] = {}
    for value in strata:
        buckets, rows = _numbers(counts, value, "__bucket", "__rows")
        ranked[value] = places(buckets, rows, ranks(int(rows.sum()), folds))
    in_cut_buckets = [
        _is(value) & F.col("__bucket").isin(_buckets(bucket_ranks)) for value, bucket_ranks in ranked.items()
    ]
    fetched = to_arrow(bucketed.where(reduce(Column.__or__, in_cut_buckets)))
    cuts: dict[str | None, Cuts] = {}
    for value, bucket_ranks in ranked.items():
        buckets, hashes = _numbers(fetched, value, "__bucket", "__hash")
        cuts[value] = cut_points(
            bucket_ranks, {bucket: hashes[buckets == bucket] for bucket in _buckets(bucket_ranks)}
        )
    return cuts


def _numbers(table: pa.Table, stratum: str | None, *names: str) -> tuple[I64, ...]:
    """Return columns of the rows of one stratum."""
    column = table["__stratum"]
    part = table.filter(
        pc.is_null(column) if stratum is None else pc.fill_null(pc.equal(column, stratum), fill_value=False)
    )
    return tuple(np.asarray(part[name].to_numpy(), dtype=np.int64) for name in names)


def _buckets(bucket_ranks: Sequence[BucketRank | None]) -> list[int]:
    return sorted({place.bucket for place in bucket_ranks if place is not None})


def _is(value: str | None) -> Column:
    return F.col("__stratum").isNull() if value is None else F.col("__stratum").eqNullSafe(value)


def _slot(cuts: Sequence[int | None]) -> Column:
    """Count the cuts that a hash lies behind."""
    slot = F.lit(0)
    for cut in cuts:
        if cut is not None:
            slot = slot + (F.col("__hash") >= F.lit(cut).cast("bigint")).cast("int")
    return slot


def _splits(slotted: DataFrame, key: Sequence[str], folds: int, *, drawn: bool) -> DataFrame:
    splits = F.array(*(F.lit(s.split.value) for s in slots(folds)))
    return slotted.select(
        *map(column_named, key),
        F.element_at(splits, F.col("__slot") + 1).alias("side"),
        F.when(F.col("__slot") < folds, F.col("__slot")).alias("fold"),
        F.col("__stratum").alias("stratum"),
        F.lit(drawn).alias("drawn"),
        F.lit(None).cast("bigint").alias(UNIT),
    )


def with_unit(splits: DataFrame) -> DataFrame:
    """Add the column of an earlier release's splits that they lack. No job."""
    return splits if UNIT in splits.columns else splits.withColumn(UNIT, F.lit(None).cast("bigint"))


__all__ = [
    "COLUMNS",
    "FOLD",
    "MAX_STRATA",
    "SIDE",
    "UNIT",
    "check_splits",
    "draw_newcomer_splits",
    "draw_splits",
    "split_hash",
    "with_newcomers",
    "with_unit",
]
