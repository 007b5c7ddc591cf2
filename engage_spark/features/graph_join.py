"""What models use: a customer's features together with the customer's place in the graph."""

from __future__ import annotations

from collections.abc import Sequence

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from engage_spark.spark.schema import column_named


def with_graph_features(
    rows: DataFrame, graph: DataFrame | None, *, on: Sequence[str], measured: bool = True
) -> DataFrame:
    """Add the columns of `graph` to `rows`. Of a column that both have, `measured` takes the graph's value,
    else the given one stays.

    Grain: that of `rows`. `on` are the key columns; in `graph` they are unique. Technical columns of `graph`
    (they begin with _) stay behind. `graph` None: nothing was measured, and `rows` are returned as they are.
    Otherwise every row must have its row in `graph`, where isolated customers stand too: given and measured
    values in one column would be two things under one name. A row without one fails the job when it is read,
    with its key and the mend. Columns: those of `rows`, then of `graph`. Cost: one join, no job.
    """
    if graph is None:
        return rows
    keys = list(on)
    own = [c for c in graph.columns if c not in keys and not c.startswith("_")]
    taken = own if measured else [c for c in own if c not in rows.columns]
    placed = graph.select(*map(column_named, keys), F.struct(*map(column_named, taken)).alias("__place"))
    joined = rows.join(placed, on=keys, how="left")

    def value(name: str) -> Column:
        return (
            F.when(F.col("__place").isNotNull(), F.col("__place").getField(name))
            .otherwise(F.raise_error(_missing(keys)))
            .alias(name)
        )

    kept = [value(c) if c in taken else column_named(c) for c in rows.columns]
    return joined.select(*kept, *(value(c) for c in taken if c not in rows.columns))


def _missing(keys: list[str]) -> Column:
    key = F.concat_ws(", ", *(F.concat(F.lit(f"{k} "), column_named(k).cast("string")) for k in keys))
    hint = "; run `engage-spark graph` for that day, or set features.graph_values=given"
    return F.concat(F.lit("there are no graph features for "), key, F.lit(hint))
