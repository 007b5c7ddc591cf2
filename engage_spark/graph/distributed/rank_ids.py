"""Rank the ids of a graph: the number that each vertex goes by until its degree is known."""

from __future__ import annotations

from dataclasses import dataclass

from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql.window import Window

from engage_spark.errors import InputError
from engage_spark.graph.distributed.workspace import Materialize

_BUCKETS = 1024


@dataclass(frozen=True)
class RankedIds:
    """Every vertex of a graph with its rank."""

    rows: DataFrame
    """(id, rank), stored: ranks are 0 to n - 1, by (a hash's bucket, id)."""
    n: int
    codes: DataFrame
    """(piece, code, rank) of encoded edges."""
    unknown: DataFrame | None
    """(id) of the edges that are not among the vertices; None where there is none."""


def rank_ids(
    vertices: DataFrame | None, *, encoded: DataFrame | None = None, materialize: Materialize
) -> RankedIds:
    """Rank the different ids of `vertices` (id) and of `encoded` edges (piece, code, id), by (a hash's
    bucket, id).

    Each bucket is a window, and the buckets' counts (1,024 numbers) are added up on the driver, so the rank
    does not depend on any partitioning.
    Grain: one row per different id.
    Cost: one shuffle of the ids, which are stored and scanned once more for the counts.
    Errors: InputError for null ids.
    """
    parts = [] if encoded is None else [encoded.select("piece", "code", "id")]
    if vertices is not None:
        nowhere = (F.lit(None).cast("string").alias("piece"), F.lit(None).cast("int").alias("code"))
        parts.append(vertices.select(*nowhere, "id"))
    rows = parts[0] if len(parts) == 1 else parts[0].unionAll(parts[1])
    bucketed = rows.withColumn("bucket", F.pmod(F.xxhash64("id"), F.lit(_BUCKETS)).cast("int"))
    in_bucket = Window.partitionBy("bucket").orderBy("id")
    is_vertex = F.lit(True)
    if len(parts) == 2:
        is_vertex = F.max(F.col("piece").isNull()).over(Window.partitionBy("bucket", "id"))
    ranked = materialize(
        bucketed.withColumns(
            {
                "rank_in_bucket": F.dense_rank().over(in_bucket),
                "is_first": ~F.lag("id").over(in_bucket).eqNullSafe(F.col("id")),
                "is_vertex": is_vertex,
            }
        ),
        "ids",
    )
    counts = (
        ranked.groupBy("bucket")
        .agg(
            F.max("rank_in_bucket").alias("ids"),
            F.count_if(F.col("id").isNull()).alias("nulls"),
            F.count_if(~F.col("is_vertex")).alias("unknown"),
        )
        .collect()
    )
    if any(row["nulls"] for row in counts):
        raise InputError("vertices has null ids", hint="give vertices(id) without nulls")
    sizes = {row["bucket"]: int(row["ids"]) for row in counts}
    offsets = [0]
    for bucket in range(_BUCKETS):
        offsets.append(offsets[-1] + sizes.get(bucket, 0))
    # A string that the optimiser turns into one constant array; a thousand literals would be a thousand
    # expressions.
    before = F.split(F.lit(",".join(map(str, offsets[:-1]))), ",").cast("array<bigint>")
    rank = (before[F.col("bucket")] + F.col("rank_in_bucket") - 1).cast("int").alias("rank")
    return RankedIds(
        ranked.where("is_first").select("id", rank),
        offsets[-1],
        ranked.where(F.col("piece").isNotNull()).select("piece", "code", rank),
        ranked.where("is_first AND NOT is_vertex") if any(row["unknown"] for row in counts) else None,
    )
