"""Select the declared columns of the graph's tables from the measured values."""

from __future__ import annotations

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from engage_spark.contract import EdgeMeasure, GraphMeasure, GraphSpec, Table
from engage_spark.graph.ranks import percentile, with_ranks
from engage_spark.graph.tie_strength import LEFT_OUT, strength
from engage_spark.spark.schema import column_metadata, column_named, spark_type


def to_vertex_rows(
    ids: DataFrame,
    *,
    spec: GraphSpec,
    n: int,
    scores: DataFrame,
    structure: DataFrame,
    strengths: DataFrame,
    follows: DataFrame | None,
) -> DataFrame:
    """Join the measures of every vertex into the columns of the table of vertices, without the day.

    `scores` from `measure_betweenness`, `structure` and `follows` from `structure_tasks`: each has every id
    once, and is stored (`scores` is read three times). `ids` (id, rank) from `rank_ids`, `strengths` by rank
    from `to_strengths`; isolated vertices are missing there.
    Grain: one row per id.
    Cost: `with_ranks`, and three or four joins by id.
    """
    ranked = scores.transform(with_ranks, of=["betweenness"]).drop("betweenness_ties")
    rows = (
        ids.join(ranked, on="id", how="inner")
        .join(structure, on="id", how="inner")
        .join(strengths, on="rank", how="left")
    )
    if follows is not None:
        rows = rows.join(follows, on="id", how="inner")
    values = _values(n)
    columns = [
        (F.col("id") if f.measure is None else values[GraphMeasure(f.measure)])
        .cast(spark_type(f.spark_type))
        .alias(f.name, metadata=column_metadata(f))
        for f in spec.vertices.fields
        if f.measure or f.name == spec.key
    ]
    return rows.select(*columns)


def centrality(betweenness: Column, n: int) -> Column:
    """Scale Freeman's betweenness to log1p(raw) / log1p((n - 1)(n - 2) / 2), raw over unordered pairs.

    1 for the centre of a star, 0 for fewer than 3 vertices. Spark's log1p is Java's StrictMath, the same bits
    on every machine.
    """
    pairs = float((n - 1) * (n - 2) // 2)
    return F.lit(0.0) if n < 3 else F.log1p(betweenness * F.lit(pairs)) / F.log1p(F.lit(pairs))


def _values(n: int) -> dict[GraphMeasure, Column]:
    nothing = F.lit(0.0)
    return {
        GraphMeasure.CENTRALITY: centrality(F.col("betweenness"), n),
        GraphMeasure.BETWEENNESS: F.col("betweenness"),
        GraphMeasure.BETWEENNESS_LOWER: F.col("lower"),
        GraphMeasure.BETWEENNESS_UPPER: F.col("upper"),
        GraphMeasure.BETWEENNESS_STDERR: F.col("stderr"),
        GraphMeasure.BETWEENNESS_METHOD: F.col("method"),
        GraphMeasure.BETWEENNESS_PERCENTILE: percentile(F.col("betweenness_below"), n),
        GraphMeasure.MEAN_STRENGTH: F.coalesce("mean_strength", nothing),
        GraphMeasure.WEIGHTED_DEGREE: F.coalesce("weighted_degree", nothing),
        GraphMeasure.DEGREE: F.coalesce("degree", F.lit(0)),
        **{m: F.col(m.value) for m in GraphMeasure if m.value in _SAME_NAME},
    }


_SAME_NAME = {
    "follows_out", "follows_in", "follows_reciprocity", "follows_pagerank", "pagerank", "core_number",
    "triangles", "clustering", "ego_betweenness", "component", "component_size", "community",
    "community_size",
}  # fmt: skip


def to_edge_rows(pairs: DataFrame, *, ids: DataFrame, spec: GraphSpec) -> DataFrame:
    """Select the columns of the table of edges, without the day, from the rows of `to_pairs`, with the `ids`
    (id, rank) of both ends in their order.

    Grain: one row per pair.
    Cost: two joins by rank.
    """
    pairs = pairs.where(F.col("u") != LEFT_OUT)
    for rank, end in (("u", "first"), ("v", "second")):
        ends = ids.select(F.col("rank").alias(rank), F.col("id").alias(end))
        pairs = pairs.join(ends, on=rank, how="inner")
    values = {
        EdgeMeasure.FIRST_END: F.least("first", "second"),
        EdgeMeasure.SECOND_END: F.greatest("first", "second"),
        EdgeMeasure.WEEKS: F.col("weeks"),
        EdgeMeasure.ACTIVE_WEEKS: F.col("active_weeks"),
        EdgeMeasure.STRENGTH: strength(F.col("strength_units")),
    }
    return pairs.select(
        *(
            values[EdgeMeasure(f.measure)]
            .cast(spark_type(f.spark_type))
            .alias(f.name, metadata=column_metadata(f))
            for f in spec.edges.fields
            if f.measure
        )
    )


def select_edge_ends(log: DataFrame, *, spec: GraphSpec, table: Table, at: str) -> DataFrame:
    """Select src, dst and the time (named `at`) of the rows of a log."""
    first, second = spec.ends(table)
    return log.select(
        column_named(first).alias("src"),
        column_named(second).alias("dst"),
        column_named(table.event_time or "").alias(at),
    )
