"""Measure the strength of a connection: the share of recent weeks in which the pair interacted.

Week 0 is the 7 days that end with the day `as_of`, week 1 the 7 days before, up to week 11. A pair that
connected in week w is measured over weeks 0 to w, where a partial week counts as a full one; an interaction
counts from the day on which the pair connected. A strength is active / weeks with weeks from 1 to 12, a
multiple of 1/27720 (the least common multiple of these denominators), and so are sums of strengths: the same
on any partitioning.

Vertices go by their ranks (`rank_ids`), so an event is two integers when it is shuffled, and the layout of
the graph takes the pairs as they are.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from engage_spark.graph.kernels.pair_weeks import WEEKS, count_weeks

UNIT = 27_720
"""lcm(1, …, 12): strengths are integer multiples of 1 / UNIT."""
LEFT_OUT = -1
"""`u` of rows whose `strength_units` count pairs with an end that has no rank."""
PAIRS_SCHEMA = "u int, v int, weeks int, active_weeks int, strength_units bigint"
_EVENTS_AT_ONCE = 1 << 18
_ROWS_PER_BATCH = 1 << 16


def to_pairs(
    connections: DataFrame, interactions: DataFrame | None, *, ids: DataFrame, as_of: date
) -> DataFrame:
    """Build the undirected graph of a day with the strength of each pair.

    `connections`: src, dst (one type, any orderable) and connected_at, undirected edges as logged, in either
    order, repeats allowed: the earliest counts. `interactions`: src, dst, occurred_at, of any pairs; only
    those of connected pairs count. Without interactions nobody was active. `ids`: id, rank, each once.

    Returns u, v (ranks, u < v), weeks (1 to 12), active_weeks (0 to weeks), strength_units (strength x UNIT).
    Grain: one row per connected pair; besides rows with u = `LEFT_OUT`, see there, at most one per task.
    Units: both timestamps are UTC; events after the end of `as_of` are left out.
    Nulls: events with a null, and self-loops, are left out.
    Cost: one scan of each input, two joins with the ids, one shuffle of both by pair, sorted. A task holds
    some 262,144 events.
    """
    rows = _numbered(connections, F.col("connected_at"), ids, as_of=as_of, how="left")
    unknown = F.col("u").isNull() | F.col("v").isNull()
    first, second = F.least("src", "dst"), F.greatest("src", "dst")
    # Equal pairs must be neighbours: those without ranks by a hash, where unequal ones may be, too.
    by_hash = -1 - F.shiftrightunsigned(F.xxhash64(first, second), 1)
    events = rows.select(
        F.when(unknown, by_hash).otherwise(_pair()).alias("pair"),
        F.col("ago").alias("event"),
        F.when(unknown, first).alias("first"),
        F.when(unknown, second).alias("second"),
    )
    if interactions is not None:
        rows = _numbered(interactions, F.col("occurred_at"), ids, as_of=as_of, how="inner")
        nothing = F.lit(None).cast(connections.schema["src"].dataType)
        met = rows.where(F.col("ago") < 7 * WEEKS).select(
            _pair().alias("pair"),
            (-1 - F.col("ago")).alias("event"),
            nothing.alias("first"),
            nothing.alias("second"),
        )
        events = events.unionByName(met)
    return events.repartition("pair").sortWithinPartitions("pair").mapInArrow(_measure, PAIRS_SCHEMA)


def to_strengths(pairs: DataFrame) -> DataFrame:
    """Compute rank, degree (int), weighted_degree (sum of strengths) and mean_strength from `to_pairs`.

    Each result is one division of two exact integers, so it is correctly rounded and has the same bits on any
    partitioning.
    Grain: one row per vertex with a connection.
    Nulls: none.
    Cost: one shuffle of two rows per pair, partially aggregated.
    """
    ends = F.explode(F.array("u", "v")).alias("rank")
    summed = (
        pairs.where(F.col("u") != LEFT_OUT)
        .select(ends, "strength_units")
        .groupBy("rank")
        .agg(F.count(F.lit(1)).cast("int").alias("degree"), F.sum("strength_units").alias("__units"))
    )
    units = F.col("__units").cast("double")
    return summed.select(
        "rank",
        "degree",
        (units / F.lit(float(UNIT))).alias("weighted_degree"),
        (units / (F.col("degree").cast("double") * F.lit(float(UNIT)))).alias("mean_strength"),
    )


def strength(units: Column) -> Column:
    """Convert a strength in units into a share from 0 to 1."""
    return units.cast("double") / F.lit(float(UNIT))


def _numbered(rows: DataFrame, at: Column, ids: DataFrame, *, as_of: date, how: str) -> DataFrame:
    """Add the ranks u and v of both ends; `ago` is how many days before `as_of` an event was."""
    ago = F.datediff(F.lit(as_of), F.to_date(at))
    rows = rows.select("src", "dst", ago.alias("ago"))
    rows = rows.where((F.col("src") != F.col("dst")) & (F.col("ago") >= 0))
    for end, rank in (("src", "u"), ("dst", "v")):
        ranks = ids.select(F.col("id").alias(end), F.col("rank").alias(rank))
        rows = rows.join(ranks, on=end, how=how)
    return rows


def _pair() -> Column:
    """Both ranks in one number, the smaller one in the upper half."""
    return F.shiftleft(F.least("u", "v").cast("bigint"), 32).bitwiseOR(F.greatest("u", "v").cast("bigint"))


def _measure(batches: Iterator[Any]) -> Iterator[Any]:
    """Turn events in ascending order of pairs into rows of `to_pairs`."""
    left_out, seen = 0, pa.table({})
    waiting: list[Any] = []
    for batch in batches:
        below = int(np.searchsorted(batch.column("pair").to_numpy(), 0))
        if below:
            pairs = pa.Table.from_batches([batch.slice(0, below)]).select(["pair", "first", "second"])
            left_out, seen = left_out - len(seen), _distinct(pairs, seen)
            left_out += len(seen)
            seen = seen.filter(pc.equal(seen["pair"], pc.max(seen["pair"])))
        waiting.append(batch.slice(below).select(["pair", "event"]))
        if sum(map(len, waiting)) >= _EVENTS_AT_ONCE:
            yield from _complete_pairs(waiting)
    yield from _complete_pairs(waiting, ended=True)
    if left_out:
        counted = {"u": LEFT_OUT, "v": LEFT_OUT, "weeks": 0, "active_weeks": 0, "strength_units": left_out}
        yield _batch({name: np.array([value]) for name, value in counted.items()})


def _distinct(pairs: Any, seen: Any) -> Any:
    """Return the different rows of both; `seen` has none twice."""
    every = pa.concat_tables([pairs, seen]) if len(seen) else pairs
    return every.group_by(every.column_names).aggregate([])


def _complete_pairs(waiting: list[Any], *, ended: bool = False) -> Iterator[Any]:
    """Measure the pairs whose events are all there, and leave the others in `waiting`."""
    if not waiting:
        return
    pair, event = (np.concatenate([batch.column(i).to_numpy() for batch in waiting]) for i in range(2))
    end = len(pair) if ended else int(np.searchsorted(pair, pair[-1]))
    rest = {"pair": pair[end:], "event": event[end:]}
    waiting[:] = [pa.RecordBatch.from_arrays(list(map(pa.array, rest.values())), names=list(rest))]
    pairs, weeks, active = count_weeks(pair[:end], event[:end])
    for start in range(0, len(pairs), _ROWS_PER_BATCH):
        part = slice(start, start + _ROWS_PER_BATCH)
        yield _batch(
            {
                "u": pairs[part] >> 32,
                "v": pairs[part] & 0xFFFFFFFF,
                "weeks": weeks[part],
                "active_weeks": active[part],
                "strength_units": active[part].astype(np.int64) * (UNIT // weeks[part]),
            }
        )


def _batch(columns: dict[str, Any]) -> Any:
    kinds = {"strength_units": np.int64}
    arrays = [pa.array(values.astype(kinds.get(name, np.int32))) for name, values in columns.items()]
    return pa.RecordBatch.from_arrays(arrays, names=list(columns))
