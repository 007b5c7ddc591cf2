"""Join columns that every row must have, and put the rows of frames together."""

from __future__ import annotations

from collections.abc import Sequence

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from engage_spark.spark.schema import column_named

_MATCH = "__match"


def join_required(
    rows: DataFrame, other: DataFrame, *, on: Sequence[str], columns: Sequence[str], what: str, hint: str
) -> DataFrame:
    """Add `columns` of the row of `other` that has the same key. A column that `rows` has too is replaced.

    Grain: that of `rows`; `on` are the key columns, unique in `other`. Columns: those of `rows` in their
    order, then the new ones.
    Cost: one join, no job.
    Errors: a row without its match fails the job when it is read, with the `what` that is missing, its key
    and the hint.
    """
    if not columns:
        return rows
    keys = list(on)
    matches = other.select(*map(column_named, keys), F.struct(*map(column_named, columns)).alias(_MATCH))
    joined = rows.join(matches, on=keys, how="left")
    error = _no_match(keys, what, hint)

    def value(name: str) -> Column:
        match = F.col(_MATCH)
        return F.when(match.isNotNull(), match.getField(name)).otherwise(F.raise_error(error)).alias(name)

    return joined.select(
        *(value(c) if c in columns else column_named(c) for c in rows.columns),
        *(value(c) for c in columns if c not in rows.columns),
    )


def _no_match(keys: Sequence[str], what: str, hint: str) -> Column:
    key = F.concat_ws(", ", *(F.concat(F.lit(f"{k} "), column_named(k).cast("string")) for k in keys))
    return F.concat(F.lit(f"there are no {what} for "), key, F.lit(f"; {hint}"))


def union_of(frames: Sequence[DataFrame]) -> DataFrame:
    """Return the rows of all frames, which have the same columns.

    They are put together pair by pair, so that the plan of hundreds stays flat.
    """
    while len(frames) > 1:
        pairs = zip(frames[::2], [*frames[1::2], None], strict=False)
        frames = [a if b is None else a.union(b) for a, b in pairs]
    return frames[0]
